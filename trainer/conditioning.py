"""What stands before a gated model and behind it: a DC block, a clamp of artefacts, and the block's phase undone.

A gated model was trained on signals around zero. Amplifiers and ADCs add offsets of any size, drift, steps, rails
and single wild samples. So each sample has a running mean taken off, which is a first-order high-pass with its
corner at a tenth of the nominal frequency: H(w) = 1 / (1 - i tan(wc/2) / tan(w/2)). What that does to phase and
amplitude is known exactly, so the model's estimate is multiplied by 1/H at its own frequency, the average turn
from one estimate to the next. No arc tangent is needed: tan(w/2) = sin w / (1 + cos w).

- The mean starts at the first sample and weighs all samples alike until it has as many as it averages over: an
  offset, however large, costs no time.
- A deviation of more than 6 mean deviations is an artefact, and the model hears 2 in its place. If that goes on
  for half a cycle it is none: the signal has another offset or another size, and everything starts anew, the
  model's hidden state included.
- So it does where a flat line ends (a rail, a cable that was not connected, silence).

Only sums, products, quotients and square roots of float64, in one order: `Conditioner` does them on Python's
numbers, `_condition_many` and `_leads_of_many` on arrays, to the same bits. Each of their numbers takes two of a
state's float32 rows, bit by bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import exp, pi, sqrt, tan

import numpy as np
from numpy.typing import NDArray

from streamer.messages import FloatArray
from trainer.state import is_tame

NUMBERS = 8  # float64 carried from sample to sample
CONDITIONING_ROWS = 2 * NUMBERS  # of float32
# Times are in cycles of the nominal frequency, sizes in mean deviations.
CORNER_CYCLES = 10.0  # of the high-pass
DEVIATION_CYCLES = 3.0  # that deviations are averaged over
MAX_DEVIATIONS, CLAMPED_DEVIATIONS = 6.0, 2.0  # a sine's peak is 1.6, noise of 4.8 standard deviations is 6
GROWS = 2.0  # times, the mean deviation with each artefact: what recurs within two cycles is the signal
PERSISTS_CYCLES = 0.5  # clamped without a break, after which it is no artefact
# Before the mean deviation is known well, only what is far beyond it is clamped, and for two samples at most.
YOUNG_CYCLES, YOUNG_DEVIATIONS, YOUNG_PERSISTS = 0.4, 30.0, 2.0
# Where the third sample is one of the first two again, to within so much of their distance, the other was wild.
ALIKE = 1 / 60
# Without any deviation, a line is flat. The first short one ends in a new start; of further ones (a square wave's,
# samples that are held) only long ones do.
FLAT_SAMPLES, LONG_FLAT_CYCLES = 3.0, 2.0
FLAT_ENDED = -1.0  # in the place of the number of samples clamped: the start was the end of a flat line
MAX_TURN = 4.0  # of a direction or a turn less another, with room
TURN_CYCLES = 0.3  # that the turn of estimates is averaged over
FASTEST, SLOWEST = 2.5, 2.6  # times the nominal frequency, and parts of it, that estimates are taken to turn with
FEW_CHANNELS = 24  # so few are quicker one by one

DoubleArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Constants:
    """What the arithmetic needs, for one nominal frequency.

    Parameters
    ----------
    nominal_samples : float
        To a cycle.
    """

    def __init__(self, nominal_samples: float) -> None:
        self.corner = tan(pi / (CORNER_CYCLES * nominal_samples))
        pole = (1 - self.corner) / (1 + self.corner)
        self.gain = (1 + pole) / (2 * pole)
        self.mean_share = 1 - pole
        self.mean_samples = 1 / self.mean_share
        self.deviation_share = 1 - exp(-1 / (DEVIATION_CYCLES * nominal_samples))
        self.deviation_samples = 1 / self.deviation_share
        self.persists = max(YOUNG_PERSISTS, PERSISTS_CYCLES * nominal_samples)
        self.young = max(FLAT_SAMPLES, YOUNG_CYCLES * nominal_samples)
        self.long_flat = LONG_FLAT_CYCLES * nominal_samples
        self.most_count = max(self.mean_samples, self.deviation_samples, self.young, self.long_flat) + 2
        self.turn_share = 1 - exp(-1 / (TURN_CYCLES * nominal_samples))
        half = tan(pi / nominal_samples)
        self.nominal_cos = (1 - half * half) / (1 + half * half)
        self.nominal_sin = 2 * half / (1 + half * half)
        self.slowest = tan(pi / (nominal_samples * SLOWEST))
        self.fastest = tan(min(pi / nominal_samples * FASTEST, 0.45 * pi))


constants_of = cache(Constants)


class Conditioner:
    """Of one channel, sample by sample.

    Parameters
    ----------
    nominal_samples : float
        To a cycle.

    Attributes
    ----------
    mean, deviation, count, clamped : float
        The running mean; the mean deviation from it; of how many samples they are (counted no further than it
        matters); how many samples were clamped without a break, or `FLAT_ENDED`.
    last_cos, last_sin, turn_cos, turn_sin : float
        The direction of the last estimate (zeros: there was none); the average turn less the nominal one.
    """

    __slots__ = (
        "_of", "clamped", "count", "deviation", "last_cos", "last_sin", "mean", "turn_cos", "turn_sin",
    )  # fmt: skip

    def __init__(self, nominal_samples: float) -> None:
        self._of = constants_of(nominal_samples)
        self.load([0.0] * NUMBERS)

    def load(self, numbers: list[float]) -> None:
        """Go on from what `save` returned; zeros at the start."""
        self.mean, self.deviation, self.count, self.clamped = numbers[:4]
        self.last_cos, self.last_sin, self.turn_cos, self.turn_sin = numbers[4:]

    def save(self) -> list[float]:
        """Return what `load` takes."""
        return [
            self.mean, self.deviation, self.count, self.clamped,
            self.last_cos, self.last_sin, self.turn_cos, self.turn_sin,
        ]  # fmt: skip

    @property
    def begins(self) -> bool:
        """Whether everything started anew with the last sample."""
        return self.count == 1

    def condition(self, sample: float) -> float:
        """Return what the model is to hear of a finite sample."""
        of, count, deviation = self._of, self.count, self.deviation
        apart = sample - self.mean
        size = abs(apart)
        if deviation == 0:
            flat = size > 0 and (count >= of.long_flat or (count >= FLAT_SAMPLES and self.clamped == 0))
            if flat or count == 0:
                return self._begin(sample, FLAT_ENDED if flat else 0.0)
            deviation = size
        else:
            if count == 2 and abs(size - deviation / 2) < ALIKE * deviation:
                return self._begin(sample, 0.0)
            young = count <= of.young
            if size > (YOUNG_DEVIATIONS if young else MAX_DEVIATIONS) * deviation:
                self.clamped = max(self.clamped, 0.0) + 1
                if self.clamped > (YOUNG_PERSISTS if young else of.persists):
                    return self._begin(sample, 0.0)
                if self.clamped == 1 and not young:
                    self.deviation = GROWS * deviation
                return CLAMPED_DEVIATIONS * deviation if apart > 0 else -CLAMPED_DEVIATIONS * deviation
            self.clamped = 0.0
        moved = (of.mean_share if count >= of.mean_samples else 1 / (count + 1)) * apart
        self.mean += moved
        share = of.deviation_share if count >= of.deviation_samples else 1 / count
        self.deviation = deviation + share * (size - deviation)
        if count < of.most_count:
            self.count = count + 1
        return (apart - moved) * of.gain

    def _begin(self, sample: float, clamped: float) -> float:
        self.mean, self.deviation, self.count, self.clamped = sample, 0.0, 1.0, clamped
        return 0.0

    def lead(self, cos: float, sin: float) -> float:
        """Return tan of the angle by which the block has turned the model's estimate forward."""
        of = self._of
        size = sqrt(cos * cos + sin * sin)
        if size > 0:
            cos, sin = cos / size, sin / size
            last_cos, last_sin = self.last_cos, self.last_sin
            if last_cos != 0 or last_sin != 0:
                turn_cos = cos * last_cos + sin * last_sin - of.nominal_cos
                turn_sin = sin * last_cos - cos * last_sin - of.nominal_sin
                self.turn_cos += of.turn_share * (turn_cos - self.turn_cos)
                self.turn_sin += of.turn_share * (turn_sin - self.turn_sin)
            self.last_cos, self.last_sin = cos, sin
        cos, sin = of.nominal_cos + self.turn_cos, of.nominal_sin + self.turn_sin
        half = sin / max(sqrt(cos * cos + sin * sin) + cos, 1e-12)
        return of.corner / min(max(half, of.slowest), of.fastest)


# Blocks of samples of many channels


@dataclass(frozen=True, slots=True, eq=False)
class Conditioned:
    """What a model is to hear of a block of samples.

    Parameters
    ----------
    inputs : float32 array, shape (samples, channels)
    clean : float64 array, shape (samples, channels)
        The samples themselves, with what a model hears of artefacts in their place.
    begins : bool array, shape (samples, channels)
        Where a channel started anew: its hidden state is the initial one before that sample.
    numbers : float64 array, shape (channels, NUMBERS)
        After the block, but for what `leads` changes.
    """

    inputs: FloatArray
    clean: DoubleArray
    begins: BoolArray
    numbers: DoubleArray

    def pieces(self) -> Iterator[tuple[slice, BoolArray]]:
        """Yield the block in pieces, each with the channels that start anew at its first sample."""
        firsts = np.flatnonzero(self.begins[1:].any(axis=1)) + 1
        places = [0, *firsts.tolist(), len(self.begins)]
        for first, end in pairwise(places):
            yield slice(first, end), self.begins[first]


def numbers_of(state: FloatArray) -> DoubleArray:
    """Return the numbers [channels, NUMBERS] in the first rows of a state [rows, channels]."""
    return np.ascontiguousarray(state[:CONDITIONING_ROWS].T).view(np.float64)


def are_sound(numbers: DoubleArray) -> bool:
    """Return whether numbers [channels, NUMBERS] can be what was carried on from a sample."""
    _, deviation, count, clamped = numbers[:, :4].T
    counted = (count >= 1) | ((count == 0) & (deviation == 0))
    sound = is_tame(numbers) and counted.all() and (deviation >= 0).all() and (clamped >= FLAT_ENDED).all()
    return bool(sound and (np.abs(numbers[:, 4:]) <= MAX_TURN).all())


def rows_of(numbers: DoubleArray) -> FloatArray:
    """Return the rows [CONDITIONING_ROWS, channels] of a state for such numbers."""
    return np.ascontiguousarray(numbers).view(np.float32).T


def condition(inputs: FloatArray, numbers: DoubleArray, nominal_samples: float) -> Conditioned:
    """Return what a model is to hear of consecutive samples.

    Parameters
    ----------
    inputs : float32 array, shape (samples, channels)
        Finite.
    numbers : float64 array, shape (channels, NUMBERS)
        Zeros at the start, or those after the samples before; left untouched.
    nominal_samples : float
        To a cycle.
    """
    if inputs.shape[1] > FEW_CHANNELS:
        return _condition_many(inputs, numbers, constants_of(nominal_samples))
    one, after = Conditioner(nominal_samples), numbers.copy()
    heard, clean = np.empty(inputs.shape, np.float32), inputs.astype(np.float64)
    begins = np.zeros(inputs.shape, np.bool_)
    for channel, samples in enumerate(inputs.T.tolist()):
        one.load(numbers[channel].tolist())
        values = []
        for number, sample in enumerate(samples):
            values.append(one.condition(sample))
            if one.count == 1:
                begins[number, channel] = True
            elif one.clamped > 0:
                clean[number, channel] = one.mean + values[-1]
        heard[:, channel] = values
        after[channel] = one.save()
    return Conditioned(heard, clean, begins, after)


def leads(estimates: FloatArray, numbers: DoubleArray, nominal_samples: float) -> DoubleArray:
    """Return the lead [samples, channels] of a model's estimates [samples, channels, 2]; see `Conditioner.lead`.

    `numbers` [channels, NUMBERS] go on with these estimates, in place.
    """
    if estimates.shape[1] > FEW_CHANNELS:
        return _leads_of_many(estimates, numbers, constants_of(nominal_samples))
    one = Conditioner(nominal_samples)
    of_each = np.empty(estimates.shape[:2])
    for channel in range(estimates.shape[1]):
        one.load(numbers[channel].tolist())
        of_each[:, channel] = [one.lead(cos, sin) for cos, sin in estimates[:, channel].tolist()]
        numbers[channel] = one.save()
    return of_each


def undo(estimates: FloatArray, lead: DoubleArray) -> None:
    """Undo what the block did to a model's estimates [samples, channels, 2], in place, given their leads."""
    cos, sin = estimates[..., 0].astype(np.float64), estimates[..., 1].astype(np.float64)
    estimates[..., 0] = cos + lead * sin
    estimates[..., 1] = sin - lead * cos


def _condition_many(inputs: FloatArray, numbers: DoubleArray, of: Constants) -> Conditioned:
    after = numbers.copy()
    mean, deviation, count, clamped = after.T[:4].copy()
    heard, clean = np.empty(inputs.shape, np.float32), inputs.astype(np.float64)
    begins = np.zeros(inputs.shape, np.bool_)
    for sample, hears, begin in zip(clean, heard, begins, strict=True):
        apart = sample - mean
        size = np.abs(apart)
        still, young = deviation == 0, count <= of.young
        flat = still & (size > 0) & ((count >= of.long_flat) | ((count >= FLAT_SAMPLES) & (clamped == 0)))
        alike = ~still & (count == 2) & (np.abs(size - deviation / 2) < ALIKE * deviation)
        most = np.where(young, YOUNG_DEVIATIONS, MAX_DEVIATIONS) * deviation
        beyond = ~(still | alike) & (size > most)
        clamped = np.where(beyond, np.maximum(clamped, 0.0) + 1, np.where(still, clamped, 0.0))
        persists = beyond & (clamped > np.where(young, YOUNG_PERSISTS, of.persists))
        np.logical_or.reduce([count == 0, flat, alike, persists], out=begin)
        held = beyond & ~begin
        moved = np.where(count >= of.mean_samples, of.mean_share, 1 / (count + 1)) * apart
        clamp = CLAMPED_DEVIATIONS * deviation
        value = np.where(held, np.where(apart > 0, clamp, -clamp), (apart - moved) * of.gain)
        hears[:] = np.where(begin, 0.0, value)
        grown = np.where(young | (clamped > 1), deviation, GROWS * deviation)
        known = np.where(still, size, deviation)
        share = np.where(count >= of.deviation_samples, of.deviation_share, 1 / np.maximum(count, 1.0))
        deviation = np.where(begin, 0.0, np.where(held, grown, known + share * (size - known)))
        mean = np.where(begin, sample, np.where(held, mean, mean + moved))
        np.copyto(sample, mean + value, where=held)
        clamped = np.where(begin, np.where(flat, FLAT_ENDED, 0.0), clamped)
        count = np.where(begin, 1.0, np.where(held | (count >= of.most_count), count, count + 1))
    after[:, :4] = np.stack([mean, deviation, count, clamped], axis=1)
    return Conditioned(heard, clean, begins, after)


def _leads_of_many(estimates: FloatArray, numbers: DoubleArray, of: Constants) -> DoubleArray:
    last_cos, last_sin, turn_cos, turn_sin = numbers.T[4:].copy()
    of_each = np.empty(estimates.shape[:2])
    for estimate, lead in zip(estimates.astype(np.float64), of_each, strict=True):
        cos, sin = estimate.T
        size = np.sqrt(cos * cos + sin * sin)
        sounds = size > 0
        safe = np.where(sounds, size, 1.0)
        cos, sin = cos / safe, sin / safe
        turns = sounds & ((last_cos != 0) | (last_sin != 0))
        new_cos = cos * last_cos + sin * last_sin - of.nominal_cos
        new_sin = sin * last_cos - cos * last_sin - of.nominal_sin
        turn_cos = np.where(turns, turn_cos + of.turn_share * (new_cos - turn_cos), turn_cos)
        turn_sin = np.where(turns, turn_sin + of.turn_share * (new_sin - turn_sin), turn_sin)
        last_cos, last_sin = np.where(sounds, cos, last_cos), np.where(sounds, sin, last_sin)
        cos, sin = of.nominal_cos + turn_cos, of.nominal_sin + turn_sin
        half = sin / np.maximum(np.sqrt(cos * cos + sin * sin) + cos, 1e-12)
        np.divide(of.corner, np.minimum(np.maximum(half, of.slowest), of.fastest), out=lead)
    numbers[:, 4:] = np.stack([last_cos, last_sin, turn_cos, turn_sin], axis=1)
    return of_each
