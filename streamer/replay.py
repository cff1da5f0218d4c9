"""Answers who asks for samples again, a little at a time, so that nobody else waits for it. Sans-IO."""

from collections import deque
from dataclasses import dataclass

from streamer.effects import Reply
from streamer.history import History
from streamer.messages import Burst, Chunk, Gone, Kind, Request

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

    @property
    def done(self) -> bool:
        return self.seq >= self.end or self.messages <= 0 or self.bytes <= 0


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
        messages, size = SLICE_MESSAGES, SLICE_BYTES
        while answers and messages > 0 and size > 0:
            wanted, answer = next(iter(answers.items()))
            said = None if answer.done else self._next(wanted, answer, messages)
            if said is None:
                del answers[wanted]
                messages -= 1  # for the trouble
                continue
            replies.append(Reply(peer, said))
            count, weight = _count_and_weight(said)
            messages, size = messages - count, size - weight
        if answers:
            self._turns.append(peer)
        else:
            del self._waiting[peer]
        return replies

    def _next(self, wanted: tuple[Kind, str], answer: _Answer, most: int) -> Chunk | Burst | Gone | None:
        most = min(most, answer.messages)
        said = self._history.find(*wanted, answer.run, answer.seq, answer.end, most)
        if said is None:
            return None
        count, weight = _count_and_weight(said)
        answer.messages -= count
        answer.bytes -= weight
        answer.seq = said.seq + said.samples if isinstance(said, Gone) else _chunk(said).end_seq
        return said


def _chunk(said: Chunk | Burst) -> Chunk:
    return said.chunk if isinstance(said, Burst) else said


def _count_and_weight(said: Chunk | Burst | Gone) -> tuple[int, int]:
    """Return how many messages it is, and about how many bytes."""
    if isinstance(said, Gone):
        return 1, MESSAGE_BYTES
    count = len(said.times_ns) if isinstance(said, Burst) else 1
    return count, _chunk(said).values.nbytes + count * MESSAGE_BYTES
