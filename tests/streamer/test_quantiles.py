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


@pytest.mark.parametrize("capacity", [3, 64, 100, 500])
def test_many_at_once_are_the_same_as_one_by_one(capacity: int) -> None:
    values = np.random.default_rng(0).normal(size=900)
    one_by_one, at_once, mixed = (RecentQuantiles(capacity) for _ in range(3))
    for number, part in enumerate(np.split(values, [1, 5, 70, 71, 300, 301, 302, 850])):
        at_once.extend(part)
        if number % 2:
            mixed.extend(part)
        else:
            for value in part:
                mixed.add(value)
        for value in part:
            one_by_one.add(value)
        for q in (0.0, 0.5, 0.99, 1.0):
            assert one_by_one.quantile(q) == at_once.quantile(q) == mixed.quantile(q)
        assert one_by_one.largest == at_once.largest == mixed.largest
    assert one_by_one.quantile(1.0) == values[-capacity:].max()
