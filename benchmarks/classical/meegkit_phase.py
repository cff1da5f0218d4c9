"""meegkit's estimators: the endpoint-corrected Hilbert transform (ECHT) and the resonant oscillator.

Schreglmann et al., "Non-invasive suppression of essential tremor via phase-locked disruption of its temporal
coherence", Nature Communications 12, 2021. Rosenblum, Pikovsky, Kuehn et al., "Real-time estimation of phase and
amplitude with application to neural data", Scientific Reports 11, 2021.

The package is optional (`installed` says whether it is here): ``pip install '.[bench]'``.
"""

import warnings
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

FREQUENCY_HZ = 10.0
BAND_HZ = (7.0, 14.0)
"""ECHT has to be told. Its documentation says half the frequency wide, which costs 10 deg of bias at 10 Hz;
of the bands tried (trials from seed 10,000 on) this one errs least on the rhythm, where ECHT has a chance."""

Complex128Array = NDArray[np.complex128]


def installed() -> bool:
    """Return whether meegkit can be imported."""
    return find_spec("meegkit") is not None


def echt(
    inputs: NDArray[np.float32], rate_hz: float, *, window_s: float = 1.0, band_hz: tuple[float, float] = BAND_HZ
) -> Complex128Array:
    """Return the newest value of an ECHT of the last second, for every sample; [samples, trials]."""
    from meegkit.phase import ECHT  # imports scipy and more, seconds of it

    window = round(window_s * rate_hz)
    padded = np.concatenate([np.zeros((window - 1, inputs.shape[1])), inputs])
    analytic = np.empty(inputs.shape, complex)
    transform = ECHT(*band_hz, rate_hz, n_fft=window)
    for trial in range(inputs.shape[1]):
        windows = np.lib.stride_tricks.sliding_window_view(padded[:, trial], window).T
        analytic[:, trial] = transform.fit_transform(windows)[-1]
    return 1j * analytic  # A sin(phase) is the real part of A exp(i (phase - pi/2))


def oscillator(inputs: NDArray[np.float32], rate_hz: float) -> Complex128Array:
    """Return the resonant oscillator's estimate [samples, trials], given each whole record in one call.

    Fed one sample a call it would never adapt its frequency: it counts samples from the start of the call.
    """
    from meegkit.phase import ResOscillator

    analytic = np.empty(inputs.shape, complex)
    for trial in range(inputs.shape[1]):  # its buffers take the channels of one sample for samples of one channel
        estimator = ResOscillator(fs=rate_hz, nu=2 * np.pi * FREQUENCY_HZ)  # nu is angular, whatever its name says
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces every overwritten sample of its ring buffers
            phase, amplitude = estimator.transform(inputs[:, trial : trial + 1].astype(float))
        analytic[:, trial] = 1j * amplitude[:, 0] * np.exp(1j * phase[:, 0])
    return analytic
