"""Who serves: the champion, a frozen model, or the challenger, which learns.

Both are scored on the same late labels with the estimates they made before those labels existed (prequentially;
Gama, Sebastiao and Rodrigues, "On evaluating stream learning algorithms", 2013). The challenger serves only while
it is better, by a rule with hysteresis.
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
    memory_blocks, brief_blocks : float
        Scores are exponential averages over so many; the brief ones notice a sudden failure.
    evidence_blocks, most_evidence_blocks : int
        So many have to be scored before the challenger may serve; twice as many each time it was rolled back, up
        to the most.
    lead, lead_deg : float
        To serve, the challenger's score must be below this share of the champion's, and below it by so many
        degrees: labels are not exact either.
    trail, brief_trail : float
        It is rolled back once its score, or its brief score, is above this share of the champion's.
    apart : float
        It is also withdrawn, without waiting for labels, once the two are so many times as far apart as usual.
    doubt_blocks : int
        Then so many more blocks have to be scored, for their labels tell which of the two was wrong.
    false_alarm : float
        If it was the champion, `apart` grows by this factor.
    """

    memory_blocks: float = 20.0
    brief_blocks: float = 4.0
    evidence_blocks: int = 10
    most_evidence_blocks: int = 320
    lead: float = 0.9
    lead_deg: float = 1.0
    trail: float = 1.0
    brief_trail: float = 1.25
    apart: float = 4.0
    doubt_blocks: int = 8
    false_alarm: float = 1.5


class FadingMean:
    """Exponential averages of rows of numbers, right from the first one (bias-corrected).

    Parameters
    ----------
    memory : float
        Time constant, in values.
    shape : tuple of int
    """

    def __init__(self, memory: float, shape: tuple[int, ...]) -> None:
        self._keep = np.exp(-1.0 / memory)
        self._sum, self._mass = np.zeros(shape), np.zeros(shape)

    def add(self, values: NDArray[np.float64]) -> None:
        """Take one value each; NaN leaves an average as it is."""
        known = np.isfinite(values)
        self._sum = np.where(known, self._keep * self._sum + (1 - self._keep) * values, self._sum)
        self._mass = np.where(known, self._keep * self._mass + (1 - self._keep), self._mass)

    @property
    def value(self) -> NDArray[np.float64]:
        """The averages; NaN before the first value."""
        return np.divide(self._sum, self._mass, out=np.full_like(self._sum, np.nan), where=self._mass > 0)


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
        self._errors = FadingMean(self.config.memory_blocks, (2, channels))  # the champion's, the challenger's
        self._brief = FadingMean(self.config.brief_blocks, (2, channels))
        self._apart = FadingMean(4 * self.config.memory_blocks, (channels,))
        self._scored = np.zeros(channels, np.int64)
        self._needed = np.full(channels, self.config.evidence_blocks)
        self._wait = np.zeros(channels, np.int64)  # blocks to be scored before anything else
        self._limit = np.full(channels, self.config.apart)
        self._doubted = np.zeros(channels, bool)  # withdrawn for being far apart, and not found wrong since

    @property
    def champion_deg(self) -> NDArray[np.float64]:
        """Mean absolute phase error [channels]; NaN before the first score."""
        champion: NDArray[np.float64] = self._errors.value[0]
        return champion

    @property
    def challenger_deg(self) -> NDArray[np.float64]:
        """Mean absolute phase error [channels]; NaN before the first score."""
        challenger: NDArray[np.float64] = self._errors.value[1]
        return challenger

    def score(self, champion_deg: NDArray[np.float64], challenger_deg: NDArray[np.float64]) -> None:
        """Take one block's mean absolute phase errors [channels] and decide who serves from now on.

        Blocks without a champion's error (no label) do not count. A challenger's error that is not finite is the
        worst there is and costs it its place at once.
        """
        scored = np.isfinite(champion_deg)
        broken = scored & ~np.isfinite(challenger_deg)
        errors = np.stack([champion_deg, np.where(broken, WORST_DEG, challenger_deg)])
        errors[:, ~scored] = np.nan
        self._errors.add(errors)
        self._brief.add(errors)
        self._scored += scored
        self._wait -= scored
        champion, challenger = self._errors.value
        brief_champion, brief_challenger = self._brief.value
        config = self.config
        leads = (challenger < config.lead * champion) & (challenger < champion - config.lead_deg)
        trails = (challenger > config.trail * champion) | (brief_challenger > config.brief_trail * brief_champion)
        self._roll_back(scored & (trails | broken))
        self._doubted &= ~(trails | broken)
        # The clearer the lead, the less evidence it takes.
        evident = (self._wait <= 0) & (self._scored * config.lead * champion >= self._needed * challenger)
        self._promote(scored & leads & ~trails & ~broken & evident)

    def compare(self, apart_deg: NDArray[np.float64]) -> None:
        """Take how far apart the two were [channels], on average over a quarter of the newest block.

        Needs no label, so that a challenger that loses its footing is noticed at once.
        """
        lost = self.serving & (apart_deg > self._limit * self._apart.value)
        self._doubted |= lost
        self._wait[lost] = self.config.doubt_blocks
        self._withdraw(lost)
        self._apart.add(apart_deg)

    def _roll_back(self, channels: NDArray[np.bool_]) -> None:
        """Let the champion serve these, and ask for more evidence the next time."""
        channels = channels & self.serving
        more = np.minimum(2 * self._needed, self.config.most_evidence_blocks)
        self._needed = np.where(channels, more, self._needed)
        self._scored[channels] = 0
        self._withdraw(channels)

    def _withdraw(self, channels: NDArray[np.bool_]) -> None:
        self.serving &= ~channels
        self.switches += int(channels.sum())
        self.rollbacks += int(channels.sum())

    def _promote(self, channels: NDArray[np.bool_]) -> None:
        channels = channels & ~self.serving
        self.serving |= channels
        self._limit = np.where(channels & self._doubted, self.config.false_alarm * self._limit, self._limit)
        self._doubted &= ~channels
        self.switches += int(channels.sum())
