"""A change in a sequence of errors: the Page-Hinkley test.

Page, "Continuous inspection schemes", 1954; Hinkley, "Inference about the change-point from cumulative sum tests",
1971. Errors are taken in units of their own standard deviation, so one threshold does for every signal.
"""

from typing import ClassVar

import numpy as np

from streamer.errors import FileError
from trainer.state import Kept, Tree

WARM_UP = 30  # errors before the first test: their mean and spread must be known
TOLERATED = 0.5  # standard deviations above the mean that are no change
THRESHOLD = 20.0  # standard deviations, summed


class PageHinkley(Kept):
    """Notices that errors have become larger.

    Attributes
    ----------
    alarms : int
        Changes noticed.
    """

    kept: ClassVar = {"alarms": int, "_count": int, "_mean": float, "_squares": float, "_excess": float}

    def __init__(self) -> None:
        self.alarms = 0
        self.restart()

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        if self._squares < 0:
            raise FileError(f"state: _squares must not be negative, got {self._squares}")

    def restart(self) -> None:
        """Learn anew what is usual."""
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0  # summed, of the deviations from the mean (Welford)
        self._excess = 0.0

    def add(self, error: float) -> bool:
        """Take an error; return True, and start anew, if it shows a change. One that is not finite is left out."""
        if not np.isfinite(error):
            return False
        if self._count >= WARM_UP:
            spread = max((self._squares / self._count) ** 0.5, 1e-9)
            self._excess = max(0.0, self._excess + (error - self._mean) / spread - TOLERATED)
            if self._excess > THRESHOLD:
                self.alarms += 1
                self.restart()
                return True
        self._count += 1
        deviation = error - self._mean
        self._mean += deviation / self._count
        self._squares += deviation * (error - self._mean)
        return False
