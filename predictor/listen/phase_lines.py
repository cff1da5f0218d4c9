"""Lines of estimates that are cos alone, with a phase for which each waits for its input."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from predictor.listen.json_lines import NO_PHASE, phase_texts, sample_lines
from streamer.messages import Chunk, FloatArray, Info, Kind

FIRST_INPUTS = 1_024
MAX_INPUT_NUMBERS = 500_000  # 6 MB, for a predictor that catches up


class PhaseLines:
    """Prints the estimates of one run, as they came, each once its input has come or will not.

    Parameters
    ----------
    stream : str
    run : int
    """

    def __init__(self, stream: str, run: int) -> None:
        self.stream = stream
        self.run = run
        self.late = 0
        self.held = 0
        """Numbers held in unfinished lines."""
        self.closing_ns: int | None = None
        """When to give up on what is missing, because the run has ended."""
        self._inputs = _Inputs()
        self._reached = 0  # inputs below have come, or will not
        self._unfinished: deque[Chunk] = deque()
        self._moved = False

    @property
    def waiting(self) -> int:
        """Lines that are unfinished."""
        return sum(len(chunk.values) for chunk in self._unfinished)

    def stuck_on(self) -> str:
        """Return what the oldest unfinished line waits for; empty if a line went out since the last call."""
        stuck, self._moved = bool(self._unfinished) and not self._moved, False
        return Kind.INPUT.word if stuck else ""

    def add_chunk(self, chunk: Chunk) -> Iterator[str]:
        """Take inputs or estimates; yield the lines this finishes."""
        if chunk.kind is Kind.INPUT:
            self._inputs.add(chunk.seq, chunk.values[:, :, 0])
            self._reached = max(self._reached, chunk.end_seq)
        else:
            self._unfinished.append(chunk)
            self.held += chunk.values.size
        yield from self._lines(self._reached)

    def add_info(self, info: Info, *, reliable: bool = False) -> Iterator[str]:
        """Take what the source says of itself; yield the lines this finishes.

        Where the listener is `reliable`, what has not come by now may come yet.
        """
        if not reliable:
            self._reached = max(self._reached, info.next_seq)
        yield from self._lines(self._reached)

    def add_gap(self, kind: Kind, end: int) -> Iterator[str]:
        """Take it that samples up to `end` will not come; yield the lines this finishes."""
        if kind is Kind.INPUT:
            self._reached = max(self._reached, end)
        yield from self._lines(self._reached)

    def give_up(self, *, held: int = 0) -> Iterator[str]:
        """Yield unfinished lines, oldest first, until at most `held` numbers are left in them."""
        while self.held > held:
            yield from self._lines(self._unfinished[0].end_seq, at_most=1)

    def _lines(self, reached: int, at_most: int | None = None) -> Iterator[str]:
        """Yield lines of samples below `reached`, in order, of all messages or the first few."""
        while self._unfinished and self._unfinished[0].seq < reached and at_most != 0:
            chunk = self._unfinished.popleft()
            samples = min(len(chunk.values), reached - chunk.seq)
            if samples < len(chunk.values):
                time_ns, rest = chunk.sample_time_ns(samples), chunk.values[samples:]
                self._unfinished.appendleft(replace(chunk, seq=chunk.seq + samples, time_ns=time_ns, values=rest))
                chunk = replace(chunk, values=chunk.values[:samples])
            self.held -= chunk.values.size
            self._moved = True
            at_most = None if at_most is None else at_most - 1
            yield from sample_lines(chunk, self._phases(chunk))
            self._inputs.needed_seq = chunk.end_seq

    def _phases(self, chunk: Chunk) -> list[str]:
        inputs, here = self._inputs.at(chunk.seq, len(chunk.values), chunk.values.shape[1])
        return [
            text if known else NO_PHASE
            for text, known in zip(phase_texts(chunk.values, inputs), here.tolist(), strict=True)
        ]


class _Inputs:
    """The newest inputs of a run by seq; as many as it takes to have those still needed, within bounds."""

    def __init__(self) -> None:
        self.needed_seq = 0
        self._seq = np.full(0, -1, dtype=np.int64)
        self._values = np.zeros((0, 0), dtype=np.float32)

    def add(self, seq: int, values: FloatArray) -> None:
        """Keep inputs [samples, channels] from `seq` on."""
        channels = values.shape[1]
        if channels != self._values.shape[1]:
            if len(self._seq):
                return  # a run has one shape
            self._values = np.zeros((0, channels), dtype=np.float32)
        room = max(1, MAX_INPUT_NUMBERS // channels)
        self._grow(min(room, max(FIRST_INPUTS, seq + len(values) - min(seq, self.needed_seq))))
        values = values[-len(self._seq) :]
        seqs = seq + np.arange(len(values), dtype=np.int64)
        slots = seqs % len(self._seq)
        newer = seqs >= self._seq[slots]
        self._seq[slots[newer]], self._values[slots[newer]] = seqs[newer], values[newer]

    def at(self, seq: int, samples: int, channels: int) -> tuple[FloatArray, np.ndarray]:
        """Return inputs [samples, channels] from `seq` on, and which of them are here."""
        if channels != self._values.shape[1] or not len(self._seq):
            return np.full((samples, channels), np.nan, np.float32), np.zeros(samples, bool)
        seqs = seq + np.arange(samples, dtype=np.int64)
        slots = seqs % len(self._seq)
        return self._values[slots], self._seq[slots] == seqs

    def _grow(self, samples: int) -> None:
        if samples <= len(self._seq):
            return
        samples = max(samples, 2 * len(self._seq))
        kept, values = self._seq[self._seq >= 0], self._values[self._seq >= 0]
        self._seq = np.full(samples, -1, dtype=np.int64)
        self._values = np.zeros((samples, values.shape[1]), dtype=np.float32)
        self._seq[kept % samples], self._values[kept % samples] = kept, values
