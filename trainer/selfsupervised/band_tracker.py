"""Follows where a stream's rhythm lies, by a running average of its power spectrum.

Welch, "The use of fast Fourier transform for the estimation of power spectra", 1967, with old segments fading.
"""

from enum import Enum
from typing import ClassVar

import numpy as np

from streamer.messages import FloatArray
from trainer.selfsupervised.band import (
    NOMINAL,
    SEGMENT_SAMPLES,
    Band,
    around,
    find_peak,
    is_elsewhere,
    segment_power,
)
from trainer.state import Kept, Tree, at_most

# Before a first look, 2048 samples: of an EEG, 1024 found the alpha rhythm in 60 % of cases and 2048 in 74 %.
ENOUGH_SEGMENTS = 7
MEMORY_SEGMENTS = 60
# In a row with the peak outside the band, before the band moves: spectra of noisy rhythms wander.
OUTSIDE_LOOKS = 7


class BandEstimate(Enum):
    """What a look at the spectrum says."""

    SAME = "nothing new"
    NEW_BAND = "a band where there was none, or another one"
    ELSEWHERE = "the rhythm is suddenly elsewhere"


class BandTracker(Kept):
    """Holds a band that moves only when the rhythm has left it for good.

    Parameters
    ----------
    channels : int
    nominal : float
        Where to look, within an octave: cycles a sample. Slow signals are averaged first.

    Attributes
    ----------
    band : Band or None
        None until one has been found.
    room : int
        Samples that can be added before the next look is due.
    """

    kept: ClassVar = {"room": int, "_power": np.ndarray, "_looks": int, "_outside": int, "_heard": np.ndarray}

    def __init__(self, channels: int, nominal: float = NOMINAL) -> None:
        self.band: Band | None = None
        self._samples = max(1, round(NOMINAL / nominal))  # that make one of the spectrum's
        self._nominal = nominal * self._samples
        self._power = np.zeros(SEGMENT_SAMPLES // 2 + 1)
        self._looks = 0
        self._outside = 0
        self._heard = np.zeros((SEGMENT_SAMPLES * self._samples, channels), np.float32)
        self.restart()

    def state(self) -> Tree:
        """As `Kept.state`."""
        return super().state() | {"band": self.band.edges() if self.band else None}

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        at_most(len(self._heard), room=self.room)
        self.band = Band.of(tree.get("band"))

    def restart(self) -> None:
        """Forget the samples heard: the next one does not follow on them."""
        self.room = len(self._heard)

    def add(self, inputs: FloatArray) -> None:
        """Append at most `room` samples [samples, channels]."""
        first = len(self._heard) - self.room
        self._heard[first : first + len(inputs)] = inputs
        self.room -= len(inputs)

    def look(self) -> BandEstimate:
        """Look at the spectrum once there is no room left."""
        means = self._heard.reshape(SEGMENT_SAMPLES, self._samples, -1).mean(axis=1, dtype=np.float64)
        half = len(self._heard) // 2
        self._heard[:half] = self._heard[half:]
        self.room = half
        latest = segment_power(means)
        if self.band is not None and is_elsewhere(latest, self._of_means(self.band), self._nominal):
            return BandEstimate.ELSEWHERE
        self._power = np.exp(-1.0 / MEMORY_SEGMENTS) * self._power + latest
        self._looks += 1
        peak = find_peak(self._power, self._nominal) if self._looks >= ENOUGH_SEGMENTS else None
        return BandEstimate.SAME if peak is None else self._follow(around(peak / self._samples))

    def _of_means(self, band: Band) -> Band:
        return Band(band.low * self._samples, band.high * self._samples)

    def _follow(self, found: Band) -> BandEstimate:
        inside = self.band is not None and self.band.low < found.centre < self.band.high
        self._outside = 0 if inside else self._outside + 1
        if inside or (self.band is not None and self._outside < OUTSIDE_LOOKS):
            return BandEstimate.SAME
        self.band, self._outside = found, 0
        return BandEstimate.NEW_BAND
