"""NumPy's own OpenBLAS: which kernel it chose, and on how many threads it multiplies."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

NAMES = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")

_lock = Lock()
_inside = 0  # who multiplies on one thread now
_before = 1  # threads, outside


def kernel() -> str:
    """Return what OpenBLAS calls the kernel that it chose for this processor."""
    ask = _function("get_corename", ctypes.c_char_p)
    return "unknown" if ask is None else (ask() or b"unknown").decode(errors="replace")


@contextmanager
def one_thread() -> Iterator[None]:
    """Multiply on one thread, whatever OPENBLAS_NUM_THREADS says: shared out, large products have other last bits.

    Does nothing where NumPy came with another library than OpenBLAS.
    """
    global _inside, _before
    ask, tell = _function("get_num_threads", ctypes.c_int), _function("set_num_threads", None, ctypes.c_int)
    if ask is None or tell is None:
        yield
        return
    with _lock:
        if not _inside:
            _before = ask()
            if _before != 1:
                tell(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and _before != 1:
                tell(_before)


@cache
def _function(name: str, result: Any, *arguments: Any) -> Callable[..., Any] | None:
    folder = Path(np.__file__).parent
    for library in (*folder.parent.glob("numpy.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")):
        try:
            loaded = ctypes.CDLL(str(library))
        except OSError:
            continue
        for pattern in NAMES:
            if hasattr(loaded, pattern.format(name)):
                found = getattr(loaded, pattern.format(name))
                found.argtypes, found.restype = list(arguments), result
                return found  # type: ignore[no-any-return]
    return None
