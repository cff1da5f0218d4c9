"""A model as a value: its configuration and its weights as plain arrays. Knows no torch.

Weights carry torch's names and layouts (``cell.weight_ih_l0`` [gates * hidden, inputs], gates in torch's
order, ``head.weight`` [fields, hidden]), so the network loads them as they are and the engine fuses them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from streamer.errors import UsageError
from streamer.messages import FIELDS, FloatArray
from trainer.conditioning import CONDITIONING_ROWS, are_sound, numbers_of
from trainer.filterbank.bank import DESIGN_NOMINAL_SAMPLES, bank_of
from trainer.filterbank.features import FEATURES, GAINS
from trainer.state import is_tame

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
"""Recurrent cell -> number of gates, each with its own rows of weights."""

GATED = "gated"
"""Cell name of the gated model: fixed resonators, and a network that mixes them at every sample."""

MAX_HIDDEN = 4096
MAX_LAYERS = 8

Weights = Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a model is, apart from its weights.

    Parameters
    ----------
    cell : str
        `rnn` (tanh), `gru`, `lstm`, or `gated`: what is recurrent is then a fixed bank of resonators
        (`trainer.filterbank.bank`), and the layers above it are not.
    hidden : int
        Units a layer.
    layers : int
        Recurrent layers; of `gated`, tanh layers.
    fields : tuple of str
        What comes out: the first one or two of ("cos", "sin").
    level_samples : float
        Time constant of the running level that inputs are divided by and outputs multiplied with, which makes
        the model amplitude-free; 0 leaves amplitudes alone. `gated` needs none.
    nominal_samples : float
        Samples a cycle in the middle of the range that a gated model answers for.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    cell: str = "rnn"
    hidden: int = 32
    layers: int = 1
    fields: tuple[str, ...] = FIELDS
    level_samples: float = 0.0
    nominal_samples: float = DESIGN_NOMINAL_SAMPLES

    def __post_init__(self) -> None:
        if self.cell not in (*GATES, GATED):
            raise UsageError(f"cell: must be one of {', '.join((*GATES, GATED))}, got {self.cell!r}")
        if not 1 <= self.hidden <= MAX_HIDDEN:
            raise UsageError(f"hidden: must be 1 to {MAX_HIDDEN}, got {self.hidden}")
        if not 1 <= self.layers <= MAX_LAYERS:
            raise UsageError(f"layers: must be 1 to {MAX_LAYERS}, got {self.layers}")
        if not self.fields or self.fields != FIELDS[: len(self.fields)]:
            raise UsageError(f"fields: must be the first of {FIELDS}, got {self.fields}")
        if not (self.level_samples == 0 or 1 <= self.level_samples <= 1e6):
            raise UsageError(f"level_samples: must be 0 or 1 to 1e6, got {self.level_samples}")
        if self.cell == GATED and self.level_samples:
            raise UsageError(f"level_samples: must be 0 for {GATED}, got {self.level_samples}")
        if not 2 <= self.nominal_samples <= 1e6:
            raise UsageError(f"nominal_samples: must be 2 to 1e6, got {self.nominal_samples}")

    @property
    def level_rows(self) -> int:
        """Rows of the state that the running level takes."""
        return 2 if self.level_samples else 0

    @property
    def conditioning_rows(self) -> int:
        """Rows of the state that conditioning takes (`trainer.conditioning`); 0 where inputs stay as they are.

        A model that says cos alone cannot have the phase undone.
        """
        return CONDITIONING_ROWS if self.cell == GATED and len(self.fields) == 2 else 0

    @property
    def state_rows(self) -> int:
        """Rows of a state [rows, channels]: the level's and each layer's h (and lstm's c); or a gated model's."""
        if self.cell == GATED:
            return self.conditioning_rows + bank_of(self.nominal_samples).state_rows
        return self.level_rows + self.layers * self.state_rows_per_layer

    @property
    def state_rows_per_layer(self) -> int:
        """Rows of the state that each layer takes."""
        return self.hidden * (2 if self.cell == "lstm" else 1)

    def initial_state(self, channels: int) -> FloatArray:
        """Return the state [rows, channels] before the first sample."""
        # The bank is quickest where a channel's rows are neighbours in memory.
        return np.zeros((self.state_rows, channels), np.float32, order="F" if self.cell == GATED else "C")

    def is_state(self, state: FloatArray) -> bool:
        """Return whether the values of a state [rows, channels] can be what a step has left."""
        rows = self.conditioning_rows
        return is_tame(state[rows:]) and (not rows or are_sound(numbers_of(state)))

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every weight, in torch's order of creation."""
        if self.cell == GATED:
            return self._gated_shapes()
        rows = GATES[self.cell] * self.hidden
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            shapes[f"cell.weight_ih_l{layer}"] = (rows, self.hidden if layer else 1)
            shapes[f"cell.weight_hh_l{layer}"] = (rows, self.hidden)
            shapes[f"cell.bias_ih_l{layer}"] = (rows,)
            shapes[f"cell.bias_hh_l{layer}"] = (rows,)
        shapes["head.weight"] = (len(self.fields), self.hidden)
        shapes["head.bias"] = (len(self.fields),)
        return shapes

    def _gated_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            shapes[f"body.{layer}.weight"] = (self.hidden, self.hidden if layer else FEATURES)
            shapes[f"body.{layer}.bias"] = (self.hidden,)
        shapes["head.weight"] = (2 * GAINS, self.hidden)
        shapes["head.bias"] = (2 * GAINS,)
        return shapes


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A configuration with weights that fit it.

    Parameters
    ----------
    name : str
        What to call it in messages.
    config : ModelConfig
    weights : mapping of str to float32 array
        As `ModelConfig.weight_shapes` says.
    provenance : mapping of str to str
        How the weights came to be.

    Raises
    ------
    UsageError
        If a weight is missing, unknown, of another shape or type, or not finite.
    """

    name: str
    config: ModelConfig
    weights: Weights
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = self.config.weight_shapes()
        if self.weights.keys() != shapes.keys():
            odd = sorted(self.weights.keys() ^ shapes.keys())
            raise UsageError(f"weights: missing or unknown: {', '.join(odd)[:200]}")
        for name, shape in shapes.items():
            weight = self.weights[name]
            if weight.shape != shape or weight.dtype != np.float32:
                raise UsageError(f"weights: {name} must be float32 {shape}, got {weight.dtype} {weight.shape}")
            if not np.isfinite(weight).all():
                raise UsageError(f"weights: {name} has values that are not finite")

    def initial_state(self, channels: int) -> FloatArray:
        """Return the state [rows, channels] before the first sample."""
        return self.config.initial_state(channels)


def new_model(config: ModelConfig, seed: int) -> Model:
    """Return a model with random weights, uniform within 1 / sqrt(hidden) as torch initialises them.

    Raises
    ------
    UsageError
        If the seed is out of range.
    """
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed: must be 0 to 2^63 - 1, got {seed:.6g}")
    generator = np.random.default_rng(seed)
    bound = config.hidden**-0.5
    weights = {
        name: generator.uniform(-bound, bound, shape).astype(np.float32)
        for name, shape in config.weight_shapes().items()
    }
    return Model("new", config, weights, {"recipe": "new", "seed": str(seed)})
