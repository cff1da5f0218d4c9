"""A state as one safetensors file with a checksum over every byte of it, and back. Never pickle.

Arrays are tensors named by their place in the tree; the tree itself, with those names where the arrays were, is
the tensor `tree`, as JSON. The file is laid out here and read by the library, which checks its offsets and sizes:
the library's writer holds the interpreter for 0.7 s where 10,000 streams have seven arrays each, and answers would
be as late.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from streamer.errors import FileError, StateError
from trainer.state import Tree

FORMAT = "sincos-state-1"
MOST_BYTES = 8 * 2**30
TYPES: dict[str, type[np.generic]] = {
    "F32": np.float32,
    "F64": np.float64,
    "I64": np.int64,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_NAMES: dict[np.dtype[Any], str] = {np.dtype(kind): name for name, kind in TYPES.items()}
SKELETON = "tree"
PLACE = "$"  # the only key of an object that stands for a tensor
UNSUMMED = "0" * 64
PIECE_BYTES = 2**20


def encode(tree: Tree) -> list[bytes]:
    """Return the pieces of a file.

    Raises
    ------
    TypeError
        If there is something in the tree that is no `trainer.state.Tree`.
    """
    tensors = _Tensors()
    skeleton = json.dumps(tensors.place(tree, ""))
    tensors.add(SKELETON, np.frombuffer(skeleton.encode(), np.uint8))
    entries = ",".join(tensors.entries)
    header = f'{{"__metadata__":{{"format":"{FORMAT}","sha256":"{UNSUMMED}"}},{entries}}}'.encode()
    header += b" " * (-len(header) % 8)
    tensors.sum.update(header)
    header = header.replace(UNSUMMED.encode(), tensors.sum.hexdigest().encode(), 1)
    return [len(header).to_bytes(8, "little") + header, *tensors.pieces()]


class _Tensors:
    """Collects arrays: their entries in the header, their bytes, and the checksum of these."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.sum = hashlib.sha256()
        self._names = {SKELETON, "__metadata__"}
        self._data: list[bytes] = []
        self._size = 0

    def place(self, node: Any, path: str) -> Any:
        """Return a tree with the names of tensors in place of its arrays."""
        if isinstance(node, np.ndarray):
            while path in self._names:
                path += "'"
            self._names.add(path)
            self.add(path, node)
            return {PLACE: path}
        if isinstance(node, dict):
            if PLACE in node or not all(isinstance(key, str) for key in node):
                raise TypeError(f"state: {path}: names must be strings, and not {PLACE}, got {list(node)[:5]}")
            return {key: self.place(value, f"{path}/{key}" if path else key) for key, value in node.items()}
        if isinstance(node, list):
            return [self.place(value, f"{path}/{number}") for number, value in enumerate(node)]
        if node is None or isinstance(node, bool | int | float | str):
            return node
        raise TypeError(f"state: {path}: {type(node).__name__} cannot be kept")

    def add(self, name: str, array: np.ndarray[Any, Any]) -> None:
        if array.dtype not in _NAMES:
            raise TypeError(f"state: {name}: arrays of {array.dtype} cannot be kept")
        data = array.tobytes()
        end = self._size + len(data)
        self.entries.append(
            f'{json.dumps(name)}:{{"dtype":"{_NAMES[array.dtype]}","shape":{json.dumps(array.shape)},'
            f'"data_offsets":[{self._size},{end}]}}'
        )
        self.sum.update(data)
        self._data.append(data)
        self._size = end

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes of all, joined to pieces that are worth a system call."""
        piece: list[bytes] = []
        size = 0
        for data in self._data:
            piece.append(data)
            size += len(data)
            if size >= PIECE_BYTES:
                yield b"".join(piece)
                piece, size = [], 0
        yield b"".join(piece)


def decode(content: bytes) -> Tree:
    """Return the tree that was encoded.

    Raises
    ------
    FileError
        If a byte is not as it was written, or if it was no tree.
    StateError
        If another version wrote it.
    """
    try:
        _check(content)
        tensors = {
            name: np.frombuffer(entry["data"], TYPES[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in deserialize(content)  # type: ignore[no-untyped-call]
        }
        skeleton = json.loads(tensors.pop(SKELETON).tobytes())
        tree = _filled(skeleton, tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileError(f"not a state, or damaged: {type(error).__name__}: {str(error)[:200]}") from None
    if not isinstance(tree, dict) or tensors:
        raise FileError("not a state: tensors do not fit the tree")
    return tree


def _check(content: bytes) -> None:
    """Make sure that it is a state of this version, and undamaged."""
    size = int.from_bytes(content[:8], "little")
    if not 2 <= size <= len(content) - 8:
        raise FileError("not a state, or cut off: its header is longer than the file")
    header = content[8 : 8 + size]
    metadata = json.loads(header)["__metadata__"]
    stated = str(metadata["sha256"])
    total = hashlib.sha256(memoryview(content)[8 + size :])
    total.update(header.replace(stated.encode(), UNSUMMED.encode(), 1))
    if total.hexdigest() != stated:
        raise FileError("damaged: its checksum does not fit")
    if metadata["format"] != FORMAT:
        raise StateError(
            f"format must be {FORMAT}, got {str(metadata['format'])[:60]!r}: another version wrote it; go on with "
            "that one, or give another --state-dir"
        )


def _filled(node: Any, tensors: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return a tree with its arrays in their places, each taken out of `tensors`."""
    if isinstance(node, dict):
        if node.keys() == {PLACE}:
            return tensors.pop(node[PLACE])
        return {key: _filled(value, tensors) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, tensors) for value in node]
    return node
