"""Order, duplicates, gaps and runs."""

from hypothesis import given
from hypothesis import strategies as st

from streamer.sequencer import REMEMBERED_RUNS, Place, Placement, Sequencer


def test_the_first_chunk_begins_a_run_wherever_it_is() -> None:
    sequencer = Sequencer()
    assert sequencer.place(7, 100, 5) == Placement(Place.NEW_RUN)
    assert (sequencer.run, sequencer.next_seq) == (7, 105)


def test_samples_in_order_are_next() -> None:
    sequencer = Sequencer()
    sequencer.place(7, 0, 5)
    assert sequencer.place(7, 5, 1) == Placement(Place.NEXT)


def test_a_jump_ahead_is_a_gap_of_so_many_samples() -> None:
    sequencer = Sequencer()
    sequencer.place(7, 0, 5)
    assert sequencer.place(7, 8, 2) == Placement(Place.AFTER_GAP, missing=3)
    assert sequencer.next_seq == 10


def test_what_was_seen_is_a_duplicate_and_an_overlap_is_trimmed() -> None:
    sequencer = Sequencer()
    sequencer.place(7, 0, 5)
    assert sequencer.place(7, 1, 4) == Placement(Place.DUPLICATE)
    assert sequencer.place(7, 3, 4) == Placement(Place.NEXT, skip=2)
    assert sequencer.next_seq == 7


def test_a_run_that_was_left_never_comes_back() -> None:
    sequencer = Sequencer()
    for run in range(REMEMBERED_RUNS + 1):
        sequencer.place(run, 0, 1)
    assert sequencer.place(0, 1, 1) == Placement(Place.STALE_RUN)
    assert sequencer.run == REMEMBERED_RUNS


def test_the_source_knows_of_a_lost_tail() -> None:
    sequencer = Sequencer()
    sequencer.place(7, 0, 5)
    assert sequencer.lost_tail(7, 5) == 0
    assert sequencer.lost_tail(8, 50) == 0
    assert sequencer.lost_tail(7, 9) == 4
    assert sequencer.place(7, 9, 1) == Placement(Place.NEXT)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)), max_size=40))
def test_every_sample_is_taken_once_or_missing_once(chunks: list[tuple[int, int]]) -> None:
    sequencer = Sequencer()
    sequencer.place(1, 0, 1)
    taken, missing = [0], 0
    for seq, count in chunks:
        placement = sequencer.place(1, seq, count)
        missing += placement.missing
        if placement.place is not Place.DUPLICATE:
            taken += range(seq + placement.skip, seq + count)
    assert taken == sorted(set(taken))
    assert len(taken) + missing == sequencer.next_seq == taken[-1] + 1
