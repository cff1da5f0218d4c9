"""The file of a state: round trip, and refusal of every byte that is not as it was written."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from predictor.state import checkpoint
from predictor.state.checkpoint import FORMAT, UNSUMMED, decode, encode
from predictor.state.folder import read
from streamer.errors import FileError, StateError
from tests.support.dose import examples
from tests.support.restarting import content_of
from trainer.model import ModelConfig, new_model
from trainer.model_file import load_model, save_model
from trainer.state import Tree


def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    kind = draw(st.sampled_from(list(checkpoint.TYPES.values())))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    size = int(np.prod(shape, dtype=int))
    content = draw(st.binary(min_size=size * np.dtype(kind).itemsize, max_size=size * np.dtype(kind).itemsize))
    array = np.frombuffer(content, kind if kind is not np.bool_ else np.uint8).reshape(shape)
    return np.asarray(array % 2 == 1) if kind is np.bool_ else array


LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(max_size=5)
    | st.composite(arrays)()
)  # fmt: skip
KEYS = st.text(max_size=4).filter(lambda key: key != "$")
NODES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
TREES = st.dictionaries(KEYS, NODES, max_size=4)
STATES = st.builds(lambda head, streams: head | {"streams": streams}, TREES, st.lists(TREES, max_size=3))


def same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray):
        return bool(left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes())
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and repr(left) == repr(right)


@examples(50, release=300)
@given(tree=STATES)
def test_what_goes_in_comes_out(tree: Tree) -> None:
    assert same(decode(content_of(tree)), tree | {"streams": tree.get("streams", [])})


def test_any_safetensors_reader_reads_it() -> None:
    tree: Tree = {"streams": [{"name": "demo", "hidden": np.arange(6, dtype=np.float32).reshape(2, 3)}]}
    tensors = load(content_of(tree))
    np.testing.assert_array_equal(tensors["s0/0"], tree["streams"][0]["hidden"])
    assert json.loads(tensors["tree"].tobytes()) == [{}, [{"name": "demo", "hidden": {"$": "s0/0"}}]]


@pytest.mark.parametrize("odd", [{"a": 1 + 2j}, {"a": np.zeros(1, complex)}, {"a": object()}])
def test_what_cannot_be_kept_is_refused_before_it_is_written(odd: Tree) -> None:
    with pytest.raises(TypeError, match="state: "):
        encode(odd)


SMALL = content_of(
    {"count": 3, "list": [1.5, None, "x"], "array": np.float32([1, 2, 3]), "flags": np.array([True])}
)


def test_a_byte_changed_anywhere_is_noticed() -> None:
    generator = np.random.default_rng(0)
    for place in range(len(SMALL)):
        damaged = bytearray(SMALL)
        damaged[place] ^= int(generator.integers(1, 256))
        with pytest.raises(FileError):
            decode(bytes(damaged))


def test_a_file_cut_anywhere_is_noticed() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(FileError):
            decode(SMALL[:length])
    with pytest.raises(FileError):
        decode(SMALL + b"\0")


@examples(75, release=600)
@given(content=st.binary(max_size=300))
def test_foreign_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(FileError):
        decode(content)


def summed(tensors: dict[str, np.ndarray[Any, Any]], metadata: dict[str, str]) -> bytes:
    """A file of anything, with a checksum that fits."""
    content = save(tensors, metadata | {"sha256": UNSUMMED})
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], content[8 + size :]
    digest = hashlib.sha256(data + header).hexdigest()
    return content.replace(UNSUMMED.encode(), digest.encode(), 1)


def skeleton(text: str) -> dict[str, np.ndarray[Any, Any]]:
    return {"tree": np.frombuffer(text.encode(), np.uint8)}


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({}, "KeyError"),
        (skeleton("[]"), "do not fit"),
        (skeleton("{}"), "do not fit"),
        (skeleton("[[], []]"), "do not fit"),
        (skeleton("{"), "not a state"),
        (skeleton("[" * 100_000), "RecursionError"),
        (skeleton('[{"a": {"$": "b"}}, []]'), "KeyError"),
        (skeleton('[{"a": {"$": ["b"]}}, []]'), "KeyError"),
        (skeleton("[{}, []]") | {"extra": np.zeros(1)}, "do not fit"),
        (skeleton("[{}, []]") | {"odd": np.zeros(1, np.int16)}, "I16"),
    ],
)
def test_a_file_that_lies_is_refused_although_its_checksum_fits(
    tensors: dict[str, np.ndarray[Any, Any]], reason: str
) -> None:
    with pytest.raises(FileError, match=reason):
        decode(summed(tensors, {"format": FORMAT}))


def test_another_version_is_refused_rather_than_taken_for_damage() -> None:
    with pytest.raises(StateError, match=r"sincos-state-1.*another version"):
        decode(summed(skeleton("{}"), {"format": "sincos-state-1"}))


def test_a_header_that_claims_more_than_there_is_allocates_nothing() -> None:
    for size in (2**63, 2**40, len(SMALL)):
        with pytest.raises(FileError):
            decode(size.to_bytes(8, "little") + SMALL[8:])
    header = json.dumps(
        {"__metadata__": {"format": FORMAT, "sha256": UNSUMMED},
         "tree": {"dtype": "U8", "shape": [2**50], "data_offsets": [0, 2**50]}}
    ).encode()  # fmt: skip
    digest = hashlib.sha256(header).hexdigest()
    header = header.replace(UNSUMMED.encode(), digest.encode())
    with pytest.raises(FileError, match="damaged"):
        decode(len(header).to_bytes(8, "little") + header)


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "state-000000000001.safetensors"
    with path.open("wb") as file:
        file.truncate(checkpoint.MAX_BYTES + 1)
    with pytest.raises(FileError, match="must have at most"):
        read(path)


def test_a_model_file_cut_or_changed_anywhere_is_a_model_or_refused() -> None:
    """Model files carry no checksum: a changed weight is another model, but never one of other shapes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_model(new_model(ModelConfig("rnn", 1, 1, ("cos",)), seed=0), path)
        good = path.read_bytes()
        for length in range(len(good)):
            path.write_bytes(good[:length])
            with pytest.raises(FileError, match=r"model\.safetensors"):
                load_model(str(path))
        for place in range(len(good)):
            path.write_bytes(good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :])
            try:
                model = load_model(str(path))
            except FileError:
                continue
            assert {name: weight.shape for name, weight in model.weights.items()} == model.config.weight_shapes()
