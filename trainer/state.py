"""What an object must be given back to go on where it was, bit by bit: its state as a tree of plain values."""

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, ClassVar

import numpy as np

from streamer.errors import FileError

Tree = dict[str, Any]
"""Names to arrays, numbers, texts, truth values, None, lists of these, or further trees."""

MAX_COUNT = 2**53  # nothing is counted so far
LARGEST = 1e32  # of weights and hidden states: products with them stay within the range of float32


class Seq(int):
    """In `Kept.kept`, and for `value_of`: the index of a sample, which may be larger than a count."""

    most = 2**63  # as on the wire


class Run(int):
    """As `Seq`: the number of a run."""

    most = 2**64 - 1


class Kept:
    """Base of what is kept by some of its attributes.

    What is not listed in `kept` follows from the constructor's arguments, or is working memory. An array goes back
    into the array that stands there, of the same shape and type, so that views of it see what was restored.
    """

    kept: ClassVar[Mapping[str, type | UnionType]] = {}
    """Attribute -> type: int, Seq, float, bool, str (or None besides), an array, or another `Kept`."""

    missing: ClassVar[frozenset[str]] = frozenset()
    """Arrays that may hold NaN; others are finite."""

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
                missing = name in self.missing
                np.copyto(present, array_of(tree, name, present.shape, present.dtype, missing=missing))
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
    kinds: tuple[Any, ...] = getattr(kind, "__args__", (kind,))  # of a union
    most = next((kind.most for kind in (Seq, Run) if kind in kinds), MAX_COUNT)
    plain = [int if each in (Seq, Run) else each for each in kinds]
    if type(value) is int and float in plain and int not in plain and abs(value) <= MAX_COUNT:
        value = float(value)
    fits = type(value) in plain
    if type(value) is int:
        fits = fits and 0 <= value <= most
    elif type(value) is float:
        fits = fits and math.isfinite(value)
    if not fits:
        wanted = " or ".join("None" if each is NoneType else each.__name__ for each in plain)
        raise FileError(f"state: {name} must be {wanted}, in its range, got {str(value)[:60]!r}")
    return value


def array_of(
    tree: Tree,
    name: str,
    shape: tuple[int | None, ...],
    dtype: np.dtype[Any] | type,
    *,
    missing: bool = False,
    largest: float = math.inf,
) -> np.ndarray[Any, Any]:
    """Return an array.

    Parameters
    ----------
    shape : tuple of int or None
        None where any length will do.
    missing : bool
        Whether values may be missing, which is NaN.
    largest : float
        That a value may be, either way; NaN where any bits will do, which the caller then looks at.

    Raises
    ------
    FileError
        If it is not there, of another shape or type, or has values that are not finite, or too large.
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
    if math.isnan(largest):
        return value
    if wanted.kind == "f" and not np.isfinite(value).all() and (not missing or np.isinf(value).any()):
        raise FileError(f"state: {name} must be finite numbers")
    if largest < math.inf and value.size and np.abs(value).max() > largest:
        raise FileError(f"state: {name} must be at most {largest:g} either way")
    return value


def is_tame(values: np.ndarray[Any, Any]) -> bool:
    """Return whether all are finite, and products with them are."""
    return bool((np.abs(values) <= LARGEST).all())


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
