"""A gated model's step as plain arrays: a filter bank, layers that choose gains, and outputs times gains."""

import struct

import numpy as np

from predictor.engine.resident import ResidentSeated
from streamer.messages import FloatArray
from trainer.conditioning import Conditioner, numbers_of, rows_of
from trainer.filterbank.bank import bank_of
from trainer.filterbank.features import FEATURE_OFFSETS, FEATURE_ROWS, FEATURE_SCALES, GAINS, RAW_ROWS
from trainer.filterbank.single_channel import SingleChannelBank
from trainer.model import ModelConfig, Weights

TILE = 128  # channels; more, and the resonators of a few samples leave the core's own cache
SAMPLE, ESTIMATE = struct.Struct("<f"), struct.Struct("<ff")
FEW_VALUES = 10  # samples times channels; so few are quicker one by one


def fuse(weights: Weights, layer: int) -> FloatArray:
    """Return the matrix [hidden, inputs + 1] of a layer, its bias last; the first takes raw features."""
    weight, bias = weights[f"body.{layer}.weight"], weights[f"body.{layer}.bias"]
    if layer == 0:
        bias = bias + weight @ FEATURE_OFFSETS[FEATURE_ROWS]
        features, weight = weight, np.zeros((len(weight), RAW_ROWS), np.float32)
        weight[:, FEATURE_ROWS] = features * FEATURE_SCALES[FEATURE_ROWS]
    return np.asfortranarray(np.concatenate([weight, bias[:, None]], axis=1))


def fuse_head(weights: Weights) -> FloatArray:
    """Return the matrix [2 * GAINS, hidden + 1]: a gain's real part, its imaginary part, the next gain's."""
    together = np.concatenate([weights["head.weight"], weights["head.bias"][:, None]], axis=1)
    return np.asfortranarray(together.reshape(2, GAINS, -1).swapaxes(0, 1).reshape(2 * GAINS, -1))


class GatedPipeline:
    """The working arrays of all layers for one number of channels, through a block of samples.

    A channel's rows are neighbours in memory.

    Parameters
    ----------
    config : ModelConfig
    width : int
        Channels, of which not all need be in use.
    apart : bool
        Each channel in products of its own.
    """

    def __init__(self, config: ModelConfig, width: int, apart: bool) -> None:
        self._bank = bank_of(config.nominal_samples)
        self._fields = len(config.fields)
        self._samples = self._bank.block_samples(width)
        self._multiply = _apart if apart else _together
        sizes = [RAW_ROWS] + [config.hidden] * config.layers
        self._columns = [np.zeros((self._samples, width, size + 1), np.float32) for size in sizes]
        for columns in self._columns:
            columns[..., -1] = 1
        self._one_by_one = _OneByOne(config) if apart else None

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
        if self._one_by_one and inputs.size <= FEW_VALUES:
            self._one_by_one.run(fused, head, inputs, state, after, estimates)
            return
        longest = self._samples
        for first in range(0, len(inputs), longest):
            block = slice(first, first + longest)
            self._run_block(fused, head, inputs[block], state, after, estimates[block])
            state = after
        if state is not after:
            after[...] = state

    def _run_block(
        self,
        fused: list[FloatArray],
        head: FloatArray,
        inputs: FloatArray,
        state: FloatArray,
        after: FloatArray,
        estimates: FloatArray,
    ) -> None:
        samples, channels = inputs.shape
        below = self._columns[0][:samples]
        raw_features, _ = self._bank.raw_features(inputs, state, into=(below[:, :channels, :-1], after))
        for matrix, columns in zip(fused, self._columns[1:], strict=True):
            above = columns[:samples]
            np.tanh(self._multiply(matrix, below), above[..., :-1])
            below = above
        gains = self._multiply(head, below)[:, :channels].view(np.complex64)
        mixed = np.matmul(gains[..., None, :], raw_features.read[..., None])
        estimates[...] = mixed[..., 0].view(np.float32)[..., : self._fields]


class _OneByOne:
    """The same sample by sample and channel by channel, on vectors."""

    def __init__(self, config: ModelConfig) -> None:
        self.bank = SingleChannelBank(bank_of(config.nominal_samples))
        self._fields = len(config.fields)
        columns = [np.ones(config.hidden + 1, np.float32) for _ in range(config.layers)]
        self._layers = [(column, column[:-1]) for column in columns]
        self._gains = np.empty(2 * GAINS, np.float32)
        self._complex_gains = self._gains.view(np.complex64)

    def run(
        self,
        fused: list[FloatArray],
        head: FloatArray,
        inputs: FloatArray,
        state: FloatArray,
        after: FloatArray,
        estimates: FloatArray,
    ) -> None:
        bank, single = self.bank, self._fields == 1
        for channel, samples in enumerate(inputs.T.tolist()):
            bank.state[...] = state[:, channel]
            for number, sample in enumerate(samples):
                bank.step(sample)
                estimate = self.mix(fused, head)
                estimates[number, channel, 0] = estimate.real
                if not single:
                    estimates[number, channel, 1] = estimate.imag
            after[:, channel] = bank.state

    def mix(self, fused: list[FloatArray], head: FloatArray) -> np.complex64:
        """Return the estimate, cos + i sin, of the bank's latest sample."""
        below = self.bank.column
        for matrix, (column, hidden) in zip(fused, self._layers, strict=True):
            matrix.dot(below, hidden)
            np.tanh(hidden, hidden)
            below = column
        head.dot(below, self._gains)
        estimate: np.complex64 = self._complex_gains.dot(self.bank.read)
        return estimate


class GatedSeat:
    """One channel's state in a bank of its own; see `predictor.engine.resident.Seat`.

    Parameters
    ----------
    config : ModelConfig
    """

    def __init__(self, config: ModelConfig) -> None:
        self.taken_by: ResidentSeated | None = None
        self._one = _OneByOne(config)
        self._rows = config.conditioning_rows
        self._conditioner = Conditioner(config.nominal_samples)

    def load(self, state: FloatArray) -> None:
        if self._rows:
            self._conditioner.load(numbers_of(state)[0].tolist())
        self._one.bank.state[...] = state[self._rows :, 0]

    def save(self) -> FloatArray:
        state = self._one.bank.state[:, None]
        if not self._rows:
            return state.copy()
        return np.concatenate([rows_of(np.array([self._conditioner.save()])), state])

    def step(self, fused: list[FloatArray], head: FloatArray, payload: bytes) -> bytes:
        (sample,) = SAMPLE.unpack(payload)
        one, conditioner = self._one, self._conditioner
        if not self._rows:
            one.bank.step(sample)
            return one.mix(fused, head).tobytes()[:4]
        conditioned = conditioner.condition(sample)
        if conditioner.count == 1:
            one.bank.state.fill(0)
        one.bank.step(conditioned)
        estimate = one.mix(fused, head).item()
        cos, sin = estimate.real, estimate.imag
        lead = conditioner.lead(cos, sin)
        return ESTIMATE.pack(cos + lead * sin, sin - lead * cos)


def _together(matrix: FloatArray, columns: FloatArray) -> FloatArray:
    """Return the products [samples, channels, products] of columns [samples, channels, rows]."""
    products: FloatArray = np.matmul(columns, matrix.T)
    return products


def _apart(matrix: FloatArray, columns: FloatArray) -> FloatArray:
    """As `_together`, each channel in a product of its own."""
    products: FloatArray = np.matmul(matrix, columns[..., None])
    return products[..., 0]
