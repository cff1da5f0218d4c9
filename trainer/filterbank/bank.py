"""Filter bank of a gated model: resonators whose outputs the model mixes, and the features that choose the mix.

Theory of operation
-------------------
Each resonator is one complex pole, a linear recurrent unit (Orvieto et al., "Resurrecting recurrent neural
networks for long sequences", 2023)::

    r[n] = p r[n-1] + (1 - |p|) x[n]        p = exp(-1 / memory + i omega)

Five memories, from a quarter of a cycle to ten cycles, stand at centre frequencies with one ratio from each to the
next. ::

    sample --> resonators --> powers of the centres, averaged --> peak
                   |                                               |
                   +--> resonators at fixed steps from the peak <--+
                                        |
                   turned to one phase, divided by one level --> features --> network --> gains
                                        |                                                  |
                                        +----------------> sum of output times gain <------+--> estimate

At every sample the peak, the strongest centre, is taken from powers averaged over a few cycles, and the resonators
at fixed steps from it are read: the features look the same whatever the frequency. All are turned to the phase of
one reference resonator and divided by one level, so that neither phase nor amplitude matters. Running moments
(means and mean squares over two time constants) tell how steady they are.

Everything here is linear, a product or an average; nothing is learnt. A channel's rows are neighbours in memory.
`trainer.filterbank.single_channel` steps one sample of one channel, to the same bits.
"""

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from streamer.messages import FloatArray
from trainer.filterbank.features import (
    ALL_MOMENTS,
    ANCHORS,
    CENTRES,
    CENTRES_EACH_SIDE,
    LOGARITHMS,
    MEANS,
    MIDDLE,
    MIN_BRIGHTNESS,
    MIN_PART_POWER,
    MIN_SPREADS,
    MOMENT_CYCLES,
    MOMENTS,
    NEAR_BOTH,
    OFFSET_MEMORIES_SAMPLES,
    OTHERS,
    PEAK,
    RAW_ROWS,
    SHORT,
    SPECTRUM,
    SPECTRUM_DISTANCES,
    SPREADS,
    TURNED,
    ComplexArray,
    DoubleArray,
    Features,
    IndexArray,
    RawFeatures,
    slices_of,
)

Gathered = TypeVar("Gathered", FloatArray, ComplexArray)

DESIGN_NOMINAL_SAMPLES = 25.0
SPACING = 0.036  # of neighbouring centres, in ln(frequency)
PEAK_WEIGHTS = ((MIDDLE, 0.5), (SHORT, 1.0))
QUICK_CYCLES, SLOW_CYCLES = 3.0, 20.0  # that powers are averaged over, for the peak and for the features
LARGEST = 1e15  # its square, and that of what is 1e-30 of it, are normal float32
NO_POWER = 1e-36  # what silence is divided by
MAX_SAMPLES = 64
MAX_WORK_ARRAYS = 8
BLOCK_VALUES = 393_216  # of the resonators' states, over as many samples as that allows


class FilterBank:
    """A filter bank for one nominal frequency. It holds no state.

    A state's rows are the real and the imaginary part of each resonator in turn; quick, then slow averages of the
    centres' powers; and the running moments of the anchors: all means, then all mean squares, over one time
    constant after another.

    Parameters
    ----------
    nominal_samples : float
        Samples a cycle in the middle of the range.

    Attributes
    ----------
    resonators : int
    poles : complex64 array, shape (resonators,)
    gains : float32 array, shape (resonators,)
    read : array of int, shape (CENTRES, READ)
        Which resonators belong to each peak. The number after the last resonator stands for the sample, and holds
        the constant's place.
    peak_weights : float32 array, shape (2 * CENTRES,)
        Of the powers of the first resonators.
    power_shares, power_decays : float32 arrays, shape (2 * CENTRES,)
        What a new value, and what the average before it, add to an average.
    moment_shares, moment_decays : float32 arrays, shape (CENTRES, rows of moments)
        The same, for each peak.
    rows : list of slice
        Of a state: the resonators, the powers and the moments.
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
        self.poles = (decays * np.exp(1j * omegas)).astype(np.complex64)
        self.gains = (1 - decays).astype(np.float32)
        self.read = _read_rows(places, self.resonators)
        centre_cycles = nominal_samples * np.exp(-SPACING * (np.arange(CENTRES) - CENTRES_EACH_SIDE))
        self.power_shares, self.power_decays = (
            each.reshape(-1) for each in _shares(centre_cycles, (QUICK_CYCLES, SLOW_CYCLES))
        )
        self.moment_shares, self.moment_decays = (
            np.tile(np.repeat(each.T, MOMENTS, axis=1), 2) for each in _shares(centre_cycles, MOMENT_CYCLES)
        )
        self.peak_weights = np.repeat(np.array([weight for _, weight in PEAK_WEIGHTS], np.float32), CENTRES)
        self.rows = slices_of(2 * self.resonators, 2 * CENTRES, 2 * ALL_MOMENTS)
        self._work_arrays: dict[int, ComplexArray] = {}

    @property
    def state_rows(self) -> int:
        """Rows of a state [rows, channels]."""
        return int(self.rows[-1].stop)

    def block_samples(self, channels: int) -> int:
        """Return how many samples to step at once, so that working arrays stay in the core's cache."""
        return max(1, min(MAX_SAMPLES, BLOCK_VALUES // (2 * self.resonators * channels)))

    def step_block(
        self, inputs: FloatArray, state: FloatArray, selected: Sequence[int] | IndexArray | None = None
    ) -> tuple[Features, FloatArray]:
        """Step over consecutive samples.

        Parameters
        ----------
        inputs : float32 array, shape (samples, channels)
            Finite.
        state : float32 array, shape (rows, channels)
            Zeros at the start, or what the previous call returned; left untouched.
        selected : indices or None
            Of the samples whose features are returned; None stands for all.

        Returns
        -------
        features : Features
        state : float32 array, shape (rows, channels)
        """
        raw_features, after = self.raw_features(
            inputs, state, None if selected is None else np.asarray(selected, np.intp)
        )
        return raw_features.features(), after

    def raw_features(
        self,
        inputs: FloatArray,
        state: FloatArray,
        selected: IndexArray | None = None,
        into: tuple[FloatArray, FloatArray] | None = None,
    ) -> tuple[RawFeatures, FloatArray]:
        """As `step_block`; `into`, if given, becomes the rows of the raw features and the state after.

        The latter may be the state before.
        """
        samples, channels = inputs.shape
        inputs = np.minimum(np.maximum(inputs, np.float32(-LARGEST)), np.float32(LARGEST))
        ring, powers, moments = (state[rows].T for rows in self.rows)
        states = self._states(inputs, ring)
        averages = self._average_powers(states, powers)
        strongest = averages.reshape(samples, channels, 2, CENTRES).argmax(axis=-1)
        peaks, at = strongest[..., 0], np.arange(samples)
        found = _gather(states, (self.read if selected is None else self.read[:, : len(ANCHORS)])[peaks], at)
        turns, levels = _frame(found[..., : len(ANCHORS)])
        turned, logarithms = _turned(found, turns, levels)
        followed = self._update_moments(turned, logarithms, peaks, moments)
        rows, after = into or (None, np.empty((self.state_rows, channels), np.float32, order="F"))
        np.concatenate([_floats(states[-1, :, :-1]), averages[-1], followed[-1]], axis=1, out=after.T)
        if selected is not None:
            at, peaks, strongest, followed = selected, peaks[selected], strongest[selected], followed[selected]
            turns, levels = turns[:, selected], levels[selected]
            found = _gather(states, self.read[peaks], at)
            turned, logarithms = _turned(found, turns, levels)
        found.real[..., -1], found.imag[..., -1] = turns * levels
        if rows is None:
            rows = np.empty((*peaks.shape, RAW_ROWS), np.float32)
        rows[..., TURNED], rows[..., LOGARITHMS] = turned, logarithms
        rows[..., SPECTRUM] = _spectrum(averages, strongest, at)
        rows[..., MEANS], rows[..., SPREADS] = _means_and_spreads(followed)
        rows[..., PEAK] = peak_feature(peaks)
        return RawFeatures(rows, found, turns, levels), after

    def _states(self, inputs: FloatArray, before: FloatArray) -> ComplexArray:
        """Return the resonators' states, and the sample [samples, channels, resonators + 1]."""
        samples, channels = inputs.shape
        working = self._work_array(samples, channels)
        working[..., -1] = inputs
        last = (before if before.strides[-1] == before.itemsize else before.copy("C")).view(np.complex64)
        states = working[..., :-1]
        if channels == 1:  # NumPy is quickest with one axis
            last, states, drives = last[0], states[:, 0], iter(inputs * self.gains)
        else:  # so many as fit into the core's cache
            drive = np.empty((channels, self.resonators), np.float32)
            drives = (np.multiply(sample, self.gains, drive) for sample in inputs[..., None])
        for state, real, drive in zip(states, states.real, drives, strict=True):
            np.multiply(last, self.poles, state)
            np.add(real, drive, real)
            last = state
        return working

    def _work_array(self, samples: int, channels: int) -> ComplexArray:
        """Return a working array, the same one again: to the system, new memory of this size is dear."""
        work = self._work_arrays.get(channels)
        if work is None or len(work) < samples:
            if len(self._work_arrays) == MAX_WORK_ARRAYS:
                self._work_arrays.clear()
            work = self._work_arrays[channels] = np.empty((samples, channels, self.resonators + 1), np.complex64)
        return work[:samples]

    def _average_powers(self, states: ComplexArray, before: FloatArray) -> FloatArray:
        """Return quick and slow averages [samples, channels, 2 * CENTRES] of the centres' powers."""
        powers = _powers(states[..., : len(self.peak_weights)])
        powers *= self.peak_weights
        total = powers[..., :CENTRES] + powers[..., CENTRES:]
        averages = np.concatenate([total, total], axis=-1)
        averages *= self.power_shares
        _leak(averages, self.power_decays, before)
        return averages

    def _update_moments(
        self, turned: FloatArray, logarithms: FloatArray, peaks: IndexArray, before: FloatArray
    ) -> FloatArray:
        """Return averages [samples, channels, 4 * COURSES]: of values, then of their squares."""
        count = len(ANCHORS)
        once = np.concatenate(
            [turned[..., : 2 * count], logarithms[..., :count], peak_feature(peaks)[..., None]], axis=-1
        )
        squares = np.square(once)
        averages = np.concatenate([once, once, squares, squares], axis=-1)
        averages *= self.moment_shares[peaks]
        _leak(averages, self.moment_decays[peaks], before)
        return averages


@cache
def bank_of(nominal_samples: float) -> FilterBank:
    """Return the bank for a nominal frequency."""
    return FilterBank(nominal_samples)


def _places() -> list[tuple[float, int]]:
    """Return (memory, place) of all resonators: those that the peak is taken from, then what else is read.

    Places count centres upwards in frequency from the nominal one.
    """
    centres = range(-CENTRES_EACH_SIDE, CENTRES_EACH_SIDE + 1)
    places = [(memory, centre) for memory, _ in PEAK_WEIGHTS for centre in centres]
    reached = {(memory, centre + distance): None for memory, distance in (*ANCHORS, *OTHERS) for centre in centres}
    return [*places, *(place for place in reached if place not in set(places))]


def _read_rows(places: list[tuple[float, int]], resonators: int) -> IndexArray:
    """Return the resonators [centres, HEARD] that belong to each peak."""
    row = {place: number for number, place in enumerate(places)}
    centres = range(-CENTRES_EACH_SIDE, CENTRES_EACH_SIDE + 1)
    near = [[row[memory, centre + distance] for memory, distance in (*ANCHORS, *OTHERS)] for centre in centres]
    same = [*range(len(places), resonators), resonators, resonators]
    return np.array([[*rows, *same] for rows in near], np.intp)


def _shares(cycles: DoubleArray, memories: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Return what a new value and what the old average add to an average over each memory [memories, centres].

    The two are exactly 1 together, so that the average of what is constant is just that.
    """
    decays = np.exp(-1 / np.multiply.outer(np.array(memories), cycles)).astype(np.float32)
    return 1 - decays, decays


def _leak(values: FloatArray, decays: FloatArray, before: FloatArray) -> None:
    """Turn values [samples, channels, rows], already multiplied by their shares, into leaky averages, in place.

    The averages before the first are [channels, rows].
    """
    decays = np.broadcast_to(decays, values.shape)
    if len(before) == 1:  # NumPy is quickest with one axis
        values, decays, before = values[:, 0], decays[:, 0], before[0]
    last, decayed = before, np.empty_like(values[0])
    for value, decay in zip(values, decays, strict=True):
        np.multiply(last, decay, decayed)
        np.add(decayed, value, value)
        last = value


def _gather(values: Gathered, rows: IndexArray, at: IndexArray) -> Gathered:
    """Return some rows [samples, channels, rows] of the values.

    `values` [samples, channels, all rows] are contiguous; `rows` are of their samples `at`.
    """
    _, channels, all_rows = values.shape
    places = rows + ((at[:, None] * channels + np.arange(channels)) * all_rows)[..., None]
    gathered: Gathered = values.reshape(-1).take(places, mode="clip")
    return gathered


def _floats(numbers: ComplexArray) -> FloatArray:
    """Return a view of the real and the imaginary part of each number in turn, along the last axis."""
    return numbers.view(np.float32)


def _powers(numbers: ComplexArray) -> FloatArray:
    squares = np.square(_floats(numbers))
    powers: FloatArray = squares[..., 0::2] + squares[..., 1::2]
    return powers


def _frame(anchors: ComplexArray) -> tuple[DoubleArray, DoubleArray]:
    """Return the reference's direction [2, samples, channels] and the anchors' level [samples, channels]."""
    powers = _powers(anchors).astype(np.float64)
    reference = np.sqrt(np.maximum(powers[..., 0], NO_POWER))
    levels = np.sqrt(np.maximum(_summed(powers) * (4 / len(ANCHORS)), NO_POWER))
    return np.stack([anchors[..., 0].real / reference, anchors[..., 0].imag / reference]), levels


def _summed(terms: DoubleArray) -> DoubleArray:
    """Return the sum along the last axis, halves added to halves: in an order that is ours, not NumPy's."""
    while (count := terms.shape[-1]) > 1:
        half = count // 2
        halves = terms[..., :half] + terms[..., half : 2 * half]
        if count % 2:
            halves[..., 0] += terms[..., -1]
        terms = halves
    total: DoubleArray = terms[..., 0]
    return total


def _turned(read: ComplexArray, turns: DoubleArray, levels: DoubleArray) -> tuple[FloatArray, FloatArray]:
    """Return complex numbers times the turns' conjugate, over the levels, and logarithms of their powers.

    Real and imaginary parts stand in turn along the last axis.
    """
    rotations = np.empty((*levels.shape, 1), np.complex64)
    rotations.real[..., 0], rotations.imag[..., 0] = turns[0] / levels, -turns[1] / levels
    logarithms = _powers(read)
    logarithms *= (1 / (levels * levels)).astype(np.float32)[..., None]
    logarithms += MIN_PART_POWER
    np.log(logarithms, logarithms)
    return _floats(read * rotations), logarithms


def peak_feature(peaks: IndexArray) -> FloatArray:
    """Return a peak as a feature, from -1 to 1."""
    return peaks.astype(np.float32) * np.float32(2 / CENTRES) - np.float32(1)


def _spectrum(averages: FloatArray, strongest: IndexArray, at: IndexArray) -> FloatArray:
    """Return averaged powers around the peak, as logarithms below the strongest.

    `strongest` [samples, channels, 2] are the places of the quick and of the slow averages' largest.
    """
    highest = _gather(averages, strongest + np.array([0, CENTRES]), at).astype(np.float64)
    scales = (1 / np.maximum(highest, NO_POWER)).astype(np.float32)
    spectrum = _gather(averages, NEAR_BOTH[strongest[..., 0]], at)
    spectrum *= scales.repeat(len(SPECTRUM_DISTANCES), axis=-1)
    spectrum += MIN_BRIGHTNESS
    np.log(spectrum, spectrum)
    return spectrum


def _means_and_spreads(moments: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return means, and logarithms of standard deviations."""
    means, squares = moments[..., :ALL_MOMENTS], moments[..., ALL_MOMENTS:]
    spreads: FloatArray = squares - np.square(means)
    np.abs(spreads, spreads)  # what is below 0 is rounding, and NumPy's maximum takes five times as long
    np.sqrt(spreads, spreads)
    spreads += MIN_SPREADS
    np.log(spreads, spreads)
    return means, spreads
