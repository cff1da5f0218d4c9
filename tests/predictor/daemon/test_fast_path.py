"""Answered at once or thought about first: the same bytes go out, and the same is kept and counted."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from operator import itemgetter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.daemon.fast_path import FEW, MAX_AT_ONCE, MAX_OF_A_STREAM, MAX_OF_ALL
from predictor.engine.resident import ResidentRnn
from predictor.state import checkpoint
from streamer.effects import Checkpoint, Effect, Reply, Send
from streamer.messages import ANSWERED, Burst, Chunk, Incoming, Info, Kind, Replay, Request, Status
from streamer.replay.history import History
from streamer.wire import batch, codec
from tests.support.atonce import parts_of, received
from tests.support.dose import examples
from tests.support.sameness import differences
from tests.support.simulation import at, chunk
from trainer.model import Model, ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner
from trainer.state import Tree

Hear = Callable[[Predictor, list[Incoming], float], Iterable[Effect]]
STREAMS = [f"s{number}" for number in range(FEW + 2)]


def model(cell: str = "rnn", seed: int = 1) -> Model:
    return new_model(ModelConfig(cell, 6), seed)


def predictor(way: str = "rnn", seed: int = 1) -> Predictor:
    config = PredictorConfig(checkpoint_every_s=5.0, nominal_hz=4.0 if way == "nominal" else None)
    if way == "learning":
        return Predictor(model(), config, partial(OnlineLearner, config=OnlineConfig(6, 3)))
    return Predictor(model("rnn" if way == "nominal" else way, seed), config)


def rest(core: Predictor, seconds: float) -> list[Effect]:
    """What a shell has done before the next messages come."""
    done: list[Effect] = []
    if at(seconds).mono_ns >= core.next_deadline_ns():
        done += core.tick(at(seconds))
    while (effects := core.work()) is not None:
        done += effects
    return done


def at_once(core: Predictor, messages: list[Incoming], seconds: float) -> list[Effect]:
    return [*received(core, messages, at(seconds)), *rest(core, seconds)]


def thought_about(core: Predictor, messages: list[Incoming], seconds: float) -> list[Effect]:
    return [*core.receive(grouped(messages), at(seconds)), *rest(core, seconds)]


def grouped(messages: list[Incoming]) -> list[Incoming]:
    """Stream by stream, as a transport hands them over."""
    said = parts_of(messages)
    return messages if said is None else batch.decode(sorted(said, key=lambda parts: parts[0].partition(b"/")[2]))


def outgoing(effects: Iterable[Effect]) -> list[tuple[bytes, ...]]:
    """Everything but statuses, as bytes, stream by stream."""
    told: list[tuple[bytes, ...]] = []
    for effect in effects:
        message = effect.message if isinstance(effect, Send | Reply) else None
        if isinstance(message, Burst):
            told += [tuple(parts) for parts in batch.encode(message)]
        elif message is not None and not isinstance(message, Status):
            told.append(tuple(codec.encode(message)))
    return sorted(told, key=lambda parts: parts[0])


def single(seq: int, stream: str = "demo", **other: object) -> Chunk:
    run = int(other.pop("run", 1))  # type: ignore[call-overload]
    return replace(chunk(seq, [np.sin(0.25 * seq)], stream=stream, run=run), **other)  # type: ignore[arg-type]


def kept(core: Predictor) -> Tree:
    """The state that a predictor would leave if it were stopped now, estimates as a reader would get them."""
    (state,) = [effect for effect in core.stop(at(2.0)) if isinstance(effect, Checkpoint)]
    tree = checkpoint.decode(b"".join(checkpoint.encode(state.head, state.streams)))
    tree["streams"].sort(key=itemgetter("name"))
    for stream in tree["streams"]:
        stream["retained"] = retained(core, stream["name"])
    return tree


def retained(core: Predictor, stream: str) -> list[tuple[bytes, ...]]:
    history: History = core._history
    told: list[Effect] = []
    for run in history.runs(Kind.ESTIMATE, stream):
        told += [Reply(b"", said) for said in history.find(Kind.ESTIMATE, stream, run, 0, 10_000, 10_000)]
    return outgoing(told)


MEASURED = {"rate_hz", "lag_p50_s", "lag_p99_s"}  # on the clock: who answers at once is noted a moment earlier


def counted(core: Predictor) -> dict[str, dict[str, object]]:
    return {
        name: {key: value for key, value in stream.status(at(2.0)).body.items() if key not in MEASURED}
        for name, stream in core.streams.items()
    }


class Script:
    """Draws what happens to some streams; most of it is the next sample by itself, or one of each stream."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.next = dict.fromkeys(STREAMS, 0)
        self.targets = dict.fromkeys(STREAMS, 0)
        self.runs = dict.fromkeys(STREAMS, 1)

    def draw(self) -> list[Incoming]:
        kinds = ["lone"] * 8 + ["each"] * 8 + ["some"] * 2
        match self.random.choice(kinds):
            case "lone":
                return self._of(self.random.choice(STREAMS[:2]))
            case "each":
                return [self._next(name) for name in STREAMS]
            case _:
                named = self.random.choices(STREAMS, k=self.random.randint(2, 14))
                drawn = [message for name in named for message in self._of(name)]
                return [message for message in drawn if not isinstance(message, Request)]

    def _made(self, name: str, seq: int) -> Chunk:
        return single(seq, stream=name, run=self.runs[name], tally=self.targets[name])

    def _next(self, name: str) -> Chunk:
        self.next[name] += 1
        return self._made(name, self.next[name] - 1)

    def _of(self, name: str) -> list[Incoming]:
        seq, run = self.next[name], self.runs[name]
        odd = ["odd", "again", "skip", "many", "run", "target", "target", "replay", "info"]
        match self.random.choice(["next"] * 12 + odd):
            case "next":
                return [self._next(name)]
            case "odd":
                return [replace(self._next(name), values=np.full((1, 1, 1), np.nan, np.float32))]
            case "again":
                return [self._made(name, max(0, seq - 1))]
            case "skip":
                self.next[name] += 2
                return [self._next(name)]
            case "many":
                return batch.decode([codec.encode(self._next(name)) for _ in range(4)])
            case "run":
                self.runs[name] += 1
                self.next[name] = self.targets[name] = 0
                return []
            case "target" if self.targets[name] < seq:
                self.targets[name] += 1
                target = chunk(self.targets[name] - 1, [0.5], kind=Kind.TARGET, stream=name, run=run)
                return [replace(target, tally=seq)]
            case "replay":
                return [Request(b"peer", Replay(Kind.ESTIMATE, name, run, max(0, seq - 5), 9))]
            case "info":
                place = self.targets[name], False
                return [Info(name, run, seq, 0, 100.0, ("0",), ("cos",), 0, False, None, *place)]
            case _:
                return []


@pytest.mark.parametrize("way", ["rnn", "gru", "gated", "learning", "nominal"])
@examples(4, release=20)
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_the_same_goes_out_and_the_same_is_kept(way: str, seed: int) -> None:
    fast, slow, script = predictor(way), predictor(way), Script(seed)
    for step in range(60):
        messages, seconds = script.draw(), 0.03 * step
        if messages:
            assert outgoing(at_once(fast, messages, seconds)) == outgoing(thought_about(slow, messages, seconds))
    assert list(differences(kept(fast), kept(slow))) == []
    assert counted(fast) == counted(slow)


def answered(core: Predictor, messages: list[Chunk]) -> int:
    """How many of messages that come together are answered before the core hears of them."""
    said = [codec.encode(message) for message in messages]
    if len(said) == 1:
        answers = [answer for answer in [core.fast_paths.answer(said[0])] if answer is not None]
        left = said[len(answers) :]
    else:
        left = core.fast_paths.take(said)
        answers = list(core.fast_paths.answers())
    seconds = 0.01 * messages[0].seq
    list(core.receive([ANSWERED] * bool(answers) + batch.decode(left), at(seconds)))
    rest(core, seconds)
    return len(answers)


@pytest.mark.parametrize("way", ["rnn", "gru", "gated", "nominal"])
def test_from_its_second_sample_on_a_stream_is_answered_at_once(way: str) -> None:
    core = predictor(way)
    assert [answered(core, [single(seq)]) for seq in range(5)] == [0, 1, 1, 1, 1]


def test_so_is_one_that_learns_even_after_its_targets_have_come() -> None:
    core = predictor("learning")
    told = []
    for seq in range(30):
        told.append(answered(core, [single(seq, tally=seq)]))
        list(core.receive([replace(chunk(seq, [0.5], kind=Kind.TARGET), tally=seq + 1)], at(0.01 * seq)))
        rest(core, 0.01 * seq)
    assert told == [0] + [1] * 29
    assert core.streams["demo"].counters.updates > 5


def test_where_targets_fail_to_come_it_is_learnt_from_what_is_there_before_the_same_sample() -> None:
    fast, slow = predictor("learning"), predictor("learning")
    for seq in range(60):
        messages: list[Incoming] = [single(seq, tally=min(seq, 4))]
        if seq < 4:
            messages.append(replace(chunk(seq, [0.5], kind=Kind.TARGET), tally=seq + 1))
        for message in messages:
            ours, oracle = at_once(fast, [message], 0.01 * seq), thought_about(slow, [message], 0.01 * seq)
            assert outgoing(ours) == outgoing(oracle)
        for core in (fast, slow):
            core.streams["demo"].scheduler._labels.capacity = 20
    assert fast.streams["demo"].counters.updates > 0


@pytest.mark.parametrize("streams", [2, FEW, 300])
def test_one_sample_of_each_of_many_streams_is_answered_at_once(streams: int) -> None:
    core = predictor()
    names = [f"s{number}" for number in range(streams)]
    told = [answered(core, [single(seq, stream=name) for name in names]) for seq in range(4)]
    assert told == [0] + [streams] * 3


def test_streams_that_are_never_idle_come_to_be_answered_at_once() -> None:
    core = predictor()
    for seq in range(40):
        said = [codec.encode(single(seq, stream=name)) for name in STREAMS]
        left = core.fast_paths.take(said)
        answers = list(core.fast_paths.answers())
        list(core.receive([ANSWERED] * bool(answers) + batch.decode(left), at(0.01 * seq)))
    assert len(answers) == len(STREAMS)


@pytest.mark.parametrize(("samples", "told"), [(2, 4), (MAX_AT_ONCE, 2 * MAX_AT_ONCE), (MAX_AT_ONCE + 1, 0)])
def test_a_few_messages_of_a_stream_are_answered_one_after_another(samples: int, told: int) -> None:
    core = predictor()
    for name in ("a", "b"):
        answered(core, [single(0, stream=name)])
    said = [single(seq, stream=name) for seq in range(1, samples + 1) for name in ("a", "b")]
    assert answered(core, said) == told


def test_from_one_on_that_cannot_be_answered_all_of_a_stream_are_left_together_and_in_order() -> None:
    core = predictor()
    for name in ("a", "b"):
        answered(core, [single(0, stream=name)])
    said = [codec.encode(single(seq, stream=name)) for seq in (1, 3, 2, 3) for name in ("a", "b")]
    left = core.fast_paths.take(said)
    assert len(list(core.fast_paths.answers())) == 2
    assert left == said[2::2] + said[3::2]


def test_what_was_answered_does_not_wait_for_ever_nor_take_much_memory() -> None:
    core = predictor()
    told = [answered(core, [single(seq)]) for seq in range(2 * MAX_OF_A_STREAM)]
    assert sum(told) == len(told) - 1
    assert core.streams["demo"].counters.samples >= MAX_OF_A_STREAM
    names = [f"s{number}" for number in range(64)]
    for seq in range(MAX_OF_ALL // 64 + 20):
        answered(core, [single(seq, stream=name) for name in names])
    unsettled = sum(len(fast_path) for fast_path in core.fast_paths._by_topic.values())
    assert MAX_OF_ALL - MAX_OF_A_STREAM <= unsettled <= MAX_OF_ALL


def test_another_model_answers_from_the_next_sample_on() -> None:
    core, oracle = predictor(), predictor()
    for seq in range(20):
        if seq == 10:
            list(core.reload(model(seed=2)))
            list(oracle.reload(model(seed=2)))
        ours = outgoing(at_once(core, [single(seq)], 0.01 * seq))
        assert ours == outgoing(thought_about(oracle, [single(seq)], 0.01 * seq))
    assert isinstance(core.fast_paths._by_topic[b"input/demo/"].resident, ResidentRnn)
