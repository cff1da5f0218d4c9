"""Queues are bounded in bytes, by how many messages of that size may wait."""

from hypothesis import given
from hypothesis import strategies as st

from streamer.queuelimits import LEAST_MESSAGES, WINDOW_MESSAGES, QueueLimit


@given(st.lists(st.integers(0, 2**24), max_size=200))
def test_what_may_wait_takes_no_more_than_the_limit(sizes: list[int]) -> None:
    limit, largest = QueueLimit(1000, 2**25), 0
    for size in sizes:
        before = limit.messages
        assert limit.note(size) is (limit.messages != before)
        largest = max(largest, size)
        assert limit.messages * largest <= 2**25 or limit.messages == LEAST_MESSAGES
        assert limit.messages <= 1000
    assert limit.messages >= min(1000, 2**25 // max(largest, 1))


def test_a_large_message_is_forgotten_after_many_small_ones() -> None:
    limit = QueueLimit(1000, 2**20)
    assert limit.note(2**18)
    assert limit.messages == 4
    for _ in range(2 * WINDOW_MESSAGES):
        limit.note(100)
    assert limit.messages == 1000
