"""What waits for readers is never taken for less than it is, and who is behind is found."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.transport.outflow import (
    AGAIN_S,
    HOPELESS,
    OPEN_STALL_S,
    SLOT_BYTES,
    STALL_S,
    Outflow,
    Seen,
    Sent,
    SentCount,
)

NOTHING = Sent(0, 0)


def outflow(limit_bytes: int = 1000, most_messages: int = 20_000) -> Outflow:
    flow = Outflow(limit_bytes, most_messages)
    flow.accept(3, NOTHING, 0.0)
    return flow


def look(
    flow: Outflow, sent: int, written: int | None, *, backlogged: bool = True, connection: int = 3,
    now_s: float = 0.0, is_open: bool = False, messages: int = 0,
) -> None:  # fmt: skip
    flow.look(connection, Sent(sent, messages), Seen(backlogged, written, is_open), now_s)


@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "take", "look"]), st.integers(0, 400), st.booleans()), max_size=200
    ),
    st.integers(1, 500),
)
def test_more_never_waits_than_is_said(steps: list[tuple[str, int, bool]], kernel_bytes: int) -> None:
    """A queue before a system buffer of so many bytes; of what is published some is not for this reader."""
    flow, sent, written, buffered = outflow(limit_bytes=10**9), 0, 0, 0
    waiting: deque[int] = deque()
    for what, size, for_reader in steps:
        if what == "send":
            sent += size
            if for_reader:
                waiting.append(size)
        elif what == "take":
            buffered = max(0, buffered - size)
        while waiting and buffered < kernel_bytes:
            part = min(waiting[0], kernel_bytes - buffered)
            written, buffered = written + part, buffered + part
            waiting[0] -= part
            if not waiting[0]:
                waiting.popleft()
        if what == "look":
            look(flow, sent, written, backlogged=buffered >= kernel_bytes)
            assert sum(waiting) <= flow.waiting_bytes
            flow.limit_bytes = flow.waiting_bytes
            assert flow.excess() is None


def test_who_takes_what_is_published_is_never_cut_off_however_little_it_subscribed_to() -> None:
    flow = outflow()
    for sent in range(0, 10**6, 999):
        look(flow, sent, sent // 100, backlogged=False)
        assert flow.excess() is None


def test_who_is_furthest_behind_is_cut_off_first_and_the_others_are_looked_at_again() -> None:
    flow = outflow()
    for connection in (4, 5):
        flow.accept(connection, NOTHING, 0.0)
    for connection, written in ((3, 1500), (4, 200), (5, 700)):
        look(flow, 2000, written, connection=connection)
    cut = []
    while (excess := flow.excess()) is not None:
        cut.append(excess[0])
        flow.remove(excess[0])
    assert cut == [4, 5]


def test_contents_are_counted_once_whoever_they_wait_for() -> None:
    flow = outflow(limit_bytes=10**6)
    for connection in range(100):
        flow.accept(connection, NOTHING, 0.0)
        look(flow, 900_000, 0, connection=connection, messages=10)
    assert flow.excess() is None


def test_places_in_queues_are_counted_for_each_reader() -> None:
    flow = outflow(limit_bytes=100_000, most_messages=300)
    for connection in range(4, 7):
        flow.accept(connection, NOTHING, 0.0)
    for connection in (3, 4):
        look(flow, 90_000, 0, connection=connection, messages=9_000)  # of which 300 are kept
    assert 2 * 300 * SLOT_BYTES > 100_000
    excess = flow.excess()
    assert excess is not None
    assert "300 messages" in excess[1]
    flow.remove(excess[0])
    assert flow.excess() is None


def test_over_a_local_connection_who_was_behind_the_longest_goes_once_too_much_is_known_to_wait() -> None:
    flow = outflow()
    flow.accept(4, NOTHING, 0.0)
    for sent in range(0, 5000, 100):
        look(flow, sent, None, backlogged=sent > 3000)
        look(flow, sent, None, backlogged=sent > 2000, connection=4)
    assert flow.excess() is None, "it is not known"
    assert flow.longest_behind_locally() == 4
    flow.remove(4)
    flow.spare_local(Sent(5000, 0))
    look(flow, 5900, None)
    assert flow.longest_behind_locally() is None, "whether that was enough is not known yet"
    look(flow, 6100, None)
    assert flow.longest_behind_locally() == 3
    assert not flow.is_hopeless(3)
    look(flow, 5001 + HOPELESS * 1000, None)
    assert flow.is_hopeless(3)


def test_over_a_local_connection_nobody_waits_for_who_holds_the_sender_up_for_long() -> None:
    flow = outflow()
    for tenths in range(100):
        look(flow, 500, None, now_s=tenths / 10)
        assert flow.stalled(tenths / 10, 0.9 * STALL_S) == []
    assert len(flow.stalled(10.0, STALL_S)) == 1


@pytest.mark.parametrize(("is_open", "after_s"), [(False, STALL_S), (True, OPEN_STALL_S)])
def test_nobody_waits_for_who_takes_nothing(is_open: bool, after_s: float) -> None:
    flow = outflow()
    look(flow, 500, 100, now_s=1.0, is_open=is_open)
    assert flow.stalled(1.0 + 0.99 * after_s, 1e9) == []
    look(flow, 500, 100, now_s=1.0 + after_s, is_open=is_open)
    assert [connection for connection, _ in flow.stalled(1.0 + after_s, 1e9)] == [3]


def test_who_takes_a_little_is_waited_for_without_end() -> None:
    flow = outflow()
    for number in range(1000):
        now_s = number * 0.9 * STALL_S
        look(flow, 5000, number, now_s=now_s)
        assert flow.stalled(now_s, 1e9) == []


def test_who_comes_back_at_once_and_takes_nothing_again_is_waited_for_less_and_less() -> None:
    flow, now_s, waited = outflow(), 0.0, []
    for _ in range(4):
        look(flow, 500, 100, now_s=now_s)
        began_s = now_s
        while not flow.stalled(now_s, 1e9):
            now_s += STALL_S / 64
        waited.append(now_s - began_s)
        flow.remove(3)
        flow.accept(3, NOTHING, now_s)
    assert waited == pytest.approx([STALL_S / 2**number for number in range(4)], abs=STALL_S / 32)
    flow.remove(3)
    now_s += AGAIN_S
    flow.accept(3, NOTHING, now_s)
    look(flow, 500, 100, now_s=now_s)
    assert flow.stalled(now_s + 0.9 * STALL_S, 1e9) == []


def test_a_look_is_wanted_every_so_many_bytes() -> None:
    looks: list[int] = []
    count = SentCount(lambda: looks.append(count.bytes), 1000)
    for _ in range(50):
        count.note(90)
    assert looks == [1080, 2160, 3240, 4320]
    assert count.now() == Sent(4500, 50)
