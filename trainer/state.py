"""What an object must be given back to go on where it was, bit by bit: its state as a tree of plain values."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, ClassVar

import numpy as np

from streamer.errors import FileError

Tree = dict[str, Any]
"""Names to arrays, numbers, texts, truth values, None, lists of these, or further trees."""

MOST = 2**64  # no count and no index is larger


class Kept:
    """Base of what is kept by some of its attributes.

    What is not listed in `kept` follows from the constructor's arguments, or is working memory. An array goes back
    into the array that stands there, of the same shape and type, so that views of it see what was restored.
    """

    kept: ClassVar[Mapping[str, type | UnionType]] = {}
    """Attribute -> type: int, float, bool, str (or None besides), an array, or another `Kept`."""

    def state(self) -> Tree:
        """Return the state, which later changes leave alone."""
        tree: Tree = {}
        for name in self.kept:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value = value.copy()
            elif isinstance(value, Kept):
                value = value.state()
            tree[name] = value
        return tree

    def restore(self, tree: Tree) -> None:
        """Take a state that an object made with the same arguments returned.

        Raises
        ------
        FileError
            If it cannot be such a one.
        """
        for name, kind in self.kept.items():
            present = getattr(self, name)
            if isinstance(present, Kept):
                present.restore(subtree(tree, name))
            elif isinstance(present, np.ndarray):
                np.copyto(present, array_of(tree, name, present.shape, present.dtype))
            else:
                setattr(self, name, value_of(tree, name, kind))


def value_of(tree: Tree, name: str, kind: type | UnionType) -> Any:
    """Return a plain value.

    Raises
    ------
    FileError
        If it is not there, of another type, or a number out of range.
    """
    value = tree.get(name)
    kinds = getattr(kind, "__args__", (kind,))  # of a union
    if type(value) is int and float in kinds and int not in kinds:
        value = float(value)
    if type(value) not in kinds or (type(value) is int and not 0 <= value < MOST):
        raise FileError(f"state: {name} must be {getattr(kind, '__name__', kind)}, got {str(value)[:60]!r}")
    return value


def array_of(
    tree: Tree, name: str, shape: tuple[int | None, ...], dtype: np.dtype[Any] | type
) -> np.ndarray[Any, Any]:
    """Return an array.

    Parameters
    ----------
    shape : tuple of int or None
        None where any length will do.

    Raises
    ------
    FileError
        If it is not there, or of another shape or type.
    """
    value = tree.get(name)
    wanted = np.dtype(dtype)
    if not isinstance(value, np.ndarray):
        raise FileError(f"state: {name} must be an array, got {str(value)[:60]!r}")
    fits = len(value.shape) == len(shape) and all(
        want is None or want == have for want, have in zip(shape, value.shape, strict=True)
    )
    if not fits or value.dtype != wanted:
        raise FileError(f"state: {name} must be {wanted} {shape}, got {value.dtype} {value.shape}")
    return value


def at_most(most: int, **counts: int) -> None:
    """Refuse a count beyond what there is room for.

    Raises
    ------
    FileError
        If one is.
    """
    for name, count in counts.items():
        if count > most:
            raise FileError(f"state: {name} must be at most {most}, got {count}")


def trees(tree: Tree, name: str) -> list[Tree]:
    """Return a list of trees within a tree.

    Raises
    ------
    FileError
        If it is not there.
    """
    value = tree.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise FileError(f"state: {name} must be a list of trees, got {str(value)[:60]!r}")
    return value


def subtree(tree: Tree, name: str) -> Tree:
    """Return a tree within a tree.

    Raises
    ------
    FileError
        If it is not there.
    """
    value = tree.get(name)
    if not isinstance(value, dict):
        raise FileError(f"state: {name} must be a tree, got {str(value)[:60]!r}")
    return value
