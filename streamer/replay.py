"""Answers who asks for samples again, a little at a time, so that nobody else waits for it. Sans-IO."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from streamer.effects import Reply
from streamer.history import Found, History
from streamer.messages import Burst, Gone, Kind, Request

ANSWER_MESSAGES = 4_096  # to one request; who asks for no more samples than this gets them in one answer
ANSWER_BYTES = 4 * 2**20
SLICE_MESSAGES = 32  # at once: a fraction of a millisecond
SLICE_BYTES = 256 * 2**10
MOST_PEERS = 64  # who are being answered; another has to ask again once one of them is done
MOST_REQUESTS = 1_024  # of a peer: each stream and kind counts as one
MESSAGE_BYTES = 100  # topic, header and framing


@dataclass(slots=True)
class _Answer:
    """What is still to be said, and how much of it may be."""

    run: int
    seq: int
    end: int
    messages: int = ANSWER_MESSAGES
    bytes: int = ANSWER_BYTES

    def done(self) -> bool:
        return self.seq >= self.end or self.messages <= 0 or self.bytes <= 0


@dataclass(slots=True)
class _Slice:
    """What may still be said at once."""

    messages: int = SLICE_MESSAGES
    bytes: int = SLICE_BYTES

    def spent(self) -> bool:
        return self.messages <= 0 or self.bytes <= 0


class ReplayServer:
    """Answers requests from what a history keeps, each peer in its turn.

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
        self._waiting: dict[bytes, dict[tuple[Kind, str], _Answer]] = {}
        self._turns: deque[bytes] = deque()
        self.refused = 0

    def take(self, request: Request) -> None:
        """Take a request, for `work` to answer. It replaces the peer's last one for the stream and kind."""
        peer, asked = request.peer, request.replay
        answers = self._waiting.get(peer)
        if answers is None:
            if len(self._waiting) >= MOST_PEERS:
                self.refused += 1
                return
            answers = self._waiting[peer] = {}
            self._turns.append(peer)
        wanted = asked.kind, asked.stream
        if len(answers) >= MOST_REQUESTS and wanted not in answers:
            self.refused += 1
            return
        answers[wanted] = _Answer(asked.run, asked.seq, asked.seq + asked.samples)

    def work(self) -> list[Reply] | None:
        """Return the next replies, few enough to come between two samples; None if nobody waits for any."""
        if not self._turns:
            return None
        peer = self._turns.popleft()
        answers = self._waiting[peer]
        replies: list[Reply] = []
        left = _Slice()
        while answers and not left.spent():
            wanted, answer = next(iter(answers.items()))
            replies += [Reply(peer, said) for said in self._continue(wanted, answer, left)]
            if not left.spent() or answer.done():
                del answers[wanted]
                left.messages -= 1  # for the trouble
        if answers:
            self._turns.append(peer)
        else:
            del self._waiting[peer]
        return replies

    def _continue(self, wanted: tuple[Kind, str], answer: _Answer, left: _Slice) -> Iterator[Found]:
        """Yield what comes next in an answer, until it is complete or nothing is left of the slice."""
        while not left.spent() and not answer.done():
            most = min(left.messages, answer.messages)
            found = self._history.find(*wanted, answer.run, answer.seq, answer.end, most)
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
