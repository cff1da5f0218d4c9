"""Whether a number is still backed by messages, and how old it is if not."""

FRESH_S = 3.0  # status and info come each second


class Freshness:
    """Remembers when something last came, and how long it may take until it comes again."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._fresh_s = FRESH_S

    def note(self, mono_ns: int, lasts_s: float = 0.0) -> None:
        """Note that something came which covers so many seconds: the next one may take a few times as long."""
        self._last_ns = mono_ns
        self._fresh_s = max(FRESH_S, 3 * lasts_s)

    def age_s(self, mono_ns: int) -> float | None:
        """Return how long ago that was; None if it never came."""
        return None if self._last_ns is None else (mono_ns - self._last_ns) / 1e9

    def is_fresh(self, mono_ns: int) -> bool:
        """Whether it came, and not too long ago."""
        age_s = self.age_s(mono_ns)
        return age_s is not None and age_s <= self._fresh_s

    def stale_s(self, mono_ns: int) -> float | None:
        """Return how long ago it came; None while it is fresh, and if it never came."""
        return None if self.is_fresh(mono_ns) else self.age_s(mono_ns)
