"""Gaussian rhythms in coloured noise: what brains and seas make, where phase and amplitude wander for ever."""

import math

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
Complex128Array = NDArray[np.complex128]

WIDTH = (0.14, 0.3)  # of the band, over its middle
PINK_LEVEL = (0.5, 1.4)  # standard deviation of 1/f^a noise, the rhythm's being 1
PINK_EXPONENT = (0.8, 1.2)
WHITE_LEVEL = (0.05, 0.2)
PINK_FROM_CYCLES_A_SAMPLE = 1 / 1_500  # 1/f noise has no finite variance down to 0
SHORTEST_PERIOD_SAMPLES = 4_096  # of the random spectra: at most half is used, so that its ends do not meet


def draw_rhythms(
    generator: np.random.Generator, samples: int, cycle_samples: Float64Array
) -> tuple[Float64Array, Complex128Array]:
    """Return what is heard [samples, channels], and the analytic signal ``cos + i sin`` of the rhythms in it.

    Parameters
    ----------
    generator : numpy Generator
    samples : int
    cycle_samples : float64 array, shape (channels,)
        Samples a cycle in the middle of each rhythm's band.
    """
    channels = len(cycle_samples)
    width = _log_uniform(generator, WIDTH, channels)
    frequencies = _frequencies(samples)
    rhythm = _gaussian(generator, _band_gain(frequencies, 1 / cycle_samples, width))
    exponents = generator.uniform(*PINK_EXPONENT, channels)
    pink_gain = np.where(frequencies >= PINK_FROM_CYCLES_A_SAMPLE, frequencies ** (-exponents / 2), 0.0)
    pink = _gaussian(generator, pink_gain).real * _log_uniform(generator, PINK_LEVEL, channels)
    white = generator.standard_normal((samples, channels)) * _log_uniform(generator, WHITE_LEVEL, channels)
    heard = rhythm.real[:samples] + pink[:samples] + white
    # x + i H[x] of x = A sin(phase) runs a quarter of a turn behind A exp(i phase).
    return heard, 1j * rhythm[:samples]


def _log_uniform(generator: np.random.Generator, ends: tuple[float, float], count: int) -> Float64Array:
    logarithms: Float64Array = generator.uniform(math.log(ends[0]), math.log(ends[1]), count)
    return np.exp(logarithms)


def _frequencies(samples: int) -> Float64Array:
    """Return the positive frequencies [frequencies, 1] of a spectrum for so many samples, in cycles a sample."""
    period = max(SHORTEST_PERIOD_SAMPLES, 1 << (2 * samples - 1).bit_length())
    return (np.arange(1, period // 2) / period)[:, None]


def _band_gain(frequencies: Float64Array, middle: Float64Array, width: Float64Array) -> Float64Array:
    """Return the gain of a Butterworth band-pass of order 2 applied there and back."""
    low, high = middle * (1 - width / 2), middle * (1 + width / 2)
    gain: Float64Array = 1 / (1 + ((frequencies**2 - low * high) / (frequencies * (high - low))) ** 4)
    return gain


def _gaussian(generator: np.random.Generator, gain: Float64Array) -> Complex128Array:
    """Return a period [samples, channels] of analytic Gaussian signals whose real parts have variance 1."""
    period = 2 * (len(gain) + 1)
    parts = generator.standard_normal((2, *gain.shape))
    spectrum = np.zeros((period, gain.shape[1]), complex)
    spectrum[1 : len(gain) + 1] = gain * (parts[0] + 1j * parts[1])
    signals: Complex128Array = np.fft.ifft(spectrum, axis=0) * (period / np.sqrt((gain**2).sum(axis=0)))
    return signals
