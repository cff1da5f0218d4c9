"""Quantiles of recent values."""

import numpy as np
import pytest

from streamer.quantiles import RecentQuantiles


def test_nothing_is_known_before_the_first_value() -> None:
    recent = RecentQuantiles()
    assert recent.quantile(0.5) is None
    assert recent.largest is None


@pytest.mark.parametrize("count", [1, 7, 8, 9, 30])
def test_only_the_last_values_count(count: int) -> None:
    values = np.random.default_rng(0).normal(size=count)
    recent = RecentQuantiles(capacity=8)
    for value in values:
        recent.add(value)
    for q in (0.0, 0.5, 0.99, 1.0):
        assert recent.quantile(q) == pytest.approx(np.quantile(values[-8:], q))
    assert recent.largest == values.max()
    assert recent.count == count


def test_the_largest_may_be_negative() -> None:
    recent = RecentQuantiles()
    recent.add(-3.0)
    recent.add(-2.0)
    assert recent.largest == -2.0
