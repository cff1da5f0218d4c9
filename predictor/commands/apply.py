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

from predictor.api.settings import choose_learning, choose_model
from predictor.apply.application import Application, Block
from predictor.apply.estimate_file import open_results
from predictor.commands.common import nominal_hz, quiet, start_logging
from predictor.commands.learning import learning_options
from predictor.commands.tables import table_options
from predictor.daemon.core import Predictor, PredictorConfig
from predictor.engine.timescale import LONGEST_CYCLE, SHORTEST_CYCLE, time_scale
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
              help="Samples a second of a file that does not say them: .npy, or .csv without times.")
@click.option("--model", "model_name", default="default", show_default=True, metavar="NAME|FILE",
              help="default, tutorial, new (random weights), or a file from sincos train.")
@click.option("--seed", type=int, help="Of the random weights of --model new.  [default: 0]")
@nominal_hz
@learning_options
@click.option("--targets", "targets_path", type=FILE, metavar="FILE",
              help="The true cos, or cos and sin, of each channel: learnt from with --learn target, else scored.")
@click.option("--json", "as_json", is_flag=True, help="Print a line that sums up on standard output.")
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
    model = choose_model(model_name, {}, seed)
    recording = read_recording(input_path, table_options=replace(table, rate_hz=rate_hz))
    targets = read_recording(targets_path, dims=(1, 2, 3)) if targets_path else None
    if rate_hz is not None:
        check_range("--rate", rate_hz, codec.MIN_RATE_HZ, codec.MAX_RATE_HZ)
    rate_hz = recording.rate(rate_hz)
    if learn == "target" and targets is None:
        raise UsageError("--learn target: needs --targets FILE, for a recording publishes none")
    if band_hz is not None and rate_hz is None:
        raise UsageError(f"--band: is in Hz, and {input_path} does not say its samples a second; give --rate")
    learning = choose_learning(learn, band_hz, window_samples, stride_samples, learning_rate, nominal_hz)
    core = Predictor(
        model, PredictorConfig(nominal_hz=nominal_hz), learning.make_learner, learning.self_config
    )
    if nominal_hz is not None:
        log.info("%s", time_scale(rate_hz or 0.0, nominal_hz))
    application = Application(core, recording, targets, rate_hz or 0.0, one_by_one=learn == "target")
    clock = SystemClock()
    started_ns = clock.now().mono_ns
    _run(application, recording, model, output_path, quiet=quiet)
    elapsed_s = (clock.now().mono_ns - started_ns) / 1e9
    _warn(application)
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
        "familiar_share": _share(application.verdicts),
        "unfamiliar_channels": _unfamiliar(application),
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
        open_results(path, recording.samples, channels, fields) as results,
        _bar(recording.rows, hidden=quiet) as show,
    ):
        for block in application.blocks():
            results.write(block.seq, block.inputs, block.estimates)
            show(block)
            if stop.requested:
                log.warning("stopped at sample %d of %d: %s is not written",
                            block.seq + len(block.inputs), recording.samples, path)
                raise click.exceptions.Exit(128 + (stop.number or signal.SIGINT))


def _warn(application: Application) -> None:
    unusable, share = application.last_status["unusable"], _share(application.verdicts)
    if unusable:
        log.warning("%d sample(s) not finite or beyond 1e30 replaced by the channel's last value", unusable)
    trouble = (application.last_status["learning"] or {}).get("trouble")
    if trouble is not None:
        log.warning("nothing was learnt: %s", trouble)
    if share is not None and share < 1:
        strange = 100 * (1 - share)
        cycle, step = application.last_status["cycle_samples"], application.last_status["samples_per_step"]
        is_slow_or_fast = cycle is None or not SHORTEST_CYCLE <= cycle / step <= LONGEST_CYCLE
        log.warning(
            "outside what the model knows in %.0f %% of the looks%s",
            strange, "; --nominal-hz may help" if is_slow_or_fast else "",
        )  # fmt: skip
    shares = _unfamiliar(application)
    if shares and application.channels > 1:
        few = ", ".join(f"{channel} ({100 * share:.0f} %)" for channel, share in list(shares.items())[:10])
        more = f" and {len(shares) - 10} more" if len(shares) > 10 else ""
        log.warning(
            "%d of %d channels out of the model's range, in so many of the checks: %s%s; what is said of them is "
            "not to be trusted", len(shares), application.channels, few, more,
        )  # fmt: skip


def _unfamiliar(application: Application) -> dict[int, float]:
    """Return the channels that were out of the model's range, each with the share of checks that found it."""
    checks = len(application.verdicts)
    return {channel: count / checks for channel, count in sorted(application.unfamiliar.items())}


def _share(verdicts: list[bool]) -> float | None:
    return sum(verdicts) / len(verdicts) if verdicts else None


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
