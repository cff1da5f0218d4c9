"""Truncated back-propagation through time on a live stream.

Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
trajectories", 1990: every `stride` samples, the gradient of the last `window` samples' loss. Knows no torch.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamer.errors import FileError, UsageError
from streamer.messages import FloatArray
from trainer.labels import Window
from trainer.level import divide_out
from trainer.model import GATED, Model, Weights
from trainer.online.adam import Adam
from trainer.online.gated_gradient import GatedGradient
from trainer.online.learner import Study, last_of
from trainer.online.rnn_gradient import Parameters, RnnGradient
from trainer.state import LARGEST, Kept, Tree, array_of

# A target this many times the running level says that the level is not known yet, or that the teacher lies.
MAX_TARGET_PER_LEVEL = 10.0
MAX_LEARNING_RATE = 1e6
NO_LEVEL = np.ones((1, 1), np.float32)
LEARNING_RATES = {RnnGradient: 0.01, GatedGradient: 0.000002}


@dataclass(frozen=True, slots=True)
class OnlineConfig:
    """How to learn.

    Parameters
    ----------
    window_samples : int
        Samples whose loss is back-propagated.
    stride_samples : int
        Samples from one update to the next, at most `window_samples`.
    learning_rate : float or None
        Of Adam; None leaves it to the model: 0.01, or 0.000002 of a gated one, whose estimate has farther to fall.
    clip_norm : float
        Largest norm of the whole gradient; larger ones are scaled down to it.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    window_samples: int = 10
    stride_samples: int = 10
    learning_rate: float | None = None
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.window_samples <= 10_000:
            raise UsageError(f"--window: must be 1 to 10000 samples, got {self.window_samples}")
        if not 1 <= self.stride_samples <= self.window_samples:
            raise UsageError(
                f"--stride: must be 1 to the window, {self.window_samples}, got {self.stride_samples}"
            )
        for flag, value in (("--learning-rate", self.learning_rate), ("clip_norm", self.clip_norm)):
            if value is not None and not 0 < value <= MAX_LEARNING_RATE:
                raise UsageError(f"{flag}: must be above 0 and at most {MAX_LEARNING_RATE:g}, got {value}")


class OnlineLearner(Kept):
    """Learns one stream's weights from its windows. Whatever is not finite is refused and leaves no trace.

    Parameters
    ----------
    model : Model
        Where to start from.
    config : OnlineConfig

    Attributes
    ----------
    loss : float or None
        Of the latest update, in units of the signal's level squared.
    skipped : int
        Windows that taught nothing: no target known, or a loss, gradient or weight that is not finite.
    """

    kept: ClassVar = {"loss": float | None, "skipped": int, "_adam": Adam}

    def __init__(self, model: Model, config: OnlineConfig) -> None:
        self.config = config
        self.loss: float | None = None
        self.skipped = 0
        self._model = model.config
        self._parameters = Parameters(model.config, model.weights)
        self._gradient = Parameters(model.config)
        make = GatedGradient if model.config.cell == GATED else RnnGradient
        self._bptt: GatedGradient | RnnGradient = make(model.config, self._parameters.named)
        self._adam = Adam(self._parameters.vector.size, config.learning_rate or LEARNING_RATES[make])
        self._state = model.initial_state(1)

    @property
    def weights(self) -> Weights:
        """A copy of what has been learnt so far."""
        return {name: value.copy() for name, value in self._parameters.named.items()}

    @property
    def hidden(self) -> FloatArray:
        """The hidden state [rows, channels] before the next window."""
        return self._state

    def state(self) -> Tree:
        """As `Kept.state`."""
        return super().state() | {"weights": self._parameters.vector.copy(), "hidden": self._state.copy()}

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        vector = self._parameters.vector
        np.copyto(vector, array_of(tree, "weights", vector.shape, vector.dtype, largest=LARGEST))
        hidden = array_of(tree, "hidden", (len(self._state), None), np.float32, largest=math.nan)
        if not self._model.is_state(hidden):
            raise FileError("state: hidden must be what a step of the model has left")
        self._state = hidden.copy()

    def restart(self, state: FloatArray) -> None:
        """Go on from a hidden state [rows, channels], after a new run or a gap."""
        self._state = state.copy()

    def learn(self, window: Window) -> Weights | None:
        """Make one update and return the new weights, or None if this window taught nothing."""
        return last_of(self.study(window))

    def study(self, window: Window) -> Study:
        """Make one update in three parts; see `trainer.online.learner.Study`.

        The hidden state is carried to the sample `stride_samples` after the window's first; no gradient flows
        back through it.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what they lead to is found below
            outputs, levels, after = self._forward(window.inputs)
        yield False
        with np.errstate(over="ignore", invalid="ignore"):
            loss, d_outputs = self._loss(outputs, levels, window.targets)
            self._bptt.backward(d_outputs, self._gradient.named)
        yield True
        self._state = after
        with np.errstate(over="ignore", invalid="ignore"):
            learnt = np.isfinite(loss) and self._step()
        if not learnt:
            self.skipped += 1
            return None
        self.loss = float(loss)
        return self.weights

    def _forward(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return outputs [samples, channels, fields], levels [samples, channels] and the state to carry on."""
        stride, rows = self.config.stride_samples, self._model.level_rows
        if isinstance(self._bptt, GatedGradient):
            outputs, levels = self._bptt.forward(inputs, self._state)
            return outputs, levels, self._bptt.state_after(stride)
        if not rows:
            return self._bptt.forward(inputs, self._state), NO_LEVEL, self._bptt.state_after(stride)
        first, first_levels, after_stride = divide_out(self._model, inputs[:stride], self._state)
        rest, rest_levels, _ = divide_out(self._model, inputs[stride:], after_stride)
        outputs = self._bptt.forward(np.concatenate([first, rest]), self._state[rows:])
        after = np.concatenate([after_stride, self._bptt.state_after(stride)])
        return outputs, np.concatenate([first_levels, rest_levels]), after

    def _loss(self, outputs: FloatArray, levels: FloatArray, targets: FloatArray) -> tuple[float, FloatArray]:
        """Return the mean squared error of what is known, in units of the level, and its gradient by the outputs.

        The loss is NaN if nothing is known.
        """
        scaled = targets / levels[..., None]
        has_level = self._model.level_samples or self._model.cell == GATED
        largest = MAX_TARGET_PER_LEVEL if has_level else np.inf
        known = np.abs(scaled) <= largest  # false for NaN
        count = np.count_nonzero(known)
        if not count:
            return np.nan, np.zeros_like(outputs)
        error = outputs - scaled
        if count < known.size:
            error = np.where(known, error, np.float32(0))
        return float(np.vdot(error, error)) / count, error * np.float32(2 / count)

    def _step(self) -> bool:
        """Move the parameters against their clipped gradient; leave them alone and return False if that is not
        finite."""
        gradient, parameters = self._gradient.vector, self._parameters.vector
        norm = float(np.sqrt(np.vdot(gradient, gradient)))
        if not np.isfinite(norm):
            return False
        if norm > self.config.clip_norm:
            gradient *= np.float32(self.config.clip_norm / (norm + 1e-6))
        moved = parameters - self._adam.step(gradient)
        if not np.isfinite(moved).all():
            self._adam.restart()  # its moments are not finite either
            return False
        parameters[:] = moved
        return True
