"""A linear read-out, fitted by ridge regression to labels that come late, block by block."""

import numpy as np
from numpy.typing import NDArray

# A block is a cycle. Shorter is better where a signal changes (a seismogram: 36.8, 37.7, 39.1 deg at 100, 200,
# 400), longer where it does not (a pulse wave: 12.9, 12.7, 12.6).
MEMORY_BLOCKS = 200
RIDGE_BLOCKS = 0.03  # the penalty, in blocks of labels of the signal's own power: matters in the first cycles only
LOUD = (
    10.0  # of the power so far is all that a block adds to it: one lightning stroke must not make all else quiet
)
QUIET = 0.3  # of the power so far: blocks weaker than that do not weigh as much as the others


class Readout:
    """One read-out a channel: features -> (cos, sin), with an intercept.

    Blocks weigh alike, whatever the signal's amplitude in them, and old ones are forgotten exponentially.

    Parameters
    ----------
    channels, features : int
    """

    def __init__(self, channels: int, features: int) -> None:
        self._moments = np.zeros((channels, 1 + features, 3 + features))
        self._power = np.zeros((2, channels))  # of labels, summed, and how many blocks; both fade
        self._keep = np.exp(-1.0 / MEMORY_BLOCKS)

    def learn(self, features: NDArray[np.floating], labels: NDArray[np.float64]) -> None:
        """Take a block: features [samples, channels, features], labels [samples, channels, 2]. All finite."""
        power = np.square(labels).sum(axis=2).mean(axis=0)
        scale = np.maximum(power, QUIET * self._typical(power))
        weights = np.divide(1.0, scale * len(labels), out=np.zeros_like(scale), where=scale > 0)
        ones = np.ones((*labels.shape[:2], 1))
        rows = np.concatenate([ones, features, labels], axis=2).transpose(1, 0, 2)
        regressors = rows[:, :, :-2] * weights[:, None, None]
        self._moments *= self._keep
        self._moments += regressors.transpose(0, 2, 1) @ rows

    def _typical(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the running mean of a block's power [channels], this one included."""
        total, mass = self._power
        largest = np.where(total > 0, LOUD * total / np.maximum(mass, 1), np.inf)
        self._power = self._keep * self._power + np.stack([np.minimum(power, largest), np.ones_like(power)])
        typical: NDArray[np.float64] = self._power[0] / self._power[1]
        return typical

    def discount(self, share: float) -> None:
        """Keep so much of what was learnt: after the signal changed its nature."""
        self._moments *= share

    def forget(self, channels: NDArray[np.intp]) -> None:
        """Start these channels anew."""
        self._moments[channels] = 0
        self._power[:, channels] = 0

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
