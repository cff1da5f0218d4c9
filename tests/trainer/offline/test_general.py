"""The general recipe: what it learns from, that it learns, and that an interruption costs nothing."""

import json
import signal
from collections.abc import Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from predictor.cli import cli
from streamer.errors import FileError, UsageError
from trainer.filterbank.bank import bank_of
from trainer.filterbank.features import FEATURES, READ
from trainer.model import ModelConfig, new_model
from trainer.model_file import load_model
from trainer.offline import general, schedule, training, training_signals
from trainer.offline.general import GeneralPupil, TrainingState, draw_examples, loss_of
from trainer.offline.network import GatedNetwork, predict
from trainer.offline.schedule import first_stage, learning_rate
from trainer.offline.training import Progress, TrainConfig, configure, train
from trainer.offline.training_checkpoint import checkpoint_path, load_checkpoint, save_checkpoint

BANK = bank_of(25.0)
UPDATES_A_BATCH = 4


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and short signals, scored often."""
    torch.set_num_threads(1)
    for name, value in {
        "CHANNELS": 12,
        "SHORTEST_SAMPLES": 330,
        "LONGEST_SAMPLES": 340,
        "TOLD_SAMPLES": 24,
        "SETTLING_CHANNELS": 6,
        "SETTLING_LONGEST_SAMPLES": 700,
        "SETTLING_TOLD_SAMPLES": 48,
        "UPDATES_A_BATCH": UPDATES_A_BATCH,
        "VALIDATION_CHANNELS": 12,
        "VALIDATE_EVERY_BATCHES": 2,
        "WARM_UP_UPDATES": 4,
    }.items():
        for module in (general, schedule):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)


def small(updates: int = 22, seed: int = 1) -> TrainConfig:
    return configure("general", hidden=6, updates=updates, seed=seed)


def same(one: TrainingState, other: TrainingState) -> bool:
    pairs = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(TrainingState)]
    return all(
        all(np.array_equal(a[name], b[name]) for name in a) if isinstance(a, dict) else a == b for a, b in pairs
    )


def last_state(run: Iterator[Progress]) -> TrainingState:
    state = [progress.state for progress in run][-1]
    assert state is not None
    return state


class TestExamples:
    @pytest.mark.parametrize(("long", "longest", "most"), [(False, 340, 24), (True, 700, 48)])
    def test_examples_are_what_the_bank_tells_of_some_samples(self, long: bool, longest: int, most: int) -> None:
        batch = draw_examples(3, 5, BANK, 12, long)
        generator = np.random.default_rng([3, 5])
        samples = int(generator.integers(330, longest + 1))
        change = int(generator.integers(training_signals.FIRST_CHANGE_SAMPLES, samples - general.CHANGE_SAMPLES))
        signals = training_signals.draw(generator, samples, 12, change)
        block, _ = BANK.step_block(signals.inputs, np.zeros((BANK.state_rows, 12), np.float32))
        selected = [
            int(np.flatnonzero((signals.targets[:, 0] == target.numpy()).all(axis=1))[0])
            for target in batch.targets[::12]
        ]
        assert selected == sorted(set(selected))
        assert 0.8 * most < len(selected) <= most
        assert 0.8 * samples < selected[-1] < samples
        assert len(batch) == 12 * len(selected)
        shape = (len(selected), 12)
        assert np.array_equal(
            batch.features.reshape(*shape, FEATURES), np.moveaxis(block.features[selected], -1, 1)
        )
        assert np.array_equal(batch.parts.reshape(*shape, 2, READ), np.moveaxis(block.parts[selected], -1, 1))
        turns = (block.turns * block.levels[:, None])[selected]
        assert np.array_equal(batch.turns.reshape(*shape, 2), np.moveaxis(turns, -1, 1))
        assert np.array_equal(batch.targets.reshape(*shape, 2), signals.targets[selected])

    def test_tiles_are_only_a_matter_of_speed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = draw_examples(3, 5, BANK, channels=12)
        monkeypatch.setattr(general, "TILE_CHANNELS", 5)
        tiled = draw_examples(3, 5, BANK, channels=12)
        assert torch.equal(whole.features, tiled.features)
        assert torch.equal(whole.turns, tiled.turns)

    def test_errors_that_cannot_be_helped_weigh_less(self) -> None:
        steady = np.array([True, True, False, True, False])
        variance = np.array([0.0, 0.05, 0.05, 0.5, np.nan])
        signals = training_signals.Signals(
            np.zeros((300, 5), np.float32), np.zeros((300, 5, 2), np.float32), variance, steady
        )
        weights = general._weights(signals, np.array([5, 299]))
        assert weights.mean() == pytest.approx(1)
        assert (weights[0] < weights[1]).all()
        clean, noisy, changing, noisier, rhythm = weights[1]
        assert clean > noisy > changing > rhythm
        assert noisy > noisier


class TestLoss:
    @staticmethod
    def loss(estimate: complex, target: complex) -> float:
        one = torch.ones(1)
        parts = torch.zeros(1, 2, READ)
        parts[0, 0, -1] = 1  # the constant, whose gain is then the estimate
        network = GatedNetwork(ModelConfig("gated", 4))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
            network.head.bias[READ - 1], network.head.bias[2 * READ - 1] = estimate.real, estimate.imag
        batch = general.Examples(
            torch.zeros(1, FEATURES),
            parts,
            torch.tensor([[1.0, 0.0]]),
            torch.tensor([[float(target.real), float(target.imag)]]),
            one,
        )
        return float(loss_of(network, batch).detach())

    def test_a_perfect_estimate_loses_nothing_to_speak_of(self) -> None:
        assert self.loss(0.6 + 0.8j, 0.6 + 0.8j) < 0.06

    @pytest.mark.parametrize("degrees", [-90, -10, 10, 90])
    def test_phase_counts_as_a_chord(self, degrees: float) -> None:
        turn = np.exp(1j * np.radians(degrees))
        chord = abs(turn - 1)
        assert self.loss(turn, 1) == pytest.approx(chord * (1 + general.AMPLITUDE_SHARE), rel=0.1)

    def test_neither_phase_nor_amplitude_of_the_signal_matters(self) -> None:
        expected = self.loss(1.2 + 0.3j, 1)
        for factor in (1j, -5, 0.05 * np.exp(1j)):
            assert self.loss((1.2 + 0.3j) * factor, factor) == pytest.approx(expected, rel=0.1)


def test_in_each_stage_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    rates = [learning_rate(update, 1_100) for update in range(1_100)]
    for full, stage in ((schedule.LEARNING_RATE, rates[:1_000]), (schedule.SETTLING_RATE, rates[1_000:])):
        assert stage[0] == pytest.approx(full / 4, rel=0.01)
        assert 0.95 * full < max(stage) < 1.01 * full
        assert stage[len(stage) // 2] == pytest.approx(full / 2, rel=0.01)
        assert stage[-1] < 0.01 * full


@pytest.mark.parametrize("updates", [1, 4, 10, 11, 22, 44, 47, 1_000])
def test_batches_that_are_left_make_the_updates_that_are_left(updates: int) -> None:
    first = first_stage(updates)
    stages = [min(4, first - at) for at in range(0, first, 4)]
    stages += [min(4, updates - at) for at in range(first, updates, 4)]
    assert schedule.batches(0, updates) == range(len(stages))
    for batch, made in enumerate(np.cumsum(stages).tolist(), 1):
        assert schedule.batches(made, updates) == range(batch, len(stages))
    assert schedule.validation_is_due(1_000, first, updates)


class TestTraining:
    def test_it_learns(self) -> None:
        losses = [progress.validation_loss for progress in train(small(updates=200))]
        scored = [loss for loss in losses if loss is not None]
        assert scored[-1] < 0.6 * scored[0]

    def test_same_seed_same_losses_and_no_global_seeding(self) -> None:
        def losses(seed: int) -> list[float]:
            torch.manual_seed(99)
            np.random.seed(99)
            run = [(each.loss, each.best_loss) for each in train(small(8, seed))]
            assert (torch.rand(()).item(), float(np.random.random())) == untouched
            return [loss for pair in run for loss in pair]

        torch.manual_seed(99)
        np.random.seed(99)
        untouched = torch.rand(()).item(), float(np.random.random())
        assert losses(1) == losses(1)
        assert losses(1) != losses(2)

    def test_exactly_so_many_updates_are_made_and_told(self) -> None:
        run = list(train(small(updates=22)))
        assert [progress.update for progress in run] == [3, 7, 11, 15, 19, 21]
        assert [progress.validation_loss is not None for progress in run] == [True, True, False, True, True, True]
        assert [progress.state is not None for progress in run] == [True, True, False, True, True, True]
        assert run[-1].best.provenance["updates"].endswith(" of 22")

    def test_the_best_is_what_its_loss_says(self) -> None:
        *_, first, last = train(small())
        for progress, held_out in ((first, (12,)), (last, (6, True))):
            batch = draw_examples(0, general.VALIDATION_BATCH, BANK, *held_out)
            network = GatedNetwork(progress.best.config)
            network.load_weights(progress.best.weights)
            assert float(loss_of(network, batch).detach()) == pytest.approx(progress.best_loss, rel=1e-5)

    def test_worse_weights_do_not_replace_better_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scores = iter([0.5, 0.3, 0.4, 0.2, 0.6])
        monkeypatch.setattr(schedule, "SETTLING_SHARE", 99)
        monkeypatch.setattr(general, "loss_of", _scores(scores))
        run = list(train(small(updates=32)))
        assert [progress.best_loss for progress in run] == [0.5, 0.3, 0.3, 0.3, 0.3, 0.2, 0.2, 0.2]
        assert run[-1].best.provenance["updates"] == "24 of 32"

    def test_the_second_stage_goes_on_from_the_best_of_the_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The first stage is best after 4 updates; the second scores that anew, and comes to worse.
        monkeypatch.setattr(general, "loss_of", _scores(iter([0.1, 0.3, 0.3, 0.3, 0.7, 0.8])))
        pupil = GeneralPupil(small().model, 1, 22)
        for batch in range(5):
            pupil.learn(batch)
            if schedule.validation_is_due(batch, pupil.updates, 22):
                pupil.validate()
        best = pupil.best
        monkeypatch.setattr(schedule, "SETTLING_RATE", 0.0)
        pupil.learn(5)
        assert pupil.best_loss == 0.7
        state = pupil.state()
        for name, weights in best.items():
            assert np.array_equal(state.weights[name], weights)
            assert np.array_equal(state.averages[name], weights)
        pupil.validate()
        assert pupil.best_loss == 0.7

    def test_in_the_second_stage_long_signals_and_short_ones_come_by_turns(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        draw, drawn = general.draw_examples, []

        def noted(*arguments: int) -> general.Examples:
            drawn.append((arguments[0], arguments[1], arguments[3:]))
            return draw(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(general, "draw_examples", noted)
        assert list(train(small(updates=77)))[-1].update == 76
        learnt = [(batch, rest) for seed, batch, rest in drawn if seed]
        assert [batch for batch, _ in learnt] == list(range(20))
        assert [batch for batch, rest in learnt if rest == (6, True)] == [19]
        assert all(rest == (12, False) for batch, rest in learnt if batch < 19)

    def test_a_gradient_that_is_not_finite_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        draw = general.draw_examples

        def spoilt(seed: int, batch: int, *rest: object) -> general.Examples:
            drawn = draw(seed, batch, *rest)  # type: ignore[arg-type]
            if batch == 1:
                drawn.targets[:] = torch.inf
            return drawn

        monkeypatch.setattr(general, "draw_examples", spoilt)
        run = list(train(small()))
        assert [progress.update for progress in run] == [3]
        assert predict(run[-1].best, np.zeros((3, 1), np.float32))[0].shape == (3, 1, 2)


def _scores(scores: Iterator[float]) -> object:
    """Return a loss that is the real one to learn from, and the next of these to score."""

    def loss(network: GatedNetwork, batch: general.Examples) -> torch.Tensor:
        return (
            loss_of(network, batch) if torch.is_grad_enabled() else torch.tensor(next(scores), dtype=torch.float64)
        )

    return loss


class TestResuming:
    @pytest.mark.parametrize(("batches", "goes_on_with"), [(4, 19), (15, 63), (16, 65)])
    def test_a_resumed_training_equals_the_uninterrupted_one(
        self, batches: int, goes_on_with: int, tmp_path: Path
    ) -> None:
        """From within the first stage, from its end, and from within the second."""
        config, path = small(updates=66), tmp_path / "checkpoint"
        whole = list(train(config))
        for progress in islice(train(config), batches):
            if progress.state is not None:
                save_checkpoint(config, progress.state, path)
        rest = list(train(config, load_checkpoint(config, path)))
        assert [progress.loss for progress in rest] == [progress.loss for progress in whole[-len(rest) :]]
        assert rest[0].update == goes_on_with
        assert same(last_state(iter(rest)), last_state(iter(whole)))
        for name, weight in whole[-1].best.weights.items():
            assert np.array_equal(rest[-1].best.weights[name], weight)

    def test_a_checkpoint_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        config, path = small(updates=4), tmp_path / "checkpoint"
        state = last_state(train(config))
        save_checkpoint(config, state, path)
        assert same(load_checkpoint(config, path), state)

    def test_one_of_another_training_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "checkpoint"
        save_checkpoint(small(4), last_state(train(small(4))), path)
        for other in (small(5), small(4, seed=2), configure("general", hidden=7, updates=4)):
            with pytest.raises(UsageError, match=r"--resume: .*other options"):
                load_checkpoint(other, path)

    @pytest.mark.parametrize("content", [b"", b"nonsense", None])
    def test_what_is_no_checkpoint_is_refused(self, content: bytes | None, tmp_path: Path) -> None:
        path = tmp_path / "checkpoint"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(FileError, match="checkpoint"):
            load_checkpoint(small(), path)

    def test_a_model_file_is_no_checkpoint(self) -> None:
        path = Path(training.__file__).parents[1] / "models" / "tutorial.safetensors"
        with pytest.raises(FileError, match="format must be sincos-checkpoint-1"):
            load_checkpoint(small(), path)

    def test_what_cannot_be_written_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(FileError, match="cannot write"):
            save_checkpoint(small(4), last_state(train(small(4))), tmp_path / "none" / "checkpoint")


def invoke(*arguments: str | int | Path) -> Result:
    return CliRunner().invoke(cli, ["train", "--hidden", "6", *map(str, arguments)])


def alike(one: Path, other: Path) -> bool:
    models = load_model(str(one)), load_model(str(other))
    weights = [model.weights for model in models]
    return models[0].provenance == models[1].provenance and all(
        np.array_equal(weights[0][name], weights[1][name]) for name in weights[0]
    )


class TestCommand:
    def test_json_says_when_it_validated(self) -> None:
        result = invoke("--updates", 10, "--json", "-q")
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert [line["update"] for line in lines] == [3, 7, 9]
        assert ["validation_loss" in line for line in lines] == [True, True, True]

    def test_an_interrupted_training_is_resumed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(config: TrainConfig, state: TrainingState | None) -> Iterator[Progress]:
            for progress in train(config, state):
                if progress.update == 11:
                    signal.raise_signal(signal.SIGINT)
                yield progress

        one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
        assert invoke("--updates", 22, "--out", one).exit_code == 0
        assert [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]
        with monkeypatch.context() as patch:
            patch.setattr(training, "train", interrupted)
            assert invoke("--updates", 22, "--out", other).exit_code == 0
        assert checkpoint_path(other).exists()
        assert load_model(str(other)).provenance["updates"] == "8 of 22"
        assert invoke("--updates", 22, "--out", other, "--resume").exit_code == 0
        assert not checkpoint_path(other).exists()
        assert alike(one, other)

    def test_resuming_needs_something_to_go_on_from(self, tmp_path: Path) -> None:
        for arguments in (["--resume"], ["--recipe", "tutorial", "--resume", "--out", tmp_path / "a"]):
            result = invoke(*arguments)
            assert isinstance(result.exception, UsageError)
            assert "--resume" in str(result.exception)
        assert isinstance(invoke("--resume", "--out", tmp_path / "a").exception, FileError)

    def test_the_command_in_the_file_makes_it_again(self, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        assert invoke("--updates", 4, "--seed", 7, "--out", path).exit_code == 0
        model = load_model(str(path))
        spoken = model.provenance["command"].split()
        assert spoken[:2] == ["sincos", "train"]
        again = tmp_path / "again.safetensors"
        assert CliRunner().invoke(cli, [*spoken[1:], "--out", str(again)]).exit_code == 0
        assert alike(path, again)

    def test_plots_held_out_signals(self, tmp_path: Path) -> None:
        path = tmp_path / "general.png"
        assert invoke("--updates", 1, "--plot", path).exit_code == 0
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_new_pupil_says_little() -> None:
    """Small first gains: what random weights say does not drown what is heard."""
    pupil = GeneralPupil(ModelConfig("gated", 6), seed=1, updates=4)
    model = new_model(ModelConfig("gated", 6), seed=1)
    ours, random = (np.abs(weights["head.weight"]).max() for weights in (pupil.best, model.weights))
    assert ours < 0.5 * random
