"""The model's time, stretched or shrunk to a signal's: for frequencies outside 12 to 50 samples a cycle.

Both stages stand around the engine and have its interface: inputs and state in, one estimate for every sample
out, bitwise the same however a stream was cut into chunks.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from predictor.engine.decimated import Decimated
from predictor.engine.stepper import Engine
from predictor.engine.upsampled import Upsampled
from streamer.errors import UsageError
from streamer.messages import FloatArray

BEST_CYCLE = 25.0  # samples a cycle: the middle of what the model knows, with an octave on either side
SHORTEST_CYCLE, LONGEST_CYCLE = 12.0, 50.0  # that the model knows
INTERPOLATED_CYCLE = 16.0  # at least: more steps a sample shorten the memory and let in more noise
MIN_CYCLE = 4.0  # below, straight lines are no sine any more: 4 degrees of error half an octave off 3.5, 8 at 3
MAX_SAMPLES = 2**20  # a step: the position, up to twice as large, is kept exactly in a float32
HIDDEN_STATES = (
    4  # that take turns, where there is room: one costs up to a tenth more error, more than 4 gain nothing
)


class Stepper(Protocol):
    """What steps a model over samples: `Engine`, or a stage around it."""

    def initial_state(self, channels: int) -> FloatArray: ...
    def is_state(self, state: FloatArray) -> bool: ...
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
        return max(1, round(self.samples / HIDDEN_STATES))

    def stage(self, engine: Engine) -> Stepper:
        """Return what steps `engine` on this scale; the engine itself where none is needed."""
        if self.steps > 1:
            return Upsampled(engine, self.steps, self.nominal_turn)
        if self.samples > 1:
            return Decimated(engine, self.samples, self.hop_samples, self.nominal_turn)
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
    if not MIN_CYCLE <= cycle <= BEST_CYCLE * MAX_SAMPLES:
        raise UsageError(
            f"--nominal-hz: at {rate_hz:g} samples/s must be {rate_hz / BEST_CYCLE / MAX_SAMPLES:.3g} to "
            f"{rate_hz / MIN_CYCLE:g}, for at least {MIN_CYCLE:g} samples a cycle, got {nominal_hz:g}"
        )
    turn = 2 * math.pi / cycle
    if cycle < SHORTEST_CYCLE:
        return TimeScale(steps=math.ceil(INTERPOLATED_CYCLE / cycle), nominal_turn=turn)
    samples = max(1, round(cycle / BEST_CYCLE))
    hop = TimeScale(samples).hop_samples
    return TimeScale(hop * round(samples / hop), nominal_turn=turn)
