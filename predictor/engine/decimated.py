"""One step of the model for several samples, for signals too slow for it."""

import cmath
import math

import numpy as np
from numpy.typing import NDArray

from predictor.engine.stepper import Engine
from streamer.messages import FloatArray

TURNS_AVERAGED = 5.0  # time constant of the measured frequency, in steps of the model
# Radians in a step of the model that a measured frequency may have: a margin around what the model knows.
MIN_TURN, MAX_TURN = np.float32(2 * math.pi / 60), np.float32(2 * math.pi / 10)
TINY = np.float32(1e-37)

ComplexArray = NDArray[np.complex64]


class Decimated:
    """Steps a model over means of so many samples, with several hidden states that take turns.

    A mean is late by half its length; each estimate is turned forward by that, and by the samples since its
    state's turn, at the instantaneous frequency measured between a state's successive estimates.

    Parameters
    ----------
    engine : Engine
        Of a model that says cos and sin.
    samples : int
        To a mean; at least 2.
    hop_samples : int
        From one hidden state's turn to the next one's; divides `samples`.
    nominal_turn : float
        Radians a sample at the nominal frequency.
    """

    def __init__(self, engine: Engine, samples: int, hop_samples: int, nominal_turn: float) -> None:
        self._engine = engine
        self._samples, self._hop = samples, hop_samples
        self._states = samples // hop_samples
        self._nominal = np.complex64(cmath.exp(1j * nominal_turn * samples))
        self._blend = np.float32(1 - math.exp(-1 / (TURNS_AVERAGED * self._states)))

    def initial_state(self, channels: int) -> FloatArray:
        """Return the state [rows, channels] before the first sample."""
        own = np.zeros((2 + self._states + 2 * (3 + self._states), channels), np.float32)
        return np.concatenate([own, *[self._engine.initial_state(channels)] * self._states])

    def is_state(self, state: FloatArray) -> bool:
        """As `Engine.is_state`."""
        own = 2 + self._states + 2 * (3 + self._states)
        place = state[0]
        whole = np.isfinite(state[:own]).all() and (place % 1 == 0).all() and (place >= 0).all()
        hidden = np.split(state[own:], self._states)
        return bool(whole and (place < 2 * self._samples).all()) and all(map(self._engine.is_state, hidden))

    def run(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """As `Engine.run`."""
        carried = _Carried(state, self._states)
        estimates = np.empty(inputs.shape, np.complex64)
        for sample, estimate in zip(inputs, estimates, strict=True):
            carried.sum += sample
            if carried.position % self._hop == 0:
                self._step(carried)
            else:
                carried.estimate *= carried.turn
            estimate[:] = carried.estimate
            carried.position += 1
            if carried.position == 2 * self._samples:
                carried.position = self._samples
        return estimates.view(np.float32).reshape(*inputs.shape, 2), carried.rows()

    def _step(self, carried: "_Carried") -> None:
        """Let the hidden state whose turn it is take the mean of the latest samples."""
        which = carried.position // self._hop % self._states
        count = min(carried.position + 1, self._samples)
        carried.sums[which] = carried.sum
        carried.sum[:] = 0
        mean = carried.sums.sum(axis=0, keepdims=True) / np.float32(count)
        outputs, carried.hidden[which] = self._engine.run(mean, carried.hidden[which])
        estimate = np.ascontiguousarray(outputs[0]).view(np.complex64)[:, 0]
        half = self._measure(carried, which, estimate) / np.float32(2 * self._samples)
        gain = np.sin(half * count) / (np.sin(half) * count)  # of a mean, at this frequency
        carried.estimate = estimate * np.exp(1j * (count - 1) * half) / gain
        carried.turn = np.exp(2j * half)

    def _measure(self, carried: "_Carried", which: int, estimate: ComplexArray) -> FloatArray:
        """Return the radians [channels] that the signal turns in a step of the model, averaged over the latest."""
        direction = estimate / np.maximum(np.abs(estimate), TINY)
        if carried.position >= self._samples:  # each state has an estimate before this one
            turn = direction * carried.directions[which].conj()
            carried.drift += self._blend * (turn - self._nominal - carried.drift)
        carried.directions[which] = direction
        radians: FloatArray = np.angle(self._nominal + carried.drift)
        # Noise may turn a step anywhere; no signal that the model follows does.
        return np.minimum(np.maximum(radians, MIN_TURN), MAX_TURN)


class _Carried:
    """What `Decimated` carries from sample to sample, taken from the rows of a state.

    Attributes
    ----------
    position : int
        Samples so far; after the first round, only where in a round.
    sum : float32 array, shape (channels,)
        Of the samples since the last turn.
    sums : float32 array, shape (states, channels)
        Of the samples before each hidden state's last turn.
    estimate, turn : complex64 arrays, shape (channels,)
        Of the present sample; by which it turns in a sample.
    drift : complex64 array, shape (channels,)
        Of the average turn in a step from the nominal one, so that zeros mean that nothing is measured yet.
    directions : complex64 array, shape (states, channels)
        Each hidden state's last estimate, of length 1.
    hidden : list of float32 arrays, shape (rows, channels)
    """

    def __init__(self, state: FloatArray, states: int) -> None:
        parts = np.split(state, [1, 2, 2 + states, 2 + states + 2 * (3 + states)])
        position, (total,), sums, vectors, hidden = parts
        self.position = int(position[0, 0])
        self.sum = total.copy()
        self.sums = sums.copy()
        vectors = vectors[0::2] + 1j * vectors[1::2]
        self.estimate, self.turn, self.drift = vectors[:3].copy()
        self.directions = vectors[3:]
        self.hidden = np.split(hidden, states)

    def rows(self) -> FloatArray:
        """Return the state [rows, channels]."""
        vectors = np.stack([self.estimate, self.turn, self.drift, *self.directions])
        channels = vectors.shape[1]
        pairs = np.stack([vectors.real, vectors.imag], axis=1).reshape(-1, channels)
        position = np.full((1, channels), self.position, np.float32)
        return np.concatenate([position, self.sum[None], self.sums, pairs, *self.hidden])
