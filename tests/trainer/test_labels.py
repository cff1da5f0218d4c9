"""Joining targets to samples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.labels import LabelBuffer


def rows(first: int, count: int, fields: int = 2) -> np.ndarray:
    """Values that name their sample: [count, 1, fields] holding seq, seq + 0.5, ..."""
    return (np.arange(first, first + count)[:, None, None] + np.arange(fields) / 2).astype(np.float32)


def add(buffer: LabelBuffer, count: int) -> None:
    first = buffer.next_seq
    buffer.add(rows(first, count)[..., 0], -rows(first, count))


def is_complete(buffer: LabelBuffer, length: int) -> bool:
    return buffer.complete_to >= buffer.first_seq + length


def test_a_window_is_ready_when_its_last_target_has_come() -> None:
    buffer = LabelBuffer(1, 2)
    add(buffer, 6)
    buffer.label(0, rows(0, 3))
    assert not is_complete(buffer, 4)
    buffer.label(3, rows(3, 1))
    assert is_complete(buffer, 4)
    window = buffer.window(4)
    assert window.seq == 0
    np.testing.assert_array_equal(window.inputs, rows(0, 4)[..., 0])
    np.testing.assert_array_equal(window.targets, rows(0, 4))


def test_a_joined_target_comes_back_with_the_estimate_made_for_it() -> None:
    buffer = LabelBuffer(1, 2)
    add(buffer, 6)
    estimates, targets = buffer.label(2, rows(2, 3))
    np.testing.assert_array_equal(targets, rows(2, 3))
    np.testing.assert_array_equal(estimates, -rows(2, 3))


def test_targets_before_and_after_what_waits_are_counted_and_dropped() -> None:
    buffer = LabelBuffer(1, 2)
    buffer.restart(10)
    add(buffer, 5)
    estimates, targets = buffer.label(7, rows(7, 20))
    np.testing.assert_array_equal(targets, rows(10, 5))
    assert len(estimates) == 5
    assert buffer.unmatched == 15


def test_a_target_that_never_comes_is_nan_once_a_later_one_has() -> None:
    buffer = LabelBuffer(1, 2)
    add(buffer, 4)
    buffer.label(0, rows(0, 1))
    buffer.label(2, rows(2, 2))
    assert is_complete(buffer, 4)
    window = buffer.window(4)
    assert np.isnan(window.targets[1]).all()
    assert np.isfinite(window.targets[[0, 2, 3]]).all()


def test_a_target_with_one_field_leaves_the_other_unknown() -> None:
    buffer = LabelBuffer(1, 2)
    add(buffer, 1)
    _, targets = buffer.label(0, rows(0, 1, fields=1))
    assert targets[0, 0, 0] == 0
    assert np.isnan(targets[0, 0, 1])


def test_infinite_targets_are_unknown() -> None:
    buffer = LabelBuffer(1, 2)
    add(buffer, 1)
    _, targets = buffer.label(0, np.full((1, 1, 2), np.inf, np.float32))
    assert np.isnan(targets).all()


def test_without_targets_the_buffer_stays_bounded() -> None:
    buffer = LabelBuffer(1, 2, capacity=50)
    for _ in range(100):
        add(buffer, 7)
        buffer.drop_matured()
    assert len(buffer) == 50
    assert buffer.next_seq == 700


def test_beyond_capacity_a_window_without_targets_is_given_up() -> None:
    buffer = LabelBuffer(1, 2, capacity=10)
    add(buffer, 13)
    assert not is_complete(buffer, 4)
    add(buffer, 1)
    assert is_complete(buffer, 4)
    assert np.isnan(buffer.window(4).targets).all()


@given(
    chunks=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    delay=st.integers(0, 30),
    length=st.integers(1, 12),
    stride=st.integers(1, 12),
)
def test_windows_cover_the_stream_in_order_however_it_was_cut(
    chunks: list[int], delay: int, length: int, stride: int
) -> None:
    stride = min(stride, length)
    buffer = LabelBuffer(1, 2)
    taught = 0
    seen = []
    for count in chunks:
        add(buffer, count)
        due = max(taught, buffer.next_seq - delay)
        if due > taught:
            buffer.label(taught, rows(taught, due - taught))
            taught = due
        while is_complete(buffer, length):
            window = buffer.window(length)
            np.testing.assert_array_equal(window.targets, rows(window.seq, length))
            np.testing.assert_array_equal(window.inputs, rows(window.seq, length)[..., 0])
            seen.append(window.seq)
            buffer.advance(stride)
    assert seen == list(range(0, max(0, taught - length + 1), stride))
