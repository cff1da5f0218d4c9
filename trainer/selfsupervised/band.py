"""The band of a signal's rhythm, found in its power spectrum."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import FileError, UsageError

SEGMENT_SAMPLES = 512  # of a spectrum: 20 cycles of 25 samples, so that neighbouring bins are 5 % apart
NOMINAL = 1 / 25  # cycles a sample; what the general model is made for reaches an octave to either side
OCTAVE, WITH_ITS_ENDS = (
    2.0,
    2.4,
)  # either way of the nominal frequency; the latter leaves room for a peak at the end
SMOOTHED = 0.08  # of a frequency to either side: narrower peaks are noise, or the same rhythm
# A band reaches from centre / WIDTH to centre * WIDTH, as 8.3 to 12 Hz do around 10 Hz. The noise within it is in
# the labels: of a sine in noise (10 dB), what is learnt is off by 1.9 deg with 1.25 and by 1.7 with 1.15; but a
# rhythm that wanders needs the room.
WIDTH = 1.2
TOWERS = 20.0  # times the highest power in the band; an EEG's slow waves rose to 10 times its alpha rhythm's


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
                "--band: must be LOW,HIGH in Hz, rising, from 0.0001 to 0.45 times the sampling rate, got "
                f"{self.low:.6g} and {self.high:.6g} times it"
            )

    @property
    def centre(self) -> float:
        """Geometric mean, cycles a sample."""
        return float(np.sqrt(self.low * self.high))

    @property
    def width(self) -> float:
        """Of the band, as a share of its centre."""
        return (self.high - self.low) / self.centre

    def edges(self) -> list[float]:
        """Return low and high as `of` takes them."""
        return [float(self.low), float(self.high)]

    @classmethod
    def of(cls, edges: Any) -> "Band | None":
        """Return the band that `edges` returned for a state, or None for None.

        Raises
        ------
        FileError
            If it cannot be one.
        """
        if edges is None:
            return None
        try:
            return cls(*edges)
        except (TypeError, UsageError):
            raise FileError(f"state: a band must be two numbers, got {str(edges)[:60]!r}") from None

    def in_hz(self, rate_hz: float) -> tuple[float, float]:
        """Return it in Hz."""
        return float(self.low * rate_hz), float(self.high * rate_hz)


def around(centre: float) -> Band:
    """Return the band around a frequency, in cycles a sample."""
    return Band(centre / WIDTH, centre * WIDTH)


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


def find_peak(power: NDArray[np.float64], nominal: float = NOMINAL, either_way: float = OCTAVE) -> float | None:
    """Return the frequency of the highest peak of a power spectrum around the nominal one.

    A peak is higher than its neighbours, so that the slope of 1/f noise is none.

    Parameters
    ----------
    power : float64 array, shape (SEGMENT_SAMPLES / 2 + 1,)
    nominal : float
        Cycles a sample, up to 1/4.
    either_way : float
        Looked at from nominal / either_way to nominal * either_way.

    Returns
    -------
    float or None
        Cycles a sample; None if there is no peak.
    """
    smooth = _smoothed(power)
    first, last = int(np.ceil(nominal / either_way * SEGMENT_SAMPLES)), int(nominal * either_way * SEGMENT_SAMPLES)
    last = min(last, len(smooth) - 2)
    inner = smooth[first : last + 1]
    peaks = (inner > smooth[first - 1 : last]) & (inner >= smooth[first + 1 : last + 2])
    if not peaks.any():
        return None
    peak = first + int(np.argmax(np.where(peaks, inner, 0.0)))
    reach = max(2, int(SMOOTHED * peak))
    near = np.arange(peak - reach, min(peak + reach + 1, len(smooth)))
    return float(near @ smooth[near] / smooth[near].sum()) / SEGMENT_SAMPLES


def is_elsewhere(power: NDArray[np.float64], band: Band, nominal: float = NOMINAL) -> bool:
    """Return whether a spectrum's peak towers above all that a band holds: its labels mean nothing then."""
    peak = find_peak(power, nominal, WITH_ITS_ENDS)
    if peak is None or band.low < peak < band.high:
        return False
    smooth = _smoothed(power)
    first, last = int(band.low * SEGMENT_SAMPLES), int(np.ceil(band.high * SEGMENT_SAMPLES))
    return bool(smooth[round(peak * SEGMENT_SAMPLES)] > TOWERS * smooth[first : last + 1].max())


def _smoothed(power: NDArray[np.float64]) -> NDArray[np.float64]:
    bins = np.arange(len(power))
    reach = np.maximum(1, SMOOTHED * bins).astype(int)
    low, high = np.maximum(bins - reach, 0), np.minimum(bins + reach + 1, len(power))
    sums = np.concatenate([[0.0], np.cumsum(power)])
    smoothed: NDArray[np.float64] = (sums[high] - sums[low]) / (high - low)
    return smoothed
