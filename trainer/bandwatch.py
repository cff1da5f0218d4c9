"""Follows where a stream's rhythm lies, by a running average of its power spectrum.

Welch, "The use of fast Fourier transform for the estimation of power spectra", 1967, with old segments fading.
"""

import numpy as np

from streamer.messages import FloatArray
from trainer.band import SEGMENT_SAMPLES, Band, find_band, segment_power

HOP_SAMPLES = SEGMENT_SAMPLES // 2
ENOUGH_SEGMENTS = 7  # before a first look, 2048 samples: of an EEG, 4 segments found the rhythm in 60 % of cases, 7 in 74 %
MEMORY_SEGMENTS = 60
OUTSIDE_LOOKS = 7  # in a row with the peak outside the band, before the band moves: spectra of noisy rhythms wander


class BandWatch:
    """Holds a band that moves only when the rhythm has left it for good.

    Parameters
    ----------
    channels : int

    Attributes
    ----------
    band : Band or None
        None until one has been found.
    room : int
        Samples that can be added before the next look is due.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.band: Band | None = None
        self._power = np.zeros(SEGMENT_SAMPLES // 2 + 1)
        self._segments = 0
        self._outside = 0
        self._heard = np.zeros((SEGMENT_SAMPLES, channels), np.float32)
        self.restart()

    def restart(self) -> None:
        """Forget what was heard: the next sample does not follow on it."""
        self.room = SEGMENT_SAMPLES

    def add(self, inputs: FloatArray) -> None:
        """Append at most `room` samples [samples, channels]."""
        first = SEGMENT_SAMPLES - self.room
        self._heard[first : first + len(inputs)] = inputs
        self.room -= len(inputs)

    def look(self) -> bool:
        """Look at the spectrum; return True if there is a band where there was none, or another one."""
        keep = np.exp(-1.0 / MEMORY_SEGMENTS)
        self._power = keep * self._power + segment_power(self._heard)
        self._segments += 1
        self._heard[:HOP_SAMPLES] = self._heard[HOP_SAMPLES:]
        self.room = HOP_SAMPLES
        found = find_band(self._power) if self._segments >= ENOUGH_SEGMENTS else None
        if found is None:
            return False
        inside = self.band is not None and self.band.low < found.centre < self.band.high
        self._outside = 0 if inside else self._outside + 1
        if inside or (self.band is not None and self._outside < OUTSIDE_LOOKS):
            return False
        self.band, self._outside = found, 0
        return True
