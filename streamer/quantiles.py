"""Quantiles of the most recent values: lateness and lag."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW = 64


class RecentQuantiles:
    """Keeps the last `capacity` values and answers for their quantiles.

    Parameters
    ----------
    capacity : int
        How many values count; 4,096 are four seconds at 1 kHz.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._ring = np.zeros(min(capacity, FEW))  # grows: ten thousand streams at once would have 300 MB of rings
        self.count = 0
        self.largest: float | None = None

    def add(self, value: float) -> None:
        """Take one value."""
        if self.count == len(self._ring) < self._capacity:
            self._grow(self.count + 1)
        self._ring[self.count % len(self._ring)] = value
        self.count += 1
        if self.largest is None or value > self.largest:
            self.largest = value

    def extend(self, values: NDArray[np.float64]) -> None:
        """Take values [n], n above 0, oldest first."""
        latest = values[-self._capacity :]
        if self.count + len(values) > len(self._ring) and len(self._ring) < self._capacity:
            self._grow(self.count + len(values))
        self.count += len(values)
        end = (self.count - 1) % len(self._ring) + 1
        first = max(0, end - len(latest))
        self._ring[first:end] = latest[len(latest) - (end - first) :]
        if end - first < len(latest):  # the oldest of them stand at the end of the ring
            rest = len(latest) - (end - first)
            self._ring[-rest:] = latest[:rest]
        largest = float(values.max())
        if self.largest is None or largest > self.largest:
            self.largest = largest

    def _grow(self, least: int) -> None:
        """Make room for so many values, or all that count. None has been overwritten so far."""
        fresh = min(self._capacity, 2 * least) - self.count
        self._ring = np.concatenate([self._ring[: self.count], np.zeros(fresh)])

    def quantile(self, q: float) -> float | None:
        """Return the `q`-quantile, 0 to 1, of the values kept; None before the first."""
        return self.quantiles(q)[0]

    def quantiles(self, *qs: float) -> list[float] | list[None]:
        """Return the `q`-quantile for each q of `qs`."""
        if not self.count:
            return [None] * len(qs)
        return quantiles(self._ring[: self.count], *qs)


def quantiles(values: NDArray[np.floating[Any]], *qs: float) -> list[float]:
    """Return the `q`-quantile of values [n], n above 0, for each q of `qs`.

    Of finite values, as `np.quantile` and `np.median`, of which the first call takes 20 ms, while samples wait.
    """
    places = np.multiply(qs, len(values) - 1)
    found: list[float] = np.interp(places, np.arange(len(values)), np.sort(values)).tolist()
    return found
