"""A fixed bank of resonators: the linear recurrent units a gated model hears through.

Each resonator is one complex pole (a linear recurrent unit: Orvieto et al., "Resurrecting recurrent neural networks
for long sequences", 2023), r[n] = p r[n-1] + (1 - |p|) x[n], p = exp(-1/memory + i omega). Five memories, from a
quarter of a cycle to ten cycles, stand at centre frequencies with one ratio from each to the next. At every sample the strongest
centre is picked, from powers averaged over a few cycles, and the resonators at fixed distances from it are read: a
network so sees the same picture whatever the frequency. All is turned to the phase of one of them and divided by
their magnitude, so that neither phase nor amplitude matters.

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

PICK_WEIGHTS = ((MIDDLE, np.float32(0.5)), (SHORT, np.float32(1.0)))
QUICK_CYCLES, SLOW_CYCLES = 3.0, 20.0  # that powers are averaged over, for the pick and for the picture
SPECTRUM_DISTANCES = (-14, -11, -8, -6, -4, -2, 0, 2, 4, 6, 8, 11, 14)
COURSE_CYCLES = (5.0, 20.0)  # that means and spreads of the anchors are taken over
COURSES = 3 * len(ANCHORS) + 1  # real and imaginary parts, logarithms, the pick

FEATURES = 3 * (HEARD - 1) + 1 + 2 * len(SPECTRUM_DISTANCES) + 2 * len(COURSE_CYCLES) * COURSES

LARGEST = np.float32(1e15)  # its square, and that of what is 1e-30 of it, are normal float32
SILENCE = np.float32(1e-18)
MOST_SAMPLES = 16
BLOCK_VALUES = 65_536  # of the resonators' states, over as many samples as that allows


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
        self._reals = _column(decays * np.cos(omegas))
        imaginaries = _column(decays * np.sin(omegas))
        self._crosses = np.stack([-imaginaries, imaginaries])
        self._read = _read_rows(places, self.resonators)
        centre_cycles = nominal_samples * np.exp(-SPACING * (np.arange(CENTRES) - CENTRES_EACH_SIDE))
        self._power_shares = _shares(centre_cycles, (QUICK_CYCLES, SLOW_CYCLES))[..., None]
        self._course_shares = _shares(centre_cycles, COURSE_CYCLES)
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
        self, inputs: FloatArray, state: FloatArray, wanted: Sequence[int] | None = None
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
        inputs = np.clip(inputs, -LARGEST, LARGEST)
        resonators, powers, courses = (state[rows] for rows in self._rows)
        rung = self._ring(inputs, resonators.reshape(2, -1, channels))
        spectra = self._average_powers(rung, powers.reshape(2, CENTRES, channels))
        picks = spectra[1:, 0].argmax(axis=1)
        everything = np.arange(samples)
        at = everything if wanted is None else np.asarray(wanted, np.intp)
        found = _gather(rung[1:], self._read if wanted is None else self._read[: len(ANCHORS)], picks, everything)
        turns, levels = _frame(found)
        anchors = _turned(found[:, :, : len(ANCHORS)], turns, levels)
        course = self._follow_courses(anchors, picks, courses.reshape(len(COURSE_CYCLES), -1, channels))
        after = np.empty_like(state)
        for rows, last in zip(self._rows, (rung, spectra, course), strict=True):
            after[rows] = last[-1].reshape(-1, channels)
        if wanted is not None:
            found = _gather(rung[1:], self._read, picks[at], at)
        return self._tell(inputs, found, turns, levels, picks, spectra[1:], course[1:], at), after

    def _tell(
        self,
        inputs: FloatArray,
        found: FloatArray,
        turns: FloatArray,
        levels: FloatArray,
        picks: IndexArray,
        spectra: FloatArray,
        courses: FloatArray,
        at: IndexArray,
    ) -> Heard:
        """Return what was heard at some samples, given the resonators read at these and all else at all."""
        parts = np.zeros((len(at), 2, HEARD, inputs.shape[1]), np.float32)
        parts[:, :, :-2] = found
        parts[:, 0, -2] = inputs[at]
        parts = _turned(parts, turns[at], levels[at])
        parts[:, 0, -1] = 1
        features = _features(parts, picks[at], spectra[at], courses[at])
        return Heard(features, parts, turns[at], levels[at])

    def _ring(self, inputs: FloatArray, before: FloatArray) -> FloatArray:
        """Return the resonators' states [samples + 1, 2, resonators, channels], the given one first."""
        rung = np.empty((len(inputs) + 1, *before.shape), np.float32)
        rung[0] = before
        drives = self._gains * inputs[:, None]
        crossed = np.empty_like(before)
        for before, after, drive in zip(rung[:-1], rung[1:], drives, strict=True):
            np.multiply(before, self._reals, after)
            np.multiply(before[::-1], self._crosses, crossed)
            np.add(after, crossed, after)
            np.add(after[0], drive, after[0])
        return rung

    def _average_powers(self, rung: FloatArray, before: FloatArray) -> FloatArray:
        """Return quick and slow averages [samples + 1, 2, centres, channels] of the centres' powers."""
        squares = np.square(rung[1:, :, : len(PICK_WEIGHTS) * CENTRES])
        powers = squares[:, 0] + squares[:, 1]
        powers = PICK_WEIGHTS[0][1] * powers[:, :CENTRES] + PICK_WEIGHTS[1][1] * powers[:, CENTRES:]
        return _leak(powers[:, None], self._power_shares, before)

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
    reached = {
        (memory, centre + distance): None for memory, distance in (*ANCHORS, *OTHERS) for centre in centres
    }
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
    all_shares = shares if shares.ndim == averages.ndim else [shares] * len(values)
    for value, share, before, after in zip(values, all_shares, averages[:-1], averages[1:], strict=True):
        np.subtract(value, before, after)
        np.multiply(after, share, after)
        np.add(after, before, after)
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
    # Halves added to halves: the same bits whatever the number of channels.
    while powers.shape[1] > 1:
        half = powers.shape[1] // 2
        powers = powers[:, :half] + powers[:, half:]
    levels = np.maximum(np.sqrt(powers[:, 0] * np.float32(4 / len(ANCHORS))), SILENCE)
    return found[:, :, 0] / reference[:, None], levels


def _turned(found: FloatArray, turns: FloatArray, levels: FloatArray) -> FloatArray:
    """Return complex numbers [samples, 2, rows, channels] times the turns' conjugate, over the levels."""
    scaled = turns / levels[:, None]
    crosses = np.stack([scaled[:, 1], -scaled[:, 1]], axis=1)[:, :, None]
    turned: FloatArray = found * scaled[:, 0][:, None, None] + found[:, ::-1] * crosses
    return turned


def _logarithms(parts: FloatArray) -> FloatArray:
    squares = np.square(parts)
    powers = squares[:, 0] + squares[:, 1]
    logarithms: FloatArray = np.log(powers + np.float32(1e-6)) * np.float32(0.15)
    return logarithms


def _pick_feature(picks: IndexArray) -> FloatArray:
    return picks.astype(np.float32) * np.float32(2 / CENTRES) - np.float32(1)


def _features(parts: FloatArray, picks: IndexArray, spectra: FloatArray, courses: FloatArray) -> FloatArray:
    """Return [samples, FEATURES, channels]."""
    samples, channels = picks.shape
    features = np.empty((samples, FEATURES, channels), np.float32)
    start = 0
    heard = parts[:, :, :-1]  # the constant tells nothing
    for group in (
        heard.reshape(samples, 2 * (HEARD - 1), channels),
        _logarithms(heard),
        _pick_feature(picks)[:, None],
        _spectrum_features(spectra, picks),
        _course_features(courses),
    ):
        features[:, start : start + group.shape[1]] = group
        start += group.shape[1]
    return features


def _spectrum_features(spectra: FloatArray, picks: IndexArray) -> FloatArray:
    """Return the averaged powers around the pick, as logarithms below the strongest."""
    samples, channels = picks.shape
    distances = np.array(SPECTRUM_DISTANCES)[:, None]
    near = np.clip(picks[:, None] + distances, 0, CENTRES - 1)[:, None]
    highest = np.maximum(spectra.max(axis=2, keepdims=True), np.float32(1e-36))
    powers = np.take_along_axis(spectra, near, axis=2) / highest
    logarithms = np.log(powers + np.float32(1e-5)) * np.float32(0.15) + np.float32(0.3)
    return logarithms.reshape(samples, 2 * len(SPECTRUM_DISTANCES), channels)


def _course_features(courses: FloatArray) -> FloatArray:
    """Return means, and logarithms of standard deviations."""
    samples, _, _, channels = courses.shape
    means, squares = courses[:, :, :COURSES], courses[:, :, COURSES:]
    variances = np.maximum(squares - np.square(means), np.float32(0))
    spreads = np.log(np.sqrt(variances) + np.float32(3e-3)) * np.float32(0.3) + np.float32(0.5)
    return np.concatenate([means, spreads], axis=2).reshape(samples, 2 * len(COURSE_CYCLES) * COURSES, channels)
