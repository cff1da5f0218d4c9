"""Streams take turns: one with much to do keeps nobody waiting, and gets the same estimates in the same order."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.daemon.stream import MAX_COLUMNS, slice_values
from streamer.effects import Ask, Checkpoint, Effect
from streamer.messages import Burst, Chunk, Incoming, Info, Kind, Status, Written
from streamer.ordering.retry import RetryPolicy
from streamer.wire import batch, codec
from tests.support.dose import examples
from tests.support.simulation import answer, at, chunk, joined, sent
from trainer.model import Model, ModelConfig, new_model
from trainer.model_file import load_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner
from trainer.selfsupervised.learner import SelfConfig

SMALL = new_model(ModelConfig("gru", 4), seed=1)
DEFAULT = load_model("default")
SLICE = slice_values(DEFAULT, learns_itself=False)


def wave(count: int, channels: int = 1) -> np.ndarray:
    return np.sin(0.25 * np.arange(count))[:, None] * np.linspace(1.0, 2.0, channels)


def chunks(effects: Sequence[Effect], stream: str = "demo") -> list[Chunk]:
    return [m for m in sent(effects) if isinstance(m, Chunk) and m.stream == stream]


def values(effects: Sequence[Effect]) -> int:
    """How many values were estimated."""
    said = [m.chunk if isinstance(m, Burst) else m for m in sent(effects) if isinstance(m, Chunk | Burst)]
    return sum(one.values.shape[0] * one.values.shape[1] for one in said)


def slices(core: Predictor, messages: Sequence[Incoming], seconds: float = 0.0) -> list[list[Effect]]:
    """What is done for messages, turn by turn."""
    turns = [list(core.receive(messages, at(seconds)))]
    while core.next_deadline_ns() == 0:
        turns.append(list(core.tick(at(seconds))))
    return turns


# Turns


def test_between_two_slices_of_a_large_message_others_are_answered_and_a_status_is_said() -> None:
    core = Predictor(DEFAULT)
    answer(core, [chunk(0, [0.0], stream="other")])
    list(core.receive([chunk(0, wave(5000))], at(0)))
    for turn in range(1, 5):
        (estimate,) = chunks(list(core.receive([chunk(turn, [0.5], stream="other")], at(turn))), "other")
        assert estimate.seq == turn
        told = list(core.tick(at(turn)))
        assert values(told) == SLICE
        assert any(isinstance(m, Status) for m in sent(told))


@pytest.mark.parametrize("channels", [1, 3, 300, 1100])
def test_a_slice_is_bounded_in_values_however_many_channels(channels: int) -> None:
    turns = slices(Predictor(DEFAULT), [chunk(0, wave(4000 // channels + 2, channels))])
    assert max(map(values, turns)) <= max(SLICE, channels)
    assert len(turns) > 4


@pytest.mark.parametrize("model", [DEFAULT, SMALL])
@pytest.mark.parametrize("channels", [MAX_COLUMNS + 3, 2 * MAX_COLUMNS + 8, 2 * MAX_COLUMNS + 40])
def test_very_many_channels_are_stepped_in_parts_with_the_same_bits(model: Model, channels: int) -> None:
    core = Predictor(model)
    heard = wave(3, channels)
    turns = slices(core, [chunk(0, heard)])
    whole, _ = core._engine.run(heard.astype(np.float32), model.initial_state(channels))
    assert joined(chunks([e for turn in turns for e in turn])).tobytes() == whole.tobytes()
    assert len(turns) >= channels // MAX_COLUMNS


def test_a_burst_and_what_was_held_are_done_in_slices_too() -> None:
    said = [codec.encode(chunk(seq, wave(4000)[seq : seq + 1])) for seq in range(4000)]
    turns = slices(Predictor(DEFAULT), batch.decode(said))
    assert max(map(values, turns)) <= SLICE
    core = Predictor(DEFAULT, PredictorConfig(retry_policy=RetryPolicy(deadline_s=0.2)))
    answer(core, [chunk(0, [0.0])])
    answer(core, [chunk(seq, wave(30)) for seq in range(31, 3031, 30)])
    now, most, total = 0.0, 0, 0
    while total < 3000:
        now += 0.05
        done = values(list(core.tick(at(now))))
        most, total = max(most, done), total + done
        assert now < 60
    assert most <= SLICE + 30


def test_several_that_ask_for_much_at_once_take_turns() -> None:
    turns = slices(Predictor(DEFAULT), [chunk(0, wave(3000), stream=name) for name in "abcdef"])
    assert max(map(values, turns)) <= SLICE
    order = [m.stream for turn in turns for m in sent(turn) if isinstance(m, Chunk)]
    assert set(order[1:7]) == set("abcdef")


def test_a_stream_at_work_is_said_to_be_where_its_estimates_are() -> None:
    core = Predictor(DEFAULT)
    list(core.receive([chunk(0, wave(5000))], at(0)))
    told = list(core.tick(at(1)))
    (status,) = [m for m in sent(told) if isinstance(m, Status) and m.stream == "demo"]
    assert status.next_seq == 2 * SLICE
    assert status.body["health"] == "LIVE"


def test_the_end_does_not_wait_for_what_is_left() -> None:
    core = Predictor(DEFAULT)
    list(core.receive([chunk(0, wave(5000))], at(0)))
    assert values(list(core.stop(at(0)))) == 0


# The same estimates


def learner(kind: str) -> Predictor:
    config = PredictorConfig(retry_policy=RetryPolicy(deadline_s=0))
    if kind == "target":
        return Predictor(SMALL, config, partial(OnlineLearner, config=OnlineConfig(20, 10)))
    if kind == "self":
        return Predictor(DEFAULT, config, self_config=SelfConfig(band_hz=(3.0, 5.0)))
    return Predictor(SMALL if kind == "small" else DEFAULT, config)


SIZES = st.lists(st.integers(1, 900), min_size=1, max_size=4)


@examples(8, release=60)
@given(kind=st.sampled_from(["default", "small", "target", "self"]), sizes=SIZES, data=st.data())
def test_estimates_are_those_of_messages_done_one_by_one(kind: str, sizes: list[int], data: st.DataObject) -> None:
    signal, messages, seq = wave(sum(sizes) + 900), [], 0
    for size in sizes:
        part = signal[seq : seq + size]
        messages += [chunk(seq, part, stream=name) for name in ("one", "two")]
        if kind == "target":
            messages.append(chunk(seq, part, kind=Kind.TARGET, stream="one"))
        seq += size
    calm, torn = learner(kind), learner(kind)
    expected = [m for message in messages for m in answer(calm, [message])]
    effects: list[Effect] = []
    while messages:
        count = data.draw(st.integers(1, len(messages)))
        effects += torn.receive(messages[:count], at(0))
        del messages[:count]
        for _ in range(data.draw(st.integers(0, 3))):
            effects += torn.tick(at(0))
    effects += torn.catch_up(at(0))
    for name in ("one", "two"):
        ours, theirs = chunks(effects, name), [c for c in expected if c.stream == name]
        assert joined(ours).tobytes() == joined(theirs).tobytes()
        assert [c.seq for c in ours] == np.cumsum([0] + [len(c.values) for c in ours])[:-1].tolist()


@pytest.mark.parametrize("kind", ["default", "target", "self"])
def test_a_state_taken_in_the_middle_of_a_message_goes_on_with_the_same_bits(kind: str) -> None:
    signal = wave({"default": 5_000, "target": 30_000, "self": 1_000}[kind])
    whole = joined(answer(learner(kind), [chunk(0, signal), chunk(len(signal), signal[:100])]))
    core = learner(kind)
    core._snapshots = Predictor(SMALL, PredictorConfig(checkpoint_every_s=0.1))._snapshots
    list(core.receive([chunk(0, signal)], at(0)))
    states = [e for k in range(1, 3) for e in core.tick(at(k / 10)) if isinstance(e, Checkpoint)]
    list(core.receive([Written(1, None)], at(1)))
    state = core.streams["demo"].snapshot()
    assert states
    assert state is not None
    again = learner(kind)
    again.streams["demo"] = stream = again._new_stream("demo")
    stream.restore(state, at(1))
    place = stream.order.next_seq
    assert 0 < place < len(signal)
    rest = [chunk(place, signal[place:]), chunk(len(signal), signal[:100])]
    assert joined(answer(again, rest)).tobytes() == whole[place:].tobytes()


def test_a_hole_after_long_work_is_waited_for_from_then_on() -> None:
    core = Predictor(DEFAULT, PredictorConfig(retry_policy=RetryPolicy(deadline_s=5)))
    answer(core, [Info("demo", 1, 0, 0, 100.0, 1, (), 0, 0, replays=True), chunk(0, [0.0])])
    list(core.receive([chunk(1, wave(3000)), chunk(3002, [0.0])], at(0)))
    seconds, asked, gap = 0.0, 0, None
    for seconds in np.arange(7.0, 30.0, 0.5):
        told = list(core.tick(at(seconds)))
        asked += sum(isinstance(e, Ask) for e in told)
        if core.streams["demo"].counters.gaps:
            gap = seconds
            break
    assert asked >= 3
    assert gap is not None
    assert gap >= 12.0


# What waits


def test_what_waits_is_bounded_and_what_is_dropped_counted_and_leaves_room_for_others() -> None:
    core = Predictor(DEFAULT)
    core._turns._queue_bytes = 100_000  # a thousand values take 4.7 kB; the first of each stream waits, too
    list(core.receive([chunk(0, wave(5000)), chunk(0, wave(5000), stream="two")], at(0)))
    list(core.receive([chunk(5000 + k * 1000, wave(1000)) for k in range(50)], at(0)))
    assert core.streams["demo"].counters.overflowed == 42_000
    list(core.receive([chunk(5000, wave(1000), stream="two")], at(0)))
    assert core.streams["two"].counters.overflowed == 0
    list(core.catch_up(at(0)))
    assert core._turns.waiting_bytes == 0
    list(core.receive([chunk(55_000, [0.0])], at(0)))
    assert core.streams["demo"].disturbed  # the hole is there to be asked for


def test_nothing_more_is_read_where_one_stream_alone_sends_more_than_can_be_done() -> None:
    core = Predictor(DEFAULT)
    core._turns._queue_bytes = 80_000
    list(core.receive([chunk(0, wave(5000))], at(100)))
    list(core.receive([chunk(5000 + k * 1000, wave(1000)) for k in range(5)], at(100)))
    list(core.tick(at(200)))
    assert core.full() is False  # once, to hear whether anybody else speaks
    assert core.full() is True
    list(core.tick(at(201)))
    assert core.full() is False
    list(core.receive([chunk(0, [0.0], stream="other")], at(201)))
    assert core.full() is False
    assert core.full() is False  # who else speaks is heard, and the stream's messages are dropped
