"""The running error."""

import numpy as np
import pytest

from trainer.metrics import PrequentialRmse


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_one_by_one_is_as_all_at_once(bad: float) -> None:
    generator = np.random.default_rng(0)
    estimates, targets = generator.normal(size=(2, 300, 1)).astype(np.float32)
    targets[50] = bad
    at_once, one_by_one = PrequentialRmse(), PrequentialRmse()
    at_once.add(estimates, targets)
    for estimate, target in zip(estimates, targets, strict=True):
        one_by_one.add(estimate[None], target[None])
    assert at_once.value == one_by_one.value
    assert at_once.count == one_by_one.count == (300 if np.isfinite(bad) else 299)


def test_a_sample_is_scored_by_its_known_channels() -> None:
    rmse = PrequentialRmse()
    rmse.add(np.zeros((1, 3), np.float32), np.array([[3.0, np.nan, 4.0]], np.float32))
    rmse.add(np.zeros((1, 3), np.float32), np.full((1, 3), np.nan, np.float32))
    assert rmse.count == 1
    assert rmse.value == pytest.approx(12.5**0.5)
