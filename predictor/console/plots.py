"""The two charts: the newest samples, and the error since the start."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from predictor.console import formatting
from predictor.console.chart import DOTS_PER_COLUMN, GREY, Axis, Curve, draw
from predictor.console.error_curve import CurvePoint
from predictor.console.snapshot import Shown

# Of a terminal's 256, legible on dark and light; the estimate is drawn last, over the target it should cover.
COLOURS = {"input": GREY, "target": 203, "estimate": 39}
MEANINGS = {"input": "input (sin)", "target": "target (true cos)", "estimate": "estimate (cos)"}
ERROR_COLOUR = 214
STROKE = "\N{BOX DRAWINGS HEAVY HORIZONTAL}" * 2
LABEL_WIDTH = 8  # of the left axis, with its line
CYCLES, MIN_SAMPLES = 4, 50  # drawn at least
MAX_DECADES = 12  # below an error of nothing at all
DIM = f"color({GREY})"

Values = NDArray[np.float64]


def signal_plot(shown: Shown, width: int, height: int) -> list[Text]:
    """Return a legend and a chart of the newest few cycles."""
    every = {"input": shown.curves.inputs, "target": shown.curves.targets, "estimate": shown.curves.estimates}
    heard = {name: _drawable(values) for name, values in every.items() if not np.isnan(values).all()}
    samples = max(1, _samples_to_draw(next(iter(heard.values()), np.empty(0))))
    stride = max(1, samples // ((width - LABEL_WIDTH) * DOTS_PER_COLUMN))
    seq = shown.curves.seq[-samples:].astype(np.float64)
    picked = slice((len(seq) - 1) % stride, None, stride)  # the newest is always one of them
    curves = [Curve(seq[picked], values[-samples:][picked], COLOURS[name]) for name, values in heard.items()]
    x_axis = _sample_axis(seq, samples, shown.rate_hz)
    return [_signal_legend(list(heard)), *draw(curves, x_axis, _level_axis(curves), width, height - 1)]


def error_plot(shown: Shown, width: int, height: int) -> list[Text]:
    """Return a legend and a chart of the error since the start, on a logarithmic scale."""
    legend = Text.assemble(" ", (STROKE, f"color({ERROR_COLOUR})"), " RMSE of cos", (_course(shown), DIM))
    return [legend, *(line.copy() for line in _error_chart(shown.error, width, height - 1))]


@lru_cache(maxsize=1)  # drawing costs, and the curve changes less often than the picture
def _error_chart(points: tuple[CurvePoint, ...], width: int, height: int) -> list[Text]:
    time_s = np.array([point.time_s for point in points])
    with np.errstate(divide="ignore"):
        rmse = np.log10(np.array([point.rmse for point in points]))
    y_axis = _log_axis(rmse, height - 2)
    curve = Curve(time_s, np.maximum(rmse, y_axis.low), ERROR_COLOUR)
    return draw([curve], _time_axis(time_s), y_axis, width, height)


def _course(shown: Shown) -> str:
    summary = shown.summary
    if summary.start_rmse is not None:
        when = "now" if summary.score_stale_s is None else f"{formatting.age(summary.score_stale_s)} ago"
        return f"   {formatting.error(summary.start_rmse)} at the start, {formatting.error(summary.rmse)} {when}"
    return "   nothing to compare with yet" if summary.has_targets else "   the source publishes no targets"


def _signal_legend(names: Sequence[str]) -> Text:
    legend = Text(" ")
    for name in names:
        legend.append(STROKE, f"color({COLOURS[name]})").append(f" {MEANINGS[name]}   ")
    return legend


def _samples_to_draw(values: Values) -> int:
    """A round number of samples with a few cycles in it, so that the picture stays calm."""
    period = _period_samples(values)
    return int(max(MIN_SAMPLES, min(len(values), _round_step(CYCLES * period)))) if period else len(values)


def _period_samples(values: Values) -> float | None:
    """Mean distance of upward crossings of the middle; small ripples do not count."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    scale = float(np.abs(known).max()) or 1.0
    swing = np.nan_to_num(values / scale - (known / scale).mean())
    clear = np.flatnonzero(np.abs(swing) > 0.5 * swing.std())
    upward = clear[1:][np.diff(np.sign(swing[clear])) > 0]
    return float(upward[-1] - upward[0]) / (len(upward) - 1) if len(upward) > 1 else None


def _drawable(values: NDArray[np.float32]) -> Values:
    # float32's largest values overflow the arithmetic of scales; nobody can read them off a chart.
    wide = values.astype(np.float64)
    return np.where(np.isfinite(wide), wide, np.nan)


def _sample_axis(seq: Values, samples: int, rate_hz: float | None) -> Axis:
    """The newest sample at the right edge, time counted back from it."""
    newest = float(seq[-1])
    if not rate_hz or not samples:
        return Axis(newest - samples, newest, [(newest, "newest")])
    span_s = samples / rate_hz
    step_s = _round_step(span_s / 4)
    ticks = [
        (newest - k * step_s * rate_hz, f"-{formatting.plain(k * step_s)} s" if k else "now")
        for k in range(4)
        if k * step_s < 0.95 * span_s
    ]
    return Axis(newest - samples, newest, ticks[::-1])


def _level_axis(curves: Sequence[Curve]) -> Axis:
    """Symmetric about 0, so that the curves do not jump while one of them is still far off."""
    known = [np.abs(curve.y[np.isfinite(curve.y)]) for curve in curves]
    largest = max((float(values.max()) for values in known if len(values)), default=0.0) or 1.0
    return Axis(-1.05 * largest, 1.05 * largest, [(v, _label(v)) for v in (-largest, 0.0, largest)])


def _log_axis(values: Values, rows: int) -> Axis:
    known = values[np.isfinite(values)]
    top = math.ceil(known.max() + 1e-9) if len(known) else 0
    bottom = math.floor(known.min()) if len(known) else -1
    bottom = max(min(bottom, top - 1), top - MAX_DECADES)
    step = max(1, math.ceil((top - bottom) / max(1, rows - 1)))
    return Axis(bottom, top, [(float(k), _label(10.0**k)) for k in range(bottom, top + 1, step)])


def _time_axis(time_s: Values) -> Axis:
    end_s = max(10.0, float(time_s[-1])) if len(time_s) else 10.0
    step_s = _round_step(end_s / 5)
    places = [k * step_s for k in range(int(end_s / step_s) + 1)]
    return Axis(0.0, end_s, [(place, f"{formatting.plain(place)} s") for place in places])


def _label(value: float) -> str:
    return formatting.plain(value, 2).rjust(LABEL_WIDTH - 2)


def _round_step(least: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50 ... from `least` on."""
    decade = 10.0 ** math.floor(math.log10(least))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= least * (1 - 1e-9))
