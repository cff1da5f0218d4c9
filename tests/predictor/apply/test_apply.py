"""`sincos apply`: what the daemon would have said live, causally, and all of it or nothing."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from click.testing import CliRunner, Result

from predictor import cli
from predictor.api.settings import choose_learning, choose_model
from predictor.apply import estimate_file
from predictor.daemon.core import Predictor, PredictorConfig
from streamer.errors import FileError, OperatorError, UsageError
from streamer.messages import Chunk, Gone, Kind
from streamer.source.signals import Signal
from streamer.waveforms import Oscillation
from tests.support.simulation import answer, joined, published

SIGNAL = Signal(Oscillation("chirp", frequency_hz=4.0, amplitude=3.0), channels=2, noise=0.1)
MODEL = ["--model", "new", "--seed", "5"]


def spoken(count: int, kind: Kind, signal: Signal = SIGNAL) -> np.ndarray:
    """What a source says of one kind, [samples, channels, fields]."""
    messages = published(signal, count)
    return joined([m for m in messages if isinstance(m, Chunk) and m.kind is kind])


def live(count: int, *, learn: bool = False, signal: Signal = SIGNAL) -> np.ndarray:
    """What the daemon answers a source that says `count` samples one by one."""
    model = choose_model("new", {}, 5)
    core = Predictor(model, make_learner=choose_learning("target" if learn else None).make_learner)
    return joined(answer(core, published(signal, count)))


def apply(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, ["apply", *map(str, arguments)], catch_exceptions=False)


def applied(folder: Path, inputs: np.ndarray, *arguments: object) -> np.ndarray:
    """Estimates that `sincos apply` writes of inputs."""
    source, result = folder / "in.npy", folder / "out.npy"
    np.save(source, inputs)
    apply(source, result, "-q", *arguments)
    estimates: np.ndarray = np.load(result)
    return estimates


# What is said


def test_estimates_are_bitwise_what_the_daemon_would_have_published(tmp_path: Path) -> None:
    estimates = applied(tmp_path, spoken(5000, Kind.INPUT)[..., 0], *MODEL)
    assert estimates.shape == (5000, 2, 2)
    assert estimates.dtype == np.float32
    assert estimates.tobytes() == live(5000).tobytes()


def test_learning_is_bitwise_what_the_daemon_would_have_done(tmp_path: Path) -> None:
    truth = tmp_path / "truth.npy"
    np.save(truth, spoken(400, Kind.TARGET))
    inputs = spoken(400, Kind.INPUT)[..., 0]
    estimates = applied(tmp_path, inputs, *MODEL, "--learn", "--targets", truth)
    assert estimates.tobytes() == live(400, learn=True).tobytes()
    assert estimates.tobytes() != live(400).tobytes()


@pytest.mark.parametrize("learn", [False, True])
def test_an_estimate_depends_on_its_sample_and_earlier_ones_alone(tmp_path: Path, learn: bool) -> None:
    inputs, targets = spoken(120, Kind.INPUT)[..., 0], spoken(120, Kind.TARGET)
    truth = tmp_path / "truth.npy"

    def run(count: int, future: float) -> np.ndarray:
        np.save(truth, np.concatenate([targets[: count - 1], np.full((121 - count, 2, 2), future, np.float32)]))
        heard = np.concatenate([inputs[:count], np.full((120 - count, 2), future, np.float32)])
        return applied(tmp_path, heard, *MODEL, *(["--learn", "--targets", truth] if learn else []))

    whole = run(120, 0.0)
    for count in (1, 10, 11, 57, 119):
        for future in (0.0, np.nan, 7.0):
            assert run(count, future)[:count].tobytes() == whole[:count].tobytes()


def test_a_block_boundary_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = spoken(300, Kind.INPUT)[..., 0]
    whole = applied(tmp_path, inputs, *MODEL)
    monkeypatch.setattr("predictor.apply.application.BLOCK_VALUES", 26)
    assert applied(tmp_path, inputs, *MODEL).tobytes() == whole.tobytes()


def test_a_model_without_the_in_phase_field_writes_what_it_has(tmp_path: Path) -> None:
    assert applied(tmp_path, np.sin(np.arange(9.0)), "--model", "tutorial").shape == (9, 1, 1)
    apply(tmp_path / "in.npy", tmp_path / "out.csv", "--model", "tutorial", "-q")
    head, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert head == "seq,input,cos,phase_deg,amplitude"
    for row in rows:  # its in-phase component is the input
        _, sin, cos, phase_deg, amplitude = map(float, row.split(","))
        assert phase_deg == pytest.approx(math.degrees(math.atan2(sin, cos)), rel=1e-6)
        assert amplitude == pytest.approx(math.hypot(cos, sin), rel=1e-6)


def test_text_has_a_row_a_sample_and_channel_that_reads_back_exactly(tmp_path: Path) -> None:
    inputs = spoken(50, Kind.INPUT)[..., 0]
    inputs[7, 1] = np.nan
    estimates = applied(tmp_path, inputs, *MODEL)
    apply(tmp_path / "in.npy", tmp_path / "out.csv", *MODEL, "-q")
    with (tmp_path / "out.csv").open() as file:
        names, *rows = csv.reader(file)
    assert names == ["seq", "channel", "input", "cos", "sin", "phase_deg", "amplitude"]
    assert [row[:2] for row in rows] == [[str(n), str(c)] for n in range(50) for c in range(2)]
    table = np.float32([row[2:] for row in rows]).reshape(50, 2, 5)
    np.testing.assert_array_equal(table[..., 0], inputs)
    np.testing.assert_array_equal(table[..., 1:3], estimates)
    z = estimates[..., 0] + 1j * estimates[..., 1]
    np.testing.assert_allclose(table[..., 3], np.angle(z, deg=True), atol=1e-3)
    np.testing.assert_allclose(table[..., 4], np.abs(z), rtol=1e-6)


def test_text_of_one_channel_in_and_out(tmp_path: Path) -> None:
    inputs = np.sin(np.arange(20.0)).astype(np.float32)
    expected = applied(tmp_path, inputs, *MODEL)
    (tmp_path / "in.csv").write_text("x\n" + "\n".join(f"{value:.9g}" for value in inputs))
    apply(tmp_path / "in.csv", tmp_path / "out.csv", *MODEL, "-q")
    names, *rows = csv.reader((tmp_path / "out.csv").read_text().splitlines())
    assert names == ["seq", "input", "cos", "sin", "phase_deg", "amplitude"]
    assert [row[0] for row in rows] == [str(n) for n in range(20)]
    np.testing.assert_array_equal(np.float32([row[2:4] for row in rows]), expected[:, 0])


def test_a_summary_for_programs(tmp_path: Path) -> None:
    truth, inputs = tmp_path / "truth.npy", spoken(60, Kind.INPUT)[..., 0]
    targets = spoken(60, Kind.TARGET)[..., 0]
    inputs[3, 0] = inputs[4, 1] = np.nan
    targets[5] = np.nan
    np.save(truth, targets)
    estimates = applied(tmp_path, inputs, *MODEL)
    said = apply(tmp_path / "in.npy", tmp_path / "out.npy", *MODEL, "--targets", truth, "--json", "--rate", 100)
    summary = json.loads(said.stdout)
    error = (estimates[..., 0] - targets)[np.isfinite(targets)]
    assert summary["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)
    assert summary["elapsed_s"] > 0
    del summary["rmse"], summary["elapsed_s"], summary["samples_per_s"]
    assert summary == {
        "input": str(tmp_path / "in.npy"), "output": str(tmp_path / "out.npy"), "model": "new",
        "fields": ["cos", "sin"], "samples": 60, "channels": 2, "rate_hz": 100.0, "unusable": 2, "updates": 0,
        "familiar_share": None, "unfamiliar_channels": {}, "cycle_samples": None, "learning": None, "gaps": [],
    }  # fmt: skip
    assert "2 sample(s) not finite or beyond 1e30 replaced by the channel's last value" in said.stderr


def test_targets_are_cos_or_cos_and_sin_of_each_channel(tmp_path: Path) -> None:
    inputs, targets = spoken(30, Kind.INPUT)[..., 0], spoken(30, Kind.TARGET)
    truth = tmp_path / "truth.npy"
    scores = []
    for shaped in (targets, targets.reshape(30, 4), targets[..., 0], targets[..., :1]):
        np.save(truth, shaped)
        np.save(tmp_path / "in.npy", inputs)
        said = apply(tmp_path / "in.npy", tmp_path / "out.npy", *MODEL, "--targets", truth, "--json", "-q")
        scores.append(json.loads(said.stdout)["rmse"])
    assert len(set(scores)) == 1


def test_a_nominal_frequency_scales_the_models_time_as_the_daemon_would(tmp_path: Path) -> None:
    slow = Signal(Oscillation(frequency_hz=0.5), rate_hz=100.0, noise=0.3)
    inputs = spoken(3000, Kind.INPUT, slow)[..., 0]
    core = Predictor(choose_model("default", {}, None), PredictorConfig(nominal_hz=0.5))
    estimates = applied(tmp_path, inputs, "--nominal-hz", 0.5, "--rate", 100)
    assert estimates.tobytes() == joined(answer(core, published(slow, 3000))).tobytes()
    assert estimates.tobytes() != applied(tmp_path, inputs).tobytes()


def test_the_share_of_familiar_looks_is_said(tmp_path: Path) -> None:
    cycles = np.concatenate([np.arange(10_000) / 20, np.arange(10_000) / 300])
    np.save(tmp_path / "in.npy", np.sin(2 * np.pi * cycles))
    said = apply(tmp_path / "in.npy", tmp_path / "out.npy", "--json")
    summary = json.loads(said.stdout)
    assert summary["familiar_share"] == pytest.approx(0.5, abs=0.11)  # of ten looks, and one at the end
    assert summary["cycle_samples"] == pytest.approx(300, rel=0.15)  # six times what the model knows
    assert "out of the model's range in " in said.stderr


def test_channels_out_of_the_models_range_are_named(tmp_path: Path) -> None:
    cycles = np.arange(3000)[:, None] / np.array([20, 300, 20, 30, 5, 25, 400, 40])
    np.save(tmp_path / "in.npy", np.sin(2 * np.pi * cycles))
    said = apply(tmp_path / "in.npy", tmp_path / "out.npy", "--json")
    summary = json.loads(said.stdout)
    assert summary["familiar_share"] == 1
    assert summary["unfamiliar_channels"] == {"1": 1.0, "4": 1.0, "6": 1.0}
    assert "3 of 8 channels out of the model's range" in said.stderr
    assert "1 (100 %), 4 (100 %), 6 (100 %)" in said.stderr


def degrees_off(path: Path, hz: float, rate_hz: float, first: int) -> tuple[float, float]:
    """Mean phase error and median amplitude of the estimates in a file, against a sine that begins at 0."""
    estimates = np.load(path)[:, 0].astype(np.float64) @ [1, 1j]
    turned = estimates * np.exp(-2j * np.pi * hz / rate_hz * np.arange(len(estimates)))
    return np.abs(np.angle(turned[first:], deg=True)).mean(), np.median(np.abs(estimates[first:]))


def sine(rate_hz: float = 250.0, samples: int = 4000) -> np.ndarray:
    return np.sin(2 * np.pi * 10 / rate_hz * np.arange(samples))


@pytest.mark.parametrize(
    ("signal", "amplitude", "first", "most_deg"),
    [
        (np.round(2048 + 1500 * sine()).astype(np.uint16), 1500, 2000, 0.1),
        (10 + sine(), 1, 1000, 0.1),
        (-4200 + 10 * sine(), 10, 1000, 0.1),
        (1e5 + sine(), 1, 1000, 0.3),  # as float32, it has steps of 0.008
        (0.1 + sine(), 1, 1000, 0.1),
        (np.where(np.arange(4000) < 1500, -187500, 20 * sine() - 63526), 20, 1750, 1),
        (20 * sine() + 2e4 * (np.arange(4000) == 1000), 20, 1250, 1),
        (20 * sine() - 2e10 * (np.arange(4000) == 1003), 20, 1253, 1),
        (np.where(np.arange(4000) < 1000, 1, 1e3) * sine() + 7, 1e3, 1300, 1),
    ],
    ids=[
        "adc",
        "offset 10",
        "offset -420",
        "offset 1e5",
        "offset 0.1",
        "railed first",
        "pop",
        "larger pop",
        "gain",
    ],
)
def test_offsets_rails_and_pops_leave_the_phase_right(
    tmp_path: Path, signal: np.ndarray, amplitude: float, first: int, most_deg: float
) -> None:
    np.save(tmp_path / "in.npy", signal)
    said = apply(tmp_path / "in.npy", tmp_path / "out.npy", "--rate", 250, "--json")
    off_deg, size = degrees_off(tmp_path / "out.npy", 10, 250, first)
    assert off_deg <= most_deg
    assert size == pytest.approx(amplitude, rel=0.01)
    assert json.loads(said.stdout)["familiar_share"] > 0.4


def test_an_artefact_of_4_ms_is_over_within_a_second_on_any_time_scale(tmp_path: Path) -> None:
    signal = 20 * sine(1000, 8000) + 500
    signal[3000:3004] += 10_000
    np.save(tmp_path / "in.npy", signal)
    apply(tmp_path / "in.npy", tmp_path / "out.npy", "--rate", 1000, "--nominal-hz", 10, "--json")
    assert degrees_off(tmp_path / "out.npy", 10, 1000, 4000)[0] <= 1


# What cannot be


@pytest.mark.parametrize(
    ("shape", "says"),
    [((29, 2), "got 29 samples of 2"), ((30, 3), "got 30 samples of 3"), ((30, 2, 3), "got 30 samples of 6")],
)
def test_targets_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...], says: str) -> None:
    np.save(tmp_path / "truth.npy", np.zeros(shape))
    with pytest.raises(FileError, match=f"^--targets .*truth.npy: must have 30 samples.* 2 channel.*{says}"):
        applied(tmp_path, np.zeros((30, 2)), "--targets", tmp_path / "truth.npy")


def test_more_channels_than_a_stream_may_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"1 to 65536 channels, got 65537 with 2 sample.* transpose"):
        applied(tmp_path, np.zeros((2, 65537), np.int8))


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (["in.npy", "in.npy"], UsageError, "OUTPUT: must be another file than INPUT"),
        (["in.npy", "link.npy"], UsageError, "OUTPUT: must be another file than INPUT"),
        (["in.npy", "truth.npy", "--targets", "truth.npy"], UsageError, "another file than --targets"),
        (["in.npy", "out.npy", "--learn"], UsageError, "--learn target: needs --targets"),
        (["in.npy", "out.npy", "--rate", "0"], UsageError, "--rate: must be 1e-06 to 1e.09, got 0"),
        (["in.npy", "out.npy", "--rate", "nan"], UsageError, "--rate: .* got nan"),
        (["in.npy", "out.npy", "--nominal-hz", "0"], UsageError, "--nominal-hz: must be 1e-06"),
        (["in.npy", "out.npy", "--nominal-hz", "5"], UsageError, "--nominal-hz: needs the rate of the samples"),
        (
            ["in.npy", "out.npy", "--nominal-hz", "5", "--rate", "19"],
            UsageError,
            "at 19 samples/s must be .* to 4.75",
        ),
        (
            ["in.npy", "out.npy", "--nominal-hz", "5", "--model", "tutorial"],
            UsageError,
            "gives cos alone",
        ),
        (
            ["in.npy", "out.npy", "--nominal-hz", "5", "--learn", "--targets", "truth.npy"],
            UsageError,
            "--nominal-hz: a model whose time is scaled cannot learn",
        ),
        (["in.npy", "out.npy", "--seed", "3"], UsageError, "--seed: these shape --model new"),
        (["in.npy", "out.txt"], FileError, r"out.txt: its ending must be .npy or .csv"),
        (["in.npy", "nowhere/out.npy"], FileError, "nowhere/out.npy: cannot be written: No such file"),
        (["in.npy", "folder.npy"], FileError, "folder.npy: must be a regular file"),
        (["nowhere.npy", "out.npy"], FileError, "nowhere.npy: no such file"),
        (["in.npy", "out.npy", "--model", "nowhere"], FileError, "no model 'nowhere'"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], kind: type[OperatorError], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", np.zeros(5))
    np.save("truth.npy", np.zeros(5))
    Path("folder.npy").mkdir()
    Path("link.npy").symlink_to("in.npy")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(kind, match=says) as error:
        apply(*arguments)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_wav_file_says_its_own_rate(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "in.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(20))
    said = apply(tmp_path / "in.wav", tmp_path / "out.npy", "--json", "-q")
    assert json.loads(said.stdout)["rate_hz"] == 8000.0
    with pytest.raises(UsageError, match=r"--rate: .* states 8000 samples a second, got 100"):
        apply(tmp_path / "in.wav", tmp_path / "out.npy", "--rate", 100)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
@pytest.mark.parametrize("samples", [5, 50_000])
def test_a_full_disk_leaves_the_old_output_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    def on_a_full_disk(path: Path) -> BinaryIO:
        path.symlink_to("/dev/full")
        return path.open("wb")

    monkeypatch.setattr("streamer.files.replacement.open_new", on_a_full_disk)
    np.save(tmp_path / "in.npy", np.zeros(samples, np.float32))
    (tmp_path / "out.csv").write_text("before")
    with pytest.raises(FileError, match=r"out\.csv: cannot be written: No space left"):
        apply(tmp_path / "in.npy", tmp_path / "out.csv", "-q", "--model", "tutorial")
    assert (tmp_path / "out.csv").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npy", "out.csv"]


def test_two_runs_into_one_output_do_not_mix(tmp_path: Path) -> None:
    first, second = np.full((4, 1, 2), 1, np.float32), np.full((4, 1, 2), 2, np.float32)
    out = tmp_path / "out.npy"
    with estimate_file.open_estimates(out, 4, 1, 2) as one, estimate_file.open_estimates(out, 4, 1, 2) as other:
        for seq in (0, 2):
            one.write(seq, first[:2, :, 0], first[:2])
            other.write(seq, second[:2, :, 0], second[:2])
    np.testing.assert_array_equal(np.load(out), first)  # whose context was left last
    assert [path.name for path in tmp_path.iterdir()] == ["out.npy"]


def test_a_band_in_hz_needs_a_rate_and_fits_it(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.ones(9))
    with pytest.raises(UsageError, match=r"--band: is in Hz, .* give --rate"):
        apply(tmp_path / "in.npy", tmp_path / "out.npy", "--learn", "self", "--band", "4,6")
    with pytest.raises(UsageError, match=r"--band: must be LOW,HIGH .* 0\.45 times the sampling rate"):
        apply(tmp_path / "in.npy", tmp_path / "out.npy", "--rate", 100, "--learn", "self", "--band", "10,60")
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_old_output_alone_and_the_exit_code_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = applied(tmp_path, np.ones(5))
    monkeypatch.setattr("predictor.apply.application.BLOCK_VALUES", 2)
    true_write = estimate_file.EstimateFile.write

    def write_and_interrupt(self: estimate_file.EstimateFile, *block: object) -> None:
        true_write(self, *block)  # type: ignore[arg-type]
        os.kill(os.getpid(), number)

    monkeypatch.setattr(estimate_file.EstimateFile, "write", write_and_interrupt)
    said = apply(tmp_path / "in.npy", tmp_path / "out.npy", "--json")
    assert (said.exit_code, said.stdout) == (128 + number, "")
    assert "stopped at sample 2 of 5" in said.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npy", "out.npy"]


@pytest.mark.parametrize(("command", "code"), [("apply", 130), ("source", 0)])
def test_a_signal_before_a_command_has_begun_ends_it_with_the_code_of_its_kind(command: str, code: int) -> None:
    program = (
        "import os, signal, sys; from predictor.early_exit import leave_at_once_on_signals as f; f();"
        "os.kill(os.getpid(), signal.SIGINT); sys.exit(99)"
    )
    assert subprocess.run([sys.executable, "-c", program, command], timeout=60, check=False).returncode == code


def test_an_output_that_is_a_symbolic_link_is_written_where_it_leads(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.ones(5))
    np.save(tmp_path / "target.npy", np.zeros(3))
    (tmp_path / "out.npy").symlink_to("target.npy")
    apply(tmp_path / "in.npy", tmp_path / "out.npy", "-q", *MODEL)
    assert np.load(tmp_path / "target.npy").shape == (5, 1, 2)
    assert (tmp_path / "out.npy").is_symlink()


def gapped(folder: Path, count: int = 300) -> tuple[Path, np.ndarray]:
    """A table with times of which samples 100 to 119 are missing, and the signal."""
    wave = np.float32(np.sin(np.arange(count) / 4))
    rows = [f"{n / 250:.3f},{wave[n]:.9g}" for n in range(count) if not 100 <= n < 120]
    path = folder / "in.csv"
    path.write_text("\n".join(["time_s,a", *rows]))
    return path, wave


def test_samples_that_are_missing_by_the_times_are_a_gap_as_the_daemon_would_hear_it(tmp_path: Path) -> None:
    path, wave = gapped(tmp_path)
    said = apply(path, tmp_path / "out.npy", "--json", *MODEL)
    summary = json.loads(said.stdout)
    assert (summary["samples"], summary["rate_hz"], summary["gaps"]) == (280, 250, [[100, 20]])
    assert "column 1 (time_s) is a time, in s" in said.stderr
    assert "line 102: 20 samples are missing, from 100 on" in said.stderr
    estimates = np.load(tmp_path / "out.npy")
    assert estimates.shape == (300, 1, 2)
    assert np.isnan(estimates[100:120]).all()
    core = Predictor(choose_model("new", {}, 5))
    inputs = [Chunk(Kind.INPUT, "a", 1, n, n * 4_000_000, 250, wave[n, None, None, None]) for n in range(300)]
    heard = answer(core, inputs[:100]) + answer(
        core, [inputs[120], Gone(Kind.INPUT, "a", 1, 100, 20), *inputs[121:]]
    )
    assert estimates[[*range(100), *range(120, 300)]].tobytes() == joined(heard).tobytes()


def test_text_leaves_out_the_rows_of_missing_samples(tmp_path: Path) -> None:
    path, _ = gapped(tmp_path)
    apply(path, tmp_path / "out.csv", "-q", *MODEL)
    with (tmp_path / "out.csv").open() as file:
        seqs = [int(row["seq"]) for row in csv.DictReader(file)]
    assert seqs == [*range(100), *range(120, 300)]


def test_targets_of_a_recording_with_gaps_lack_the_same_samples_or_none(tmp_path: Path) -> None:
    path, wave = gapped(tmp_path)
    np.save(tmp_path / "truth.npy", np.delete(wave, slice(100, 120)))
    apply(path, tmp_path / "out.npy", "-q", *MODEL, "--learn", "--targets", tmp_path / "truth.npy")
    np.save(tmp_path / "truth.npy", wave)
    with pytest.raises(FileError, match="must have 280 samples"):
        apply(path, tmp_path / "out.npy", "-q", *MODEL, "--targets", tmp_path / "truth.npy")
    other = tmp_path / "truth.csv"
    other.write_text("\n".join(["time_s,a", *(f"{(n + 20 * (n > 50)) / 250:.3f},0" for n in range(280))]))
    with pytest.raises(FileError, match="other samples are missing in it"):
        apply(path, tmp_path / "out.npy", "-q", *MODEL, "--targets", other)


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ([], 1),
        (["--columns", "a"], 1),
        (["--time", "none", "--rate", "250"], 1),
        (["--columns", "1,2", "--time", "none"], 2),
        (["--header", "yes"], 1),
    ],
)
def test_options_say_what_the_columns_of_a_table_are(tmp_path: Path, options: list[str], channels: int) -> None:
    path, _ = gapped(tmp_path)
    said = apply(path, tmp_path / "out.npy", "--json", "-q", *options)
    assert json.loads(said.stdout)["channels"] == channels
