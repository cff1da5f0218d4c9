"""Deadlines stay absolute."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.clock import Instant
from streamer.source.pacing import Pacer


@given(st.integers(0, 10**10), st.sampled_from([0.5, 3.0, 44_100.0, 1000.0, 100 / 3]))
def test_each_deadline_is_exact_to_its_own_rounding(seq: int, rate_hz: float) -> None:
    pacer = Pacer(Instant(5_000, 9_000), rate_hz)
    exact_ns = Fraction(seq) * 10**9 / Fraction(rate_hz)
    tolerance_ns = max(Fraction(1), exact_ns / 2**51)
    assert abs(pacer.deadline_ns(seq) - 5_000 - exact_ns) <= tolerance_ns
    assert pacer.stamp_ns(seq) - pacer.deadline_ns(seq) == 4_000


def test_deadlines_do_not_drift_in_an_hour() -> None:
    pacer = Pacer(Instant(0, 0), 1000.0)
    assert pacer.deadline_ns(3_600_000) == 3_600 * 10**9


@pytest.mark.parametrize("rate_hz", [3.0, 7.0, 999.9])
def test_deadlines_never_go_back(rate_hz: float) -> None:
    pacer = Pacer(Instant(0, 0), rate_hz)
    deadlines = [pacer.deadline_ns(seq) for seq in range(10**9, 10**9 + 1000)]
    assert deadlines == sorted(set(deadlines))
