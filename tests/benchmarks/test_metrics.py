import numpy as np
import pytest
from metrics import figures_of, settling_s
from scenarios import batch


def test_a_late_estimate_of_the_right_size() -> None:
    trials = batch("d10", [10_000, 10_001])
    figures = figures_of("d10", trials, trials.amplitude * np.exp(1j * (trials.phase - np.radians(4))))
    assert figures.phase_deg == pytest.approx(4)
    assert figures.bias_deg == pytest.approx(-4)
    assert figures.quadrature_rmse == pytest.approx(np.radians(4) / np.sqrt(2), rel=0.02)
    assert figures.settling_s == 0


def test_errors_are_circular() -> None:
    trials = batch("a", [10_000])
    sign = np.where(np.arange(1500) % 2, 1, -1)[:, None]
    figures = figures_of("a", trials, np.exp(1j * (trials.phase + np.radians(360 - 10) * sign)))
    assert figures.phase_deg == pytest.approx(10)
    assert figures.bias_deg == pytest.approx(0, abs=1e-6)


def test_the_warm_up_is_not_judged() -> None:
    trials = batch("a", [10_000])
    analytic = np.exp(1j * trials.phase)
    analytic[:250] *= -1
    assert figures_of("a", trials, analytic).phase_deg == pytest.approx(0, abs=1e-6)


def test_settling_is_counted_from_the_change() -> None:
    # two of a cycle's 25 samples at 40 deg still make a mean of 4.1
    error_deg = np.where(np.arange(1500) < 800, 40.0, 1.0)[:, None]
    assert settling_s(error_deg, 0.0) == pytest.approx((800 - 2) / 250)
    assert settling_s(error_deg, 3.0) == pytest.approx((800 - 2 - 750) / 250)
    assert settling_s(np.full((1500, 3), 6.0), 0.0) is None
