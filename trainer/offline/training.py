"""Offline training: recipes, and the loop that follows them one update at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional

from streamer.errors import UsageError
from streamer.messages import FloatArray
from trainer.labels import Window
from trainer.model import GATED, GATES, Model, ModelConfig, Weights
from trainer.offline import schedule, training_signals
from trainer.offline.general import GeneralPupil, TrainingState
from trainer.offline.network import HiddenState, Network

MAX_UPDATES = 10_000_000
MAX_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a recipe trains where nothing else is chosen.

    Parameters
    ----------
    model : ModelConfig
    updates : int
    cells : tuple of str
        Those it can train.
    """

    model: ModelConfig
    updates: int
    cells: tuple[str, ...]


RECIPES = {
    # The lesson the project grew from, to the last digit of its losses.
    "tutorial": Recipe(ModelConfig("rnn", 32, 1, fields=("cos",)), 100, tuple(GATES)),
    "general": Recipe(ModelConfig(GATED, 96, 2), 44_000, (GATED,)),
}
LESSON_LEARNING_RATE = 0.02  # of Adam


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
        own = RECIPES[self.recipe]
        if self.model.cell not in own.cells:
            raise UsageError(f"cell: {self.recipe} trains {', '.join(own.cells)}, got {self.model.cell}")
        if self.model.fields != own.model.fields:
            raise UsageError(f"fields: {self.recipe} teaches {own.model.fields}, got {self.model.fields}")
        if not 1 <= self.updates <= MAX_UPDATES:
            raise UsageError(f"updates: must be 1 to {MAX_UPDATES}, got {self.updates}")
        if not 0 <= self.seed <= MAX_SEED:
            raise UsageError(f"seed: must be 0 to {MAX_SEED}, got {self.seed}")


def use_one_thread() -> None:
    """Let torch compute in one thread: networks this small gain nothing from more, and sums keep their order."""
    torch.set_num_threads(1)


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
    """Where a training stands, after an update (of the lesson) or a batch of them.

    Parameters
    ----------
    update : int
        The index of the last update made, from 0.
    loss : float
        The recipe's own, before the update; of a batch, the mean.
    best : Model
        The best so far.
    best_loss : float
        Its loss: held-out where the recipe has held-out signals, else `loss`.
    validation_loss : float or None
        On held-out signals after it, where they were scored.
    window : Window or None
        What was learnt from, in the lesson.
    estimates : float32 array, shape (samples, channels, fields), or None
        What the network said of it, before the update.
    state : TrainingState or None
        What the general recipe can go on from, where held-out signals were scored.
    """

    update: int
    loss: float
    best: Model
    best_loss: float
    validation_loss: float | None = None
    window: Window | None = None
    estimates: FloatArray | None = None
    state: TrainingState | None = None


def train(config: TrainConfig, state: TrainingState | None = None) -> Iterator[Progress]:
    """Follow a recipe, yielding as it goes; whoever iterates may stop at any time.

    Ends early if the gradient ceases to be finite. The same configuration gives the same losses.

    Parameters
    ----------
    config : TrainConfig
    state : TrainingState or None
        Of an earlier training with the same configuration, to go on from; for the general recipe.
    """
    return _train_generally(config, state) if config.recipe == "general" else _teach_the_lesson(config)


def _train_generally(config: TrainConfig, state: TrainingState | None) -> Iterator[Progress]:
    pupil = GeneralPupil(config.model, config.seed, config.updates)
    if state is not None:
        pupil.restore(state)
    best = _model(config, pupil.best, pupil.updates, pupil.best_loss)
    for batch in schedule.batches(pupil.updates, config.updates):
        loss = pupil.learn(batch)
        if loss is None:
            return
        validation_loss, after = None, None
        if schedule.validation_is_due(batch, pupil.updates, config.updates):
            validation_loss, after = pupil.validate(), pupil.state()
            if validation_loss == pupil.best_loss:
                best = _model(config, pupil.best, pupil.updates, pupil.best_loss)
        yield Progress(pupil.updates - 1, loss, best, pupil.best_loss, validation_loss, state=after)


def _teach_the_lesson(config: TrainConfig) -> Iterator[Progress]:
    pupil = _Pupil(config.model, config.seed)
    for update, window in enumerate(islice(training_signals.lesson(), config.updates)):
        estimates, loss = pupil.learn(window)
        if loss is None:
            return
        best = _model(config, pupil.weights(), update + 1, loss)
        yield Progress(update, loss, best, loss, window=window, estimates=estimates)


def _model(config: TrainConfig, weights: Weights, updates: int, loss: float) -> Model:
    """Return a model with these weights, made by so many updates."""
    provenance = {
        "recipe": config.recipe,
        "seed": str(config.seed),
        "updates": f"{updates} of {config.updates}",
        "loss": f"{loss:.6g}",
        "torch": str(torch.__version__),
    }
    return Model(config.recipe, config.model, weights, provenance)


class _Pupil:
    """The lesson's network under training, and its hidden state, carried from window to window and detached."""

    def __init__(self, config: ModelConfig, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._network = Network(config)
        # foreach=False: for a handful of small tensors the plain loop is the faster one.
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=LESSON_LEARNING_RATE, foreach=False)
        self._hidden: HiddenState = None

    def weights(self) -> Weights:
        return self._network.weights()

    def learn(self, window: Window) -> tuple[FloatArray, float | None]:
        """Make one update.

        Returns
        -------
        estimates : float32 array, shape (samples, channels, fields)
            Before the update.
        loss : float or None
            Of these estimates; None if the gradient is not finite, and nothing was learnt.
        """
        estimates, hidden = self._network(_channels_first(window.inputs), self._hidden)
        self._hidden = _detached(hidden)
        loss = functional.mse_loss(estimates, torch.from_numpy(window.targets).transpose(0, 1))
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        finite = all(
            bool(torch.isfinite(each.grad).all()) for each in self._network.parameters() if each.grad is not None
        )
        if finite:
            self._optimizer.step()
        return estimates.detach().transpose(0, 1).numpy(), loss.item() if finite else None


def _channels_first(values: FloatArray) -> Tensor:
    """Return [samples, channels] as a tensor [channels, samples, 1]."""
    return torch.from_numpy(values.T[..., None].copy())


def _detached(hidden: HiddenState) -> HiddenState:
    if isinstance(hidden, tuple):
        return hidden[0].detach(), hidden[1].detach()
    return None if hidden is None else hidden.detach()
