"""A gated model's layers and their gradient as array operations; no torch.

The recurrent part of a gated model is fixed (`trainer.filterbank.bank`), so the gradient of a window needs no way
back through time. What stands before and behind it (`trainer.conditioning`) is there as in the engine: a window is
processed as it was served, and targets are compared with what would be published. The lead that is undone counts
as given: no gradient goes through it. `trainer.offline.network` is the reference: forward and gradient are tested
against autograd to 1e-6.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from streamer.messages import FloatArray
from trainer.conditioning import DoubleArray, condition, leads, numbers_of, rows_of
from trainer.filterbank.bank import bank_of
from trainer.filterbank.features import GAINS, Features
from trainer.model import ModelConfig, Weights

ONE = np.float32(1)
NO_NUMBERS: DoubleArray = np.empty((0, 0))


class GatedGradient:
    """Forward and gradient of a gated model over one window.

    Parameters
    ----------
    config : ModelConfig
    weights : mapping of str to float32 array
        Views that may change between calls, such as those of `trainer.online.rnn_gradient.Parameters`.
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self._bank = bank_of(config.nominal_samples)
        self._nominal, self._rows = config.nominal_samples, config.conditioning_rows
        self._fields = len(config.fields)
        self._weights = weights
        self._layers = [f"body.{layer}" for layer in range(config.layers)]

    def forward(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return outputs [samples, channels, fields], and the levels [samples, channels] to multiply them by.

        Parameters
        ----------
        inputs : float32 array, shape (samples, channels)
        state : float32 array, shape (rows, channels)
        """
        self._inputs, self._before = inputs, state
        block, numbers, bank_state = self._step_block(len(inputs))
        weights = self._weights
        self._below = [_by_channel(block.features)]
        for name in self._layers:
            self._below.append(np.tanh(self._below[-1] @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]))
        gains = self._below[-1] @ weights["head.weight"].T + weights["head.bias"]
        # Turned beforehand, so that what is left is one complex product.
        self._real, self._imaginary = _turned(_by_channel(block.parts), _by_channel(block.turns))
        real, imaginary = gains[..., :GAINS], gains[..., GAINS:]
        cos = (real * self._real - imaginary * self._imaginary).sum(axis=-1)
        sin = (real * self._imaginary + imaginary * self._real).sum(axis=-1)
        self._said = np.stack([cos, sin], axis=-1)[..., : self._fields]
        self._lead, self._after = self._leads(numbers, bank_state)
        if not self._rows:
            return self._said, block.levels
        lead = self._lead.astype(np.float32)
        return np.stack([cos + lead * sin, sin - lead * cos], axis=-1), block.levels

    def state_after(self, samples: int) -> FloatArray:
        """Return the state [rows, channels] after so many samples of the last forward."""
        if samples == len(self._inputs):
            return self._after
        _, numbers, bank_state = self._step_block(samples, [])
        return self._leads(numbers, bank_state, samples)[1]

    def _step_block(
        self, samples: int, selected: list[int] | None = None
    ) -> tuple[Features, DoubleArray, FloatArray]:
        """Step the bank over the window's first samples; return their features, and what is carried on."""
        inputs, state = self._inputs[:samples], self._before
        if not self._rows:
            block, after = self._bank.step_block(inputs, state, selected)
            return block, NO_NUMBERS, after
        conditioned = condition(inputs, numbers_of(state), self._nominal)
        state, parts = state[self._rows :].copy(), []
        for piece, anew in conditioned.pieces():
            state[:, anew] = 0
            part, state = self._bank.step_block(conditioned.inputs[piece], state, selected)
            parts.append(part)
        return _joined(parts), conditioned.numbers, state

    def _leads(
        self, numbers: DoubleArray, bank_state: FloatArray, samples: int | None = None
    ) -> tuple[DoubleArray, FloatArray]:
        """Return the leads of the first samples, and the state [rows, channels] after them."""
        if not self._rows:
            return NO_NUMBERS, bank_state
        lead = leads(self._said[:samples], numbers, self._nominal)
        return lead, np.concatenate([rows_of(numbers), bank_state])

    def backward(self, d_outputs: FloatArray, into: Mapping[str, FloatArray]) -> None:
        """Write the gradient of the last forward, given that of its outputs, into arrays named as the weights."""
        d_cos = d_outputs[..., :1]
        d_sin = d_outputs[..., 1:] if self._fields == 2 else np.zeros_like(d_cos)
        if self._rows:
            lead = self._lead[..., None].astype(np.float32)
            d_cos, d_sin = d_cos - lead * d_sin, d_sin + lead * d_cos
        d_real = d_cos * self._real + d_sin * self._imaginary
        d_imaginary = d_sin * self._real - d_cos * self._imaginary
        d_above = np.concatenate([d_real, d_imaginary], axis=-1)
        for name, below in zip(["head", *reversed(self._layers)], reversed(self._below), strict=True):
            flat = d_above.reshape(-1, d_above.shape[-1])
            np.dot(flat.T, below.reshape(-1, below.shape[-1]), out=into[f"{name}.weight"])
            into[f"{name}.bias"][...] = flat.sum(axis=0)
            if below is not self._below[0]:
                d_above = (d_above @ self._weights[f"{name}.weight"]) * (ONE - below * below)


def _by_channel(array: FloatArray) -> FloatArray:
    """Return [samples, ..., channels] as [samples, channels, ...]."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def _turned(parts: FloatArray, turns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return real and imaginary parts of the product of complex numbers that stand along axis 2."""
    a, b = parts[:, :, 0], parts[:, :, 1]
    c, d = turns[:, :, :1], turns[:, :, 1:]
    return a * c - b * d, a * d + b * c


def _joined(parts: Sequence[Features]) -> Features:
    """Return the features of consecutive samples as one."""
    names = ("features", "parts", "turns", "levels")
    return Features(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
