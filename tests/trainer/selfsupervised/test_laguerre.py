"""Laguerre filters: an orthonormal basis of the past."""

import numpy as np

from trainer.selfsupervised.laguerre import FILTERS, TIME_CONSTANT_CYCLES, Laguerre


def responses(samples_per_cycle: float, samples: int) -> np.ndarray:
    """Impulse responses [samples, FILTERS]."""
    filters = Laguerre(samples_per_cycle, 1)
    impulse = np.zeros((samples, 1))
    impulse[0] = 1
    return np.stack([filters.step(value)[:, 0].copy() for value in impulse])


def test_the_impulse_responses_are_orthonormal() -> None:
    each = responses(25.0, 4000)
    np.testing.assert_allclose(each.T @ each, np.eye(FILTERS), atol=1e-9)


def test_the_first_filter_is_a_low_pass_and_the_second_its_all_passed_output() -> None:
    each = responses(25.0, 50)
    pole = np.exp(-1 / (TIME_CONSTANT_CYCLES * 25))
    low_pass = np.sqrt(1 - pole**2) * pole ** np.arange(50)
    np.testing.assert_allclose(each[:, 0], low_pass, atol=1e-12)
    second = np.zeros(50)
    for n in range(50):
        before, earlier = (second[n - 1], low_pass[n - 1]) if n else (0.0, 0.0)
        second[n] = pole * before + earlier - pole * low_pass[n]
    np.testing.assert_allclose(each[:, 1], second, atol=1e-12)


def test_channels_do_not_meet() -> None:
    signal = np.random.default_rng(1).standard_normal((100, 3))
    together, alone = Laguerre(20.0, 3), Laguerre(20.0, 1)
    for sample in signal:
        both = together.step(sample)
        np.testing.assert_allclose(both[:, 1:2], alone.step(sample[1:2]), rtol=1e-9, atol=1e-12)


def test_slow_signals_stay_exact() -> None:
    each = responses(600.0, 60_000)
    np.testing.assert_allclose(each.T @ each, np.eye(FILTERS), atol=1e-8)
