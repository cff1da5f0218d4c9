"""Quantiles of the most recent values: lateness and lag."""

import numpy as np


class RecentQuantiles:
    """Keeps the last `capacity` values and answers for their quantiles.

    Parameters
    ----------
    capacity : int
        How many values count; 4,096 are four seconds at 1 kHz.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self._ring = np.zeros(capacity)
        self.count = 0
        self.largest: float | None = None

    def add(self, value: float) -> None:
        """Take one value."""
        self._ring[self.count % len(self._ring)] = value
        self.count += 1
        if self.largest is None or value > self.largest:
            self.largest = value

    def quantile(self, q: float) -> float | None:
        """Return the `q`-quantile, 0 to 1, of the values kept; None before the first."""
        if not self.count:
            return None
        return float(np.quantile(self._ring[: min(self.count, len(self._ring))], q))
