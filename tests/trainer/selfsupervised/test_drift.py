"""The Page-Hinkley test on errors whose change is known."""

import numpy as np

from trainer.selfsupervised.drift import WARM_UP, PageHinkley


def alarms(errors: np.ndarray) -> list[int]:
    test = PageHinkley()
    found = [number for number, error in enumerate(errors) if test.add(float(error))]
    assert test.alarms == len(found)
    return found


def test_steady_errors_raise_no_alarm() -> None:
    for seed in range(10):
        errors = np.abs(np.random.default_rng(seed).standard_normal(2000)) * 30
        assert alarms(errors) == []


def test_a_step_up_is_noticed_soon_and_once_whatever_the_unit() -> None:
    generator = np.random.default_rng(5)
    for unit in (1e-6, 1.0, 1e6):
        errors = generator.normal(10, 2, 600)
        errors[300:] += 8
        found = alarms(errors * unit)
        assert len(found) == 1
        assert 300 <= found[0] < 315


def test_getting_better_is_no_alarm() -> None:
    errors = np.random.default_rng(6).normal(20, 2, 600)
    errors[300:] -= 10
    assert alarms(errors) == []


def test_nothing_is_said_before_errors_are_known_and_nan_is_left_out() -> None:
    test = PageHinkley()
    assert not any(test.add(float("nan")) for _ in range(100))
    assert not any(test.add(1000.0 * (number % 2)) for number in range(WARM_UP))
    steady = PageHinkley()
    for _ in range(100):
        steady.add(1.0)
    assert steady.add(2.0)  # from exactly steady errors any step counts
