"""Who is cut off for sending too much, by the numbers alone."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from streamer.transport.inflow import Inflow, InflowLimit

LIMIT = InflowLimit(
    burst_bytes=1_000,
    leak_bytes_s=100.0,
    total_burst_bytes=2_000,
    total_leak_bytes_s=100.0,
    little_bytes=50,
    connection_burst=20,
    connections_s=2.0,
)
HELD = replace(LIMIT, leak_bytes_s=0.0, total_burst_bytes=10**9, held_bytes=1_500)


def inflow(limit: InflowLimit = LIMIT, connections: int = 10) -> Inflow:
    made = Inflow(limit, connections)
    for number in range(connections):
        assert made.accept(number, 0.0) is None
    return made


def test_what_comes_slowly_may_come_for_ever() -> None:
    one = inflow()
    assert not any(one.receive(0, 90 * second, second) for second in range(10_000))


def test_a_burst_is_cut_off_as_soon_as_it_is_one() -> None:
    one = inflow()
    assert one.receive(0, 1_000, 0.0) is None
    assert one.receive(0, 1_001, 0.0) == "it sent 1001 bytes; at most 1000 may come at once"


def test_what_has_leaked_makes_room() -> None:
    one = inflow()
    assert one.receive(0, 1_000, 0.0) is None
    assert one.receive(0, 1_900, 9.0) is None
    assert one.receive(0, 2_901, 10.0) is not None


def test_many_together_are_cut_off_save_those_who_sent_little() -> None:
    one = inflow()
    assert [one.receive(number, 900, 0.0) is None for number in range(3)] == [True, True, False]
    assert one.receive(5, 50, 0.0) is None
    assert one.receive(5, 51, 0.0) is not None


def test_nobody_else_is_let_in_after_a_flood_until_it_has_leaked() -> None:
    one = inflow()
    for number in range(3):
        one.receive(number, 900, 0.0)
    assert one.overloaded(0.0)
    assert one.overloaded(5.0)
    assert not one.overloaded(6.0)


def test_nobody_else_is_let_in_while_connections_come_too_fast() -> None:
    one = inflow(connections=20)
    assert not one.overloaded(0.0)
    one.accept(20, 0.0)
    assert one.overloaded(0.4)
    assert not one.overloaded(0.5)


def test_what_is_held_is_bounded_and_given_back_at_the_end_of_a_connection() -> None:
    one = inflow(HELD)
    assert one.receive(0, 900, 0.0) is None
    assert one.receive(1, 900, 1e6) is not None
    one.remove(0)
    one.remove(1)
    one.accept(2, 1e6)
    assert one.receive(2, 900, 1e6) is None


def test_there_are_only_so_many_connections() -> None:
    one = inflow(connections=3)
    assert one.accept(3, 0.0) == "there are 3 connections already, which is as many as fit"
    one.remove(3)
    one.remove(0)
    assert one.accept(4, 0.0) is None


def test_a_clock_that_stands_still_or_counts_that_go_back_change_nothing() -> None:
    one = inflow()
    assert one.receive(0, 500, 5.0) is None
    assert one.receive(0, 400, 4.0) is None
    assert one.receive(0, 1_000, 4.0) is None


STEPS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 400), st.floats(0, 5)), max_size=60)


@given(steps=STEPS)
def test_whoever_stays_has_never_exceeded_a_limit(steps: list[tuple[int, int, float]]) -> None:
    """Against the limits in words: over any stretch of time at most a burst, and what leaks away in it."""
    one, now_s = inflow(HELD, 5), 0.0
    sent: dict[int, int] = dict.fromkeys(range(5), 0)
    for number, count, pause_s in steps:
        now_s += pause_s
        if number not in one:
            continue
        sent[number] += count
        if one.receive(number, sent[number], now_s) is not None:
            one.remove(number)
            del sent[number]
    assert all(total <= HELD.burst_bytes for total in sent.values())
    assert sum(total for total in sent.values() if total > HELD.little_bytes) <= HELD.held_bytes + 5 * 50
