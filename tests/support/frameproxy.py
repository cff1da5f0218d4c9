"""A way between a source and its listeners on which messages are lost, doubled, late and out of order."""

import heapq
import itertools
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
import zmq

from tests.support import plainwire
from tests.support.bounded import bounded_context
from tests.support.ear import ranges
from tests.support.ports import REPLAY_OFFSET

QUIET_S = 0.3
REMEMBERED_STALE = 1000  # messages of a past run that may be said again


@dataclass(frozen=True, slots=True)
class Mischief:
    """How often a message meets with what.

    Parameters
    ----------
    drop, duplicate, reorder, delay, stale : float
        Probability for each published input or target; `stale` says a message of a past run besides.
    drop_replay : float
        Probability for each request and each answer.
    most_delay_s : float
        Of a message that is delayed.
    most_places : int
        By how many messages one is overtaken.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    stale: float = 0.0
    drop_replay: float = 0.0
    most_delay_s: float = 0.5
    most_places: int = 10


class FrameProxy:
    """Passes messages on in a thread of its own, some of them not as they came.

    Attributes
    ----------
    counts : Counter
        What was done, by name.
    delivered : Counter
        How often each sample was handed on, by (kind, run, seq).
    """

    def __init__(self, port: int, upstream_port: int, mischief: Mischief, rng: np.random.Generator) -> None:
        self.counts: Counter[str] = Counter()
        self.delivered: Counter[tuple[int, int, int]] = Counter()
        self.mischief = mischief
        self.blackout = threading.Event()  # nothing passes while it is set
        self._rng = rng
        self._upstream_port = upstream_port
        self._context = bounded_context()
        self._front = self._socket(zmq.XPUB)
        self._front.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._front.bind(f"tcp://127.0.0.1:{port}")
        self._back = self._socket(zmq.XSUB)
        self._back.connect(f"tcp://127.0.0.1:{upstream_port}")
        self._router = self._socket(zmq.ROUTER)
        self._router.bind(f"tcp://127.0.0.1:{port + REPLAY_OFFSET}")
        self._dealers: dict[bytes, zmq.Socket[bytes]] = {}
        self._peers: dict[zmq.Socket[bytes], bytes] = {}
        self._late: list[tuple[float, int, list[bytes]]] = []
        self._overtaken: list[tuple[int, list[bytes]]] = []  # how many messages it still lets pass
        self._order = itertools.count()
        self._seen: deque[list[bytes]] = deque(maxlen=REMEMBERED_STALE)
        self._run = 0
        self._past: list[list[bytes]] = []
        self._passed = time.monotonic()  # when a sample, a request or an answer last did
        self._closing = threading.Event()
        self._poller = zmq.Poller()
        for socket in (self._front, self._back, self._router):
            self._poller.register(socket, zmq.POLLIN)
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def _socket(self, kind: int) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        return socket

    def repeated(self, kind: int, run: int) -> int:
        """How many samples were handed on that had been before."""
        delivered = [
            number for (one, its_run, _), number in self.delivered.items() if (one, its_run) == (kind, run)
        ]
        return sum(delivered) - len(delivered)

    def missing(self, kind: int, run: int) -> list[range]:
        """The samples before the last one handed on that were not."""
        there = {seq for one, its_run, seq in list(self.delivered) if (one, its_run) == (kind, run)}
        return ranges(sorted(set(range(max(there) + 1)) - there))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way, and nothing has been for some time."""
        return not self._late and time.monotonic() > self._passed + QUIET_S

    def close(self) -> None:
        """Leave nothing behind."""
        self._closing.set()
        self._thread.join(60)
        self._context.destroy(linger=0)

    def __enter__(self) -> "FrameProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The thread

    def _pass_on(self) -> None:
        while not self._closing.is_set():
            for socket, _ in self._poller.poll(10 if not self._late else 2):
                self._take(socket)
            while self._late and self._late[0][0] <= time.monotonic():
                self._say(heapq.heappop(self._late)[2])

    def _take(self, socket: "zmq.Socket[bytes]") -> None:
        for _ in range(100):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if self.blackout.is_set() and socket is not self._front:
                self.counts["blacked out"] += 1
            elif socket is self._front:
                self._back.send_multipart(parts)
            elif socket is self._back:
                self._mistreat(parts)
            elif socket is self._router:
                self._ask(parts[0], parts[1:])
            else:
                self._answer(self._peers[socket], parts)

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _mistreat(self, parts: list[bytes]) -> None:
        what = plainwire.head(parts[1])
        if what.kind not in (plainwire.INPUT, plainwire.TARGET):
            self._front.send_multipart(parts)
            return
        self._note_run(what.run, parts)
        self._let_pass()
        if self._past and self._chance(self.mischief.stale):
            self.counts["stale"] += 1
            self._say(self._past[int(self._rng.integers(len(self._past)))])
        if self._chance(self.mischief.drop):
            self.counts["dropped"] += 1
        elif self._chance(self.mischief.delay):
            self.counts["delayed"] += 1
            due = time.monotonic() + self._rng.uniform(0, self.mischief.most_delay_s)
            heapq.heappush(self._late, (due, next(self._order), parts))
        elif self._chance(self.mischief.reorder):
            self.counts["reordered"] += 1
            self._overtaken.append((1 + int(self._rng.integers(self.mischief.most_places)), parts))
        else:
            self._say(parts)
            if self._chance(self.mischief.duplicate):
                self.counts["duplicated"] += 1
                self._say(parts)

    def _note_run(self, run: int, parts: list[bytes]) -> None:
        if run != self._run:
            self._past = list(self._seen)
            self._run = run
        self._seen.append(parts)

    def _let_pass(self) -> None:
        waiting, self._overtaken = self._overtaken, []
        for left, parts in waiting:
            if left:
                self._overtaken.append((left - 1, parts))
            else:
                self._say(parts)

    def _say(self, parts: list[bytes]) -> None:
        self._front.send_multipart(parts)
        self._count(parts)

    def _count(self, parts: list[bytes]) -> None:
        what = plainwire.head(parts[1])
        self._passed = time.monotonic()
        self.delivered.update((what.kind, what.run, seq) for seq in range(what.seq, what.end_seq))

    def _ask(self, peer: bytes, parts: list[bytes]) -> None:
        self._passed = time.monotonic()
        if peer not in self._dealers:
            dealer = self._socket(zmq.DEALER)
            dealer.connect(f"tcp://127.0.0.1:{self._upstream_port + REPLAY_OFFSET}")
            self._poller.register(dealer, zmq.POLLIN)
            self._dealers[peer], self._peers[dealer] = dealer, peer
        self.counts["requests"] += 1
        if self._chance(self.mischief.drop_replay):
            self.counts["requests dropped"] += 1
        else:
            self._dealers[peer].send_multipart(parts)

    def _answer(self, peer: bytes, parts: list[bytes]) -> None:
        self.counts["answers"] += 1
        if self._chance(self.mischief.drop_replay):
            self.counts["answers dropped"] += 1
            return
        self._router.send_multipart([peer, *parts])
        if plainwire.head(parts[1]).kind in (plainwire.INPUT, plainwire.TARGET):
            self._count(parts)
