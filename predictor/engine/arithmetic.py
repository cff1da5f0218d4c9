"""What decides the last bits of estimates besides model and messages: processor, its kernels, libraries.

Two machines may round a product of matrices differently, and from then on their hidden states are not the same. So
a state says where it was made, and carries the bits of a fixed calculation (a probe): whoever goes on from it
elsewhere is told. The probe decides; what is named beside it says why.
"""

import hashlib
import importlib
import math
import platform
import sys
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import numpy as np

from predictor.engine.blas import kernel
from predictor.engine.stepper import Engine
from streamer.messages import FloatArray
from trainer.model import Model
from trainer.state import Tree

ALONE_SAMPLES, TOGETHER_SAMPLES, TOGETHER_CHANNELS = 48, 16, 9
SIZES = (7, 40, 130)  # of the products that learning may take
WORDS = {
    "machine": "machine",
    "blas": "BLAS",
    "kernel": "BLAS kernel",
    "numpy": "NumPy",
    "python": "Python",
    "libc": "C library",
    "features": "processor features",
}
BITS = "bits"


def arithmetic(model: Model) -> Tree:
    """Return what a state carries of where it is made."""
    return {BITS: _probed(model), **_surroundings()}


@cache
def _surroundings() -> Tree:
    return {
        "machine": platform.machine(),
        "blas": _blas(),
        "kernel": kernel(),
        "numpy": np.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "libc": " ".join(platform.libc_ver()).strip(),
        "features": _features(),
    }


def remark(theirs: Any, ours: Tree) -> tuple[str, bool] | None:
    """Return what to tell of a state made elsewhere, and whether bits may differ; None if all is the same."""
    if theirs == ours:
        return None
    if not isinstance(theirs, dict) or not isinstance(theirs.get(BITS), str):
        return (
            "the checkpoint does not state which arithmetic made it: estimates from here on may differ in their "
            "last bits from those of an undisturbed run",
            True,
        )
    differences = "; ".join(_differences(theirs, ours))
    if theirs[BITS] == ours[BITS]:
        return (
            f"the checkpoint was made elsewhere ({differences}); a probe of the arithmetic gives the same bits",
            False,
        )
    return (
        f"the checkpoint was made by other arithmetic ({differences or 'nothing that can be named'}): estimates "
        "from here on may differ in their last bits from those of an undisturbed run, those published again after "
        "this restart among them",
        True,
    )


def _differences(theirs: Tree, ours: Tree) -> Iterator[str]:
    """Name what differs; of processor features only those that one of the two lacks."""
    for key, words in WORDS.items():
        was, now = (str(tree.get(key)) for tree in (theirs, ours))
        if was == now:
            continue
        if key == "features":
            had, has = set(was.split()), set(now.split())
            was, now = " ".join(sorted(had - has)) or "none of these", " ".join(sorted(has - had)) or "without"
        yield f"{words} {was[:200]} then, {now[:200]} now"


def probe(model: Model) -> str:
    """Return a digest of the bits of a fixed calculation: the model's own steps, and what learning takes."""
    with np.errstate(all="ignore"):
        return hashlib.sha256(_digest(_steps(model)) + _general()).hexdigest()


@lru_cache(maxsize=1)  # as long as a process lives, the bits stay the same
def _probed(model: Model) -> str:
    return probe(model)


@cache
def _general() -> bytes:
    return _digest(chain(_products(), _functions()))


def _digest(arrays: Iterable[np.ndarray[Any, Any]]) -> bytes:
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.digest()


def _numbers(*shape: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return numbers between -1 and 1 that are the same bits on any machine."""
    return np.random.default_rng(1).integers(-(2**20), 2**20, shape) / 2**20


def _steps(model: Model) -> Iterator[FloatArray]:
    """One channel sample by sample, and several channels at once."""
    engine = Engine(model.config, model.weights)
    inputs = _numbers(ALONE_SAMPLES, TOGETHER_CHANNELS).astype(np.float32)
    resident = engine.resident(engine.initial_state(1))
    alone = b"".join([resident.step(inputs[k, :1].tobytes()) for k in range(ALONE_SAMPLES)])
    yield np.frombuffer(alone, np.float32)
    yield resident.state()
    yield from engine.run(inputs[:TOGETHER_SAMPLES], engine.initial_state(TOGETHER_CHANNELS))


def _products() -> Iterator[np.ndarray[Any, Any]]:
    for size in SIZES:
        matrix = _numbers(size, size)
        for kind in (np.float32, np.float64):
            one: np.ndarray[Any, np.dtype[Any]] = matrix.astype(kind)
            yield one @ one[:, 0]
            yield one @ one.T
            yield one[0].dot(one[1])
            yield one.sum(axis=0)
            yield np.einsum("ij,ij->i", one, one)
        yield np.linalg.solve(matrix + size * np.eye(size), matrix[0])
        yield np.fft.rfft(matrix[0])


def _functions() -> Iterator[np.ndarray[Any, Any]]:
    numbers = _numbers(300)
    for kind in (np.float32, np.float64):
        for function in (np.tanh, np.exp, np.sin, np.cos, np.arctan, np.cbrt):
            yield function(numbers.astype(kind))
        yield np.sqrt(np.abs(numbers.astype(kind)))
        yield np.log(np.abs(numbers.astype(kind)) + kind(0.1))
    for scalar in (math.tanh, math.exp, math.sin, math.cos, math.atan):
        yield np.array([scalar(number) for number in numbers.tolist()])


def _blas() -> str:
    try:
        built: Any = np.show_config(mode="dicts")
        found = built["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    except (KeyError, TypeError):
        return "unknown"


def _features() -> str:
    """Return the features of the processor that NumPy uses."""
    try:
        core: Any = importlib.import_module("numpy._core._multiarray_umath")
        features: dict[str, bool] = core.__cpu_features__
    except (AttributeError, ImportError):
        return "unknown"
    return " ".join(sorted(name for name, has in features.items() if has))
