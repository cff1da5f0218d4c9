"""A gated model's step as plain arrays: the bank hears, the layers choose gains, the gains mix what was heard."""

import numpy as np

from predictor.products import Workspace
from streamer.messages import FloatArray
from trainer.bank import FEATURES, GAINS, bank_of, summed
from trainer.model import ModelConfig, Weights


def fuse(weights: Weights, layer: int) -> FloatArray:
    """Return the matrix [hidden, inputs + 1] of a layer, its bias last."""
    return np.concatenate([weights[f"body.{layer}.weight"], weights[f"body.{layer}.bias"][:, None]], axis=1)


class GatedPipeline:
    """The working arrays of all layers for one number of columns, through a block of samples.

    Parameters
    ----------
    config : ModelConfig
    width : int
        Columns, of which not all need be in use.
    apart : bool
        Each column in products of its own.
    """

    def __init__(self, config: ModelConfig, width: int, apart: bool) -> None:
        self._bank = bank_of(config.nominal_samples)
        self._fields = len(config.fields)
        self._workspace = Workspace(self._bank.block_samples(width), width, apart=apart)
        sizes = [FEATURES] + [config.hidden] * config.layers
        self._columns = [self._workspace.empty(self._workspace.samples, size + 1) for size in sizes]
        for columns in self._columns:
            columns[...] = 0
            columns[:, -1] = 1

    def run(
        self,
        fused: list[FloatArray],
        head: FloatArray,
        inputs: FloatArray,
        state: FloatArray,
        after: FloatArray,
        estimates: FloatArray,
    ) -> None:
        """Write `estimates` and `after`."""
        longest = self._workspace.samples
        for first in range(0, len(inputs), longest):
            block = slice(first, first + longest)
            state = self._run_block(fused, head, inputs[block], state, estimates[block])
        after[...] = state

    def _run_block(
        self,
        fused: list[FloatArray],
        head: FloatArray,
        inputs: FloatArray,
        state: FloatArray,
        estimates: FloatArray,
    ) -> FloatArray:
        samples, channels = inputs.shape
        heard, state = self._bank.listen(inputs, state)
        multiply_all = self._workspace.multiply_all
        below = self._columns[0][:samples]
        below[:, :-1, :channels] = heard.features
        for matrix, columns in zip(fused, self._columns[1:], strict=True):
            above = columns[:samples]
            np.tanh(multiply_all(matrix, below), above[:, :-1])
            below = above
        gains = multiply_all(head, below)[..., :channels]
        mixed = _mixed(gains.reshape(samples, 2, GAINS, channels), heard.parts)
        turned = _product(mixed, heard.turns)
        np.multiply(turned, heard.levels[:, None], turned)
        estimates[...] = turned[:, : self._fields].transpose(0, 2, 1)
        return state


def _mixed(gains: FloatArray, parts: FloatArray) -> FloatArray:
    """Return the sum [samples, 2, channels] of the parts, each times its gain."""
    return summed(_product(gains, parts), axis=2)


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the product of complex numbers whose real and imaginary parts stand along axis 1."""
    product = left * right[:, :1]
    crossed = left[:, ::-1] * right[:, 1:]
    np.subtract(product[:, 0], crossed[:, 0], product[:, 0])
    np.add(product[:, 1], crossed[:, 1], product[:, 1])
    return product
