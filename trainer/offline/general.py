"""The general recipe: a gated model learns from random signals of many kinds, batch after batch.

The bank of resonators is fixed, so its features are plain examples: the bank steps over a batch of signals once;
some of its samples are selected, shuffled, and learnt in small lots. A batch is drawn from the seed and its own
number alone: a training that goes on from a checkpoint makes the same updates as one that was never interrupted.
When the first stage is over, its best weights learn on from longer ones, too, with an optimizer that knows nothing
of the first.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from streamer.messages import FloatArray
from trainer.filterbank.bank import FilterBank, bank_of
from trainer.filterbank.features import FEATURES, READ, Features
from trainer.model import ModelConfig, Weights
from trainer.offline import training_signals
from trainer.offline.network import GatedNetwork, multiply
from trainer.offline.schedule import LEARNING_RATE, UPDATES_A_BATCH, first_stage, learning_rate

CHANNELS = 512  # signals a batch
TILE_CHANNELS = 64  # stepped together: more would leave the core's cache
SHORTEST_SAMPLES, LONGEST_SAMPLES = 750, 1_500
TOLD_SAMPLES = 256  # of a batch's samples, the same for all its signals
# In every other batch of the second stage; after 5,500 samples 1 % of the start is left of any average.
SETTLING_CHANNELS, SETTLING_LONGEST_SAMPLES, SETTLING_TOLD_SAMPLES = 128, 8_000, 1_024
EARLY_SHARE, CHANGE_SHARE = 1 / 8, 1 / 6  # of those: while the bank fills, and soon after the batch's change
EARLY_SAMPLES, CHANGE_SAMPLES = 250, 70
CLIP_NORM = 1.0
AVERAGING_UPDATES = 1_000

MIN_ERROR = 0.02  # rad, added to what can be reached when errors are weighed
WEIGHT_EXPONENT = 0.5
STEADY_SAMPLES, CHANGING_SAMPLES = 250, 60  # what the reachable error is averaged over
RHYTHM_ERROR = 0.35
AMPLITUDE_SHARE = 0.1  # of the loss: the error of amplitude and phase together, beside that of the phase

VALIDATION_CHANNELS = 256
VALIDATION_BATCH = 2**31  # above any training batch, so that no training signal is among the held-out ones


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Features at some samples of some signals, one example a row.

    Parameters
    ----------
    features : float32 tensor, shape (examples, FEATURES)
    parts : float32 tensor, shape (examples, 2, HEARD)
    turns : float32 tensor, shape (examples, 2)
    targets : float32 tensor, shape (examples, 2)
        (cos, sin).
    weights : float32 tensor, shape (examples,)
    """

    features: Tensor
    parts: Tensor
    turns: Tensor
    targets: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, rows: Tensor) -> "Examples":
        """Return some of the examples."""
        return Examples(
            *(each[rows] for each in (self.features, self.parts, self.turns, self.targets, self.weights))
        )


def draw_examples(seed: int, batch: int, bank: FilterBank, channels: int, long: bool = False) -> Examples:
    """Return the examples of a batch of random signals; `long`: such as only the second stage has."""
    generator = np.random.default_rng([seed, batch])
    longest, count = (SETTLING_LONGEST_SAMPLES, SETTLING_TOLD_SAMPLES) if long else (LONGEST_SAMPLES, TOLD_SAMPLES)
    samples = int(generator.integers(SHORTEST_SAMPLES, longest + 1))
    change = int(generator.integers(training_signals.FIRST_CHANGE_SAMPLES, samples - CHANGE_SAMPLES))
    signals = training_signals.draw(generator, samples, channels, change)
    selected = _selected_samples(generator, samples, change, count)
    features = np.empty((len(selected), channels, FEATURES), np.float32)
    parts = np.empty((len(selected), channels, 2, READ), np.float32)
    turns = np.empty((len(selected), channels, 2), np.float32)
    for first in range(0, channels, TILE_CHANNELS):
        tile = slice(first, first + TILE_CHANNELS)
        for rows, block in _blocks(bank, signals.inputs[:, tile], selected):
            features[rows, tile] = np.moveaxis(block.features, -1, 1)
            parts[rows, tile] = np.moveaxis(block.parts, -1, 1)
            turns[rows, tile] = np.moveaxis(block.turns * block.levels[:, None], -1, 1)
    weights = _weights(signals, selected).astype(np.float32)
    by_sample = (features, parts, turns, signals.targets[selected], weights)
    return Examples(*(torch.from_numpy(array.reshape(-1, *array.shape[2:])) for array in by_sample))


def _selected_samples(generator: np.random.Generator, samples: int, change: int, count: int) -> NDArray[np.intp]:
    early, late = round(EARLY_SHARE * count), round(CHANGE_SHARE * count)
    return np.unique(
        np.concatenate(
            [
                generator.integers(3, EARLY_SAMPLES, early),
                generator.integers(100, samples, count - early - late),
                change + generator.integers(0, CHANGE_SAMPLES, late),
            ]
        )
    )


def _blocks(bank: FilterBank, inputs: FloatArray, selected: NDArray[np.intp]) -> Iterator[tuple[slice, Features]]:
    """Yield the features at the selected samples, and which of them these are."""
    inputs = np.ascontiguousarray(inputs[: selected[-1] + 1])
    state = np.zeros((bank.state_rows, inputs.shape[1]), np.float32)
    longest = bank.block_samples(inputs.shape[1])
    for first in range(0, len(inputs), longest):
        rows = slice(*np.searchsorted(selected, [first, first + longest]))
        block, state = bank.step_block(inputs[first : first + longest], state, selected[rows] - first)
        if len(block.turns):
            yield rows, block


def _weights(signals: training_signals.Signals, selected: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return weights [selected samples, channels]: the less, the larger an error is to be expected.

    Of a steady tone's phase, from n samples at A^2 / (2 sigma^2) = eta, the variance is at least 4 / (eta n) (the
    Cramer-Rao bound at the newest sample, the frequency unknown too); a mean magnitude is 0.8 of its root.
    """
    eta = 0.5 / np.maximum(signals.noise_variance, 1e-9)
    memory = np.where(signals.steady, STEADY_SAMPLES, CHANGING_SAMPLES)
    samples = selected[:, None] + 1.0  # up to each one
    reachable = 0.8 * np.sqrt(4 / (eta * np.minimum(samples, memory)))
    reachable = np.where(np.isnan(reachable), RHYTHM_ERROR, reachable) + 0.75 / np.maximum(samples, 5)
    weights = (reachable + MIN_ERROR) ** -WEIGHT_EXPONENT
    normalised: NDArray[np.float64] = weights / weights.mean()
    return normalised


def loss_of(network: GatedNetwork, batch: Examples) -> Tensor:
    """Return the weighted mean error of phase (as a chord, rad) and, for a share, of the whole estimate."""
    # Turned back and divided by the amplitude, a perfect estimate is 1 + 0i.
    amplitude = batch.targets.norm(dim=1, keepdim=True) + 1e-3
    direction = batch.targets / amplitude * batch.targets.new_tensor([1.0, -1.0])
    relative = multiply(network(batch.features, batch.parts, batch.turns), direction) / amplitude
    length = relative.norm(dim=1, keepdim=True) + 0.05  # so that estimates near 0 have no wild gradients
    one = batch.targets.new_tensor([1.0, 0.0])
    chord = ((relative / length - one).square().sum(dim=1) + 1e-6).sqrt()
    error = (relative - one).norm(dim=1).clamp(max=3.0)
    loss: Tensor = (batch.weights * (chord + AMPLITUDE_SHARE * error)).mean()
    return loss


@dataclass(slots=True, eq=False)
class TrainingState:
    """All that a training goes on from, as arrays under the weights' names.

    Parameters
    ----------
    updates : int
        Made so far.
    weights, averages, first_moments, second_moments : mapping of str to float32 array
    best : mapping of str to float32 array
        The averages that did best on held-out signals.
    best_loss : float
    """

    updates: int
    weights: Weights
    averages: Weights
    first_moments: Weights
    second_moments: Weights
    best: Weights
    best_loss: float


class GeneralPupil:
    """A gated network under training, its optimizer, and the running average of its weights.

    Parameters
    ----------
    config : ModelConfig
    seed : int
        Of the first weights and of the signals.
    updates : int
        That the whole training is to make.
    """

    def __init__(self, config: ModelConfig, seed: int, updates: int) -> None:
        self._seed, self._updates, self._first = seed, updates, first_stage(updates)
        self._bank = bank_of(config.nominal_samples)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._network = GatedNetwork(config)
        self._parameters = dict(self._network.named_parameters())
        with torch.no_grad():
            self._network.head.weight.mul_(0.3)  # gains near nothing, so that the first losses are small
        self._average = copy.deepcopy(self._network)
        self._optimizer = self._new_optimizer()
        self.updates, self._settling = 0, False
        self._best, self.best_loss = self._average.weights(), math.inf
        self._held_out: Examples | None = None

    def _new_optimizer(self) -> torch.optim.Adam:
        return torch.optim.Adam(self._network.parameters(), lr=LEARNING_RATE, foreach=False)

    def learn(self, batch: int) -> float | None:
        """Make the updates of a batch, and return its mean loss before them, or None if one is not finite."""
        if self.updates == self._first:
            self._settle()
        stage_end = self._updates if self._settling else self._first
        long = self._settling and batch % 2 == 1  # by turns: long signals alone would unlearn what changes quickly
        examples = draw_examples(self._seed, batch, self._bank, SETTLING_CHANNELS if long else CHANNELS, long)
        order = torch.from_numpy(np.random.default_rng([self._seed, batch, 1]).permutation(len(examples)))
        losses = []
        for rows in order.chunk(UPDATES_A_BATCH):
            if self.updates == stage_end:
                break
            loss = self._update(examples.take(rows))
            if loss is None:
                return None
            losses.append(loss)
        return float(np.mean(losses))

    def _settle(self) -> None:
        """Begin the second stage, with what was best in the first as its first best."""
        self._settling, self._held_out, self.best_loss = True, None, math.inf
        self._network.load_weights(self._best)
        self._average.load_weights(self._best)
        self._optimizer = self._new_optimizer()
        self.validate()

    def _update(self, lot: Examples) -> float | None:
        self._optimizer.param_groups[0]["lr"] = learning_rate(self.updates, self._updates)
        loss = loss_of(self._network, lot)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if not torch.isfinite(clip_grad_norm_(self._network.parameters(), CLIP_NORM, foreach=False)):
            return None
        self._optimizer.step()
        self.updates += 1
        share = max(1 / AVERAGING_UPDATES, 20 / (self.updates + 20))
        with torch.no_grad():
            for average, parameter in zip(self._average.parameters(), self._network.parameters(), strict=True):
                average.lerp_(parameter, share)
        return float(loss.detach())

    def validate(self) -> float:
        """Return the averaged weights' loss on held-out signals of their stage; keep them if they are the best."""
        if self._held_out is None:
            channels = SETTLING_CHANNELS if self._settling else VALIDATION_CHANNELS
            self._held_out = draw_examples(0, VALIDATION_BATCH, self._bank, channels, self._settling)
        with torch.no_grad():
            loss = float(loss_of(self._average, self._held_out))
        if loss < self.best_loss:
            self._best, self.best_loss = self._average.weights(), loss
        return loss

    @property
    def best(self) -> Weights:
        """The averaged weights that did best on held-out signals."""
        return self._best

    def state(self) -> TrainingState:
        """Return all that the training goes on from."""
        moments = [self._optimizer.state[parameter] for parameter in self._parameters.values()]
        first, second = (
            {name: moment[key].numpy().copy() for name, moment in zip(self._parameters, moments, strict=True)}
            for key in ("exp_avg", "exp_avg_sq")
        )
        return TrainingState(
            self.updates,
            self._network.weights(),
            self._average.weights(),
            first,
            second,
            self._best,
            self.best_loss,
        )

    def restore(self, state: TrainingState) -> None:
        """Go on from a state.

        Raises
        ------
        RuntimeError
            If it is of another network.
        """
        self._network.load_weights(state.weights)
        self._average.load_weights(state.averages)
        self.updates, self._best, self.best_loss = state.updates, state.best, state.best_loss
        self._settling = state.updates > self._first
        steps = state.updates - self._first * self._settling
        for name, parameter in self._parameters.items():
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(steps)),
                "exp_avg": torch.from_numpy(np.array(state.first_moments[name])),
                "exp_avg_sq": torch.from_numpy(np.array(state.second_moments[name])),
            }


def held_out_signals(samples: int, channels: int) -> training_signals.Signals:
    """Return random signals that no training learns from."""
    return training_signals.draw(np.random.default_rng([0, VALIDATION_BATCH]), samples, channels, samples // 2)
