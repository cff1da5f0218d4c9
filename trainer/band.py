"""The band of a signal's rhythm, found in its power spectrum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.errors import UsageError

SEGMENT_SAMPLES = 512
SLOWEST, FASTEST = 1 / 50, 1 / 12  # cycles a sample: what the general model is made for
SMOOTHED = 0.08  # of a frequency to either side: narrower peaks are noise, or the same rhythm
WIDTH = 1.25  # a band reaches from centre / WIDTH to centre * WIDTH, as 8 to 12.5 Hz do around 10 Hz


@dataclass(frozen=True, slots=True)
class Band:
    """A band of frequencies.

    Parameters
    ----------
    low, high : float
        Cycles a sample, 1e-4 to 0.45, rising.

    Raises
    ------
    UsageError
        If they are not.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 1e-4 <= self.low < self.high <= 0.45:
            raise UsageError(
                "--band: must be LOW,HIGH in Hz, rising, within 0.0001 to 0.45 of the sampling rate, got "
                f"{self.low:.6g} and {self.high:.6g} of it"
            )

    @property
    def centre(self) -> float:
        """Geometric mean, cycles a sample."""
        return float(np.sqrt(self.low * self.high))

    def in_hz(self, rate_hz: float) -> tuple[float, float]:
        """Return it in Hz."""
        return float(self.low * rate_hz), float(self.high * rate_hz)


def segment_power(segment: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the power spectrum [SEGMENT_SAMPLES / 2 + 1] of a segment, the mean of its channels' shares.

    Parameters
    ----------
    segment : array, shape (SEGMENT_SAMPLES, channels)
        Finite. Channels count alike, whatever their amplitude.
    """
    centred = segment - segment.mean(axis=0, dtype=np.float64)
    largest = np.abs(centred).max(axis=0)
    centred /= np.where(largest > 0, largest, 1.0)
    power = np.abs(np.fft.rfft(centred * np.hanning(SEGMENT_SAMPLES + 1)[:-1, None], axis=0)) ** 2
    total = power.sum(axis=0)
    shares: NDArray[np.float64] = (power / np.where(total > 0, total, 1.0)).mean(axis=1)
    return shares


def find_band(power: NDArray[np.float64]) -> Band | None:
    """Return the band around the highest peak of a power spectrum between 12 and 50 samples a cycle.

    A peak is higher than its neighbours, so that the slope of 1/f noise is none.

    Parameters
    ----------
    power : float64 array, shape (SEGMENT_SAMPLES / 2 + 1,)

    Returns
    -------
    Band or None
        None if there is no peak.
    """
    smooth = _smoothed(power)
    first, last = int(np.ceil(SLOWEST * SEGMENT_SAMPLES)), int(FASTEST * SEGMENT_SAMPLES)
    inner = smooth[first : last + 1]
    peaks = (inner > smooth[first - 1 : last]) & (inner >= smooth[first + 1 : last + 2])
    if not peaks.any():
        return None
    peak = first + int(np.argmax(np.where(peaks, inner, 0.0)))
    reach = max(2, int(SMOOTHED * peak))
    around = np.arange(peak - reach, peak + reach + 1)
    centre = float(around @ smooth[around] / smooth[around].sum()) / SEGMENT_SAMPLES
    return Band(centre / WIDTH, centre * WIDTH)


def _smoothed(power: NDArray[np.float64]) -> NDArray[np.float64]:
    bins = np.arange(len(power))
    reach = np.maximum(1, SMOOTHED * bins).astype(int)
    low, high = np.maximum(bins - reach, 0), np.minimum(bins + reach + 1, len(power))
    sums = np.concatenate([[0.0], np.cumsum(power)])
    smoothed: NDArray[np.float64] = (sums[high] - sums[low]) / (high - low)
    return smoothed
