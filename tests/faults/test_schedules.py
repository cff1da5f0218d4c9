"""Seeded schedules of losses, copies, delays and deaths: the real cores of all three, on a fake clock.

A schedule that fails is named by its seed: ``python tests/faults/schedules.py SEED`` plays it again and says what
happened. The release dose is played by that script, which can go on where it was stopped.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from tests.support.fixtures import Dose, Inject
from tests.support.plans import Plan
from tests.support.verdict import judged
from tests.support.world import played

QUICK, RELEASE = 300, 1_000_000
FAULTS = ("lost", "doubled", "late", "deaths", "resumed", "suspended", "unread", "named", "flipped", "gaps")
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


def test_many_schedules_can_be_played_in_several_goes(tmp_path: Path) -> None:
    def played_to(count: int, name: str) -> dict[str, object]:
        flags = ["--first", "5", "--count", str(count), "--json", str(tmp_path / name)]
        subprocess.run([sys.executable, str(SCRIPT), *flags], check=True, capture_output=True, timeout=240)
        report: dict[str, object] = json.loads((tmp_path / name).read_text())
        return {key: report[key] for key in ("first", "played", "went_wrong", "happened")}

    played_to(4, "twice.json")
    assert played_to(9, "twice.json") == played_to(9, "once.json")
