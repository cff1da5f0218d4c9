"""What outlives its process in a simulated world, in memory: a journal, a disk; and a signal that is made once."""

from collections.abc import Iterable

from streamer.clock import Instant
from streamer.messages import Chunk, FloatArray, Kind
from streamer.ordering import decisions
from streamer.ordering.decisions import Decision, GapDecision, Memory
from streamer.source.signals import Signal


class Journal:
    """What a source wrote down, in memory: its death takes nothing of it."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    def append(self, chunk: Chunk, _now: Instant) -> None:
        """Write a chunk down."""
        self.chunks.append(chunk)

    def news(self) -> Iterable[str]:
        """Nothing ever fails."""
        return ()

    def next_seq(self, kind: Kind) -> int:
        """What comes next of a kind."""
        return max((chunk.end_seq for chunk in self.chunks if chunk.kind is kind), default=0)


class Disk:
    """What a predictor wrote down of its decisions and its published ends, in memory; and what it published."""

    def __init__(self) -> None:
        self._log = b""
        self.ends: dict[tuple[str, int], int] = {}
        self.estimates: dict[tuple[str, int, int], tuple[bytes, int]] = {}
        self.contradictions: list[int] = []
        self.gaps: dict[tuple[str, int], set[int]] = {}

    def decide(self, decision: Decision) -> None:
        """Write a decision down."""
        self._log += decisions.encode(decision)
        if isinstance(decision, GapDecision) and decision.kind is Kind.INPUT:
            missing = range(max(decision.seq, decision.published_to), decision.seq + decision.samples)
            self.gaps.setdefault((decision.stream, decision.run), set()).update(missing)

    def publish(self, chunk: Chunk) -> None:
        """Note how far a run is published, and what was said otherwise before."""
        if chunk.kind is not Kind.ESTIMATE:
            return
        key = chunk.stream, chunk.run
        self.ends[key] = max(self.ends.get(key, 0), chunk.end_seq)
        for seq, values in enumerate(chunk.values, chunk.seq):
            said = values.tobytes(), chunk.model_version
            if self.estimates.setdefault((*key, seq), said) != said:
                self.contradictions.append(seq)

    def memory(self) -> Memory:
        """What the next life knows."""
        found, damaged = decisions.decode(self._log)
        assert not damaged
        return Memory(found, lambda stream, run: self.ends.get((stream, run), 0))

    def both(self) -> list[int]:
        """Samples that were estimated, and said to be missing."""
        return sorted(seq for stream, run, seq in self.estimates if seq in self.gaps.get((stream, run), ()))


class Remembered:
    """A signal whose samples are made once for all schedules: they are a function of their place alone."""

    def __init__(self, signal: Signal) -> None:
        self.rate_hz, self.channels, self.labels = signal.rate_hz, signal.channels, signal.labels
        self.about, self.stretch, self.ends = signal.about, signal.stretch, signal.ends
        self._signal = signal
        self._made: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = {}

    def samples(self, seq: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Return what `Signal.samples` does; whoever writes into it is found out."""
        made = self._made.get((seq, count))
        if made is None:
            made = self._made[seq, count] = self._signal.samples(seq, count)
            for array in made:
                array.flags.writeable = False
        return made
