"""Curves as lines of text: plotext does the drawing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotext  # type: ignore[import-untyped]
from numpy.typing import NDArray
from rich.text import Text

MARKER = "braille"
DOTS_PER_COLUMN = 2  # of that marker

GREY = 246
THEME = "sincos"

plotext.add_theme(THEME, text=GREY)  # a frame in grey on whatever background the terminal has


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A line of one colour.

    Parameters
    ----------
    x, y : float64 array, shape (points,)
        Where y is not finite the line is broken.
    colour : int
        One of a terminal's 256.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: int


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis spans, and its labelled places.

    Parameters
    ----------
    low, high : float
        Limits; `low` below `high`.
    ticks : sequence of (float, str)
        Places and labels.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]


def draw(curves: Sequence[Curve], x: Axis, y: Axis, width: int, height: int) -> list[Text]:
    """Return a chart of `height` lines, each `width` cells wide; later curves lie on top."""
    # A figure of its own: plotext.figure is one for the whole process, and cut to the terminal it finds.
    plotext.terminal.limit(False, False)
    figure = type(plotext.figure)(plotext.terminal)
    figure.plot_size(width, height)
    figure.theme(THEME)
    figure.axes(False, axis="x", side="upper")
    figure.axes(False, axis="y", side="right")
    for name, axis in (("x", x), ("y", y)):
        ruler = figure.ruler(name)
        ruler.lim(axis.low, axis.high)
        ruler.ticks([place for place, _ in axis.ticks], [label for _, label in axis.ticks])
    for curve in curves:
        _add(figure, curve)
    return list(Text.from_ansi(figure.build().string()).split("\n"))[:height]


def _add(figure: plotext.figure, curve: Curve) -> None:
    places = np.flatnonzero(np.isfinite(curve.y))
    if not len(places):
        return
    marker = plotext.marker(MARKER).fill(plotext.pixel(curve.colour))
    signal = figure.signal(curve.x[places].tolist(), curve.y[places].tolist(), marker=marker)
    signal.lines()
    for broken in np.flatnonzero(np.diff(places) > 1) + 1:
        signal.line(int(broken), False)
    figure.draw(signal)
