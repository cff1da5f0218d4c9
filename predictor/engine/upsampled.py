"""Several steps of the model a sample, for signals too fast for it."""

import math

import numpy as np

from predictor.engine.stepper import Engine
from streamer.messages import FloatArray
from trainer.state import is_tame


class Upsampled:
    """Steps a model several times a sample, along the straight line from the last sample to this one.

    Both ends are known when the sample comes, so that its estimate has no delay. The first line is flat: there was
    no sample before. A sine drawn in straight lines is smaller; estimates are enlarged by what that is at the
    nominal frequency.

    Parameters
    ----------
    engine : Engine
    steps : int
        A sample; at least 2.
    nominal_turn : float
        Radians a sample at the nominal frequency.
    """

    def __init__(self, engine: Engine, steps: int, nominal_turn: float) -> None:
        self._engine = engine
        self._steps = steps
        half = nominal_turn / 2
        self._gain = np.float32((steps * math.sin(half / steps) / math.sin(half)) ** 2)
        self._way = (np.arange(1, steps, dtype=np.float32) / np.float32(steps))[None, :, None]

    def initial_state(self, channels: int) -> FloatArray:
        """Return the state [rows, channels] before the first sample.

        Its rows are the last sample, 1 where there was one, and the engine's.
        """
        return np.concatenate([np.zeros((2, channels), np.float32), self._engine.initial_state(channels)])

    def is_state(self, state: FloatArray) -> bool:
        """As `Engine.is_state`."""
        return is_tame(state[:2]) and self._engine.is_state(state[2:])

    def run(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """As `Engine.run`."""
        last = np.where(state[1:2] > 0, state[:1], inputs[:1])
        before = np.concatenate([last, inputs[:-1]])
        line = np.empty((len(inputs), self._steps, inputs.shape[1]), np.float32)
        line[:, :-1] = before[:, None] + (inputs - before)[:, None] * self._way
        line[:, -1] = inputs
        estimates, after = self._engine.run(line.reshape(-1, inputs.shape[1]), state[2:])
        own = np.stack([inputs[-1], np.ones_like(inputs[-1])])
        return estimates[self._steps - 1 :: self._steps] * self._gain, np.concatenate([own, after])
