"""Seeded schedules of losses, copies, delays and deaths: the real cores of all three, on a fake clock.

A schedule that fails is named by its seed: ``python tests/faults/schedules.py SEED`` plays it again and says what
happened. The release dose is played by that script, which can go on where it was stopped.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.fixtures import Dose, Inject
from tests.support.lossy import MS, Faults
from tests.support.plans import Plan
from tests.support.verdict import judged
from tests.support.world import Outcome, played

QUICK, RELEASE = 300, 1_000_000
FAULTS = (
    "lost", "doubled", "late", "deaths", "resumed", "suspended", "unread", "named", "flipped", "gaps",
    "begun_again",
)  # fmt: skip
SCRIPT = Path(__file__).with_name("schedules.py")


def test_whatever_the_schedule_each_sample_has_its_estimate_or_its_gap(
    rng: np.random.Generator, injected: Inject, dose: Dose
) -> None:
    happened: Counter[str] = Counter()
    count = dose.pick(quick=QUICK, release=RELEASE)
    first = int(rng.integers(2**62))
    for seed in range(first, first + count):
        plan = Plan.drawn(seed)
        outcome = played(plan)
        assert judged(plan, outcome) == [], f"python tests/faults/schedules.py {seed}"
        happened.update(outcome.happened)
    assert all(happened[fault] for fault in FAULTS)
    injected("schedules on a fake clock", count, first_seed=first, **happened)


def test_a_schedule_is_the_same_whenever_it_is_played() -> None:
    plan = Plan.drawn(12)
    assert played(plan) == played(plan)


def begun_again(**plan: Any) -> tuple[Plan, Outcome]:
    plan = Plan(7, 9, 1, 0, learns=False, faults=Faults(), returns="zero", **plan)
    return plan, played(plan)


def test_a_run_begun_again_is_told_whole_under_its_name() -> None:
    plan, outcome = begun_again(source_deaths=(200 * MS,))
    (told,) = outcome.again.values()
    assert (outcome.begun_again, len(outcome.rows), len(told.rows)) == (1, 5, 9)
    assert judged(plan, outcome) == []


def test_a_predictor_that_forgot_the_run_before_leaves_it_to_the_reader_to_name_it() -> None:
    plan, outcome = begun_again(source_deaths=(100 * MS,), predictor_deaths=(90 * MS,))
    assert [len(told.rows) for told in outcome.again.values()] == [9]
    assert judged(plan, outcome) == []


@pytest.mark.parametrize("wrong", ["a hole", "another value", "not whole", "twice"])
def test_what_goes_wrong_with_a_run_begun_again_is_seen(wrong: str) -> None:
    plan, outcome = begun_again(source_deaths=(200 * MS,))
    (told,) = outcome.again.values()
    match wrong:
        case "a hole":
            del told.rows[3]
        case "another value":
            told.rows[3] = (3, (0.0, 0.0), 0)
        case "not whole":
            del told.rows[3:]
        case _:
            told.rows.insert(3, told.rows[3])
    assert judged(plan, outcome)


def test_many_schedules_can_be_played_in_several_goes(tmp_path: Path) -> None:
    def played_to(count: int, name: str) -> dict[str, object]:
        flags = ["--first", "5", "--count", str(count), "--json", str(tmp_path / name)]
        subprocess.run([sys.executable, str(SCRIPT), *flags], check=True, capture_output=True, timeout=240)
        report: dict[str, object] = json.loads((tmp_path / name).read_text())
        return {key: report[key] for key in ("first", "played", "went_wrong", "happened")}

    played_to(4, "twice.json")
    assert played_to(9, "twice.json") == played_to(9, "once.json")
