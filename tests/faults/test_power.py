"""Power cuts: whatever of the unsynced a disk has kept, what was said to be there is there, and the rest goes on.

Each test records what real code does to its files, makes disks from that as they may look after a cut (see
`powercut`), and starts again on each. A failure names its cut: `(seed, number)`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor.state.checkpoint import encode
from predictor.state.folder import StateFolder
from streamer.errors import FileError
from streamer.files.replacement import replacing
from streamer.transport import keys
from tests.support.fixtures import Dose, Inject
from tests.support.powercut import Recorder, cuts
from trainer.model import ModelConfig, new_model
from trainer.model_file import load_model, save_model

Disks = Callable[[Recorder], Iterator[tuple[Path, list[Any]]]]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where files are written while they are recorded."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def disks(
    tmp_path: Path, dose: Dose, rng: np.random.Generator, injected: Inject, request: pytest.FixtureRequest
) -> Disks:
    """Yield disks after a cut, each with what the world had seen before it."""

    def after(recorder: Recorder) -> Iterator[tuple[Path, list[Any]]]:
        count, seed = dose.pick(quick=150, release=500), int(rng.integers(2**31))
        for number, image, seen in cuts(recorder, count, seed):
            image.put(tmp_path / "cut")
            try:
                yield tmp_path / "cut", seen
            except BaseException as error:
                error.add_note(f"cut ({seed}, {number})")
                raise
        what = request.node.originalname.removeprefix("test_").replace("_", " ")
        injected(f"power cut: {what}", count, events=len(recorder.events))

    return after


def test_an_output_is_the_old_or_the_new_one_and_the_new_one_once_it_is_said(work: Path, disks: Disks) -> None:
    path = work / "out"
    path.write_bytes(b"before" * 300)
    with Recorder(work) as recorder:
        for content in (b"first" * 1000, b"second" * 10):
            with replacing(path) as file:
                file.write(content[:700])
                file.write(content[700:])
            recorder.see(content)
    for disk, seen in disks(recorder):
        found = (disk / "out").read_bytes()
        may_be = [b"before" * 300, b"first" * 1000, b"second" * 10]
        assert found in may_be[len(seen) :]


def test_a_model_is_there_before_its_checkpoint_goes(work: Path, disks: Disks) -> None:
    """As `sincos train` ends."""
    model = new_model(ModelConfig("rnn", 4), seed=1)
    checkpoint = work / "model.checkpoint"
    with replacing(checkpoint) as file:
        file.write(b"checkpoint")
    with Recorder(work) as recorder:
        save_model(model, work / "model")
        recorder.see("saved")
        checkpoint.unlink()
    for disk, seen in disks(recorder):
        assert (disk / "model").exists() or (disk / "model.checkpoint").read_bytes() == b"checkpoint"
        if (disk / "model").exists():
            assert load_model(disk / "model").weights.keys() == model.weights.keys()
        else:
            assert not seen


def test_keys_that_were_made_are_there(work: Path, disks: Disks) -> None:
    with Recorder(work) as recorder:
        keys.make(work / "home" / "keys")
        recorder.see("made")
    made = keys.load(work / "home" / "keys")
    for disk, seen in disks(recorder):
        try:
            found = keys.load(disk / "home" / "keys")
        except FileError:
            assert not seen
        else:
            assert (found.public, found.secret) == (made.public, made.secret)


def test_a_state_that_was_reported_is_there_in_a_directory_that_was_made(work: Path, disks: Disks) -> None:
    with Recorder(work) as recorder, StateFolder(work / "deep" / "state") as folder:
        for number in range(1, 6):
            folder.write(encode({"number": number, "array": np.full(300, number, np.float32)}))
            recorder.see(number)
    for disk, seen in disks(recorder):
        with StateFolder(disk / "deep" / "state") as folder:
            latest, said = folder.latest()
        assert said == []
        assert (0 if latest is None else latest["number"]) >= max(seen, default=0)
