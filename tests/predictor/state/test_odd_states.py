"""States with a right checksum and wrong values: refused at the start, or gone on from without a fault."""

import json
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.state import checkpoint
from streamer.effects import Effect, Reply, Send
from streamer.errors import FileError
from streamer.messages import Burst, Chunk, Kind, Replay, Request, Status
from streamer.wire import batch, codec
from tests.support.dose import examples
from tests.support.restarting import SAMPLES, SELF_SAMPLES, content_of, core_of, kept, messages_of, model, said_of
from tests.support.simulation import at, chunk
from trainer.selfsupervised.learner import SelfConfig
from trainer.state import Tree

Kinds = tuple[str, str, float | None]  # cell, learning, nominal_hz
KINDS: list[Kinds] = [
    ("rnn", "none", None), ("gated", "none", None), ("rnn", "none", 4.0), ("rnn", "target", None),
    ("lstm", "target", None), ("gated", "target", None), ("rnn", "self", None), ("gated", "self", None),
    ("rnn", "band", 4.0),
]  # fmt: skip
Path = tuple[Any, ...]

ODD_NUMBERS: list[Any] = [
    -1, 0, 1, 2, 7, 100, 10**6, 2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**400,
    float("nan"), float("inf"), float("-inf"), 0.0, -1.0, 1e-300, 5e-324, 0.5, 1e30, 1e308, -1e308,
    True, False, None, "", "x", "b", "../" * 99, [], {},
]  # fmt: skip
ODD_VALUES = [np.nan, np.inf, -np.inf, 0, 1, -1, 1e10, 3e38, -3e38, 1e-45, 2**31, 2**62]


@dataclass(frozen=True)
class Case:
    """A state, and what its sources say after it."""

    tree: Tree
    paths: list[Path]
    messages: list[Any]


@cache
def case(kind: Kinds) -> Case:
    messages = messages_of(SELF_SAMPLES if kind[1] == "self" else SAMPLES)
    stop = len(messages) * (9 if kind[1] == "self" else 6) // 10
    core = core_of(*kind)
    said_of(core, messages[:stop])
    tree = checkpoint.decode(kept(core))
    return Case(tree, list(paths_of({"streams": tree["streams"]})), messages[stop : stop + 120])


def paths_of(node: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield from paths_of(node[key], (*path, key))


def at_path(node: Any, path: Path) -> Any:
    return at_path(node[path[0]], path[1:]) if path else node


def replaced(node: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    if isinstance(node, dict):
        return {key: replaced(one, path[1:], value) if key == path[0] else one for key, one in node.items()}
    return [replaced(one, path[1:], value) if key == path[0] else one for key, one in enumerate(node)]


@st.composite
def mutants(draw: st.DrawFn, node: Any) -> Any:
    """Return something else in the place of a leaf or a branch."""
    if isinstance(node, np.ndarray):
        return draw(arrays(node))
    if isinstance(node, dict) and node:
        gone = draw(st.sampled_from(list(node)))
        return {key: value for key, value in node.items() if key != gone}
    if isinstance(node, list):
        last = draw(st.sampled_from([None, 3, {}, []]))
        return draw(st.sampled_from([[], node[:-1], node + node, node[::-1], [*node, last]]))
    return draw(st.sampled_from(ODD_NUMBERS))


@st.composite
def arrays(draw: st.DrawFn, node: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shape = draw(
        st.sampled_from(["same", "same", "same", "longer", "shorter", "empty", "deeper", "turned", "wider"])
    )
    match shape:
        case "longer":
            return np.concatenate([node, node])
        case "shorter":
            return node[:-1].copy()
        case "empty":
            return node[:0].copy()
        case "deeper":
            return node[None].copy()
        case "turned":
            return np.ascontiguousarray(node.T)
        case "wider":
            return np.concatenate([node, node], axis=-1)
    kind = draw(st.sampled_from([node.dtype, node.dtype, node.dtype, *map(np.dtype, checkpoint.TYPES.values())]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = np.nan_to_num(node).astype(kind) if kind != node.dtype else node.copy()
        value = np.array(draw(st.sampled_from(ODD_VALUES)), np.float64).astype(kind)
    if odd.size and draw(st.booleans()):
        odd.flat[draw(st.integers(0, odd.size - 1))] = value
    else:
        odd[...] = value
    return odd


def heed(effects: Iterable[Effect]) -> None:
    """Put everything on the wire, as the shell would."""
    for effect in effects:
        if not isinstance(effect, Send | Reply):
            continue
        message = effect.message
        if isinstance(message, Burst):
            list(batch.encode(message))
        else:
            codec.encode(message)
        if isinstance(message, Status):
            json.dumps(message.body, allow_nan=False)
        if isinstance(effect, Send) and isinstance(message, Chunk | Burst):
            values = message.values if isinstance(message, Chunk) else message.chunk.values
            assert np.isfinite(values).all()


def go_on(core: Predictor, messages: list[Any], left: list[tuple[str, int, int, int]]) -> float:
    """Let sources speak, and those come back that were left; ask for everything; return the time."""
    heed(core.tick(at(0)))
    time_s = 0.0
    for name in list(core.streams):
        for run in (1, 7):
            heed(core.receive([Request(b"peer", Replay(Kind.ESTIMATE, name, run, 0, 2**31))], at(0)))
    for number, message in enumerate(messages):
        time_s += 0.02
        heed(core.receive([message], at(time_s)))
        heed(core.catch_up(at(time_s)))
        for _ in range(50):
            work = core.work()
            if work is None:
                break
            heed(work)
        if number % 10 == 0:
            heed(core.tick(at(time_s)))
    for name, run, seq, channels in left:
        time_s += 5
        for place in range(20):
            time_s += 0.2
            one = chunk(seq + place, np.full((1, channels), 0.3 * place % 1), stream=name, run=run)
            heed(core.receive([one], at(time_s)))
            heed(core.catch_up(at(time_s)))
        heed(core.tick(at(time_s + 5)))
    return time_s + 10


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@examples(40, release=200)
@given(st.data())
def test_odd_states_are_refused_or_gone_on_from(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS), "kind")
    real = case(kind)
    path = data.draw(st.sampled_from(real.paths), "path")
    odd = replaced(real.tree, path, data.draw(mutants(at_path(real.tree, path)), "odd"))
    check(kind, odd, real.messages)


def check(kind: Kinds, tree: Tree, messages: list[Any]) -> None:
    try:
        content = content_of(tree)
    except (TypeError, ValueError, AttributeError, KeyError):
        return  # no state can be made of it
    core = core_of(*kind)
    try:
        core.restore(checkpoint.decode(content), at(0))
    except FileError:
        return
    left = [
        (name, run, place.next_seq, place.channels)
        for name, stream in core.streams.items()
        for run, place in list(stream._sequencer._left.items())[-2:]
        if place.next_seq < 2**62 and 0 < place.channels < 1000
    ]
    end_s = go_on(core, messages, left)
    effects = list(core.stop(at(end_s)))
    heed(effects)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_as_it_was_is_gone_on_from(kind: Kinds) -> None:
    real = case(kind)
    core = core_of(*kind)
    core.restore(checkpoint.decode(content_of(real.tree)), at(0))
    check(kind, real.tree, real.messages)


FOUND: list[tuple[Kinds, Path, Any]] = [
    (KINDS[0], ("updates",), 2**63),
    (KINDS[0], ("since_gap",), 2**64 - 1),
    (KINDS[0], ("rate_hz",), float("inf")),
    (KINDS[0], ("lessons", "rmse", "_ring"), np.full(200, 1e308)),
    (KINDS[0], ("familiarity", "cycle_samples"), float("nan")),
    (KINDS[3], ("lessons", "learner", "loss"), float("inf")),
    (KINDS[3], ("lessons", "learner", "weights"), np.full(68, -3e38, np.float32)),
    (KINDS[3], ("lessons", "learner", "hidden"), np.zeros((8, 4), np.float32)),
    (KINDS[6], ("lessons", "self_learner", "challenger", "_drift", "_squares"), -1.0),
    (KINDS[6], ("lessons", "self_learner", "challenger", "_labelled"), 1),
    (KINDS[6], ("lessons", "self_learner", "challenger", "_waiting", "first_seq"), 2**63 - 1),
]


@pytest.mark.parametrize(("kind", "path", "odd"), FOUND)
@pytest.mark.parametrize("left", [False, True])
def test_what_ended_a_predictor_later_is_refused_at_its_start(
    kind: Kinds, path: Path, odd: Any, left: bool
) -> None:
    place = ("streams", 1, "left", 0, "state") if left else ("streams", 0)
    tree = case(kind).tree
    assert at_path(tree, (*place, *path)) is not odd
    with pytest.raises(FileError, match="state: "):
        core_of(*kind).restore(checkpoint.decode(content_of(replaced(tree, (*place, *path), odd))), at(0))


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@examples(20, release=80)
@given(
    st.sampled_from([kind for kind in KINDS if kind[1] != "self"]), st.sampled_from([1e-30, 1.0, 1e10, 1e29]),
    st.sampled_from([np.nan, np.inf, -1e38, 1e30, 0.0, 1e-44]), st.integers(0, 2**32),
)  # fmt: skip
def test_the_state_of_any_signal_is_taken_again(kind: Kinds, size: float, wild: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signal = size * np.sin(0.25 * np.arange(500))[:, None].repeat(2, 1)
    signal = np.where(rng.random(signal.shape) < 0.02, wild, signal).astype(np.float32)
    core = core_of(*kind)
    for first in range(0, len(signal), 20):
        list(core.receive([chunk(first, signal[first : first + 20], stream="a")], at(0)))
        list(core.catch_up(at(0)))
    core_of(*kind).restore(checkpoint.decode(kept(core)), at(0))


def test_a_band_of_a_hundred_seconds_a_cycle_is_learnt() -> None:
    core = Predictor(model("rnn"), PredictorConfig(), None, SelfConfig((0.0105, 0.0152)))
    signal = np.sin(2 * np.pi * 1.26e-4 * np.arange(65_000))[:, None].astype(np.float32)
    for first in range(0, len(signal), 1_000):
        list(core.receive([chunk(first, signal[first : first + 1_000], stream="a")], at(0)))
        list(core.catch_up(at(0)))
        while core.work() is not None:
            pass
    assert core.streams["a"].counters.updates > 0
