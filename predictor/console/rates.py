"""How many a second, measured over the last few seconds, or over the last two arrivals where they are rarer."""

from collections import deque

WINDOW_NS = 4_000_000_000
BIN_NS = 100_000_000
MIN_NS = 1_000_000_000  # to measure over


class RateMeter:
    """Counts what comes in, in bins of a tenth of a second, each with the time of its last arrival."""

    def __init__(self) -> None:
        self._bins: deque[tuple[int, int]] = deque()  # when the last came, and how many
        self.total = 0

    def add(self, count: int, mono_ns: int) -> None:
        """Take `count` more at `mono_ns` on the monotonic clock."""
        self.total += count
        if self._bins and self._bins[-1][0] // BIN_NS == mono_ns // BIN_NS:
            count += self._bins.pop()[1]
        self._bins.append((mono_ns, count))

    def per_second(self, mono_ns: int) -> float | None:
        """Return the rate; None until there are two arrivals and a second to measure.

        It goes from arrival to arrival, so that it depends neither on chunks nor on when it is asked for. In
        silence, it is no more than if as many as ever came at once came now.
        """
        bins = self._bins
        # What came with the first bin, or before, took a time nobody knows: the first one only says when.
        while len(bins) > 2 and bins[1][0] <= mono_ns - WINDOW_NS:
            bins.popleft()
        if len(bins) < 2:
            return None
        first_ns, last_ns = bins[0][0], bins[-1][0]
        if mono_ns - first_ns < MIN_NS:
            return None
        came = sum(count for _, count in bins) - bins[0][1]
        if mono_ns - last_ns >= WINDOW_NS and mono_ns - last_ns > 2 * (last_ns - first_ns):
            return 0.0
        most = max(count for _, count in bins)
        return min(came * 1e9 / (last_ns - first_ns), (came + most) * 1e9 / (mono_ns - first_ns))
