"""Features of a sample: which resonators are read, and what stands in which row.

Raw features are computed in an order of their own, and models are trained with features in another: between them
lie a permutation, a scale and an offset, which the engine folds into a model's first layer.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamer.messages import FloatArray

IndexArray = NDArray[np.intp]
ComplexArray = NDArray[np.complex64]
DoubleArray = NDArray[np.float64]

CENTRES_EACH_SIDE = 27  # of the nominal frequency: 2.6 times as fast, 2.6 times as slow
CENTRES = 2 * CENTRES_EACH_SIDE + 1

LONG, MIDDLE, SHORT, BRIEF, INSTANT = 10.0, 4.0, 1.5, 0.6, 0.25  # memories, in cycles
ANCHORS = ((MIDDLE, 0), (LONG, 0), (MIDDLE, -4), (MIDDLE, 4), (SHORT, -6), (SHORT, 0), (SHORT, 6), (BRIEF, 0))
"""(memory, distance from the peak in centres, upwards in frequency): those whose moments are followed.
The first is the reference that all are turned to."""
OTHERS = (
    *((LONG, distance) for distance in (-3, -2, -1, 1, 2, 3)),
    *((MIDDLE, distance) for distance in (-6, -2, -1, 1, 2, 6)),
    *((SHORT, distance) for distance in (-30, -20, -12, 12, 19, 30)),  # 19 and 30: 2nd and 3rd harmonic
    *((memory, distance) for memory in (BRIEF, INSTANT) for distance in (-12, 12)),
    (INSTANT, 0),
)
OFFSET_MEMORIES_SAMPLES = (8.0, 40.0, 200.0)  # of leaky means, which follow an offset; at the design's nominal
RESONATORS_READ = len(ANCHORS) + len(OTHERS) + len(OFFSET_MEMORIES_SAMPLES)
READ = RESONATORS_READ + 2  # and the sample itself, and a constant
GAINS = READ
"""Complex numbers that a network answers with: an estimate is the sum of the parts, each times its gain."""

SPECTRUM_DISTANCES = (-14, -11, -8, -6, -4, -2, 0, 2, 4, 6, 8, 11, 14)
MOMENT_CYCLES = (5.0, 20.0)  # that means and spreads of the anchors are taken over
MOMENTS = 3 * len(ANCHORS) + 1  # real and imaginary parts, logarithms, the peak

FEATURES = 3 * (READ - 1) + 1 + 2 * len(SPECTRUM_DISTANCES) + 2 * len(MOMENT_CYCLES) * MOMENTS

MIN_PART_POWER, MIN_BRIGHTNESS = np.float32(1e-6), np.float32(1e-5)  # added before logarithms are taken
LOG_SCALE, BRIGHTEST = 0.15, 0.3  # of logarithms as features; the strongest power of a spectrum, as a feature
SPREAD_SCALE, SPREAD_OFFSET, MIN_SPREAD = 0.3, 0.5, 3e-3

NEAR: IndexArray = np.clip(np.arange(CENTRES)[:, None] + np.array(SPECTRUM_DISTANCES), 0, CENTRES - 1)
"""The centre [centres, distances] at each distance from each peak, the outermost standing for those beyond."""
NEAR_BOTH: IndexArray = np.concatenate([NEAR, NEAR + CENTRES], axis=1)
"""The same among the quick averages, then among the slow ones."""


def slices_of(*lengths: int) -> list[slice]:
    """Return slices of these lengths, one behind the other."""
    return [slice(*pair) for pair in pairwise(np.cumsum([0, *lengths]).tolist())]


ALL_MOMENTS = len(MOMENT_CYCLES) * MOMENTS
TURNED, LOGARITHMS, SPECTRUM, MEANS, SPREADS = slices_of(
    2 * READ, READ, 2 * len(SPECTRUM_DISTANCES), ALL_MOMENTS, ALL_MOMENTS
)
PEAK = int(SPREADS.stop)
"""The rows of raw features: see `RawFeatures`."""
RAW_ROWS = PEAK + 1


def _feature_rows() -> IndexArray:
    """Return the row of raw features [FEATURES] that each feature stands in."""
    features, count = np.arange(READ - 1), len(ANCHORS)  # the constant is no feature
    moments = np.concatenate(
        [np.arange(0, 2 * count, 2), np.arange(1, 2 * count, 2), np.arange(2 * count, MOMENTS)]
    )
    return np.concatenate(
        [
            TURNED.start + 2 * features,
            TURNED.start + 2 * features + 1,
            LOGARITHMS.start + features,
            [PEAK],
            np.arange(SPECTRUM.start, SPECTRUM.stop),
            *(
                rows.start + number * MOMENTS + moments
                for number in range(len(MOMENT_CYCLES))
                for rows in (MEANS, SPREADS)
            ),
        ]
    )


FEATURE_ROWS = _feature_rows()


def _feature_scales() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what turns rows of raw features into features, and what is added to standard deviations.

    A standard deviation of logarithms is scaled as they are before LEAST_SPREAD is added.
    """
    scales, offsets = np.ones(RAW_ROWS), np.zeros(RAW_ROWS)
    scales[LOGARITHMS] = scales[SPECTRUM] = LOG_SCALE
    offsets[SPECTRUM] = BRIGHTEST
    moment_scales = np.ones(MOMENTS)
    moment_scales[2 * len(ANCHORS) : -1] = LOG_SCALE
    scales[MEANS] = all_scales = np.tile(moment_scales, len(MOMENT_CYCLES))
    scales[SPREADS] = SPREAD_SCALE
    offsets[SPREADS] = SPREAD_OFFSET + SPREAD_SCALE * np.log(all_scales)
    return scales.astype(np.float32), offsets.astype(np.float32), (MIN_SPREAD / all_scales).astype(np.float32)


FEATURE_SCALES, FEATURE_OFFSETS, MIN_SPREADS = _feature_scales()


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Features of some samples, and the parts that their estimates are made from.

    Parameters
    ----------
    features : float32 array, shape (samples, FEATURES, channels)
    parts : float32 array, shape (samples, 2, READ, channels)
        Real and imaginary parts of the resonators read and of the sample, turned and divided; and 1.
    turns : float32 array, shape (samples, 2, channels)
        The direction of the reference, a complex number of magnitude 1: what to multiply by to turn back.
    levels : float32 array, shape (samples, channels)
        What the parts were divided by.
    """

    features: FloatArray
    parts: FloatArray
    turns: FloatArray
    levels: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RawFeatures:
    """Features as they are computed: in another order, not turned in the end, logarithms not scaled.

    Parameters
    ----------
    rows : float32 array, shape (samples, channels, RAW_ROWS)
        TURNED: real and imaginary parts of the resonators read and of the sample, in turn, and two rows without
        meaning; LOGARITHMS of their powers, and a row without meaning; SPECTRUM: quick, then slow averages;
        MEANS and SPREADS of the anchors, over one time constant after another; PEAK.
    read : complex64 array, shape (samples, channels, READ)
        Resonators, sample and constant, all as parts are once they are multiplied by level and direction again.
    turns : float64 array, shape (2, samples, channels)
    levels : float64 array, shape (samples, channels)
    """

    rows: FloatArray
    read: ComplexArray
    turns: DoubleArray
    levels: DoubleArray

    def features(self) -> Features:
        """Return them in the order that models are trained with."""
        parts = self.rows[..., TURNED].reshape(*self.levels.shape, READ, 2).copy()
        parts[..., -1, :] = 1, 0
        features = self.rows.take(FEATURE_ROWS, axis=-1)
        features *= FEATURE_SCALES[FEATURE_ROWS]
        features += FEATURE_OFFSETS[FEATURE_ROWS]
        turns, levels = self.turns.astype(np.float32), self.levels.astype(np.float32)
        return Features(features.swapaxes(1, 2), parts.transpose(0, 3, 2, 1), turns.swapaxes(0, 1), levels)
