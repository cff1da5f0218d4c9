"""What the console knows of one stream."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictor.console import claims
from predictor.console.coalesce import coalesce
from predictor.console.errorcurve import ErrorCurve
from predictor.console.joined import Index, JoinedSamples
from predictor.console.rates import RateMeter
from predictor.console.scoring import Scores
from predictor.console.snapshot import Health, Learning, Shown, StreamSummary
from streamer.clock import Instant
from streamer.messages import Chunk, Info, Kind, Status
from trainer.metrics import SCORED_SAMPLES

SHOWN_SAMPLES = 2_000  # more than any terminal has dots across
REMEMBERED_RUNS = 64
START_SAMPLES = 50  # few enough that not much has been learnt from them
# What the console says itself while no predictor speaks; a status comes every second.
STALE_S, LOST_S = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class _Newest:
    seq: int
    time_ns: int
    model_version: int


class StreamView:
    """Joins what is said of a stream. Old runs end where a new one begins.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.run: int | None = None
        self.error = ErrorCurve()
        self._past_runs: deque[int] = deque(maxlen=REMEMBERED_RUNS)
        self._joined: JoinedSamples | None = None
        self._waiting: dict[Kind, list[Chunk]] = {}
        self._first_scores: list[tuple[float, float]] = []
        self._last_scores: deque[tuple[float, float]] = deque(maxlen=SCORED_SAMPLES)
        self._scored = 0
        self._restarts = 0
        self._inputs, self._estimates = RateMeter(), RateMeter()
        self._last_heard_ns: int | None = None
        self._newest: _Newest | None = None
        self._info: Info | None = None
        self._targets_heard = False
        self._status: Mapping[str, Any] = {}
        self._status_ns: int | None = None
        self._health: str | None = None

    def take(self, message: Chunk | Info | Status, now: Instant) -> Iterable[str]:
        """Take a message; yield what the operator should know."""
        if isinstance(message, Status):
            yield from self._take_status(message, now)
            return
        if message.run in self._past_runs:
            return
        if message.run != self.run:
            yield from self._begin_run(message.run, now)
        if isinstance(message, Info):
            self._info = message
        else:
            self._take_chunk(message, now)

    def settle(self, now: Instant) -> None:
        """Join what came since the last call and score what has found its partner."""
        if self._joined is None or not self._waiting:
            return
        fresh: list[Index] = []
        for kind, chunks in self._waiting.items():
            seqs = [self._joined.put(chunk) for chunk in coalesce(chunks)]
            fresh += seqs if kind is not Kind.INPUT else []
        self._waiting.clear()
        squares, degrees = self._joined.score(fresh)
        if len(squares):
            self._scored += len(squares)
            self._remember(squares, degrees)
            self.error.add(squares, degrees, now.mono_ns)

    def summary(self, now: Instant) -> StreamSummary:
        """Return the stream in numbers."""
        info, body = self._info, self._status
        rmse, phase_deg = _means(self._last_scores)
        start_rmse, start_phase_deg = _means(self._first_scores)
        newest = self._newest
        return StreamSummary(
            name=self.name,
            health=self._health_now(now),
            run=self.run,
            channels=self.channels,
            input_samples=self._inputs.total,
            estimate_samples=self._estimates.total,
            scored_samples=self._scored,
            restarts=self._restarts,
            has_targets=self._targets_heard or info is None or bool(info.target_fields),
            rmse=rmse,
            phase_deg=phase_deg,
            start_rmse=start_rmse,
            start_phase_deg=start_phase_deg,
            nominal_hz=info.rate_hz if info else None,
            input_hz=self._inputs.per_second(now.mono_ns),
            estimate_hz=self._estimates.per_second(now.mono_ns),
            age_s=(now.wall_ns - newest.time_ns) / 1e9 if newest else None,
            lag_p50_s=claims.number(body, "lag_p50_s"),
            lag_p99_s=claims.number(body, "lag_p99_s"),
            model=claims.text(body, "model"),
            model_version=newest.model_version if newest else claims.count(body, "model_version"),
            learning=_learning(claims.section(body, "learning")),
            gaps=claims.count(body, "gaps"),
            gap_samples=claims.count(body, "gap_samples"),
            recovered_samples=claims.count(body, "recovered_samples"),
            unusable=claims.count(body, "unusable"),
        )

    def shown(self, channel: int, now: Instant) -> Shown | None:
        """Return the stream with the curves of one channel; None before the first sample."""
        if self._joined is None:
            return None
        channel = min(channel, self._joined.channels - 1)
        summary = self.summary(now)
        rate_hz = summary.nominal_hz or summary.input_hz
        curves = self._joined.latest(channel, SHOWN_SAMPLES)
        return Shown(summary, channel, curves, rate_hz, self.error.points())

    @property
    def channels(self) -> int:
        """How many channels the stream has; 1 while nobody has said."""
        if self._joined is not None:
            return self._joined.channels
        return len(self._info.channels) if self._info else 1

    def _begin_run(self, run: int, now: Instant) -> Iterable[str]:
        self.settle(now)
        if self.run is not None:
            self._past_runs.append(self.run)
            self._restarts += 1
            yield f"{self.name}: source restarted, new run {run:016x}"
        self.run = run
        self._joined, self._info, self._newest = None, None, None

    def _take_chunk(self, chunk: Chunk, now: Instant) -> None:
        channels = chunk.values.shape[1]
        if self._joined is None:
            self._joined = JoinedSamples(channels)
        if channels != self._joined.channels:
            return  # a run has one shape; whoever breaks that is not drawn
        self._waiting.setdefault(chunk.kind, []).append(chunk)
        match chunk.kind:
            case Kind.INPUT:
                self._inputs.add(len(chunk.values), now.mono_ns)
                self._last_heard_ns = now.mono_ns
            case Kind.TARGET:
                self._targets_heard = True
            case _:
                self._estimates.add(len(chunk.values), now.mono_ns)
                self._note_newest(chunk)

    def _note_newest(self, chunk: Chunk) -> None:
        last = chunk.end_seq - 1
        if self._newest is None or last > self._newest.seq:
            self._newest = _Newest(last, chunk.sample_time_ns(len(chunk.values) - 1), chunk.model_version)

    def _take_status(self, status: Status, now: Instant) -> Iterable[str]:
        self._status, self._status_ns = status.body, now.mono_ns
        health = claims.text(status.body, "health")
        if health != self._health and self._health is not None and health is not None:
            yield f"{self.name}: {self._health} -> {health}"
        self._health = health or self._health

    def _remember(self, squares: Scores, degrees: Scores) -> None:
        scores = list(zip(squares.tolist(), degrees.tolist(), strict=True))
        self._first_scores += scores[: START_SAMPLES - len(self._first_scores)]
        self._last_scores.extend(scores[-SCORED_SAMPLES:])

    def _health_now(self, now: Instant) -> Health:
        if self._info is not None and self._info.ended:
            return Health.ENDED
        spoken = self._status_ns is not None and now.mono_ns - self._status_ns < STALE_S * 1e9
        if spoken and self._health is not None and self._health in Health.__members__:
            return Health[self._health]
        if self._last_heard_ns is None:
            return Health.WAITING
        silent_s = (now.mono_ns - self._last_heard_ns) / 1e9
        return Health.LIVE if silent_s < STALE_S else Health.STALE if silent_s < LOST_S else Health.LOST


def _means(scores: Iterable[tuple[float, float]]) -> tuple[float | None, float | None]:
    table = np.array(list(scores))
    if not len(table):
        return None, None
    degrees = table[:, 1][~np.isnan(table[:, 1])]
    return float(np.sqrt(table[:, 0].mean())), float(degrees.mean()) if len(degrees) else None


def _learning(body: Mapping[str, Any] | None) -> Learning | None:
    if body is None:
        return None
    return Learning(
        claims.count(body, "updates"),
        claims.number(body, "loss"),
        claims.count(body, "skipped"),
        claims.count(body, "waiting_samples"),
        claims.number(body, "challenger_deg"),
        claims.number(body, "champion_deg"),
    )
