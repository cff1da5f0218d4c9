"""What a read-out takes a signal to be before labels say more: a rhythm in its band on 1/f noise.

The least-squares filter for such a signal needs no labels: it follows from the spectrum (Wiener, "Extrapolation,
interpolation and smoothing of stationary time series", 1949).
"""

import numpy as np
from numpy.typing import NDArray

from trainer.selfsupervised.band import Band
from trainer.selfsupervised.hilbert_labels import zero_phase_gain
from trainer.selfsupervised.laguerre import responses

BACKGROUND = (
    0.1  # its power density at the band's centre, as a share of the rhythm's peak; there it falls as 1/f^2
)
FLAT_BELOW = 0.1  # times the centre: 1/f^2 noise of finite power
POINTS = 1000  # frequencies, evenly spaced in octaves
MODEL_POWER = (
    0.5  # of the model's cos and sin each, as of the labels; nothing is taken as known of what they are worth
)


def assumed_moments(band: Band) -> NDArray[np.float64]:
    """Return E[x x'] and E[x y'] [features, features + 2] of features x and labels y of power 1.

    The features are a model's cos and sin and the outputs of the Laguerre filters; the labels are cos and sin.
    """
    frequencies = np.geomspace(band.centre / 1000, 0.5, POINTS)
    gain = zero_phase_gain(frequencies, band)
    background = BACKGROUND * (band.centre / np.maximum(frequencies, FLAT_BELOW * band.centre)) ** 2
    density = (gain + background) * frequencies  # of power an octave
    filters = responses(frequencies, 1 / band.centre)
    columns = np.concatenate([filters, np.stack([1j * gain, gain])])
    moments = ((filters * density) @ columns.conj().T).real / (2 * density @ gain**2)
    model = MODEL_POWER * np.eye(2, 2 + moments.shape[1])
    return np.concatenate([model, np.pad(moments, ((0, 0), (2, 0)))])
