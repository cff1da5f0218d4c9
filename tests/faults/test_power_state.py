"""Power cuts of a predictor with --state-dir: no start fails, what was reported is there, the bits are the same.

As in `test_power`. The source has everything, so whatever was lost is estimated again.
"""

import os
import random
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.state import writer
from predictor.state.folder import StateFolder
from predictor.state.writer import StateWriter
from streamer.effects import Checkpoint, Decide, Effect, Send
from streamer.messages import Burst, Chunk, Gone, Incoming, Kind, Recorded, Written
from streamer.source.signals import Signal
from streamer.wire import codec
from tests.support.fixtures import Dose, Inject
from tests.support.powercut import Recorder, cuts
from tests.support.simulation import at, published
from trainer.model import ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner

MODEL = new_model(ModelConfig("rnn", 4, level_samples=20.0), seed=2)
STEP_S = 0.03
GAP = range(90, 99)
Estimates = dict[int, bytes]


class Moment(NamedTuple):
    """What was on disk for good by then: a state's number, a count of decisions, a published end."""

    number: int = 0
    decisions: int = 0
    end: int = 0


class LateSyncer:
    """Forces to disk when it is told to, and then knows what it was asked to force."""

    error: OSError | None = None
    failures = 0
    newest: "LateSyncer"

    def __init__(self) -> None:
        self._wanted: deque[tuple[int, Moment]] = deque()
        self.present = self.durable = Moment()
        LateSyncer.newest = self

    @property
    def busy(self) -> bool:
        return bool(self._wanted)

    def sync(self, descriptor: int) -> None:
        self._wanted.append((os.dup(descriptor), self.present))

    def step(self) -> None:
        """Force all of it to disk."""
        moment = self.durable
        while self._wanted:
            descriptor, moment = self._wanted.popleft()
            os.fsync(descriptor)
            os.close(descriptor)
        self.durable = moment

    close = step


class AtOnce:
    """An executor that does what it is given at once."""

    def __init__(self, **_options: object) -> None:
        pass

    def submit(self, work: Any, *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(work(*arguments))
        return future

    def shutdown(self, *, wait: bool) -> None:
        pass


@pytest.fixture(autouse=True)
def late_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FsyncThread", LateSyncer)
    monkeypatch.setattr(writer, "ThreadPoolExecutor", AtOnce)
    monkeypatch.setattr(writer, "ENDS_EVERY_S", 0.0)


def core(learns: bool) -> Predictor:
    learner = partial(OnlineLearner, config=OnlineConfig(10, 5)) if learns else None
    return Predictor(MODEL, PredictorConfig(checkpoint_every_s=0.3, retain_s=1e6), learner)


def messages() -> list[Incoming]:
    """What a source says, without some samples, which are gone."""
    said: list[Incoming] = []
    for message in published(Signal(rate_hz=100.0, noise=0.1, seed=3), 210, chunk=3):
        if isinstance(message, Chunk) and message.kind is Kind.INPUT and message.seq in GAP:
            continue
        said.append(message)  # type: ignore[arg-type]
        if isinstance(message, Chunk) and message.kind is Kind.INPUT and message.seq == GAP.stop:
            said.append(Gone(Kind.INPUT, message.stream, message.run, GAP.start, len(GAP)))
    return said


class Life:
    """A predictor with its directory, in the middle of its life."""

    def __init__(self, predictor: Predictor, keeper: StateWriter | None) -> None:
        self.core, self.keeper = predictor, keeper
        self.estimates: Estimates = {}
        self.number = self.decisions = 0

    def lives(self, heard: Sequence[Incoming], begin_s: float) -> Iterator[None]:
        for step, message in enumerate(heard):
            now = at(begin_s + STEP_S * step)
            told: list[Incoming] = [message]
            while told:
                self._perform(self.core.receive(told, now))
                self._perform(self.core.catch_up(now))
                self._perform(self.core.tick(now))
                outcome = None if self.keeper is None else self.keeper.outcome()
                self.number = max(self.number, (outcome.number or 0) if isinstance(outcome, Written) else 0)
                assert not (isinstance(outcome, Recorded) and outcome.error)
                told = [] if outcome is None else [outcome]
            yield

    def _perform(self, effects: Any) -> None:
        effect: Effect
        for effect in effects:
            match effect:
                case Decide(decision) if self.keeper is not None:
                    self.keeper.decide(decision)
                    self.decisions += 1
                case Checkpoint() if self.keeper is not None:
                    self.keeper.write(effect)
                case Send(Chunk() | Burst() as sent):
                    for chunk in sent.chunks() if isinstance(sent, Burst) else [sent]:
                        self._publish(chunk)

    def _publish(self, chunk: Chunk) -> None:
        topic, header, _ = codec.encode(chunk)
        if self.keeper is not None:
            self.keeper.ends.note(topic, header)
        for seq, values in enumerate(chunk.values, chunk.seq):
            assert self.estimates.setdefault(seq, values.tobytes()) == values.tobytes(), seq


def record(work: Path, heard: Sequence[Incoming], learns: bool, rng: random.Random) -> Recorder:
    """Two lives, the first of them ended by kill -9 or in order."""
    with Recorder(work) as recorder:
        for begin_s, count in ((0.0, rng.randint(1, len(heard))), (100.0, len(heard))):
            with StateFolder(work / "state") as folder, StateWriter(folder) as keeper:
                disk, life = LateSyncer.newest, Life(core(learns), keeper)
                go_on(life, folder, keeper, begin_s)
                for _ in life.lives(heard[:count], begin_s):
                    disk.present = Moment(life.number, life.decisions, max(life.estimates, default=-1) + 1)
                    recorder.see((life.number, disk.durable))
                    if rng.random() < 0.2:
                        disk.step()
    return recorder


def go_on(life: Life, folder: StateFolder, keeper: StateWriter, begin_s: float) -> int:
    """Take up what is there, as `sincos predict` does; return how many decisions that was."""
    tree, damaged = folder.latest()
    memory, remarks = keeper.memory()
    assert damaged == []
    life.core.recall(memory)
    if tree is not None:
        life.core.restore(tree, at(begin_s))
    return sum("damaged" in line for line in remarks)


@pytest.mark.parametrize("learns", [False, True], ids=["", "learning"])
def test_a_predictor_goes_on_from_what_was_reported_and_says_the_same_bits(
    tmp_path: Path, learns: bool, dose: Dose, rng: np.random.Generator, injected: Inject
) -> None:
    heard = messages()
    undisturbed = Life(core(learns), None)
    for _ in undisturbed.lives(heard, 0.0):
        pass
    assert set(undisturbed.estimates) == set(range(210)) - set(GAP)
    drawn, count = random.Random(int(rng.integers(2**31))), 0
    for round_ in range(dose.pick(quick=1, release=5)):
        (work := tmp_path / f"work{round_}").mkdir()
        recorder, seed = record(work, heard, learns, drawn), drawn.getrandbits(31)
        for number, image, seen in cuts(recorder, dose.pick(quick=25, release=60), seed):
            image.put(tmp_path / "cut")
            reported, durable = seen[-1] if seen else (0, Moment())
            try:
                with StateFolder(tmp_path / "cut" / "state") as folder, StateWriter(folder) as keeper:
                    assert folder.next_number > reported
                    life = Life(core(learns), keeper)
                    go_on(life, folder, keeper, 1000.0)
                    run = heard[0].run if isinstance(heard[0], Chunk) else 1
                    assert keeper.ends.published("demo", run) >= durable.end or len(seen) < 2
                    for _ in life.lives(heard, 1000.0):
                        pass
                first = min(life.estimates, default=210)
                assert life.estimates == {seq: bits for seq, bits in undisturbed.estimates.items() if seq >= first}
            except BaseException as error:
                error.add_note(f"cut ({seed}, {number}), {reported}, {durable}")
                raise
            count += 1
    injected(f"power cut of a predictor, {'learning' if learns else 'not learning'}", count)
