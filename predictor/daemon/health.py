"""Whether a stream is alive: LIVE, STALE, LOST or ENDED. Pure logic on the monotonic clock."""

import enum

STALE_AFTER_S = 1.0
STALE_AFTER_CHUNKS = 3
LOST_AFTER_S = 5.0  # the source says info each second, so five have gone missing


class Health(enum.Enum):
    """State of a stream as its listener sees it."""

    LIVE = "samples come in"
    STALE = "the source is up, or has ended, but no samples come"
    LOST = "nothing is heard of the source"
    ENDED = "the run is complete: its last sample has been estimated, or declared lost"


class HealthTracker:
    """Judges a stream's health from when its source was last heard."""

    def __init__(self, now_ns: int) -> None:
        self._sample_ns = self._word_ns = now_ns
        self._stale_after_s = STALE_AFTER_S

    def sample(self, now_ns: int, chunk_s: float) -> None:
        """Samples came in that last `chunk_s` seconds."""
        self._sample_ns = self._word_ns = now_ns
        self._stale_after_s = max(STALE_AFTER_S, STALE_AFTER_CHUNKS * chunk_s)

    @property
    def heard_ns(self) -> int:
        """When the source was last heard."""
        return self._word_ns

    def working(self, now_ns: int) -> None:
        """Samples that came are still being answered."""
        self._sample_ns = self._word_ns = now_ns

    def word(self, now_ns: int) -> None:
        """The source spoke of the stream."""
        self._word_ns = now_ns

    def health(self, now_ns: int, left_samples: int | None = None) -> Health:
        """Judge.

        Parameters
        ----------
        now_ns : int
        left_samples : int or None
            How many samples are still to come before the end; None while no end is known.
        """
        if left_samples == 0:
            return Health.ENDED
        if now_ns - self._sample_ns <= self._stale_after_s * 1e9:
            return Health.LIVE
        if left_samples or now_ns - self._word_ns <= max(LOST_AFTER_S, self._stale_after_s) * 1e9:
            return Health.STALE
        return Health.LOST
