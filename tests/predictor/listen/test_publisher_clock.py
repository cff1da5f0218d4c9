"""The clock of a publisher: it goes while somebody is heard who has what is missing."""

from hypothesis import given
from hypothesis import strategies as st

from predictor.listen.publisher_clock import SILENT_NS, PublisherClock

MS = 1_000_000


def test_it_stands_still_in_silence_and_goes_on_where_it_stood() -> None:
    clock = PublisherClock()
    clock.hear(1000 * MS)
    assert clock.counted_ns(1500 * MS) == 1500 * MS
    assert clock.counted_ns(60_000 * MS) == 1000 * MS + SILENT_NS
    clock.hear(60_000 * MS)
    assert clock.counted_ns(60_500 * MS) == 1500 * MS + SILENT_NS


def test_it_stands_still_while_the_publisher_is_behind() -> None:
    clock = PublisherClock()
    clock.hear(0 * MS + 1)
    clock.fall_behind(100 * MS, behind=True)
    clock.hear(900 * MS)
    assert clock.counted_ns(1000 * MS) == 100 * MS
    assert clock.reaches_ns(100 * MS) is None
    clock.fall_behind(1000 * MS, behind=False)
    assert clock.counted_ns(1200 * MS) == 300 * MS


@given(st.lists(st.tuples(st.integers(1, 3 * SILENT_NS), st.sampled_from(["hear", "behind", "there", "look"]))))
def test_it_never_goes_back_never_faster_and_says_when_it_will_be_how_late(steps: list[tuple[int, str]]) -> None:
    clock, now_ns = PublisherClock(), 1
    clock.hear(now_ns)
    before = now_ns, now_ns
    for passed_ns, what in steps:
        now_ns += passed_ns
        due_ns = clock.reaches_ns(before[1] + 5 * MS)
        counted_ns = clock.counted_ns(now_ns)
        assert 0 <= counted_ns - before[1] <= now_ns - before[0]
        assert (counted_ns >= before[1] + 5 * MS) == (due_ns is not None and now_ns >= due_ns)
        if what == "hear":
            clock.hear(now_ns)
        elif what != "look":
            clock.fall_behind(now_ns, behind=what == "behind")
        before = now_ns, counted_ns
