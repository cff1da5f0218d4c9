"""The scores of one run: now, at its start, and over time. A silence ends what counts as now."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from predictor.console.error_curve import ErrorCurve
from predictor.console.freshness import Freshness
from predictor.console.scoring import Scores
from trainer.metrics import SCORED_SAMPLES

START_SAMPLES = 50  # few enough that not much has been learnt from them


class Means(NamedTuple):
    """Mean errors over some samples; None where there are none."""

    rmse: float | None
    phase_deg: float | None


class RunScores:
    """Keeps, in bounded room, what the scores of a run come to."""

    def __init__(self) -> None:
        self.count = 0
        self.curve = ErrorCurve()
        self.freshness = Freshness()
        self._first: list[tuple[float, float]] = []
        self._last: deque[tuple[float, float]] = deque(maxlen=SCORED_SAMPLES)

    def add(self, squares: Scores, degrees: Scores, mono_ns: int, lasts_s: float) -> None:
        """Take the scores of samples, not none, that came at `mono_ns` and last so many seconds."""
        if not self.freshness.is_fresh(mono_ns):  # what was before the silence is not what is now
            self._last.clear()
            self.curve.cut()
        self.freshness.note(mono_ns, lasts_s)
        self.count += len(squares)
        scores = list(zip(squares.tolist(), degrees.tolist(), strict=True))
        self._first += scores[: START_SAMPLES - len(self._first)]
        self._last.extend(scores[-SCORED_SAMPLES:])
        self.curve.add(squares, degrees, mono_ns)

    @property
    def now(self) -> Means:
        """Over the last samples scored, none from before a silence."""
        return _means(self._last)

    @property
    def start(self) -> Means:
        """Over the first samples scored."""
        return _means(self._first)


def _means(scores: Iterable[tuple[float, float]]) -> Means:
    table = np.array(list(scores))
    if not len(table):
        return Means(None, None)
    degrees = table[:, 1][~np.isnan(table[:, 1])]
    return Means(float(np.sqrt(table[:, 0].mean())), float(degrees.mean()) if len(degrees) else None)
