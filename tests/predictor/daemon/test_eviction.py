"""Streams that are silent make room for those that speak, and nothing of them is left."""

import gc
import tracemalloc

import numpy as np
import pytest

from predictor.daemon.core import LAST_WORDS, Predictor, PredictorConfig
from streamer.effects import Say
from streamer.messages import Info, Status
from streamer.ordering.retry import RetryPolicy
from tests.support.simulation import answer, at, chunk, joined, said, sent
from trainer.model import ModelConfig, new_model
from trainer.selfsupervised.learner import SelfConfig

MODEL = new_model(ModelConfig("gru", 4), seed=1)
WAVE = np.sin(0.3 * np.arange(40))


def core_for(most: int, **options: object) -> Predictor:
    config = PredictorConfig(max_streams=most, retry_policy=RetryPolicy(deadline_s=0))
    return Predictor(MODEL, config, **options)  # type: ignore[arg-type]


def test_the_longest_silent_makes_room_and_who_comes_gets_every_estimate() -> None:
    core = core_for(3)
    for second, name in enumerate("abc"):
        answer(core, [chunk(0, [0.5], stream=name)], second)
    answer(core, [chunk(1, [0.5], stream="a")], 3.0)
    came = answer(core, [chunk(0, WAVE, stream="d")], 10.0)
    assert set(core.streams) == {"a", "c", "d"}
    alone = answer(Predictor(MODEL), [chunk(0, WAVE, stream="d")])
    assert joined(came).tobytes() == joined(alone).tobytes()
    again = answer(core, [chunk(0, WAVE, stream="b")], 11.0)
    assert set(core.streams) == {"a", "b", "d"}
    assert joined(again).tobytes() == joined(alone).tobytes()
    told = list(core.tick(at(12.0)))
    assert any("2 stream(s) that were silent for the longest were dropped" in text for text in said(told))
    assert [m.body["forgotten"] for m in sent(told) if isinstance(m, Status) and not m.stream] == [2]


def test_who_speaks_is_not_forgotten_however_many_come() -> None:
    core = core_for(2)
    info = Info("b", 1, 1, 0, 100.0, 1, (), 0, 0, replays=False)
    answer(core, [chunk(0, [0.5], stream="a"), chunk(0, [0.5], stream="b")], 0.0)
    for second in range(1, 8):
        answer(core, [chunk(second, [0.5], stream="a"), info], second)
        assert answer(core, [chunk(0, [0.5], stream="c")], second + 0.5) == []
    assert set(core.streams) == {"a", "b"}
    assert core.rejected == 7


@pytest.mark.parametrize("options", [{}, {"self_config": SelfConfig()}])
def test_nothing_is_left_of_streams_that_were_said_once(options: dict[str, object]) -> None:
    core = core_for(10, **options)

    def say(first: int, count: int) -> None:
        for number in range(first, first + count):
            message = chunk(0, [0.5, 0.25], stream=f"name{number}")
            answer(core, [message, chunk(5, [0.5], stream=f"name{number}")], 3.0 * number)
            if number % 10 == 0:
                list(core.tick(at(3.0 * number)))

    tracemalloc.start()
    say(0, 150)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    say(150, 150)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(core.streams) == 10
    assert after - before < 150 * 400  # a stream takes 30 kB; what is left are topics in a bounded cache


def test_runs_without_end_leave_no_memory_and_few_lines() -> None:
    core = core_for(10)

    def begin(first: int, count: int) -> int:
        lines = 0
        for run in range(first, first + count):
            seconds = run * 0.001
            messages = [chunk(0, [0.5], run=run), chunk(1, [0.5], run=run)]
            effects = [e for m in messages for e in (*core.receive([m], at(seconds)), *core.catch_up(at(seconds)))]
            lines += sum(isinstance(effect, Say) for effect in effects)
        return lines

    begin(1, 2000)
    gc.collect()
    tracemalloc.start()
    lines = begin(2001, 2000)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert core.streams["demo"].counters.runs > 3000
    assert grown < 200 * 1024
    assert lines <= 250


def test_the_end_of_very_many_streams_takes_a_bounded_number_of_words() -> None:
    core = core_for(3000)
    for number in range(2500):
        answer(core, [chunk(0, [0.5], stream=f"name{number}")], float(number))
    words = list(core.stop(at(2500.0)))
    assert len([text for text in said(words) if "estimates" in text]) == LAST_WORDS
    assert "stream name2499: 1 estimates" in said(words)[-LAST_WORDS - 1]
    assert said(words)[-1] == "and 1500 stream(s) that published less recently"


def wide_core() -> Predictor:
    config = PredictorConfig(
        memory_bytes=22 * 2**20, retain_bytes=2 * 2**20, retry_policy=RetryPolicy(deadline_s=0, hold_bytes=2**20)
    )  # 12 MiB for states: 1,638 channels
    return Predictor(MODEL, config)


def test_states_of_very_many_channels_are_refused_where_there_is_no_room_and_others_go_on() -> None:
    core = wide_core()
    assert answer(core, [chunk(0, np.ones((1, 3000)), stream="huge")]) == []
    assert len(answer(core, [chunk(0, np.ones((1, 1500)), stream="wide")])) == 1
    assert answer(core, [chunk(0, np.ones((1, 1000)), stream="late")], 1.0) == []
    assert core.rejected == 2
    assert "give --memory more" in str(core.status(at(1.0)).body["last_rejection"])
    assert len(answer(core, [chunk(0, WAVE, stream="narrow")], 1.0)) == 1
    assert len(answer(core, [chunk(1, np.ones((1, 1500)), stream="wide")], 1.0)) == 1
    assert len(answer(core, [chunk(0, np.ones((1, 1000)), stream="late")], 9.0)) == 1  # "wide" is silent, and goes
    assert "wide" not in core.streams
    assert "narrow" in core.streams


def test_too_little_memory_ends_one_stream_and_not_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    core = wide_core()
    answer(core, [chunk(0, WAVE, stream="other"), chunk(0, np.ones((1, 600)))])
    run = core._engine.run

    def fail(inputs: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if inputs.shape[1] > 8:
            raise MemoryError
        return run(inputs, state)

    monkeypatch.setattr(core._engine, "run", fail)
    effects = list(core.receive([chunk(1, np.ones((20, 600)))], at(20.0)))
    assert any("not enough memory" in text for text in said(effects))
    assert set(core.streams) == {"other"}
    list(core.tick(at(21.0)))
    assert len(answer(core, [chunk(40, WAVE, stream="other")], 21.0)) == 1
    monkeypatch.undo()
    assert len(answer(core, [chunk(0, np.ones((1, 600)), run=2)], 22.0)) == 1
