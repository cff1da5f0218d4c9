"""The model's time, stretched or shrunk to a signal's: for frequencies outside 12 to 50 samples a cycle.

Both stages stand around the engine and have its interface: estimates and state in, one estimate for every sample
out, bitwise the same however a stream was cut into chunks.
"""

import cmath
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from predictor.engine import Engine
from streamer.errors import UsageError
from streamer.messages import FloatArray

BEST_CYCLE = 25.0  # samples a cycle: the middle of what the model knows, with an octave on either side
SHORTEST_CYCLE, LONGEST_CYCLE = 12.0, 50.0  # that the model knows
INTERPOLATED_CYCLE = 16.0  # at least: more steps a sample shorten the memory and let in more noise
LEAST_CYCLE = 4.0  # below, straight lines between samples are no sine any more: 15 degrees of error at 3
MOST_SAMPLES = 2**20  # a step: the position, up to twice as large, is kept exactly in a float32
STEPS_A_STEP = 4  # hidden states where there is room: one costs up to a tenth more error, more than 4 gain nothing
TURNS_AVERAGED = 5.0  # time constant of the measured frequency, in steps of the model
# Radians in a step of the model that a measured frequency may have: a margin around what the model knows.
LEAST_TURN, MOST_TURN = np.float32(2 * math.pi / 60), np.float32(2 * math.pi / 10)
TINY = np.float32(1e-37)


ComplexArray = NDArray[np.complex64]


class Stepper(Protocol):
    """What steps a model over samples: `Engine`, or a stage around it."""

    def initial_state(self, channels: int) -> FloatArray: ...
    def run(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]: ...


@dataclass(frozen=True, slots=True)
class TimeScale:
    """How a stream's samples become steps of the model.

    Parameters
    ----------
    samples : int
        The model takes the mean of so many samples as one of its own; 1 for each as it is.
    steps : int
        The model makes so many steps a sample; 1 unless signals are fast.
    nominal_turn : float
        Radians a sample at the nominal frequency.
    """

    samples: int = 1
    steps: int = 1
    nominal_turn: float = 2 * math.pi / BEST_CYCLE

    def __str__(self) -> str:
        about = f"{2 * math.pi / self.nominal_turn:.4g} samples a cycle"
        if self.steps > 1:
            return f"about {about}: the model makes {self.steps} steps a sample"
        if self.samples > 1:
            return f"about {about}: the model takes the mean of {self.samples} samples a step"
        return f"about {about}: the model takes each sample as it is"

    @property
    def samples_per_step(self) -> float:
        """Samples of the stream to one step of the model."""
        return self.samples / self.steps

    @property
    def hop_samples(self) -> int:
        """Samples from one hidden state's turn to the next one's."""
        return max(1, round(self.samples / STEPS_A_STEP))

    def stage(self, engine: Engine) -> Stepper:
        """Return what steps `engine` on this scale; the engine itself where none is needed."""
        if self.steps > 1:
            return Interpolated(engine, self)
        if self.samples > 1:
            return Averaged(engine, self)
        return engine


def time_scale(rate_hz: float, nominal_hz: float) -> TimeScale:
    """Return the scale that brings a nominal frequency to about 25 steps a cycle.

    Raises
    ------
    UsageError
        If the rate is not known (0), or there are fewer than 4 samples a cycle or more than 2^20 times 25.
    """
    if not rate_hz:
        raise UsageError("--nominal-hz: needs the rate of the samples, and that is not known")
    cycle = rate_hz / nominal_hz
    if not LEAST_CYCLE <= cycle <= BEST_CYCLE * MOST_SAMPLES:
        raise UsageError(
            f"--nominal-hz: at {rate_hz:g} samples/s must be {rate_hz / BEST_CYCLE / MOST_SAMPLES:.3g} to "
            f"{rate_hz / LEAST_CYCLE:g}, for at least {LEAST_CYCLE:g} samples a cycle, got {nominal_hz:g}"
        )
    turn = 2 * math.pi / cycle
    if cycle < SHORTEST_CYCLE:
        return TimeScale(steps=math.ceil(INTERPOLATED_CYCLE / cycle), nominal_turn=turn)
    samples = max(1, round(cycle / BEST_CYCLE))
    hop = TimeScale(samples).hop_samples
    return TimeScale(hop * round(samples / hop), nominal_turn=turn)


class Interpolated:
    """Steps a model several times a sample, along the straight line from the last sample to this one.

    Both ends are known when the sample comes, so that its estimate has no delay. A sine drawn in straight lines
    is smaller; estimates are enlarged by what that is at the nominal frequency.

    Parameters
    ----------
    engine : Engine
    scale : TimeScale
    """

    def __init__(self, engine: Engine, scale: TimeScale) -> None:
        self._engine = engine
        self._steps = steps = scale.steps
        half = scale.nominal_turn / 2
        self._gain = np.float32((steps * math.sin(half / steps) / math.sin(half)) ** 2)
        self._way = (np.arange(1, steps, dtype=np.float32) / np.float32(steps))[None, :, None]

    def initial_state(self, channels: int) -> FloatArray:
        """Return the state [rows, channels] before the first sample: the last sample, then the engine's."""
        return np.concatenate([np.zeros((1, channels), np.float32), self._engine.initial_state(channels)])

    def run(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """As `Engine.run`."""
        before = np.concatenate([state[:1], inputs[:-1]])
        line = np.empty((len(inputs), self._steps, inputs.shape[1]), np.float32)
        line[:, :-1] = before[:, None] + (inputs - before)[:, None] * self._way
        line[:, -1] = inputs
        estimates, after = self._engine.run(line.reshape(-1, inputs.shape[1]), state[1:])
        return estimates[self._steps - 1 :: self._steps] * self._gain, np.concatenate([inputs[-1:], after])


class Averaged:
    """Steps a model over means of so many samples, with several hidden states that take turns.

    A mean is late by half its length; each estimate is turned forward by that, and by the samples since its
    state's turn, at the instantaneous frequency measured between a state's successive estimates.

    Parameters
    ----------
    engine : Engine
        Of a model that says cos and sin.
    scale : TimeScale
    """

    def __init__(self, engine: Engine, scale: TimeScale) -> None:
        self._engine = engine
        self._samples, self._hop = scale.samples, scale.hop_samples
        self._states = scale.samples // scale.hop_samples
        self._nominal = np.complex64(cmath.exp(1j * scale.nominal_turn * self._samples))
        self._blend = np.float32(1 - math.exp(-1 / (TURNS_AVERAGED * self._states)))

    def initial_state(self, channels: int) -> FloatArray:
        """Return the state [rows, channels] before the first sample."""
        own = np.zeros((2 + self._states + 2 * (3 + self._states), channels), np.float32)
        return np.concatenate([own, *[self._engine.initial_state(channels)] * self._states])

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
        heard = min(carried.position + 1, self._samples)
        carried.sums[which] = carried.sum
        carried.sum[:] = 0
        mean = carried.sums.sum(axis=0, keepdims=True) / np.float32(heard)
        outputs, carried.hidden[which] = self._engine.run(mean, carried.hidden[which])
        estimate = np.ascontiguousarray(outputs[0]).view(np.complex64)[:, 0]
        half = self._measure(carried, which, estimate) / np.float32(2 * self._samples)
        gain = np.sin(half * heard) / (np.sin(half) * heard)  # of a mean, at this frequency
        carried.estimate = estimate * np.exp(1j * (heard - 1) * half) / gain
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
        return np.minimum(np.maximum(radians, LEAST_TURN), MOST_TURN)


class _Carried:
    """What `Averaged` carries from sample to sample, taken from the rows of a state.

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
