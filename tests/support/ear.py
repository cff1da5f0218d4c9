"""Somebody who hears everything a process publishes, and holds every repetition to the first saying's bytes."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zmq

from tests.support import plainwire
from tests.support.bounded import bounded_context

PATIENCE_S = 120.0  # bounds a hang, as in `processes`
QUIET_S = 0.5
LOOK_EVERY_S = 0.5
PROVOKE_EVERY_S = 0.1


class Said(NamedTuple):
    """What was said of one sample."""

    payload: bytes
    model_version: int
    tally: int


class Ear:
    """Records estimates and statuses in a thread of its own.

    Attributes
    ----------
    runs : dict
        Of each run, by seq, what was said first.
    repeated : int
        Samples heard again.
    contradictions : list
        Samples heard again with other bytes.

    Parameters
    ----------
    address : str
        Where a process publishes.
    look : callable
        Called now and then while waiting: raises if there is nothing to wait for.
    stream : str
    keys : Path or None
        Whose keys to prove oneself with.
    """

    def __init__(
        self, address: str, look: Callable[[], None], stream: str = "demo", keys: Path | None = None
    ) -> None:
        self.look = look
        self.runs: dict[int, dict[int, Said]] = {}
        self.repeated = 0
        self.contradictions: list[tuple[int, int]] = []
        self.out_of_order = 0
        self.statuses: Counter[str] = Counter()
        self.bodies: dict[str, dict[str, object]] = {}
        self.next_seqs: dict[str, int] = {}
        self.newest_run = 0
        self.status_ahead_s = 0.0  # of the last status' time, by our clock
        self._stream = stream
        self._changed = threading.Condition()
        self._context = bounded_context()
        self._sub = self._context.socket(zmq.SUB)
        self._sub.setsockopt(zmq.LINGER, 0)
        self._sub.setsockopt(zmq.RCVHWM, 0)
        self._sub.setsockopt(zmq.RECONNECT_IVL, 20)
        if keys is not None:
            _curve(self._sub, keys)
        self._sub.setsockopt(zmq.SUBSCRIBE, b"status/")
        self._sub.setsockopt(zmq.SUBSCRIBE, b"status/0")
        self._sub.setsockopt(
            zmq.SUBSCRIBE, b"estimate/"
        )  # of every stream: this is what `predict --wait` waits for
        self._sub.connect(address)
        self._provokes = self._provoked = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    # What has been heard

    def heard(self, run: int | None = None) -> dict[int, Said]:
        """What was said of each sample of a run, the newest unless told."""
        with self._changed:
            return dict(self.runs.get(self.newest_run if run is None else run, {}))

    @property
    def next_seq(self) -> int:
        """One past the last sample of the newest run."""
        heard = self.runs.get(self.newest_run)
        return max(heard) + 1 if heard else 0

    def body(self, stream: str = "") -> dict[str, object]:
        """The latest status of a stream, or of the daemon itself."""
        with self._changed:
            return dict(self.bodies.get(stream, {}))

    def missing(self, end_seq: int, run: int | None = None) -> list[range]:
        """Samples before `end_seq` of which nothing was heard."""
        heard = self.heard(run)
        return ranges(seq for seq in range(end_seq) if seq not in heard)

    # Waiting

    def wait(
        self, until: Callable[[], bool], what: str, within_s: float = PATIENCE_S, *, provoke: bool = False
    ) -> float:
        """Wait until something has been heard; return how long it took in seconds.

        Where a status is waited for, `provoke` has it said at once: as at every subscription.
        """
        started = time.monotonic()
        with self._changed:
            self._provokes += provoke
            while not self._changed.wait_for(until, PROVOKE_EVERY_S if provoke else LOOK_EVERY_S):
                self._provokes += provoke
                self.look()
                if time.monotonic() > started + within_s:
                    raise AssertionError(
                        f"waited {within_s} s for {what}; run {self.newest_run:016x} was heard to "
                        f"{self.next_seq}, status {self.bodies.get(self._stream)}"
                    )
        return time.monotonic() - started

    def wait_for_seq(self, seq: int, within_s: float = PATIENCE_S) -> float:
        """Wait until sample `seq` or a later one of the newest run has been heard."""
        return self.wait(lambda: self.next_seq > seq, f"sample {seq}", within_s)

    def wait_for_quiet(self) -> int:
        """Wait until nothing new has been heard for half a second; return the next sample."""
        started = time.monotonic()
        while time.monotonic() < started + PATIENCE_S:
            before = self.next_seq
            time.sleep(QUIET_S)
            if self.next_seq == before:
                return before
        raise AssertionError(f"samples still come after {PATIENCE_S} s")

    def wait_for_all(self, end_seq: int, within_s: float = PATIENCE_S) -> float:
        """Wait until every sample before `end_seq` of the newest run has been heard."""
        return self.wait(lambda: len(self.runs.get(self.newest_run, ())) >= end_seq, f"all of {end_seq}", within_s)

    def wait_for_status(self, stream: str = "", within_s: float = PATIENCE_S) -> dict[str, object]:
        """Wait for a status that was said after this call; return it."""
        # The next one may have been on its way.
        seen = self.statuses[stream] + 2
        what = f"a status of {stream or 'the daemon'!r}"
        self.wait(lambda: self.statuses[stream] >= seen, what, within_s, provoke=True)
        return self.body(stream)

    def close(self) -> None:
        """Leave nothing behind."""
        self._closing.set()
        self._thread.join(PATIENCE_S)
        self._context.destroy(linger=0)

    # The thread

    def _hear(self) -> None:
        poller = zmq.Poller()
        poller.register(self._sub, zmq.POLLIN)
        while not self._closing.is_set():
            if self._provokes > self._provoked:
                self._sub.setsockopt(zmq.UNSUBSCRIBE, f"status/{self._provoked}".encode())
                self._provoked = self._provokes
                self._sub.setsockopt(zmq.SUBSCRIBE, f"status/{self._provoked}".encode())
            for socket, _ in poller.poll(20):
                with self._changed:
                    self._drain(socket)
                    self._changed.notify_all()

    def _drain(self, socket: "zmq.Socket[bytes]") -> None:
        for _ in range(1000):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(parts)

    def _take(self, parts: list[bytes]) -> None:
        topic, header, payload = parts
        what = plainwire.head(header)
        stream = topic.decode().split("/")[1]
        if what.kind == plainwire.STATUS:
            self.bodies[stream] = json.loads(payload)
            self.next_seqs[stream] = what.seq
            self.statuses[stream] += 1
            self.status_ahead_s = (what.time_ns - time.time_ns()) / 1e9
        elif stream == self._stream:
            self._record(what, payload)

    def _record(self, what: plainwire.Head, payload: bytes) -> None:
        if what.run not in self.runs:
            self.runs[what.run] = {}
            self.newest_run = what.run
        run = self.runs[what.run]
        size = len(payload) // what.samples
        for offset in range(what.samples):
            seq = what.seq + offset
            tally = what.tally + (offset if what.tally < 2**64 - 1 else 0)
            said = Said(payload[offset * size : (offset + 1) * size], what.model_version, tally)
            before = run.get(seq)
            if before is None:
                self.out_of_order += bool(run) and seq < next(reversed(run))
                run[seq] = said
            else:
                self.repeated += 1
                if before[:2] != said[:2]:
                    self.contradictions.append((what.run, seq))


def ranges(seqs: Iterable[int]) -> list[range]:
    """Return rising numbers as the ranges they make."""
    found: list[range] = []
    for seq in seqs:
        if found and found[-1].stop == seq:
            found[-1] = range(found[-1].start, seq + 1)
        else:
            found.append(range(seq, seq + 1))
    return found


def values(heard: dict[int, Said], channels: int) -> np.ndarray:
    """Return estimates [samples, channels, fields] in the order of their seq."""
    payload = b"".join(heard[seq].payload for seq in sorted(heard))
    return np.frombuffer(payload, "<f4").reshape(len(heard), channels, -1)


def _curve(socket: "zmq.Socket[bytes]", keys: Path) -> None:
    import zmq.auth

    public, secret = zmq.auth.load_certificate(keys / "own.key_secret")
    server, _ = zmq.auth.load_certificate(next((keys / "servers").glob("*.key")))
    assert secret is not None
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
    socket.setsockopt(zmq.CURVE_SERVERKEY, server)
