"""A linear read-out, fitted by ridge regression to labels that come late, block by block."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trainer.state import Kept

# A block is a cycle. Shorter is better where a signal changes (a seismogram: 36.8, 37.7, 39.1 deg at 100, 200,
# 400), longer where it does not (a pulse wave: 12.9, 12.7, 12.6).
MEMORY_BLOCKS = 200
RIDGE_BLOCKS = 0.03  # the penalty, in blocks of labels of the signal's own power: matters in the first cycles only
LOUD = (
    10.0  # of the power so far is all that a block adds to it: one lightning stroke must not make all else quiet
)
QUIET = 0.3  # of the power so far: blocks weaker than that do not weigh as much as the others


class Typical(Kept):
    """A running mean of positive numbers, one a channel, that no outlier can lift by much."""

    kept: ClassVar = {"_total": np.ndarray, "_mass": np.ndarray}

    def __init__(self, channels: int) -> None:
        self._total, self._mass = np.zeros(channels), np.zeros(channels)
        self._keep = np.exp(-1.0 / MEMORY_BLOCKS)

    def add(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take a value a channel; return the means, these included."""
        most = np.where(self._total > 0, LOUD * self._total / np.maximum(self._mass, 1.0), np.inf)
        self._total = self._keep * self._total + np.minimum(values, most)
        self._mass = self._keep * self._mass + 1.0
        means: NDArray[np.float64] = self._total / self._mass
        return means

    def forget(self, channels: NDArray[np.intp]) -> None:
        """Start these channels anew."""
        self._total[channels] = self._mass[channels] = 0.0


class Readout(Kept):
    """One read-out a channel: features -> (cos, sin), with an intercept.

    Blocks weigh alike, whatever the signal's amplitude in them, and old ones are forgotten exponentially.

    Parameters
    ----------
    channels, features : int
    """

    kept: ClassVar = {"_moments": np.ndarray, "_power": Typical, "_spread": Typical}

    def __init__(self, channels: int, features: int) -> None:
        self._moments = np.zeros((channels, 1 + features, 3 + features))
        self._power, self._spread = Typical(channels), Typical(channels)  # of a block's labels, of its features
        self._keep = np.exp(-1.0 / MEMORY_BLOCKS)

    def learn(self, features: NDArray[np.floating], labels: NDArray[np.float64]) -> None:
        """Take a block: features [samples, channels, features], labels [samples, channels, 2]."""
        with np.errstate(invalid="ignore"):  # what is not finite shows in the weights
            weights = self._weights(features, labels)
        ones = np.ones((*labels.shape[:2], 1))
        rows = np.concatenate([ones, features, labels], axis=2).transpose(1, 0, 2)
        regressors = rows[:, :, :-2] * weights[:, None, None]
        self._moments *= self._keep
        self._moments += regressors.transpose(0, 2, 1) @ rows

    def _weights(self, features: NDArray[np.floating], labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a block's weight [channels]: less for one that is loud, in its labels or only in its features."""
        power = np.square(labels).sum(axis=2).mean(axis=0)
        spread = features.var(axis=0).mean(axis=1)
        scale = np.maximum(power, QUIET * self._power.add(power)) * len(labels)
        usual = LOUD * self._spread.add(spread)
        scale *= np.maximum(1.0, np.divide(spread, usual, out=np.ones_like(spread), where=usual > 0))
        weights: NDArray[np.float64] = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        return weights

    def discount(self, share: float) -> None:
        """Keep so much of what was learnt: after the signal changed its nature."""
        self._moments *= share

    def forget(self, channels: NDArray[np.intp]) -> None:
        """Start these channels anew."""
        self._moments[channels] = 0
        self._power.forget(channels)
        self._spread.forget(channels)

    def weights(self) -> NDArray[np.float64]:
        """Return the least-squares weights [channels, 2, 1 + features]; column 0 is the intercept.

        NaN for a channel with nothing to fit, or nothing finite.
        """
        moments = self._moments
        mass = moments[:, :1, :1]
        with np.errstate(all="ignore"):  # found below
            means = moments[:, :1, 1:] / mass
            central = moments[:, 1:, 1:] - moments[:, 1:, :1] * means
            features = central.shape[1]
            gram = central[:, :, :features] + RIDGE_BLOCKS * np.eye(features)
            fit = _solve(gram, central[:, :, features:])
            intercept = means[:, :, features:] - means[:, :, :features] @ fit
        return np.concatenate([intercept, fit], axis=1).transpose(0, 2, 1)


def _solve(gram: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the solutions, NaN where there is none."""
    solution = np.full_like(right, np.nan)
    for channel, (matrix, side) in enumerate(zip(gram, right, strict=True)):
        if np.isfinite(matrix).all() and np.isfinite(side).all():
            try:
                solution[channel] = np.linalg.solve(matrix, side)
            except np.linalg.LinAlgError:
                continue
    return solution
