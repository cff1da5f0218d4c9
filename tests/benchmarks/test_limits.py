import numpy as np
import pytest
from limits import cramer_rao_deg, newest_variance, wiener
from metrics import phase_error_deg
from scenarios import batch

SHORTER = 800
"""Samples of a trial: the filter's cost grows with their cube."""


@pytest.mark.parametrize("degree", [0, 1, 2])
@pytest.mark.parametrize("samples", [3, 10, 250])
def test_the_bound_is_the_leverage_of_the_newest_point(degree: int, samples: int) -> None:
    design = np.vander(np.linspace(0, 1, samples), degree + 1)
    hat = design @ np.linalg.pinv(design)
    assert newest_variance(np.array([samples]), degree)[0] == pytest.approx(hat[-1, -1])


def test_bounds_in_degrees() -> None:
    assert cramer_rao_deg("a") == 0
    assert cramer_rao_deg("c20") == pytest.approx(0.17, abs=0.005)
    assert cramer_rao_deg("c5") == pytest.approx(0.94, abs=0.005)
    assert cramer_rao_deg("d10") == pytest.approx(1.06, abs=0.005)
    assert cramer_rao_deg("ch20") == pytest.approx(0.50, abs=0.005)
    assert cramer_rao_deg("pj") is None


@pytest.mark.parametrize("name", ["g", "gz"])
def test_the_wiener_filter_cannot_be_bettered_by_a_fitted_one(name: str) -> None:
    """Least squares on the very trials, from the last second's inputs, does at best a little better."""
    trials = batch(name, range(10_000, 10_040))
    wanted = trials.amplitude * np.exp(1j * trials.phase)
    estimates = wiener(name, trials.inputs[:SHORTER])
    lags = np.concatenate([trials.inputs[300 - lag : SHORTER - lag : 5] for lag in range(0, 250, 2)])
    lags = lags.reshape(125, -1).T.astype(float)
    truth = wanted[300:SHORTER:5].ravel()
    weights = np.linalg.lstsq(lags, truth)[0]
    fitted = np.square(np.abs(lags @ weights - truth)).mean()
    optimal = np.square(np.abs(estimates[300::5].ravel() - truth)).mean()
    assert 0.85 * optimal < fitted < 1.15 * optimal


def test_the_wiener_filter_is_causal() -> None:
    trials = batch("g", [10_000])
    inputs = trials.inputs[:SHORTER]
    changed = inputs.copy()
    changed[500:] = 0
    before = wiener("g", inputs)[:500]
    np.testing.assert_allclose(wiener("g", changed)[:500], before, atol=1e-9)
    assert np.abs(phase_error_deg(before, trials.phase[:500])).mean() < 60
