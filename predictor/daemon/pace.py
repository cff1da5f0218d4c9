"""How fast a stream comes and what its source's times are, judged from a few looks at where it is.

A source's own times decide how fast it is, for they do not depend on how its samples travel: on chunks, bursts,
pauses, or samples that are sent again. Where it says none (0), arrivals do, of samples that came live.
"""

import math
from dataclasses import dataclass
from statistics import median

from predictor.daemon.formatting import amount, duration

LOOKS = 6  # marks; there is one interval less between them
MIN_INTERVALS = 3
MIN_SAMPLES, MIN_NS = 10, 500_000_000  # between two marks
OFF, RIGHT = 1.1, 1.05  # as ratios either way: beyond the first a rate is wrong, within the second right again
AHEAD_S, BEHIND_S = 1.0, 60.0  # of our clock: no answer is early, and few are so late
STEADY_S, STEADY_SHARE = 0.3, 0.1  # by which the lag may change over the looks, and by that share of their length
ZONE_S, ZONE_TOLERANCE_S, MAX_ZONE_S = 900.0, 60.0, 15 * 3600.0
BOOT_S = 10 * 365 * 86_400.0  # no machine runs so long
DAY_NS = 86_400 * 10**9
UNITS = {1_000: "microseconds", 1_000_000: "milliseconds", 1_000_000_000: "seconds"}


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a stream was at one moment.

    Parameters
    ----------
    seq, end_seq : int
        The first sample of the last chunk, and one past its last one.
    time_ns : int
        Source time of `seq`; 0 where the source says none.
    heard_ns, wall_ns : int
        When that chunk was answered, on the monotonic and on the wall clock.
    live : bool
        Whether nothing was sent again since the mark before.
    """

    seq: int
    end_seq: int
    time_ns: int
    heard_ns: int
    wall_ns: int
    live: bool


class Pace:
    """Judges one run of a stream.

    Attributes
    ----------
    source_hz, arrival_hz : float or None
        Samples a second by the source's times, and as they came live.
    rate, clock, slow : str or None
        What is wrong with the rate that the source says, or with its times, in words; and that samples come at
        another pace than their times say.
    meaningful : bool
        Whether the source's times can be compared with our clock.
    """

    __slots__ = ("_marks", "_said_hz", "arrival_hz", "clock", "meaningful", "rate", "slow", "source_hz")

    def __init__(self, said_hz: float = 0.0) -> None:
        self._said_hz = said_hz
        self._marks: tuple[Mark, ...] = ()
        self.source_hz: float | None = None
        self.arrival_hz: float | None = None
        self.rate: str | None = None
        self.clock: str | None = None
        self.slow: str | None = None
        self.meaningful = True

    def look(self, mark: Mark, *, paced: bool = True) -> bool:
        """Take a mark and judge, once there is enough to go by; the rate only where the source keeps to it.

        Return False if the mark is too near the last one.
        """
        if self._marks:
            last = self._marks[-1]
            if mark.seq - last.seq < MIN_SAMPLES or mark.heard_ns - last.heard_ns < MIN_NS:
                return False
        else:
            self.meaningful = mark.time_ns > 0
        self._marks = (*self._marks[1 - LOOKS :], mark)
        if len(self._marks) <= MIN_INTERVALS:
            return True
        live = [after.live for after in self._marks[1:]]
        arrivals = [rate for rate, counts in zip(self._rates("heard_ns", "end_seq"), live, strict=True) if counts]
        self.arrival_hz = median(arrivals) if len(arrivals) >= MIN_INTERVALS else None
        self._judge_clock()
        self._judge_rate(paced=paced)
        return True

    def _rates(self, clock: str, seq: str) -> list[float]:
        """Return samples a second between the marks, infinite where the clock does not advance."""
        rates = []
        for before, after in zip(self._marks, self._marks[1:], strict=False):
            elapsed_ns = getattr(after, clock) - getattr(before, clock)
            rates.append(
                (getattr(after, seq) - getattr(before, seq)) * 1e9 / elapsed_ns if elapsed_ns > 0 else math.inf
            )
        return rates

    # The rate

    def _judge_rate(self, *, paced: bool) -> None:
        said_hz = self._said_hz
        measured = self.source_hz or self.arrival_hz
        if not said_hz or measured is None or not paced:
            self.rate = self.slow = None
            return
        off = max(said_hz / measured, measured / said_hz) > (RIGHT if self.rate else OFF)
        how = "by its own times" if self.source_hz else "here"
        self.rate = None
        if off:
            self.rate = (
                f"the source says {amount(said_hz)} samples/s (rate_hz), and {amount(measured)} come {how}: "
                "correct what it says, or what it sends; frequencies in Hz go by what it says"
            )
        self._judge_arrivals()

    def _judge_arrivals(self) -> None:
        """Note that samples come at another pace than their own times say, for long and not only to catch up."""
        self.slow = None
        if not self.source_hz or not self.arrival_hz:
            return
        ratio, lag_s = self.arrival_hz / self.source_hz, self._lag_s(self._marks[-1], 1)
        if ratio < 1 / OFF or (ratio > OFF and lag_s < -AHEAD_S):
            self.slow = (
                f"{amount(self.arrival_hz)} samples/s come here, and {amount(self.source_hz)} by their own times: "
                "played at another speed, sent or taken too slowly, or times that were made up"
            )

    # The clock

    def _judge_clock(self) -> None:
        first, last = self._marks[0], self._marks[-1]
        self.source_hz, self.clock = None, None
        self.meaningful = last.time_ns > 0
        if not last.time_ns:
            return
        advanced_ns = last.time_ns - first.time_ns
        if advanced_ns == 0:
            self.clock = "time_ns stands still: stamp each message with the time of its first sample, or with 0"
            self.meaningful = False
            return
        unit = self._unit(advanced_ns, last)
        if unit == 1:
            rate = median(self._rates("time_ns", "seq"))
            self.source_hz = rate if 0 < rate < math.inf else None
        self.clock = self._clock_words(unit)
        self.meaningful = self.clock is None

    def _unit(self, advanced_ns: int, last: Mark) -> int:
        """Return how many nanoseconds one of the source's is: 1, or a power of 1,000."""
        rate_hz = self._said_hz or self.arrival_hz
        if abs(last.wall_ns - last.time_ns) < DAY_NS or not rate_hz or advanced_ns < 0:
            return 1
        advance = math.log10(advanced_ns * rate_hz / 1e9 / (last.seq - self._marks[0].seq))
        thousands = round(-advance / 3)
        return 1000**thousands if 0 <= thousands <= 3 and abs(advance + 3 * thousands) < 0.75 else 1

    def _clock_words(self, unit: int) -> str | None:
        lags_s = [self._lag_s(mark, unit) for mark in self._marks[-1 - MIN_INTERVALS :]]
        span_s = (self._marks[-1].heard_ns - self._marks[-1 - MIN_INTERVALS].heard_ns) / 1e9
        steady = max(lags_s) - min(lags_s) < STEADY_S + STEADY_SHARE * span_s
        offset = _offset_words(lags_s[-1], self._marks[-1].time_ns * unit / 1e9) if steady else None
        if unit == 1:
            return None if offset is None else f"time_ns {offset}"
        also = "" if offset is None else f"; even so, it {offset}"
        return f"time_ns looks like {UNITS[unit]}: it must be nanoseconds since 1970, {unit:,} times it{also}"

    def _lag_s(self, mark: Mark, unit: int) -> float:
        """Return how late the last sample of a mark's chunk was answered."""
        last_s = (mark.end_seq - mark.seq - 1) / self._said_hz if self._said_hz else 0.0
        return (mark.wall_ns - mark.time_ns * unit) / 1e9 - last_s


def _offset_words(lag_s: float, time_s: float) -> str | None:
    """Return how far a clock is off, and what that looks like; None if it is not."""
    if -AHEAD_S <= lag_s <= BEHIND_S:
        return None
    if time_s < BOOT_S:
        return "counts from the start of the machine or the program: it must count from 1970 (UTC)"
    where = "behind" if lag_s > 0 else "ahead of"
    zones = round(lag_s / ZONE_S)
    if zones and abs(lag_s) <= MAX_ZONE_S and abs(lag_s - zones * ZONE_S) <= ZONE_TOLERANCE_S:
        hours = abs(zones) * ZONE_S / 3600
        return f"is {hours:g} h {where} the clock here: local time instead of UTC?"
    if lag_s < 0:
        advice = "set the clocks, or stamp each message with the time of its first sample"
    else:
        advice = "set the clocks, if this is no recording with times of its own"
    return f"is {duration(abs(lag_s))} {where} the clock here: {advice}"
