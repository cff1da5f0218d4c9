"""Whether a signal is of the kind a model knows, judged from its latest estimates.

Two things give a stranger away: a frequency outside the range the model was trained for, measured by the turn
between successive estimates; and a tone that the input does not hold, or holds at another size, measured by the
regression of the input on its in-phase estimate. Neither grows with white noise: down to -5 dB the regression of
a known tone stays within 0.9 to 1.25, where that of white noise is 1.6 and of a train of pulses 2.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from predictor.byteorder import looks_swapped
from predictor.timescale import LONGEST_CYCLE, SHORTEST_CYCLE, TimeScale
from streamer.messages import FloatArray
from streamer.quantiles import quantiles
from trainer.model import Model
from trainer.state import Kept, Tree, array_of

ENTRIES = 256  # estimates that a verdict takes: five of the slowest cycles, where each sample is a step
CHANNELS = 16  # looked at, spread over the stream's; the median counts
LEAVES = 1.1  # as a ratio: a familiar frequency may stray that far out of the range
LOST_GAIN, FOUND_GAIN = (
    1.3,
    1.2,
)  # as ratios either way: beyond the first no more familiar, within the second again
DOUBTS = 2.0  # standard errors of the regression that are granted besides


class Familiarity(Kept):
    """Collects some of a stream's estimates after each verdict, for the next one.

    Attributes
    ----------
    familiar : bool or None
        The latest verdict; None before the first one, and of a model that nothing is known of: one that says cos
        alone, or has random weights.
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

    kept: ClassVar = {"familiar": bool | None, "cycle_samples": float | None, "_skip": int}

    def __init__(self, model: Model, scale: TimeScale, channels: int) -> None:
        self.familiar: bool | None = None
        self.cycle_samples: float | None = None
        self.swapped = False
        knows = len(model.config.fields) > 1 and model.provenance.get("recipe") != "new" and channels > 0
        self._scale = scale
        self._channels = slice(None, None, max(1, -(-channels // CHANNELS)))
        watched = len(range(channels)[self._channels])
        self._entries = np.empty((ENTRIES, watched, 3), np.float32)  # input, cos, sin
        self._filled = 0 if knows else ENTRIES
        self._knows = knows
        self._skip = 0

    def state(self) -> Tree:
        """As `Kept.state`."""
        return super().state() | {"entries": self._entries[: self._filled if self._knows else 0].copy()}

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        entries = array_of(tree, "entries", (None, *self._entries.shape[1:]), np.float32)[:ENTRIES]
        self._entries[: len(entries)] = entries
        self._filled = len(entries) if self._knows else ENTRIES

    def add(self, inputs: FloatArray, estimates: FloatArray) -> None:
        """Take inputs [samples, channels] and estimates [samples, channels, fields] until there are enough."""
        if self._filled == ENTRIES:
            return
        hop = self._scale.hop_samples
        taken = slice(self._skip, self._skip + hop * (ENTRIES - self._filled), hop)
        heard, said = inputs[taken, self._channels], estimates[taken, self._channels]
        place = slice(self._filled, self._filled + len(heard))
        self._entries[place, :, 0], self._entries[place, :, 1:] = heard, said
        self._filled = place.stop
        self._skip = (self._skip - len(inputs)) % hop

    def judge(self) -> str | None:
        """Reach a verdict if there is enough to go by, and collect anew; return words if the verdict is new."""
        if self._filled < ENTRIES or not self._knows:
            return None
        self._filled = self._skip = 0
        sounding = (self._entries[..., 0] != 0).any(axis=0)
        if not sounding.any():
            return None
        before = self.familiar
        turn, gain, error = (
            quantiles(values, 0.5)[0] for values in _measure(self._entries[:, sounding].astype(np.float64))
        )
        cycle = 2 * np.pi / turn * self._scale.hop_samples if turn > 0 else np.inf
        self.cycle_samples = float(cycle) if np.isfinite(cycle) else None
        steps = cycle / self._scale.samples_per_step
        stray, most_gain = (1.0, FOUND_GAIN) if before is False else (LEAVES, LOST_GAIN)
        in_range = SHORTEST_CYCLE / stray <= steps <= LONGEST_CYCLE * stray
        self.familiar = bool(
            in_range and 1 / most_gain <= gain + DOUBTS * error and gain - DOUBTS * error <= most_gain
        )
        self.swapped = looks_swapped(self._entries[..., 0])
        if self.familiar is (before is not False):
            return None
        return self._words(in_range=bool(in_range))

    def _words(self, *, in_range: bool) -> str:
        cycle = "no cycle at all" if self.cycle_samples is None else f"{self.cycle_samples:.1f} samples a cycle"
        if self.familiar:
            return f"a signal as the model knows them again: {cycle}"
        if in_range:
            return f"a signal unlike those the model knows: its estimate, {cycle}, is not what the input holds"
        least, most = (cycle * self._scale.samples_per_step for cycle in (SHORTEST_CYCLE, LONGEST_CYCLE))
        known = f"{least:g} to {most:g} samples a cycle"
        return f"a signal outside what the model knows, {known}: {cycle}; --nominal-hz may help"


def _measure(entries: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return, of each channel, the turn from entry to entry in radians, the input's regression, and its error."""
    heard, cos, sin = np.moveaxis(entries, 2, 0)
    vectors = cos + 1j * sin
    directions = vectors / np.maximum(np.abs(vectors), 1e-300)
    turn = np.angle((directions[1:] * directions[:-1].conj()).mean(axis=0))
    power = np.maximum((sin**2).sum(axis=0), 1e-300)
    gain = (heard * sin).sum(axis=0) / power
    error = np.sqrt(((heard - gain * sin) ** 2).sum(axis=0) / power / len(entries))
    return turn, gain, error
