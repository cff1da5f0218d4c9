"""Whatever the network does to a stream, its estimates are those of an undisturbed run, to the bit."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.api.settings import choose_learning
from predictor.daemon.core import Predictor, PredictorConfig
from streamer.clock import Instant
from streamer.effects import Ask, Effect, Say, Send
from streamer.messages import NO_GAP, Burst, Chunk, Incoming, Replay
from streamer.ordering.retry import RetryPolicy
from tests.support.atonce import received
from tests.support.dose import examples
from tests.support.lossy import MS, SECOND, WALL_NS, Faults, Script, Server, chunks_of, merged, play, script
from tests.support.simulation import status_of
from trainer.model import Model, ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner

Said = tuple[bytes, int, int, int]  # values, source time, model version, tally
PATIENT = RetryPolicy(deadline_s=50.0)


class Daemon:
    """A predictor's core as a reader of the lossy network; keeps every estimate, sample by sample."""

    def __init__(self, core: Predictor) -> None:
        self.core = core
        self.said: dict[tuple[str, int, int], Said] = {}
        self.seqs: dict[tuple[str, int], list[int]] = {}
        self.lines: list[str] = []
        self.asked = 0

    def receive(self, messages: Sequence[Incoming], now_ns: int) -> Iterable[Replay]:
        now = Instant(now_ns, WALL_NS + now_ns)
        wishes = list(self._perform(received(self.core, messages, now))) if messages else []
        if now_ns >= self.core.next_deadline_ns():
            wishes += self._perform(self.core.tick(now))
        while self.core.work() is not None:
            pass
        self.asked += len(wishes)
        return wishes

    def _perform(self, effects: Iterable[Effect]) -> Iterable[Replay]:
        for effect in effects:
            match effect:
                case Ask(replay):
                    yield replay
                case Say(text):
                    self.lines.append(text)
                case Send(Chunk() as chunk):
                    self._keep(chunk)
                case Send(Burst() as burst):
                    for chunk in burst.chunks():
                        self._keep(chunk)

    def _keep(self, chunk: Chunk) -> None:
        for k, values in enumerate(chunk.values):
            key = chunk.stream, chunk.run, chunk.seq + k
            assert key not in self.said
            tally = chunk.tally if chunk.tally == NO_GAP else chunk.tally + k
            self.said[key] = values.tobytes(), chunk.sample_time_ns(k), chunk.model_version, tally
            self.seqs.setdefault(key[:2], []).append(key[2])

    def due_ns(self) -> int | None:
        return self.core.next_deadline_ns()


def model() -> Model:
    return new_model(ModelConfig("gru", 8, level_samples=20.0), seed=2)


def predictor(way: str, retry_policy: RetryPolicy = PATIENT, **config: object) -> Predictor:
    settled = PredictorConfig(retry_policy=retry_policy, **config)  # type: ignore[arg-type]
    if way == "target":
        return Predictor(model(), settled, partial(OnlineLearner, config=OnlineConfig(10, 5)))
    if way == "self":
        return Predictor(model(), settled, self_config=choose_learning("self", (40, 70)).self_config)
    if way == "nominal":
        return Predictor(model(), replace(settled, nominal_hz=20.0))
    return Predictor(model(), settled)


class Servers:
    """The histories of several streams."""

    def __init__(self, said: Script, kept: int | None = None) -> None:
        names = {chunk.stream for chunk in chunks_of(said)}
        self._by_stream = {n: Server([c for c in chunks_of(said) if c.stream == n], kept) for n in names}

    def answer(self, request: Replay, now_ns: int) -> list[Incoming]:
        return self._by_stream[request.stream].answer(request, now_ns)


def heard(way: str, said: Script, faults: Faults, seed: int = 0, from_ms: int = 0) -> Daemon:
    daemon = Daemon(predictor(way))
    play(said, Servers(said), daemon, faults, seed, until_ns=40 * SECOND, from_ns=from_ms * MS)
    return daemon


@cache
def undisturbed(way: str, count: int, chunk: int, delay: int, **more: object) -> Daemon:
    """What comes of a script on a perfect network; the same for all examples."""
    return heard(way, script(count, chunk=chunk, delay=delay, **more), Faults())  # type: ignore[arg-type]


faulty = st.builds(
    Faults,
    loss=st.sampled_from([0.0, 0.05, 0.2]),
    twice=st.sampled_from([0.0, 0.2]),
    late=st.sampled_from([0.0, 0.1, 0.5]),
    late_ms=st.sampled_from([2, 30, 400]),
)
WAYS = [("none", 400), ("target", 400), ("self", 900), ("nominal", 400)]


@pytest.mark.parametrize(("way", "count"), WAYS)
@pytest.mark.parametrize("delay", [0, 25])
@pytest.mark.parametrize("chunk", [1, 7])
@examples(1, release=6)
@given(faults=faulty, from_ms=st.sampled_from([0, 0, 40, 1200]), seed=st.integers(0, 2**32))
def test_no_fault_changes_a_bit(
    way: str, count: int, delay: int, chunk: int, faults: Faults, from_ms: int, seed: int
) -> None:
    said = script(count, chunk=chunk, delay=delay)
    golden = undisturbed(way, count, chunk, delay)
    assert len(golden.said) == count
    disturbed = heard(way, said, faults, seed, from_ms)
    assert disturbed.said == golden.said
    assert disturbed.seqs == golden.seqs


@examples(3, release=20)
@given(faulty, st.sampled_from(["none", "target"]), st.integers(0, 2**32))
def test_streams_that_are_disturbed_together_keep_their_bits(faults: Faults, way: str, seed: int) -> None:
    scripts = [
        {"count": 150, "chunk": size, "delay": delay, "stream": f"s{k}", "start_ms": 3 * k, "wave": 0.2 + 0.05 * k}
        for k, (size, delay) in enumerate([(1, 0), (1, 0), (1, 25), (3, 0), (7, 10), (1, 0)])
    ]
    together = heard(way, merged(*(script(**said) for said in scripts)), faults, seed)  # type: ignore[arg-type]
    for said in scripts:
        alone = undisturbed(way, **said)  # type: ignore[arg-type]
        for key, estimate in alone.said.items():
            assert together.said[key] == estimate
    assert all(seqs == list(range(150)) for seqs in together.seqs.values())


def test_the_faults_happen_and_are_counted() -> None:
    said = script(400)
    daemon = heard("target", said, Faults(0.1, 0.2, 0.1, 30), seed=3)
    status = status_of(daemon.core, seconds=41)
    assert daemon.asked == status["asked"] > 0
    assert status["recovered_samples"] > 20  # type: ignore[operator]
    assert status["duplicates"] > 20  # type: ignore[operator]
    assert (status["gaps"], status["target_gaps"], status["replays"]) == (0, 0, True)


@examples(8, release=40)
@given(faulty, st.sampled_from(["none", "target", "self"]), st.sampled_from([0, 5, 60]), st.booleans(),
       st.integers(0, 2**32))  # fmt: skip
def test_a_sample_gets_one_estimate_or_lies_in_one_reported_gap(
    faults: Faults, way: str, kept: int, reset: bool, seed: int
) -> None:
    said = script(400)
    daemon = Daemon(predictor(way, RetryPolicy(deadline_s=0.5), reset_on_gap=reset))
    play(said, Servers(said, kept), daemon, faults, seed, until_ns=40 * SECOND)
    (seqs,) = daemon.seqs.values()
    assert seqs == sorted(set(seqs))
    status = status_of(daemon.core, seconds=41)
    assert len(seqs) + status["gap_samples"] + seqs[0] == 400  # type: ignore[operator]
    since = NO_GAP
    for before, seq in zip([seqs[0] - 1, *seqs], seqs, strict=False):
        since = 0 if seq > before + 1 else since if since == NO_GAP else since + 1
        assert daemon.said["demo", 1, seq][3] == since
