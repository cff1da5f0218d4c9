"""`sincos apply`: a recording through the daemon's core, without sockets."""

import os

# Before NumPy, as in `sincos predict`: one thread keeps products exact.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from predictor.api.recording import prepare
from predictor.api.settings import Settings
from predictor.apply.application import Application, Block
from predictor.apply.estimate_file import open_estimates
from predictor.commands.common import nominal_hz, quiet, start_logging
from predictor.commands.learning import learning_options
from predictor.commands.tables import table_options
from streamer.clock import SystemClock
from streamer.errors import UsageError
from streamer.recordings.csv_layout import TableOptions
from streamer.recordings.recording import Recording, read_recording
from streamer.shell import StopSignal, log
from streamer.waveforms import check_range
from streamer.wire import codec
from trainer.model import Model

FILE = click.Path(path_type=Path)


# fmt: off
@click.command()
@click.argument("input_path", metavar="INPUT", type=FILE)
@click.argument("output_path", metavar="OUTPUT", type=FILE)
@click.option("--rate", "rate_hz", type=float, metavar="HZ",
              help="Sample rate of a file that does not state it: .npy, or .csv without times.")
@click.option("--model", "model_name", default="default", show_default=True, metavar="NAME|FILE",
              help="default, tutorial, new (random weights), or a file from sincos train.")
@click.option("--seed", type=int, help="Seed of the random weights of --model new.  [default: 0]")
@nominal_hz
@learning_options
@click.option("--targets", "targets_path", type=FILE, metavar="FILE",
              help="The true cos, or cos and sin, of each channel, to learn from (--learn target) or to score.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as one JSON object on standard output.")
@table_options
@quiet
def command(
    input_path: Path, output_path: Path, rate_hz: float | None, model_name: str, seed: int | None,
    nominal_hz: float | None, learn: str | None, band_hz: tuple[float, float] | None, window_samples: int | None,
    stride_samples: int | None, learning_rate: float | None, targets_path: Path | None, as_json: bool, quiet: bool,
    table: TableOptions,
) -> None:
    # fmt: on
    """Run the recording INPUT (.npy, .csv or .wav) through a model, sample by sample, into OUTPUT (.npy or .csv).

    Output n depends on samples 0 to n alone, and is what `sincos predict` would have published live.
    """
    start_logging("apply", quiet=quiet)
    np.seterr(all="ignore")  # values are checked; OpenBLAS raises flags for what lies past its operands, too
    _check_distinct(input_path, targets_path, output_path)
    settings = Settings(
        model_name, seed, learn, band_hz, nominal_hz, window_samples, stride_samples, learning_rate
    )
    model = settings.choose_model()
    recording = read_recording(input_path, table_options=replace(table, rate_hz=rate_hz))
    targets = read_recording(targets_path, dims=(1, 2, 3)) if targets_path else None
    if rate_hz is not None:
        check_range("--rate", rate_hz, codec.MIN_RATE_HZ, codec.MAX_RATE_HZ)
    rate_hz = recording.rate(rate_hz)
    application = prepare(settings, model, recording, targets, rate_hz)
    if (scale := settings.time_scale(rate_hz)) is not None:
        log.info("%s", scale)
    clock = SystemClock()
    started_ns = clock.now().mono_ns
    _run(application, recording, model, output_path, quiet=quiet)
    elapsed_s = (clock.now().mono_ns - started_ns) / 1e9
    for text in application.warnings():
        log.warning("%s", text)
    summary = {
        "input": str(input_path),
        "output": str(output_path),
        "model": model.name,
        "fields": list(model.config.fields),
        "samples": recording.rows,
        "channels": recording.columns,
        "rate_hz": rate_hz,
        "elapsed_s": elapsed_s,
        "samples_per_s": recording.rows / elapsed_s,
        "gaps": recording.gaps(),
        "unusable": application.last_status["unusable"],
        "updates": application.last_status["model_version"],
        "rmse": application.rmse,
        "familiar_share": application.familiar_share,
        "unfamiliar_channels": application.unfamiliar_shares(),
        "cycle_samples": application.last_status["cycle_samples"],
        "learning": application.last_status["learning"],
    }
    log.info(
        "%s: %d samples of %d channel(s), %s; %.1f s, %.0f samples/s%s", output_path, recording.rows,
        recording.columns, " and ".join(model.config.fields), elapsed_s, recording.rows / elapsed_s,
        "" if application.rmse is None else f"; RMSE of cos {application.rmse:.4g}",
    )  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")


def _run(application: Application, recording: Recording, model: Model, path: Path, *, quiet: bool) -> None:
    """Write every estimate; if a signal comes first, write nothing and exit as a shell would have it."""
    channels, fields = recording.columns, len(model.config.fields)
    with (
        StopSignal() as stop,
        open_estimates(path, recording.samples, channels, fields) as results,
        _bar(recording.rows, hidden=quiet) as show,
    ):
        for block in application.blocks():
            results.write(block.seq, block.inputs, block.estimates)
            show(block)
            if stop.requested:
                log.warning("stopped at sample %d of %d: %s is not written",
                            block.seq + len(block.inputs), recording.samples, path)
                raise click.exceptions.Exit(128 + (stop.number or signal.SIGINT))


def _check_distinct(input_path: Path, targets_path: Path | None, output_path: Path) -> None:
    for name, path in (("INPUT", input_path), ("--targets", targets_path)):
        if path is None or not path.exists():
            continue
        if output_path.exists() and output_path.samefile(path):
            raise UsageError(f"OUTPUT: must be another file than {name}, got {output_path} for both")


@contextmanager
def _bar(samples: int, *, hidden: bool) -> Iterator[Callable[[Block], None]]:
    """Draw a progress bar on standard error; what is yielded moves it on past a block."""
    from predictor.console.terminal import progress

    with progress(hidden=hidden) as bar:
        task = bar.add_task("apply", total=samples)
        yield lambda block: bar.update(task, advance=len(block.inputs))
