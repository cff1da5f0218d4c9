"""Model files: the round trip, and every way in which a file can be wrong."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from streamer.errors import FileError
from tests.support.dose import examples
from trainer.model import GATES, Model, ModelConfig, new_model
from trainer.model_file import SHIPPED, load_model, save_model

CONFIG = {"cell": "rnn", "hidden": 3, "layers": 1, "fields": ["cos"], "level_samples": 0, "nominal_samples": 25}
WEIGHTS = dict(new_model(ModelConfig("rnn", 3, 1, ("cos",)), seed=0).weights)


def metadata(**changes: object) -> dict[str, str]:
    return {"format": "sincos-model-1", "config": json.dumps(CONFIG | changes), "provenance": "{}"}


GOOD_BYTES = save(WEIGHTS, metadata())


@contextmanager
def file_of(content: bytes) -> Iterator[str]:
    # Not tmp_path: hypothesis calls a test many times with one of those.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(content)
        yield str(path)


def refused(content: bytes) -> str:
    with file_of(content) as path, pytest.raises(FileError) as caught:
        load_model(path)
    return str(caught.value)


@pytest.mark.parametrize("cell", [*GATES, "gated"])
def test_round_trip(cell: str, tmp_path: Path) -> None:
    config = (
        ModelConfig(cell, 5, 2, ("cos",), nominal_samples=40.0)
        if cell == "gated"
        else ModelConfig(cell, 5, 2, ("cos",), level_samples=12.5)
    )
    model = Model("any", config, new_model(config, seed=3).weights, {"recipe": "general", "seed": "3"})
    path = tmp_path / "mine.safetensors"
    save_model(model, path)
    loaded = load_model(str(path))
    assert loaded.name == "mine"
    assert loaded.config == config
    assert loaded.provenance == model.provenance
    assert loaded.weights.keys() == model.weights.keys()
    assert all(np.array_equal(loaded.weights[name], model.weights[name]) for name in model.weights)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_the_good_bytes_are_good() -> None:
    with file_of(GOOD_BYTES) as path:
        assert load_model(path).config == ModelConfig("rnn", 3, 1, ("cos",))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_say_how_they_came_to_be(name: str) -> None:
    model = load_model(name)
    assert model.name == name
    assert model.provenance["command"].startswith("sincos train --recipe ")
    assert {"recipe", "seed", "updates", "loss", "torch"} <= model.provenance.keys()


@examples(37, release=300)
@given(length=st.integers(0, len(GOOD_BYTES) - 1))
def test_truncated_files_are_refused(length: int) -> None:
    assert "model.safetensors" in refused(GOOD_BYTES[:length])


@examples(75, release=600)
@given(content=st.binary(max_size=200))
def test_foreign_files_are_refused(content: bytes) -> None:
    refused(content)


@examples(100, release=800)
@given(place=st.integers(0, len(GOOD_BYTES) - 1), value=st.integers(0, 255))
def test_a_damaged_file_is_a_model_or_refused(place: int, value: int) -> None:
    content = bytearray(GOOD_BYTES)
    content[place] = value
    with file_of(bytes(content)) as path:
        try:
            model = load_model(path)
        except FileError:
            return
    assert {name: weight.shape for name, weight in model.weights.items()} == model.config.weight_shapes()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@examples(80, release=400)
@given(key=st.sampled_from(list(CONFIG)), value=JSON)
def test_a_configuration_that_lies_is_refused(key: str, value: object) -> None:
    with file_of(save(WEIGHTS, metadata(**{key: value}))) as path:
        try:
            config = load_model(path).config
        except FileError:
            return
    # Only what is no size can change without the weights changing shape.
    assert config.weight_shapes() == {name: weight.shape for name, weight in WEIGHTS.items()}
    assert key in ("level_samples", "nominal_samples") or value == CONFIG[key]


@pytest.mark.parametrize("shape", [[1] * 200, [1] * 40, [0, 2**62], [2**62, 4], [-1], [], [1, 1]])
def test_shapes_that_lie_are_refused(shape: list[int]) -> None:
    size = int.from_bytes(GOOD_BYTES[:8], "little")
    header = json.loads(GOOD_BYTES[8 : 8 + size])
    header["head.bias"]["shape"] = shape
    content = json.dumps(header).encode()
    assert "model.safetensors" in refused(len(content).to_bytes(8, "little") + content + GOOD_BYTES[8 + size :])


def test_files_from_before_nominal_frequencies_still_load() -> None:
    config = {key: value for key, value in CONFIG.items() if key != "nominal_samples"}
    with file_of(save(WEIGHTS, metadata() | {"config": json.dumps(config)})) as path:
        assert load_model(path).config == ModelConfig("rnn", 3, 1, ("cos",))


@examples(50, release=400)
@given(changes=st.dictionaries(st.sampled_from(["format", "config", "provenance"]), st.text(max_size=20)))
def test_metadata_that_is_nonsense_is_refused(changes: dict[str, str]) -> None:
    for key in changes:
        content = save(WEIGHTS, metadata() | {key: changes[key]})
        with file_of(content) as path:
            try:
                load_model(path)
            except FileError:
                continue
        assert key == "provenance"
        assert isinstance(json.loads(changes[key]), dict)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (save(WEIGHTS), "format must be"),
        (save(WEIGHTS, metadata() | {"format": "sincos-model-2"}), "sincos-model-2"),
        (save(WEIGHTS, metadata() | {"config": "[]"}), "config is not a JSON object"),
        (save(WEIGHTS, metadata() | {"config": "[" * 100_000}), "config is not a JSON object"),
        (save(WEIGHTS, metadata() | {"provenance": "7"}), "provenance is not a JSON object"),
        (save(WEIGHTS, metadata(hidden=True)), "whole numbers"),
        (save(WEIGHTS, metadata(hidden=10**9)), "hidden: must be"),
        (save(WEIGHTS, metadata(cell=["rnn"])), "cell"),
        (save(WEIGHTS, metadata(nominal_samples="many")), "nominal_samples must be a number"),
        (save(WEIGHTS, metadata(nominal_samples=True)), "nominal_samples must be a number"),
        (save(WEIGHTS, metadata(level_samples=True)), "level_samples must be a number"),
        (save(WEIGHTS, metadata(nominal_samples=10**400)), "nominal_samples must be a number"),
        (save(WEIGHTS, metadata(level_samples=float("inf"))), "level_samples must be a number"),
        (save(WEIGHTS, metadata(cell="gru")), "weights: "),
        (save(WEIGHTS, metadata(layers=2)), "do not fit"),
        (save({**WEIGHTS, "extra": np.zeros(1, np.float32)}, metadata()), "do not fit"),
        (save({**WEIGHTS, "head.bias": np.zeros(1, np.float64)}, metadata()), "float32"),
        (save({**WEIGHTS, "head.bias": np.full(1, np.inf, np.float32)}, metadata()), "not finite"),
    ],
)
def test_the_reason_is_said(content: bytes, reason: str) -> None:
    assert reason in refused(content)


@pytest.mark.parametrize("name", ["nowhere", "", ".", "/", "a\0b", "x" * 5000, "folder/none.safetensors"])
def test_what_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(FileError):
        load_model(name)


def test_other_kinds_of_numbers_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch_file

    path = tmp_path / "model.safetensors"
    tensors = {name: torch.from_numpy(weight).to(torch.bfloat16) for name, weight in WEIGHTS.items()}
    save_torch_file(tensors, path, metadata())
    with pytest.raises(FileError):
        load_model(str(path))


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path, metadata())
    os.truncate(path, 2**30)
    with pytest.raises(FileError, match="larger than"):
        load_model(str(path))


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    model = new_model(ModelConfig("rnn", 3), seed=0)
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "model.safetensors"):
        with pytest.raises(FileError, match="cannot write"):
            save_model(model, path)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


REWRITES = """
import os, sys
path = sys.argv[1]
with open(path, "r+b", buffering=0) as file:
    content = file.read()
    while os.getppid() == int(sys.argv[2]):
        os.pwrite(file.fileno(), content, 0)
        file.truncate(4096)
"""
READS = """
import sys
from streamer.errors import FileError
from trainer.model_file import load_model
loaded = refused = 0
for _ in range(2_000):  # on a busy machine both may take turns as they like
    if loaded >= 20 and refused >= 20:
        break
    try:
        load_model(sys.argv[1])
        loaded += 1
    except FileError:
        refused += 1
"""


def test_a_file_that_is_rewritten_while_it_is_read_ends_no_process(tmp_path: Path) -> None:
    """Were it mapped into memory, the reader would be killed where the file ends of a sudden."""
    path = tmp_path / "model.safetensors"
    save_model(new_model(ModelConfig("rnn", 300), seed=0), path)
    with subprocess.Popen([sys.executable, "-c", REWRITES, path, str(os.getpid())]) as writer:
        try:
            subprocess.run([sys.executable, "-c", READS, path], check=True)
        finally:
            writer.kill()
