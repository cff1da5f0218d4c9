"""Adam on one vector of parameters."""

from typing import ClassVar

import numpy as np

from streamer.messages import FloatArray
from trainer.state import Kept

DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8


class Adam(Kept):
    """Kingma and Ba 2015 with the AMSGrad bound of Reddi et al. 2018, equal to `torch.optim.Adam(amsgrad=True)`.

    The bound is there because a loss that has become small makes plain Adam forget how large gradients can be, and
    leap; measured here, it halves the worst bump after convergence.

    Parameters
    ----------
    size : int
        Number of parameters.
    learning_rate : float
    """

    kept: ClassVar = {"_updates": int, "_mean": np.ndarray, "_square": np.ndarray, "_largest": np.ndarray}

    def __init__(self, size: int, learning_rate: float) -> None:
        self._learning_rate = learning_rate
        self._updates = 0
        self._mean, self._square, self._largest = (np.zeros(size, np.float32) for _ in range(3))
        self._step = np.empty(size, np.float32)

    def step(self, gradient: FloatArray) -> FloatArray:
        """Return what to subtract from the parameters, given their gradient; valid until the next call."""
        self._updates += 1
        mean, square, step = self._mean, self._square, self._step
        mean += np.float32(1 - DECAY) * (gradient - mean)
        square *= np.float32(SQUARE_DECAY)
        square += np.float32(1 - SQUARE_DECAY) * gradient * gradient
        np.maximum(self._largest, square, out=self._largest)
        np.sqrt(self._largest, out=step)
        step *= np.float32((1 - SQUARE_DECAY**self._updates) ** -0.5)
        step += np.float32(EPSILON)
        np.divide(mean, step, out=step)
        step *= np.float32(self._learning_rate / (1 - DECAY**self._updates))
        return step

    def restart(self) -> None:
        """Forget all gradients so far."""
        self._updates = 0
        for moments in (self._mean, self._square, self._largest):
            moments[:] = 0
