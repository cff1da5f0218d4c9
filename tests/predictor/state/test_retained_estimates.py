"""Estimates that a state keeps for readers: after a restart they can be asked for as before."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.state.retained_estimates import RetainedEstimates
from streamer.clock import Instant
from streamer.errors import FileError
from streamer.messages import NO_GAP, Burst, Chunk, Kind
from streamer.replay.history import History
from streamer.wire import batch, codec
from tests.support.dose import examples

SECOND_NS = 1_000_000_000


def estimate(seq: int, samples: int, *, run: int = 1, channels: int = 2, tally: int = NO_GAP) -> Chunk:
    values = np.random.default_rng(seq).standard_normal((samples, channels, 2)).astype(np.float32)
    return Chunk(Kind.ESTIMATE, "s", run, seq, 10**18 + seq, 1000.0, values, seq // 3, tally)


def burst(seq: int, count: int) -> Burst:
    times_ns = 10**18 + np.arange(seq, seq + 2 * count, 2, dtype=np.int64)
    return Burst(estimate(seq, 2 * count), times_ns)


def said(history: History, run: int = 1) -> list[list[bytes]]:
    """Everything that can be had of a run, as it would be sent."""
    parts: list[list[bytes]] = []
    for found in history.find(
        Kind.ESTIMATE, "s", run, history.oldest_seq(Kind.ESTIMATE, "s", run) or 0, 2**40, 10**6
    ):
        assert isinstance(found, Chunk | Burst)
        parts += (
            (list(each) for each in batch.encode(found)) if isinstance(found, Burst) else [codec.encode(found)]
        )
    return parts


def restarted(tree: dict) -> History:  # type: ignore[type-arg]
    history = History(30.0, 2**20)
    RetainedEstimates(history, "s").restore(tree, Instant(5, 0))
    return history


@examples(25, release=150)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_what_could_be_asked_for_can_be_after_a_restart(pieces: list[tuple[int, bool, bool]]) -> None:
    history = History(30.0, 2**20)
    retained = RetainedEstimates(history, "s")
    seq = 0
    tree = retained.state()
    for samples, several, look in pieces:
        message = burst(seq, samples) if several else estimate(seq, samples, tally=seq)
        history.add(message, seq)
        seq += 2 * samples if several else samples
        if look:  # states are taken now and then
            tree = retained.state()
    tree = retained.state()
    assert said(restarted(tree)) == said(history)


def test_several_runs_and_a_change_of_width() -> None:
    history = History(30.0, 2**20)
    for message in (estimate(0, 3), estimate(3, 2, channels=5), estimate(9, 1, run=7)):
        history.add(message, 0)
    after = restarted(RetainedEstimates(history, "s").state())
    assert [said(after, run) for run in (1, 7)] == [said(history, run) for run in (1, 7)]


def test_what_is_forgotten_leaves_the_state() -> None:
    history = History(30.0, 2**20)
    retained = RetainedEstimates(history, "s")
    for seq in range(5):
        history.add(estimate(seq, 1), seq * 10 * SECOND_NS)
    segments = retained.state()["segments"]
    assert said(restarted({"segments": segments}))[-3:] == said(history)
    history.add(estimate(5, 1), 1000 * SECOND_NS)
    assert [segment["messages"][0].tolist() for segment in retained.state()["segments"]] == [[5]]


def column(row: int, *numbers: int) -> Callable[[dict], None]:  # type: ignore[type-arg]
    def put(segment: dict) -> None:  # type: ignore[type-arg]
        segment["messages"] = segment["messages"].copy()
        segment["messages"][row] = numbers

    return put


def member(name: str, value: object) -> Callable[[dict], None]:  # type: ignore[type-arg]
    return lambda segment: segment.update({name: value})


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(column(2, 0, 1), id="a message of nothing"),
        pytest.param(column(2, 2, 1), id="times for other messages"),
        pytest.param(column(1, 3, 9), id="more samples than values"),
        pytest.param(column(1, -3, 5), id="a message that ends before it begins"),
        pytest.param(column(0, -1, 4), id="before the first sample"),
        pytest.param(member("messages", np.zeros((6, 2), np.int64)), id="a column less"),
        pytest.param(member("values", np.zeros((4, 2, 2), np.float32)), id="fewer values"),
        pytest.param(member("times_ns", np.zeros(3, np.int64)), id="more times"),
        pytest.param(member("run", "1"), id="no number"),
    ],
)
def test_what_cannot_be_a_state_is_refused(damage: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    history = History(30.0, 2**20)
    for message in (estimate(0, 3), estimate(3, 2)):
        history.add(message, 0)
    (segment,) = RetainedEstimates(history, "s").state()["segments"]
    damage(segment)
    with pytest.raises(FileError):
        restarted({"segments": [segment]})


def test_many_small_states_are_one_array_each() -> None:
    history = History(30.0, 2**20)
    retained = RetainedEstimates(history, "s")
    for seq in range(50):
        history.add(estimate(seq, 1), 0)
        segments = retained.state()["segments"]
    assert len(segments) == 1
    assert said(restarted({"segments": segments})) == said(history)
