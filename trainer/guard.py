"""Who serves: the champion, a frozen model, or the challenger, which learns.

Both are scored on the same late labels with the estimates they made before those labels existed (prequentially; Gama,
Sebastiao and Rodrigues, "On evaluating stream learning algorithms", 2013). The challenger serves only while it is
better, by a rule with hysteresis.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORST_DEG = 180.0


@dataclass(frozen=True, slots=True)
class GuardConfig:
    """When to switch. A block is one cycle.

    Parameters
    ----------
    memory_blocks : float
        Scores are exponential averages over so many.
    evidence_blocks : int
        So many have to be scored before the challenger may serve; twice as many after each time it was rolled back.
    most_evidence_blocks : int
        But never more than these.
    lead : float
        To serve, the challenger's score must be below this share of the champion's ...
    lead_deg : float
        ... and below it by so much: labels are not exact either.
    trail : float
        It is rolled back once its score is above this share of the champion's.
    """

    memory_blocks: float = 30.0
    evidence_blocks: int = 20
    most_evidence_blocks: int = 320
    lead: float = 0.9
    lead_deg: float = 1.0
    trail: float = 1.0


class Guard:
    """Keeps the score of each channel's champion and challenger.

    Parameters
    ----------
    channels : int
    config : GuardConfig

    Attributes
    ----------
    serving : bool array [channels]
        True where the challenger serves.
    switches, rollbacks : int
        Changes of who serves; how many of them went back to the champion.
    """

    def __init__(self, channels: int, config: GuardConfig | None = None) -> None:
        self.config = config or GuardConfig()
        self.serving = np.zeros(channels, bool)
        self.switches = 0
        self.rollbacks = 0
        self._sums = np.zeros((2, channels))  # of the champion's and the challenger's errors
        self._mass = np.zeros(channels)
        self._scored = np.zeros(channels, np.int64)
        self._needed = np.full(channels, self.config.evidence_blocks)

    @property
    def champion_deg(self) -> NDArray[np.float64]:
        """Mean absolute phase error [channels]; NaN before the first score."""
        return self._score(0)

    @property
    def challenger_deg(self) -> NDArray[np.float64]:
        """Mean absolute phase error [channels]; NaN before the first score."""
        return self._score(1)

    def score(self, champion_deg: NDArray[np.float64], challenger_deg: NDArray[np.float64]) -> None:
        """Take one block's mean absolute phase errors [channels] and decide who serves from now on.

        Blocks without a champion's error (no label) do not count. A challenger's error that is not finite is the
        worst there is and costs it its place at once.
        """
        scored = np.isfinite(champion_deg)
        broken = scored & ~np.isfinite(challenger_deg)
        errors = np.where(broken, WORST_DEG, np.stack([champion_deg, challenger_deg]))
        keep = np.exp(-1.0 / self.config.memory_blocks)
        self._sums = np.where(scored, keep * self._sums + (1 - keep) * errors, self._sums)
        self._mass = np.where(scored, keep * self._mass + (1 - keep), self._mass)
        self._scored += scored
        champion, challenger = self.champion_deg, self.challenger_deg
        ready = scored & ~broken & (self._scored >= self._needed)
        leads = (challenger < self.config.lead * champion) & (challenger < champion - self.config.lead_deg)
        self._promote(ready & leads & ~self.serving)
        self.roll_back(scored & (broken | (challenger > self.config.trail * champion)))

    def roll_back(self, channels: NDArray[np.bool_]) -> None:
        """Let the champion serve these channels [channels], and ask for more evidence the next time."""
        channels = channels & self.serving
        self.serving &= ~channels
        self._needed = np.where(
            channels, np.minimum(2 * self._needed, self.config.most_evidence_blocks), self._needed
        )
        self._scored[channels] = 0
        self.switches += int(channels.sum())
        self.rollbacks += int(channels.sum())

    def _promote(self, channels: NDArray[np.bool_]) -> None:
        self.serving |= channels
        self.switches += int(channels.sum())

    def _score(self, who: int) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            score: NDArray[np.float64] = self._sums[who] / self._mass
        return score
