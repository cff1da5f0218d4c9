"""How far estimates are from the truth."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamer.errors import FileError
from streamer.messages import FloatArray
from trainer.state import Kept, Tree

SCORED_SAMPLES = 200
LARGEST_SQUARE = 1e80  # of an error of float32


class PrequentialRmse(Kept):
    """Root mean square error over the most recent samples, each scored before it was learnt from.

    See Gama, Sebastiao and Rodrigues, "On evaluating stream learning algorithms", 2013.

    Parameters
    ----------
    samples : int
        How many samples count.
    """

    kept: ClassVar = {"_ring": np.ndarray, "count": int}

    def __init__(self, samples: int = SCORED_SAMPLES) -> None:
        self._ring = np.zeros(samples)
        self.count = 0

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        if not (self._ring >= 0).all() or self._ring.max() > LARGEST_SQUARE:
            raise FileError("state: _ring must be squares of errors")

    def add(self, estimates: FloatArray, targets: FloatArray) -> None:
        """Score matured estimates against their targets, each [samples, channels]; NaN targets do not count."""
        if estimates.size == 1:  # the usual case, at a tenth of the time
            square = (estimates.item() - targets.item()) ** 2
            if math.isfinite(square):
                self._ring[self.count % len(self._ring)] = square
                self.count += 1
            return
        squares = (estimates.astype(np.float64) - targets) ** 2
        known = np.isfinite(squares)
        counts = known.sum(axis=1)
        sums = np.where(known, squares, 0.0).sum(axis=1)
        for total, count in zip(sums, counts, strict=True):
            if count:
                self._ring[self.count % len(self._ring)] = total / count
                self.count += 1

    @property
    def value(self) -> float | None:
        """The error now, in the signal's unit; None before the first sample."""
        if not self.count:
            return None
        return float(np.sqrt(self._ring[: min(self.count, len(self._ring))].mean()))


def phase_error_deg(
    estimate_cos: ArrayLike, estimate_sin: ArrayLike, true_cos: ArrayLike, true_sin: ArrayLike
) -> NDArray[np.float64]:
    """Return the circular distance between estimated and true instantaneous phase, 0 to 180 degrees."""
    estimate = np.asarray(estimate_cos, float) + 1j * np.asarray(estimate_sin, float)
    truth = np.asarray(true_cos, float) + 1j * np.asarray(true_sin, float)
    error: NDArray[np.float64] = np.abs(np.angle(estimate * np.conj(truth), deg=True))
    return error
