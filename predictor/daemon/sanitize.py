"""Inputs that a network can be given: what is not a usable number is replaced."""

from typing import ClassVar

import numpy as np

from streamer.messages import FloatArray
from trainer.state import Kept

LARGEST_INPUT = np.float32(1e30)  # beyond it, as for NaN, products and levels would leave the range of float32
LARGEST = LARGEST_INPUT.item()  # as Python's own floats are compared with, at half of the time


class Sanitizer(Kept):
    """Replaces what is not a usable number by the channel's last value that was.

    Parameters
    ----------
    channels : int
    """

    kept: ClassVar = {"_last": np.ndarray}

    def __init__(self, channels: int) -> None:
        self.replaced = 0
        """Samples of the last call that were."""
        self._last = np.zeros(channels, np.float32)

    def of(self, inputs: FloatArray) -> FloatArray:
        """Return inputs [samples, channels], at least one, all usable."""
        if inputs.size == 1 and abs(inputs.item()) <= LARGEST:  # as below, at a tenth of the time
            self._last = inputs[0]
            self.replaced = 0
            return inputs
        usable = np.abs(inputs) <= LARGEST_INPUT  # false for NaN
        self.replaced = 0
        if not usable.all():
            self.replaced = int(np.count_nonzero(~usable))
            inputs = inputs.copy()
            last = self._last
            for sample, good in zip(inputs, usable, strict=True):
                np.copyto(sample, last, where=~good)
                last = sample
        self._last = inputs[-1]
        return inputs
