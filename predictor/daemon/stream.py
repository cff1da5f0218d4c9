"""One stream as the daemon keeps it: position, hidden state, weights, and what it may still learn from."""

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

import numpy as np

from predictor.daemon import byte_order
from predictor.daemon.counters import Counters
from predictor.daemon.diagnosis import Diagnosis, RateLimit
from predictor.daemon.domain_check import DomainCheck
from predictor.daemon.health import Health
from predictor.daemon.learning import UpdateScheduler
from predictor.daemon.liveness import Liveness
from predictor.daemon.run_ends import RunEnds
from predictor.daemon.sanitize import Sanitizer
from predictor.daemon.stream_report import StreamReport
from predictor.daemon.tally_check import TallyCheck
from predictor.engine.resident import Resident, ResidentState
from predictor.engine.stepper import FEW_CHANNELS, TILE, Engine
from predictor.engine.timescale import Stepper, TimeScale, time_scale
from predictor.state.retained_estimates import RetainedEstimates
from streamer.clock import Instant
from streamer.effects import INFO, WARNING, Ask, Decide, Effect, Pause, Say, Send
from streamer.errors import FileError, UsageError
from streamer.messages import NO_GAP, Burst, Chunk, FloatArray, Gone, Info, Kind, Status, TimeArray
from streamer.ordering.decisions import Former, GapDecision, RunDecision
from streamer.ordering.events import Announcement, Event, Gap, NewRun, Part, Repeated, Rivals, StartedAgain
from streamer.ordering.reorder_buffer import MemoryBudget
from streamer.ordering.retry import RetryPolicy
from streamer.ordering.sequencer import OUT_OF_ORDER, Sequencer
from streamer.replay.history import History
from streamer.wire import codec
from trainer.metrics import SCORED_SAMPLES
from trainer.model import GATED, Model
from trainer.online.learner import Learner
from trainer.selfsupervised.learner import LearningWarning, SelfLearner
from trainer.state import Run, Seq, Tree, array_of, subtree, trees, value_of

NO_RATE = (
    "the source says no rate (rate_hz 0): it is measured and in the status; estimates do not need it, "
    "--nominal-hz and --band do, and the samples of a message all have its time"
)
ESTIMATE = Kind.ESTIMATE  # as core's INPUT
# Values that are estimated before anything else gets a turn, 10 ms: with the default model one takes up to 20 us,
# and 160 where it is learnt from.
SLICE_VALUES, LEARNING_SLICE_VALUES = 512, 64
SLICE_NS, VALUE_NS, WEIGHT_NS, MAX_SLICE_VALUES = 10_000_000, 1_200, 1.0, 8_192  # with others
PARTS_OF_LESSONS = 4  # that take a slice's time: most take 0.1 ms, and some 5
# Channels that are stepped together, in tiles of the engine's; few that would be left over go with the others, for
# few are stepped otherwise, with other last bits.
MAX_COLUMNS = TILE
PAUSE = Pause()
MAX_COURSE_LINES = 200  # of all streams, over ten seconds
KEPT_RUNS = 4  # that were left, to go on with them bit for bit: a state each

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
    retry_policy : RetryPolicy or None
        What is done about missing samples.
    budget : MemoryBudget or None
        Of what all streams hold.
    history : History or None
        Where estimates are kept for those who miss some.
    allowance : RateLimit or None
        Of lines that all streams may log of what is odd about them.
    course : RateLimit or None
        Of lines that all streams may log of how they begin and end.
    reset_on_gap : bool
        Start from the initial hidden state after a gap, rather than go on with the present one.
    nominal_hz : float or None
        Scale the model's time to signals of about that frequency. Not where targets are learnt from.

    Attributes
    ----------
    slice_values : int
        Of inputs, that are estimated before anything else gets a turn.
    reserved_channels : int
        That the next run has, once there is room for them.
    touched_ns : int
        When a message for it came last, save those answered before the core hears of them.
    at_work : bool
        Whether what it has heard is not all done yet: it said `Pause`, or messages wait for it.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        engine: Engine,
        make_learner: MakeLearner | None,
        self_learner: SelfLearner | None = None,
        retry_policy: RetryPolicy | None = None,
        budget: MemoryBudget | None = None,
        history: History | None = None,
        allowance: RateLimit | None = None,
        course: RateLimit | None = None,
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
        self._history = history or History(0.0, 0)
        self._retained = RetainedEstimates(self._history, name)
        # Who does not learn from targets never waits for one.
        kinds = (Kind.INPUT, Kind.TARGET) if make_learner else (Kind.INPUT,)
        self._sequencer = Sequencer(name, kinds, retry_policy, budget, self.counters)
        self.scheduler = UpdateScheduler(
            engine, len(model.config.fields), make_learner(model) if make_learner else None, self_learner,
            self.counters,
        )  # fmt: skip
        self._time = Liveness()
        self._diagnosis = Diagnosis(name, allowance or RateLimit())
        self._course = course or RateLimit(MAX_COURSE_LINES)
        self._tallies = TallyCheck()
        self._paced = True  # whether the source says its samples at the rate that it names
        self._ends = RunEnds()
        self._report = StreamReport(name, self.counters)
        self._begin(channels=0)
        self._begun = False  # whether the run has had a sample
        self._run = 0  # the last that had one
        self._left: dict[int, Tree] = {}  # states of runs that were left, in case they come back
        self._first_seq = 0
        self._given_up_to = 0  # before the run's first sample
        self._since_reset = 0
        self._since_gap: int | None = None
        self._rate_hz = 0.0  # of the run, as its first chunk said
        self._former: Former | None = None  # None where decisions are not written down
        self._published_to = 0  # of the run, by former lives
        self._muted_to = 0  # estimates below are others than those published: they are not published again
        self._answering = False  # between an answer and what is kept of it
        self.at_work = False
        self.touched_ns = 0
        self._spent = 0  # values that were estimated in this turn
        self._turn_began: Instant | None = None
        self.slice_values = slice_values(model, learns_itself=self_learner is not None)

    # Turns

    def begin_turn(self, now: Instant) -> None:
        """Have a slice's time from now on."""
        self._spent = 0
        self._turn_began = now
        if self.at_work:
            self._sequencer.now_ns = now.mono_ns
            self._time.working(now)

    def overflow(self, message: Chunk | Burst | Info | Gone) -> None:
        """Note that a message was dropped for which there was no room; its samples are asked for again."""
        chunk = message.chunk if isinstance(message, Burst) else message
        if isinstance(chunk, Chunk):
            self.counters.overflowed += len(chunk.values)

    def _rest(self, now: Instant, values: int = 1) -> Generator[Effect, None, Instant]:
        """Let others have a turn if a slice's time would be over with so many more values; return the present."""
        if self._spent and self._spent + values > self.slice_values:
            yield PAUSE
        began = self._turn_began
        return now if began is None or began.mono_ns < now.mono_ns else began

    @property
    def _next_seq(self) -> int:
        """The sample that is estimated next."""
        return self.scheduler.next_seq if self.at_work and self._begun else self._sequencer.next_seq

    @property
    def channels(self) -> int:
        """Of the present run, or of one that is about to begin."""
        return max(self.reserved_channels, int(self.state.shape[1]))

    def heard_ns(self) -> int:
        """Return when its source was last heard."""
        return max(self.touched_ns, self._time.heard_ns)

    def close(self) -> None:
        """Let go of what is held and kept; it is not heard any more."""
        self._sequencer.close()
        self._history.forget(ESTIMATE, self.name)

    # What comes in

    def predict(self, message: Chunk | Burst, now: Instant) -> Iterator[Effect]:
        """Take an input chunk or burst; estimate all samples whose turn it is."""
        if isinstance(message, Chunk):
            if self.continues(message):
                return self.predict_next(message, now)
        elif self.scheduler.learns:
            return self._predict_each(message, now)
        elif self.continues(message.chunk):
            self._sequencer.advance(message)
            return self._estimate_burst(message, now)
        return self._follow(self._sequencer.receive(message, now.mono_ns), now)

    def predict_next(self, chunk: Chunk, now: Instant) -> Iterator[Effect]:
        """Estimate the samples of a chunk that continues the stream."""
        values = chunk.values
        self._sequencer.advance(chunk)
        if self.scheduler.learns or values.size > self.slice_values:
            return self._estimate_chunk(chunk, 0, now)
        return self._estimate_whole(chunk, now)

    def _predict_each(self, burst: Burst, now: Instant) -> Iterator[Effect]:
        for chunk in burst.chunks():
            yield from self.predict(chunk, now)

    def hear(self, message: Chunk | Info | Gone, now: Instant) -> Iterator[Effect]:
        """Take a target chunk, or what the source says of its stream."""
        if isinstance(message, Chunk):
            return self._hear_target(message, now)
        if isinstance(message, Gone):
            return self._follow(self._sequencer.lose(message, now.mono_ns), now)
        return self._hear_info(message, now)

    def hear_next(self, target: Chunk) -> bool:
        """Take a target chunk that need not wait, the usual case; return False, and leave it, if it must.

        It must where targets are learnt from and this one is not simply what comes next.
        """
        if self.scheduler.learner is not None and not self._sequencer.take_target(target):
            return False
        self._teach(self._sequencer.named(target))
        return True

    def _hear_target(self, chunk: Chunk, now: Instant) -> Iterator[Effect]:
        if not self.hear_next(chunk):
            yield from self._follow(self._sequencer.receive(chunk, now.mono_ns), now)

    def _hear_info(self, info: Info, now: Instant) -> Iterator[Effect]:
        ends = (info.next_seq, info.next_target_seq)[: len(self._sequencer.kinds)]
        word = Announcement(info.run, ends, info.time_ns, info.replays, info.ended, info.repeats)
        yield from self._follow(self._sequencer.hear(word, now.mono_ns), now)
        run = self._sequencer.name_of(word)
        self._ends.note(run, info.next_seq, ended=info.ended)
        if run == self._sequencer.run:
            self._time.spoken(now)
            self._paced = info.paced
            self._tallies.info(info.next_target_seq, has_targets=bool(info.target_fields))

    def _follow(self, events: Iterator[Event], now: Instant) -> Iterator[Effect]:
        """Do what the order of the samples asks for."""
        for event in events:
            now = yield from self._rest(now)
            match event:
                case Part():
                    yield from self._take(event, now)
                case Gap():
                    yield from self._gap(event)
                case NewRun():
                    yield from self._leave(event, now)
                case StartedAgain(run, seq, name):
                    text = (
                        f"run {run:016x} starts again at {seq}: what comes now has run {name:016x} in estimates; "
                        "a source must draw a new run at each start"
                    )
                    yield Say(f"stream {self.name}: {text}", WARNING)
                case Repeated(run, seq, next_seq):
                    text = (
                        f"run {run:016x}: samples {seq} and on came again, and neither times nor infos tell "
                        f"whether they are new: they are dropped as duplicates up to sample {next_seq - 1}; "
                        "a source must draw a new run at each start"
                    )
                    yield Say(f"stream {self.name}: {text}", WARNING)
                case Rivals(followed, other):
                    text = (
                        f"two sources publish it at once: run {followed:016x} is followed, and run {other:016x} "
                        "waits until that one has ended or is silent; give each source its own name (--stream)"
                    )
                    yield Say(f"stream {self.name}: {text}", WARNING)

    def _take(self, part: Part, now: Instant) -> Iterator[Effect]:
        message, skip = part.message, part.skip
        chunk = message if isinstance(message, Chunk) else message.chunk
        if chunk.kind is Kind.TARGET:
            self._teach(chunk, skip)
            return
        if not self._begun:
            yield from self._new_run(chunk, chunk.seq + skip, now)
        if isinstance(message, Burst):
            yield from self._estimate_burst(message, now, live=part.live)
        else:
            yield from self._estimate_chunk(message, skip, now, live=part.live)

    def _teach(self, chunk: Chunk, skip: int = 0) -> None:
        """Learn from a target chunk, or score what was estimated."""
        if chunk.run != self._sequencer.run:
            self.counters.refused += not self._sequencer.knows(chunk.run)
        elif self._begun and chunk.values.shape[1] != self.state.shape[1]:
            self.counters.refused += 1
        elif self._begun:
            self.scheduler.teach(chunk, skip)

    # Estimates

    def _estimate_burst(self, burst: Burst, now: Instant, *, live: bool = True) -> Iterator[Effect]:
        size = burst.chunk.values.size // len(burst.times_ns)
        if self.scheduler.learns or size > self.slice_values or self._muted_to:
            for chunk in burst.chunks():
                now = yield from self._rest(now)
                yield from self._estimate_chunk(chunk, 0, now, live=live)
            return
        count, most = len(burst.times_ns), self.slice_values // size
        for first in range(0, count, most):
            part = burst if count <= most else burst.part(first, min(most, count - first))
            now = yield from self._rest(now, part.chunk.values.size)
            yield from self._estimate_part(part, now, live=live)

    def _estimate_part(self, burst: Burst, now: Instant, *, live: bool) -> Iterator[Effect]:
        inputs = self._usable(burst.chunk.values[:, :, 0])
        estimates, state = self._stepper.run(inputs, self.state)
        answer = self.answer(burst, estimates, state)
        try:
            yield answer
        finally:  # also where a signal ends the batch
            self.remember(burst, inputs, answer, now, live=live)

    def _estimate_whole(self, chunk: Chunk, now: Instant) -> Iterator[Effect]:
        """Answer all samples of a chunk at once, where nothing is to be learnt in between: the usual case."""
        inputs = self._usable(chunk.values[:, :, 0])
        estimates, state = self._stepper.run(inputs, self.state)
        answer = self._advance(chunk, 0, estimates, state)
        try:
            yield Send(answer)
        finally:  # also where a signal ends the batch
            self._keep(inputs, answer, estimates, now)
        self._time.answered(chunk, now)

    def _estimate_chunk(self, chunk: Chunk, skip: int, now: Instant, *, live: bool = True) -> Iterator[Effect]:
        """Answer samples whose turn it is, without the first `skip`."""
        samples, channels, _ = chunk.values.shape
        first, most = skip, max(1, self.slice_values // channels)
        while first < samples:
            now = yield from self._rest(now, channels * min(most, samples - first))
            if self.scheduler.learns:
                for _ in self.scheduler.catching_up():
                    self._spent += self.slice_values // PARTS_OF_LESSONS
                    now = yield from self._rest(now)
            end = first + min(self.scheduler.room, most)
            muted = self._muted_to > chunk.seq + first
            if muted:
                end = min(end, self._muted_to - chunk.seq)
            inputs = self._usable(chunk.values[first:end, :, 0])
            modelled, state = yield from self._step(inputs)
            answer = self._advance(chunk, first, self.scheduler.serve(inputs, modelled), state)
            try:
                if not muted:
                    yield Send(answer)
            finally:  # also where a signal ends the batch
                self._keep(inputs, answer, modelled, now)
            first = end
        self._time.answered(chunk, now, live=live)

    def _step(self, inputs: FloatArray) -> Generator[Effect, None, tuple[FloatArray, FloatArray]]:
        """Step over inputs [samples, channels], with turns for others between parts of very many channels."""
        channels, before, stepper = inputs.shape[1], self.state, self._stepper
        if channels <= MAX_COLUMNS:
            return stepper.run(inputs, before)
        parts: list[tuple[FloatArray, FloatArray]] = []
        for first in range(0, channels - FEW_CHANNELS, MAX_COLUMNS):
            if parts:
                yield PAUSE
            if self.state is not before or self._stepper is not stepper:  # another model was read meanwhile
                return self._stepper.run(inputs, self.state)
            last = first + MAX_COLUMNS >= channels - FEW_CHANNELS
            columns = slice(first, channels if last else first + MAX_COLUMNS)
            parts.append(stepper.run(inputs[:, columns], before[:, columns]))
        estimates, states = zip(*parts, strict=True)
        return np.concatenate(estimates, axis=1), np.concatenate(states, axis=1)

    # For who answers before the stream hears of anything

    @property
    def order(self) -> Sequencer:
        """Where the stream is."""
        return self._sequencer

    @property
    def fields(self) -> tuple[str, ...]:
        """Of an estimate."""
        return self._model.config.fields

    @property
    def rate_hz(self) -> float:
        """Of the run, as its first chunk said."""
        return self._rate_hz

    @property
    def tally(self) -> int:
        """Of the next estimate."""
        return NO_GAP if self._since_gap is None else self._since_gap

    def resident(self) -> Resident:
        """Return what steps on from the present state, sample by sample."""
        if isinstance(self._stepper, Engine):
            return self._stepper.resident(self.state)
        return ResidentState(self._stepper, self.state)

    # For who steps several streams at once

    @property
    def scaled(self) -> bool:
        """Whether it keeps a time of its own, so that nothing can be stepped beside it."""
        return self._stepper is not self._engine

    def continues(self, chunk: Chunk) -> bool:
        """Return whether an input chunk is simply what comes next."""
        order = self._sequencer
        return (
            not self._muted_to
            and chunk.seq == order.expected
            and chunk.run == order.run
            and chunk.tally <= order.second_to
            and chunk.values.shape[1] == self.state.shape[1]
        )

    def accept(self, message: Chunk | Burst) -> FloatArray:
        """Take a message that continues the stream; return its inputs for the engine."""
        self._sequencer.advance(message)
        chunk = message if isinstance(message, Chunk) else message.chunk
        return self._usable(chunk.values[:, :, 0])

    def answer(self, message: Chunk | Burst, estimates: FloatArray, state: FloatArray) -> Send:
        """Take what the engine returned for the accepted inputs; return the answer to `message`."""
        if isinstance(message, Chunk):
            return Send(self._advance(message, 0, estimates, state))
        return Send(Burst(self._advance(message.chunk, 0, estimates, state), message.times_ns))

    def remember(
        self, message: Chunk | Burst, inputs: FloatArray, answer: Send, now: Instant,
        out_ns: TimeArray | None = None, *, live: bool = True,
    ) -> None:  # fmt: skip
        """Keep what has been answered, and note how late: now, or each chunk of a burst at its own time."""
        said = answer.message
        assert isinstance(said, Chunk | Burst)
        values = said.values if isinstance(said, Chunk) else said.chunk.values
        self._keep(inputs, said, values, now)
        if isinstance(message, Chunk):
            self._time.answered(message, now, live=live)
        else:
            self._time.answered_burst(message.chunk, message.times_ns, now, out_ns, live=live)

    # What is missing

    def due_ns(self) -> int | None:
        """When to call `look`; None while nothing is missing and no other run speaks."""
        return self._sequencer.due_ns()

    @property
    def muted(self) -> bool:
        """Whether the next estimates are not published."""
        return self._muted_to > 0

    @property
    def disturbed(self) -> bool:
        """Whether something is missing or held, or another run may follow."""
        return self._sequencer.expected == OUT_OF_ORDER

    def look(self, now: Instant) -> Iterator[Effect]:
        """Ask for what is missing, or give it up."""
        yield from self._follow(self._sequencer.look(now.mono_ns), now)
        for replay in self._sequencer.asks(now.mono_ns):
            yield Ask(replay)

    # What the clock brings

    def tick(self, now: Instant) -> Iterator[Effect]:
        """Say what changed since the last tick, and publish the status."""
        final_seq = self.final_seq
        if self._time.judge(now, None if final_seq is None else final_seq - self._next_seq):
            health = self._time.health
            level = WARNING if health in (Health.STALE, Health.LOST) else INFO
            text = f"{health.name}: {health.value}, at sample {self._next_seq}"
            if self._course.take(now.mono_ns):
                yield Say(f"stream {self.name}: {text}", level)
        for text in self.scheduler.news():
            yield Say(f"stream {self.name}: {text}", WARNING if isinstance(text, LearningWarning) else INFO)
        yield from self._report.changes()
        verdict = self._familiarity.judge()
        if verdict is not None:
            fine = self._familiarity.familiar and not self._familiarity.unfamiliar_channels
            yield Say(f"stream {self.name}: {verdict}", INFO if fine else WARNING)
        self._time.measure(self.counters.samples, now.mono_ns)
        yield from self._diagnose(now)
        self._retained.gather()
        yield Send(self.status(now))

    def _diagnose(self, now: Instant) -> Iterator[Effect]:
        """Say what has come to be odd about the source's rate and times, or is right again."""
        time, diagnosis = self._time, self._diagnosis
        time.look(paced=self._paced)
        self._tallies.circular(self._sequencer.circular_waits)
        found = {
            "rate_hz": time.pace.rate,
            "time_ns": time.pace.clock,
            "tally": self._tallies.words(),
            "payload": byte_order.HINT if self._familiarity.swapped else None,
        }
        yield from diagnosis.judge(found, now.mono_ns)
        jumps = time.jumps.found(ended=time.health is Health.ENDED)
        yield from diagnosis.jumped(jumps, now.mono_ns)
        if time.pace.slow is not None:
            yield from diagnosis.note("pace", time.pace.slow, now.mono_ns, INFO)

    @property
    def final_seq(self) -> int | None:
        """One past the last sample of the run, once the source has said so."""
        return self._ends.final_seq(self._sequencer.run, self._sequencer.next_seq)

    def status(self, now: Instant) -> Status:
        """Return the stream's status; its members are in docs/reference/status.md."""
        counters = self.counters
        p50_s, p99_s = self._time.lags_s()
        body = {
            "health": self._time.health.name,
            "final_seq": self.final_seq,
            "source_run": f"{self._sequencer.source_run or 0:016x}",
            "model": self._model.name,
            "fields": list(self._model.config.fields),
            "model_version": counters.updates,
            "samples": counters.samples,
            "since_reset_samples": self._since_reset,
            "rate_hz": self._time.rate_hz,
            "said_rate_hz": self._rate_hz or None,
            "source_rate_hz": self._time.pace.source_hz,
            "time_jumps": self._time.jumps.count,
            "warnings": self._diagnosis.standing,
            "lag_p50_s": p50_s,
            "lag_p99_s": p99_s,
            "runs": counters.runs,
            "gaps": counters.gaps,
            "gap_samples": counters.gap_samples,
            "hole_samples": counters.hole_samples,
            "target_gaps": counters.target_gaps,
            "target_gap_samples": counters.target_gap_samples,
            "asked": counters.asked,
            "recovered_samples": counters.recovered_samples,
            "overflowed": counters.overflowed,
            "replays": self._history.keeps,
            "repeats": self._sequencer.repeats,
            "duplicates": counters.duplicates,
            "unusable": counters.unusable,
            "refused": counters.refused,
            "prequential_rmse": self.scheduler.rmse.value,
            "scored": self.scheduler.rmse.count,
            "learning": self.scheduler.status(),
            "samples_per_step": self._scale.samples_per_step,
            "cycle_samples": self._familiarity.cycle_samples,
            "familiar": self._familiarity.familiar,
            "unfamiliar_channels": self._familiarity.unfamiliar_channels,
        }
        return Status(self.name, self._sequencer.run or 0, self._next_seq, now.wall_ns, body)

    def summary(self) -> str:
        """Return one line for the operator at the end."""
        text = f"stream {self.name}: {self.counters.samples} estimates"
        rmse = self.scheduler.rmse
        if rmse.value is not None:
            text += f", RMSE {rmse.value:.4f} over the last {min(rmse.count, SCORED_SAMPLES)} samples"
        if self.scheduler.learns:
            text += f", {self.counters.updates} updates"
        if self.counters.gaps:
            text += f", {self.counters.gap_samples} samples missing in {self.counters.gaps} gaps"
        p50, p99 = self._time.lags_s()
        if p50 is not None and p99 is not None:
            text += f", lag p50 {p50 * 1e3:.2f} p99 {p99 * 1e3:.2f} ms"
        return text

    # Within

    def _begin(self, channels: int) -> None:
        """Start from the initial hidden state."""
        self.state = self._stepper.initial_state(channels)
        self.reserved_channels = 0
        self._usable_inputs = Sanitizer(channels)
        self._familiarity = DomainCheck(self._model, self._scale, channels)

    def _new_run(self, chunk: Chunk, seq: int, now: Instant) -> Iterator[Effect]:
        """Begin a run with its first sample that can be had."""
        self.scheduler.learn_all()
        self.counters.runs += 1
        self._time.begin(chunk.rate_hz)
        self._diagnosis.begin()
        self._tallies = TallyCheck()
        channels = chunk.values.shape[1]
        yield from self._set_scale(chunk.rate_hz)
        if self._former is not None and seq > self._given_up_to:
            yield from self._decide_joining(chunk.run, seq)
        self._given_up_to = 0
        self._begin(channels)
        self._since_reset = 0
        self._since_gap = None
        self.scheduler.begin(self.state, seq, chunk.rate_hz)
        self._begun, self._first_seq, self._run = True, seq, chunk.run
        if self._history.keeps:
            self._history.begin(Kind.ESTIMATE, self.name, chunk.run, seq)
        said = "the source restarted: new run" if self.counters.runs > 1 else "run"
        joined = f", joined at sample {seq}" if seq else ""
        if self._course.take(now.mono_ns):
            yield Say(f"stream {self.name}: {said} {chunk.run:016x}, {channels} channel(s){joined}")
            if not chunk.rate_hz:
                yield Say(f"stream {self.name}: {NO_RATE}")

    def _go_on(self, run: int, state: Tree, now: Instant) -> Iterator[Effect]:
        """Go on with a run where it was left."""
        self._restore_run(run, state)
        self.counters.runs += 1
        self._time.begin(self._rate_hz)
        seq = self._sequencer.next_seq
        if self._history.keeps:
            self._history.begin(ESTIMATE, self.name, run, seq)
        if self._course.take(now.mono_ns):
            yield Say(f"stream {self.name}: run {run:016x} is back, and goes on at sample {seq}")

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

    # What is decided, once for all lives

    def recall(self, former: Former) -> None:
        """Decide again what former lives decided, and have what is new written down; at the beginning."""
        self._former = former
        self._sequencer.recall(former.gaps, former.restarts)

    def _leave(self, new: NewRun, now: Instant) -> Iterator[Effect]:
        """Leave a run for another, and go on with that one where it was left before."""
        if self._begun:
            self._left.pop(self._run, None)
            self._left[self._run] = self._run_state()
            while len(self._left) > KEPT_RUNS:
                del self._left[next(iter(self._left))]
        self._begun = False
        self._first_seq = self._given_up_to = self._muted_to = 0
        yield from self._decide_leaving(new)
        state = self._left.pop(new.run, None) if new.again else None
        if state is not None:
            yield from self._go_on(new.run, state, now)

    def _decide_leaving(self, new: NewRun) -> Iterator[Effect]:
        if self._former is None:
            return
        published_to = self._published_to
        self._published_to = self._former.published_to(new.run)
        restart = self._sequencer.restart(new.run)
        decision = RunDecision(
            self.name, new.run, new.left_run, new.left_place, max(published_to, new.left_place[0]),
            () if restart is None else tuple(restart.row()),
        )  # fmt: skip
        before = self._former.runs.get(new.run)
        if decision == before:
            return
        yield Decide(decision)
        if new.left_run is not None and new.left_place[0] < published_to:
            why = (
                f"samples {new.left_place[0]} to {published_to - 1} of run {new.left_run:016x} were estimated "
                "before the restart and cannot be had again"
            )
            self._report.other_state(why, published_to)
        if before is not None and not new.again and self.scheduler.learns and self._published_to:
            self._mute(self._published_to)
            self._report.other_state(
                f"run {new.run:016x} begins with other weights than before the restart", self._published_to
            )

    def _decide_joining(self, run: int, seq: int) -> Iterator[Effect]:
        """Write down where a run was joined that was under way."""
        targets = self._sequencer.next_target_seq
        yield Decide(GapDecision(self.name, run, Kind.INPUT, 0, seq))
        if targets:
            yield Decide(GapDecision(self.name, run, Kind.TARGET, 0, targets, seq))

    def _mute(self, end: int) -> None:
        """Publish nothing below a sample, if the stream is not there yet."""
        if end > self._sequencer.next_seq:
            self._muted_to = max(self._muted_to, end)

    def _gap(self, gap: Gap) -> Iterator[Effect]:
        decided = gap.decided
        if decided is None:
            place = gap.seq if gap.kind is Kind.INPUT else gap.other_seq
            decided = GapDecision(
                self.name, gap.run, gap.kind, gap.seq, gap.samples, gap.other_seq, self._reset_on_gap,
                self._published_to if place < self._published_to else 0,
            )  # fmt: skip
            if self._former is not None:
                yield Decide(decided)
        self._mute(decided.published_to)
        if gap.kind is Kind.TARGET:
            self._lose_targets(gap)
            if decided.published_to:
                self._report.other_state(
                    "targets that were learnt from before the restart cannot be had again", decided.published_to
                )
            return
        if self._begun:
            self._lose_inputs(gap, decided)
            return
        self._given_up_to = gap.seq + gap.samples
        if self.counters.runs:  # who heard the run before has missed the beginning of this one
            self._count_gap(gap, decided)

    def _count_gap(self, gap: Gap, decided: GapDecision) -> None:
        """Count what is missing, and apart from it what was estimated before."""
        end = gap.seq + gap.samples
        missing_from = max(gap.seq, min(decided.published_to, end))
        if missing_from > gap.seq:
            self.counters.hole_samples += missing_from - gap.seq
            self._report.hole(gap.seq, missing_from - gap.seq, decided.published_to)
        if end > missing_from:
            self.counters.gaps += 1
            self.counters.gap_samples += end - missing_from
            self._report.gap("samples", missing_from, end - missing_from)

    def _lose_inputs(self, gap: Gap, decided: GapDecision) -> None:
        self.scheduler.learn_all()
        self._count_gap(gap, decided)
        self._since_gap = 0
        if self._history.keeps:  # who asks for these estimates need not wait for them
            self._history.reach(ESTIMATE, self.name, gap.run, gap.seq + gap.samples)
        if decided.reset:
            self.state = self._stepper.initial_state(self.state.shape[1])
            self._since_reset = 0
        self.scheduler.skip(self.state, gap.seq + gap.samples)

    def _lose_targets(self, gap: Gap) -> None:
        """Note lost targets of samples that were estimated."""
        first = max(gap.seq, self._first_seq)
        samples = gap.seq + gap.samples - first
        if samples > 0 and self._begun and self._tallies.gave_up(gap.seq + gap.samples):
            self.counters.target_gaps += 1
            self.counters.target_gap_samples += samples
            self._report.gap("targets", first, samples)

    def _advance(self, chunk: Chunk, first: int, estimates: FloatArray, state: FloatArray) -> Chunk:
        """Move on past the samples of `chunk` from `first` on; return their estimates."""
        count = len(estimates)
        self._answering = True
        self._spent += estimates.shape[0] * estimates.shape[1]
        self.state = state
        self.counters.samples += count
        self._since_reset += count
        tally = self.tally
        if self._since_gap is not None:
            self._since_gap += count
        return Chunk(
            ESTIMATE, self.name, chunk.run, chunk.seq + first, chunk.sample_time_ns(first), chunk.rate_hz,
            estimates, self.counters.updates, tally,
        )  # fmt: skip

    # What follows an answer waits until the answer is out: it is most of the work, and none of it changes a bit.

    def _keep(self, inputs: FloatArray, said: Chunk | Burst, modelled: FloatArray, now: Instant) -> None:
        chunk = said if isinstance(said, Chunk) else said.chunk
        self.scheduler.keep(inputs, chunk.values)
        self._familiarity.add(inputs, modelled)
        if self._history.keeps:
            if chunk.seq < self._muted_to:
                self._history.reach(ESTIMATE, self.name, chunk.run, chunk.end_seq)
            else:
                self._history.add(_apart(said, chunk), now.mono_ns)
        if self._muted_to and chunk.end_seq >= self._muted_to:
            self._muted_to = 0
        self._answering = False

    def _usable(self, inputs: FloatArray) -> FloatArray:
        usable = self._usable_inputs.of(inputs)
        if self._usable_inputs.replaced:
            self.counters.unusable += self._usable_inputs.replaced
        return usable

    def adopt(self, model: Model, engine: Engine, make_learner: MakeLearner | None, *, same_shape: bool) -> None:
        """Go on with another model from the next sample on; with its own shape, from its initial state."""
        self._model, self._engine = model, engine
        self.slice_values = slice_values(model, learns_itself=self.scheduler.self_learner is not None)
        self._left.clear()  # states of the other model
        self._stepper = self._scale.stage(engine)
        if not same_shape:
            self.state = self._stepper.initial_state(self.state.shape[1])
            self._since_reset = 0
        self._familiarity = DomainCheck(model, self._scale, self.state.shape[1])
        self.scheduler.adopt(
            engine, make_learner(model) if make_learner else None, self.state, same_shape=same_shape
        )

    # What it goes on from after a restart

    @property
    def stand(self) -> tuple[object, ...]:
        """What differs whenever the state does."""
        counters, sequencer = self.counters, self._sequencer
        heard = sequencer.run, sequencer.next_target_seq, self.final_seq
        return *heard, counters.gaps, counters.refused, *self.scheduler.stand

    def snapshot(self) -> Tree | None:
        """Return what later estimates depend on; None before the first run, and while an answer is under way."""
        if not self._begun or self._answering:
            return None
        left = [{"run": run, "state": state} for run, state in self._left.items()]
        return self._run_state() | {
            "name": self.name,
            "position": self._sequencer.state()
            | {"next_seq": self.scheduler.next_seq},  # a chunk may be half done
            "final_seq": self.final_seq,
            "counters": self.counters.state(),
            "retained": self._retained.state(),
            "left": left,
        }

    def _run_state(self) -> Tree:
        """Return what later estimates of the present run depend on."""
        return {
            "rate_hz": self._rate_hz,
            "hidden": self.state.copy(),
            "first_seq": self._first_seq,
            "since_reset": self._since_reset,
            "since_gap": self._since_gap,
            "updates": self.counters.updates,
            "muted_to": self._muted_to,
            "usable": self._usable_inputs.state(),
            "familiarity": self._familiarity.state(),
            "lessons": self.scheduler.state(),
        }

    def restore(self, tree: Tree, now: Instant) -> None:
        """Go on from a state of a stream with the same model and learning.

        Raises
        ------
        FileError
            If it is of no such stream.
        """
        position = subtree(tree, "position")
        channels = array_of(tree, "hidden", (None, None), np.float32, largest=math.nan).shape[1]
        self._sequencer.restore(position, channels)
        if self._former is not None and self._sequencer.run is not None:
            self._published_to = self._former.published_to(self._sequencer.run)
        final_seq = value_of(tree, "final_seq", Seq | None)
        if final_seq is not None and self._sequencer.run is not None:
            self._ends.note(self._sequencer.run, final_seq, ended=True)
        self.counters.restore(subtree(tree, "counters"))
        self._left = {value_of(run, "run", Run): subtree(run, "state") for run in trees(tree, "left")}
        for run, state in self._left.items():  # or what is wrong would show when it comes back
            self._restore_run(run, state)
            place = self._sequencer.left_at(run)
            self._check_place(place.next_seq, place.channels)
        self._restore_run(self._sequencer.run or 0, tree)
        self._check_place(self._sequencer.next_seq, channels)
        self._report.caught_up()
        self._time = Liveness(now.mono_ns)
        self._time.begin(self._rate_hz)
        if self._history.keeps and self._sequencer.run is not None:
            self._retained.restore(subtree(tree, "retained"), now)
            run, next_seq = self._sequencer.run, self._sequencer.next_seq
            self._history.begin(ESTIMATE, self.name, run, next_seq)
            self._history.reach(ESTIMATE, self.name, run, next_seq)

    def _check_place(self, next_seq: int, channels: int) -> None:
        if self.scheduler.next_seq != next_seq or self.state.shape[1] != channels:
            raise FileError("state: what waits for targets must end where its run is, and be as wide")

    def _restore_run(self, run: int, tree: Tree) -> None:
        channels = array_of(tree, "hidden", (None, None), np.float32, largest=math.nan).shape[1]
        rate_hz = value_of(tree, "rate_hz", float)
        if not codec.is_rate(rate_hz):
            raise FileError(f"state: rate_hz must be {codec.RATE_RULE}, got {rate_hz}")
        list(self._set_scale(rate_hz))  # what it says has been said
        self._begin(channels)
        hidden = array_of(tree, "hidden", self.state.shape, np.float32, largest=math.nan)
        if not self._stepper.is_state(hidden):
            raise FileError("state: hidden must be what a step of the model has left")
        self.state = hidden.copy()
        self._begun, self._run = True, run
        self._first_seq = value_of(tree, "first_seq", Seq)
        self._since_reset = value_of(tree, "since_reset", int)
        self._since_gap = value_of(tree, "since_gap", int | None)
        self.counters.updates = value_of(tree, "updates", int)
        self._muted_to = value_of(tree, "muted_to", Seq)
        self._usable_inputs.restore(subtree(tree, "usable"))
        self._familiarity.restore(subtree(tree, "familiarity"))
        self.scheduler.restore(subtree(tree, "lessons"), channels)


def slice_values(model: Model, *, learns_itself: bool) -> int:
    """Return how many values are estimated with a model in a slice's time."""
    if learns_itself:
        return LEARNING_SLICE_VALUES
    if model.config.cell == GATED:
        return SLICE_VALUES
    weights = sum(weight.size for weight in model.weights.values())
    return max(1, min(MAX_SLICE_VALUES, int(SLICE_NS / (VALUE_NS + WEIGHT_NS * weights))))


def _apart(said: Chunk | Burst, chunk: Chunk) -> Chunk | Burst:
    """Return estimates that keep no larger array alive than their own."""
    if chunk.values.base is None:
        return said
    own = replace(chunk, values=chunk.values.copy())
    return own if isinstance(said, Chunk) else replace(said, chunk=own)
