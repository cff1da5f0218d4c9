"""One stream as the daemon keeps it: position, hidden state, weights, and what it may still learn from."""

from collections.abc import Callable, Iterator

import numpy as np

from predictor.counters import Counters
from predictor.engine import Engine
from predictor.familiarity import Familiarity
from predictor.health import Health
from predictor.lessons import Lessons
from predictor.streamreport import StreamReport
from predictor.timekeeping import Timekeeping
from predictor.timescale import Stepper, TimeScale, time_scale
from predictor.usable import UsableInputs
from streamer.clock import Instant
from streamer.effects import INFO, WARNING, Effect, Say, Send
from streamer.errors import FileError, UsageError
from streamer.messages import Burst, Chunk, FloatArray, Info, Kind, Status
from streamer.sequencer import NEXT, Place, Placement, Sequencer
from trainer.learner import Learner
from trainer.metrics import SCORED_SAMPLES
from trainer.model import Model
from trainer.selflearner import SelfLearner
from trainer.state import Tree, array_of, subtree, value_of

SLICE_VALUES = 8192  # of a large chunk are estimated before anything else gets a turn

MakeLearner = Callable[[Model], Learner]


class Stream:
    """Turns a stream's inputs into estimates and learns from its targets.

    Estimates depend on the order of messages alone and not on when they came.

    Parameters
    ----------
    name : str
    model : Model
        To start from.
    engine : Engine
        Shared by streams that do not learn; of its own where this one learns.
    make_learner : callable or None
        Makes the learner; None to not learn from targets.
    self_learner : SelfLearner or None
        Learns on the signal itself, without targets.
    reset_on_gap : bool
        Start from the initial hidden state after a gap, rather than go on with the present one.
    nominal_hz : float or None
        Scale the model's time to signals of about that frequency. Not where targets are learnt from.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        engine: Engine,
        make_learner: MakeLearner | None,
        self_learner: SelfLearner | None = None,
        *,
        reset_on_gap: bool,
        nominal_hz: float | None = None,
    ) -> None:
        self.name = name
        self.counters = Counters()
        self._model = model
        self._engine = engine
        self._reset_on_gap = reset_on_gap
        self._nominal_hz = nominal_hz
        self._scale = TimeScale()
        self._stepper: Stepper = engine
        self._sequencer = Sequencer()
        self.lessons = Lessons(
            engine, len(model.config.fields), make_learner(model) if make_learner else None, self_learner,
            self.counters,
        )  # fmt: skip
        self._time = Timekeeping()
        self._report = StreamReport(name, self.counters)
        self._begin(channels=0)
        self._since_reset = 0
        self._rate_hz = 0.0  # of the run, as its first chunk said

    # What comes in

    def predict(self, message: Chunk | Burst, now: Instant) -> Iterator[Effect]:
        """Estimate the samples of an input chunk that are new, or of each chunk of a burst."""
        return self._predict(message, now) if isinstance(message, Chunk) else self._predict_burst(message, now)

    def _predict_burst(self, burst: Burst, now: Instant) -> Iterator[Effect]:
        if not self.lessons.learns and burst.chunk.values.size <= SLICE_VALUES and self.continues(burst.chunk):
            inputs = self.accept(burst.chunk)
            estimates, state = self._stepper.run(inputs, self.state)
            yield self.answer(burst, estimates, state)
            self.remember(burst, inputs, estimates, now)
        else:
            for chunk in burst.chunks():
                yield from self._predict(chunk, now)

    def _predict(self, chunk: Chunk, now: Instant) -> Iterator[Effect]:
        samples, channels, _ = chunk.values.shape
        if chunk.run == self._sequencer.run and channels != self.state.shape[1]:
            self.counters.refused += 1
            return
        placement = self._sequencer.place(chunk.run, chunk.seq, samples)
        if placement is not NEXT and placement.place in (Place.DUPLICATE, Place.STALE_RUN):
            self.counters.duplicates += samples
            return
        self.lessons.learn_all()
        if placement is not NEXT:
            yield from self._resync(placement, chunk)
        first = placement.skip
        while first < samples:
            self.lessons.learn_all()
            end = first + min(self.lessons.room, max(1, SLICE_VALUES // channels))
            inputs = self._usable(chunk.values[first:end, :, 0])
            modelled, state = self._stepper.run(inputs, self.state)
            estimates = self.lessons.serve(inputs, modelled)
            yield Send(self._advance(chunk, first, estimates, state))
            self._keep(inputs, estimates, modelled)
            first = end
        self._time.answered(chunk, now)

    def _resync(self, placement: Placement, chunk: Chunk) -> Iterator[Effect]:
        """Begin a run, or go on after a gap or with a chunk that has been heard in part."""
        if placement.place is Place.NEW_RUN:
            yield from self._new_run(chunk, chunk.values.shape[1])
        elif placement.place is Place.AFTER_GAP:
            self._gap(placement.missing, resume_seq=chunk.seq)
        self.counters.duplicates += placement.skip

    # For who steps several streams at once

    @property
    def scaled(self) -> bool:
        """Whether it keeps a time of its own, so that nothing can be stepped beside it."""
        return self._stepper is not self._engine

    def continues(self, chunk: Chunk) -> bool:
        """Return whether a chunk is simply what comes next."""
        follows = chunk.run == self._sequencer.run and chunk.seq == self._sequencer.next_seq
        return follows and chunk.values.shape[1] == self.state.shape[1]

    def accept(self, chunk: Chunk) -> FloatArray:
        """Take a chunk that continues the stream; return its inputs for the engine."""
        self._sequencer.place(chunk.run, chunk.seq, len(chunk.values))
        return self._usable(chunk.values[:, :, 0])

    def answer(self, message: Chunk | Burst, estimates: FloatArray, state: FloatArray) -> Send:
        """Take what the engine returned for the accepted inputs; return the answer to `message`."""
        if isinstance(message, Chunk):
            return Send(self._advance(message, 0, estimates, state))
        return Send(Burst(self._advance(message.chunk, 0, estimates, state), message.times_ns))

    def remember(self, message: Chunk | Burst, inputs: FloatArray, estimates: FloatArray, now: Instant) -> None:
        """Keep what has been answered until its targets come, and note how late it came."""
        self._keep(inputs, estimates, estimates)
        if isinstance(message, Chunk):
            self._time.answered(message, now)
        else:
            self._time.answered_burst(message.chunk, message.times_ns, now)

    def hear(self, message: Chunk | Info, now: Instant) -> None:
        """Learn from a target chunk, or note what the source says of its stream."""
        if isinstance(message, Chunk):
            self._teach(message)
        else:
            self._note(message, now)

    def _teach(self, chunk: Chunk) -> None:
        """Join a target chunk to its samples, and score the estimates made for them."""
        if chunk.run != self._sequencer.run or chunk.values.shape[1] != self.state.shape[1]:
            self.counters.refused += 1
            return
        self.lessons.teach(chunk)

    def _note(self, info: Info, now: Instant) -> None:
        if info.run != self._sequencer.run:
            return
        missing = self._sequencer.lost_tail(info.run, info.next_seq)
        if missing:
            self.lessons.learn_all()
            self._gap(missing, resume_seq=info.next_seq)
        self._time.spoken(now, ended=info.ended)

    # What the clock brings

    def tick(self, now: Instant) -> Iterator[Effect]:
        """Say what changed since the last tick, and publish the status."""
        if self._time.judge(now):
            health = self._time.health
            level = WARNING if health in (Health.STALE, Health.LOST) else INFO
            text = f"{health.name}: {health.value}, at sample {self._sequencer.next_seq}"
            yield Say(f"stream {self.name}: {text}", level)
        for text in self.lessons.news():
            yield Say(f"stream {self.name}: {text}")
        yield from self._report.changes()
        verdict = self._familiarity.judge()
        if verdict is not None:
            yield Say(f"stream {self.name}: {verdict}", INFO if self._familiarity.familiar else WARNING)
        self._time.measure(self.counters.samples, now.mono_ns)
        yield Send(self.status(now))

    def status(self, now: Instant) -> Status:
        """Return the stream's status; the fields stand in docs/protocol.md."""
        counters = self.counters
        p50_s, p99_s = self._time.lag_s.quantiles(0.5, 0.99)
        body = {
            "health": self._time.health.name,
            "model": self._model.name,
            "fields": list(self._model.config.fields),
            "model_version": counters.updates,
            "samples": counters.samples,
            "since_reset_samples": self._since_reset,
            "rate_hz": self._time.rate_hz,
            "lag_p50_s": p50_s,
            "lag_p99_s": p99_s,
            "runs": counters.runs,
            "gaps": counters.gaps,
            "gap_samples": counters.gap_samples,
            "duplicates": counters.duplicates,
            "unusable": counters.unusable,
            "refused": counters.refused,
            "prequential_rmse": self.lessons.rmse.value,
            "scored": self.lessons.rmse.count,
            "learning": self.lessons.status(),
            "samples_per_step": self._scale.samples_per_step,
            "cycle_samples": self._familiarity.cycle_samples,
            "familiar": self._familiarity.familiar,
        }
        return Status(self.name, self._sequencer.run or 0, self._sequencer.next_seq, now.wall_ns, body)

    def summary(self) -> str:
        """Return one line for the operator at the end."""
        text = f"stream {self.name}: {self.counters.samples} estimates"
        rmse = self.lessons.rmse
        if rmse.value is not None:
            text += f", RMSE {rmse.value:.4f} over the last {min(rmse.count, SCORED_SAMPLES)} samples"
        if self.lessons.learns:
            text += f", {self.counters.updates} updates"
        if self.counters.gaps:
            text += f", {self.counters.gap_samples} samples missing in {self.counters.gaps} gaps"
        p50, p99 = self._time.lag_s.quantiles(0.5, 0.99)
        if p50 is not None and p99 is not None:
            text += f", lag p50 {p50 * 1e3:.2f} p99 {p99 * 1e3:.2f} ms"
        return text

    # Within

    def _begin(self, channels: int) -> None:
        """Start from the initial hidden state."""
        self.state = self._stepper.initial_state(channels)
        self._usable_inputs = UsableInputs(channels)
        self._familiarity = Familiarity(self._model, self._scale, channels)

    def _new_run(self, chunk: Chunk, channels: int) -> Iterator[Effect]:
        self.counters.runs += 1
        yield from self._set_scale(chunk.rate_hz)
        self._begin(channels)
        self._since_reset = 0
        self.lessons.begin(self.state, chunk.seq, chunk.rate_hz)
        said = "the source restarted: new run" if self.counters.runs > 1 else "run"
        joined = f", joined at sample {chunk.seq}" if chunk.seq else ""
        yield Say(f"stream {self.name}: {said} {chunk.run:016x}, {channels} channel(s){joined}")

    def _set_scale(self, rate_hz: float) -> Iterator[Effect]:
        self._rate_hz = rate_hz
        if self._nominal_hz is None:
            return
        try:
            self._scale = time_scale(rate_hz, self._nominal_hz)
            yield Say(f"stream {self.name}: {self._scale}")
        except UsageError as error:
            self._scale = TimeScale()
            yield Say(f"stream {self.name}: {error}; the model takes each sample as it is", WARNING)
        self._stepper = self._scale.stage(self._engine)

    def _gap(self, missing: int, resume_seq: int) -> None:
        self.counters.gaps += 1
        self.counters.gap_samples += missing
        self._report.gap(resume_seq - missing, missing)
        if self._reset_on_gap:
            self.state = self._stepper.initial_state(self.state.shape[1])
            self._since_reset = 0
        self.lessons.skip(self.state, resume_seq)

    def _advance(self, chunk: Chunk, first: int, estimates: FloatArray, state: FloatArray) -> Chunk:
        """Move on past the samples of `chunk` from `first` on; return their estimates."""
        self.state = state
        self.counters.samples += len(estimates)
        self._since_reset += len(estimates)
        return Chunk(
            Kind.ESTIMATE, self.name, chunk.run, chunk.seq + first, chunk.sample_time_ns(first), chunk.rate_hz,
            estimates, self.counters.updates,
        )  # fmt: skip

    # What follows an answer waits until the answer is out: it is most of the work, and none of it changes a bit.

    def _keep(self, inputs: FloatArray, estimates: FloatArray, modelled: FloatArray) -> None:
        self.lessons.keep(inputs, estimates)
        self._familiarity.add(inputs, modelled)

    def _usable(self, inputs: FloatArray) -> FloatArray:
        usable = self._usable_inputs.of(inputs)
        self.counters.unusable += self._usable_inputs.replaced
        return usable

    def adopt(self, model: Model, engine: Engine, make_learner: MakeLearner | None, *, same_shape: bool) -> None:
        """Go on with another model from the next sample on; with its own shape, from its initial state."""
        self._model, self._engine = model, engine
        self._stepper = self._scale.stage(engine)
        if not same_shape:
            self.state = self._stepper.initial_state(self.state.shape[1])
            self._since_reset = 0
        self._familiarity = Familiarity(model, self._scale, self.state.shape[1])
        self.lessons.adopt(
            engine, make_learner(model) if make_learner else None, self.state, same_shape=same_shape
        )

    # What it goes on from after a restart

    @property
    def stand(self) -> tuple[object, ...]:
        """What differs whenever the state does."""
        return self._sequencer.run, self.counters.gaps, self.counters.refused, *self.lessons.stand

    def snapshot(self) -> Tree | None:
        """Return what later estimates depend on; None before the first run, and while an answer is under way."""
        if self._sequencer.run is None or self.lessons.next_seq != self._sequencer.next_seq:
            return None
        return {
            "name": self.name,
            "rate_hz": self._rate_hz,
            "position": self._sequencer.state(),
            "hidden": self.state.copy(),
            "since_reset": self._since_reset,
            "counters": self.counters.state(),
            "usable": self._usable_inputs.state(),
            "familiarity": self._familiarity.state(),
            "lessons": self.lessons.state(),
        }

    def restore(self, tree: Tree) -> None:
        """Go on from a state of a stream with the same model and learning.

        Raises
        ------
        FileError
            If it is of no such stream.
        """
        position = subtree(tree, "position")
        channels = array_of(tree, "hidden", (None, None), np.float32).shape[1]
        list(self._set_scale(value_of(tree, "rate_hz", float)))  # what it says has been said
        self._begin(channels)
        self.state = array_of(tree, "hidden", self.state.shape, np.float32).copy()
        self._sequencer.restore(position)
        self._since_reset = value_of(tree, "since_reset", int)
        self.counters.restore(subtree(tree, "counters"))
        self._usable_inputs.restore(subtree(tree, "usable"))
        self._familiarity.restore(subtree(tree, "familiarity"))
        self.lessons.restore(subtree(tree, "lessons"), channels)
        if self.lessons.next_seq != self._sequencer.next_seq:
            raise FileError("state: what waits for targets must end where the stream is")
        self._report.caught_up()
