"""`sincos demo`: source, learning predictor and console together in one terminal."""

import math
import sys
import tempfile
from pathlib import Path

import click

from predictor.commands.common import quiet, start_logging
from predictor.console import formatting
from predictor.console.collector import Collector, Selection
from predictor.console.display import display_on
from predictor.console.loop import listen, watch
from predictor.console.snapshot import Snapshot
from predictor.console.terminal import Output, draws
from predictor.processes import Processes
from streamer.clock import SystemClock
from streamer.errors import UsageError
from streamer.shell import StopSignal
from streamer.source.signals import Signal
from streamer.waveforms import Oscillation

UNATTENDED_S = 20.0  # how long it runs where nobody can press q
LISTENERS = 2  # the predictor and the console: nothing is missed


@click.command()
@click.option(
    "--duration",
    "duration_s",
    type=float,
    metavar="SECONDS",
    help=f"Stop after this long.  [default: until q; {UNATTENDED_S:g} where there is no terminal]",
)
@click.option("--model", default="new", show_default=True, metavar="NAME|FILE", help="See `sincos predict`.")
@click.option("--learn/--no-learn", default=True, help="Learn online.  [default: learn]")
@click.option("--waveform", default="sine", show_default=True, help="See `sincos source`.")
@click.option(
    "--frequency", "frequency_hz", default=2.5, show_default=True, metavar="HZ", help="Frequency of the signal."
)
@click.option("--rate", "rate_hz", default=50.0, show_default=True, metavar="HZ", help="Sample rate.")
@click.option("--noise", default=0.0, show_default=True, metavar="SIGMA", help="See `sincos source`.")
@quiet
def command(
    duration_s: float | None, model: str, learn: bool, waveform: str, frequency_hz: float, rate_hz: float,
    noise: float, quiet: bool,
) -> None:  # fmt: skip
    """Run a source, a learning predictor and the console in one terminal, until q.

    They talk over sockets of their own, so that no other source or predictor is disturbed.
    """
    start_logging("demo", quiet=quiet)
    console = Output()
    if duration_s is None:
        duration_s = math.inf if draws(console) else UNATTENDED_S
    if not duration_s > 0:
        raise UsageError(f"--duration: must be above 0, got {duration_s}")
    Signal(Oscillation(waveform, frequency_hz), rate_hz, noise=noise)  # refuses here what the source would refuse
    source = ["--waveform", waveform, f"--frequency={frequency_hz}", f"--rate={rate_hz}", f"--noise={noise}"]
    predict = ["--wait=1", "--model", model, *(["--learn"] if learn else [])]
    # Signals are caught before the first process starts, so that none can outlive the demo.
    with (
        tempfile.TemporaryDirectory(prefix="sincos-") as folder,
        StopSignal() as stop,
        Processes(Path(folder)) as processes,
    ):
        snapshot = _run(processes, Path(folder), source, predict, console, stop, duration_s)
        failed = None if stop.requested else processes.failure()
    if failed is not None:
        click.echo(failed.log, err=True, nl=False)
        click.echo(f"sincos: the demo's `sincos {failed.name}` ended with exit code {failed.code}", err=True)
        sys.exit(max(1, failed.code))
    console.file.write(summary_line(snapshot) + "\n")


def _run(
    processes: Processes, folder: Path, source: list[str], predict: list[str], console: Output,
    stop: StopSignal, duration_s: float,
) -> Snapshot:  # fmt: skip
    source_address, predictor_address = f"ipc://{folder}/source", f"ipc://{folder}/predictor"
    processes.start("predict", ["--source", source_address, "--bind", predictor_address, *predict])
    processes.start("source", ["--bind", source_address, "--wait", f"{LISTENERS}", *source])
    clock = SystemClock()
    collector = Collector([source_address], [predictor_address], clock.now())

    def finished(snapshot: Snapshot) -> bool:
        return snapshot.elapsed_s >= duration_s or processes.failure() is not None

    with listen([source_address], [predictor_address]) as transport, display_on(console) as display:
        return watch(collector, Selection(), transport, clock, stop, display, finished)


def summary_line(snapshot: Snapshot) -> str:
    """Return the demo's last words: the error at the start and at the end."""
    shown = snapshot.shown
    if shown is None or shown.summary.rmse is None:
        return "demo: nothing was estimated"
    summary = shown.summary
    updates = summary.learning.updates if summary.learning else None
    return (
        f"demo: RMSE {formatting.error(summary.start_rmse)} -> {formatting.error(summary.rmse)}, phase error "
        f"{formatting.degrees(summary.start_phase_deg)} -> {formatting.degrees(summary.phase_deg)}, "
        f"in {summary.scored_samples:,} samples and {formatting.whole(updates)} updates"
    )
