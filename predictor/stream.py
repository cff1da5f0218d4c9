"""One stream as the daemon keeps it: position, hidden state, weights, and what it may still learn from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from predictor.engine import Engine
from predictor.familiarity import Familiarity
from predictor.health import Health, Pulse
from predictor.timescale import Stepper, TimeScale, time_scale
from streamer.clock import Instant
from streamer.effects import INFO, WARNING, Effect, Say, Send
from streamer.errors import UsageError
from streamer.messages import Burst, Chunk, FloatArray, Info, Kind, Status
from streamer.quantiles import RecentQuantiles
from streamer.sequencer import NEXT, Place, Placement, Sequencer
from trainer.labels import DEFAULT_CAPACITY, LabelBuffer
from trainer.learner import Learner
from trainer.metrics import SCORED_SAMPLES, PrequentialRmse
from trainer.model import Model
from trainer.selflearner import SelfLearner

LARGEST_INPUT = np.float32(1e30)  # beyond it, as for NaN, products and levels would leave the range of float32
SLICE_VALUES = 8192  # of a large chunk are estimated before anything else gets a turn
RATE_OVER_NS = 500_000_000  # a rate is measured over no less
LARGE = 2**31
LABEL_BYTES = 64 * 2**20  # a stream's samples that wait for targets take no more

MakeLearner = Callable[[Model], Learner]


@dataclass(slots=True)
class Counters:
    """What has happened to a stream since the predictor started."""

    samples: int = 0
    runs: int = 0
    gaps: int = 0
    gap_samples: int = 0
    duplicates: int = 0
    unusable: int = 0
    refused: int = 0
    updates: int = 0


class Stream:
    """Turns a stream's inputs into estimates and learns from its targets.

    An update takes effect at a sample index: the first one not yet estimated when the last target of its window
    came. It may be computed earlier than that sample arrives (`learn`), never later, so estimates depend on the
    order of messages alone and not on when they came.

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
        self.lag_s = RecentQuantiles()
        self.rmse = PrequentialRmse()
        self._model = model
        self._engine = engine
        self._learner = make_learner(model) if make_learner else None
        self._self_learner = self_learner
        self._reset_on_gap = reset_on_gap
        self._nominal_hz = nominal_hz
        self._scale = TimeScale()
        self._stepper: Stepper = engine
        self._sequencer = Sequencer()
        self._begin(channels=0)
        self._since_reset = 0
        self._last_gap = (0, 0)  # first sample missing, and one past the last
        self._learnt_to_seq: int | None = None
        self._pulse = Pulse(0)
        self._health = Health.LIVE
        self._rate_hz: float | None = None
        self._seen: tuple[int, int] | None = None  # samples and monotonic ns when the rate was last measured
        self._reported = Counters()

    # What comes in

    def predict(self, message: Chunk | Burst, now: Instant) -> Iterator[Effect]:
        """Estimate the samples of an input chunk that are new, or of each chunk of a burst."""
        return self._predict(message, now) if isinstance(message, Chunk) else self._predict_burst(message, now)

    def _predict_burst(self, burst: Burst, now: Instant) -> Iterator[Effect]:
        if not self._learns and burst.chunk.values.size <= SLICE_VALUES and self.continues(burst.chunk):
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
        self._learn_all()
        if placement is not NEXT:
            yield from self._resync(placement, chunk)
        first = placement.skip
        while first < samples:
            self._learn_all()
            end = first + min(self._room, max(1, SLICE_VALUES // channels))
            inputs = self._usable(chunk.values[first:end, :, 0])
            modelled, state = self._stepper.run(inputs, self.state)
            estimates = self._self_learner.answer(inputs, modelled) if self._self_learner else modelled
            yield Send(self._advance(chunk, first, estimates, state))
            self._keep(inputs, estimates, modelled)
            first = end
        self._arrived(chunk, now)

    def _resync(self, placement: Placement, chunk: Chunk) -> Iterator[Effect]:
        """Begin a run, or go on after a gap or with a chunk that has been heard in part."""
        if placement.place is Place.NEW_RUN:
            yield from self._new_run(chunk, chunk.values.shape[1])
        elif placement.place is Place.AFTER_GAP:
            self._gap(placement.missing, resume_seq=chunk.seq)
        self.counters.duplicates += placement.skip

    @property
    def _learns(self) -> bool:
        return self._learner is not None or self._self_learner is not None

    @property
    def _room(self) -> int:
        """Samples that can be answered before something is to be learnt from them."""
        return self._self_learner.room if self._self_learner is not None else LARGE

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
            self._arrived(message, now)
            return
        rate_hz = message.chunk.rate_hz
        each_samples = len(inputs) // len(message.times_ns)
        self._pulse.sample(now.mono_ns, each_samples / rate_hz if rate_hz else 0.0)
        last_s = (each_samples - 1) / rate_hz if rate_hz else 0.0
        self.lag_s.extend((now.wall_ns - message.times_ns) / 1e9 - last_s)

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
        estimates, targets = self._labels.label(chunk.seq, chunk.values)
        self.rmse.add(estimates[..., 0], targets[..., 0])
        if self._learner is None:
            self._labels.drop_matured()

    def _note(self, info: Info, now: Instant) -> None:
        if info.run != self._sequencer.run:
            return
        missing = self._sequencer.lost_tail(info.run, info.next_seq)
        if missing:
            self._learn_all()
            self._gap(missing, resume_seq=info.next_seq)
        self._pulse.word(now.mono_ns, ended=info.ended)

    # Learning

    def learn(self) -> bool:
        """Learn what is due, a step of it; return whether anything was."""
        if self._self_learner is not None and self._self_learner.learn():
            self.counters.updates = self._self_learner.refits
            return True
        if self._learner is None:
            return False
        window = self._labels.window(self._learner.config.window_samples)
        if window is None:
            return False
        self._labels.advance(self._learner.config.stride_samples)
        weights = self._learner.learn(window)
        if weights is not None:
            self._engine.load(weights)
            self.counters.updates += 1
            self._learnt_to_seq = window.seq + len(window.inputs)
        return True

    # What the clock brings

    def tick(self, now: Instant) -> Iterator[Effect]:
        """Say what changed since the last tick, and publish the status."""
        health = self._pulse.health(now.mono_ns)
        if health is not self._health:
            level = WARNING if health in (Health.STALE, Health.LOST) else INFO
            yield Say(
                f"stream {self.name}: {health.name}: {health.value}, at sample {self._sequencer.next_seq}",
                level,
            )
            self._health = health
        yield from self._report()
        verdict = self._familiarity.judge()
        if verdict is not None:
            yield Say(f"stream {self.name}: {verdict}", INFO if self._familiarity.familiar else WARNING)
        self._measure_rate(now.mono_ns)
        yield Send(self.status(now))

    def _measure_rate(self, now_ns: int) -> None:
        if self._seen is not None:
            samples, then_ns = self._seen
            if now_ns - then_ns < RATE_OVER_NS:
                return
            self._rate_hz = (self.counters.samples - samples) / ((now_ns - then_ns) / 1e9)
        self._seen = (self.counters.samples, now_ns)

    def status(self, now: Instant) -> Status:
        """Return the stream's status; the fields stand in docs/protocol.md."""
        counters = self.counters
        p50_s, p99_s = self.lag_s.quantiles(0.5, 0.99)
        body = {
            "health": self._health.name,
            "model": self._model.name,
            "fields": list(self._model.config.fields),
            "model_version": counters.updates,
            "samples": counters.samples,
            "since_reset_samples": self._since_reset,
            "rate_hz": self._rate_hz,
            "lag_p50_s": p50_s,
            "lag_p99_s": p99_s,
            "runs": counters.runs,
            "gaps": counters.gaps,
            "gap_samples": counters.gap_samples,
            "duplicates": counters.duplicates,
            "unusable": counters.unusable,
            "refused": counters.refused,
            "prequential_rmse": self.rmse.value,
            "scored": self.rmse.count,
            "learning": self._learning_status(),
            "samples_per_step": self._scale.samples_per_step,
            "cycle_samples": self._familiarity.cycle_samples,
            "familiar": self._familiarity.familiar,
        }
        return Status(self.name, self._sequencer.run or 0, self._sequencer.next_seq, now.wall_ns, body)

    def summary(self) -> str:
        """Return one line for the operator at the end."""
        text = f"stream {self.name}: {self.counters.samples} estimates"
        if self.rmse.value is not None:
            text += f", RMSE {self.rmse.value:.4f} over the last {min(self.rmse.count, SCORED_SAMPLES)} samples"
        if self._learns:
            text += f", {self.counters.updates} updates"
        if self.counters.gaps:
            text += f", {self.counters.gap_samples} samples missing in {self.counters.gaps} gaps"
        p50, p99 = self.lag_s.quantiles(0.5, 0.99)
        if p50 is not None and p99 is not None:
            text += f", lag p50 {p50 * 1e3:.2f} p99 {p99 * 1e3:.2f} ms"
        return text

    # Within

    def _begin(self, channels: int) -> None:
        """Start from the initial hidden state, with nothing to learn from yet."""
        fields = len(self._model.config.fields)
        row_bytes = 4 * max(channels, 1) * (1 + 2 * fields)
        capacity = min(DEFAULT_CAPACITY, LABEL_BYTES // row_bytes)
        if self._learner is not None:
            capacity = max(capacity, self._learner.config.window_samples)
        self.state = self._stepper.initial_state(channels)
        self._last_input = np.zeros(channels, np.float32)
        self._labels = LabelBuffer(channels, fields, capacity)
        self._familiarity = Familiarity(self._model, self._scale, channels)

    def _new_run(self, chunk: Chunk, channels: int) -> Iterator[Effect]:
        self.counters.runs += 1
        self._learnt_to_seq = None
        yield from self._set_scale(chunk.rate_hz)
        self._begin(channels)
        self._resume(chunk.seq, since_reset=0)
        if self._self_learner is not None:
            self._self_learner.restart(channels, chunk.rate_hz, chunk.seq)
        said = "the source restarted: new run" if self.counters.runs > 1 else "run"
        joined = f", joined at sample {chunk.seq}" if chunk.seq else ""
        yield Say(f"stream {self.name}: {said} {chunk.run:016x}, {channels} channel(s){joined}")

    def _set_scale(self, rate_hz: float) -> Iterator[Effect]:
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
        self._last_gap = (resume_seq - missing, resume_seq)
        if self._reset_on_gap:
            self.state = self._stepper.initial_state(self.state.shape[1])
            self._since_reset = 0
        self._resume(resume_seq, since_reset=self._since_reset)
        if self._self_learner is not None:
            self._self_learner.resume(resume_seq)

    def _resume(self, seq: int, since_reset: int) -> None:
        self._since_reset = since_reset
        self._labels.restart(seq)
        if self._learner is not None:
            self._learner.restart(self.state)

    def _learn_all(self) -> None:
        """Learn what is due before the next sample."""
        while self.learn():
            pass

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
        self._labels.add(inputs, estimates)
        self._familiarity.add(inputs, modelled)
        if self._learner is None:
            self._labels.drop_matured()

    def _arrived(self, chunk: Chunk, now: Instant) -> None:
        samples = len(chunk.values)
        self._pulse.sample(now.mono_ns, samples / chunk.rate_hz if chunk.rate_hz else 0.0)
        self.lag_s.add((now.wall_ns - chunk.sample_time_ns(samples - 1)) / 1e9)

    def _usable(self, inputs: FloatArray) -> FloatArray:
        """Replace what is not a usable number by the channel's last value that was."""
        if inputs.size == 1 and abs(inputs.item()) <= LARGEST_INPUT:  # as below, at a tenth of the time
            self._last_input = inputs[0]
            return inputs
        usable = np.abs(inputs) <= LARGEST_INPUT  # false for NaN
        if not usable.all():
            self.counters.unusable += int(np.count_nonzero(~usable))
            inputs = inputs.copy()
            last = self._last_input
            for sample, good in zip(inputs, usable, strict=True):
                np.copyto(sample, last, where=~good)
                last = sample
        self._last_input = inputs[-1]
        return inputs

    def _learning_status(self) -> dict[str, object] | None:
        if self._self_learner is not None:
            return self._self_learner.status()
        if self._learner is None:
            return None
        return {
            "method": "target",
            "window": self._learner.config.window_samples,
            "stride": self._learner.config.stride_samples,
            "updates": self.counters.updates,
            "skipped": self._learner.skipped,
            "loss": self._learner.loss,
            "waiting_samples": len(self._labels),
            "late_targets": self._labels.unmatched,
            "learnt_to_seq": self._learnt_to_seq,
        }

    def _report(self) -> Iterator[Effect]:
        """Say, once a tick, what was learnt or went wrong since the last one."""
        for text in self._self_learner.news() if self._self_learner is not None else ():
            yield Say(f"stream {self.name}: {text}")
        before, now = self._reported, self.counters
        if now.gaps > before.gaps:
            first, end = self._last_gap
            more = now.gaps - before.gaps - 1
            also = (
                f", and {more} more gap(s), {now.gap_samples - before.gap_samples} samples in all" if more else ""
            )
            yield Say(f"stream {self.name}: GAP: samples {first} to {end - 1} did not come{also}", WARNING)
        for name, what in (
            ("unusable", "sample(s) not finite or beyond 1e30 replaced by the channel's last value"),
            ("duplicates", "duplicate or stale sample(s) dropped"),
            ("refused", "chunk(s) refused: another run, or another number of channels within a run"),
        ):
            count = getattr(now, name) - getattr(before, name)
            if count:
                yield Say(f"stream {self.name}: {count} {what}", WARNING)
        self._reported = Counters(**{name: getattr(now, name) for name in Counters.__slots__})
