"""What the console knows of one stream."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from predictor.console import untrusted
from predictor.console.coalesce import coalesce
from predictor.console.freshness import Freshness
from predictor.console.rates import RateMeter
from predictor.console.run_scores import RunScores
from predictor.console.runs import FollowedRun
from predictor.console.sample_ring import Index, JoinedSamples
from predictor.console.snapshot import Health, Learning, Shown, StreamSummary
from predictor.phase import phase_and_amplitude
from streamer.clock import Instant
from streamer.messages import Chunk, Info, Kind, Status
from streamer.ordering.run_names import RunNames

SHOWN_SAMPLES = 20_000  # a few cycles of a slow signal at a high rate
# What the console says itself while no predictor speaks; a status comes every second.
STALE_S, LOST_S = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class _Newest:
    seq: int
    time_ns: int
    model_version: int


@dataclass(slots=True)
class _Run:
    """What is known of one run, and ends with it."""

    joined: JoinedSamples | None = None
    info: Info | None = None
    newest: _Newest | None = None
    targets_heard: bool = False
    rate_hz: float | None = None  # as its samples say
    chunk_s: float = 0.0
    begun_ns: int | None = None  # when its first input came
    scores: RunScores = field(default_factory=RunScores)
    estimates: Freshness = field(default_factory=Freshness)


class StreamView:
    """Joins what is said of a stream. Old runs end where a new one begins.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._names = RunNames()
        self._followed = FollowedRun()
        self._beside: int | None = None
        self._run = _Run()
        self._shown_run: int | None = None
        self._waiting: dict[Kind, list[Chunk]] = {}
        self._restarts = 0
        self._inputs, self._estimates = RateMeter(), RateMeter()
        self._input_freshness, self._status_freshness = Freshness(), Freshness()
        self._status: Status | None = None
        self._status_interval_s = 0.0
        self._health: str | None = None

    @property
    def run(self) -> int | None:
        """The run that is shown."""
        return self._followed.run

    @property
    def has_samples(self) -> bool:
        """Whether an input or estimate was heard."""
        return self._inputs.total + self._estimates.total > 0

    def take(self, message: Chunk | Info | Status, now: Instant) -> Iterable[str]:
        """Take a message; yield what the operator should know."""
        if isinstance(message, Status):
            yield from self._take_status(message, now)
            return
        for named in self._names.take(message):
            for one in self._followed.take(named, now.mono_ns):
                if self.run != self._shown_run:
                    yield from self._begin_run(now)
                if isinstance(one, Info):
                    self._run.info = one
                else:
                    self._take_chunk(one, now)
        yield from self._note_beside()

    def settle(self, now: Instant) -> None:
        """Join what came since the last call and score what has found its partner."""
        run = self._run
        if run.joined is None or not self._waiting:
            return
        fresh: list[Index] = []
        for kind, chunks in self._waiting.items():
            seqs = [run.joined.put(chunk) for chunk in coalesce(chunks)]
            fresh += seqs if kind is not Kind.INPUT else []
        self._waiting.clear()
        squares, degrees = run.joined.score(fresh)
        if len(squares):
            run.scores.add(squares, degrees, now.mono_ns, run.chunk_s)

    def summary(self, now: Instant) -> StreamSummary:
        """Return the stream in numbers."""
        run, mono_ns = self._run, now.mono_ns
        info, newest = run.info, run.newest
        body: Mapping[str, Any] = self._status.body if self._status is not None else {}
        of_run = body if self._is_of_this_run(self._status) else {}
        score, start = run.scores.now, run.scores.start
        status_stale_s, estimate_stale_s = self._status_freshness.stale_s(mono_ns), run.estimates.stale_s(mono_ns)
        return StreamSummary(
            name=self.name,
            health=self._health_now(now),
            run=self.run,
            channels=self.channels,
            input_samples=self._inputs.total,
            estimate_samples=self._estimates.total,
            scored_samples=run.scores.count,
            restarts=self._restarts,
            has_targets=run.targets_heard or info is None or bool(info.target_fields),
            rmse=score.rmse,
            phase_deg=score.phase_deg,
            start_rmse=start.rmse,
            start_phase_deg=start.phase_deg,
            nominal_hz=info.rate_hz if info else run.rate_hz,
            input_hz=self._inputs.per_second(mono_ns),
            estimate_hz=self._estimates.per_second(mono_ns),
            age_s=(now.wall_ns - newest.time_ns) / 1e9 if newest else None,
            lag_p50_s=untrusted.number(of_run, "lag_p50_s"),
            lag_p99_s=untrusted.number(of_run, "lag_p99_s"),
            model=untrusted.text(body, "model"),
            model_version=newest.model_version if newest else untrusted.count(of_run, "model_version"),
            familiar=untrusted.flag(of_run, "familiar") if status_stale_s is None else None,
            learning=_learning(untrusted.section(body, "learning")),
            gaps=untrusted.count(body, "gaps"),
            gap_samples=untrusted.count(body, "gap_samples"),
            recovered_samples=untrusted.count(body, "recovered_samples"),
            unusable=untrusted.count(body, "unusable"),
            unfamiliar_channels=(
                untrusted.counts(of_run, "unfamiliar_channels") if status_stale_s is None else frozenset()
            ),
            warnings=untrusted.texts(of_run, "warnings") if status_stale_s is None else (),
            input_stale_s=self._input_freshness.stale_s(mono_ns),
            estimate_stale_s=estimate_stale_s,
            score_stale_s=run.scores.freshness.stale_s(mono_ns),
            status_stale_s=status_stale_s,
            lag_stale_s=max(
                (age_s for age_s in (status_stale_s, estimate_stale_s) if age_s is not None), default=None
            ),
        )

    def shown(self, channel: int, now: Instant) -> Shown | None:
        """Return the stream with the curves of one channel; None before the first sample."""
        joined = self._run.joined
        if joined is None:
            return None
        channel = min(channel, joined.channels - 1)
        summary = self.summary(now)
        rate_hz = summary.nominal_hz or summary.input_hz
        answered = self._run.estimates.is_fresh(now.mono_ns)
        curves = joined.latest(channel, SHOWN_SAMPLES, answered=answered)
        return Shown(
            summary, channel, curves, rate_hz, self._run.scores.curve.points(), *_phase_now(joined, channel)
        )

    @property
    def channels(self) -> int:
        """How many channels the stream has; 1 while nobody has said."""
        if self._run.joined is not None:
            return self._run.joined.channels
        return len(self._run.info.channels) if self._run.info else 1

    def _begin_run(self, now: Instant) -> Iterable[str]:
        self.settle(now)
        if self._shown_run is not None:
            self._restarts += 1
            yield f"{self.name}: source restarted, new run {self.run:016x}"
        self._shown_run = self.run
        self._run = _Run()
        self._waiting.clear()

    def _note_beside(self) -> Iterable[str]:
        other = self._followed.beside
        if other is not None and other != self._beside:
            yield f"{self.name}: two sources of one name: run {self.run:016x} is shown, {other:016x} is not"
        self._beside = other

    def _take_chunk(self, chunk: Chunk, now: Instant) -> None:
        run, (samples, channels, _) = self._run, chunk.values.shape
        if run.joined is None:
            run.joined = JoinedSamples(channels, samples)
        if channels != run.joined.channels:
            return  # a run has one shape; whoever breaks that is not drawn
        self._waiting.setdefault(chunk.kind, []).append(chunk)
        lasts_s = samples / chunk.rate_hz if chunk.rate_hz else 0.0
        match chunk.kind:
            case Kind.INPUT:
                self._inputs.add(samples, now.mono_ns)
                self._input_freshness.note(now.mono_ns, lasts_s)
                run.rate_hz, run.chunk_s = chunk.rate_hz, lasts_s
                run.begun_ns = now.mono_ns if run.begun_ns is None else run.begun_ns
            case Kind.TARGET:
                run.targets_heard = True
            case _:
                self._estimates.add(samples, now.mono_ns)
                run.estimates.note(now.mono_ns, max(lasts_s, run.chunk_s))
                self._note_newest(chunk)

    def _note_newest(self, chunk: Chunk) -> None:
        last, newest = chunk.end_seq - 1, self._run.newest
        if newest is None or last > newest.seq:
            self._run.newest = _Newest(last, chunk.sample_time_ns(len(chunk.values) - 1), chunk.model_version)

    def _take_status(self, status: Status, now: Instant) -> Iterable[str]:
        since_s = self._status_freshness.age_s(now.mono_ns)
        self._status = status
        # Of more than a thousand streams, each has its turn less often than each second.
        self._status_freshness.note(now.mono_ns, min(since_s or 0.0, self._status_interval_s))
        self._status_interval_s = since_s or 0.0
        health = untrusted.text(status.body, "health")
        if health != self._health and self._health is not None and health is not None:
            yield f"{self.name}: {self._health} -> {health}"
        self._health = health or self._health

    def _health_now(self, now: Instant) -> Health:
        told = self._told_health(now)
        if (
            self._run.info is not None
            and self._run.info.ended
            and (told is None or not self._has_more_to_estimate)
        ):
            return Health.ENDED
        health = told or self._own_judgement(now)
        if health is Health.LIVE and self._unanswered(now):
            return Health.UNANSWERED
        return health

    def _told_health(self, now: Instant) -> Health | None:
        """What a predictor says of this run; None if it has not done so of late."""
        if self._health is None or not self._is_of_this_run(self._status):
            return None
        age_s = self._status_freshness.age_s(now.mono_ns)
        return Health.__members__.get(self._health) if age_s is not None and age_s < STALE_S else None

    @property
    def _has_more_to_estimate(self) -> bool:
        """Whether the predictor knows where the run ends, and has not got there."""
        final_seq = untrusted.count(self._status.body, "final_seq") if self._status is not None else None
        return final_seq is not None and self._status is not None and self._status.next_seq < final_seq

    def _own_judgement(self, now: Instant) -> Health:
        silent_s = self._input_freshness.age_s(now.mono_ns)
        if silent_s is None:
            return Health.WAITING
        usual_s = 3 * self._run.chunk_s
        if silent_s < max(STALE_S, usual_s):
            return Health.LIVE
        return Health.STALE if silent_s < max(LOST_S, usual_s) else Health.LOST

    def _unanswered(self, now: Instant) -> bool:
        """Whether estimates have ceased to come, or a predictor was heard and this run has had none."""
        silent_s = self._run.estimates.age_s(now.mono_ns)
        if silent_s is None:
            heard_predictor = self._status is not None or self._estimates.total
            if not heard_predictor or self._run.begun_ns is None:
                return False
            silent_s = (now.mono_ns - self._run.begun_ns) / 1e9
        return silent_s > max(STALE_S, 3 * self._run.chunk_s)

    def _is_of_this_run(self, status: Status | None) -> bool:
        return status is not None and (self.run is None or status.run in (0, self.run))


def _phase_now(joined: JoinedSamples, channel: int) -> tuple[float | None, float | None]:
    newest = joined.newest_estimate(channel)
    if newest is None:
        return None, None
    values = (float(value) for value in phase_and_amplitude(*newest))
    phase_deg, amplitude = (value if math.isfinite(value) else None for value in values)
    return phase_deg, amplitude


def _learning(body: Mapping[str, Any] | None) -> Learning | None:
    if body is None:
        return None
    return Learning(
        untrusted.count(body, "updates"),
        untrusted.number(body, "loss"),
        untrusted.count(body, "skipped"),
        untrusted.count(body, "waiting_samples"),
        untrusted.number(body, "challenger_deg"),
        untrusted.number(body, "champion_deg"),
    )
