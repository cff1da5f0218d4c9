"""Dates and times of day of other programs."""

from datetime import UTC, datetime

import numpy as np
import pytest

from streamer.recordings.time_text import after, past_midnight, seconds_of_text

MOMENT = datetime(2024, 3, 14, 23, 5, 6, 789_000, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "cell",
    ["2024-03-14T23:05:06.789Z", "2024-03-14 23:05:06.789",
     "14.03.2024 23:05:06,789", "03/14/2024 11:05:06.789 PM",
     "14/03/2024 23:05:06.789", "2024/03/14 23:05:06.789", "3/14/24 11:05:06.789 p.m."],
)  # fmt: skip
def test_a_date_and_time_are_seconds_since_1970(cell: str) -> None:
    assert seconds_of_text(cell) == pytest.approx(MOMENT, abs=1e-6)


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [("12:00:00 AM", 0.0), ("12:00:01 PM", 43_201.0), ("23:59:59:250", 86_399.25), ("1:02:03,5", 3723.5)],
)
def test_a_time_of_day_is_seconds_since_midnight(cell: str, seconds: float) -> None:
    assert seconds_of_text(cell) == seconds


@pytest.mark.parametrize("cell", ["", "soon", "1.5", "99/99/2024 10:00:00", "31.02.2024 10:00:00"])
def test_anything_else_is_none(cell: str) -> None:
    assert np.isnan(seconds_of_text(cell))


def test_a_time_of_day_goes_on_after_midnight_and_a_small_step_back_does_not() -> None:
    times = np.array([np.nan, 86_399.0, np.nan, 1.0, 0.5, 86_399.0, 2.0])
    expected = np.array([np.nan, 86_399.0, np.nan, 86_401.0, 86_400.5, 172_799.0, 172_802.0])
    np.testing.assert_array_equal(past_midnight(times), expected)
    last = np.nan
    for time, right in zip(times[1:], expected[1:], strict=True):
        if np.isfinite(time):
            last = after(last, time)
            assert last == right
    since_1970 = np.array([MOMENT, MOMENT - 86_000])
    np.testing.assert_array_equal(past_midnight(since_1970), since_1970)
