"""When each sample is due: absolute deadlines, so that lateness never adds up."""

from dataclasses import dataclass

from streamer.clock import Instant


@dataclass(frozen=True, slots=True)
class Pacer:
    """Deadlines of the samples of a run that began at `start`.

    Parameters
    ----------
    start : Instant
        When sample 0 was due.
    rate_hz : float
        Samples a second.
    """

    start: Instant
    rate_hz: float

    def deadline_ns(self, seq: int) -> int:
        """When sample `seq` is due, on the monotonic clock."""
        return self.start.mono_ns + round(seq * 1e9 / self.rate_hz)

    def stamp_ns(self, seq: int) -> int:
        """The source time of sample `seq`, nanoseconds since the Unix epoch."""
        return self.start.wall_ns + round(seq * 1e9 / self.rate_hz)
