"""The network as a torch module: the whole sequence at once, with gradients."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from streamer.messages import FloatArray
from trainer.conditioning import condition, leads, numbers_of, rows_of, undo
from trainer.filterbank.bank import bank_of
from trainer.filterbank.features import FEATURES, GAINS
from trainer.level import divide_out
from trainer.model import GATED, Model, ModelConfig, Weights

_CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

HiddenState = Tensor | tuple[Tensor, Tensor] | None


class _WithWeights(nn.Module):
    def weights(self) -> Weights:
        """Return a copy of the weights as plain arrays."""
        return {name: value.detach().numpy().copy() for name, value in self.named_parameters()}

    def load_weights(self, weights: Weights) -> None:
        """Take weights as plain arrays.

        Raises
        ------
        RuntimeError
            If they do not fit the configuration.
        """
        self.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})


class Network(_WithWeights):
    """Recurrent layers and a linear head, on inputs that are already divided by their level.

    The cell is created before the head, so that a seed gives the weights that a plain
    ``nn.RNN(...)``, ``nn.Linear(...)`` would have.

    Parameters
    ----------
    config : ModelConfig
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.cell = _CELLS[config.cell](1, config.hidden, config.layers, batch_first=True)
        self.head = nn.Linear(config.hidden, len(config.fields))

    def forward(
        self, inputs: Tensor, hidden: HiddenState = None, *, stepwise_head: bool = False
    ) -> tuple[Tensor, HiddenState]:
        """Return outputs [channels, samples, fields] and the hidden state after the last sample.

        Parameters
        ----------
        inputs : float32 tensor, shape (channels, samples, 1)
        hidden : what the previous call returned, or None for zeros
            h, or (h, c) for lstm, each [layers, channels, hidden].
        stepwise_head : bool
            Apply the head to one time step after another, as a stream does, rather than to all at once.
        """
        states, hidden = self.cell(inputs, hidden)
        if stepwise_head:
            steps = [self.head(states[:, step]) for step in range(states.shape[1])]
            return torch.stack(steps, dim=1), hidden
        return self.head(states), hidden


class GatedNetwork(_WithWeights):
    """Layers that choose the gains to mix the outputs of a filter bank with (`trainer.filterbank.bank`).

    Parameters
    ----------
    config : ModelConfig
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sizes = [FEATURES] + [config.hidden] * config.layers
        self.body = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.head = nn.Linear(config.hidden, 2 * GAINS)

    def forward(self, features: Tensor, parts: Tensor, turns: Tensor) -> Tensor:
        """Return estimates (cos, sin) [examples, 2] in the signal's unit.

        Parameters
        ----------
        features : float32 tensor, shape (examples, FEATURES)
        parts : float32 tensor, shape (examples, 2, HEARD)
        turns : float32 tensor, shape (examples, 2)
        """
        for layer in self.body:
            features = torch.tanh(layer(features))
        gains = self.head(features).unflatten(-1, (2, GAINS))
        return multiply(multiply(gains, parts).sum(dim=-1), turns)


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """Return the product of complex numbers whose real and imaginary parts stand along axis 1."""
    (a, b), (c, d) = left.unbind(1), right.unbind(1)
    return torch.stack([a * c - b * d, a * d + b * c], dim=1)


def network_of(model: Model) -> Network:
    """Return a network with the model's weights."""
    network = Network(model.config)
    network.load_weights(model.weights)
    return network


def hidden_of(config: ModelConfig, state: FloatArray) -> HiddenState:
    """Return the torch hidden state inside a state [rows, channels] of the engine."""
    rows = state[config.level_rows :].reshape(config.layers, -1, config.hidden, state.shape[1])
    parts = torch.from_numpy(np.ascontiguousarray(rows.transpose(1, 0, 3, 2)))  # [h, c][layer][channel][unit]
    return (parts[0], parts[1]) if config.cell == "lstm" else parts[0]


def state_of(level_rows: FloatArray, hidden: HiddenState) -> FloatArray:
    """Return the engine's state [rows, channels] for a level and a torch hidden state."""
    parts = torch.stack(hidden) if isinstance(hidden, tuple) else hidden[None]  # type: ignore[index]
    rows = parts.detach().numpy().transpose(1, 0, 3, 2)  # [layer][h, c][unit][channel]
    return np.concatenate([level_rows, rows.reshape(-1, rows.shape[-1])])


def predict(model: Model, inputs: FloatArray, state: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Run a model over a whole sequence: the oracle that the engine's single steps are held to.

    Parameters
    ----------
    inputs : float32 array, shape (samples, channels)
    state : float32 array, shape (rows, channels), or None for the initial one

    Returns
    -------
    estimates : float32 array, shape (samples, channels, fields)
    state : float32 array, shape (rows, channels)
    """
    config = model.config
    if state is None:
        state = model.initial_state(inputs.shape[1])
    if config.cell == GATED:
        return _predict_gated(model, inputs, state)
    scaled, levels, level_rows = divide_out(config, inputs, state)
    with torch.no_grad():
        outputs, hidden = network_of(model)(torch.from_numpy(scaled.T[..., None].copy()), hidden_of(config, state))
    estimates = outputs.numpy().transpose(1, 0, 2) * levels[..., None]
    return estimates, state_of(level_rows, hidden)


def _predict_gated(model: Model, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
    rows, nominal = model.config.conditioning_rows, model.config.nominal_samples
    if not rows:
        return _predict_conditioned(model, inputs, state)
    conditioned, estimates = condition(inputs, numbers_of(state), nominal), []
    hidden = state[rows:].copy()
    for piece, anew in conditioned.pieces():
        hidden[:, anew] = 0
        said, hidden = _predict_conditioned(model, conditioned.inputs[piece], hidden)
        estimates.append(said)
    together = np.concatenate(estimates)
    undo(together, leads(together, conditioned.numbers, nominal))
    return together, np.concatenate([rows_of(conditioned.numbers), hidden])


def _predict_conditioned(model: Model, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
    """As `predict`, of a gated model without what stands before and behind it."""
    bank, network = bank_of(model.config.nominal_samples), GatedNetwork(model.config)
    network.load_weights(model.weights)
    samples, channels = inputs.shape
    estimates = np.empty((samples, channels, len(model.config.fields)), np.float32)
    longest = bank.block_samples(channels)
    for first in range(0, samples, longest):
        block, state = bank.step_block(inputs[first : first + longest], state)
        with torch.no_grad():
            turns = block.turns * block.levels[:, None]
            arguments = (torch.from_numpy(by_example(array)) for array in (block.features, block.parts, turns))
            said = network(*arguments).numpy()
        estimates[first : first + longest] = said.reshape(-1, channels, 2)[..., : estimates.shape[-1]]
    return estimates, state


def by_example(array: FloatArray) -> FloatArray:
    """Return [samples, ..., channels] as [samples * channels, ...]."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)).reshape(-1, *array.shape[1:-1])
