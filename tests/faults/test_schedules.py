"""Seeded schedules of losses, copies, delays and deaths: the real cores of all three, on a fake clock.

A schedule that fails is named by its seed: ``python tests/support/world.py SEED`` plays it again and says what
happened; ``python tests/support/world.py FIRST LAST`` plays many.
"""

from collections import Counter

import numpy as np
from fixtures import Dose, Inject
from world import Plan, judged, played

QUICK, RELEASE = 200, 1_000_000


def test_whatever_the_schedule_each_sample_has_its_estimate_or_its_gap(
    rng: np.random.Generator, injected: Inject, dose: Dose
) -> None:
    happened: Counter[str] = Counter()
    count = dose.pick(quick=QUICK, release=RELEASE)
    first = int(rng.integers(2**62))
    for seed in range(first, first + count):
        plan = Plan.drawn(seed)
        outcome = played(plan)
        assert judged(plan, outcome) == [], f"python tests/support/world.py {seed}"
        happened.update(outcome.happened)
    assert all(happened[fault] for fault in ("lost", "doubled", "late", "deaths", "resumed", "gaps"))
    injected("schedules on a fake clock", count, first_seed=first, **happened)


def test_a_schedule_is_the_same_whenever_it_is_played() -> None:
    plan = Plan.drawn(12)
    assert played(plan) == played(plan)
