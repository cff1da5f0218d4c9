"""Whether a signal is of the kind a model knows, judged from its latest estimates.

Two things give a stranger away: a frequency outside the range the model was trained for, measured by the turn
between successive estimates; and a tone that the input does not hold, or holds at another size, measured by the
regression of the input on its in-phase estimate, once offset, trend and single wild samples are taken off it, as
they are before the model hears it (`trainer.conditioning`). Neither grows with white noise: down to -5 dB the
regression of a known tone stays within 0.9 to 1.25, where that of white noise is 1.6 and of a train of pulses 2.

Each channel is judged by itself. Of a stream with very many, some are looked at each time, by turns.
"""

from enum import IntEnum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from predictor.daemon.byte_order import looks_swapped
from predictor.engine.timescale import LONGEST_CYCLE, SHORTEST_CYCLE, TimeScale
from streamer.messages import FloatArray
from streamer.quantiles import quantiles
from trainer.model import Model
from trainer.state import Kept, Tree, array_of

ENTRIES = 256  # estimates that a verdict takes: five of the slowest cycles, where each sample is a step
CHANNELS = 256  # judged at a time, spread over the stream's; more would keep answers waiting
NAMED = 100  # channels that a status lists
WILD = 6.0  # mean deviations that count of an input
LEAVES = 1.1  # as a ratio: a familiar frequency may stray that far out of the range
LOST_GAIN, FOUND_GAIN = (
    1.3,
    1.2,
)  # as ratios either way: beyond the first no more familiar, within the second again
DOUBTS = 2.0  # standard errors of the regression that are granted besides


class Verdict(IntEnum):
    """On a channel."""

    UNKNOWN = 0
    UNFAMILIAR = 1
    FAMILIAR = 2


class DomainCheck(Kept):
    """Collects some of a stream's estimates after each verdict, for the next one.

    Attributes
    ----------
    familiar : bool or None
        The latest verdict on most channels; None before the first one, and of a model that nothing is known of:
        one that says cos alone, or has random weights.
    cycle_samples : float or None
        Measured with it; None where the signal does not turn.
    swapped : bool
        Whether its samples look like numbers with their bytes the other way round.

    Parameters
    ----------
    model : Model
    scale : TimeScale
        Of the stream.
    channels : int
    """

    kept: ClassVar = {
        "familiar": bool | None,
        "cycle_samples": float | None,
        "_skip": int,
        "_turn": int,
        "_verdicts": np.ndarray,
    }

    def __init__(self, model: Model, scale: TimeScale, channels: int) -> None:
        self.familiar: bool | None = None
        self.cycle_samples: float | None = None
        self.swapped = False
        self._scale = scale
        self._stride = max(1, -(-channels // CHANNELS))
        self._turn = 0  # whose it is
        self._verdicts = np.full(channels, Verdict.UNKNOWN, np.uint8)
        self._named: set[int] = set()  # unfamiliar channels that the operator was told of
        watched = len(range(0, channels, self._stride))
        self._entries = np.zeros((ENTRIES, watched, 3), np.float32)  # input, cos, sin
        self._knows = len(model.config.fields) > 1 and model.provenance.get("recipe") != "new" and channels > 0
        self._filled = 0 if self._knows else ENTRIES
        self._skip = 0

    @property
    def unfamiliar_channels(self) -> list[int]:
        """Those whose latest verdict is that the model does not know them, `NAMED` at most."""
        found: list[int] = np.flatnonzero(self._verdicts == Verdict.UNFAMILIAR)[:NAMED].tolist()
        return found

    @property
    def verdicts(self) -> NDArray[np.uint8]:
        """The latest `Verdict` on each channel."""
        return self._verdicts

    def state(self) -> Tree:
        """As `Kept.state`."""
        return super().state() | {"entries": self._entries[: self._filled if self._knows else 0].copy()}

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        self._turn %= self._stride
        entries = array_of(tree, "entries", (None, *self._entries.shape[1:]), np.float32)[:ENTRIES]
        self._entries[: len(entries)] = entries
        self._filled = len(entries) if self._knows else ENTRIES

    def add(self, inputs: FloatArray, estimates: FloatArray) -> None:
        """Take inputs [samples, channels] and estimates [samples, channels, fields] until there are enough."""
        if self._filled == ENTRIES:
            return
        hop = self._scale.hop_samples
        taken = slice(self._skip, self._skip + hop * (ENTRIES - self._filled), hop)
        heard, said = inputs[taken, self._turn :: self._stride], estimates[taken, self._turn :: self._stride]
        place, watched = slice(self._filled, self._filled + len(heard)), heard.shape[1]
        self._entries[place, :watched, 0], self._entries[place, :watched, 1:] = heard, said
        self._filled = place.stop
        self._skip = (self._skip - len(inputs)) % hop

    def judge(self) -> str | None:
        """Reach a verdict if there is enough to go by, and collect anew; return words if there is news."""
        if self._filled < ENTRIES or not self._knows:
            return None
        self._filled = self._skip = 0
        own = slice(self._turn, None, self._stride)
        self._turn = (self._turn + 1) % self._stride
        verdicts = self._verdicts[own]
        entries = self._entries[:, : len(verdicts)]
        sounding = (entries[..., 0] != 0).any(axis=0)
        if not sounding.any():
            return None
        turn, gain, error = _measure(entries[:, sounding].astype(np.float64))
        before = self.familiar
        _, familiar = self._judged(turn, gain, error, verdicts[sounding] == Verdict.UNFAMILIAR)
        verdicts[:] = Verdict.UNKNOWN
        verdicts[sounding] = np.where(familiar, Verdict.FAMILIAR, Verdict.UNFAMILIAR)
        turn, gain, error = (np.array(quantiles(values, 0.5)) for values in (turn, gain, error))
        in_range, most = self._judged(turn, gain, error, np.array([before is False]))
        self.familiar = bool(most[0])
        cycle = self._cycles(turn)[0]
        self.cycle_samples = float(cycle) if np.isfinite(cycle) else None
        self.swapped = looks_swapped(entries[..., 0])
        if self.familiar is (before is not False):
            return self._words_of_channels()
        self._named = set(self.unfamiliar_channels)
        return self._words(in_range=bool(in_range[0]))

    def _cycles(self, turn: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples a cycle; infinite where nothing turns."""
        turns = np.where(turn > 0, turn, 0.0)
        with np.errstate(divide="ignore"):
            cycles: NDArray[np.float64] = 2 * np.pi / turns * self._scale.hop_samples
        return cycles

    def _judged(
        self,
        turn: NDArray[np.float64],
        gain: NDArray[np.float64],
        error: NDArray[np.float64],
        strange: NDArray[np.bool_],
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return whether each is in range, and whether it is familiar; `strange`: it was not before."""
        steps = self._cycles(turn) / self._scale.samples_per_step
        stray, most_gain = np.where(strange, 1.0, LEAVES), np.where(strange, FOUND_GAIN, LOST_GAIN)
        in_range = (SHORTEST_CYCLE / stray <= steps) & (steps <= LONGEST_CYCLE * stray)
        fits = (1 / most_gain <= gain + DOUBTS * error) & (gain - DOUBTS * error <= most_gain)
        return in_range, in_range & fits

    def _words_of_channels(self) -> str | None:
        """Return words where channels have become unfamiliar, or none is any more."""
        channels = len(self._verdicts)
        now = set(self.unfamiliar_channels)
        new = now - self._named
        if channels == 1 or (not new and (now or not self._named)):
            return None
        self._named = self._named | now if now else set()
        if not now:
            return "all channels are in the model's range again"
        return f"{named(sorted(now))} of {channels} out of the model's range; their estimates mean nothing"

    def _words(self, *, in_range: bool) -> str:
        cycle = "no cycle at all" if self.cycle_samples is None else f"{self.cycle_samples:.1f} samples a cycle"
        if self.familiar:
            return f"the signal is within the model's range again: {cycle}"
        if in_range:
            return f"the signal is out of the model's range: its estimate, {cycle}, is not found in the input"
        least, most = (cycle * self._scale.samples_per_step for cycle in (SHORTEST_CYCLE, LONGEST_CYCLE))
        known = f"{least:g} to {most:g} samples a cycle"
        return f"the signal is out of the model's range, {known}: {cycle}; --nominal-hz may help"


def named(channels: list[int]) -> str:
    """Return channels in words, not too many of them."""
    few = ", ".join(str(channel) for channel in channels[:10])
    more = f" and {len(channels) - 10} more" if len(channels) > 10 else ""
    return f"channel{'s' if len(channels) > 1 else ''} {few}{more}"


def _measure(entries: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return, of each channel, the turn from entry to entry in radians, the input's regression, and its error."""
    heard, cos, sin = np.moveaxis(entries, 2, 0)
    vectors = cos + 1j * sin
    directions = vectors / np.maximum(np.abs(vectors), 1e-300)
    turn = np.angle((directions[1:] * directions[:-1].conj()).mean(axis=0))
    centred = heard - _middle(heard)
    most = WILD * _middle(np.abs(centred))
    heard, sin = _without_trend(np.clip(centred, -most, most)), _without_trend(sin)
    power = np.maximum((sin**2).sum(axis=0), 1e-300)
    gain = (heard * sin).sum(axis=0) / power
    error = np.sqrt(((heard - gain * sin) ** 2).sum(axis=0) / power / len(entries))
    return turn, gain, error


def _middle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middle one of each channel's values; the first call of `np.median` takes 20 ms."""
    middle: NDArray[np.float64] = np.sort(values, axis=0)[len(values) // 2]
    return middle


def _without_trend(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values [entries, channels] less the straight line through them."""
    time = np.linspace(-1, 1, len(values))[:, None]
    slope = (time * values).sum(axis=0) / (time**2).sum()
    rest: NDArray[np.float64] = values - values.mean(axis=0) - slope * time
    return rest
