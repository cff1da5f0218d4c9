"""One sample of one channel: the bank's arithmetic on vectors that are always in the same place.

Small array operations cost more in being called than in numbers. So state, sample and features are vectors with
views made once; every operation takes one contiguous axis, which NumPy calls quickest; and what is a single number
is Python's own. Each is the operation that `trainer.filterbank.bank` makes for a block, so the bits are equal.
"""

from math import sqrt

import numpy as np
from numpy import absolute, add, log, multiply, square, subtract
from numpy import sqrt as square_root

from streamer.messages import FloatArray
from trainer.filterbank.bank import LARGEST, NO_POWER, FilterBank, peak_feature
from trainer.filterbank.features import (
    ANCHORS,
    CENTRES,
    LOGARITHMS,
    MEANS,
    MIN_BRIGHTNESS,
    MIN_PART_POWER,
    MIN_SPREADS,
    MOMENTS,
    NEAR_BOTH,
    PEAK,
    RAW_ROWS,
    READ,
    SPECTRUM,
    SPREADS,
    TURNED,
)

COUNT = len(ANCHORS)


class SingleChannelBank:
    """Steps one channel through a bank, sample by sample.

    Parameters
    ----------
    bank : Bank

    Attributes
    ----------
    state : float32 array, shape (rows,)
        To be written before, and read after each channel's samples.
    column : float32 array, shape (RAW_ROWS + 1,)
        The latest raw features, and a 1.
    read : complex64 array, shape (READ,)
        As in `RawFeatures`.
    """

    def __init__(self, bank: FilterBank) -> None:
        # The state, and behind it the sample as a complex number, which is read as if it were a resonator.
        work = np.zeros(bank.state_rows + 2, np.float32)
        self.state, self._sample = work[:-2], work[-2:-1].reshape(())
        self.column = np.ones(RAW_ROWS + 1, np.float32)
        self._resonators = _Resonators(bank, work[bank.rows[0]], self._sample)
        self._averages = _Averages(bank, work)
        self._view = _View(bank, work, self.column)
        self._moments = _Moments(bank, work[bank.rows[2]], self.column)
        self.read = self._view.read

    def step(self, sample: float) -> None:
        """Take a finite sample."""
        self._sample[...] = min(max(sample, -LARGEST), LARGEST)
        self._resonators.step()
        peak, quick, slow = self._averages.step()
        self._view.update(peak, quick, slow)
        self._moments.step(peak)


class _Resonators:
    def __init__(self, bank: FilterBank, state: FloatArray, sample: FloatArray) -> None:
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
    """Averages of the powers that the peak is taken from."""

    def __init__(self, bank: FilterBank, work: FloatArray) -> None:
        self._weights = bank.peak_weights
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
        """Return the peak, and the strongest of the quick and of the slow averages."""
        powers, total, averages = self._powers, self._total, self._averages
        square(self._numbers, self._squares)
        add(self._of_real, self._of_imaginary, powers)
        multiply(powers, self._weights, powers)
        add(self._middle, self._short, total)
        multiply(total, self._quick_shares, self._quick)
        multiply(total, self._slow_shares, self._slow)
        multiply(averages, self._decays, averages)
        add(averages, self._new, averages)
        peak, slow_peak = self._both.argmax(1).tolist()
        return peak, averages.item(peak), averages.item(CENTRES + slow_peak)


class _View:
    """The bank around the peak, turned and in logarithms."""

    def __init__(self, bank: FilterBank, work: FloatArray, column: FloatArray) -> None:
        self._work, self._numbers = work, work.view(np.complex64)
        # The sample stands behind averages and moments, not behind the resonators.
        # Lists of a peak's own: they are indexed quicker than arrays.
        self._read_rows = list(np.where(bank.read < bank.resonators, bank.read, len(work) // 2 - 1))
        self._near_rows = list(NEAR_BOTH + bank.rows[1].start)
        self.read = np.empty(READ, np.complex64)
        self._parts = self.read.view(np.float32)
        self._squares = np.empty_like(self._parts)
        self._of_real, self._of_imaginary = self._squares[0::2], self._squares[1::2]
        # Powers of what is read, then quick and slow averages; and what to divide each by.
        self._powers, self._scales = np.empty((2, READ + NEAR_BOTH.shape[1]), np.float32)
        self._of_read, self._near = self._powers[:READ], self._powers[READ:]
        self._of_anchors = self._powers[:COUNT]
        self._read_scales, (self._quick_scales, self._slow_scales) = (
            self._scales[:READ],
            np.split(self._scales[READ:], 2),
        )
        self._floors = np.repeat([MIN_PART_POWER, MIN_BRIGHTNESS], [READ, NEAR_BOTH.shape[1]])
        self._rotation = np.empty((), np.complex64)
        self._turned = column[TURNED].view(np.complex64)
        self._logarithms = column[LOGARITHMS.start : SPECTRUM.stop]

    def update(self, peak: int, quick: float, slow: float) -> None:
        """Read around the peak, and write the raw features but for the moments."""
        read, of_read, powers, logarithms = self.read, self._of_read, self._powers, self._logarithms
        self._numbers.take(self._read_rows[peak], None, read, "clip")
        self._work.take(self._near_rows[peak], None, self._near, "clip")
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


class _Moments:
    """Running moments of the anchors: means and spreads."""

    def __init__(self, bank: FilterBank, state: FloatArray, column: FloatArray) -> None:
        half = len(state) // 2
        self._moments, self._means, self._mean_squares = state, state[:half], state[half:]
        self._shares, self._decays = list(bank.moment_shares), list(bank.moment_decays)
        self._peaks = peak_feature(np.arange(CENTRES)).tolist()
        # Values for one time constant, and for the other; then their squares.
        self._values = np.empty_like(state)
        self._once, self._again = self._values[:MOMENTS], self._values[MOMENTS:half]
        self._plain, self._squared = self._values[:half], self._values[half:]
        self._parts, self._turned = self._values[: 2 * COUNT], column[TURNED][: 2 * COUNT]
        self._of_powers, self._logarithms = self._values[2 * COUNT :][:COUNT], column[LOGARITHMS][:COUNT]
        self._column, self._mean_rows, self._spreads = column, column[MEANS], column[SPREADS]
        self._min_spreads = MIN_SPREADS

    def step(self, peak: int) -> None:
        values, moments, spreads = self._values, self._moments, self._spreads
        self._parts[...] = self._turned
        self._of_powers[...] = self._logarithms
        values[MOMENTS - 1] = self._column[PEAK] = self._peaks[peak]
        self._again[...] = self._once
        square(self._plain, self._squared)
        multiply(values, self._shares[peak], values)
        multiply(moments, self._decays[peak], moments)
        add(moments, values, moments)
        self._mean_rows[...] = self._means
        square(self._means, spreads)
        subtract(self._mean_squares, spreads, spreads)
        absolute(spreads, spreads)
        square_root(spreads, spreads)
        add(spreads, self._min_spreads, spreads)
        log(spreads, spreads)
