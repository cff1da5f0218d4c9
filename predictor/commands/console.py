"""`sincos console`: watch input, target, estimate and error live."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import click

from predictor.commands.common import (
    Security,
    flags,
    predictor_addresses,
    quiet,
    secured,
    source_addresses,
    start_logging,
)
from predictor.console.collector import Collector, Selection
from predictor.console.display import Nowhere, check_writable, display_on, save_svg
from predictor.console.loop import TOPICS, watch
from predictor.console.render import render
from predictor.console.snapshot import Snapshot
from predictor.console.terminal import Output, draws
from streamer.clock import SystemClock
from streamer.errors import NothingHeard, UsageError
from streamer.shell import StopSignal
from streamer.transport.transport import Transport
from streamer.wire import codec

FILL_S = 2.0  # how long a single picture goes on filling once estimates come


@click.command()
@source_addresses
@predictor_addresses
@click.option("--stream", metavar="NAME", help="Stream to show.  [default: the first with samples]")
@click.option("--channel", type=click.IntRange(min=0), default=0, show_default=True, help="Channel to show.")
@click.option("--once", is_flag=True, help="Print one picture once there is something to show, and end.")
@click.option("--after", "after_s", default=0.0, metavar="SECONDS", help="With --once: wait at least this long.")
@click.option(
    "--timeout",
    "timeout_s",
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="With --once: how long to wait for input and estimates.",
)
@click.option(
    "--svg",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Save the picture as SVG; without --once, the last one at the end.",
)
@secured
@quiet
def command(
    sources: tuple[str, ...], predictors: tuple[str, ...], stream: str | None, channel: int, once: bool,
    after_s: float, timeout_s: float, svg: Path | None, security: Security, quiet: bool,
) -> None:  # fmt: skip
    """Watch input, target, estimate and error live.

    Keys: n or tab for the next stream, c for the next channel, q to quit.
    """
    start_logging("console", quiet=quiet)
    for name, value in (("--after", after_s), ("--timeout", timeout_s)):
        if not 0 <= value < math.inf:
            raise UsageError(f"{name}: must be finite and not negative, got {value}")
    if stream is not None and not codec.STREAM_NAME.fullmatch(stream):
        raise UsageError(f"--stream: {codec.STREAM_RULE}, got {stream!r}")
    if svg is not None:
        check_writable(svg)
    clock, console, selection = SystemClock(), Output(), Selection(stream, channel)
    collector = Collector(sources, predictors, clock.now())
    # A picture on the terminal says itself who is not there, and a line of the log would run across it.
    alone = draws(console) and not once and sys.stderr.isatty()
    watched = None if alone else flags(sources, predictors)
    transport = Transport(connect=[*predictors, *sources], topics=TOPICS, flags=watched, **security)
    with StopSignal() as stop, transport:
        if once:
            enough = _enough(after_s, timeout_s)
            snapshot = watch(collector, selection, transport, clock, stop, Nowhere(), enough)
        else:
            with display_on(console) as display:
                snapshot = watch(collector, selection, transport, clock, stop, display, lambda _: False)
    if once:
        if not stop.requested:
            _require_samples(snapshot, timeout_s)
        console.print(render(snapshot, *console.size))
    if svg is not None:
        save_svg(snapshot, svg, *console.size)


def _enough(after_s: float, timeout_s: float) -> Callable[[Snapshot], bool]:
    """Return the test for a picture worth printing: input and estimates, and some time to fill it."""
    complete_s: float | None = None

    def enough(snapshot: Snapshot) -> bool:
        nonlocal complete_s
        if complete_s is None and _is_complete(snapshot):
            complete_s = snapshot.elapsed_s
        if complete_s is not None:
            return snapshot.elapsed_s >= max(after_s, complete_s + FILL_S)
        return snapshot.elapsed_s >= max(timeout_s, after_s if snapshot.streams else 0.0)

    return enough


def _is_complete(snapshot: Snapshot) -> bool:
    summary = snapshot.shown.summary if snapshot.shown else None
    return summary is not None and summary.input_samples > 0 and summary.estimate_samples > 0


def _require_samples(snapshot: Snapshot, timeout_s: float) -> None:
    """Raise NothingHeard where the picture holds no sample: what others tell of a stream is not enough."""
    summary = snapshot.shown.summary if snapshot.shown else None
    if summary is not None and summary.input_samples + summary.estimate_samples > 0:
        return
    wanted = snapshot.wanted
    heard = [each for each in snapshot.streams if wanted in (None, each.name)]
    if heard:
        what = f"no sample of stream {heard[0].name!r}, which is only known by name ({heard[0].health}), was"
    else:
        what = "nothing" if wanted is None else f"no stream {wanted!r}"
    raise NothingHeard(
        f"{what} received at {', '.join([*snapshot.sources, *snapshot.predictors])} within {timeout_s:g} s; "
        "start `sincos source` and `sincos predict` first, or raise --timeout"
    )
