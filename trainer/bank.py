"""A fixed bank of resonators: the linear recurrent units a gated model hears through.

Each resonator is one complex pole, a linear recurrent unit (Orvieto et al., "Resurrecting recurrent neural
networks for long sequences", 2023): r[n] = p r[n-1] + (1 - |p|) x[n], p = exp(-1/memory + i omega). Five memories,
from a quarter of a cycle to ten cycles, stand at centre frequencies with one ratio from each to the next. At every
sample the strongest centre is picked, from powers averaged over a few cycles, and the resonators at fixed steps
from it are read: so a network sees the same picture whatever the frequency. All is turned to the phase of one of
them and divided by their magnitude, so that neither phase nor amplitude matters.

Everything is linear, a product or an average, on arrays [rows, channels]; nothing here is learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamer.messages import FloatArray

IndexArray = NDArray[np.intp]

DESIGN_NOMINAL_SAMPLES = 25.0
SPACING = 0.036  # of neighbouring centres, in ln(frequency)
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

PICK_WEIGHTS = ((MIDDLE, 0.5), (SHORT, 1.0))
QUICK_CYCLES, SLOW_CYCLES = 3.0, 20.0  # that powers are averaged over, for the pick and for the picture
SPECTRUM_DISTANCES = (-14, -11, -8, -6, -4, -2, 0, 2, 4, 6, 8, 11, 14)
COURSE_CYCLES = (5.0, 20.0)  # that means and spreads of the anchors are taken over
COURSES = 3 * len(ANCHORS) + 1  # real and imaginary parts, logarithms, the pick

FEATURES = 3 * (HEARD - 1) + 1 + 2 * len(SPECTRUM_DISTANCES) + 2 * len(COURSE_CYCLES) * COURSES

LARGEST = np.float32(1e15)  # its square, and that of what is 1e-30 of it, are normal float32
SILENCE = np.float32(1e-18)
MOST_SAMPLES = 64
MOST_ROOMS = 8
BLOCK_VALUES = 65_536  # of the resonators' states, over as many samples as that allows


NEAR: IndexArray = np.clip(np.array(SPECTRUM_DISTANCES)[:, None] + np.arange(CENTRES), 0, CENTRES - 1)
"""The centre [distances, centres] at each distance from each pick, the outermost standing for those beyond."""


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


class Bank:
    """The resonators for one nominal frequency. Holds no state.

    Parameters
    ----------
    nominal_samples : float
        Samples a cycle in the middle of the range.
    """

    def __init__(self, nominal_samples: float) -> None:
        scale = nominal_samples / DESIGN_NOMINAL_SAMPLES
        places = _places()
        cycles = nominal_samples * np.exp(-SPACING * np.array([place for _, place in places]))
        memories = np.array([memory for memory, _ in places]) * cycles
        offset_memories = np.array(OFFSET_MEMORIES_SAMPLES) * scale
        decays = np.exp(-1 / np.concatenate([memories, offset_memories]))
        omegas = np.concatenate([2 * np.pi / cycles, np.zeros(len(offset_memories))])
        self.resonators = len(decays)
        self._gains = _column(1 - decays)
        self._reals = np.stack([_column(decays * np.cos(omegas))] * 2)  # for real and imaginary parts
        self._imaginaries = _column(decays * np.sin(omegas))
        self._negated = -self._imaginaries
        self._read = _read_rows(places, self.resonators)
        centre_cycles = nominal_samples * np.exp(-SPACING * (np.arange(CENTRES) - CENTRES_EACH_SIDE))
        self._power_shares = _shares(centre_cycles, (QUICK_CYCLES, SLOW_CYCLES))[..., None]
        self._course_shares = _shares(centre_cycles, COURSE_CYCLES)
        self._pick_weights = np.array([weight for _, weight in PICK_WEIGHTS], np.float32)[:, None, None]
        self._rooms: dict[int, tuple[FloatArray, ...]] = {}
        ends = np.cumsum([0, 2 * self.resonators, 2 * CENTRES, 2 * len(COURSE_CYCLES) * COURSES])
        self._rows = [slice(*pair) for pair in pairwise(ends)]

    @property
    def state_rows(self) -> int:
        """Rows of a state [rows, channels]: resonators, averaged powers, the anchors' courses."""
        return int(self._rows[-1].stop)

    def block_samples(self, channels: int) -> int:
        """Return how many samples to listen to at once, so that working arrays stay in the core's cache."""
        return max(1, min(MOST_SAMPLES, BLOCK_VALUES // (2 * self.resonators * channels)))

    def listen(
        self, inputs: FloatArray, state: FloatArray, wanted: Sequence[int] | IndexArray | None = None
    ) -> tuple[Heard, FloatArray]:
        """Hear consecutive samples.

        Parameters
        ----------
        inputs : float32 array, shape (samples, channels)
            Finite.
        state : float32 array, shape (rows, channels)
            Zeros at the start, or what the previous call returned; left untouched.
        wanted : indices or None
            Of the samples to tell of; None tells of all.

        Returns
        -------
        heard : Heard
        state : float32 array, shape (rows, channels)
        """
        samples, channels = inputs.shape
        inputs = np.minimum(np.maximum(inputs, -LARGEST), LARGEST)
        resonators, powers, courses = (state[rows] for rows in self._rows)
        rung = self._ring(inputs, resonators.reshape(2, -1, channels))
        spectra = self._average_powers(rung, powers.reshape(2, CENTRES, channels))
        picks = spectra[1:, 0].argmax(axis=1)
        everything = np.arange(samples)
        found = _gather(rung[1:], self._read if wanted is None else self._read[: len(ANCHORS)], picks, everything)
        turns, levels = _frame(found)
        anchors = _turned(found[:, :, : len(ANCHORS)], turns, levels)
        course = self._follow_courses(anchors, picks, courses.reshape(len(COURSE_CYCLES), -1, channels))
        after = np.empty_like(state)
        for rows, last in zip(self._rows, (rung, spectra, course), strict=True):
            after[rows] = last[-1].reshape(-1, channels)
        spectra, course = spectra[1:], course[1:]
        if wanted is not None:
            at = np.asarray(wanted, np.intp)
            inputs, turns, levels, picks, course = inputs[at], turns[at], levels[at], picks[at], course[at]
            found, near = _gather(rung[1:], self._read, picks, at), _gather(spectra, NEAR, picks, at)
            spectra = spectra[at]
        else:
            near = _gather(spectra, NEAR, picks, everything)
        parts = _parts(inputs, found, turns, levels)
        return Heard(_features(parts, picks, near, spectra, course), parts, turns, levels), after

    def _ring(self, inputs: FloatArray, before: FloatArray) -> FloatArray:
        """Return the resonators' states [samples + 1, 2, resonators, channels], the given one first."""
        rung, drives, crossed = self._room(len(inputs), before.shape[-1])
        rung[0] = before
        np.multiply(self._gains, inputs[:, None], drives)
        reals, imaginaries, negated = self._reals, self._imaginaries, self._negated
        states = rung
        if before.shape[-1] == 1:  # NumPy is quickest with one axis
            states, drives = rung.reshape(len(rung), -1), drives[..., 0]
            reals, imaginaries, negated = reals.reshape(-1), imaginaries[:, 0], negated[:, 0]
        crossed_real, crossed_imaginary = (part.reshape(drives.shape[1:]) for part in crossed)
        crossed = crossed.reshape(states.shape[1:])
        real_parts, imaginary_parts = (rung[:, part].reshape(-1, *drives.shape[1:]) for part in (0, 1))
        steps = zip(states[:-1], real_parts, imaginary_parts, states[1:], real_parts[1:], drives, strict=False)
        for state, real, imaginary, after, after_real, drive in steps:
            np.multiply(state, reals, after)
            np.multiply(imaginary, negated, crossed_real)
            np.multiply(real, imaginaries, crossed_imaginary)
            np.add(after, crossed, after)
            np.add(after_real, drive, after_real)
        return rung

    def _room(self, samples: int, channels: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return working arrays, the same ones again: to the system, new memory of this size is dear."""
        room = self._rooms.get(channels)
        if room is None or len(room[1]) < samples:
            if len(self._rooms) == MOST_ROOMS:
                self._rooms.clear()
            shape = (2, self.resonators, channels)
            sizes = (samples + 1, *shape), (samples, *shape[1:]), shape
            room = self._rooms[channels] = tuple(np.empty(size, np.float32) for size in sizes)
        rung, drives, crossed = room
        return rung[: samples + 1], drives[:samples], crossed

    def _average_powers(self, rung: FloatArray, before: FloatArray) -> FloatArray:
        """Return quick and slow averages [samples + 1, 2, centres, channels] of the centres' powers."""
        squares = np.square(rung[1:, :, : len(PICK_WEIGHTS) * CENTRES])
        powers = squares[:, 0] + squares[:, 1]
        weighed = powers.reshape(len(powers), len(PICK_WEIGHTS), CENTRES, -1) * self._pick_weights
        return _leak(weighed[:, :1] + weighed[:, 1:], self._power_shares, before)

    def _follow_courses(self, anchors: FloatArray, picks: IndexArray, before: FloatArray) -> FloatArray:
        """Return averages [samples + 1, time constants, 2 * COURSES, channels]: values, then their squares."""
        samples, _, count, channels = anchors.shape
        values = np.empty((samples, 1, 2 * COURSES, channels), np.float32)
        values[:, 0, : 2 * count] = anchors.reshape(samples, 2 * count, channels)
        values[:, 0, 2 * count : 3 * count] = _logarithms(anchors)
        values[:, 0, 3 * count] = _pick_feature(picks)
        np.square(values[:, :, :COURSES], out=values[:, :, COURSES:])
        shares = self._course_shares[:, picks].transpose(1, 0, 2)[:, :, None]
        return _leak(values, shares, before)


@cache
def bank_of(nominal_samples: float) -> Bank:
    """Return the bank for a nominal frequency."""
    return Bank(nominal_samples)


def _places() -> list[tuple[float, int]]:
    """Return (memory, place) of all resonators: those that the pick is made from, then what else is read.

    Places count centres upwards in frequency from the nominal one.
    """
    centres = range(-CENTRES_EACH_SIDE, CENTRES_EACH_SIDE + 1)
    places = [(memory, centre) for memory, _ in PICK_WEIGHTS for centre in centres]
    reached = {(memory, centre + distance): None for memory, distance in (*ANCHORS, *OTHERS) for centre in centres}
    return [*places, *(place for place in reached if place not in set(places))]


def _read_rows(places: list[tuple[float, int]], resonators: int) -> IndexArray:
    """Return the row of the bank [resonators read, centres] at each distance from each pick."""
    row = {place: number for number, place in enumerate(places)}
    centres = range(-CENTRES_EACH_SIDE, CENTRES_EACH_SIDE + 1)
    near = [[row[memory, centre + distance] for centre in centres] for memory, distance in (*ANCHORS, *OTHERS)]
    offsets = [[number] * CENTRES for number in range(len(places), resonators)]
    return np.array(near + offsets, np.intp)


def _column(values: NDArray[np.float64]) -> FloatArray:
    return values.astype(np.float32)[:, None]


def _shares(cycles: NDArray[np.float64], memories: Sequence[float]) -> FloatArray:
    """Return what a new value adds to an average over each memory [memories, centres]."""
    return np.stack([1 - np.exp(-1 / (memory * cycles)) for memory in memories]).astype(np.float32)


def _leak(values: FloatArray, shares: FloatArray, before: FloatArray) -> FloatArray:
    """Return leaky averages [samples + 1, ...] of values [samples, ...], the given one first."""
    averages = np.empty((len(values) + 1, *before.shape), np.float32)
    averages[0] = before
    shares = np.broadcast_to(shares, (len(values), *shares.shape[-before.ndim :]))
    steps = averages
    if before.shape[-1] == 1:  # NumPy is quickest with one axis
        shape = averages[1:].shape
        values, shares = (np.broadcast_to(array, shape).reshape(len(values), -1) for array in (values, shares))
        steps = averages.reshape(len(averages), -1)
    for value, share, last, after in zip(values, shares, steps[:-1], steps[1:], strict=True):
        np.subtract(value, last, after)
        np.multiply(after, share, after)
        np.add(after, last, after)
    return averages


def _gather(rung: FloatArray, rows: IndexArray, picks: IndexArray, at: IndexArray) -> FloatArray:
    """Return the states [samples, 2, rows, channels] of the rows [rows, centres] that belong to each pick.

    `rung` [samples, 2, resonators, channels] is contiguous; `picks` [samples, channels] are of its samples `at`.
    """
    _, _, resonators, channels = rung.shape
    size = resonators * channels
    places = (rows * channels)[:, picks].transpose(1, 0, 2) + np.arange(channels)
    places += (at * (2 * size))[:, None, None]
    flat = rung.reshape(-1)
    found = np.empty((len(at), 2, len(rows), channels), np.float32)
    flat.take(places, out=found[:, 0], mode="clip")
    flat[size:].take(places, out=found[:, 1], mode="clip")
    return found


def _frame(found: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the reference's direction [samples, 2, channels] and the anchors' level [samples, channels]."""
    squares = np.square(found[:, :, : len(ANCHORS)])
    powers = squares[:, 0] + squares[:, 1]
    reference = np.maximum(np.sqrt(powers[:, 0]), SILENCE)
    levels = np.maximum(np.sqrt(summed(powers, axis=1) * np.float32(4 / len(ANCHORS))), SILENCE)
    return found[:, :, 0] / reference[:, None], levels


def summed(terms: FloatArray, axis: int) -> FloatArray:
    """Return the sum along an axis after the first, halves added to halves.

    So the bits do not depend on how many channels stand beside each other, as those of NumPy's own sums do.
    """
    terms = terms.swapaxes(1, axis)
    while (count := terms.shape[1]) > 1:
        half = count // 2
        halves = terms[:, :half] + terms[:, half : 2 * half]
        if count % 2:
            halves[:, 0] += terms[:, -1]
        terms = halves
    total: FloatArray = terms[:, 0]
    return total


def _turned(found: FloatArray, turns: FloatArray, levels: FloatArray) -> FloatArray:
    """Return complex numbers [samples, 2, rows, channels] times the turns' conjugate, over the levels."""
    scaled = (turns / levels[:, None])[:, :, None, None]
    turned: FloatArray = found * scaled[:, 0]
    crossed = found * scaled[:, 1]
    np.add(turned[:, 0], crossed[:, 1], turned[:, 0])
    np.subtract(turned[:, 1], crossed[:, 0], turned[:, 1])
    return turned


def _parts(inputs: FloatArray, found: FloatArray, turns: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the resonators read, the sample and a constant [samples, 2, HEARD, channels], turned and divided."""
    parts = np.zeros((len(inputs), 2, HEARD, inputs.shape[1]), np.float32)
    parts[:, :, :-2] = found
    parts[:, 0, -2] = inputs
    parts = _turned(parts, turns, levels)
    parts[:, 0, -1] = 1
    return parts


def _logarithms(parts: FloatArray) -> FloatArray:
    squares = np.square(parts)
    powers = squares[:, 0] + squares[:, 1]
    logarithms: FloatArray = np.log(powers + np.float32(1e-6)) * np.float32(0.15)
    return logarithms


def _pick_feature(picks: IndexArray) -> FloatArray:
    return picks.astype(np.float32) * np.float32(2 / CENTRES) - np.float32(1)


def _features(
    parts: FloatArray, picks: IndexArray, near: FloatArray, spectra: FloatArray, courses: FloatArray
) -> FloatArray:
    """Return [samples, FEATURES, channels]: see `FEATURES`."""
    samples, channels = picks.shape
    features = np.empty((samples, FEATURES, channels), np.float32)
    heard = parts[:, :, :-1]  # the constant tells nothing
    count = HEARD - 1
    features[:, :count], features[:, count : 2 * count] = heard[:, 0], heard[:, 1]
    features[:, 2 * count : 3 * count] = _logarithms(heard)
    features[:, 3 * count] = _pick_feature(picks)
    start, end = 3 * count + 1, 3 * count + 1 + 2 * len(SPECTRUM_DISTANCES)
    features[:, start:end] = _spectrum_features(near, spectra).reshape(samples, end - start, channels)
    _write_course_features(courses, features[:, end:])
    return features


def _spectrum_features(near: FloatArray, spectra: FloatArray) -> FloatArray:
    """Return averaged powers around the pick, as logarithms below the strongest."""
    highest = np.maximum(spectra.max(axis=2, keepdims=True), np.float32(1e-36))
    logarithms: FloatArray = np.log(near / highest + np.float32(1e-5))
    logarithms *= np.float32(0.15)
    logarithms += np.float32(0.3)
    return logarithms


def _write_course_features(courses: FloatArray, into: FloatArray) -> None:
    """Write means and logarithms of standard deviations, one time constant after another."""
    means, squares = courses[:, :, :COURSES], courses[:, :, COURSES:]
    variances = np.maximum(squares - np.square(means), np.float32(0))
    spreads = np.log(np.sqrt(variances) + np.float32(3e-3))
    spreads *= np.float32(0.3)
    spreads += np.float32(0.5)
    for number in range(len(COURSE_CYCLES)):
        start = 2 * number * COURSES
        into[:, start : start + COURSES] = means[:, number]
        into[:, start + COURSES : start + 2 * COURSES] = spreads[:, number]
