"""Whether two objects are the same in every attribute, however deep, bit by bit."""

import enum
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from predictor.daemon.domain_check import ENTRIES, DomainCheck
from predictor.daemon.learning import UpdateScheduler
from predictor.daemon.sanitize import Sanitizer
from predictor.daemon.stream import Stream
from predictor.engine.stepper import Engine
from predictor.state.retained_estimates import RetainedEstimates
from streamer.ordering.sequencer import Sequencer
from trainer.labels import ARRAYS, LabelBuffer
from trainer.online.adam import Adam
from trainer.online.tbptt import OnlineLearner
from trainer.selfsupervised.laguerre import Laguerre
from trainer.selfsupervised.learner import SelfLearner

# What no later estimate depends on: working memory, clocks, and what is yet to be told to the operator.
NOT_KEPT: dict[type, set[str]] = {
    Engine: {"_seat", "_pipelines"},
    Stream: {
        "_time",
        "_report",
        "_history",
        "_course",
        "_diagnosis",
        "_paced",
        "_spent",
        "_tallies",
        "_turn_began",
        "reserved_channels",
        "touched_ns",
    },
    Sequencer: {
        "_arrivals",
        "_closing",
        "_candidates",
        "_contested_ns",
        "_ended",
        "_foretold",
        "_joins_anywhere",
        "_main",
        "_news",
        "_retry_policy",
        "_repeated_ns",
        "_repeats",
        "_restarts",
        "_second",
        "_share",
        "_spoke_ns",
        "_stood",
        "_tails",
        "_tracks",
        "_warned_ns",
        "_words",
        "circular_waits",
        "expected",
        "now_ns",
    },
    UpdateScheduler: {"_update"},  # has no effect yet and can be begun again
    RetainedEstimates: {"_history"},
    Sanitizer: {"replaced"},
    OnlineLearner: {"_gradient", "_bptt"},
    Adam: {"_step"},
    Laguerre: {"_after"},
    SelfLearner: {"_news", "_make_guard"},
    LabelBuffer: {"_begin", "_end", *ARRAYS},
    DomainCheck: {"_entries", "swapped"},
}


def differences(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of attributes that are not the same."""
    if type(left) is not type(right):
        yield f"{path}: {left!r} and {right!r}"
    elif isinstance(left, np.ndarray):
        if left.shape != right.shape or left.dtype != right.dtype or left.tobytes() != right.tobytes():
            yield path
    elif isinstance(left, dict):
        if left.keys() != right.keys():
            yield f"{path}: {left.keys() ^ right.keys()}"
        for key in left.keys() & right.keys():
            yield from differences(left[key], right[key], f"{path}[{key!r}]")
    elif isinstance(left, list | tuple | deque):
        if len(left) != len(right):
            yield f"{path}: {len(left)} and {len(right)}"
        for number, (one, other) in enumerate(zip(left, right, strict=False)):
            yield from differences(one, other, f"{path}[{number}]")
    elif isinstance(left, float):
        if repr(left) != repr(right):
            yield f"{path}: {left!r} and {right!r}"
    elif left is None or isinstance(left, int | str | bytes | enum.Enum | np.generic | types.FunctionType | type):
        if left != right:
            yield f"{path}: {left!r} and {right!r}"
    else:
        names = attributes(left)
        if names != attributes(right):
            yield f"{path}: attributes {names ^ attributes(right)}"
        for name in sorted(names & attributes(right) - NOT_KEPT.get(type(left), set())):
            yield from differences(getattr(left, name), getattr(right, name), f"{path}.{name}")
        yield from differences(_occupied(left), _occupied(right), f"{path} (in use)")


def attributes(owner: Any) -> set[str]:
    slots = {name for kind in type(owner).__mro__ for name in getattr(kind, "__slots__", ())}
    return {name for name in slots if hasattr(owner, name)} | set(getattr(owner, "__dict__", ()))


def _occupied(owner: Any) -> Any:
    """The parts in use of what is larger than what is in it; of a sequencer, where it is and not what it holds."""
    if isinstance(owner, Sequencer):
        return owner.state()
    if isinstance(owner, LabelBuffer):
        return [getattr(owner, name)[owner._begin : owner._end].copy() for name in ARRAYS]
    if isinstance(owner, DomainCheck):
        filled = owner._filled if owner._knows else 0
        assert filled <= ENTRIES
        return [owner._entries[:filled].copy()]
    return []


def parts(owner: Any, seen: set[int]) -> Iterator[Any]:
    """Yield everything of ours that an object is made of, itself included."""
    if id(owner) in seen or not type(owner).__module__.startswith(("predictor", "trainer", "streamer")):
        return
    seen.add(id(owner))
    yield owner
    for name in attributes(owner):
        value = getattr(owner, name)
        for part in value if isinstance(value, list | tuple) else [value]:
            yield from parts(part, seen)
