"""The guard on scripted errors: who serves, from when, until when."""

import numpy as np
import pytest

from trainer.selfsupervised.guard import FadingMean, Guard, GuardConfig

CONFIG = GuardConfig()


def play(guard: Guard, champion: float, challenger: float, blocks: int) -> list[bool]:
    """Score blocks of one channel with these errors; return who served after each."""
    served = []
    for _ in range(blocks):
        guard.score(np.array([champion]), np.array([challenger]))
        served.append(bool(guard.serving[0]))
    return served


def test_a_better_challenger_serves_once_its_lead_has_summed_up_to_the_bar() -> None:
    guard = Guard(1)
    verdict = (40.0 - 20.0 - CONFIG.margin_deg) / (40.0 + 20.0 + CONFIG.slack_deg)
    needed = int(np.ceil(CONFIG.bar / verdict))
    assert play(guard, 40.0, 20.0, 30) == [False] * (needed - 1) + [True] * (31 - needed)
    assert (guard.switches, guard.rollbacks) == (1, 0)
    assert guard.champion_deg.value[0] == pytest.approx(40.0)
    assert guard.challenger_deg.value[0] == pytest.approx(20.0)


def test_a_clearer_lead_takes_less_time_and_a_slight_one_gets_there() -> None:
    firsts = [play(Guard(1), 40.0, challenger, 500).index(True) for challenger in (38.0, 30.0, 3.0)]
    assert firsts == sorted(firsts, reverse=True)
    assert firsts[0] > 150
    assert firsts[2] < 4


@pytest.mark.parametrize(("champion", "challenger"), [(40.0, 39.5), (1.0, 0.1), (40.0, 40.0), (20.0, 40.0)])
def test_a_challenger_that_is_hardly_better_never_serves(champion: float, challenger: float) -> None:
    guard = Guard(1)
    assert not any(play(guard, champion, challenger, 1000))
    assert guard.switches == 0


def test_a_champion_as_good_as_labels_are_is_not_replaced() -> None:
    assert not any(play(Guard(1), CONFIG.least_deg - 0.1, 0.05, 1000))
    assert any(play(Guard(1), CONFIG.least_deg + 0.1, 0.05, 1000))


def test_a_few_cycles_in_which_labels_are_wrong_do_not_count_for_much() -> None:
    guard = Guard(1)
    for _ in range(20):  # what a phase jump does to labels: one block in ten seems bad for the better one
        play(guard, 0.2, 1.5, 9)
        play(guard, 60.0, 20.0, 1)
    assert guard.switches == 0


def test_a_lead_in_unusual_errors_does_not_count_until_they_are_usual() -> None:
    guard = Guard(1)
    play(guard, 1.0, 0.6, 50)
    first = play(guard, 84.0, 36.0, 100).index(True)
    plain = play(Guard(1), 84.0, 36.0, 100).index(True)
    assert first > plain + 10


def test_a_worse_challenger_is_rolled_back_and_an_equal_one_is_left_alone() -> None:
    guard = Guard(1)
    play(guard, 40.0, 20.0, 20)
    assert all(play(guard, 40.0, 40.0, 100))
    failed = play(guard, 10.0, 90.0, 10)
    assert failed.index(False) == 3
    assert (guard.switches, guard.rollbacks) == (2, 1)
    assert not any(play(guard, 10.0, 90.0, 100))
    assert any(play(guard, 40.0, 20.0, 30))


def test_what_served_long_and_well_is_rolled_back_as_fast() -> None:
    guard = Guard(1)
    play(guard, 40.0, 1.0, 1000)
    assert play(guard, 10.0, 90.0, 10).index(False) == 3


def test_a_few_cycles_in_which_both_are_good_do_not_roll_back() -> None:
    guard = Guard(1)
    play(guard, 75.0, 35.0, 50)
    assert all(play(guard, 5.0, 17.0, 8))
    assert not all(play(guard, 5.0, 17.0, 60))


def test_the_bar_doubles_with_each_rollback_up_to_a_limit() -> None:
    guard = Guard(1, GuardConfig(bar=3.0, highest_bar=12.0, margin_deg=0.0, slack_deg=0.0))
    waits = []
    for _ in range(4):
        waits.append(play(guard, 30.0, 10.0, 100).index(True) + 1)  # verdicts of 0.5
        play(guard, 1.0, 179.0, 4)
    assert waits == [6, 12, 24, 24]


def test_a_challenger_that_is_not_a_number_is_rolled_back_at_once() -> None:
    guard = Guard(1)
    play(guard, 40.0, 20.0, 20)
    assert play(guard, 40.0, float("nan"), 1) == [False]
    assert not any(play(guard, 40.0, float("nan"), 50))
    assert np.isfinite(guard.challenger_deg.value).all()


def test_blocks_without_labels_count_for_nothing() -> None:
    guard = Guard(1)
    needed = play(Guard(1), 40.0, 20.0, 30).index(True)
    play(guard, 40.0, 20.0, needed)
    assert not any(play(guard, float("nan"), 20.0, 100))
    assert play(guard, 40.0, 20.0, 1) == [True]
    assert all(play(guard, float("nan"), float("nan"), 100))


def test_perfect_scores_divide_by_nothing() -> None:
    assert not any(play(Guard(1), 0.0, 0.0, 10))


def serving(apart_deg: float = 10.0) -> Guard:
    """A guard whose challenger serves, usually so far from the champion."""
    guard = Guard(1)
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
    assert play(guard, 60.0, 20.0, 10).index(True) < 6
    guard.compare(np.array([60.0]))
    assert guard.serving[0]


def test_if_the_challenger_was_wrong_it_is_doubted_as_before() -> None:
    guard = serving()
    guard.compare(np.array([60.0]))
    assert not any(play(guard, 40.0, 120.0, 20))
    assert any(play(guard, 40.0, 20.0, 50))
    guard.compare(np.array([60.0]))
    assert not guard.serving[0]


def test_who_serves_first_has_little_credit_and_is_forgiven() -> None:
    guard = Guard(1)
    guard.serve_first()
    assert guard.serving.all()
    assert play(guard, 2.0, 20.0, 3) == [False] * 3  # a verdict of 0.8 is more than the first credit
    assert (guard.switches, guard.rollbacks) == (1, 1)
    plain = Guard(1)
    assert play(guard, 40.0, 20.0, 30) == play(plain, 40.0, 20.0, 30)  # the bar is no higher than at first


def test_who_served_first_and_well_is_judged_as_any_other_from_then_on() -> None:
    guard = Guard(1)
    guard.serve_first()
    assert all(play(guard, 40.0, 5.0, 5))
    assert all(play(guard, 10.0, 90.0, 2))
    assert not any(play(guard, 10.0, 90.0, 3)[-1:])
    assert play(guard, 40.0, 5.0, 30).index(True) > play(Guard(1), 40.0, 5.0, 30).index(True)


def test_who_serves_first_is_not_withdrawn_for_a_distance_that_is_not_known_to_be_unusual() -> None:
    guard = Guard(1)
    guard.serve_first()
    for apart in [1.0] * 10 + [90.0] * 20:
        guard.compare(np.array([apart]))
    assert guard.serving.all()
    for apart in [1.0] * 400 + [90.0]:
        guard.compare(np.array([apart]))
    assert not guard.serving.any()


def test_channels_are_judged_alone() -> None:
    guard = Guard(3)
    for _ in range(20):
        guard.score(np.array([40.0, 40.0, np.nan]), np.array([20.0, np.nan, 20.0]))
        guard.compare(np.array([1.0, 1.0, np.nan]))
    assert guard.serving.tolist() == [True, False, False]
    assert np.isnan(guard.champion_deg.value[2])


def test_a_fading_mean_is_right_from_the_first_value_on_and_skips_nan() -> None:
    mean = FadingMean(5.0, (2,))
    assert np.isnan(mean.value).all()
    for number in range(40):
        mean.add(np.array([3.0, np.nan if number % 2 else float(number)]))
    assert mean.value[0] == pytest.approx(3.0)
    weights = np.exp(-np.arange(20)[::-1] / 5.0)
    assert mean.value[1] == pytest.approx(np.average(np.arange(0, 40, 2), weights=weights))
