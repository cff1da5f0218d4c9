"""Who serves: the champion, a frozen model, or the challenger, which learns.

The champion serves at first; where the band is given, the challenger does, until labels say that it is worse.

Both are scored on the same late labels with the estimates they made before those labels existed (prequentially;
Gama, Sebastiao and Rodrigues, "On evaluating stream learning algorithms", 2013). Which is better is decided
sequentially, by a cumulative sum of their relative difference (Page, "Continuous inspection schemes", 1954): a
clear lead takes a few cycles, a slight one some hundreds.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trainer.state import Kept

KNOWN_AFTER = 10  # blocks: before, nothing is usual
KNOWN_COMPARISONS = 40  # of a challenger that serves first: before, no distance is unusual

Degrees = NDArray[np.float64]
Channels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class GuardConfig:
    """When to switch. A block is one cycle; its verdict is (champion - challenger) / (champion + challenger).

    While the challenger serves, the sum is at least the usual one: of two that are both good for a few cycles, the
    one that is less so has not failed.

    Parameters
    ----------
    bar, highest_bar : float
        The challenger serves once verdicts for it sum up to the bar, which doubles with every rollback.
    margin_deg : float
        Taken off each verdict on the way there: labels are not exact either.
    slack_deg : float
        Added to each sum on the way there: of two small errors the ratio says little.
    least_deg : float
        Nor does a verdict for it count there where the champion's error is less: labels of a tone at one edge of
        the band, with a harmonic at the other, are wrong by 6 degrees.
    unusual : float
        Nor does a verdict for it count there if its error is so many times what is usual: the labels may be wrong.
    credit : float
        It is rolled back once verdicts against it sum up to this.
    apart : float
        It is also withdrawn, without waiting for labels, once the two are so many times as far apart as usual.
    false_alarm : float
        If labels then show that the champion was wrong, `apart` grows by this factor.
    memory_blocks : float
        Time constant of the scores that are reported, and of what is usual.
    first_credit : float
        What `credit` is at first for a challenger that serves from the start: less, for it has shown nothing yet.
    """

    bar: float = 2.0
    highest_bar: float = 48.0
    margin_deg: float = 1.0
    slack_deg: float = 15.0
    least_deg: float = 8.0
    unusual: float = 2.0
    credit: float = 3.0
    apart: float = 4.0
    false_alarm: float = 1.5
    memory_blocks: float = 20.0
    first_credit: float = 0.75


class FadingMean(Kept):
    """Exponential averages, right from the first value on (bias-corrected).

    Parameters
    ----------
    memory : float
        Time constant, in values.
    shape : tuple of int
    """

    kept: ClassVar = {"_sum": np.ndarray, "_mass": np.ndarray}

    def __init__(self, memory: float, shape: tuple[int, ...]) -> None:
        self._keep = np.exp(-1.0 / memory)
        self._sum, self._mass = np.zeros(shape), np.zeros(shape)

    def add(self, values: Degrees) -> None:
        """Take one value each; NaN leaves an average as it is."""
        known = np.isfinite(values)
        self._sum = np.where(known, self._keep * self._sum + (1 - self._keep) * values, self._sum)
        self._mass = np.where(known, self._keep * self._mass + (1 - self._keep), self._mass)

    @property
    def value(self) -> Degrees:
        """The averages; NaN before the first value."""
        return np.divide(self._sum, self._mass, out=np.full_like(self._sum, np.nan), where=self._mass > 0)


class Guard(Kept):
    """Judges each channel's challenger.

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
    champion_deg, challenger_deg : FadingMean
        Mean absolute phase errors [channels].
    """

    kept: ClassVar = {
        "serving": np.ndarray,
        "switches": int,
        "rollbacks": int,
        "champion_deg": FadingMean,
        "challenger_deg": FadingMean,
        "_usual_deg": FadingMean,
        "_scored": np.ndarray,
        "_sum": np.ndarray,
        "_bar": np.ndarray,
        "_apart": FadingMean,
        "_limit": np.ndarray,
        "_doubted": np.ndarray,
        "_first": np.ndarray,
        "_serves_first": bool,
        "_comparisons": int,
    }

    def __init__(self, channels: int, config: GuardConfig | None = None) -> None:
        self.config = config or GuardConfig()
        self.serving = np.zeros(channels, bool)
        self.switches = 0
        self.rollbacks = 0
        self.champion_deg = FadingMean(self.config.memory_blocks, (channels,))
        self.challenger_deg = FadingMean(self.config.memory_blocks, (channels,))
        # Slower than a band is found again: what a rhythm that has left its band does must not become usual.
        self._usual_deg = FadingMean(3 * self.config.memory_blocks, (channels,))
        self._scored = np.zeros(channels, np.int64)
        self._sum = np.zeros(channels)  # of verdicts: up to the bar, or down from the credit
        self._bar = np.full(channels, self.config.bar)
        self._apart = FadingMean(4 * self.config.memory_blocks, (channels,))
        self._limit = np.full(channels, self.config.apart)
        self._doubted = np.zeros(channels, bool)  # withdrawn for being far apart, and not found wrong since
        self._first = np.zeros(channels, bool)  # serves from the start, and labels have not spoken for it yet
        self._serves_first = False
        self._comparisons = 0

    def serve_first(self) -> None:
        """Let the challenger serve from the start, of which more is known than of the champion.

        It has little credit, and to lose its place then does not raise the bar.
        """
        self.serving[:] = self._first[:] = self._serves_first = True
        self._sum[:] = self.config.first_credit

    def score(self, champion_deg: Degrees, challenger_deg: Degrees) -> None:
        """Take one block's mean absolute phase errors [channels] and decide who serves from now on.

        Blocks without a champion's error (no label) do not count. A challenger whose error is not finite loses its
        place at once.
        """
        scored = np.isfinite(champion_deg)
        broken = scored & ~np.isfinite(challenger_deg)
        unusual = (challenger_deg > self.config.unusual * self._usual_deg.value) & (self._scored >= KNOWN_AFTER)
        self.champion_deg.add(champion_deg)
        self.challenger_deg.add(np.where(scored, challenger_deg, np.nan))
        self._usual_deg.add(np.where(scored, challenger_deg, np.nan))
        lead_deg = champion_deg - challenger_deg - np.where(self.serving, 0.0, self.config.margin_deg)
        self._scored += scored
        verdict = np.clip(lead_deg / self._sum_deg(champion_deg + challenger_deg), -1.0, 1.0)
        doubtful = unusual | (champion_deg < self.config.least_deg)
        verdict = np.where(doubtful & ~self.serving, np.minimum(verdict, 0.0), verdict)
        verdict = np.where(scored, np.where(broken, -self.config.credit, verdict), 0.0)
        most = np.where(self.serving, self.config.credit, np.inf)
        self._sum = np.clip(self._sum + verdict, 0.0, most)
        self._first &= self._sum < self.config.credit
        self._roll_back(self.serving & (self._sum <= 0))
        self._doubted &= self._sum > 0
        self._promote(~self.serving & (self._sum >= self._bar))

    def compare(self, apart_deg: Degrees) -> None:
        """Take how far apart the two were [channels], on average over a quarter of the newest block.

        Needs no label, so that a challenger that loses its footing is noticed at once.
        """
        self._comparisons += 1
        lost = self.serving & (apart_deg > self._limit * self._apart.value)
        if self._serves_first and self._comparisons <= KNOWN_COMPARISONS:
            lost[:] = False
        self._doubted |= lost
        self._withdraw(lost, remains=1.0)  # if labels use that up, it was the challenger that was wrong
        self._apart.add(apart_deg)

    def _sum_deg(self, sum_deg: Degrees) -> Degrees:
        """Return what a lead is measured by."""
        usual_deg = self.champion_deg.value + self.challenger_deg.value
        least_deg = np.where(self.serving, usual_deg, sum_deg + self.config.slack_deg)
        return np.fmax(np.fmax(sum_deg, least_deg), 1e-9)

    def _promote(self, channels: Channels) -> None:
        self.serving |= channels
        self.switches += int(channels.sum())
        self._sum[channels] = self.config.credit
        self._limit[channels & self._doubted] *= self.config.false_alarm
        self._doubted &= ~channels

    def _roll_back(self, channels: Channels) -> None:
        """Let the champion serve these, and ask for more the next time."""
        failed = channels & ~self._first
        self._bar[failed] = np.minimum(2 * self._bar[failed], self.config.highest_bar)
        self._withdraw(channels, remains=0.0)

    def _withdraw(self, channels: Channels, remains: float) -> None:
        self.serving &= ~channels
        self._first &= ~channels
        self.switches += int(channels.sum())
        self.rollbacks += int(channels.sum())
        self._sum[channels] = remains
