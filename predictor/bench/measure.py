"""What `sincos bench` measures: the predictor beside a bare echo, round by round, and what follows for a user."""

from collections.abc import Generator
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from predictor.bench import work
from predictor.bench.feed import Order
from predictor.bench.lane import Lane
from predictor.bench.stopwatch import per_call_s
from trainer.model import Model

PINGS = 400  # as all that follows, a round
MESSAGES = 8_000
STREAMS = 256
WIDE_CHANNELS = 1024
WIDE_MESSAGES = 400
LEARNT_SAMPLES = 1_000


@dataclass(slots=True)
class Figures:
    """One figure a round of everything; times in seconds, rates a second.

    Attributes
    ----------
    echo_s, predict_s : list of (p50, p99)
        From a sample published to its answer received.
    echo_rate, predict_rate : list of float
        One-sample messages through a bare echo, and through the predictor.
    streams_rate : list of float
        The same, of `STREAMS` streams that take turns.
    wide_rate : list of float
        Estimates through the predictor for a stream of `WIDE_CHANNELS`.
    learnt_rate : list of float
        Samples through a predictor that learns from each.
    engine_rate : list of float
        Estimates of the engine for `WIDE_CHANNELS`, without sockets.
    bare_rate : list of float
        NumPy's own product and tanh of that size.
    update_s : list of float
        One learning update from a window of ten samples.
    """

    echo_s: list[tuple[float, float]] = field(default_factory=list)
    predict_s: list[tuple[float, float]] = field(default_factory=list)
    echo_rate: list[float] = field(default_factory=list)
    predict_rate: list[float] = field(default_factory=list)
    streams_rate: list[float] = field(default_factory=list)
    wide_rate: list[float] = field(default_factory=list)
    learnt_rate: list[float] = field(default_factory=list)
    engine_rate: list[float] = field(default_factory=list)
    bare_rate: list[float] = field(default_factory=list)
    update_s: list[float] = field(default_factory=list)


def steps(rounds: int) -> int:
    """Return how often `measure` yields."""
    return 2 + 3 * rounds


def measure(model_name: str, model: Model, rounds: int, figures: Figures) -> Generator[str, None, None]:
    """Fill `figures`, yielding what comes next."""
    yield "engine"
    calls = {
        "engine": work.steps(model, WIDE_CHANNELS),
        "bare": work.bare_step(model.config.hidden, model.config.hidden + 2, WIDE_CHANNELS),
        "update": work.update(model),
    }
    taken_s = per_call_s(calls, rounds)
    figures.engine_rate = [WIDE_CHANNELS / each_s for each_s in taken_s["engine"]]
    figures.bare_rate = [WIDE_CHANNELS / each_s for each_s in taken_s["bare"]]
    figures.update_s = taken_s["update"]
    yield "starting"
    served = ["--model", model_name]
    with (
        Lane("echo", None) as echo,
        Lane("predict", served) as predict,
        Lane("learn", [*served, "--learn"]) as learn,
    ):
        for _ in range(rounds):
            yield "latency"
            for lane, into in ((echo, figures.echo_s), (predict, figures.predict_s)):
                into.append(_quantiles(lane.ping(PINGS)))
            yield "messages"
            for lane, rates in ((echo, figures.echo_rate), (predict, figures.predict_rate)):
                rates.append(lane.pump(Order(MESSAGES)))
            figures.streams_rate.append(predict.pump(Order(MESSAGES, "many", STREAMS)))
            yield "channels and learning"
            wide = predict.pump(Order(WIDE_MESSAGES, "wide", channels=WIDE_CHANNELS))
            figures.wide_rate.append(WIDE_CHANNELS * wide)
            figures.learnt_rate.append(learn.pump(Order(LEARNT_SAMPLES, "taught", targets=True)))


def _quantiles(taken_s: list[float]) -> tuple[float, float]:
    p50, p99 = np.quantile(taken_s, [0.5, 0.99]).tolist()
    return p50, p99


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure beside its reference; `ratio` is the median over rounds."""

    measure: str
    ours: float
    unit: str
    reference: float
    against: str
    ratio: float


def table(figures: Figures) -> list[Row]:
    """Return P1, P2, P4 and the learning rate."""
    echo, rows = "a bare echo", []
    for index, name in enumerate(("p50", "p99")):
        ours = [quantiles[index] * 1e6 for quantiles in figures.predict_s]
        bare = [quantiles[index] * 1e6 for quantiles in figures.echo_s]
        rows.append(_row(f"published to answered {name}", ours, "us", bare, echo))
    one = f"the same, {STREAMS} streams"
    engine = f"engine, {WIDE_CHANNELS:,} channels"
    return [
        *rows,
        _row("one-sample messages", figures.predict_rate, "/s", figures.echo_rate, echo),
        _row(one, figures.streams_rate, "/s", figures.echo_rate, echo),
        _row(engine, figures.engine_rate, "estimates/s", figures.bare_rate, "a bare tanh step"),
        _row("samples learnt from", figures.learnt_rate, "/s", figures.predict_rate, "not learning"),
    ]


def _row(name: str, ours: list[float], unit: str, reference: list[float], against: str) -> Row:
    ratio = median(a / b for a, b in zip(ours, reference, strict=True))
    return Row(name, median(ours), unit, median(reference), against, ratio)


def verdict(figures: Figures) -> str:
    """Return what this machine carries, in one sentence for whoever wants to use it."""
    small, wide, learnt = (median(r) for r in (figures.streams_rate, figures.wide_rate, figures.learnt_rate))
    return (
        f"At full load this machine carries {_rounded(small / 100)} streams of one channel at 100 samples/s "
        f"({_rounded(small / 1000)} at 1 kHz), or {_rounded(wide / 100)} channels of large streams at "
        f"100 samples/s ({_rounded(wide / 1000)} at 1 kHz); learning from every sample, {_rounded(learnt / 100)} "
        f"streams at 100 samples/s ({_rounded(learnt / 1000)} at 1 kHz)."
    )


def _rounded(count: float) -> str:
    """Return a count to two digits, downwards: it is a promise."""
    whole = int(count)
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return f"{whole // step * step:,}"
