"""What an accuracy run found: errors, the best classical method in each scenario, and what a model may err."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ALLOWED_RATIO = 1.5
ALLOWED_DEG = 0.3
"""A model may err `ALLOWED_RATIO` times the best classical method, or this much where that is less."""

Row = Mapping[str, Mapping[str, float | None]]
"""Scenario -> `metrics.Figures` as a mapping."""


@dataclass(frozen=True)
class Results:
    """Figures of every method on every scenario.

    Parameters
    ----------
    first_seed : int
    trials : mapping
        Scenario -> number of trials; their seeds count up from `first_seed`.
    ours, classical : mapping
        Method -> row.
    limit_deg : mapping
        Scenario -> mean absolute phase error (deg) that no causal estimator beats, or None.
    not_installed : sequence of str
        Methods whose package is missing.
    made_with : mapping of str to str
    """

    first_seed: int
    trials: Mapping[str, int]
    ours: Mapping[str, Row]
    classical: Mapping[str, Row]
    limit_deg: Mapping[str, float | None]
    not_installed: Sequence[str]
    made_with: Mapping[str, str]

    def phase_deg(self, method: str, scenario: str) -> float:
        """Return a method's mean absolute phase error."""
        rows = self.ours if method in self.ours else self.classical
        return float(rows[method][scenario]["phase_deg"] or 0.0)

    def best_classical(self, scenario: str) -> str:
        """Return the name of the classical method that errs least there."""
        return min(self.classical, key=lambda method: self.phase_deg(method, scenario))

    def best_deg(self, scenario: str) -> float:
        """Return the error of the best classical method."""
        return self.phase_deg(self.best_classical(scenario), scenario)

    def is_beyond(self, model: str, scenario: str) -> bool:
        """Return whether a model errs more than is allowed there."""
        return self.phase_deg(model, scenario) > max(ALLOWED_RATIO * self.best_deg(scenario), ALLOWED_DEG)

    def mean_deg(self, method: str) -> float:
        """Return a method's mean over the scenarios."""
        return float(np.mean([self.phase_deg(method, scenario) for scenario in self.trials]))

    def mean_of_best_deg(self) -> float:
        """Return the mean over the scenarios of the best classical method in each."""
        return float(np.mean([self.best_deg(scenario) for scenario in self.trials]))
