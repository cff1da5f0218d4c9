"""How a stream keeps up: alive or not, how fast it comes, how late its answers are."""

import numpy as np

from predictor.daemon.health import Health, HealthTracker
from predictor.daemon.pace import AHEAD_S, Mark, Pace
from predictor.daemon.time_jumps import TimeJumps
from streamer.clock import Instant
from streamer.messages import Chunk, TimeArray
from streamer.quantiles import RecentQuantiles

RATE_OVER_NS = 500_000_000  # a rate is measured over no less
MAX_LAG_S = 86_400.0  # beyond it, two clocks are compared that do not agree


class Liveness:
    """Measures one stream on the clock; no estimate depends on it.

    Parameters
    ----------
    now_ns : int
        When the stream counts as heard: a stream gone on with after a restart is not lost yet.
    """

    def __init__(self, now_ns: int = 0) -> None:
        self.health = Health.LIVE
        self.rate_hz: float | None = None
        self.lag_s = RecentQuantiles()
        self._pulse = HealthTracker(now_ns)
        self.jumps = TimeJumps()
        self.pace = Pace()
        self._live = True  # since the last look
        self._heard_ns: int | None = None  # when the last samples came, and then on the wall clock
        self._heard_wall_ns = 0
        self._chunk_samples = 0
        self._seen: tuple[int, int] | None = None  # samples, and when the last of them came: measured up to there

    def begin(self, rate_hz: float) -> None:
        """Begin a run of so many samples a second as it says: what the last one was like says nothing of it."""
        self.lag_s = RecentQuantiles()
        self.jumps.begin(rate_hz)
        self.pace = Pace(rate_hz)
        self._live, self._heard_ns, self._seen = True, None, None

    def answered(self, chunk: Chunk, now: Instant, *, live: bool = True) -> None:
        """Note an input chunk whose estimates are out. The lag is that of `live` ones: not of those sent again."""
        samples = len(chunk.values)
        self._heard(samples, chunk.rate_hz, now, live=live)
        self.jumps.note(chunk.seq, samples, chunk.time_ns)
        if live:
            self.lag_s.add((now.wall_ns - chunk.sample_time_ns(samples - 1)) / 1e9)

    def answered_burst(
        self, chunk: Chunk, times_ns: TimeArray, now: Instant, out_ns: TimeArray | None = None, *, live: bool
    ) -> None:
        """Note a burst, all its samples as one chunk and the source times of its chunks.

        All were answered now, or each at its own time `out_ns` on the wall clock and the last one now.
        """
        rate_hz = chunk.rate_hz
        each_samples = len(chunk.values) // len(times_ns)
        self._heard(each_samples, rate_hz, now, live=live)
        self.jumps.note_burst(chunk.seq, each_samples, times_ns)
        if not live:
            return
        last_s = (each_samples - 1) / rate_hz if rate_hz else 0.0
        self.lag_s.extend(np.asarray(((now.wall_ns if out_ns is None else out_ns) - times_ns) / 1e9 - last_s))

    def _heard(self, chunk_samples: int, rate_hz: float, now: Instant, *, live: bool) -> None:
        self._pulse.sample(now.mono_ns, chunk_samples / rate_hz if rate_hz else 0.0)
        self._heard_ns, self._heard_wall_ns, self._chunk_samples = now.mono_ns, now.wall_ns, chunk_samples
        self._live = self._live and live

    @property
    def heard_ns(self) -> int:
        """When the source was last heard."""
        return self._pulse.heard_ns

    def working(self, now: Instant) -> None:
        """Note that samples that have come are being answered."""
        self._pulse.working(now.mono_ns)

    def spoken(self, now: Instant) -> None:
        """Note that the source spoke of the stream."""
        self._pulse.word(now.mono_ns)

    def judge(self, now: Instant, left_samples: int | None) -> bool:
        """Judge the stream's health, with so many samples still to come; return whether it changed."""
        before, self.health = self.health, self._pulse.health(now.mono_ns, left_samples)
        return self.health is not before

    def look(self, *, paced: bool) -> None:
        """Judge how fast the stream comes and what its times are, from where it is now."""
        if self._heard_ns is None:
            return
        jumps = self.jumps
        mark = Mark(jumps.seq, jumps.end_seq, jumps.time_ns, self._heard_ns, self._heard_wall_ns, self._live)
        if self.pace.look(mark, paced=paced):
            self._live = True

    def lags_s(self) -> tuple[float | None, float | None]:
        """Return median and 99th percentile of the lag; None where the source's clock and ours do not agree."""
        p50_s, p99_s = self.lag_s.quantiles(0.5, 0.99)
        if p50_s is None or not self.pace.meaningful or not -AHEAD_S <= p50_s <= MAX_LAG_S:
            return None, None
        return p50_s, p99_s

    def measure(self, samples: int, now_ns: int) -> None:
        """Measure the rate, `samples` having come in all.

        From arrival to arrival, however far apart: between two looks at the clock, there may be any part of a
        chunk too many or too few. In silence, it is no more than if the next chunk came now.
        """
        if self._heard_ns is None:
            return
        if self._seen is None:
            self._seen = (samples, self._heard_ns)
            return
        samples_then, then_ns = self._seen
        came = samples - samples_then
        if came and self._heard_ns - then_ns >= RATE_OVER_NS:
            self.rate_hz = came * 1e9 / (self._heard_ns - then_ns)
            self._seen = (samples, self._heard_ns)
        elif self.rate_hz is not None and now_ns - then_ns >= RATE_OVER_NS:
            self.rate_hz = min(self.rate_hz, (came + self._chunk_samples) * 1e9 / (now_ns - then_ns))
