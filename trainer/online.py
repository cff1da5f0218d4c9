"""Truncated back-propagation through time on a live stream.

Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
trajectories", 1990: every `stride` samples, the gradient of the last `window` samples' loss.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from streamer.errors import UsageError
from streamer.messages import FloatArray
from trainer.labels import Window
from trainer.model import Model, Weights
from trainer.network import HiddenState, hidden_of, levelled, network_of, state_of

# A target this many times the running level says that the level is not known yet, or that the teacher lies.
MAX_TARGET_PER_LEVEL = 10.0


@dataclass(frozen=True, slots=True)
class OnlineConfig:
    """How to learn.

    Parameters
    ----------
    window_samples : int
        Samples whose loss is back-propagated.
    stride_samples : int
        Samples from one update to the next, at most `window_samples`.
    learning_rate : float
        Of Adam.
    clip_norm : float
        Largest norm of the whole gradient; larger ones are scaled down to it.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    window_samples: int = 10
    stride_samples: int = 10
    learning_rate: float = 0.01
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.window_samples <= 10_000:
            raise UsageError(f"--window: must be 1 to 10000 samples, got {self.window_samples}")
        if not 1 <= self.stride_samples <= self.window_samples:
            raise UsageError(
                f"--stride: must be 1 to the window, {self.window_samples}, got {self.stride_samples}"
            )
        for flag, value in (("--learning-rate", self.learning_rate), ("clip_norm", self.clip_norm)):
            if not (np.isfinite(value) and value > 0):
                raise UsageError(f"{flag}: must be finite and above 0, got {value}")


class OnlineLearner:
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

    def __init__(self, model: Model, config: OnlineConfig) -> None:
        self.config = config
        self.loss: float | None = None
        self.skipped = 0
        self._model = model
        self._network = network_of(model)
        self._parameters = list(self._network.parameters())
        self._state = model.initial_state(1)
        self._new_optimizer()

    def _new_optimizer(self) -> None:
        # amsgrad (Reddi et al. 2018): once the loss is small, plain Adam forgets how large gradients can be and
        # leaps; measured, it halves the worst bump after convergence. foreach=False: faster for few small tensors.
        self._optimizer = torch.optim.Adam(
            self._parameters, lr=self.config.learning_rate, amsgrad=True, foreach=False
        )

    def restart(self, state: FloatArray) -> None:
        """Go on from a hidden state [rows, channels], after a new run or a gap."""
        self._state = state.copy()

    def learn(self, window: Window) -> Weights | None:
        """Make one update and return the new weights, or None if this window taught nothing.

        The hidden state is carried, detached, to the sample `stride_samples` after the window's first.
        """
        outputs, levels = self._forward(window.inputs)
        loss = self._loss(outputs, levels, window.targets)
        if loss is None or not torch.isfinite(loss):
            self.skipped += 1
            return None
        before = nn.utils.parameters_to_vector(self._parameters).detach()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._parameters, self.config.clip_norm, foreach=False)
        if not torch.isfinite(norm):
            self.skipped += 1
            return None
        self._optimizer.step()
        if not torch.isfinite(nn.utils.parameters_to_vector(self._parameters)).all():
            nn.utils.vector_to_parameters(before, self._parameters)
            self._new_optimizer()  # its moments are not finite either
            self.skipped += 1
            return None
        self.loss = loss.item()
        return self._network.weights()

    def _forward(self, inputs: FloatArray) -> tuple[Tensor, FloatArray]:
        """Return outputs [channels, samples, fields] and levels, in two parts so as to carry the state."""
        stride = self.config.stride_samples
        config = self._model.config
        first, first_levels, level_rows = levelled(config, inputs[:stride], self._state)
        outputs, hidden = self._network(_batch(first), hidden_of(config, self._state))
        self._state = state_of(level_rows, _detached(hidden))
        if len(inputs) == stride:
            return outputs, first_levels
        rest, rest_levels, _ = levelled(config, inputs[stride:], level_rows)
        rest_outputs, _ = self._network(_batch(rest), hidden)
        return torch.cat([outputs, rest_outputs], dim=1), np.concatenate([first_levels, rest_levels])

    def _loss(self, outputs: Tensor, levels: FloatArray, targets: FloatArray) -> Tensor | None:
        """Return the mean squared error, in units of the level, of what is known; None if nothing is."""
        with np.errstate(over="ignore"):
            scaled = torch.from_numpy((targets / levels[..., None]).transpose(1, 0, 2).copy())
        largest = MAX_TARGET_PER_LEVEL if self._model.config.level_samples else float("inf")
        known = scaled.abs() <= largest  # false for NaN
        if not known.any():
            return None
        return ((outputs[known] - scaled[known]) ** 2).mean()


def warm_up(model: Model, config: OnlineConfig) -> None:
    """Make one update that nobody sees: the first of a process takes torch a second, which no sample should wait."""
    shape = (config.window_samples, 1)
    targets = np.zeros((*shape, len(model.config.fields)), np.float32)
    OnlineLearner(model, config).learn(Window(0, np.ones(shape, np.float32), targets))


def _batch(inputs: FloatArray) -> Tensor:
    return torch.from_numpy(inputs.T[..., None].copy())


def _detached(hidden: HiddenState) -> HiddenState:
    if isinstance(hidden, tuple):
        return hidden[0].detach(), hidden[1].detach()
    return None if hidden is None else hidden.detach()
