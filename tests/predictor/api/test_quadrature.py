"""`Quadrature`: the bits of the daemon, however samples are cut, and through any number of saves."""

import copy
import logging
import math
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sincos
from predictor.api.quadrature import Quadrature
from predictor.api.settings import choose_learning, choose_model
from predictor.apply.application import Application
from predictor.daemon.core import Predictor
from predictor.phase import phase_and_amplitude
from streamer.errors import FileError, StateError, UsageError
from streamer.messages import Chunk, Kind
from streamer.recordings.recording import Recording
from streamer.source.signals import Signal
from streamer.waveforms import Oscillation
from tests.support.simulation import answer, joined, published

RATE_HZ = 100.0
KINDS: dict[str, dict[str, Any]] = {
    "new": {"model": "new", "seed": 5},
    "default": {},
    "tutorial": {"model": "tutorial"},
    "scaled": {"nominal_hz": 1.0},
    "self": {"learn": "self", "band_hz": (3, 6)},
    "target": {"model": "new", "learn": "target", "window_samples": 8, "stride_samples": 4},
}
SIGNAL = Signal(Oscillation("chirp", frequency_hz=4.0, amplitude=3.0), channels=3, noise=0.2)


def spoken(count: int, kind: Kind) -> np.ndarray:
    """What a source says of one kind, [samples, channels, fields]."""
    return joined([m for m in published(SIGNAL, count) if isinstance(m, Chunk) and m.kind is kind])


X, TRUTH = spoken(700, Kind.INPUT)[..., 0], spoken(700, Kind.TARGET)


def whole(kind: str, x: np.ndarray, starts: tuple[tuple[int, int], ...] = ((0, 0),)) -> np.ndarray:
    """What `sincos apply` would write of samples with gaps, a row a sample that is there."""
    recording = Recording(Path("x"), x, lambda raw: raw, starts=starts)
    quadrature = Quadrature(RATE_HZ, **KINDS[kind])
    targets = Recording(Path("t"), TRUTH[: len(x)].reshape(len(x), -1), lambda raw: raw, starts=starts)
    learns = kind == "target"
    with np.errstate(all="ignore"):
        application = Application(
            quadrature._core, recording, targets if learns else None, RATE_HZ, one_by_one=learns
        )
        return np.concatenate([block.estimates for block in application.blocks()])


def pieces(length: int, cuts: list[int]) -> Iterator[slice]:
    """The parts between cuts, empty ones included."""
    ends = [0, *sorted(cut % (length + 1) for cut in cuts), length]
    for begin, end in pairwise(ends):
        yield slice(begin, end)


# The same bits


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5)
@given(
    cuts=st.lists(st.integers(0, 2**16), max_size=12),
    saves=st.sets(st.integers(0, 12)),
    gap=st.tuples(st.integers(1, 399), st.sampled_from([0, 1, 7, 3_000])),
    bad=st.lists(st.integers(0, 399), max_size=3),
)
def test_estimates_have_the_bits_of_apply_however_samples_are_cut_and_saved(
    tmp_path_factory: pytest.TempPathFactory, kind: str, cuts: list[int], saves: set[int], gap: tuple[int, int],
    bad: list[int],
) -> None:  # fmt: skip
    x = X[:400].copy()
    x[bad, 1] = np.nan
    at, missing = gap
    expected = whole(kind, x, ((0, 0), (at, at + missing)) if missing else ((0, 0),))
    path = tmp_path_factory.mktemp("q") / "state"
    q, said = Quadrature(RATE_HZ, **KINDS[kind]), []
    for number, piece in enumerate(pieces(len(x), [*cuts, at])):
        if piece.start == at and missing and q.samples == at:
            q.skip(missing)
            q.save(path)
            q = Quadrature.load(path)
        said.append(q.push(x[piece], TRUTH[piece] if kind == "target" else None))
        if number in saves:
            q.save(path)
            q = Quadrature.load(path)
    assert q.samples == len(x) + missing
    cos = np.concatenate([one.cos for one in said])
    assert cos.tobytes() == expected[..., 0].tobytes()
    sin = np.concatenate([one.sin for one in said])
    assert sin.tobytes() == (expected[..., 1] if expected.shape[2] > 1 else x).tobytes()
    once = Quadrature(RATE_HZ, **KINDS[kind])
    first = once.push(x[:at], TRUTH[:at] if kind == "target" else None)
    once.skip(missing)
    rest = once.push(x[at:], TRUTH[at : len(x)] if kind == "target" else None)
    for name in ("phase_deg", "amplitude", "frequency_hz"):
        cut = np.concatenate([getattr(one, name) for one in said])
        assert cut.tobytes() == np.concatenate([getattr(first, name), getattr(rest, name)]).tobytes(), name


@pytest.mark.parametrize("learn", [None, "target"])
def test_estimates_have_the_bits_of_the_daemon(learn: Any) -> None:
    core = Predictor(choose_model("new", {}, 5), make_learner=choose_learning(learn).make_learner)
    live = joined(answer(core, published(SIGNAL, 300)))
    q = Quadrature(RATE_HZ, model="new", seed=5, learn=learn)
    r = q.push(X[:300], TRUTH[:300] if learn else None)
    assert np.stack([r.cos, r.sin], axis=2).tobytes() == live.tobytes()


def test_an_array_that_changes_after_the_call_changes_nothing() -> None:
    q, buffer, said = Quadrature(RATE_HZ, learn="self", band_hz=(3, 6)), np.empty((50, 3), np.float32), []
    for first in range(0, 700, 50):
        buffer[:] = X[first : first + 50]
        said.append(q.push(buffer).cos)
        buffer[:] = np.nan
    assert np.concatenate(said).tobytes() == whole("self", X)[..., 0].tobytes()


def test_the_bits_do_not_depend_on_how_many_threads_numpy_uses() -> None:
    code = (
        "import hashlib, numpy as np, sincos; x = np.random.default_rng(0).normal(size=(60, 600));"
        "q = sincos.Quadrature(100, model='new', learn='target'); r = q.push(x, x);"
        "print(hashlib.sha256(r.cos.tobytes() + r.sin.tobytes()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"OPENBLAS_NUM_THREADS": threads}, capture_output=True,
            text=True, check=True, timeout=240,
        ).stdout
        for threads in ("1", "4")
    }  # fmt: skip
    assert len(said) == 1


# What comes back


def test_results_have_the_shape_of_the_samples() -> None:
    q = Quadrature(RATE_HZ)
    for x, shape in (([0.0, 0.1], (2,)), ([[0.2], [0.3]], (2, 1)), ([], (0,)), (np.zeros((0, 1)), (0, 1))):
        r = q.push(x)
        for name in ("cos", "sin", "phase_deg", "amplitude", "frequency_hz"):
            assert getattr(r, name).shape == shape
            assert getattr(r, name).dtype == np.float32
        assert len(r) == shape[0]
    assert (q.samples, q.channels, q.rate_hz) == (4, 1, RATE_HZ)


def test_phase_amplitude_and_frequency_are_those_of_the_oscillation() -> None:
    rate_hz, hz = 250.0, 10.0
    turn = 2 * np.pi * hz * np.arange(1000) / rate_hz
    r = Quadrature(rate_hz).push(3 * np.sin(turn))
    error_deg = (r.phase_deg - np.degrees(turn) + 180) % 360 - 180
    assert np.abs(error_deg[500:]).max() < 1
    assert np.abs(r.amplitude[500:] / 3 - 1).max() < 0.02
    assert np.abs(r.frequency_hz[500:] - hz).max() < 0.2
    assert math.isnan(r.frequency_hz[0])
    assert np.isnan(r.frequency_hz[1])  # the first sample is 0, which has no phase
    assert not np.isnan(r.frequency_hz[2:]).any()
    phase_deg, amplitude = phase_and_amplitude(r.cos, r.sin)
    assert (phase_deg.tobytes(), amplitude.tobytes()) == (r.phase_deg.tobytes(), r.amplitude.tobytes())


def test_the_frequency_after_missing_samples_is_not_known() -> None:
    q = Quadrature(RATE_HZ)
    q.push(X[:50])
    q.skip(3)
    r = q.push(X[53:60])
    assert r.seq == 53
    assert np.isnan(r.frequency_hz[0]).all()
    assert not np.isnan(r.frequency_hz[1:]).any()
    assert q.status()["gap_samples"] == 3


def test_a_leap_of_any_length_is_one_gap() -> None:
    q = Quadrature(RATE_HZ)
    q.push(X[:10])
    q.skip(10**9)
    assert q.push(X[10:20]).seq == 10**9 + 10
    assert (q.status()["gaps"], q.status()["gap_samples"]) == (1, 10**9)


def test_what_is_odd_is_logged_in_the_words_of_the_api(caplog: pytest.LogCaptureFixture) -> None:
    q = Quadrature(1000.0)
    with caplog.at_level(logging.WARNING, "sincos"):
        q.push(np.sin(2 * np.pi * np.arange(4000) / 1000))  # 1,000 samples a cycle
    (line,) = {record.message for record in caplog.records if "out of the model" in record.message}
    assert "nominal_hz may help" in line
    assert "--" not in line


# What is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rate_hz": 0}, "rate_hz: must be"),
        ({"rate_hz": "250"}, "rate_hz: must be a number, got '250'"),
        ({"rate_hz": math.nan}, "rate_hz: must be a number, got nan"),
        ({"band_hz": (8, 12)}, "band_hz: needs learn='self'"),
        ({"band_hz": 10, "learn": "self"}, r"band_hz: must be two numbers, \(low, high\), got 10"),
        ({"band_hz": (12, 8), "learn": "self"}, "band_hz: must be LOW,HIGH .* got 12,8"),
        ({"band_hz": (40, 60), "learn": "self"}, "band_hz: must be .* 0.45 times the sampling rate"),
        ({"learn": "yes"}, "learn: must be 'self', 'target' or None, got 'yes'"),
        ({"learn": "self", "window_samples": 3}, "window_samples, .*: these need learn='target'"),
        ({"learn": "target", "window_samples": 0}, "window_samples: must be 1 to"),
        ({"learn": "target", "window_samples": 2.5}, "window_samples: must be a whole number, got 2.5"),
        ({"learn": "target", "nominal_hz": 3}, "nominal_hz: a model whose time .* learn='self' can"),
        ({"nominal_hz": 60}, "nominal_hz: at 100 samples/s must be"),
        ({"model": "tutorial", "nominal_hz": 3}, "nominal_hz: needs a model that gives cos and sin"),
        ({"model": 3}, "model: must be the name of a model or a file, got 3"),
        ({"seed": 3}, "seed: .* model='new'; 'default' is as it is"),
        ({"channels": 0}, "channels: must be 1 to"),
        ({"on_gap": "stop"}, "on_gap: must be 'hold' or 'reset', got 'stop'"),
    ],
)
def test_an_argument_that_cannot_be_is_named_as_it_was_written(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        Quadrature(**{"rate_hz": RATE_HZ, **arguments})
    assert "--" not in str(raised.value)


def test_a_model_that_is_not_there_is_an_error_about_a_file() -> None:
    with pytest.raises(FileError, match="no model 'eeg': give one of default, tutorial, new, or a file"):
        Quadrature(RATE_HZ, model="eeg")


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (0.5, "got a single number: give a list of it"),
        (np.zeros((2, 2, 2)), r"got shape \[2, 2, 2\]"),
        ([[1.0], [1.0, 2.0]], "rows of different lengths"),
        (np.zeros(3, complex), "got complex128: give its real part"),
        (["a", "b"], "must be real numbers, got text"),
        ([1.0, None], "got NoneType among them: give NaN where a sample is missing"),
        ({"a": 1}, "must be real numbers, got dict"),
        (np.zeros((3, 2)), r"must be \[samples, 3\], for there are 3 channel\(s\), got shape \[3, 2\]"),
        (np.zeros(3), r"got shape \[3, 1\], 1 channel\(s\)"),
    ],
)
def test_samples_that_cannot_be_change_nothing(x: Any, words: str) -> None:
    q, other = Quadrature(RATE_HZ), Quadrature(RATE_HZ)
    assert q.push(X[:20]).cos.tobytes() == other.push(X[:20]).cos.tobytes()
    with pytest.raises(UsageError, match=f"x: .*{words}"):
        q.push(x)
    assert q.push(X[20:40]).cos.tobytes() == other.push(X[20:40]).cos.tobytes()


def test_as_many_channels_as_were_said_are_expected() -> None:
    q = Quadrature(RATE_HZ, channels=8)
    with pytest.raises(UsageError, match=r"x: must be \[samples, 8\]"):
        q.push(np.zeros(8))  # one sample of each, in the shape of eight samples of one
    assert q.push(np.zeros((1, 8))).cos.shape == (1, 8)


def test_masked_samples_are_missing_values() -> None:
    masked = np.ma.masked_array(X[:200], mask=False)
    masked[100:110, 1] = np.ma.masked
    q, other, bare = Quadrature(RATE_HZ), Quadrature(RATE_HZ), X[:200].copy()
    bare[100:110, 1] = np.nan
    assert q.push(masked).cos.tobytes() == other.push(bare).cos.tobytes()
    assert q.status()["unusable"] == 10


def test_targets_fit_the_samples_and_the_way_it_learns() -> None:
    with pytest.raises(UsageError, match="targets: are for learn='target'"):
        Quadrature(RATE_HZ).push(X[:5], TRUTH[:5])
    q = Quadrature(RATE_HZ, model="new", learn="target")
    with pytest.raises(UsageError, match=r"targets: must be cos in the shape of x, \[5, 3\], .* got shape \[4, 3"):
        q.push(X[:5], TRUTH[:4])
    for targets in (TRUTH[:5], TRUTH[:5, :, 0], None):
        q.push(X[:5], targets)
    one = Quadrature(RATE_HZ, model="new", learn="target")
    one.push(X[:5, 0], TRUTH[:5, 0, 0])
    assert (q.status()["scored"], one.status()["scored"]) == (10, 5)


@pytest.mark.parametrize("samples", [-1, 1.5, math.inf, "3"])
def test_only_whole_samples_are_skipped(samples: Any) -> None:
    with pytest.raises(UsageError, match="samples: must be"):
        Quadrature(RATE_HZ).skip(samples)


def test_who_was_interrupted_between_two_samples_cannot_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    q = Quadrature(RATE_HZ)
    q.push(X[:10])

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Predictor, "catch_up", interrupt)
        with pytest.raises(KeyboardInterrupt):
            q.push(X[10:20])
    for call in (lambda: q.push(X[20:30]), lambda: q.save(tmp_path / "state")):
        with pytest.raises(StateError, match="an earlier call was interrupted"):
            call()


def test_calls_of_two_threads_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    q, inside, go_on = Quadrature(RATE_HZ), threading.Event(), threading.Event()
    true = Predictor.catch_up

    def slowly(self: Predictor, now: Any) -> Any:
        inside.set()
        go_on.wait(60)
        return true(self, now)

    monkeypatch.setattr(Predictor, "catch_up", slowly)
    other = threading.Thread(target=q.push, args=(X[:5],))
    other.start()
    assert inside.wait(60)
    with pytest.raises(StateError, match="another thread"):
        q.push(X[:5])
    go_on.set()
    other.join(60)
    assert q.push(X[5:10]).seq == 5


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_copied_by_saving_it_alone(copied: Any) -> None:
    """A copy's working arrays would not share memory any more, and estimates go wrong without a word."""
    with pytest.raises(UsageError, match="cannot be copied or pickled: save it, and load the copy"):
        copied(Quadrature(RATE_HZ))


# What is saved


def test_a_state_says_which_file_it_cannot_be_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with pytest.raises(FileError, match="state: no such file"):
        Quadrature.load(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(FileError, match=f"{path}: not a state"):
        Quadrature.load(path)
    q = Quadrature(RATE_HZ)
    q.push(X[:30])
    q.save(path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(FileError, match=f"{path}: damaged"):
        Quadrature.load(path)
    path.write_bytes(content)
    with pytest.raises(StateError, match=f"{path}: the checkpoint there is of another model.*start with"):
        Quadrature.load(path, model="tutorial")
    with pytest.raises(FileError, match=f"{tmp_path}: must be a regular file"):
        Quadrature.load(tmp_path)
    with pytest.raises(FileError, match="cannot be written: No such file or directory"):
        q.save(tmp_path / "nowhere" / "state")


def test_a_state_of_the_daemon_is_none_of_these(tmp_path: Path) -> None:
    from predictor.state.checkpoint import encode

    core = Predictor(choose_model("new", {}, 5))
    answer(core, published(SIGNAL, 30))
    state = core.checkpoint()
    (tmp_path / "state").write_bytes(b"".join(encode(state.head, state.streams)))
    with pytest.raises(FileError, match=r"state: not written by Quadrature\.save"):
        Quadrature.load(tmp_path / "state")


def test_a_model_file_is_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.model_file import save_model

    save_model(choose_model("new", {}, 7), tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    q = Quadrature(RATE_HZ, model="mine.safetensors")
    q.push(X[:40])
    q.save("state")
    monkeypatch.chdir("/")
    again = Quadrature.load(tmp_path / "state")
    assert again.push(X[40:60]).cos.tobytes() == q.push(X[40:60]).cos.tobytes()
    (tmp_path / "mine.safetensors").rename(tmp_path / "yours.safetensors")
    with pytest.raises(FileError, match=r"no model .*mine\.safetensors"):
        Quadrature.load(tmp_path / "state")
    moved = Quadrature.load(tmp_path / "state", model=tmp_path / "yours.safetensors")
    assert moved.push(X[40:60]).seq == 40


# A whole recording


def test_what_a_file_leaves_open_is_said_in_the_words_of_the_api(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.csv").write_text("0,1\n" + "0.5,0.25\n" * 9)
    with caplog.at_level(logging.WARNING, "sincos"):
        sincos.apply(tmp_path / "in.csv", rate_hz=100)
    assert any("header=False takes it for a sample" in record.message for record in caplog.records)
    assert not any("--" in record.message for record in caplog.records)
    (tmp_path / "in.csv").write_text("0,0000\n0,2487\n0,4818\n" * 9)
    with pytest.raises(FileError, match=r"give decimal=',' if it is one, decimal='\.' if these are two"):
        sincos.apply(tmp_path / "in.csv", rate_hz=100)


@pytest.mark.parametrize("kind", ["new", "default", "self", "target", "tutorial"])
def test_apply_gives_what_pushing_gives(kind: str) -> None:
    targets = TRUTH[:, :, 0] if kind == "target" else None
    applied = sincos.apply(X, rate_hz=RATE_HZ, targets=targets, **KINDS[kind])
    pushed = Quadrature(RATE_HZ, **KINDS[kind]).push(X, targets)
    for name in ("cos", "sin", "phase_deg", "amplitude", "frequency_hz"):
        assert getattr(applied, name).tobytes() == getattr(pushed, name).tobytes()


def test_apply_takes_files_and_says_nan_for_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    rows = [f"{seq / 100:.2f},{value:.9g}\n" for seq, value in enumerate(X[:100, 0]) if not 40 <= seq < 45]
    path.write_text("time,Cz\n" + "".join(rows))
    r = sincos.apply(path)
    assert r.cos.shape == (100,)
    assert np.flatnonzero(np.isnan(r.cos)).tolist() == list(range(40, 45))
    q = Quadrature(RATE_HZ)
    before = q.push(X[:40, 0])
    q.skip(5)
    after = q.push(X[45:100, 0])
    for name in ("cos", "phase_deg", "frequency_hz"):
        there = [getattr(before, name), np.full(5, np.nan, np.float32), getattr(after, name)]
        np.testing.assert_array_equal(getattr(r, name), np.concatenate(there))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"recording": "in.mat"}, "in.mat: its ending must be one of"),
        ({"recording": []}, "recording: must hold at least one sample"),
        ({"recording": [1.0], "band_hz": (8, 12), "learn": "self"}, "band_hz: is in Hz, and .*; give rate_hz"),
        ({"recording": [1.0], "learn": "target"}, "learn='target': needs targets, for a recording"),
        ({"recording": [1.0], "targets": [1.0, 2.0]}, "targets array: must have 1 samples, as recording has"),
        ({"recording": [1.0], "nominal_hz": 8}, "nominal_hz: needs the rate of the samples"),
    ],
)
def test_errors_of_apply_name_its_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises((UsageError, FileError), match=words) as raised:
        sincos.apply(**arguments)
    assert "--" not in str(raised.value)
