"""Which connections ZeroMQ has given up: those that end, and of which nothing follows."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.transport.connection_states import Event
from streamer.transport.reconnects import GivenUp, GivenUpWatch

ADDRESS = "tcp://host:5555"
STANDS = (Event.TRIED, Event.ACCEPTED, Event.STANDS)


def watch(*events: Event) -> GivenUpWatch:
    watched = GivenUpWatch([ADDRESS])
    take(watched, events)
    return watched


def take(watched: GivenUpWatch, events: Sequence[Event]) -> None:
    for event in events:
        watched.event(ADDRESS, event)


def looks(watched: GivenUpWatch, count: int) -> list[int]:
    """Return at which looks it is to be made anew."""
    return [look for look in range(count) if watched.look()]


def test_who_is_cut_off_again_and_again_is_connected_to_less_and_less_often() -> None:
    watched = watch()
    waits = []
    for _ in range(9):
        take(watched, [*STANDS, Event.GONE])
        waits.append(next(look for look in range(100) if watched.look()))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_who_cannot_be_connected_to_is_tried_again_later() -> None:
    assert looks(watch(*STANDS, Event.GONE), 100) == [1, 3, 7, 15, 31, 63]


def test_trouble_is_new_once_it_stood_for_long() -> None:
    watched = watch(*STANDS, Event.GONE)
    watched.look()
    assert watched.look() == [GivenUp(ADDRESS, stood=True, first=True)]
    for stands_looks, first, wait in ((5, False, 2), (59, False, 4), (60, True, 1)):
        take(watched, STANDS)
        assert looks(watched, stands_looks) == []
        take(watched, [Event.GONE])
        assert looks(watched, wait) == []
        assert watched.look() == [GivenUp(ADDRESS, stood=True, first=first)]


def test_who_was_never_understood_is_tried_again_without_a_word() -> None:
    watched = watch(Event.TRIED, Event.ACCEPTED, Event.WRONG_KEY, Event.GONE)
    watched.look()
    assert watched.look() == [GivenUp(ADDRESS, stood=False, first=False)]


def test_others_are_left_alone() -> None:
    watched = GivenUpWatch([ADDRESS, "ipc:///x"])
    take(watched, [*STANDS, Event.GONE])
    assert {one.address for _ in range(100) for one in watched.look()} == {ADDRESS}


@pytest.mark.parametrize("ended", [True, False])
@given(st.lists(st.one_of(st.sampled_from(Event), st.none()), max_size=60))  # None: a look
def test_whom_zeromq_looks_after_is_never_touched(ended: bool, steps: list[Event | None]) -> None:
    watched = GivenUpWatch([ADDRESS])
    for step in steps:
        if step is None:
            watched.look()
        else:
            watched.event(ADDRESS, step)
    if ended:
        take(watched, [Event.GONE])
    take(watched, [Event.WAITS])
    assert looks(watched, 200) == []
