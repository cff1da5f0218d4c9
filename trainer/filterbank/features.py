"""What a network is told of a sample: which resonators are read, and what stands in which row.

A picture is computed in an order of its own, and models are trained with features in another: what is between them
is a permutation, a scale and an offset, which the engine folds into a model's first layer.
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
"""(memory, distance from the pick in centres, upwards in frequency): those whose course is remembered.
The first is the reference that all are turned to."""
OTHERS = (
    *((LONG, distance) for distance in (-3, -2, -1, 1, 2, 3)),
    *((MIDDLE, distance) for distance in (-6, -2, -1, 1, 2, 6)),
    *((SHORT, distance) for distance in (-30, -20, -12, 12, 19, 30)),  # 19 and 30: 2nd and 3rd harmonic
    *((memory, distance) for memory in (BRIEF, INSTANT) for distance in (-12, 12)),
    (INSTANT, 0),
)
OFFSET_MEMORIES_SAMPLES = (8.0, 40.0, 200.0)  # of leaky means, which hear an offset; at the design's nominal
RESONATORS_READ = len(ANCHORS) + len(OTHERS) + len(OFFSET_MEMORIES_SAMPLES)
HEARD = RESONATORS_READ + 2  # and the sample itself, and a constant
GAINS = HEARD
"""Complex numbers that a network answers with: an estimate is the sum of the parts, each times its gain."""

SPECTRUM_DISTANCES = (-14, -11, -8, -6, -4, -2, 0, 2, 4, 6, 8, 11, 14)
COURSE_CYCLES = (5.0, 20.0)  # that means and spreads of the anchors are taken over
COURSES = 3 * len(ANCHORS) + 1  # real and imaginary parts, logarithms, the pick

FEATURES = 3 * (HEARD - 1) + 1 + 2 * len(SPECTRUM_DISTANCES) + 2 * len(COURSE_CYCLES) * COURSES

LEAST_PART_POWER, LEAST_BRIGHTNESS = np.float32(1e-6), np.float32(1e-5)  # added before logarithms are taken
LOG_SCALE, BRIGHTEST = 0.15, 0.3  # of logarithms as features; the strongest power of a spectrum, as a feature
SPREAD_SCALE, SPREAD_OFFSET, LEAST_SPREAD = 0.3, 0.5, 3e-3

NEAR: IndexArray = np.clip(np.arange(CENTRES)[:, None] + np.array(SPECTRUM_DISTANCES), 0, CENTRES - 1)
"""The centre [centres, distances] at each distance from each pick, the outermost standing for those beyond."""
NEAR_BOTH: IndexArray = np.concatenate([NEAR, NEAR + CENTRES], axis=1)
"""The same among the quick averages, then among the slow ones."""


def slices_of(*lengths: int) -> list[slice]:
    """Return slices of these lengths, one behind the other."""
    return [slice(*pair) for pair in pairwise(np.cumsum([0, *lengths]).tolist())]


ALL_COURSES = len(COURSE_CYCLES) * COURSES
TURNED, LOGARITHMS, SPECTRUM, MEANS, SPREADS = slices_of(
    2 * HEARD, HEARD, 2 * len(SPECTRUM_DISTANCES), ALL_COURSES, ALL_COURSES
)
PICK = int(SPREADS.stop)
"""The rows of a picture: see `Picture`."""
PICTURE_ROWS = PICK + 1


def _feature_rows() -> IndexArray:
    """Return the row of a picture [FEATURES] that each feature stands in."""
    heard, count = np.arange(HEARD - 1), len(ANCHORS)  # the constant tells nothing
    courses = np.concatenate(
        [np.arange(0, 2 * count, 2), np.arange(1, 2 * count, 2), np.arange(2 * count, COURSES)]
    )
    return np.concatenate(
        [
            TURNED.start + 2 * heard,
            TURNED.start + 2 * heard + 1,
            LOGARITHMS.start + heard,
            [PICK],
            np.arange(SPECTRUM.start, SPECTRUM.stop),
            *(
                rows.start + number * COURSES + courses
                for number in range(len(COURSE_CYCLES))
                for rows in (MEANS, SPREADS)
            ),
        ]
    )


FEATURE_ROWS = _feature_rows()


def _feature_scales() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what turns a picture's rows into features, and what is added to standard deviations.

    A standard deviation of logarithms is scaled as they are before LEAST_SPREAD is added.
    """
    scales, offsets = np.ones(PICTURE_ROWS), np.zeros(PICTURE_ROWS)
    scales[LOGARITHMS] = scales[SPECTRUM] = LOG_SCALE
    offsets[SPECTRUM] = BRIGHTEST
    course_scales = np.ones(COURSES)
    course_scales[2 * len(ANCHORS) : -1] = LOG_SCALE
    scales[MEANS] = all_scales = np.tile(course_scales, len(COURSE_CYCLES))
    scales[SPREADS] = SPREAD_SCALE
    offsets[SPREADS] = SPREAD_OFFSET + SPREAD_SCALE * np.log(all_scales)
    return scales.astype(np.float32), offsets.astype(np.float32), (LEAST_SPREAD / all_scales).astype(np.float32)


FEATURE_SCALES, FEATURE_OFFSETS, LEAST_SPREADS = _feature_scales()


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What a network is told of some samples, and what its estimate is made from.

    Parameters
    ----------
    features : float32 array, shape (samples, FEATURES, channels)
    parts : float32 array, shape (samples, 2, HEARD, channels)
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
class Picture:
    """The same as it is computed: in another order, not turned in the end, its logarithms as they are.

    Parameters
    ----------
    rows : float32 array, shape (samples, channels, PICTURE_ROWS)
        TURNED: real and imaginary parts of the resonators read and of the sample, in turn, and two rows that tell
        nothing; LOGARITHMS of their powers, and a row that tells nothing; SPECTRUM: quick, then slow averages;
        MEANS and SPREADS of the anchors' courses, over one time constant after another; PICK.
    read : complex64 array, shape (samples, channels, HEARD)
        Resonators, sample and constant, all as parts are once they are multiplied by level and direction again.
    turns : float64 array, shape (2, samples, channels)
    levels : float64 array, shape (samples, channels)
    """

    rows: FloatArray
    read: ComplexArray
    turns: DoubleArray
    levels: DoubleArray

    def heard(self) -> Heard:
        """Return it in the order that models are trained with."""
        parts = self.rows[..., TURNED].reshape(*self.levels.shape, HEARD, 2).copy()
        parts[..., -1, :] = 1, 0
        features = self.rows.take(FEATURE_ROWS, axis=-1)
        features *= FEATURE_SCALES[FEATURE_ROWS]
        features += FEATURE_OFFSETS[FEATURE_ROWS]
        turns, levels = self.turns.astype(np.float32), self.levels.astype(np.float32)
        return Heard(features.swapaxes(1, 2), parts.transpose(0, 3, 2, 1), turns.swapaxes(0, 1), levels)
