"""Offline training: the lesson to the last digit, the general recipe, the shipped models, the command."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from predictor.cli import cli
from streamer.errors import FileError, UsageError
from streamer.messages import FloatArray
from trainer.model import GATES, Model, ModelConfig
from trainer.model_file import load_model
from trainer.offline import figure, training, training_signals
from trainer.offline.network import predict
from trainer.offline.training import RECIPES, Progress, TrainConfig, configure, train

TRAIN = [sys.executable, "-m", "predictor", "train"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def lesson() -> list[Progress]:
    return list(train(configure("tutorial")))


@pytest.fixture(scope="module")
def plain_lesson() -> tuple[list[float], dict[str, FloatArray]]:
    """The lesson as anybody would write it, without a line of ours."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        cell = nn.RNN(input_size=1, hidden_size=32, num_layers=1, batch_first=True)
        head = nn.Linear(32, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()], lr=0.02)
    hidden, losses = None, []
    for k in range(100):
        steps = np.linspace(k * np.pi, (k + 1) * np.pi, 10, dtype=np.float32)
        heard = torch.from_numpy(np.sin(steps)[np.newaxis, :, np.newaxis])
        wanted = torch.from_numpy(np.cos(steps)[np.newaxis, :, np.newaxis])
        states, hidden = cell(heard, hidden)
        hidden = hidden.detach()
        loss = nn.MSELoss()(head(states), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    weights = {f"cell.{name}": value.detach().numpy() for name, value in cell.named_parameters()}
    weights |= {f"head.{name}": value.detach().numpy() for name, value in head.named_parameters()}
    return losses, weights


def close(ours: Model, theirs: dict[str, FloatArray]) -> bool:
    return ours.weights.keys() == theirs.keys() and all(
        np.allclose(ours.weights[name], theirs[name], atol=1e-4) for name in theirs
    )


class TestTutorial:
    def test_losses_begin_as_in_the_lesson(self, lesson: list[Progress]) -> None:
        assert [progress.loss for progress in lesson[:3]] == pytest.approx(
            [0.578259, 0.523539, 0.563600], abs=1e-6
        )

    def test_all_losses_are_those_of_plain_torch(
        self, lesson: list[Progress], plain_lesson: tuple[list[float], dict[str, FloatArray]]
    ) -> None:
        assert [progress.update for progress in lesson] == list(range(100))
        assert [progress.loss for progress in lesson] == pytest.approx(plain_lesson[0], abs=1e-6)

    def test_weights_are_those_of_plain_torch(
        self, lesson: list[Progress], plain_lesson: tuple[list[float], dict[str, FloatArray]]
    ) -> None:
        assert close(lesson[-1].best, plain_lesson[1])
        assert not close(lesson[-2].best, plain_lesson[1])

    def test_the_shipped_model_is_what_the_lesson_yields(
        self, plain_lesson: tuple[list[float], dict[str, FloatArray]]
    ) -> None:
        assert close(load_model("tutorial"), plain_lesson[1])

    def test_windows_are_half_cycles_with_both_ends(self) -> None:
        windows = list(islice(training_signals.lesson(), 3))
        angle = np.linspace(2 * np.pi, 3 * np.pi, 10, dtype=np.float32)
        assert [window.seq for window in windows] == [0, 10, 20]
        assert np.array_equal(windows[2].inputs[:, 0], np.sin(angle))
        assert np.array_equal(windows[2].targets[:, 0, 0], np.cos(angle))

    def test_what_was_said_is_shown(self, lesson: list[Progress]) -> None:
        for progress in lesson:
            assert progress.estimates is not None
            assert progress.window is not None
            error = progress.estimates - progress.window.targets
            assert np.square(error).mean() == pytest.approx(progress.loss, rel=1e-5)

    @pytest.mark.parametrize("cell", GATES)
    def test_every_cell_learns_it(self, cell: str) -> None:
        losses = [progress.loss for progress in train(configure("tutorial", cell=cell, hidden=16, layers=2))]
        assert np.mean(losses[-20:]) < np.mean(losses[:20]) / 2


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"recipe": "secret"}, "recipe"),
        ({"updates": 0}, "updates"),
        ({"updates": 10**8}, "updates"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"cell": "elman"}, "cell"),
        ({"hidden": 0}, "hidden"),
        ({"layers": 99}, "layers"),
        ({"cell": "gru"}, "cell"),
        ({"recipe": "tutorial", "cell": "gated"}, "cell"),
    ],
)
def test_bad_values_are_refused_by_name(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=f"^{named}: "):
        configure(**{"recipe": "general"} | wrong)  # type: ignore[arg-type]


def test_a_recipe_teaches_its_own_fields() -> None:
    with pytest.raises(UsageError, match="fields"):
        TrainConfig("tutorial", ModelConfig(), 100)


class TestDefaultModel:
    CYCLES_SAMPLES = np.array([12, 12.7, 14, 16, 18, 20, 23, 27, 31, 36, 42, 47, 50])

    @staticmethod
    def errors(cycles_samples: FloatArray, amplitude: FloatArray, samples: int) -> FloatArray:
        phase = np.arange(len(cycles_samples)) / 7
        angle = 2 * np.pi * (np.arange(samples)[:, None] / cycles_samples + phase)
        estimates, _ = predict(load_model("default"), (amplitude * np.sin(angle)).astype(np.float32))
        return np.stack(
            [
                estimates[..., 0] / amplitude - np.cos(angle),
                estimates[..., 1] / amplitude - np.sin(angle),
            ]
        )

    @pytest.mark.parametrize("amplitude", [0.01, 1.0, 100.0])
    def test_it_gives_cos_and_sin_of_any_sine(self, amplitude: float) -> None:
        errors = self.errors(self.CYCLES_SAMPLES, np.full(13, amplitude), 1000)
        assert np.sqrt(np.square(errors[:, 250:]).mean(axis=1)).max() < 0.04
        assert np.sqrt(np.square(errors[:, 100:, self.CYCLES_SAMPLES == 20]).mean(axis=1)).max() < 0.04

    def test_its_phase_is_right(self) -> None:
        """Closer than its amplitude: 0.3 deg is what may be lost on clean tones."""
        angle = 2 * np.pi * (np.arange(1_500)[:, None] / self.CYCLES_SAMPLES + np.arange(13) / 7)
        estimates, _ = predict(load_model("default"), np.sin(angle).astype(np.float32))
        analytic = estimates[250:, :, 0] + 1j * estimates[250:, :, 1]
        error = np.degrees(np.abs(np.angle(analytic * np.exp(-1j * angle[250:]))))
        assert error.mean(axis=0).max() < 0.3

    def test_it_does_not_drift(self) -> None:
        """Nor do its estimates grow worse once the bank's start is forgotten."""
        errors = self.errors(np.array([12.0, 20.3, 30.0, 50.0]), np.array([0.01, 1.0, 0.3, 100.0]), 20_000)
        early, *later = (
            np.sqrt(np.square(errors[:, part]).mean(axis=(0, 1)))
            for part in (slice(700, 1_500), slice(3_000, 4_000), slice(-1_000, None))
        )
        for part in later:
            assert part.max() < 0.01
            assert part.mean() < 1.3 * early.mean()

    def test_the_recipes_own_configuration_made_it(self) -> None:
        model, config = load_model("default"), configure("general")
        assert model.config == config.model
        assert model.provenance["command"] == (
            f"sincos train --recipe general --hidden {config.model.hidden} --layers {config.model.layers} "
            f"--updates {config.updates} --seed {config.seed}"
        )


def invoke(*arguments: str | int | Path) -> Result:
    return CliRunner().invoke(cli, ["train", *map(str, arguments)])


SHORT = ("--recipe", "tutorial", "--updates", "3")


class TestCommand:
    def test_json_and_nothing_else_is_on_standard_output(self) -> None:
        result = invoke("--recipe", "tutorial", "--updates", "3", "--json")
        assert result.exit_code == 0
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert [line.keys() for line in lines] == [{"update", "loss"}] * 3
        assert [line["update"] for line in lines] == [0, 1, 2]
        assert [line["loss"] for line in lines] == pytest.approx([0.578259, 0.523539, 0.563600], abs=1e-6)
        assert "3 of 3 updates" in result.stderr

    def test_without_out_it_says_so_and_quiet_says_only_that(self) -> None:
        result = invoke(*SHORT, "-q")
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1
        assert "will not be saved" in result.stderr

    def test_saves_what_was_asked_for(self, tmp_path: Path) -> None:
        path = tmp_path / "my.safetensors"
        result = invoke(*SHORT, "--cell", "gru", "--hidden", 5, "--layers", 2, "--seed", 7, "--out", path)
        assert result.exit_code == 0
        assert "will not be saved" not in result.stderr
        model = load_model(str(path))
        last = list(train(configure("tutorial", cell="gru", hidden=5, layers=2, updates=3, seed=7)))[-1]
        assert model.config == last.best.config
        assert all(np.array_equal(model.weights[name], last.best.weights[name]) for name in model.weights)
        assert model.provenance == {
            "recipe": "tutorial",
            "seed": "7",
            "updates": "3 of 3",
            "loss": f"{last.loss:.6g}",
            "torch": str(torch.__version__),
            "command": "sincos train --recipe tutorial --cell gru --hidden 5 --layers 2 --updates 3 --seed 7",
        }

    def test_plots_the_lesson_red_and_blue(self, tmp_path: Path) -> None:
        path = tmp_path / "lesson.svg"
        assert invoke("--recipe", "tutorial", "--plot", path).exit_code == 0
        picture = path.read_text()
        assert "#ff0000" in picture
        assert "#0000ff" in picture

    @pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
    def test_a_plot_on_a_full_disk_leaves_what_was_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
    ) -> None:
        path = tmp_path / f"plot.{ending}"
        path.write_text("before")

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(FileError, match=f"plot.{ending}: cannot be written: No space left"):
            figure.save([figure.Panel("p", np.zeros(2, np.float32), np.zeros(2, np.float32))], path)
        assert path.read_text() == "before"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("flag", ["--out", "--plot"])
    @pytest.mark.parametrize("place", ["none/a.png", ".", "x" * 250 + ".png", os.devnull, "a.png/b.png"])
    def test_refuses_unwritable_files_before_it_trains(
        self, flag: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(training, "train", lambda *_: pytest.fail("trained"))
        (tmp_path / "a.png").touch()
        result = invoke(*SHORT, flag, tmp_path / place)
        assert isinstance(result.exception, FileError)
        assert flag in str(result.exception)
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    def test_refuses_a_picture_of_no_kind(self, tmp_path: Path) -> None:
        for name in ("plot", "plot.xyz"):
            result = invoke(*SHORT, "--plot", tmp_path / name)
            assert isinstance(result.exception, FileError)
            assert "png" in str(result.exception)

    def test_refuses_one_file_for_both(self, tmp_path: Path) -> None:
        assert isinstance(invoke(*SHORT, "--out", tmp_path / "a", "--plot", tmp_path / "a").exception, UsageError)

    def test_refuses_bad_values_before_it_trains(self) -> None:
        for flag in ("--hidden", "--layers", "--updates"):
            result = invoke("--recipe", "tutorial", flag, 0)
            assert isinstance(result.exception, UsageError)
            assert flag[2:] in str(result.exception)
        assert invoke("--cell", "elman").exit_code == 2
        assert invoke("--recipe", "secret").exit_code == 2

    def test_help_tells_the_recipes_own_defaults_without_torch(self) -> None:
        text = " ".join(invoke("--help").stdout.split())
        for recipe, own in RECIPES.items():
            for number in (own.updates, own.model.hidden, own.model.layers):
                assert f"{number} for {recipe}" in text
        code = (
            "import sys, predictor.commands.train; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_keeps_the_best_so_far(
        self, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(config: TrainConfig, _state: None) -> Iterator[Progress]:
            for progress in train(config):
                if progress.update == 4:
                    signal.raise_signal(number)
                yield progress

        monkeypatch.setattr(training, "train", interrupted)
        path = tmp_path / "best.safetensors"
        result = invoke("--recipe", "tutorial", "--json", "--out", path)
        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) == 5
        assert load_model(str(path)).provenance["updates"] == "5 of 100"


ENDLESS = ["--recipe", "tutorial", "--hidden", "4", "--updates", "10000000"]


class TestProcess:
    def test_sigint_ends_it_and_the_best_is_saved(self, tmp_path: Path) -> None:
        path = tmp_path / "best.safetensors"
        arguments = ["--json", *ENDLESS, "--out", str(path)]
        with subprocess.Popen([*TRAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert b"Traceback" not in err
        assert first["update"] == 0
        assert load_model(str(path)).config.hidden == 4
        assert all(json.loads(line) for line in out.splitlines())  # none cut short

    def test_a_reader_that_leaves_ends_it_quietly(self, tmp_path: Path) -> None:
        path = tmp_path / "best.safetensors"
        arguments = ["--json", "-q", *ENDLESS, "--out", str(path)]
        with subprocess.Popen([*TRAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.wait(timeout=60) == 0
            assert process.stderr.read() == b""
        assert load_model(str(path)).config.hidden == 4
