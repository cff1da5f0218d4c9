"""A signal's past in a few numbers: discrete Laguerre filters.

A low-pass with one pole and a chain of all-passes with the same pole; their outputs are an orthonormal basis of
what a linear filter can remember. Wahlberg, "System identification using Laguerre models", 1991.

On an EEG, a seismogram and a pulse wave, 24 of them predict as well as 257 taps (10 cycles of 25 samples) when
fitted to all labels, and better when fitted online, for there is less to learn.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trainer.state import Kept

FILTERS = 24
TIME_CONSTANT_CYCLES = 0.12  # of the pole; 24 filters then remember about six cycles


class Laguerre(Kept):
    """The filters for a stream's channels; their outputs are the state.

    Parameters
    ----------
    samples_per_cycle : float
    channels : int
    """

    kept: ClassVar = {"_column": np.ndarray}

    def __init__(self, samples_per_cycle: float, channels: int) -> None:
        self._step = _step_matrix(_pole(samples_per_cycle))
        self._column = np.zeros((FILTERS + 1, channels))  # [state; input]
        self._after = np.empty((FILTERS, channels))

    def step(self, inputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Take one sample [channels]; return the outputs [FILTERS, channels], valid until the next step."""
        self._column[-1] = inputs
        np.dot(self._step, self._column, out=self._after)
        self._column[:-1] = self._after
        return self._after


def responses(frequencies: NDArray[np.float64], samples_per_cycle: float) -> NDArray[np.complex128]:
    """Return the filters' responses [FILTERS, frequencies] at frequencies in cycles a sample."""
    pole, delay = _pole(samples_per_cycle), np.exp(-2j * np.pi * frequencies)
    low_pass = np.sqrt(1 - pole**2) / (1 - pole * delay)
    all_pass = (delay - pole) / (1 - pole * delay)
    every: NDArray[np.complex128] = low_pass * all_pass ** np.arange(FILTERS)[:, None]
    return every


def _pole(samples_per_cycle: float) -> float:
    return float(np.exp(-1.0 / (TIME_CONSTANT_CYCLES * samples_per_cycle)))


def _step_matrix(pole: float) -> NDArray[np.float64]:
    """Return M [FILTERS, FILTERS + 1] with state' = M [state; input]."""
    before = np.eye(FILTERS + 1)  # each column a state and input of its own
    rows = [pole * before[0] + np.sqrt(1 - pole**2) * before[-1]]
    for number in range(1, FILTERS):
        rows.append(pole * before[number] + before[number - 1] - pole * rows[-1])
    return np.stack(rows)
