"""Input, target and estimate of each sample brought together again.

Of each kind, samples come in order, so the kinds' positions make a watermark: below the lowest of them,
everything has come that ever will, and what has not was lost on the way. Nothing waits for what is lost.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from predictor.listen.json_lines import (
    NO_PHASE,
    has_phase,
    head,
    missing_text,
    own_phases,
    phase_texts,
    sample_texts,
)
from streamer.messages import Chunk, FloatArray, Info, Kind

PARTS = (Kind.INPUT, Kind.TARGET, Kind.ESTIMATE)


@dataclass(slots=True)
class _Row:
    time_ns: int
    size: int = 0
    texts: dict[Kind, str] = field(default_factory=dict)
    inputs: FloatArray | None = None  # [channels], kept only where a phase is wanted
    cos: FloatArray | None = None  # [channels], of an estimate that is cos alone
    phased: bool = False  # the estimate's text has its phase already


class Joiner:
    """Joins one run of one stream into lines, in order of seq, each once.

    Parameters
    ----------
    stream : str
    run : int
    phase : bool
        Add phase and amplitude of the estimate.
    """

    def __init__(self, stream: str, run: int, *, phase: bool = False) -> None:
        self._phase = phase
        self.stream = stream
        self.run = run
        self.late = 0
        """Parts that came after their line had gone out, or came twice."""
        self.held = 0
        """Numbers held in unfinished lines."""
        self.closing_ns: int | None = None
        """When to give up on what is missing, because the run has ended."""
        self._rows: dict[int, _Row] = {}
        self._order: list[int] = []  # a heap of the rows' seqs
        self._next_seq = 0
        self._reached = dict.fromkeys(PARTS, 0)
        self._has_targets: bool | None = None
        self._moved = False

    @property
    def waiting(self) -> int:
        """Lines that are unfinished."""
        return len(self._rows)

    def stuck_on(self) -> str:
        """Return what the oldest unfinished line waits for; empty if a line went out since the last call."""
        stuck, self._moved = bool(self._order) and not self._moved, False
        if not stuck:
            return ""
        if self._has_targets is None:
            return "the source's info"
        return ", ".join(kind.word for kind in self._awaited() if self._reached[kind] <= self._order[0])

    def ahead(self) -> tuple[Kind, ...]:
        """Return the kinds that the oldest unfinished line does not wait for."""
        return tuple(kind for kind in PARTS if self._order and self._reached[kind] > self._order[0])

    def add_chunk(self, chunk: Chunk) -> Iterator[str]:
        """Take one kind's part of some samples; yield the lines this finishes."""
        size = chunk.values.shape[1] * chunk.values.shape[2]
        phases = own_phases(chunk) if self._phase else None
        for seq, time_ns, text in sample_texts(chunk, prefixed=True, phases=phases):
            row = self._row(seq, time_ns)
            if row is None or chunk.kind in row.texts:
                self.late += 1
                continue
            row.texts[chunk.kind] = text
            row.size += size
            self.held += size
            if self._phase:
                _keep_for_phase(row, chunk, seq - chunk.seq)
        if chunk.kind is Kind.TARGET:
            self._has_targets = True
        self._reached[chunk.kind] = max(self._reached[chunk.kind], chunk.end_seq)
        yield from self._lines_below(self._watermark())

    def add_info(self, info: Info, *, reliable: bool = False) -> Iterator[str]:
        """Take what the source says of itself; yield the lines this finishes.

        Where the listener is `reliable`, what has not come by now may come yet.
        """
        self._has_targets = bool(self._has_targets or info.target_fields)
        said = () if reliable else PARTS[:2] if info.ended else PARTS[:1]
        for kind in said:
            self._reached[kind] = max(self._reached[kind], info.next_seq)
        yield from self._lines_below(self._watermark())

    def add_gap(self, kind: Kind, end: int) -> Iterator[str]:
        """Take it that samples up to `end` will not come; yield the lines this finishes."""
        self._reached[kind] = max(self._reached[kind], end)
        yield from self._lines_below(self._watermark())

    def give_up(self, *, held: int = 0) -> Iterator[str]:
        """Yield unfinished lines, oldest first, until at most `held` numbers are left in them."""
        while self._order and self.held > held:
            yield self._line(heapq.heappop(self._order))

    def _row(self, seq: int, time_ns: int) -> _Row | None:
        """Return the row of `seq`, None if its line has gone out."""
        if seq < self._next_seq:
            return None
        row = self._rows.get(seq)
        if row is None:
            row = self._rows[seq] = _Row(time_ns)
            heapq.heappush(self._order, seq)
        return row

    def _watermark(self) -> int:
        if self._has_targets is None:
            return 0  # the first info, a second away at most, says whether to wait for them
        return min(self._reached[kind] for kind in self._awaited())

    def _awaited(self) -> tuple[Kind, ...]:
        return PARTS if self._has_targets else (Kind.INPUT, Kind.ESTIMATE)

    def _lines_below(self, seq: int) -> Iterator[str]:
        while self._order and self._order[0] < seq:
            yield self._line(heapq.heappop(self._order))

    def _line(self, seq: int) -> str:
        row = self._rows.pop(seq)
        self.held -= row.size
        self._next_seq = seq + 1
        self._moved = True
        texts = [row.texts.get(kind) or missing_text(kind) for kind in PARTS]
        if self._phase and not row.phased:
            texts.append(_phase_text(row))
        return f"{{{head(self.stream, self.run, seq, row.time_ns)}, {', '.join(texts)}}}"


def _keep_for_phase(row: _Row, chunk: Chunk, offset: int) -> None:
    """Keep what a phase is made from once the line goes out."""
    if chunk.kind is Kind.INPUT:
        row.inputs = chunk.values[offset, :, 0]
    elif has_phase(chunk):
        row.phased = True
    elif chunk.kind is Kind.ESTIMATE:
        row.cos = chunk.values[offset, :, 0]


def _phase_text(row: _Row) -> str:
    """Return phase and amplitude of an estimate that is cos alone, with its input."""
    if row.cos is None or row.inputs is None or row.cos.shape != row.inputs.shape:
        return NO_PHASE
    return phase_texts(row.cos[None, :, None], row.inputs[None])[0]
