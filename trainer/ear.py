"""One sample of one channel, heard alone: the bank's arithmetic on vectors that are always in the same place.

A hundred small array operations cost more in being called than in numbers. So the state, the sample and the picture
are vectors with views made once; every operation takes one contiguous axis, which NumPy calls quickest; and what is
a single number is Python's own. Each is the operation that `trainer.bank` makes for a block, so the bits are equal.
"""

import math

import numpy as np

from streamer.messages import FloatArray
from trainer.bank import (
    ANCHORS,
    BRIGHTEST,
    CENTRES,
    COURSES,
    HEARD,
    LARGEST,
    LEAST_BRIGHTNESS,
    LEAST_PART_POWER,
    LEAST_SPREAD,
    LOG_SCALE,
    LOGARITHMS,
    MEANS,
    NEAR_BOTH,
    NO_POWER,
    PICK,
    PICTURE_ROWS,
    SPECTRUM,
    SPECTRUM_DISTANCES,
    SPREAD_OFFSET,
    SPREAD_SCALE,
    SPREADS,
    TURNED,
    Bank,
    pick_feature,
)

COUNT = len(ANCHORS)

_LOG_SCALE, _LEAST_SPREAD, _SPREAD_SCALE, _SPREAD_OFFSET = (
    np.array(number) for number in (LOG_SCALE, LEAST_SPREAD, SPREAD_SCALE, SPREAD_OFFSET)
)


class Ear:
    """Hears sample after sample with one bank. Carries nothing from one to the next but working arrays.

    Parameters
    ----------
    bank : Bank

    Attributes
    ----------
    column : float32 array, shape (PICTURE_ROWS + 1,)
        The latest picture's rows, and a 1.
    read : complex64 array, shape (HEARD,)
        As in `Picture`.
    """

    def __init__(self, bank: Bank) -> None:
        self.column = np.zeros(PICTURE_ROWS + 1, np.float32)
        self.column[-1] = 1
        self.read = np.zeros(HEARD, np.complex64)
        self._make_ring(bank)
        self._make_averages(bank)
        self._make_tables(bank)
        self._make_picture()
        self._make_courses(bank)

    def _make_ring(self, bank: Bank) -> None:
        """The state, and behind it the sample as a complex number, which is read as if it were a resonator."""
        ring, averages, courses = bank.rows
        self._work = np.zeros(bank.state_rows + 2, np.float32)
        self._state = self._work[:-2]
        self._sample = self._work[-2:-1].reshape(())
        self._ring = self._work[ring].view(np.complex64)
        self._ring_real = self._ring.real
        self._averages, self._courses = self._work[averages], self._work[courses]
        self._poles, self._gains = bank.poles, bank.gains
        self._drive = np.empty(bank.resonators, np.float32)

    def _make_averages(self, bank: Bank) -> None:
        self._weights = bank.pick_weights
        count = len(self._weights)
        self._loud = self._work[: 2 * count]
        self._squares = np.empty(2 * count, np.float32)
        self._square_pairs = self._squares[0::2], self._squares[1::2]
        self._powers = np.empty(count, np.float32)
        self._halves = self._powers[:CENTRES], self._powers[CENTRES:]
        self._total = np.empty(CENTRES, np.float32)
        self._new = np.empty(2 * CENTRES, np.float32)
        self._shares = [(bank.power_shares[number], self._new[number * CENTRES :][:CENTRES]) for number in (0, 1)]
        self._decays = bank.power_decays.reshape(-1)
        self._spectra = self._averages.reshape(2, CENTRES)

    def _make_tables(self, bank: Bank) -> None:
        """What belongs to each pick, for a list is indexed quicker than an array."""
        # The sample stands behind averages and courses, not behind the resonators.
        rows = np.where(bank.read < bank.resonators, bank.read, len(self._state) // 2)
        near = NEAR_BOTH + self._spectra_start(bank)
        shares, decays = (
            np.tile(np.repeat(table, COURSES, axis=1), 2) for table in (bank.course_shares, bank.course_decays)
        )
        features = pick_feature(np.arange(CENTRES)).tolist()
        columns = (np.ascontiguousarray(rows.T), np.ascontiguousarray(near.T), shares, decays)
        self._tables = list(zip(*columns, features, strict=True))

    @staticmethod
    def _spectra_start(bank: Bank) -> int:
        return bank.rows[1].start

    def _make_picture(self) -> None:
        self._numbers = self._work.view(np.complex64)
        self._read_values = self.read.view(np.float32)
        self._read_squares = np.empty(2 * HEARD, np.float32)
        self._read_pairs = self._read_squares[0::2], self._read_squares[1::2]
        self._read_powers = np.empty(HEARD, np.float32)
        self._anchor_powers = self._read_powers[:COUNT]
        self._rotation = np.empty((), np.complex64)
        self._turned = self.column[TURNED].view(np.complex64)
        distances = len(SPECTRUM_DISTANCES)
        near = np.empty(2 * distances, np.float32)
        self._near = near
        self._logarithms = self.column[LOGARITHMS.start : SPECTRUM.stop]
        logarithms = self.column[LOGARITHMS]
        quick, slow = np.split(self.column[SPECTRUM], 2)
        scales = np.empty(3, np.float32)
        self._scaled = [
            (values, scales[number : number + 1].reshape(()), into)
            for number, (values, into) in enumerate(
                [(self._read_powers, logarithms), (near[:distances], quick), (near[distances:], slow)]
            )
        ]
        self._scales = scales
        self._floors = np.repeat([LEAST_PART_POWER, LEAST_BRIGHTNESS], [HEARD, 2 * distances])

    def _make_courses(self, bank: Bank) -> None:
        half = len(self._courses) // 2
        self._values = np.empty(2 * half, np.float32)
        self._plain, self._squared = self._values[:half], self._values[half:]
        self._again = self._plain[COURSES:], self._plain[:COURSES]
        self._copies = (
            (self._values[: 2 * COUNT], self.column[TURNED][: 2 * COUNT]),
            (self._values[2 * COUNT : 3 * COUNT], self.column[LOGARITHMS][:COUNT]),
        )
        self._means, self._mean_squares = self._courses[:half], self._courses[half:]
        self._mean_rows, self._spreads = self.column[MEANS], self.column[SPREADS]

    def hear(self, sample: float, state: FloatArray) -> FloatArray:
        """Take a sample; return the state after it, valid until the next call.

        Parameters
        ----------
        sample : float
            Finite.
        state : float32 array, shape (rows,)
        """
        self._state[...] = state
        self._sample[...] = min(max(sample, -LARGEST), LARGEST)
        self._step_resonators()
        pick, strongest = self._average_powers()
        rows, near, shares, decays, feature = self._tables[pick]
        self._numbers.take(rows, None, self.read, "clip")
        self._work.take(near, None, self._near, "clip")
        self._turn(strongest)
        self.column[PICK.start] = feature
        self._follow_courses(feature, shares, decays)
        return self._state

    def _step_resonators(self) -> None:
        ring, real, drive = self._ring, self._ring_real, self._drive
        np.multiply(ring, self._poles, ring)
        np.multiply(self._gains, self._sample, drive)
        np.add(real, drive, real)

    def _average_powers(self) -> tuple[int, list[float]]:
        """Return the pick, and the strongest of the quick and of the slow averages."""
        powers, averages, new, total = self._powers, self._averages, self._new, self._total
        np.square(self._loud, self._squares)
        np.add(*self._square_pairs, powers)
        np.multiply(powers, self._weights, powers)
        np.add(*self._halves, total)
        for share, into in self._shares:
            np.multiply(total, share, into)
        np.multiply(averages, self._decays, averages)
        np.add(averages, new, averages)
        pick, slow = self._spectra.argmax(1).tolist()
        return pick, [averages.item(pick), averages.item(CENTRES + slow)]

    def _turn(self, strongest: list[float]) -> None:
        """Write what is turned and the logarithms of powers."""
        read, powers, logarithms = self.read, self._read_powers, self._logarithms
        np.square(self._read_values, self._read_squares)
        np.add(*self._read_pairs, powers)
        p0, p1, p2, p3, p4, p5, p6, p7 = self._anchor_powers.tolist()
        total = ((p0 + p4) + (p2 + p6)) + ((p1 + p5) + (p3 + p7))
        level = math.sqrt(max(total * (4 / COUNT), NO_POWER))
        reference = math.sqrt(max(p0, NO_POWER))
        first = read.item(0)
        real, imaginary = first.real / reference, first.imag / reference
        self._rotation[...] = complex(real / level, -imaginary / level)
        np.multiply(read, self._rotation, self._turned)
        read[-1] = complex(real * level, imaginary * level)
        quick, slow = strongest
        scales = self._scales
        scales[0] = 1 / (level * level)
        scales[1] = BRIGHTEST / max(quick, NO_POWER)
        scales[2] = BRIGHTEST / max(slow, NO_POWER)
        for values, scale, into in self._scaled:
            np.multiply(values, scale, into)
        np.add(logarithms, self._floors, logarithms)
        np.log(logarithms, logarithms)
        np.multiply(logarithms, _LOG_SCALE, logarithms)

    def _follow_courses(self, pick: float, shares: FloatArray, decays: FloatArray) -> None:
        """Average the anchors' courses, and write their means and spreads."""
        values, courses, spreads = self._values, self._courses, self._spreads
        for into, source in self._copies:
            into[...] = source
        values[COURSES - 1] = pick
        again, first = self._again
        again[...] = first
        np.square(self._plain, self._squared)
        np.multiply(values, shares, values)
        np.multiply(courses, decays, courses)
        np.add(courses, values, courses)
        self._mean_rows[...] = self._means
        np.square(self._means, spreads)
        np.subtract(self._mean_squares, spreads, spreads)
        np.abs(spreads, spreads)
        np.sqrt(spreads, spreads)
        np.add(spreads, _LEAST_SPREAD, spreads)
        np.log(spreads, spreads)
        np.multiply(spreads, _SPREAD_SCALE, spreads)
        np.add(spreads, _SPREAD_OFFSET, spreads)
