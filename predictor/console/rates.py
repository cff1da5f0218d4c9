"""How many a second, measured over the last few seconds."""

from collections import deque

WINDOW_NS = 4_000_000_000
BIN_NS = 100_000_000


class RateMeter:
    """Counts what comes in, in bins of a tenth of a second."""

    def __init__(self) -> None:
        self._bins: deque[tuple[int, int]] = deque()
        self._first_ns: int | None = None
        self.total = 0

    def add(self, count: int, mono_ns: int) -> None:
        """Take `count` more at `mono_ns` on the monotonic clock."""
        self.total += count
        if self._first_ns is None:
            # What came at once with the first was queued before, over a time nobody knows.
            self._first_ns = mono_ns
            return
        start = mono_ns - mono_ns % BIN_NS
        if self._bins and self._bins[-1][0] == start:
            count += self._bins.pop()[1]
        self._bins.append((start, count))

    def per_second(self, mono_ns: int) -> float | None:
        """Return the rate; None until there is a second to measure."""
        while self._bins and self._bins[0][0] <= mono_ns - WINDOW_NS:
            self._bins.popleft()
        if self._first_ns is None:
            return None
        span_ns = min(mono_ns - self._first_ns, WINDOW_NS)
        return sum(count for _, count in self._bins) * 1e9 / span_ns if span_ns >= 1_000_000_000 else None
