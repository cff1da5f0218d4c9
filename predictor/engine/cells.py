"""Recurrent cells as plain arrays: one fused product and a few element-wise operations a step.

A layer's columns ``[input; hidden; 1]`` of successive samples stand one behind the other, so that a step reads one
column and writes its hidden state into the next; all gates, biases included, come from one product.
"""

from typing import Protocol

import numpy as np

from predictor.engine.products import Workspace
from streamer.messages import FloatArray
from trainer.model import Weights

HALF = np.float32(0.5)


class Cell(Protocol):
    """What the pipeline needs of a layer.

    Attributes
    ----------
    inputs : float32 array, shape (samples, inputs, channels)
        To be filled before `run`.
    hiddens : float32 array, shape (samples, hidden, channels)
        After each sample.
    hiddens_and_one : float32 array, shape (samples, hidden + 1, channels)
        The same, for products with a bias.
    top : float32 array
        The first of these, as the product takes it.
    """

    inputs: FloatArray
    hiddens: FloatArray
    hiddens_and_one: FloatArray
    top: FloatArray

    def __init__(self, inputs: int, hidden: int, workspace: Workspace) -> None: ...

    @staticmethod
    def fuse(weights: Weights, layer: int) -> FloatArray:
        """Return the matrix [gates, inputs + hidden + 1] of a layer."""
        ...

    @staticmethod
    def fuse_head(weights: Weights) -> FloatArray:
        """Return the matrix [fields, hidden + 1] of the head."""
        ...

    def load_state(self, state: FloatArray) -> None:
        """Start from a state [rows, channels], of no more channels than there is room for."""
        ...

    def run(self, fused: FloatArray, samples: int) -> None:
        """Step over the first `samples` inputs."""
        ...

    def save_state(self, samples: int, into: FloatArray) -> None:
        """Write the state after so many samples."""
        ...

    def step(self, fused: FloatArray, state: FloatArray, after: FloatArray) -> None:
        """Step over the first input of a single channel, from `state` [rows, 1] to `after`."""
        ...

    def step_in_place(self, fused: FloatArray) -> None:
        """Step over the first input; the state after it takes the place of the one before."""
        ...


class _Cell:
    gate_rows = 1  # rows of the fused product, in units of hidden

    def __init__(self, inputs: int, hidden: int, workspace: Workspace) -> None:
        columns = workspace.empty(workspace.samples + 1, inputs + hidden + 1)
        columns[...] = 0
        columns[:, -1] = 1
        self.inputs = columns[:-1, :inputs]
        self.hiddens = columns[1:, inputs:-1]
        self.hiddens_and_one = columns[1:, inputs:]
        self._all_hiddens = columns[:, inputs:-1]
        self.gates = workspace.empty(1, self.gate_rows * hidden)[0]
        self._product = workspace.operand(self.gates)
        # As lists, for indexing an array costs as much as a tenth of a step.
        operands = [workspace.operand(column) for column in columns]
        self._steps = list(zip(operands[:-1], self._all_hiddens[:-1], self._all_hiddens[1:], strict=True))
        self.top = workspace.operand(self.hiddens_and_one[0])
        self._multiply = workspace.multiply
        self._before, self._column, self._after = self._all_hiddens[0], operands[0], self._all_hiddens[1]

    @staticmethod
    def fuse_head(weights: Weights) -> FloatArray:
        return np.concatenate([weights["head.weight"], weights["head.bias"][:, None]], axis=1)

    def load_state(self, state: FloatArray) -> None:
        self._all_hiddens[0, :, : state.shape[1]] = state

    def save_state(self, samples: int, into: FloatArray) -> None:
        into[...] = self._all_hiddens[samples, :, : into.shape[1]]

    def run(self, fused: FloatArray, samples: int) -> None:
        raise NotImplementedError

    def step(self, fused: FloatArray, state: FloatArray, after: FloatArray) -> None:
        self.load_state(state)
        self.run(fused, 1)
        self.save_state(1, after)

    def step_in_place(self, fused: FloatArray) -> None:
        self.run(fused, 1)
        self._before[...] = self._after


class Rnn(_Cell):
    """h = tanh(W [x; h; 1])."""

    @staticmethod
    def fuse(weights: Weights, layer: int) -> FloatArray:
        return _fuse(weights, layer)

    def run(self, fused: FloatArray, samples: int) -> None:
        multiply, tanh, product, gates = self._multiply, np.tanh, self._product, self.gates
        for column, _, after in self._steps[:samples]:
            multiply(fused, column, product)
            tanh(gates, after)

    def step(self, fused: FloatArray, state: FloatArray, after: FloatArray) -> None:
        self._before[...] = state
        fused.dot(self._column, self._product)
        np.tanh(self.gates, self._after)
        after[...] = self._after


class Gru(_Cell):
    """Cho et al. 2014, in cuDNN's form as torch has it: the reset gate acts after the hidden product.

    Gate rows: reset, update, then the candidate's share of the input and of the hidden state apart.
    """

    gate_rows = 4

    @staticmethod
    def fuse(weights: Weights, layer: int) -> FloatArray:
        w_ih, w_hh = weights[f"cell.weight_ih_l{layer}"], weights[f"cell.weight_hh_l{layer}"]
        b_ih, b_hh = weights[f"cell.bias_ih_l{layer}"][:, None], weights[f"cell.bias_hh_l{layer}"][:, None]
        hidden = w_hh.shape[1]
        gates, candidate = slice(0, 2 * hidden), slice(2 * hidden, 3 * hidden)
        no_input = np.zeros((hidden, w_ih.shape[1]), np.float32)
        no_hidden = np.zeros((hidden, hidden), np.float32)
        return np.concatenate(
            [
                _fuse(weights, layer)[gates] * HALF,
                np.concatenate([w_ih[candidate], no_hidden, b_ih[candidate]], axis=1),
                np.concatenate([no_input, w_hh[candidate], b_hh[candidate]], axis=1),
            ]
        )

    def __init__(self, inputs: int, hidden: int, workspace: Workspace) -> None:
        super().__init__(inputs, hidden, workspace)
        self._sigmoids = self.gates[: 2 * hidden]
        self._reset, self._update = self.gates[:hidden], self.gates[hidden : 2 * hidden]
        self._candidate, self._from_hidden = self.gates[2 * hidden : 3 * hidden], self.gates[3 * hidden :]

    def run(self, fused: FloatArray, samples: int) -> None:
        sigmoids, reset, update = self._sigmoids, self._reset, self._update
        candidate, from_hidden = self._candidate, self._from_hidden
        for column, before, after in self._steps[:samples]:
            self._multiply(fused, column, self._product)
            np.tanh(sigmoids, sigmoids)
            _finish_sigmoids(sigmoids)
            np.multiply(from_hidden, reset, from_hidden)
            np.add(candidate, from_hidden, candidate)
            np.tanh(candidate, candidate)
            np.subtract(before, candidate, after)
            np.multiply(after, update, after)
            np.add(after, candidate, after)


class Lstm(_Cell):
    """Hochreiter and Schmidhuber 1997. Gate rows: input, forget, output, candidate."""

    gate_rows = 4

    @staticmethod
    def fuse(weights: Weights, layer: int) -> FloatArray:
        into, forget, candidate, out = np.split(_fuse(weights, layer), 4)
        return np.concatenate([np.concatenate([into, forget, out]) * HALF, candidate])

    def __init__(self, inputs: int, hidden: int, workspace: Workspace) -> None:
        super().__init__(inputs, hidden, workspace)
        self._sigmoids = self.gates[: 3 * hidden]
        self._into, self._forget, self._out, self._candidate = np.split(self.gates, 4)
        self._memory = workspace.empty(1, hidden)[0]
        self._memory[...] = 0

    def load_state(self, state: FloatArray) -> None:
        hidden = len(state) // 2
        super().load_state(state[:hidden])
        self._memory[:, : state.shape[1]] = state[hidden:]

    def save_state(self, samples: int, into: FloatArray) -> None:
        hidden = len(into) // 2
        super().save_state(samples, into[:hidden])
        into[hidden:] = self._memory[:, : into.shape[1]]

    def run(self, fused: FloatArray, samples: int) -> None:
        gates, sigmoids, candidate = self.gates, self._sigmoids, self._candidate
        into, forget, out, memory = self._into, self._forget, self._out, self._memory
        for column, _, after in self._steps[:samples]:
            self._multiply(fused, column, self._product)
            np.tanh(gates, gates)
            _finish_sigmoids(sigmoids)
            np.multiply(memory, forget, memory)
            np.multiply(into, candidate, into)
            np.add(memory, into, memory)
            np.tanh(memory, after)
            np.multiply(after, out, after)


CELLS: dict[str, type[Cell]] = {"rnn": Rnn, "gru": Gru, "lstm": Lstm}


def _fuse(weights: Weights, layer: int) -> FloatArray:
    """Return [W_ih, W_hh, b_ih + b_hh] side by side."""
    bias = weights[f"cell.bias_ih_l{layer}"] + weights[f"cell.bias_hh_l{layer}"]
    return np.concatenate(
        [weights[f"cell.weight_ih_l{layer}"], weights[f"cell.weight_hh_l{layer}"], bias[:, None]], axis=1
    )


def _finish_sigmoids(tanhs: FloatArray) -> None:
    """Turn tanh(a / 2) into sigmoid(a), in place.

    sigmoid(a) = tanh(a / 2) / 2 + 1/2: NumPy's tanh is vectorised, and halving a float, here or in the weights, is
    exact.
    """
    np.multiply(tanhs, HALF, tanhs)
    np.add(tanhs, HALF, tanhs)
