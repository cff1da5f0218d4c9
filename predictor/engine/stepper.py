"""One time step without autograd: a model's weights as plain arrays, stepped over the channels of streams.

Every step is the same arithmetic on arrays of the same shape, so that estimates are bitwise the same however a
stream was cut into chunks and whichever streams came with it. Torch's whole-sequence forward is the oracle
(`trainer.offline.network.predict`).
"""

from functools import cache
from typing import Self

import numpy as np

from predictor.engine import gated
from predictor.engine.cells import CELLS
from predictor.engine.gated import GatedPipeline, GatedSeat
from predictor.engine.products import Workspace
from predictor.engine.resident import NATIVE, CellSeat, Resident, ResidentRnn, ResidentSeated, ResidentState, Seat
from streamer.messages import FloatArray
from trainer.conditioning import condition, leads, numbers_of, rows_of, undo
from trainer.level import divide_out
from trainer.model import GATED, ModelConfig, Weights, new_model

FEW_CHANNELS = 8  # each in a product of its own; from here on one product for all is quicker
TILE = 512  # columns; more, and a step's arrays leave the core's own cache
MIN_TILE = 16
BLOCK_VALUES = 16_384  # of one layer's columns, over as many samples as that allows
MAX_SAMPLES = 32


class Engine:
    """Steps a model. Holds weights, never a stream's hidden state.

    Parameters
    ----------
    config : ModelConfig
    weights : mapping of str to float32 array
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.config = config
        self._tile = gated.TILE if config.cell == GATED else TILE
        self._pipelines: dict[tuple[int, bool], _Pipeline | GatedPipeline] = {}
        single = None if config.level_rows else self._pipeline(1, apart=True)
        self._single = single if isinstance(single, _Pipeline) else None
        self._one_estimate = (1, 1, len(config.fields))
        # Small, and so made also where a lone channel has another way. Forks share it.
        self._seat: Seat = GatedSeat(config) if config.cell == GATED else CellSeat(config)
        self.load(weights)

    def fork(self) -> Self:
        """Return an engine that may load other weights; the two share their working arrays."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def load(self, weights: Weights) -> None:
        """Take other weights from the next step on."""
        step = gated if self.config.cell == GATED else CELLS[self.config.cell]
        self._fused = [step.fuse(weights, layer) for layer in range(self.config.layers)]
        self._head = step.fuse_head(weights)

    def initial_state(self, channels: int) -> FloatArray:
        """Return the state [rows, channels] before the first sample."""
        return self.config.initial_state(channels)

    def is_state(self, state: FloatArray) -> bool:
        """Return whether the values of a state [rows, channels] can be what a step has left."""
        return self.config.is_state(state)

    def resident(self, state: FloatArray) -> Resident:
        """Return what steps one channel on from `state` [rows, 1], with the present weights."""
        config = self.config
        if not NATIVE:
            return ResidentState(self, state)
        if config.cell == "rnn" and config.layers == 1 and not config.level_rows:
            return ResidentRnn(self._fused[0], self._head, state)
        return ResidentSeated(self._seat, self._fused, self._head, state)

    def run(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Step over consecutive samples of one stream.

        Parameters
        ----------
        inputs : float32 array, shape (samples, channels)
            Finite.
        state : float32 array, shape (rows, channels)
            As `Model.initial_state` or the previous call returned it; left untouched.

        Returns
        -------
        estimates : float32 array, shape (samples, channels, fields)
        state : float32 array, shape (rows, channels)
        """
        if self._single is not None and inputs.size == 1:  # the usual case, by the shortest way
            after, estimates = np.empty_like(state), np.empty(self._one_estimate, np.float32)
            self._single.run_single(self._fused, self._head, inputs, state, after, estimates)
            return estimates, after
        channels = inputs.shape[1]
        if channels > 1 and channels <= FEW_CHANNELS:
            return self.run_apart(inputs, state)
        return self._run(inputs, state, apart=channels == 1)

    def run_apart(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Step over consecutive samples of streams of at most `FEW_CHANNELS`, side by side.

        As `run`; and every column gets the bits that it would get alone.
        """
        if batching_is_exact(self.config):
            return self._run(inputs, state, apart=True)
        alone = [self._run(inputs[:, k : k + 1], state[:, k : k + 1], apart=True) for k in range(inputs.shape[1])]
        estimates, states = zip(*alone, strict=True)
        return np.concatenate(estimates, axis=1), np.concatenate(states, axis=1)

    def _run(self, inputs: FloatArray, state: FloatArray, *, apart: bool) -> tuple[FloatArray, FloatArray]:
        config, channels = self.config, inputs.shape[1]
        rows = config.level_rows
        after = np.empty_like(state, order="F" if config.cell == GATED else "K")
        estimates = np.empty((len(inputs), channels, len(config.fields)), np.float32)
        if config.conditioning_rows:
            self._run_conditioned(inputs, state, after, estimates, apart)
            return estimates, after
        if not rows:
            self._run_tiles(inputs, state, after, estimates, apart)
            return estimates, after
        scaled, levels, after[:rows] = divide_out(config, inputs, state)
        self._run_tiles(scaled, state[rows:], after[rows:], estimates, apart)
        estimates *= levels[:, :, None]
        return estimates, after

    def _run_conditioned(
        self, inputs: FloatArray, state: FloatArray, after: FloatArray, estimates: FloatArray, apart: bool
    ) -> None:
        """Write `after` and `estimates`."""
        rows, nominal = self.config.conditioning_rows, self.config.nominal_samples
        conditioned = condition(inputs, numbers_of(state), nominal)
        before = state[rows:]
        for piece, anew in conditioned.pieces():
            if anew.any():
                before = before.copy("F")
                before[:, anew] = 0
            self._run_tiles(conditioned.inputs[piece], before, after[rows:], estimates[piece], apart)
            before = after[rows:]
        undo(estimates, leads(estimates, conditioned.numbers, nominal))
        after[:rows] = rows_of(conditioned.numbers)

    def _run_tiles(
        self, inputs: FloatArray, state: FloatArray, after: FloatArray, estimates: FloatArray, apart: bool
    ) -> None:
        """Write `after` and `estimates`, both without the level."""
        channels = inputs.shape[1]
        if channels <= self._tile:
            self._pipeline(channels, apart).run(self._fused, self._head, inputs, state, after, estimates)
            return
        for first in range(0, channels, self._tile):
            tile = slice(first, first + self._tile)
            self._run_tiles(inputs[:, tile], state[:, tile], after[:, tile], estimates[:, tile], apart)

    def _pipeline(self, columns: int, apart: bool) -> "_Pipeline | GatedPipeline":
        """Return the working arrays for so many columns, their number rounded up to a power of two."""
        known = self._pipelines.get((columns, apart))
        if known is not None:
            return known
        width = max(1 if apart else MIN_TILE, 1 << (columns - 1).bit_length())
        if (width, apart) not in self._pipelines:
            make = GatedPipeline if self.config.cell == GATED else _Pipeline
            self._pipelines[width, apart] = make(self.config, width, apart)
        self._pipelines[columns, apart] = self._pipelines[width, apart]
        return self._pipelines[columns, apart]


class _Pipeline:
    """The working arrays of all layers for one number of columns, through a block of samples.

    What the columns beyond those in use hold is finite and reaches no other column.
    """

    def __init__(self, config: ModelConfig, width: int, apart: bool) -> None:
        rows = config.hidden + (config.hidden if config.layers > 1 else 1) + 1
        samples = max(1, min(MAX_SAMPLES, BLOCK_VALUES // (rows * width)))
        self._workspace = Workspace(samples, width, apart=apart)
        self._layers = [
            CELLS[config.cell](config.hidden if layer else 1, config.hidden, self._workspace)
            for layer in range(config.layers)
        ]
        each = config.state_rows_per_layer
        self._rows = [slice(number * each, (number + 1) * each) for number in range(config.layers)]
        self._top = self._layers[-1].top
        self._singles = [
            (layer.step, layer.inputs[0], rows, layer.hiddens[0])
            for layer, rows in zip(self._layers, self._rows, strict=True)
        ]

    def run(
        self,
        fused: list[FloatArray],
        head: FloatArray,
        inputs: FloatArray,
        state: FloatArray,
        after: FloatArray,
        estimates: FloatArray,
    ) -> None:
        """Write `estimates` and `after`, both without the level."""
        longest = self._workspace.samples
        if len(inputs) == 1:
            run = self.run_single if self._workspace.width == 1 else self._run_one
            run(fused, head, inputs, state, after, estimates)
            return
        for first in range(0, len(inputs), longest):
            block = slice(first, first + longest)
            self._run_block(fused, head, inputs[block], state, after, estimates[block])
            state = after

    def run_single(
        self,
        fused: list[FloatArray],
        head: FloatArray,
        inputs: FloatArray,
        state: FloatArray,
        after: FloatArray,
        estimates: FloatArray,
    ) -> None:
        """As `run`, for one sample of one channel."""
        below = inputs
        for (step, entry, rows, hidden), matrix in zip(self._singles, fused, strict=True):
            entry[...] = below
            step(matrix, state[rows], after[rows])
            below = hidden
        head.dot(self._top, estimates[0, 0])

    def _run_one(
        self,
        fused: list[FloatArray],
        head: FloatArray,
        inputs: FloatArray,
        state: FloatArray,
        after: FloatArray,
        estimates: FloatArray,
    ) -> None:
        """As `_run_block`, for one sample, where indexing arrays would take longer than the step itself."""
        columns = inputs.shape[1]
        below = inputs
        for layer, rows, matrix in zip(self._layers, self._rows, fused, strict=True):
            layer.inputs[0, :, :columns] = below
            layer.load_state(state[rows])
            layer.run(matrix, 1)
            layer.save_state(1, after[rows])
            below = layer.hiddens[0, :, :columns]
        outputs = self._workspace.multiply_all(head, self._layers[-1].hiddens_and_one[:1])
        estimates[...] = outputs[..., :columns].transpose(0, 2, 1)

    def _run_block(
        self,
        fused: list[FloatArray],
        head: FloatArray,
        inputs: FloatArray,
        state: FloatArray,
        after: FloatArray,
        estimates: FloatArray,
    ) -> None:
        samples, columns = inputs.shape
        below = inputs[:, None]
        for layer, rows, matrix in zip(self._layers, self._rows, fused, strict=True):
            layer.inputs[:samples, :, :columns] = below
            layer.load_state(state[rows])
            layer.run(matrix, samples)
            layer.save_state(samples, after[rows])
            below = layer.hiddens[:samples, :, :columns]
        outputs = self._workspace.multiply_all(head, self._layers[-1].hiddens_and_one[:samples])
        estimates[...] = outputs[..., :columns].transpose(0, 2, 1)


@cache
def batching_is_exact(config: ModelConfig) -> bool:
    """Return whether, on this machine, columns side by side get the bits that each gets alone.

    They do if a stack of matrix-vector products makes each as a single one is made, and if no element-wise
    function depends on an element's place. Both hold wherever they were tried; this makes sure.
    """
    generator = np.random.default_rng(0)
    engine = Engine(config, new_model(config, seed=0).weights)
    inputs = generator.normal(size=(2, 5)).astype(np.float32)
    state = np.abs(generator.normal(size=(config.state_rows, 5))).astype(np.float32)
    state[: config.conditioning_rows] = 0  # no numbers of float32
    estimates, after = engine._run(inputs, state, apart=True)
    for k in range(5):
        alone, alone_after = engine._run(inputs[:, k : k + 1], state[:, k : k + 1], apart=True)
        if alone.tobytes() != estimates[:, k : k + 1].tobytes():
            return False
        if alone_after.tobytes() != after[:, k : k + 1].tobytes():
            return False
    return True
