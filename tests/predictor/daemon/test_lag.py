"""How late answers are: measured on samples that come live, each run for itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.daemon.core import Predictor, PredictorConfig
from streamer.messages import Burst, Chunk, Incoming, Info
from tests.support.simulation import at, chunk, status_of
from trainer.model import ModelConfig, new_model

LATE_S = 0.003


def predictor() -> Predictor:
    return Predictor(new_model(ModelConfig("gru", 4), seed=1), PredictorConfig())


def samples(first: int, end: int) -> list[Chunk]:
    return [chunk(seq, [1.0]) for seq in range(first, end)]


def burst(first: int, end: int) -> Burst:
    parts = samples(first, end)
    whole = chunk(first, [1.0] * (end - first))
    return Burst(whole, np.array([part.time_ns for part in parts], np.int64))


def live(core: Predictor, first: int, end: int) -> None:
    """Say samples one by one, each as it happens and a little late."""
    for seq in range(first, end):
        list(core.receive([chunk(seq, [1.0])], at(seq / 100 + LATE_S)))


def info(next_seq: int) -> Info:
    return Info("demo", 1, next_seq, at(next_seq / 100).wall_ns, 100.0, ("0",), replays=True)


def lag(core: Predictor, q: str = "lag_p99_s") -> object:
    return status_of(core, seconds=1000.0)[q]


@pytest.mark.parametrize("sent_again", [samples(0, 3000), [burst(0, 3000)], [chunk(0, [1.0] * 3000)]])
@pytest.mark.parametrize("first_heard", ["info", "sample"])
def test_what_a_late_predictor_catches_up_with_does_not_count(
    sent_again: list[Incoming], first_heard: str
) -> None:
    core = predictor()
    if first_heard == "info":
        list(core.receive([info(3000)], at(30)))
    else:
        live(core, 3000, 3001)
    list(core.receive(sent_again, at(30 + LATE_S)))
    live(core, 3000 + (first_heard == "sample"), 3100)
    assert status_of(core)["samples"] == 3100
    assert lag(core) == pytest.approx(LATE_S, abs=1e-6)


def test_while_nothing_has_come_live_no_lag_is_said() -> None:
    core = predictor()
    list(core.receive([info(100)], at(30)))
    list(core.receive(samples(0, 50), at(31)))
    assert (lag(core, "lag_p50_s"), lag(core)) == (None, None)


def test_what_was_lost_and_sent_again_does_not_count_and_what_waited_for_it_does() -> None:
    core = predictor()
    live(core, 0, 10)
    list(core.receive(samples(11, 12), at(0.11 + LATE_S)))  # 10 was lost
    list(core.receive(samples(10, 11), at(0.5)))
    assert status_of(core)["samples"] == 12
    entries = sorted(core.streams["demo"]._time.lag_s._ring[: core.streams["demo"]._time.lag_s.count])
    assert entries == pytest.approx([LATE_S] * 10 + [0.5 - 0.11], abs=1e-6)


def test_a_lost_tail_that_an_info_told_of_does_not_count() -> None:
    core = predictor()
    live(core, 0, 10)
    list(core.receive([info(20)], at(0.2)))
    list(core.receive(samples(10, 20), at(5.0)))
    live(core, 20, 30)
    assert status_of(core)["samples"] == 30
    assert lag(core) == pytest.approx(LATE_S, abs=1e-6)


def test_each_run_begins_its_own() -> None:
    core = predictor()
    list(core.receive(samples(0, 100), at(60)))
    assert float(str(lag(core))) > 50
    for seq in range(200):  # the first waits for the second: one message makes no run
        list(core.receive([chunk(seq, [1.0], run=2)], at(3600 + seq / 100 + LATE_S)))
    assert lag(core, "lag_p50_s") == pytest.approx(LATE_S, abs=1e-6)
    assert float(str(lag(core))) < 1


@given(lost=st.sets(st.integers(1, 60), max_size=30))
def test_whatever_is_lost_on_the_way_no_sample_sent_again_counts(lost: set[int]) -> None:
    core = predictor()
    for seq in range(62):
        if seq not in lost:
            live(core, seq, seq + 1)
    list(core.receive([*samples(0, 62), info(62)], at(100)))
    assert status_of(core)["samples"] == 62
    stream = core.streams["demo"]
    assert stream._time.lag_s.count == 62 - len(lost)
