"""Who of several may say that samples are gone: all together who could have them. Pure logic."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamer.messages import Gone, Kind, Replay

IN_VAIN = 3  # repeated rounds of requests without an answer, 1.5 s: such a peer does not publish the stream
REMEMBERED = 64  # of what a peer said to be gone

Range = tuple[int, int]


@dataclass(slots=True)
class _Case:
    """What was asked last of one kind of a stream, and who answers for it.

    Requests come in rounds, each from the first missing sample on.
    """

    run: int = -1
    first_seq: int = -1  # of the present round
    last_seq: int = -1
    gone: dict[int, deque[Range]] = field(default_factory=dict)
    in_vain: dict[int, int] = field(default_factory=dict)
    publishers: set[int] = field(default_factory=set)


class Agreement:
    """Weighs what several peers say to the same request.

    One of them may keep less than another, publish another run under the same name, or not publish the stream at
    all, which nobody says: a peer that has never answered for it is waited for through `IN_VAIN` repetitions.

    Parameters
    ----------
    peers : mapping
        Kind -> the peers, as numbers, that are asked for it.
    """

    def __init__(self, peers: Mapping[Kind, Sequence[int]]) -> None:
        self._peers = peers
        self._cases: dict[tuple[Kind, str], _Case] = {}

    def asked(self, replay: Replay) -> None:
        """Note a request."""
        peers = self._peers.get(replay.kind, ())
        if len(peers) < 2:
            return
        case = self._cases.setdefault((replay.kind, replay.stream), _Case())
        if replay.run != case.run:
            case.gone.clear()
            case.first_seq = replay.seq
        elif replay.seq == case.first_seq:
            for peer in peers:
                case.in_vain[peer] = case.in_vain.get(peer, 0) + 1
        elif replay.seq <= case.last_seq:
            case.first_seq = replay.seq
        case.run, case.last_seq = replay.run, replay.seq

    def answered(self, peer: int, kind: Kind, stream: str) -> None:
        """Note that a peer answered a request with samples."""
        case = self._cases.get((kind, stream))
        if case is not None:
            case.publishers.add(peer)

    def gone(self, peer: int, said: Gone) -> Gone | None:
        """Take it that a peer cannot have samples; return which of them nobody can have."""
        peers = self._peers.get(said.kind, ())
        if len(peers) < 2:
            return said
        case = self._cases.get((said.kind, said.stream))
        if case is None or said.run != case.run:
            return None
        case.publishers.add(peer)
        seq, end = said.seq, said.seq + said.samples
        case.gone.setdefault(peer, deque(maxlen=REMEMBERED)).append((seq, end))
        for other in peers:
            if other in case.publishers or case.in_vain.get(other, 0) < IN_VAIN:
                common = [(max(seq, first), min(end, last)) for first, last in case.gone.get(other, ())]
                seq, end = max(common, key=lambda one: one[1] - one[0], default=(0, 0))
        return Gone(said.kind, said.stream, said.run, seq, end - seq) if seq < end else None
