"""The guard on scripted errors: who serves, from when, until when."""

from dataclasses import replace

import numpy as np
import pytest

from trainer.guard import Guard, GuardConfig

CONFIG = GuardConfig(memory_blocks=10, brief_blocks=2, evidence_blocks=10, most_evidence_blocks=40, doubt_blocks=5)


def play(guard: Guard, champion: float, challenger: float, blocks: int) -> list[bool]:
    """Score blocks of one channel with these errors; return who served after each."""
    served = []
    for _ in range(blocks):
        guard.score(np.array([champion]), np.array([challenger]))
        served.append(bool(guard.serving[0]))
    return served


def test_a_better_challenger_serves_once_there_is_evidence() -> None:
    guard = Guard(1, CONFIG)
    served = play(guard, 40.0, 35.9, 30)
    assert served == [False] * 9 + [True] * 21
    assert (guard.switches, guard.rollbacks) == (1, 0)
    assert guard.champion_deg[0] == pytest.approx(40.0)
    assert guard.challenger_deg[0] == pytest.approx(35.9)


def test_a_clearer_lead_takes_less_evidence() -> None:
    firsts = [play(Guard(1, CONFIG), 40.0, challenger, 30).index(True) for challenger in (35.0, 18.0, 3.0)]
    assert firsts == [9, 4, 0]


@pytest.mark.parametrize(("champion", "challenger"), [(40.0, 37.0), (1.0, 0.2), (40.0, 40.0), (20.0, 40.0)])
def test_a_challenger_that_is_hardly_better_never_serves(champion: float, challenger: float) -> None:
    guard = Guard(1, CONFIG)
    assert not any(play(guard, champion, challenger, 200))
    assert guard.switches == 0


def test_between_lead_and_trail_nothing_changes() -> None:
    guard = Guard(1, CONFIG)
    play(guard, 40.0, 20.0, 20)
    assert all(play(guard, 40.0, 38.0, 100))
    assert guard.switches == 1


def test_a_challenger_that_fails_is_rolled_back_and_may_come_back() -> None:
    guard = Guard(1, CONFIG)
    play(guard, 40.0, 20.0, 20)
    served = play(guard, 40.0, 90.0, 10)
    assert served.index(False) <= 2  # by the brief score: the long one is still 20 then
    assert guard.rollbacks == 1
    assert not any(play(guard, 40.0, 90.0, 100))
    assert any(play(guard, 40.0, 20.0, 100))


def test_evidence_doubles_with_each_rollback_up_to_a_limit() -> None:
    guard = Guard(1, replace(CONFIG, memory_blocks=0.01, brief_blocks=0.01))  # scores are those of the last block
    waits = []
    for _ in range(4):
        waits.append(play(guard, 40.0, 35.9, 100).index(True) + 1)
        assert play(guard, 40.0, 90.0, 1) == [False]
    assert waits == [10, 20, 40, 40]
    assert guard.rollbacks == 4


def test_a_slowly_worsening_challenger_is_rolled_back_by_the_long_score() -> None:
    guard = Guard(1, CONFIG)
    play(guard, 40.0, 20.0, 20)
    assert not play(guard, 40.0, 42.0, 60)[-1]


def test_a_challenger_that_is_not_a_number_is_rolled_back_at_once() -> None:
    guard = Guard(1, CONFIG)
    play(guard, 40.0, 20.0, 20)
    assert play(guard, 40.0, float("nan"), 1) == [False]
    assert np.isfinite(guard.challenger_deg).all()
    assert not any(play(guard, 40.0, float("nan"), 50))


def test_blocks_without_labels_count_for_nothing() -> None:
    guard = Guard(1, CONFIG)
    play(guard, 40.0, 35.0, 9)
    play(guard, float("nan"), 35.0, 100)
    assert not guard.serving[0]
    assert play(guard, 40.0, 35.0, 1) == [True]


def serving(apart_deg: float = 10.0) -> Guard:
    """A guard whose challenger serves, usually so far from the champion."""
    guard = Guard(1, CONFIG)
    for _ in range(20):
        guard.compare(np.array([apart_deg]))
    play(guard, 40.0, 20.0, 20)
    return guard


def test_two_that_move_apart_are_noticed_without_labels() -> None:
    guard = serving()
    guard.compare(np.array([CONFIG.apart * 10.0 - 5.0]))
    assert guard.serving[0]
    guard.compare(np.array([CONFIG.apart * 10.0 + 20.0]))
    assert not guard.serving[0]
    guard.compare(np.array([float("nan")]))
    assert guard.rollbacks == 1


def test_if_the_champion_was_wrong_the_challenger_soon_serves_again_and_is_doubted_less() -> None:
    guard = serving()
    guard.compare(np.array([60.0]))
    assert play(guard, 60.0, 20.0, 10).index(True) < CONFIG.doubt_blocks
    guard.compare(np.array([60.0]))
    assert guard.serving[0]


def test_if_the_challenger_was_wrong_it_waits_and_is_doubted_as_before() -> None:
    guard = serving()
    guard.compare(np.array([60.0]))
    assert not any(play(guard, 40.0, 120.0, 20))
    assert any(play(guard, 40.0, 20.0, 50))
    guard.compare(np.array([60.0]))
    assert not guard.serving[0]


def test_channels_are_judged_alone() -> None:
    guard = Guard(3, CONFIG)
    for _ in range(20):
        guard.score(np.array([40.0, 40.0, np.nan]), np.array([20.0, np.nan, 20.0]))
    assert guard.serving.tolist() == [True, False, False]
    assert np.isnan(guard.champion_deg[2])
