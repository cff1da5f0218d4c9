"""Answers who asks for samples again, a little at a time, so that nobody else waits for it. Sans-IO.

Peers share what can be answered by start-time fair queueing (Goyal, Vin and Cheng, 1996), a slice being the unit:
who is first in the order of start times is served, and starts again one slice later. Whoever was not served lately
starts ahead of those who always ask.
"""

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from streamer.effects import Reply
from streamer.messages import Burst, Gone, Kind, Request
from streamer.replay.history import Found, History

ANSWER_MESSAGES = 4_096  # to one request; who asks for no more samples than this gets them in one answer
ANSWER_BYTES = 4 * 2**20
SLICE_MESSAGES = 8  # at once: some 100 us
SLICE_BYTES = 64 * 2**10
MAX_PEERS = 4_096  # who are being answered; another has to ask again once one of them is done
MAX_REQUESTS = 1_024  # of a peer
MAX_RANGES = 64  # of them, of one stream and kind
MAX_IN_ALL = 65_536  # some 10 MB
AHEAD_SLICES = 64.0  # what a peer gets before others that always ask, if it was not served lately: 512 messages
MESSAGE_BYTES = 100  # topic, header and framing


@dataclass(slots=True, eq=False)
class _Answer:
    """What is still to be said, and how much of it may be."""

    kind: Kind
    stream: str
    run: int
    seq: int
    end: int
    messages: int = ANSWER_MESSAGES
    bytes: int = ANSWER_BYTES

    def done(self) -> bool:
        return self.seq >= self.end or self.messages <= 0 or self.bytes <= 0


class _Answers:
    """What is still to be said to one peer, in the order in which it was asked for."""

    def __init__(self) -> None:
        self._all: dict[_Answer, None] = {}
        self._ranges: dict[tuple[Kind, str], list[_Answer]] = {}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def first(self) -> _Answer:
        return next(iter(self._all))

    def replace(self, wanted: _Answer) -> int:
        """Remove what would say some of the same samples; return how many answers that were."""
        ranges = self._ranges.get((wanted.kind, wanted.stream), ())
        same = [one for one in ranges if one.run == wanted.run and one.seq < wanted.end and wanted.seq < one.end]
        for answer in same:
            self.remove(answer)
        return len(same)

    def has_room_for(self, wanted: _Answer) -> bool:
        ranges = self._ranges.get((wanted.kind, wanted.stream), ())
        return len(self._all) < MAX_REQUESTS and len(ranges) < MAX_RANGES

    def add(self, wanted: _Answer) -> None:
        self._all[wanted] = None
        self._ranges.setdefault((wanted.kind, wanted.stream), []).append(wanted)

    def remove(self, answer: _Answer) -> None:
        del self._all[answer]
        ranges = self._ranges[answer.kind, answer.stream]
        ranges.remove(answer)
        if not ranges:
            del self._ranges[answer.kind, answer.stream]


@dataclass(slots=True)
class _Slice:
    """What may still be said at once."""

    messages: int = SLICE_MESSAGES
    bytes: int = SLICE_BYTES

    def spent(self) -> bool:
        return self.messages <= 0 or self.bytes <= 0


class ReplayServer:
    """Answers requests from what a history keeps, in fair shares to all who ask.

    Parameters
    ----------
    history : History

    Attributes
    ----------
    refused : int
        Requests beyond what is answered at a time. Who asked may ask again.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._waiting: dict[bytes, _Answers] = {}
        self._count = 0  # of answers that wait
        self._turns: list[tuple[float, int, bytes]] = []  # a heap: who starts when, in slices
        self._order = itertools.count()
        self._now = 0.0  # the start of the slice that was served last
        self._next_start: dict[bytes, float] = {}  # of peers served lately, the longest ago first
        self.refused = 0

    def take(self, request: Request) -> None:
        """Take a request, for `work` to answer. It replaces the peer's for any of the same samples."""
        peer, asked = request.peer, request.replay
        wanted = _Answer(asked.kind, asked.stream, asked.run, asked.seq, asked.seq + asked.samples)
        answers = self._waiting.get(peer)
        if answers is None:
            if len(self._waiting) >= MAX_PEERS or self._count >= MAX_IN_ALL:
                self.refused += 1
                return
            answers = self._waiting[peer] = _Answers()
            self._enqueue(peer)
        self._count -= answers.replace(wanted)
        if self._count >= MAX_IN_ALL or not answers.has_room_for(wanted):
            self.refused += 1
            return
        answers.add(wanted)
        self._count += 1

    def _enqueue(self, peer: bytes) -> None:
        start = max(self._next_start.get(peer, 0.0), self._now - AHEAD_SLICES)
        heapq.heappush(self._turns, (start, next(self._order), peer))

    def work(self) -> list[Reply] | None:
        """Return the next replies, few enough to come between two samples; None if nobody waits for any."""
        if not self._turns:
            return None
        start, _, peer = heapq.heappop(self._turns)
        self._now = max(self._now, start)
        answers = self._waiting[peer]
        replies: list[Reply] = []
        left = _Slice()
        while answers and not left.spent():
            answer = answers.first
            replies += [Reply(peer, said) for said in self._continue(answer, left)]
            if not left.spent() or answer.done():
                answers.remove(answer)
                self._count -= 1
                left.messages -= 1  # for the trouble
        self._served(peer, start + 1.0)
        if answers:
            self._enqueue(peer)
        else:
            del self._waiting[peer]
        return replies

    def _served(self, peer: bytes, next_start: float) -> None:
        self._next_start.pop(peer, None)
        self._next_start[peer] = next_start
        if len(self._next_start) > MAX_PEERS:
            del self._next_start[next(iter(self._next_start))]

    def _continue(self, answer: _Answer, left: _Slice) -> Iterator[Found]:
        """Yield what comes next in an answer, until it is complete or nothing is left of the slice."""
        while not left.spent() and not answer.done():
            most = min(left.messages, answer.messages)
            found = self._history.find(answer.kind, answer.stream, answer.run, answer.seq, answer.end, most)
            if not found:
                return
            for said in found:
                if left.spent() or answer.done():
                    return
                count, weight, answer.seq = _size(said)
                for budget in (left, answer):
                    budget.messages -= count
                    budget.bytes -= weight
                yield said


def _size(said: Found) -> tuple[int, int, int]:
    """Return how many messages it is, about how many bytes, and the sample after it."""
    if isinstance(said, Gone):
        return 1, MESSAGE_BYTES, said.seq + said.samples
    count, chunk = (len(said.times_ns), said.chunk) if isinstance(said, Burst) else (1, said)
    return count, chunk.values.nbytes + count * MESSAGE_BYTES, chunk.end_seq
