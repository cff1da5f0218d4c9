"""A linear read-out, fitted by ridge regression to labels that come late, block by block."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trainer.selfsupervised.guard import FadingMean
from trainer.state import Kept

# A block is a cycle. On recordings other than docs/explanation/learning.md's, 200, 300 and 400 differ by 0.2 %
# on average: shorter is better for seismograms, longer for EEGs.
MEMORY_BLOCKS = 300
PRIOR_BLOCKS = 30.0  # that the prior counts for where nothing is explained yet
MISSED_BLOCKS = 20.0  # memory of how much that is
RIDGE_BLOCKS = 3e-4  # the penalty, in blocks of labels of the signal's own power: for features that hardly differ
LOUD = (
    10.0  # of the power so far is all that a block adds to it: one lightning stroke must not make all else quiet
)
QUIET = 0.3  # of the power so far: blocks weaker than that do not weigh as much as the others


class TypicalPower(Kept):
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

    Blocks weigh alike, whatever the signal's amplitude in them, and old ones are forgotten exponentially. A prior
    counts for as many blocks as noisy labels ask for (the square of the share of their power that the read-out
    misses), less and less as the memory fills.

    Parameters
    ----------
    channels : int
    prior : float64 array, shape (features, features + 2)
        What is assumed at first: the features' products with themselves and with labels of power 1.

    Attributes
    ----------
    weights : float64 array, shape (channels, 2, 1 + features)
        The least-squares weights; column 0 is the intercept. NaN for a channel with nothing finite to fit.
    """

    kept: ClassVar = {
        "_moments": np.ndarray,
        "_blocks": np.ndarray,
        "_missed": FadingMean,
        "_power": TypicalPower,
        "_spread": TypicalPower,
        "weights": np.ndarray,
    }

    def __init__(self, channels: int, prior: NDArray[np.float64]) -> None:
        self._prior = prior
        features = len(prior)
        self._moments = np.zeros((channels, 1 + features, 3 + features))
        self._blocks = np.zeros(channels)  # that the moments are made of
        self._missed = FadingMean(MISSED_BLOCKS, (channels,))  # share of the labels' power
        self._missed.add(np.ones(channels))
        self._power, self._spread = (
            TypicalPower(channels),
            TypicalPower(channels),
        )  # of a block's labels, of its features
        self._keep = np.exp(-1.0 / MEMORY_BLOCKS)
        self._fit()

    def learn(self, features: NDArray[np.floating], labels: NDArray[np.float64]) -> None:
        """Take a block: features [samples, channels, features], labels [samples, channels, 2]."""
        with np.errstate(all="ignore"):  # what is not finite shows in the weights
            self._missed.add(self._share_missed(features, labels))
            weights = self._block_weights(features, labels)
        ones = np.ones((*labels.shape[:2], 1))
        rows = np.concatenate([ones, features, labels], axis=2).transpose(1, 0, 2)
        regressors = rows[:, :, :-2] * weights[:, None, None]
        self._moments *= self._keep
        self._moments += regressors.transpose(0, 2, 1) @ rows
        self._blocks = self._keep * self._blocks + 1.0
        self._fit()

    def _share_missed(self, features: NDArray[np.floating], labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of a block's power [channels] that earlier weights do not explain, at most 1."""
        estimates = (self.weights[:, :, 1:] @ features[..., None])[..., 0] + self.weights[:, :, 0]
        missed = np.square(estimates - labels).sum(axis=(0, 2)) / np.square(labels).sum(axis=(0, 2))
        shares: NDArray[np.float64] = np.minimum(missed, 1.0)
        return shares

    def _block_weights(self, features: NDArray[np.floating], labels: NDArray[np.float64]) -> NDArray[np.float64]:
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
        self._blocks *= share

    def forget(self, channels: NDArray[np.intp]) -> None:
        """Start these channels anew, from the next block on."""
        self._moments[channels] = 0.0
        self._blocks[channels] = 0.0
        self._power.forget(channels)
        self._spread.forget(channels)

    def _fit(self) -> None:
        moments = self._moments
        mass = moments[:, :1, :1]
        lacking = 1.0 - self._blocks * (1.0 - self._keep)
        prior = (PRIOR_BLOCKS * np.square(self._missed.value) * lacking)[:, None, None] * self._prior
        with np.errstate(all="ignore"):  # found below
            means = moments[:, :1, 1:] / np.where(mass == 0, 1.0, mass)
            central = moments[:, 1:, 1:] - moments[:, 1:, :1] * means + prior
            features = central.shape[1]
            gram = central[:, :, :features] + RIDGE_BLOCKS * np.eye(features)
            fit = _solve(gram, central[:, :, features:])
            intercept = means[:, :, features:] - means[:, :, :features] @ fit
        self.weights = np.concatenate([intercept, fit], axis=1).transpose(0, 2, 1)


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
