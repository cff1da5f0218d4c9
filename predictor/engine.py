"""One time step without autograd: the model's weights as plain arrays, fused so that a step is one product.

A layer's inputs stand in one array ``[input; hidden; 1]``, so that all gates of a step, biases included, come
from one matrix product. Every step is the same arithmetic on arrays of the same shape, so that estimates are
bitwise the same however a stream was cut into chunks. Torch's whole-sequence forward is the oracle
(`trainer.network.predict`).
"""

from typing import Protocol

import numpy as np

from streamer.messages import FloatArray
from trainer.level import divide_out
from trainer.model import ModelConfig, Weights

HALF = np.float32(0.5)
MAX_PIPELINES = 16  # working arrays for so many numbers of channels are kept at once


class Engine:
    """Steps a model over the channels of a stream. Holds weights, never a stream's hidden state.

    Parameters
    ----------
    config : ModelConfig
    weights : mapping of str to float32 array
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.config = config
        self._pipelines: dict[int, _Pipeline] = {}
        self.load(weights)

    def load(self, weights: Weights) -> None:
        """Take other weights from the next step on."""
        fuse = _CELLS[self.config.cell].fuse
        self._fused = [fuse(weights, layer) for layer in range(self.config.layers)]
        self._head = np.concatenate([weights["head.weight"], weights["head.bias"][:, None]], axis=1)

    def initial_state(self, channels: int) -> FloatArray:
        """Return the state [rows, channels] before the first sample."""
        return np.zeros((self.config.state_rows, channels), np.float32)

    def run(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Step over consecutive samples.

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
        config = self.config
        rows = config.level_rows
        after = np.empty_like(state)
        scaled, levels, after[:rows] = divide_out(config, inputs, state)
        outputs = self._pipeline(inputs.shape[1]).run(scaled, state[rows:], after[rows:], self._fused, self._head)
        if rows:
            outputs *= levels[:, None, :]
        return outputs.transpose(0, 2, 1), after

    def _pipeline(self, channels: int) -> "_Pipeline":
        if channels not in self._pipelines:
            if len(self._pipelines) >= MAX_PIPELINES:
                del self._pipelines[next(iter(self._pipelines))]
            self._pipelines[channels] = _Pipeline(self.config, channels)
        return self._pipelines[channels]


class _Pipeline:
    """The working arrays of all layers for one number of channels."""

    def __init__(self, config: ModelConfig, channels: int) -> None:
        cell = _CELLS[config.cell]
        self._layers = [
            cell(config.hidden if layer else 1, config.hidden, channels) for layer in range(config.layers)
        ]
        self._fields = len(config.fields)
        self._rows_per_layer = config.hidden * (2 if config.cell == "lstm" else 1)

    def run(
        self,
        inputs: FloatArray,
        state: FloatArray,
        after: FloatArray,
        fused: list[FloatArray],
        head: FloatArray,
    ) -> FloatArray:
        """Return outputs [samples, fields, channels]; read `state` and write `after`, without the level's rows."""
        each = self._rows_per_layer
        for number, layer in enumerate(self._layers):
            layer.load_state(state[number * each : (number + 1) * each])
        outputs = np.empty((len(inputs), self._fields, inputs.shape[1]), np.float32)
        first, *others = self._layers
        last = self._layers[-1]
        for sample, output in zip(inputs, outputs, strict=True):
            first.input[0] = sample
            first.step(fused[0])
            below = first
            for layer, weights in zip(others, fused[1:], strict=True):
                layer.input[:] = below.hidden
                layer.step(weights)
                below = layer
            np.dot(head, last.hidden_and_one, out=output)
        for number, layer in enumerate(self._layers):
            layer.save_state(after[number * each : (number + 1) * each])
        return outputs


class _Cell:
    """One recurrent layer: a column ``[input; hidden; 1]`` a channel, and the product of all gates."""

    gate_rows = 1  # rows of the fused product, in units of hidden

    def __init__(self, inputs: int, hidden: int, channels: int) -> None:
        self.column = np.zeros((inputs + hidden + 1, channels), np.float32)
        self.column[-1] = 1
        self.input = self.column[:inputs]
        self.hidden = self.column[inputs:-1]
        self.hidden_and_one = self.column[inputs:]
        self.gates = np.empty((self.gate_rows * hidden, channels), np.float32)

    def load_state(self, state: FloatArray) -> None:
        self.hidden[:] = state

    def save_state(self, into: FloatArray) -> None:
        into[:] = self.hidden


class _Layer(Protocol):
    """What the pipeline needs of a cell."""

    input: FloatArray
    hidden: FloatArray
    hidden_and_one: FloatArray

    def __init__(self, inputs: int, hidden: int, channels: int) -> None: ...

    @staticmethod
    def fuse(weights: Weights, layer: int) -> FloatArray: ...
    def load_state(self, state: FloatArray) -> None: ...
    def save_state(self, into: FloatArray) -> None: ...
    def step(self, fused: FloatArray) -> None: ...


class _Rnn(_Cell):
    """h = tanh(W [x; h; 1])."""

    @staticmethod
    def fuse(weights: Weights, layer: int) -> FloatArray:
        return _fuse(weights, layer)

    def step(self, fused: FloatArray) -> None:
        np.dot(fused, self.column, out=self.gates)
        np.tanh(self.gates, out=self.hidden)


class _Gru(_Cell):
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
                _halved(_fuse(weights, layer)[gates]),
                np.concatenate([w_ih[candidate], no_hidden, b_ih[candidate]], axis=1),
                np.concatenate([no_input, w_hh[candidate], b_hh[candidate]], axis=1),
            ]
        )

    def __init__(self, inputs: int, hidden: int, channels: int) -> None:
        super().__init__(inputs, hidden, channels)
        self._sigmoids = self.gates[: 2 * hidden]
        self._reset, self._update = self.gates[:hidden], self.gates[hidden : 2 * hidden]
        self._candidate, self._from_hidden = self.gates[2 * hidden : 3 * hidden], self.gates[3 * hidden :]

    def step(self, fused: FloatArray) -> None:
        candidate, from_hidden, hidden = self._candidate, self._from_hidden, self.hidden
        np.dot(fused, self.column, out=self.gates)
        _finish_sigmoids(self._sigmoids)
        from_hidden *= self._reset
        candidate += from_hidden
        np.tanh(candidate, out=candidate)
        hidden -= candidate
        hidden *= self._update
        hidden += candidate


class _Lstm(_Cell):
    """Hochreiter and Schmidhuber 1997. Gate rows: input, forget, output, candidate."""

    gate_rows = 4

    @staticmethod
    def fuse(weights: Weights, layer: int) -> FloatArray:
        into, forget, candidate, out = np.split(_fuse(weights, layer), 4)
        return np.concatenate([_halved(np.concatenate([into, forget, out])), candidate])

    def __init__(self, inputs: int, hidden: int, channels: int) -> None:
        super().__init__(inputs, hidden, channels)
        self._sigmoids = self.gates[: 3 * hidden]
        self._into, self._forget, self._out, self._candidate = np.split(self.gates, 4)
        self._memory = np.zeros((hidden, channels), np.float32)

    def load_state(self, state: FloatArray) -> None:
        self.hidden[:], self._memory[:] = state[: len(self.hidden)], state[len(self.hidden) :]

    def save_state(self, into: FloatArray) -> None:
        into[: len(self.hidden)], into[len(self.hidden) :] = self.hidden, self._memory

    def step(self, fused: FloatArray) -> None:
        into, memory = self._into, self._memory
        np.dot(fused, self.column, out=self.gates)
        np.tanh(self._candidate, out=self._candidate)
        _finish_sigmoids(self._sigmoids)
        memory *= self._forget
        into *= self._candidate
        memory += into
        np.tanh(memory, out=self.hidden)
        self.hidden *= self._out


_CELLS: dict[str, type[_Layer]] = {"rnn": _Rnn, "gru": _Gru, "lstm": _Lstm}


def _fuse(weights: Weights, layer: int) -> FloatArray:
    """Return [W_ih, W_hh, b_ih + b_hh] side by side."""
    bias = weights[f"cell.bias_ih_l{layer}"] + weights[f"cell.bias_hh_l{layer}"]
    return np.concatenate(
        [weights[f"cell.weight_ih_l{layer}"], weights[f"cell.weight_hh_l{layer}"], bias[:, None]], axis=1
    )


def _halved(rows: FloatArray) -> FloatArray:
    # sigmoid(a) = tanh(a / 2) / 2 + 1/2: NumPy's tanh is vectorised, and halving a float is exact.
    return rows * HALF


def _finish_sigmoids(halves: FloatArray) -> None:
    """Turn a / 2 into sigmoid(a), in place."""
    np.tanh(halves, out=halves)
    halves *= HALF
    halves += HALF
