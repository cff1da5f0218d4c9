"""One sample of one channel, heard alone: the bank's arithmetic on vectors that are always in the same place.

Small array operations cost more in being called than in numbers. So state, sample and picture are vectors with
views made once; every operation takes one contiguous axis, which NumPy calls quickest; and what is a single number
is Python's own. Each is the operation that `trainer.filterbank.bank` makes for a block, so the bits are equal.
"""

from math import sqrt

import numpy as np
from numpy import absolute, add, log, multiply, square, subtract
from numpy import sqrt as square_root

from streamer.messages import FloatArray
from trainer.filterbank.bank import LARGEST, NO_POWER, Bank, pick_feature
from trainer.filterbank.features import (
    ANCHORS,
    CENTRES,
    COURSES,
    HEARD,
    LEAST_BRIGHTNESS,
    LEAST_PART_POWER,
    LEAST_SPREADS,
    LOGARITHMS,
    MEANS,
    NEAR_BOTH,
    PICK,
    PICTURE_ROWS,
    SPECTRUM,
    SPREADS,
    TURNED,
)

COUNT = len(ANCHORS)


class Ear:
    """Hears sample after sample with one bank.

    Parameters
    ----------
    bank : Bank

    Attributes
    ----------
    state : float32 array, shape (rows,)
        To be written before, and read after each channel's samples.
    column : float32 array, shape (PICTURE_ROWS + 1,)
        The latest picture's rows, and a 1.
    read : complex64 array, shape (HEARD,)
        As in `Picture`.
    """

    def __init__(self, bank: Bank) -> None:
        # The state, and behind it the sample as a complex number, which is read as if it were a resonator.
        work = np.zeros(bank.state_rows + 2, np.float32)
        self.state, self._sample = work[:-2], work[-2:-1].reshape(())
        self.column = np.ones(PICTURE_ROWS + 1, np.float32)
        self._resonators = _Resonators(bank, work[bank.rows[0]], self._sample)
        self._averages = _Averages(bank, work)
        self._view = _View(bank, work, self.column)
        self._courses = _Courses(bank, work[bank.rows[2]], self.column)
        self.read = self._view.read

    def hear(self, sample: float) -> None:
        """Take a finite sample."""
        self._sample[...] = min(max(sample, -LARGEST), LARGEST)
        self._resonators.step()
        pick, quick, slow = self._averages.step()
        self._view.look(pick, quick, slow)
        self._courses.step(pick)


class _Resonators:
    def __init__(self, bank: Bank, state: FloatArray, sample: FloatArray) -> None:
        self._numbers = state.view(np.complex64)
        self._real = self._numbers.real
        self._poles, self._gains, self._sample = bank.poles, bank.gains, sample
        self._drive = np.empty_like(bank.gains)

    def step(self) -> None:
        numbers, real, drive = self._numbers, self._real, self._drive
        multiply(numbers, self._poles, numbers)
        multiply(self._gains, self._sample, drive)
        add(real, drive, real)


class _Averages:
    """Averages of the powers that the pick is made from."""

    def __init__(self, bank: Bank, work: FloatArray) -> None:
        self._weights = bank.pick_weights
        self._numbers = work[: 2 * len(self._weights)]
        self._squares = np.empty_like(self._numbers)
        self._of_real, self._of_imaginary = self._squares[0::2], self._squares[1::2]
        self._powers = np.empty_like(self._weights)
        self._middle, self._short = np.split(self._powers, 2)
        self._total = np.empty_like(self._middle)
        self._averages, self._decays = work[bank.rows[1]], bank.power_decays
        self._both = self._averages.reshape(2, CENTRES)
        self._new = np.empty_like(self._averages)
        self._quick, self._slow = np.split(self._new, 2)
        self._quick_shares, self._slow_shares = np.split(bank.power_shares, 2)

    def step(self) -> tuple[int, float, float]:
        """Return the pick, and the strongest of the quick and of the slow averages."""
        powers, total, averages = self._powers, self._total, self._averages
        square(self._numbers, self._squares)
        add(self._of_real, self._of_imaginary, powers)
        multiply(powers, self._weights, powers)
        add(self._middle, self._short, total)
        multiply(total, self._quick_shares, self._quick)
        multiply(total, self._slow_shares, self._slow)
        multiply(averages, self._decays, averages)
        add(averages, self._new, averages)
        pick, slow_pick = self._both.argmax(1).tolist()
        return pick, averages.item(pick), averages.item(CENTRES + slow_pick)


class _View:
    """What stands around the pick, turned and in logarithms."""

    def __init__(self, bank: Bank, work: FloatArray, column: FloatArray) -> None:
        self._work, self._numbers = work, work.view(np.complex64)
        # The sample stands behind averages and courses, not behind the resonators.
        # Lists of a pick's own: they are indexed quicker than arrays.
        self._read_rows = list(np.where(bank.read < bank.resonators, bank.read, len(work) // 2 - 1))
        self._near_rows = list(NEAR_BOTH + bank.rows[1].start)
        self.read = np.empty(HEARD, np.complex64)
        self._parts = self.read.view(np.float32)
        self._squares = np.empty_like(self._parts)
        self._of_real, self._of_imaginary = self._squares[0::2], self._squares[1::2]
        # Powers of what is read, then quick and slow averages; and what to divide each by.
        self._powers, self._scales = np.empty((2, HEARD + NEAR_BOTH.shape[1]), np.float32)
        self._of_read, self._near = self._powers[:HEARD], self._powers[HEARD:]
        self._of_anchors = self._powers[:COUNT]
        self._read_scales, (self._quick_scales, self._slow_scales) = (
            self._scales[:HEARD],
            np.split(self._scales[HEARD:], 2),
        )
        self._floors = np.repeat([LEAST_PART_POWER, LEAST_BRIGHTNESS], [HEARD, NEAR_BOTH.shape[1]])
        self._rotation = np.empty((), np.complex64)
        self._turned = column[TURNED].view(np.complex64)
        self._logarithms = column[LOGARITHMS.start : SPECTRUM.stop]

    def look(self, pick: int, quick: float, slow: float) -> None:
        """Read around the pick, and write the picture but for the courses."""
        read, of_read, powers, logarithms = self.read, self._of_read, self._powers, self._logarithms
        self._numbers.take(self._read_rows[pick], None, read, "clip")
        self._work.take(self._near_rows[pick], None, self._near, "clip")
        square(self._parts, self._squares)
        add(self._of_real, self._of_imaginary, of_read)
        p0, p1, p2, p3, p4, p5, p6, p7 = self._of_anchors.tolist()
        total = ((p0 + p4) + (p2 + p6)) + ((p1 + p5) + (p3 + p7))
        level = sqrt(max(total * (4 / COUNT), NO_POWER))
        reference = sqrt(max(p0, NO_POWER))
        first = read.item(0)
        real, imaginary = first.real / reference, first.imag / reference
        self._rotation[...] = complex(real / level, -imaginary / level)
        multiply(read, self._rotation, self._turned)
        read[-1] = complex(real * level, imaginary * level)
        self._read_scales.fill(1 / (level * level))
        self._quick_scales.fill(1 / max(quick, NO_POWER))
        self._slow_scales.fill(1 / max(slow, NO_POWER))
        multiply(powers, self._scales, logarithms)
        add(logarithms, self._floors, logarithms)
        log(logarithms, logarithms)


class _Courses:
    """Averages of the anchors' courses, their means and spreads."""

    def __init__(self, bank: Bank, state: FloatArray, column: FloatArray) -> None:
        half = len(state) // 2
        self._courses, self._means, self._mean_squares = state, state[:half], state[half:]
        self._shares, self._decays = list(bank.course_shares), list(bank.course_decays)
        self._picks = pick_feature(np.arange(CENTRES)).tolist()
        # Values for one time constant, and for the other; then their squares.
        self._values = np.empty_like(state)
        self._once, self._again = self._values[:COURSES], self._values[COURSES:half]
        self._plain, self._squared = self._values[:half], self._values[half:]
        self._parts, self._turned = self._values[: 2 * COUNT], column[TURNED][: 2 * COUNT]
        self._of_powers, self._logarithms = self._values[2 * COUNT :][:COUNT], column[LOGARITHMS][:COUNT]
        self._column, self._mean_rows, self._spreads = column, column[MEANS], column[SPREADS]
        self._least_spreads = LEAST_SPREADS

    def step(self, pick: int) -> None:
        values, courses, spreads = self._values, self._courses, self._spreads
        self._parts[...] = self._turned
        self._of_powers[...] = self._logarithms
        values[COURSES - 1] = self._column[PICK] = self._picks[pick]
        self._again[...] = self._once
        square(self._plain, self._squared)
        multiply(values, self._shares[pick], values)
        multiply(courses, self._decays[pick], courses)
        add(courses, values, courses)
        self._mean_rows[...] = self._means
        square(self._means, spreads)
        subtract(self._mean_squares, spreads, spreads)
        absolute(spreads, spreads)
        square_root(spreads, spreads)
        add(spreads, self._least_spreads, spreads)
        log(spreads, spreads)
