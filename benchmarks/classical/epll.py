"""Enhanced phase-locked loop (EPLL): phase, frequency and amplitude follow the gradient of the squared error.

Karimi-Ghartemani, Iravani, "A nonlinear adaptive filter for online signal analysis in power systems:
applications", IEEE Trans. Power Delivery 17, 2002.
"""

import numpy as np
from numpy.typing import NDArray

AMPLITUDE_GAIN_PER_S = 117.0
FREQUENCY_GAIN_PER_S2 = 675.0
PHASE_GAIN_PER_S = 45.0
FREQUENCY_HZ = 10.0
RANGE_HZ = (3.0, 30.0)


def estimate(
    inputs: NDArray[np.float32],
    rate_hz: float,
    *,
    amplitude_gain_per_s: float = AMPLITUDE_GAIN_PER_S,
    frequency_gain_per_s2: float = FREQUENCY_GAIN_PER_S2,
    phase_gain_per_s: float = PHASE_GAIN_PER_S,
) -> NDArray[np.complex128]:
    """Return the analytic estimate [samples, trials] of inputs [samples, trials].

    Each sample corrects the phase, frequency and amplitude that were predicted for it, then is answered.
    """
    analytic = np.empty(inputs.shape, complex)
    centre = 2 * np.pi * FREQUENCY_HZ / rate_hz
    lowest, highest = (2 * np.pi * frequency_hz / rate_hz for frequency_hz in RANGE_HZ)
    phase, amplitude = np.zeros((2, inputs.shape[1]))
    omega = np.full(inputs.shape[1], centre)
    for n, sample in enumerate(inputs.astype(float)):
        phase = phase + omega
        error = sample - amplitude * np.sin(phase)
        across = error * np.cos(phase)
        amplitude = np.maximum(amplitude + amplitude_gain_per_s / rate_hz * error * np.sin(phase), 0)
        omega = np.clip(omega + frequency_gain_per_s2 / rate_hz**2 * across, lowest, highest)
        phase = phase + phase_gain_per_s / rate_hz * across
        analytic[n] = amplitude * np.exp(1j * phase)
    return analytic
