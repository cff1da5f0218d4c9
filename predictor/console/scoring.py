"""How far a sample's estimates are from their targets, over all of its channels."""

import numpy as np
from numpy.typing import NDArray

from streamer.messages import FloatArray
from trainer.metrics import phase_error_deg

Scores = NDArray[np.float64]


def score(inputs: FloatArray, targets: FloatArray, estimates: FloatArray) -> tuple[Scores, Scores]:
    """Score samples, each as the mean over its channels that can be scored.

    Parameters
    ----------
    inputs : float32 array, shape (samples, channels)
        Serves as the in-phase part of a side that has none.
    targets, estimates : float32 array, shape (samples, channels, 2)
        Fields cos and sin; NaN where a field is not known.

    Returns
    -------
    squares, degrees : float64 array, shape (samples,)
        Squared error of cos and circular distance of the phases; NaN where no channel can be scored.
    """
    squares = (estimates[..., 0].astype(np.float64) - targets[..., 0]) ** 2
    degrees = phase_error_deg(
        estimates[..., 0], _in_phase(estimates, inputs), targets[..., 0], _in_phase(targets, inputs)
    )
    return _mean_over_channels(squares), _mean_over_channels(degrees)


def _in_phase(values: FloatArray, inputs: FloatArray) -> FloatArray:
    return np.where(np.isnan(values[..., 1]), inputs, values[..., 1])


def _mean_over_channels(values: Scores) -> Scores:
    usable = np.isfinite(values)
    count = usable.sum(axis=1)
    total = np.where(usable, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
