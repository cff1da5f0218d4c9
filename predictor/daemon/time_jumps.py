"""Where a source's times jump although its samples are numbered without a hole: something was lost before it.

Times jitter: a stamp that is late by itself is followed by others that are on time again, or by a backlog with
stamps close together. A jump stays. So a step far beyond what is usual is only suspected at first, and confirmed
once the times have not come back to where they were for a while of their own.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.messages import TimeArray

Floats = NDArray[np.float64]

LEARN_CHUNKS = 16  # how long a sample is and how much stamps jitter is learnt from no fewer ...
LEARN_NS, LONGEST_LEARN_NS = 1_000_000_000, 20_000_000_000  # ... and over no less of the source's time
LEARN_STEPS = 10  # and over so many times the largest step, for its clock may be a coarse one
MIN_SAMPLES = 0.75  # a smaller jump is none: stamps are rounded
JITTERS = 6.0  # times the standard deviation of a stamp
RELAXES = 0.5  # what was only late makes us slower to suspect; each time that we learn, less so
CONFIRM_CHUNKS = 4
CONFIRM_NS = 1_000_000_000  # of the source's time, and as long again as the jump, but at most a second more


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump of the source's times.

    Parameters
    ----------
    seq : int
        The first sample after it.
    size_ns : int
        Negative where the times went back.
    """

    seq: int
    size_ns: int


@dataclass(slots=True)
class _Suspect:
    seq: int
    time_ns: int
    size_ns: float
    steps_ns: float  # the sum of those beyond what is usual, and how many
    back: bool  # whether the time itself went back
    steps: int = 1
    chunks: int = 0
    returning: bool = False

    def gone(self, late_ns: float) -> bool:
        """Whether the times have come back at least half way."""
        return late_ns * self.size_ns < 0.5 * self.size_ns**2

    def stays(self, time_ns: int) -> bool:
        """Whether they have had the time to come back."""
        waits_ns = CONFIRM_NS + min(abs(self.size_ns), CONFIRM_NS)
        return self.chunks >= CONFIRM_CHUNKS and time_ns - self.time_ns >= waits_ns

    def is_jump(self, late_ns: float) -> bool:
        """Whether it was steps that made the times late, and not a rate that has changed."""
        if late_ns < 0 and not self.back:  # the stamps before were late
            return False
        return 4 * self.steps <= self.chunks + 4 and abs(late_ns - self.steps_ns) <= 0.5 * abs(late_ns)


class _Line:
    """How late stamps are, as a straight line over sample indices: sums for least squares."""

    __slots__ = ("largest", "n", "r", "rr", "x", "xr", "xx")

    def __init__(self) -> None:
        self.n = 0
        self.x = self.xx = self.r = self.xr = self.rr = self.largest = 0.0

    def add(self, x: float, late: float, step: float) -> None:
        """Take one stamp: samples since the start, how late it is, and how much more than the one before."""
        self.n += 1
        self.x += x
        self.xx += x * x
        self.r += late
        self.xr += x * late
        self.rr += late * late
        self.largest = max(self.largest, abs(step))

    def add_all(self, x: Floats, late: Floats, steps: Floats) -> None:
        """Take several."""
        self.n += len(x)
        self.x += float(x.sum())
        self.xx += float(x @ x)
        self.r += float(late.sum())
        self.xr += float(x @ late)
        self.rr += float(late @ late)
        self.largest = max(self.largest, float(np.abs(steps).max()))

    def fit(self, end: float) -> tuple[float, float, float]:
        """Return the slope, the line's value at `end`, and the standard deviation of a later stamp about it.

        Of one as far beyond `end` again: from few stamps, the line itself is not known better than that.
        """
        mean_x, mean_r = self.x / self.n, self.r / self.n
        spread = max(self.xx / self.n - mean_x**2, 1e-9)
        slope = (self.xr / self.n - mean_x * mean_r) / spread
        variance = self.rr / self.n - mean_r**2 - slope**2 * spread
        later = self.n / (self.n - 2) * (1 + 28 / self.n)  # variance of a prediction one stretch ahead
        return slope, mean_r + slope * (end - mean_x), math.sqrt(max(variance, 0.0) * later)


class TimeJumps:
    """Watches the times of one stream's chunks, in the order of its samples.

    Attributes
    ----------
    count : int
        Jumps so far.
    time_ns, seq, end_seq : int
        Of the last chunk: the time and index of its first sample, and one past its last.
    """

    __slots__ = (
        "_bound_ns", "_found", "_late_ns", "_line", "_since", "_step_ns", "_suspect", "count", "end_seq", "seq",
        "time_ns",
    )  # fmt: skip

    def __init__(self) -> None:
        self.count = 0
        self._found: list[Jump] = []
        self.begin(0.0)

    def begin(self, rate_hz: float) -> None:
        """Begin a run of so many samples a second, as it says itself; 0 where it does not."""
        self.seq, self.end_seq, self.time_ns = 0, -1, 0
        self._step_ns = 1e9 / rate_hz if rate_hz else 0.0
        self._bound_ns = math.inf  # until the jitter is known
        self._start()

    def _start(self) -> None:
        """Learn from the present stamp on."""
        self._suspect: _Suspect | None = None
        self._since = self.seq, self.time_ns
        self._line = _Line()
        self._late_ns = 0.0  # the last stamp, against where it should be

    def note(self, seq: int, samples: int, time_ns: int) -> None:
        """Take a chunk: its first sample, how many there are, and the time of the first."""
        if seq != self.end_seq or not time_ns or not self.time_ns:  # 0: not known
            # A hole is told of elsewhere, and what time it took is not known.
            self.seq, self.end_seq, self.time_ns = seq, seq + samples, time_ns
            self._start()
            return
        back = time_ns < self.time_ns
        step_ns = time_ns - self.time_ns - (seq - self.seq) * self._step_ns
        self.seq, self.end_seq, self.time_ns = seq, seq + samples, time_ns
        self._late_ns += step_ns
        if self._suspect is not None or not -self._bound_ns < self._late_ns < self._bound_ns:
            self._suspicious(step_ns, back=back)
            return
        self._line.add(seq - self._since[0], self._late_ns, step_ns)
        if time_ns - self._since[1] >= LEARN_NS:
            self._learn()

    def note_burst(self, seq: int, samples: int, times_ns: TimeArray) -> None:
        """Take chunks of so many samples each, one after another."""
        first, count = 0, len(times_ns)
        while first < count:
            due = np.flatnonzero(times_ns[first:] - self._since[1] >= LEARN_NS)
            end = first + int(due[0]) if len(due) else count
            if end > first and not self._usual(seq + first * samples, samples, times_ns[first:end]):
                break
            first = end
            if first < count:  # this one may be learnt from
                self.note(seq + first * samples, samples, int(times_ns[first]))
                first += 1
        for number in range(first, count):
            self.note(seq + number * samples, samples, int(times_ns[number]))

    def _usual(self, seq: int, samples: int, times_ns: TimeArray) -> bool:
        """Take chunks none of which is suspicious, or due to be learnt from; return False if any is."""
        if self._suspect is not None or seq != self.end_seq or not self.time_ns or not times_ns.all():
            return False
        steps_ns = np.diff(times_ns, prepend=self.time_ns).astype(np.float64) - samples * self._step_ns
        steps_ns[0] = times_ns[0] - self.time_ns - (seq - self.seq) * self._step_ns
        late_ns = self._late_ns + np.cumsum(steps_ns)
        if not (np.abs(late_ns) < self._bound_ns).all():
            return False
        x = np.arange(len(times_ns), dtype=np.float64) * samples + (seq - self._since[0])
        self._line.add_all(x, late_ns, steps_ns)
        self.seq = seq + (len(times_ns) - 1) * samples
        self.end_seq, self.time_ns, self._late_ns = self.seq + samples, int(times_ns[-1]), float(late_ns[-1])
        return True

    def _learn(self) -> None:
        """Take as usual what was usual since the last time, once that is enough to go by."""
        line, elapsed_ns = self._line, self.time_ns - self._since[1]
        coarse = elapsed_ns < min(LEARN_STEPS * line.largest, LONGEST_LEARN_NS)
        if line.n < LEARN_CHUNKS or coarse:
            return
        slope_ns, level_ns, jitter_ns = line.fit(self.seq - self._since[0])
        self._step_ns += slope_ns
        bound_ns = max(MIN_SAMPLES * self._step_ns, JITTERS * jitter_ns)
        self._bound_ns = bound_ns if self._bound_ns == math.inf else max(bound_ns, RELAXES * self._bound_ns)
        late_ns = self._late_ns - level_ns
        self._start()
        self._late_ns = late_ns

    def _suspicious(self, step_ns: float, *, back: bool) -> None:
        suspect = self._suspect
        if suspect is None:
            self._suspect = _Suspect(self.seq, self.time_ns, self._late_ns, step_ns, back)
            return
        suspect.chunks += 1
        if abs(step_ns) >= self._bound_ns:
            suspect.steps += 1
            suspect.steps_ns += step_ns
        suspect.returning = suspect.returning or suspect.gone(self._late_ns)
        if suspect.returning and abs(self._late_ns) < self._bound_ns:
            self._bound_ns = max(self._bound_ns, 1.25 * abs(suspect.size_ns))
            self._suspect = None
        elif suspect.stays(self.time_ns):
            self._confirm(suspect)

    def _confirm(self, suspect: _Suspect) -> None:
        if not suspect.returning and suspect.is_jump(self._late_ns):
            self.count += 1
            self._found.append(Jump(suspect.seq, round(self._late_ns)))
        else:
            self._bound_ns = math.inf  # another rate, or neither one nor the other: learn it
        self._start()

    def found(self, *, ended: bool = False) -> list[Jump]:
        """Return the jumps found since the last call; of a run that has ended, also one not confirmed by then."""
        suspect = self._suspect
        if ended and suspect is not None and suspect.chunks >= CONFIRM_CHUNKS:
            self._confirm(suspect)
        found, self._found = self._found, []
        return found
