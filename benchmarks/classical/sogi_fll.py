"""Second-order generalised integrator with a frequency-locked loop (SOGI-FLL).

Rodriguez, Luna, Candela, Mujal, Teodorescu, Blaabjerg, "Multiresonant frequency-locked loop for grid
synchronization of power converters under distorted grid conditions", IEEE Trans. Ind. Electron. 58, 2011.
"""

import numpy as np
from numpy.typing import NDArray

GAIN = 0.63
"""k, damping: sqrt(2) is usual where speed counts more than noise."""
LOOP_GAIN_PER_S = 16.8
"""Gamma: how fast the frequency follows, whatever the amplitude."""
FREQUENCY_HZ = 10.0
RANGE_HZ = (3.0, 30.0)


def estimate(
    inputs: NDArray[np.float32], rate_hz: float, *, gain: float = GAIN, loop_gain_per_s: float = LOOP_GAIN_PER_S
) -> NDArray[np.complex128]:
    """Return the analytic estimate [samples, trials] of inputs [samples, trials].

    The integrators are bilinear, prewarped to the running frequency: at resonance the filter's gain is 1 and its
    two outputs stand 90 deg apart exactly.
    """
    analytic = np.empty(inputs.shape, complex)
    in_phase, lagging, before = np.zeros((3, inputs.shape[1]))
    omega = np.full(inputs.shape[1], 2 * np.pi * FREQUENCY_HZ / rate_hz)
    lowest, highest = (2 * np.pi * frequency_hz / rate_hz for frequency_hz in RANGE_HZ)
    for n, sample in enumerate(inputs.astype(float)):
        half = np.tan(omega / 2)
        damped = half * gain
        was = in_phase
        in_phase = (was * (1 - damped - half**2) + damped * (sample + before) - 2 * half * lagging) / (
            1 + damped + half**2
        )
        lagging = lagging + half * (was + in_phase)
        before = sample
        power = np.maximum(in_phase**2 + lagging**2, 1e-6)
        omega = omega - loop_gain_per_s / rate_hz * gain * omega * (sample - in_phase) * lagging / power
        omega = np.clip(omega, lowest, highest)
        analytic[n] = -lagging + 1j * in_phase
    return analytic
