"""A state as one safetensors file with a checksum over every byte of it, and back. Never pickle.

The tensor `tree` is the state as JSON, with the names of other tensors where its arrays were. The file is laid out
here and read by the library, which checks its offsets and sizes: the library's writer holds the interpreter for
0.7 s where 10,000 streams have seven arrays each, and answers would be as late.
"""

import gc
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from streamer.errors import FileError, StateError
from trainer.state import Tree

Array = np.ndarray[Any, Any]

FORMAT = "sincos-state-3"
MAX_BYTES = 8 * 2**30
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
STREAMS = "streams"
UNSUMMED = "0" * 64
PIECE_BYTES = 2**18


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A tree as the text and the tensors that it becomes; what may change later is in neither."""

    text: str
    tensors: tuple[tuple[str, Array], ...]


def pack(tree: Tree, name: str) -> Packed:
    """Return a tree packed, its tensors named ``name/0``, ``name/1`` ...

    Its arrays are taken as they are: they must not change from now on.

    Raises
    ------
    TypeError
        If there is something in the tree that is no `trainer.state.Tree`.
    """
    tensors: list[tuple[str, Array]] = []

    def place(node: Any) -> dict[str, str]:
        if not isinstance(node, np.ndarray) or node.dtype not in _NAMES:
            kind = node.dtype if isinstance(node, np.ndarray) else type(node).__name__
            raise TypeError(f"state: {name}: {kind} cannot be kept")
        tensors.append((f"{name}/{len(tensors)}", node))
        return {PLACE: tensors[-1][0]}

    return Packed(json.dumps(tree, default=place), tuple(tensors))


def encode(head: Tree, streams: Sequence[Packed] = ()) -> list[bytes]:
    """Return the pieces of a file: a tree, with a list of packed trees in it as `streams`.

    A piece at a time: a call that takes megabytes holds the interpreter for milliseconds, and an answer with it.
    """
    packed = pack(head, "")
    texts = _joined(chain([f"[{packed.text},["], _with_commas(stream.text for stream in streams), ["]]"]))
    skeleton = [np.frombuffer(text, np.uint8) for text in texts]
    entries, data, total, begin = [], _Pieces(), hashlib.sha256(), 0
    for name, arrays in chain(
        [(SKELETON, skeleton)],
        ((name, [array]) for stream in (packed, *streams) for name, array in stream.tensors),
    ):
        end = begin + sum(array.nbytes for array in arrays)
        shape = list(arrays[0].shape) if len(arrays) == 1 else [end - begin]
        entries.append(
            f'{json.dumps(name)}:{{"dtype":"{_NAMES[arrays[0].dtype]}","shape":{shape},'
            f'"data_offsets":[{begin},{end}]}}'
        )
        for array in arrays:
            content = array.tobytes()
            total.update(content)
            data.add(content)
        begin = end
    metadata = f'{{"__metadata__":{{"format":"{FORMAT}","sha256":"{UNSUMMED}"}},'
    header = _joined(chain([metadata], _with_commas(entries), ["}"]))
    header[-1] += b" " * (-sum(map(len, header)) % 8)
    for piece in header:
        total.update(piece)
    header[0] = header[0].replace(UNSUMMED.encode(), total.hexdigest().encode(), 1)
    return [sum(map(len, header)).to_bytes(8, "little"), *header, *data.pieces()]


class _Pieces:
    """Bytes joined to pieces that are worth a system call."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._open: list[bytes] = []
        self._size = 0

    def add(self, content: bytes) -> None:
        self._open.append(content)
        self._size += len(content)
        if self._size >= PIECE_BYTES:
            self._close()

    def _close(self) -> None:
        self._done.append(b"".join(self._open))
        self._open, self._size = [], 0

    def pieces(self) -> list[bytes]:
        if self._open:
            self._close()
        return self._done


def _joined(texts: Iterable[str]) -> list[bytes]:
    pieces = _Pieces()
    for text in texts:
        pieces.add(text.encode())
    return pieces.pieces()


def _with_commas(texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield f",{text}" if number else text


def decode(content: bytes) -> Tree:
    """Return the tree that was encoded, the packed ones in their places.

    Raises
    ------
    FileError
        If a byte is not as it was written, or if it was no tree.
    StateError
        If another version wrote it.
    """
    collects = gc.isenabled()
    gc.disable()  # everything made here is kept: looking through it again and again takes as long as making it
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
    finally:
        if collects:
            gc.enable()
    if not isinstance(tree, list) or len(tree) != 2 or not isinstance(tree[0], dict) or tensors:
        raise FileError("not a state: tensors do not fit the tree")
    return tree[0] | {STREAMS: tree[1]}


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
            "that one"
        )


def _filled(node: Any, tensors: dict[str, Array]) -> Any:
    """Return a tree with its arrays in their places, each taken out of `tensors`."""
    if isinstance(node, dict):
        if node.keys() == {PLACE}:
            return tensors.pop(node[PLACE])
        return {key: _filled(value, tensors) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, tensors) for value in node]
    return node
