"""Killed at any moment, on a faulty network: each sample gets the estimate that an undisturbed run gives it."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.daemon.core import Predictor, PredictorConfig
from streamer.messages import Incoming, Replay
from streamer.ordering.retry import RetryPolicy
from tests.support.dose import examples
from tests.support.lossy import MS, SECOND, Faults, Script, Server, chunks_of, merged, play, script
from tests.support.mortal import Mortal, Said
from trainer.model import ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner
from trainer.selfsupervised.learner import SelfConfig

CONFIG = PredictorConfig(retry_policy=RetryPolicy(deadline_s=50.0), checkpoint_every_s=0.1)
SAMPLES = {"none": 400, "target": 400, "self": 900, "nominal": 400}
WRITE_MS = [0, 30, 250]


def predictor(way: str) -> Predictor:
    model = new_model(ModelConfig("gru", 6, level_samples=20.0), seed=2)
    if way == "target":
        return Predictor(model, CONFIG, partial(OnlineLearner, config=OnlineConfig(10, 5)))
    if way == "self":
        return Predictor(model, CONFIG, self_config=SelfConfig((40.0, 70.0)))
    return Predictor(model, replace(CONFIG, nominal_hz=20.0) if way == "nominal" else CONFIG)


class Servers:
    """The histories of several streams."""

    def __init__(self, said: Script) -> None:
        names = {chunk.stream for chunk in chunks_of(said)}
        self._by_stream = {name: Server([c for c in chunks_of(said) if c.stream == name]) for name in names}

    def answer(self, request: Replay, now_ns: int) -> list[Incoming]:
        return self._by_stream[request.stream].answer(request, now_ns)


def told(way: str, said: Script, kills_ns: list[int], faults: Faults, seed: int = 0, write_ms: int = 0) -> Mortal:
    daemon = Mortal(partial(predictor, way), kills_ns, write_ms * MS)
    play(said, Servers(said), daemon, faults, seed, until_ns=40 * SECOND)  # type: ignore[arg-type]
    return daemon


def golden(way: str, said: Script) -> dict[tuple[str, int, int], Said]:
    return told(way, said, [], Faults()).said


@cache
def script_of(way: str, delay: int, chunk: int) -> Script:
    """What two sources say."""
    return merged(
        script(SAMPLES[way], chunk=chunk, delay=delay),
        script(SAMPLES[way], delay=delay, stream="other", start_ms=50, wave=0.35),
    )


@cache
def golden_of(way: str, delay: int, chunk: int) -> dict[tuple[str, int, int], Said]:
    """What an undisturbed run makes of it; the same for all examples."""
    return golden(way, script_of(way, delay, chunk))


@pytest.mark.parametrize("way", list(SAMPLES))
@examples(2, release=10)
@given(
    kills_ms=st.lists(st.integers(1, 900), min_size=1, max_size=4, unique=True),
    faults=st.builds(
        Faults, st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 0.2])
    ),
    delay=st.sampled_from([0, 25]),
    chunk=st.sampled_from([1, 7]),
    write_ms=st.sampled_from(WRITE_MS),
    seed=st.integers(0, 2**32),
)
def test_a_kill_changes_no_bit(
    way: str, kills_ms: list[int], faults: Faults, delay: int, chunk: int, write_ms: int, seed: int
) -> None:
    said = script_of(way, delay, chunk)
    kills_ns = sorted(kill * MS for kill in kills_ms)
    disturbed = told(way, said, kills_ns, faults, seed, write_ms)
    assert disturbed.killed == len(kills_ms)
    expected = golden_of(way, delay, chunk)
    assert len(expected) == 2 * SAMPLES[way]
    assert disturbed.said == expected


def test_it_goes_on_from_what_was_kept_and_says_little_twice() -> None:
    said = script(3000)
    kills_ns = [int(kill) for kill in np.arange(550, 2900, 500) * MS]
    daemon = told("target", said, kills_ns, Faults(), write_ms=10)
    assert daemon.said == golden("target", said)
    assert daemon.restored == daemon.killed == 5
    assert 0 < daemon.again < 5 * 200, "no more than what came since the last state"
