"""What the rows of the table of speed share: goals, rounds that take turns, and JSON that can be compared.

Every `p*.py` measures one row of docs/explanation/performance.md and runs alone; `all_speed.py` runs them all.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from common import report

from trainer.model import Model, ModelConfig, new_model


@dataclass(frozen=True)
class Figure:
    """One figure of a row, the median of rounds.

    Parameters
    ----------
    measure : str
    ours, reference : float
        In `unit`.
    ratio : float
        Of the two; the median of the rounds' ratios, which is not the ratio of the medians.
    goal : str
        For example ">= 0.85" or "<= 1.15", of the ratio, or of `ours` where `of_ours`; empty if there is none.
    """

    measure: str
    ours: float
    unit: str
    reference: float
    ratio: float
    goal: str = ""
    of_ours: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None if there is none."""
        if not self.goal:
            return None
        relation, bound = self.goal.split()[:2]
        value = self.ours if self.of_ours else self.ratio
        return value >= float(bound) if relation == ">=" else value <= float(bound)


def figure(
    measure: str,
    ours: Sequence[float],
    unit: str,
    reference: Sequence[float],
    goal: str = "",
    *,
    of_ours: bool = False,
) -> Figure:
    """Return the figure that rounds make."""
    ratios = [a / b for a, b in zip(ours, reference, strict=True)]
    return Figure(measure, median(ours), unit, median(reference), median(ratios), goal, of_ours)


def run(
    row: str, title: str, measure: Callable[[bool], Sequence[Figure]], notes: Mapping[str, Any] | None = None
) -> None:
    """Measure, and print a table or, with --json, one JSON object."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--short", action="store_true", help="a quick run, to see that it still works")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    figures = measure(options.short)
    rows = [{"row": row, **asdict(one), "met": one.met} for one in figures]
    if options.json:
        json.dump(
            {"row": row, "title": title, "short": options.short, "figures": rows, **(notes or {})}, sys.stdout
        )
        sys.stdout.write("\n")
    else:
        report(
            f"{row}: {title}",
            [{k: v for k, v in r.items() if k not in ("row", "of_ours")} for r in rows],
            as_json=False,
        )


def tanh_rnn() -> Model:
    """Return a tanh RNN of 32 units without a level: the smallest model there is, and the one of the goals."""
    return new_model(ModelConfig("rnn", 32), seed=0)
