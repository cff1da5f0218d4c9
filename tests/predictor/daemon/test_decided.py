"""A predictor that dies after it decided something decides the same again, and says nothing twice otherwise."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.state import checkpoint
from streamer.effects import Checkpoint, Decide, Effect, Say, Send
from streamer.messages import Burst, Chunk, Gone, Incoming, Kind
from streamer.ordering.restarts import restarted_run
from streamer.ordering.retry import RetryPolicy
from tests.support.dose import examples
from tests.support.memories import Disk
from tests.support.simulation import at, chunk
from trainer.model import ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner
from trainer.selfsupervised.learner import SelfConfig

MODEL = new_model(ModelConfig("gru", 6, level_samples=20.0), seed=2)
WAYS = ["none", "target", "self"]
INPUT, TARGET = Kind.INPUT, Kind.TARGET
HOUR_NS = 3_600_000_000_000


def predictor(way: str = "none", *, reset: bool = False, from_start: bool = True) -> Predictor:
    config = PredictorConfig(
        reset_on_gap=reset, retry_policy=RetryPolicy(from_start=from_start), checkpoint_every_s=5.0, retain_s=1e6
    )
    if way == "target":
        return Predictor(MODEL, config, partial(OnlineLearner, config=OnlineConfig(10, 5)))
    return Predictor(MODEL, config, self_config=SelfConfig((8.0, 18.0)) if way == "self" else None)


def spoken(first: int, end: int, *, run: int = 1) -> list[Chunk]:
    """Inputs and their targets, as a source says them in turn."""
    said: list[Chunk] = []
    while first < end:
        last = min(end, first + 5)
        seqs = 0.8 * np.arange(first, last)
        said.append(replace(chunk(first, np.sin(seqs), run=run), tally=first))
        targets = np.stack([-np.cos(seqs), np.sin(seqs)], -1)[:, None].astype(np.float32)
        said.append(replace(said[-1], kind=TARGET, values=targets, tally=last))
        first = last
    return said


def cut(messages: Sequence[Chunk], samples: int) -> list[Chunk]:
    """The same, in the same order, in smaller messages."""
    return [
        replace(one, seq=one.seq + k, time_ns=one.sample_time_ns(k), values=one.values[k : k + samples])
        for one in messages
        for k in range(0, len(one.values), samples)
    ]


def gone(first: int, end: int, kind: Kind = INPUT, run: int = 1) -> Gone:
    return Gone(kind, "demo", run, first, end - first)


@dataclass
class Life:
    """One life of a predictor, on the disk of all."""

    core: Predictor
    disk: Disk
    published: list[int] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def hear(self, messages: Iterable[Incoming]) -> "Life":
        for message in messages:
            self._perform(self.core.receive([message], at(0)))
            self._perform(self.core.catch_up(at(0)))
        return self

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Decide(decision):
                    self.disk.decide(decision)
                case Send(Chunk() | Burst() as said):
                    for one in said.chunks() if isinstance(said, Burst) else [said]:
                        self.disk.publish(one)
                        self.published += range(one.seq, one.end_seq)
                case Say(text):
                    self.lines.append(text)

    def state(self) -> bytes:
        """The state that is on disk from now on."""
        (effect,) = [effect for effect in self.core.stop(at(0)) if isinstance(effect, Checkpoint)]
        return b"".join(checkpoint.encode(effect.head, effect.streams))

    def body(self) -> dict[str, object]:
        self._perform(self.core.tick(at(10)))
        return dict(self.core.streams["demo"].status(at(10)).body)


def life(make: Callable[[], Predictor], disk: Disk, state: bytes | None) -> Life:
    core = make()
    core.recall(disk.memory())
    if state is not None:
        core.restore(checkpoint.decode(state), at(0))
    return Life(core, disk)


def must_agree(disk: Disk) -> None:
    assert disk.contradictions == []
    assert disk.both() == []


def without(messages: Sequence[Incoming], kind: Kind, first: int, end: int) -> list[Incoming]:
    """Leave out what is missing, which is said to be gone once something later shows that it is."""
    left: list[Incoming] = []
    for message in messages:
        of_the_kind = isinstance(message, Chunk) and message.kind is kind
        if not of_the_kind or not first <= message.seq < end:
            left.append(message)
        if of_the_kind and message.seq == end:
            left.append(gone(first, end, kind))
    return left


def after(first: int, end: int, last: int) -> list[Incoming]:
    """What is said from `end` to `last`, while what lies before cannot be had from `first` on."""
    said = spoken(end, last)
    return [*said[:2], gone(first, end), gone(first, end, TARGET), *said[2:]]


@pytest.mark.parametrize("other", [False, True], ids=["", "the other --on-gap"])
@pytest.mark.parametrize("reset", [False, True], ids=["hold", "reset"])
@pytest.mark.parametrize("way", WAYS)
def test_what_was_given_up_is_given_up_again_though_it_can_be_had_by_now(
    way: str, reset: bool, other: bool
) -> None:
    disk = Disk()
    first = life(partial(predictor, way, reset=reset), disk, None).hear(spoken(0, 30))
    state = first.state()
    first.hear(without(spoken(30, 200), INPUT, 50, 60))
    assert first.body()["gap_samples"] == 10
    second = life(partial(predictor, way, reset=reset is not other), disk, state).hear(spoken(30, 300))
    must_agree(disk)
    assert second.published == [*range(30, 50), *range(60, 300)]
    body = second.body()
    assert (body["gaps"], body["gap_samples"], body["hole_samples"]) == (1, 10, 0)
    assert any("samples 50 to 59 did not come" in line for line in second.lines)


def test_targets_that_were_given_up_are_not_learnt_from_after_a_restart() -> None:
    disk = Disk()
    first = life(partial(predictor, "target"), disk, None).hear(spoken(0, 30))
    state = first.state()
    first.hear(without(spoken(30, 200), TARGET, 50, 60))
    assert first.body()["target_gap_samples"] == 10
    second = life(partial(predictor, "target"), disk, state).hear(spoken(30, 300))
    must_agree(disk)
    assert second.published == [*range(30, 300)]
    assert second.body()["target_gap_samples"] == 10


@examples(15, release=80)
@given(
    way=st.sampled_from(["none", "target"]),
    kept_at=st.integers(0, 12),
    holes=st.lists(st.tuples(st.sampled_from([INPUT, TARGET]), st.integers(1, 38), st.integers(1, 5)), max_size=3),
    size=st.sampled_from([1, 3, 5]),
    deaths=st.integers(1, 3),
)
def test_any_gaps_at_any_place_are_the_same_in_every_life(
    way: str, kept_at: int, holes: list[tuple[Kind, int, int]], size: int, deaths: int
) -> None:
    """Also where the source cuts its messages otherwise; not when learning: that takes effect between messages."""
    size = 5 if way == "target" else size
    disk, heard = Disk(), list[Incoming](spoken(0, 200))
    for kind, place, length in holes:
        if kind is INPUT or way == "target":
            heard = without(heard, kind, 5 * place, 5 * (place + length))
    first = life(partial(predictor, way), disk, None)
    first.hear(heard[: 2 * kept_at])
    state = first.state() if kept_at else None
    first.hear(heard[2 * kept_at :])
    for _ in range(deaths):
        later = life(partial(predictor, way), disk, state).hear(cut(spoken(0, 300), size))
        must_agree(disk)
        assert later.published[-1] == 299


@pytest.mark.parametrize("way", WAYS)
def test_a_hole_over_what_was_estimated_is_no_gap_and_nothing_is_said_otherwise(way: str) -> None:
    disk = Disk()
    first = life(partial(predictor, way), disk, None).hear(spoken(0, 30))
    state = first.state()
    first.hear(spoken(30, 100))
    second = life(partial(predictor, way), disk, state).hear(after(30, 60, 150))
    must_agree(disk)
    assert second.published == [*range(100, 150)]
    body = second.body()
    assert (body["gaps"], body["hole_samples"]) == (0, 30)
    (line,) = [line for line in second.lines if "samples 30 to 59 were estimated before the restart" in line]
    assert "estimates up to sample 99 were published and stay as they are" in line
    third = life(partial(predictor, way), disk, state).hear(spoken(30, 180))  # it can be had again: too late
    must_agree(disk)
    assert third.published == [*range(100, 180)]


def test_a_hole_that_goes_on_beyond_what_was_published_is_a_gap_from_there() -> None:
    disk = Disk()
    first = life(predictor, disk, None).hear(spoken(0, 30))
    state = first.state()
    first.hear(spoken(30, 100))
    second = life(predictor, disk, state).hear(after(30, 120, 150))
    must_agree(disk)
    body = second.body()
    assert second.published == [*range(120, 150)]
    assert (body["gaps"], body["gap_samples"], body["hole_samples"]) == (1, 20, 70)
    assert any("GAP: samples 100 to 119 did not come" in line for line in second.lines)


@pytest.mark.parametrize("way", WAYS)
def test_a_state_that_is_taken_within_what_was_published_says_so(way: str) -> None:
    disk = Disk()
    first = life(partial(predictor, way), disk, None).hear(spoken(0, 30))
    state = first.state()
    first.hear(spoken(30, 100))
    second = life(partial(predictor, way), disk, state).hear(after(30, 60, 80))
    third = life(partial(predictor, way), disk, second.state()).hear(spoken(80, 150))
    must_agree(disk)
    assert third.published == [*range(100, 150)]


def test_targets_that_are_gone_by_now_mute_what_was_learnt_with_them() -> None:
    disk = Disk()
    first = life(partial(predictor, "target"), disk, None).hear(spoken(0, 30))
    state = first.state()
    first.hear(spoken(30, 100))
    second = life(partial(predictor, "target"), disk, state).hear(without(spoken(30, 150), TARGET, 40, 60))
    must_agree(disk)
    assert [seq for seq in second.published if seq >= 60] == [*range(100, 150)]
    assert second.body()["target_gap_samples"] == 20


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_cannot_be_heard_to_its_end_again_changes_no_estimate_of_the_next(way: str) -> None:
    disk = Disk()
    first = life(partial(predictor, way), disk, None).hear(spoken(0, 30))
    state = first.state()
    first.hear([*spoken(30, 100), *spoken(0, 60, run=2)])
    second = life(partial(predictor, way), disk, state).hear(spoken(0, 150, run=2))
    must_agree(disk)
    assert second.published == [*range(60 if way != "none" else 0, 150)]
    assert second.body()["gaps"] == 0
    assert any("samples 30 to 99 of run 0000000000000001 were estimated before" in line for line in second.lines)


@pytest.mark.parametrize("way", ["none", "target"])
def test_what_was_decided_before_the_first_state_is_decided_again(way: str) -> None:
    disk = Disk()
    life(partial(predictor, way), disk, None).hear(after(0, 20, 100))
    second = life(partial(predictor, way), disk, None).hear(spoken(0, 150))
    must_agree(disk)
    assert second.published == [*range(20, 150)]


@pytest.mark.parametrize("way", ["none", "target"])
def test_a_run_is_joined_where_it_was_joined_before(way: str) -> None:
    disk = Disk()
    make = partial(predictor, way, from_start=False)
    life(make, disk, None).hear(spoken(20, 100))
    later = life(make, disk, None)
    later.hear(spoken(120, 125))  # what comes first
    assert later.published == []
    later.hear(spoken(20, 150))
    must_agree(disk)
    assert later.published == [*range(20, 150)]


def test_an_undisturbed_life_decides_nothing_but_its_run() -> None:
    disk = Disk()
    decided = []
    disk.decide = decided.append  # type: ignore[method-assign]
    life(predictor, disk, None).hear(spoken(0, 300))
    assert len(decided) == 1


def started_again(first: int, end: int, start: int) -> list[Chunk]:
    """What a source says that starts the same run again each time, an hour later."""
    return [replace(one, time_ns=one.time_ns + start * HOUR_NS) for one in spoken(first, end)]


def restarted(start: int) -> int:
    return restarted_run(1, spoken(0, 1)[0].time_ns + start * HOUR_NS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("kept_at", "died_at"), [(30, 60), (30, 140), (130, 190), (110, 210)])
def test_a_run_that_started_again_is_the_same_in_every_life(way: str, kept_at: int, died_at: int) -> None:
    """The run and its next two starts, 100 samples each; who goes on hears everything since its state again."""
    said = [message for start in range(3) for message in started_again(0, 100, start)]
    disk, whole = Disk(), Disk()
    life(partial(predictor, way), whole, None).hear(said)
    assert {run for _, run, _ in whole.estimates} == {1, restarted(1), restarted(2)}
    assert len(whole.estimates) == 300
    first = life(partial(predictor, way), disk, None)
    messages = [at_place(kept_at), at_place(died_at)]
    first.hear(said[: messages[0]])
    state = first.state()
    first.hear(said[messages[0] : messages[1]])
    life(partial(predictor, way), disk, state).hear(said[messages[0] :])
    must_agree(disk)
    assert disk.estimates == whole.estimates


def at_place(samples: int) -> int:
    """How many messages there are before a sample: five a message, and its targets."""
    return 2 * (samples // 5)


def test_a_life_that_begins_within_a_start_knows_which_one_it_is() -> None:
    disk = Disk()
    first = life(predictor, disk, None).hear(started_again(0, 100, 0))
    state = first.state()
    first.hear(started_again(0, 60, 1))
    second = life(predictor, disk, state).hear(started_again(60, 100, 1))
    second.hear([gone(0, 60)])
    must_agree(disk)
    assert {run for _, run, _ in disk.estimates} == {1, restarted(1)}
    assert {seq for _, run, seq in disk.estimates if run == restarted(1)} == set(range(100))
