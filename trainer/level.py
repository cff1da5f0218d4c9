"""The running level of a signal: what makes a model amplitude-free.

An exponential moving average of the magnitude, bias-corrected so that it is right from the first sample, scaled
so that a sine's level is its amplitude (the mean of |sin| is 2/pi). Magnitudes, not squares: they neither
overflow nor vanish where the input is still a normal float32.
"""

from functools import cache

import numpy as np

from streamer.messages import FloatArray
from trainer.model import ModelConfig

FLOOR = np.float32(1e-30)  # of the level: silence divided by it stays silence


def follow(inputs: FloatArray, state: FloatArray, time_constant_samples: float) -> tuple[FloatArray, FloatArray]:
    """Return the level after each input, and the state after the last.

    Parameters
    ----------
    inputs : float32 array, shape (samples, ...)
    state : float32 array, shape (2, ...)
        The average magnitude and its weight, both before bias correction; zeros at the start.
    time_constant_samples : float
        At least 1.

    Returns
    -------
    levels : float32 array, the shape of `inputs`
    state : float32 array, the shape of `state`
    """
    keep, take, take_magnitude = _shares(time_constant_samples)
    averages = np.empty((len(inputs), *state.shape), np.float32)
    magnitudes = averages[:, 0]
    np.abs(inputs, magnitudes)
    np.multiply(magnitudes, take_magnitude, magnitudes)
    averages[:, 1] = take
    before, kept = state, np.empty_like(state)
    for average in averages:
        np.multiply(before, keep, kept)
        np.add(average, kept, average)
        before = average
    levels: FloatArray = np.divide(magnitudes, averages[:, 1])
    np.maximum(levels, FLOOR, out=levels)
    return levels, before


class Follower:
    """Follows the level of one channel sample by sample, to the bits of `follow`.

    Parameters
    ----------
    time_constant_samples : float
        At least 1.

    Attributes
    ----------
    average, weight : np.float32
        As in the state of `follow`.
    """

    def __init__(self, time_constant_samples: float) -> None:
        self.average = self.weight = np.float32(0)
        self._keep, self._take, self._take_magnitude = _shares(time_constant_samples)

    def follow(self, sample: np.float32) -> np.float32:
        """Return the level after a sample."""
        self.average = abs(sample) * self._take_magnitude + self.average * self._keep
        self.weight = self._take + self.weight * self._keep
        level: np.float32 = self.average / self.weight
        return level if level > FLOOR else FLOOR


@cache
def _shares(time_constant_samples: float) -> tuple[np.float32, np.float32, np.float32]:
    """Return the shares of the average that is kept and of the new weight and magnitude that are added."""
    keep = np.float32(np.exp(-1.0 / time_constant_samples))
    take = np.float32(1) - keep
    return keep, take, np.float32(np.pi / 2) * take


def divide_out(
    config: ModelConfig, inputs: FloatArray, state: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Divide inputs by their running level, if the model has one.

    Parameters
    ----------
    config : ModelConfig
    inputs : float32 array, shape (samples, channels)
    state : float32 array, shape (rows, channels)
        A whole state as the engine keeps it, or its first rows.

    Returns
    -------
    inputs : divided by their level
    levels : float32 array of the same shape; ones for a model without
    rows : the level's rows of the new state
    """
    if not config.level_samples:
        return inputs, np.ones_like(inputs), state[:0]
    levels, rows = follow(inputs, state[: config.level_rows], config.level_samples)
    return inputs / levels, levels, rows
