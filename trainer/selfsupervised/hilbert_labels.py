"""Targets made from a stream's own past: its analytic signal in a band, late by a few cycles.

The acausal, zero-phase band-pass Hilbert transform as one symmetric complex FIR filter: what it says of a sample
needs as many samples after it as before it, and is then final. So labels depend on the samples alone, not on how
they were cut into chunks or blocks.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamer.messages import FloatArray
from trainer.selfsupervised.band import Band
from trainer.state import Kept, Tree, at_most

ORDER = 2  # of the Butterworth low-pass that the band-pass is made of; its gain counts twice, as there and back
# Cycles to either side of a sample, times the band's width: the narrower the band, the longer its filter rings. In
# a band of 0.4, labels of an EEG are off by 31, 13, 7 and 3 deg with 1, 2, 3 and 5 cycles; from 3 on, what is
# learnt from them gets no better.
REACH = 1.25
MIN_REACH_CYCLES, MAX_REACH_CYCLES = 2.0, 20.0
TAPER = 4.0  # beta of the Kaiser window over the filter


def zero_phase_gain(frequencies: NDArray[np.float64], band: Band) -> NDArray[np.float64]:
    """Return |H|^2 of a digital Butterworth band-pass (bilinear transform): the gain of filtering there and back.

    Parameters
    ----------
    frequencies : float64 array
        Cycles a sample, 0 to 1/2.
    band : Band
        Where |H|^2 is 1/2.
    """
    warped = np.tan(np.pi * np.minimum(frequencies, 0.4999))
    low, high = np.tan(np.pi * band.low), np.tan(np.pi * band.high)
    inside = (warped * (high - low)) ** (2 * ORDER)
    gain: NDArray[np.float64] = inside / (inside + (warped**2 - low * high) ** (2 * ORDER))
    return gain


def analytic(signal: NDArray[np.float64], band: Band) -> NDArray[np.complex128]:
    """Return cos + i sin of a whole record [samples, ...], where the in-phase (sin) is the band-passed signal.

    The record is taken as one period.
    """
    frequencies = np.fft.fftfreq(len(signal))
    gain = np.where(frequencies > 0, 2 * zero_phase_gain(np.abs(frequencies), band), 0.0)
    spectrum = np.fft.fft(signal, axis=0) * gain.reshape(-1, *[1] * (signal.ndim - 1))
    both: NDArray[np.complex128] = 1j * np.fft.ifft(spectrum, axis=0)
    return both


def reach_samples(band: Band) -> int:
    """Return how many samples to either side of its own a label needs."""
    return round(float(np.clip(REACH / band.width, MIN_REACH_CYCLES, MAX_REACH_CYCLES)) / band.centre)


class HilbertLabels(Kept):
    """Labels each sample of a stream once the samples after it have come.

    Parameters
    ----------
    band : Band
    channels : int

    Attributes
    ----------
    reach_samples : int
        A label needs so many samples before its own and after it.
    block_samples : int
        Labels come in blocks of so many samples: one cycle.
    """

    kept: ClassVar = {"_heard": np.ndarray, "_count": int}

    def __init__(self, band: Band, channels: int) -> None:
        self.reach_samples = reach_samples(band)
        self.block_samples = max(1, round(1 / band.centre))
        length = 2 * self.reach_samples + self.block_samples
        self._heard = np.zeros((length, channels))
        self._count = 0
        self._filter = self._transform(band, length)

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        at_most(len(self._heard), _count=self._count)

    @property
    def missing_samples(self) -> int:
        """How many samples are to come before the next block is complete."""
        return len(self._heard) - self._count

    def restart(self) -> None:
        """Forget what was heard: the next sample does not follow on it."""
        self._count = 0

    def add(self, inputs: FloatArray | NDArray[np.float64]) -> None:
        """Append at most `missing_samples` samples [samples, channels]."""
        self._heard[self._count : self._count + len(inputs)] = inputs
        self._count += len(inputs)

    def take(self) -> NDArray[np.float64]:
        """Return the labels [block_samples, channels, 2], (cos, sin), of the block that is complete.

        The first block's first sample is the one `reach_samples` after the first that was added.
        """
        reach, block = self.reach_samples, self.block_samples
        # A circular convolution's first 2 * reach results are wrapped; what follows is the block.
        product = np.fft.ifft(np.fft.fft(self._heard, axis=0) * self._filter, axis=0)[2 * reach :]
        self._heard[: 2 * reach] = self._heard[block:]
        self._count = 2 * reach
        return np.stack([product.real, product.imag], axis=-1)

    def _transform(self, band: Band, length: int) -> NDArray[np.complex128]:
        """Return the filter's spectrum [length, 1]."""
        reach = self.reach_samples
        impulse = np.zeros(4 * length)
        impulse[0] = 1.0
        response = analytic(impulse, band)
        taps = np.concatenate([response[-reach:], response[: reach + 1]])
        window = np.kaiser(2 * reach + 1, TAPER)
        taps *= window
        taps -= window * (taps.sum() / window.sum())  # an offset, however large, must not leak in
        spectrum: NDArray[np.complex128] = np.fft.fft(taps, length)[:, None]
        return spectrum
