"""A bank of 12 extended Kalman filters, mixed by how well each predicted of late.

Each filter's state is in-phase, quadrature, frequency and offset (La Scala, Bitmead, "Design of an extended
Kalman filter frequency tracker", IEEE Trans. Signal Process. 44, 1996). The bank is a multiple-model estimator
(Bar-Shalom, Li, Kirubarajan, "Estimation with applications to tracking and navigation", 2001, ch. 11): the filters
differ in starting frequency and in how restless they take the signal to be; likelihoods are forgotten
exponentially.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bank:
    """Three starting frequencies times four characters; deviations a sample, for signals of amplitude near 1.

    Parameters
    ----------
    frequencies_hz : tuple of float
        Where filters start.
    measurement, wander, drift_hz : tuple of float
        A character's standard deviations: noise of the input; of in-phase and quadrature; of the frequency.
    offset : float
        Standard deviation of the offset's random walk.
    spread_hz : float
        Initial standard deviation of the frequency.
    forgetting : float
        What is left of a log likelihood after a sample.
    """

    frequencies_hz: tuple[float, ...] = (5.6, 8.1, 11.7)
    measurement: tuple[float, ...] = (0.032, 0.2, 0.58, 0.6)
    wander: tuple[float, ...] = (0.0028, 0.00021, 0.00012, 0.049)
    drift_hz: tuple[float, ...] = (0.11, 0.00023, 0.0015, 0.0039)
    offset: float = 0.00066
    spread_hz: float = 1.25
    forgetting: float = 0.994


BANK = Bank()
RANGE_HZ = (3.0, 30.0)


def estimate(inputs: NDArray[np.float32], rate_hz: float, *, bank: Bank = BANK) -> NDArray[np.complex128]:
    """Return the weighted mean of the filters' analytic estimates, [samples, trials] as the inputs."""
    trials = inputs.shape[1]
    frequency_hz, level = (grid.ravel() for grid in np.meshgrid(bank.frequencies_hz, range(len(bank.measurement))))
    to_omega = 2 * np.pi / rate_hz
    measurement = np.square(bank.measurement)[level]
    wander, drift = np.square(bank.wander)[level], np.square(np.array(bank.drift_hz)[level] * to_omega)
    process = np.stack([wander, wander, drift, np.full(len(level), bank.offset**2)], axis=-1)[..., None] * np.eye(
        4
    )
    state = np.zeros((trials, len(level), 4))
    state[..., 2] = frequency_hz * to_omega
    spread = np.square([1.0, 1.0, bank.spread_hz * to_omega, 1.0])
    covariance = np.broadcast_to(np.diag(spread), (trials, len(level), 4, 4))
    log_weight = np.zeros((trials, len(level)))
    analytic = np.empty(inputs.shape, complex)
    lowest, highest = (edge_hz * to_omega for edge_hz in RANGE_HZ)
    for n, sample in enumerate(inputs.astype(float)):
        state, covariance = predict(state, covariance, process)
        state, covariance, likelihood = correct(state, covariance, sample[:, None], measurement)
        state[..., 2] = np.clip(state[..., 2], lowest, highest)
        log_weight = bank.forgetting * log_weight + likelihood
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        analytic[n] = (weight * (state[..., 1] + 1j * state[..., 0])).sum(axis=1)
    return analytic


def predict(
    state: Float64Array, covariance: Float64Array, process: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Turn in-phase and quadrature by one sample at the state's frequency; states [..., 4]."""
    cos, sin = np.cos(state[..., 2]), np.sin(state[..., 2])
    in_phase = cos * state[..., 0] + sin * state[..., 1]
    quadrature = cos * state[..., 1] - sin * state[..., 0]
    turn = np.zeros(covariance.shape)
    turn[..., 0, 0] = turn[..., 1, 1] = cos
    turn[..., 0, 1], turn[..., 1, 0] = sin, -sin
    turn[..., 0, 2], turn[..., 1, 2] = quadrature, -in_phase  # the Jacobian's column of the frequency
    turn[..., 2, 2] = turn[..., 3, 3] = 1
    predicted = np.stack([in_phase, quadrature, state[..., 2], state[..., 3]], axis=-1)
    return predicted, turn @ covariance @ turn.swapaxes(-1, -2) + process


def correct(
    state: Float64Array, covariance: Float64Array, sample: Float64Array, measurement: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Learn from a sample, in-phase plus offset; return also the sample's log likelihood."""
    heard = covariance[..., :, 0] + covariance[..., :, 3]
    variance = heard[..., 0] + heard[..., 3] + measurement
    innovation = sample - state[..., 0] - state[..., 3]
    gain = heard / variance[..., None]
    corrected = state + gain * innovation[..., None]
    likelihood = -0.5 * (np.log(variance) + innovation**2 / variance)
    return corrected, covariance - gain[..., :, None] * heard[..., None, :], likelihood
