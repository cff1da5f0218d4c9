"""Each classical estimator against what its theory says."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from classical import epll, kalman_bank, maximum_likelihood, meegkit_phase, sogi_fll
from limits import newest_variance
from metrics import phase_error_deg
from numpy.typing import NDArray

RATE_HZ = 250.0
Estimate = Callable[[NDArray[np.float32], float], NDArray[np.complex128]]

ESTIMATORS = {
    "SOGI-FLL": sogi_fll.estimate,
    "EPLL": epll.estimate,
    "Kalman bank": kalman_bank.estimate,
    "ML 0.5 s": maximum_likelihood.estimate,
    "ML 1 s": partial(maximum_likelihood.estimate, window_s=1.0),
}


def tones(frequencies_hz: list[float], samples: int = 1000) -> NDArray[np.float64]:
    """Return phases [samples, tones]."""
    return 2 * np.pi * np.outer(np.arange(samples), frequencies_hz) / RATE_HZ + np.arange(len(frequencies_hz))


@pytest.mark.parametrize("estimate", ESTIMATORS.values(), ids=ESTIMATORS)
def test_a_clean_sine_is_known_after_settling(estimate: Estimate) -> None:
    phase = tones([7.1, 9.3, 10.0, 12.4, 14.1])
    analytic = estimate(np.sin(phase).astype(np.float32), RATE_HZ)[750:]
    assert np.abs(phase_error_deg(analytic, phase[750:])).max() < 0.1
    np.testing.assert_allclose(np.abs(analytic), 1, atol=0.002)


@pytest.mark.parametrize("estimate", ESTIMATORS.values(), ids=ESTIMATORS)
def test_estimates_know_nothing_of_later_samples(estimate: Estimate) -> None:
    generator = np.random.default_rng(10_000)
    inputs = generator.standard_normal((400, 2)).astype(np.float32)
    changed = inputs.copy()
    changed[300:] = 0
    np.testing.assert_allclose(estimate(changed, RATE_HZ)[:300], estimate(inputs, RATE_HZ)[:300], rtol=1e-9)
    assert not np.allclose(estimate(changed, RATE_HZ)[301:], estimate(inputs, RATE_HZ)[301:])


def test_sogi_has_its_transfer_function() -> None:
    """Away from resonance, its frequency held: k w' s / (s^2 + k w' s + w'^2), s on the bilinear axis."""
    frequencies_hz, gain = [4.0, 8.0, 10.0, 15.0, 30.0], 0.8
    phase = tones(frequencies_hz, 2000)
    analytic = sogi_fll.estimate(np.sin(phase).astype(np.float32), RATE_HZ, gain=gain, loop_gain_per_s=0.0)
    warped = np.tan(np.pi * np.array(frequencies_hz) / RATE_HZ) / np.tan(np.pi * sogi_fll.FREQUENCY_HZ / RATE_HZ)
    expected = 1j * gain * warped / (1 - warped**2 + 1j * gain * warped)
    responses = 2 * (analytic.imag * np.exp(-1j * phase) * 1j)[1000:].mean(axis=0)
    np.testing.assert_allclose(responses, expected, atol=2e-3)
    assert expected[2] == pytest.approx(1)
    # the other output lags by 90 deg and is w' / w times as large
    lagging = 2 * (-analytic.real * np.exp(-1j * phase) * 1j)[1000:].mean(axis=0)
    np.testing.assert_allclose(lagging, expected * -1j / warped, atol=2e-3)


def test_epll_follows_its_linear_model() -> None:
    """Locked, phase and frequency are a second-order loop: poles of s^2 + mu_p / 2 s + mu_w / 2."""
    frequency_gain_per_s2, phase_gain_per_s = 200.0, 8.0
    phase = tones([10.0], 4000)
    moved = phase + np.where(np.arange(4000) < 1500, 0, 0.1)[:, None]
    analytic = epll.estimate(
        np.sin(moved).astype(np.float32),
        RATE_HZ,
        frequency_gain_per_s2=frequency_gain_per_s2,
        phase_gain_per_s=phase_gain_per_s,
    )
    lag = -np.radians(phase_error_deg(analytic, moved))[1500:2250, 0]
    damping = phase_gain_per_s / 4
    ringing = np.sqrt(frequency_gain_per_s2 / 2 - damping**2)
    time_s = np.arange(750) / RATE_HZ
    step = (
        0.1 * np.exp(-damping * time_s) * (np.cos(ringing * time_s) - damping / ringing * np.sin(ringing * time_s))
    )
    cycle = np.ones(25) / 25  # the loop's own ripple at twice the frequency, which the linear model has not
    np.testing.assert_allclose(np.convolve(lag, cycle, "valid"), np.convolve(step, cycle, "valid"), atol=0.005)


def test_kalman_filter_reaches_its_riccati_steady_state() -> None:
    """Frequency and offset known, it is linear: its error is what the algebraic Riccati equation says."""
    omega, measurement, wander, steps = 2 * np.pi * 10 / RATE_HZ, 0.2**2, 0.01**2, 400
    process = np.diag([wander, wander, 0.0, 0.0])
    state = np.array([[0.0, 0.0, omega, 0.0]] * 2000)
    covariance = np.broadcast_to(np.diag([1.0, 1.0, 0.0, 0.0]), (2000, 4, 4))
    turn = np.array([[np.cos(omega), np.sin(omega)], [-np.sin(omega), np.cos(omega)]])
    generator = np.random.default_rng(10_000)
    truth = generator.standard_normal((2000, 2))
    for _ in range(steps):
        truth = truth @ turn.T + np.sqrt(wander) * generator.standard_normal(truth.shape)
        state, covariance = kalman_bank.predict(state, covariance, process)
        prior = covariance[0, :2, :2]
        heard = truth[:, 0] + np.sqrt(measurement) * generator.standard_normal(2000)
        state, covariance, _ = kalman_bank.correct(state, covariance, heard, np.array(measurement))
    observed = np.array([[1.0, 0.0]])
    solved = np.linalg.inv(np.linalg.inv(prior) + observed.T @ observed / measurement)  # information form
    np.testing.assert_allclose(covariance[0, :2, :2], solved, rtol=1e-9)
    np.testing.assert_allclose(turn @ solved @ turn.T + process[:2, :2], prior, rtol=1e-6)
    errors = state[:, :2] - truth
    np.testing.assert_allclose(errors.T @ errors / 2000, solved, atol=0.08 * solved[0, 0])


def test_maximum_likelihood_reaches_the_cramer_rao_bound() -> None:
    """Unknown frequency, 15 dB: variance of the newest sample's phase, within what 250 trials can tell."""
    window, eta = 125, 10**1.5
    generator = np.random.default_rng(10_000)
    trials = 250
    phase = 2 * np.pi * (np.arange(window + 1)[:, None] * generator.uniform(8, 12, trials) / RATE_HZ)
    phase = phase + generator.uniform(0, 2 * np.pi, trials)
    noise = np.sqrt(0.5 / eta) * generator.standard_normal(phase.shape)
    analytic = maximum_likelihood.estimate((np.sin(phase) + noise).astype(np.float32), RATE_HZ, window_s=0.5)
    errors = np.radians(phase_error_deg(analytic, phase))[-1]
    bound = newest_variance(np.array([window]), 1)[0] / eta
    assert 0.75 < errors.var() / bound < 1.3
    assert abs(errors.mean()) < 4 * np.sqrt(bound / trials)


def test_an_offset_does_not_move_maximum_likelihood() -> None:
    phase = tones([8.3, 11.2], 300)
    clean, offset = (
        maximum_likelihood.estimate((np.sin(phase) + mean).astype(np.float32), RATE_HZ)[125:]
        for mean in (0.0, 3.0)
    )
    np.testing.assert_allclose(clean, offset, atol=2e-4)


@pytest.mark.skipif(not meegkit_phase.installed(), reason="meegkit is not installed")
@pytest.mark.parametrize("estimate", [meegkit_phase.echt, meegkit_phase.oscillator])
def test_meegkit_is_asked_rightly(estimate: Estimate) -> None:
    phase = tones([10.0, 10.0])
    errors_deg = phase_error_deg(estimate(np.sin(phase).astype(np.float32), RATE_HZ), phase)[500:]
    assert np.abs(errors_deg).mean() < 5
