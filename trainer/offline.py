"""Offline training: recipes, and the loop that follows them one update at a time."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from streamer.errors import UsageError
from streamer.messages import FloatArray
from trainer import examples
from trainer.labels import Window
from trainer.level import divide_out
from trainer.model import Model, ModelConfig
from trainer.network import HiddenState, Network

MAX_UPDATES = 10_000_000
WARM_UP_UPDATES = 50  # Adam's first steps have the full learning rate whatever the gradient

VALIDATION_SEED = 2**31  # above any training seed, so that no training signal is among the held-out ones
VALIDATION_CHANNELS = 128
VALIDATION_SAMPLES = 512


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train, apart from what an operator chooses.

    Parameters
    ----------
    model : ModelConfig
        What to train where nothing else is chosen.
    updates : int
        How long, likewise.
    windows : callable
        Seed -> windows to learn from, one an update; a window with seq 0 begins with an empty hidden state.
    learning_rate : float
        Of Adam.
    annealed : bool
        Warm the learning rate up and let it fall to nothing along a half cosine; otherwise it is constant.
    clip_norm : float
        Largest norm of the whole gradient.
    validate_every_updates : int or None
        How often held-out signals are scored, which decides what is best. None has none: the latest weights
        count as the best.
    """

    model: ModelConfig
    updates: int
    windows: Callable[[int], Iterator[Window]]
    learning_rate: float
    annealed: bool = False
    clip_norm: float = math.inf
    validate_every_updates: int | None = None


def _lesson_windows(_seed: int) -> Iterator[Window]:
    return examples.lesson()


def _general_windows(seed: int) -> Iterator[Window]:
    return examples.episodes(seed, channels=32, window_samples=256, windows=2)


RECIPES = {
    # The lesson the project grew from, to the last digit of its losses.
    "tutorial": Recipe(
        ModelConfig("rnn", 32, 1, fields=("cos",)), 100, _lesson_windows, learning_rate=0.02
    ),
    "general": Recipe(
        ModelConfig("lstm", 32, 1, level_samples=16.0),
        40_000,
        _general_windows,
        learning_rate=0.01,
        annealed=True,
        clip_norm=1.0,
        validate_every_updates=100,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What to train.

    Parameters
    ----------
    recipe : str
        One of `RECIPES`.
    model : ModelConfig
    updates : int
        Steps of the optimizer.
    seed : int
        Of the first weights and of the training signals.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    recipe: str
    model: ModelConfig
    updates: int
    seed: int = 1

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise UsageError(f"recipe: must be one of {', '.join(RECIPES)}, got {self.recipe!r}")
        fields = RECIPES[self.recipe].model.fields
        if self.model.fields != fields:
            raise UsageError(f"fields: {self.recipe} teaches {fields}, got {self.model.fields}")
        if not 1 <= self.updates <= MAX_UPDATES:
            raise UsageError(f"updates: must be 1 to {MAX_UPDATES}, got {self.updates}")
        if not 0 <= self.seed < VALIDATION_SEED:
            raise UsageError(f"seed: must be 0 to {VALIDATION_SEED - 1}, got {self.seed}")


def configure(
    recipe: str,
    *,
    cell: str | None = None,
    hidden: int | None = None,
    layers: int | None = None,
    updates: int | None = None,
    seed: int = 1,
) -> TrainConfig:
    """Return a recipe's own configuration, changed where something else was chosen.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """
    if recipe not in RECIPES:
        raise UsageError(f"recipe: must be one of {', '.join(RECIPES)}, got {recipe!r}")
    own = RECIPES[recipe]
    model = replace(
        own.model,
        cell=own.model.cell if cell is None else cell,
        hidden=own.model.hidden if hidden is None else hidden,
        layers=own.model.layers if layers is None else layers,
    )
    return TrainConfig(recipe, model, own.updates if updates is None else updates, seed)


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """One update made.

    Parameters
    ----------
    update : int
        Its index, from 0.
    loss : float
        Mean squared error, in units of the amplitude squared, before the update.
    validation_loss : float or None
        The same on held-out signals after it, where they were scored.
    best : Model
        The best so far.
    best_loss : float
        Its loss: held-out where the recipe has held-out signals, else `loss`.
    window : Window
        What was learnt from.
    estimates : float32 array, shape (samples, channels, fields)
        What the network said of it, before the update.
    """

    update: int
    loss: float
    validation_loss: float | None
    best: Model
    best_loss: float
    window: Window
    estimates: FloatArray


def train(config: TrainConfig) -> Iterator[Progress]:
    """Follow a recipe, yielding after every update; whoever iterates may stop after any.

    Ends early if the gradient ceases to be finite. The same configuration gives the same losses.
    """
    recipe = RECIPES[config.recipe]
    pupil = _Pupil(config, recipe)
    held_out = None if recipe.validate_every_updates is None else validation_signals()
    best: Model | None = None
    best_loss = math.inf
    for update, window in zip(range(config.updates), recipe.windows(config.seed), strict=False):
        estimates, loss = pupil.learn(window, _learning_rate(recipe, update, config.updates))
        if loss is None:
            return
        validation_loss = None
        if held_out is not None and _validation_is_due(recipe, update, config.updates):
            validation_loss = pupil.score(held_out)
        if held_out is None:
            best_loss = loss
            best = pupil.model(update, best_loss)
        elif best is None or (validation_loss is not None and validation_loss < best_loss):
            best_loss = math.inf if validation_loss is None else validation_loss
            best = pupil.model(update, best_loss)
        yield Progress(update, loss, validation_loss, best, best_loss, window, estimates)


def validation_signals() -> Window:
    """Return the held-out signals of the general recipe, the same for every training."""
    generator = np.random.default_rng(VALIDATION_SEED)
    return examples.draw(generator, VALIDATION_SAMPLES, VALIDATION_CHANNELS)


def _learning_rate(recipe: Recipe, update: int, updates: int) -> float:
    if not recipe.annealed:
        return recipe.learning_rate
    warmth = min(1.0, (update + 1) / WARM_UP_UPDATES)
    return recipe.learning_rate * warmth * (1 + math.cos(math.pi * update / updates)) / 2


def _validation_is_due(recipe: Recipe, update: int, updates: int) -> bool:
    # At the first update too, so that there is a best from the start.
    every = recipe.validate_every_updates
    return every is not None and (update % every == 0 or update == updates - 1)


class _Pupil:
    """A network under training, and its hidden state, carried from window to window and detached."""

    def __init__(self, config: TrainConfig, recipe: Recipe) -> None:
        self._config = config
        self._recipe = recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self._network = Network(config.model)
        # foreach=False: for a handful of small tensors the plain loop is the faster one.
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=recipe.learning_rate, foreach=False)
        self._hidden: HiddenState = None
        self._level = np.empty((0, 0), np.float32)

    def learn(self, window: Window, learning_rate: float) -> tuple[FloatArray, float | None]:
        """Make one update.

        Returns
        -------
        estimates : float32 array, shape (samples, channels, fields)
            Before the update.
        loss : float or None
            Of these estimates; None if the gradient is not finite, and nothing was learnt.
        """
        self._optimizer.param_groups[0]["lr"] = learning_rate
        if window.seq == 0:
            self._level, self._hidden = self._silence(window), None
        estimates, self._level, hidden = self._hear(window.inputs, self._level, self._hidden)
        self._hidden = _detached(hidden)
        loss = _mean_squared_error(estimates, window)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_grad_norm_(self._network.parameters(), self._recipe.clip_norm, foreach=False)
        finite = bool(torch.isfinite(norm))
        if finite:
            self._optimizer.step()
        return estimates.detach().transpose(0, 1).numpy(), loss.item() if finite else None

    def score(self, window: Window) -> float:
        """Return the mean squared error on signals that begin with this window, learning nothing."""
        with torch.no_grad():
            estimates, _, _ = self._hear(window.inputs, self._silence(window), None)
            return _mean_squared_error(estimates, window).item()

    def model(self, update: int, loss: float) -> Model:
        """Return a copy of the weights, made by updates up to and including `update`."""
        provenance = {
            "recipe": self._config.recipe,
            "seed": str(self._config.seed),
            "updates": f"{update + 1} of {self._config.updates}",
            "loss": f"{loss:.6g}",
            "torch": str(torch.__version__),
        }
        return Model(self._config.recipe, self._config.model, self._network.weights(), provenance)

    def _silence(self, window: Window) -> FloatArray:
        """Return the level's state before the first sample."""
        return np.zeros((self._config.model.level_rows, window.inputs.shape[1]), np.float32)

    def _hear(
        self, inputs: FloatArray, level: FloatArray, hidden: HiddenState
    ) -> tuple[Tensor, FloatArray, HiddenState]:
        """Return estimates [channels, samples, fields] in the signal's unit, and what comes after them."""
        inputs, levels, level = divide_out(self._config.model, inputs, level)
        outputs, hidden = self._network(_channels_first(inputs), hidden)
        return outputs * _channels_first(levels), level, hidden


def _mean_squared_error(estimates: Tensor, window: Window) -> Tensor:
    return functional.mse_loss(estimates, torch.from_numpy(window.targets).transpose(0, 1))


def _channels_first(values: FloatArray) -> Tensor:
    """Return [samples, channels] as a tensor [channels, samples, 1]."""
    return torch.from_numpy(values.T[..., None].copy())


def _detached(hidden: HiddenState) -> HiddenState:
    if isinstance(hidden, tuple):
        return hidden[0].detach(), hidden[1].detach()
    return None if hidden is None else hidden.detach()
