"""Back-propagation through time written out as array operations.

At these sizes torch spends its time between operations, not in them; written out, an update is many times cheaper.
`trainer.offline.network` is the reference: forward and gradient are tested against autograd to 1e-6.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from streamer.messages import FloatArray
from trainer.model import ModelConfig, Weights

ONE, HALF = np.float32(1), np.float32(0.5)


class Parameters:
    """All weights in one vector, and each under its name as a view of it.

    Parameters
    ----------
    config : ModelConfig
    weights : mapping of str to float32 array, or None for zeros
    """

    def __init__(self, config: ModelConfig, weights: Weights | None = None) -> None:
        shapes = config.weight_shapes()
        self.vector = np.zeros(sum(int(np.prod(shape)) for shape in shapes.values()), np.float32)
        self.named: dict[str, FloatArray] = {}
        start = 0
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            self.named[name] = self.vector[start : start + size].reshape(shape)
            start += size
            if weights is not None:
                self.named[name][...] = weights[name]


class RnnGradient:
    """Forward and gradient of a model over one window.

    Parameters
    ----------
    config : ModelConfig
    weights : mapping of str to float32 array
        Views that may change between calls, such as those of `Parameters`.
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self._weights = weights
        self._hidden = config.hidden
        self._layers = [_CELLS[config.cell](weights, layer) for layer in range(config.layers)]
        self._rows = config.hidden * (2 if config.cell == "lstm" else 1)

    def forward(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return outputs [samples, channels, fields].

        Parameters
        ----------
        inputs : float32 array, shape (samples, channels)
            Divided by their level.
        state : float32 array, shape (rows, channels)
            As the engine keeps it, without the level's rows.
        """
        below = inputs[..., None]
        for number, layer in enumerate(self._layers):
            below = layer.forward(below, state[number * self._rows : (number + 1) * self._rows].T)
        self._top = below
        outputs: FloatArray = below @ self._weights["head.weight"].T + self._weights["head.bias"]
        return outputs

    def state_after(self, samples: int) -> FloatArray:
        """Return the state [rows, channels] after so many samples of the last forward."""
        return np.concatenate([layer.state_after(samples) for layer in self._layers], axis=1).T

    def backward(self, d_outputs: FloatArray, into: Mapping[str, FloatArray]) -> None:
        """Write the gradient of the last forward, given that of its outputs, into arrays named as the weights."""
        flat = d_outputs.reshape(-1, d_outputs.shape[-1])
        np.dot(flat.T, self._top.reshape(-1, self._hidden), out=into["head.weight"])
        np.add.reduce(flat, axis=0, out=into["head.bias"])
        d_above = d_outputs @ self._weights["head.weight"]
        for number in range(len(self._layers) - 1, -1, -1):
            d_above = self._layers[number].backward(d_above, into, need_input=number > 0)


class _Layer(Protocol):
    def __init__(self, weights: Weights, layer: int) -> None: ...
    def forward(self, inputs: FloatArray, state: FloatArray) -> FloatArray: ...
    def state_after(self, samples: int) -> FloatArray: ...
    def backward(self, d_above: FloatArray, into: Mapping[str, FloatArray], *, need_input: bool) -> FloatArray: ...


class _Recurrent:
    """What the cells share: weights by name, and the products outside the loop over time."""

    def __init__(self, weights: Weights, layer: int) -> None:
        self._names = [f"cell.{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        self._w_ih, self._w_hh, self._b_ih, self._b_hh = (weights[name] for name in self._names)
        self._size = self._w_hh.shape[1]

    def _begin(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return the input's share of all gates [samples, channels, rows]; make room for the hidden states."""
        samples, channels, _ = inputs.shape
        self._inputs = inputs
        self._hs = np.empty((samples + 1, channels, self._size), np.float32)
        self._hs[0] = state[:, : self._size]
        shares: FloatArray = inputs @ self._w_ih.T + self._b_ih
        return shares

    def state_after(self, samples: int) -> FloatArray:
        hidden: FloatArray = self._hs[samples]
        return hidden

    def _finish(
        self, d_input_side: FloatArray, d_hidden_side: FloatArray, into: Mapping[str, FloatArray], need_input: bool
    ) -> FloatArray:
        """Write the weights' gradients, given those of both shares of the gates; return that of the inputs."""
        w_ih, w_hh, b_ih, b_hh = (into[name] for name in self._names)
        rows = d_hidden_side.shape[-1]
        flat_in, flat_h = d_input_side.reshape(-1, rows), d_hidden_side.reshape(-1, rows)
        np.dot(flat_in.T, self._inputs.reshape(-1, self._inputs.shape[-1]), out=w_ih)
        np.dot(flat_h.T, self._hs[:-1].reshape(-1, self._size), out=w_hh)
        np.add.reduce(flat_in, axis=0, out=b_ih)
        if d_hidden_side is d_input_side:
            b_hh[...] = b_ih
        else:
            np.add.reduce(flat_h, axis=0, out=b_hh)
        return d_input_side @ self._w_ih if need_input else d_input_side


class _Rnn(_Recurrent):
    def forward(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        shares = self._begin(inputs, state)
        shares += self._b_hh
        w_hh, hs = self._w_hh.T, list(self._hs)
        from_hidden = np.empty_like(hs[0])
        for share, before, after in zip(shares, hs[:-1], hs[1:], strict=True):
            before.dot(w_hh, from_hidden)
            np.add(share, from_hidden, share)
            np.tanh(share, after)
        return self._hs[1:]

    def backward(self, d_above: FloatArray, into: Mapping[str, FloatArray], *, need_input: bool) -> FloatArray:
        d_gates = d_above  # becomes the gates' gradient in place
        slope = self._hs[1:] * self._hs[1:]
        np.subtract(ONE, slope, out=slope)
        w_hh, later = self._w_hh, d_gates[-1]
        np.multiply(later, slope[-1], later)
        from_later = np.empty_like(later)
        # From the last but one on down; none where the window is one sample.
        for here, slope_here in zip(d_gates[-2::-1], slope[-2::-1], strict=True):
            later.dot(w_hh, from_later)
            np.add(here, from_later, here)
            np.multiply(here, slope_here, here)
            later = here
        return self._finish(d_gates, d_gates, into, need_input)


class _Gru(_Recurrent):
    def forward(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        shares = self._begin(inputs, state)
        samples, channels, rows = shares.shape
        size, w_hh, hs = self._size, self._w_hh.T, self._hs
        self._from_hidden = np.empty((samples, channels, rows), np.float32)
        self._gates = shares
        for now, gates in enumerate(shares):
            from_hidden = self._from_hidden[now]
            np.dot(hs[now], w_hh, out=from_hidden)
            from_hidden += self._b_hh
            sigmoids, candidate = gates[:, : 2 * size], gates[:, 2 * size :]
            sigmoids += from_hidden[:, : 2 * size]
            _sigmoid(sigmoids)
            candidate += sigmoids[:, :size] * from_hidden[:, 2 * size :]
            np.tanh(candidate, out=candidate)
            hs[now + 1] = candidate + sigmoids[:, size:] * (hs[now] - candidate)
        return hs[1:]

    def backward(self, d_above: FloatArray, into: Mapping[str, FloatArray], *, need_input: bool) -> FloatArray:
        size = self._size
        gates, hs, w_hh = self._gates, self._hs, self._w_hh
        reset, update, candidate = gates[..., :size], gates[..., size : 2 * size], gates[..., 2 * size :]
        # What each gate's gradient is per unit of its hidden state's, all samples at once.
        per_candidate = (ONE - update) * (ONE - candidate * candidate)
        per_update = (hs[:-1] - candidate) * update * (ONE - update)
        per_reset = self._from_hidden[..., 2 * size :] * reset * (ONE - reset)
        d_in, d_hid = np.empty_like(gates), np.empty_like(gates)
        carry: FloatArray | np.float32 = np.float32(0)
        for now in range(len(gates) - 1, -1, -1):
            d_h = d_above[now] + carry
            d_candidate = np.multiply(d_h, per_candidate[now], out=d_in[now, :, 2 * size :])
            np.multiply(d_candidate, per_reset[now], out=d_in[now, :, :size])
            np.multiply(d_h, per_update[now], out=d_in[now, :, size : 2 * size])
            d_hid[now, :, : 2 * size] = d_in[now, :, : 2 * size]
            np.multiply(d_candidate, reset[now], out=d_hid[now, :, 2 * size :])
            carry = d_hid[now] @ w_hh
            carry += d_h * update[now]
        return self._finish(d_in, d_hid, into, need_input)


class _Lstm(_Recurrent):
    def forward(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        shares = self._begin(inputs, state)
        shares += self._b_hh
        size, w_hh, hs = self._size, self._w_hh.T, self._hs
        self._cs = np.empty_like(hs)
        self._cs[0] = state[:, size:]
        self._tanh_cs = np.empty_like(hs[1:])
        self._gates = shares
        for now, gates in enumerate(shares):
            gates += hs[now] @ w_hh
            into_forget, candidate, out = gates[:, : 2 * size], gates[:, 2 * size : 3 * size], gates[:, 3 * size :]
            _sigmoid(into_forget)
            np.tanh(candidate, out=candidate)
            _sigmoid(out)
            memory = self._cs[now + 1]
            np.multiply(into_forget[:, size:], self._cs[now], out=memory)
            memory += into_forget[:, :size] * candidate
            tanh_memory = np.tanh(memory, out=self._tanh_cs[now])
            np.multiply(out, tanh_memory, out=hs[now + 1])
        return hs[1:]

    def state_after(self, samples: int) -> FloatArray:
        return np.concatenate([self._hs[samples], self._cs[samples]], axis=1)

    def backward(self, d_above: FloatArray, into: Mapping[str, FloatArray], *, need_input: bool) -> FloatArray:
        size = self._size
        let_in, forget, candidate, out = (self._gates[..., k * size : (k + 1) * size] for k in range(4))
        # What each gate's gradient is per unit of the memory's (of the hidden state's for the output gate).
        per_memory = np.empty_like(self._gates[..., : 3 * size])
        per_memory[..., :size] = candidate * let_in * (ONE - let_in)
        per_memory[..., size : 2 * size] = self._cs[:-1] * forget * (ONE - forget)
        per_memory[..., 2 * size :] = let_in * (ONE - candidate * candidate)
        per_hidden = self._tanh_cs * out * (ONE - out)
        memory_per_hidden = out * (ONE - self._tanh_cs * self._tanh_cs)
        d_gates = np.empty_like(self._gates)
        carry_h: FloatArray | np.float32 = np.float32(0)
        carry_c: FloatArray | np.float32 = np.float32(0)
        for now in range(len(d_gates) - 1, -1, -1):
            here = d_gates[now]
            d_h = d_above[now] + carry_h
            d_c = d_h * memory_per_hidden[now]
            d_c += carry_c
            for gate in range(3):
                part = slice(gate * size, (gate + 1) * size)
                np.multiply(d_c, per_memory[now, :, part], out=here[:, part])
            np.multiply(d_h, per_hidden[now], out=here[:, 3 * size :])
            carry_c = d_c * forget[now]
            carry_h = here @ self._w_hh
        return self._finish(d_gates, d_gates, into, need_input)


_CELLS: dict[str, type[_Layer]] = {"rnn": _Rnn, "gru": _Gru, "lstm": _Lstm}


def _sigmoid(values: FloatArray) -> None:
    """Replace each value by its sigmoid: NumPy's tanh is vectorised, and halving is exact."""
    values *= HALF
    np.tanh(values, out=values)
    values *= HALF
    values += HALF
