"""`sincos train`: train a model offline."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from predictor.commands.common import quiet, start_logging
from predictor.standard_streams import discard_output
from streamer.errors import FileError, UsageError
from streamer.shell import StopSignal, log

if TYPE_CHECKING:
    from trainer.model import Model
    from trainer.offline.figure import Panel
    from trainer.offline.general import TrainingState
    from trainer.offline.training import Progress, TrainConfig

    Observer = Callable[[Progress], None]

EXCERPTS = 6
EXCERPT = slice(400, 600)  # samples


# fmt: off
@click.command()
@click.option("--recipe", type=click.Choice(["tutorial", "general"]), default="general", show_default=True,
              help="tutorial: the lesson's one sine; general: random signals of many kinds.")
@click.option("--cell", type=click.Choice(["rnn", "gru", "lstm"]),
              help="Cell, of tutorial.  [default: rnn]")
@click.option("--hidden", type=int, metavar="UNITS",
              help="Units a layer.  [default: 32 for tutorial, 96 for general]")
@click.option("--layers", type=int, help="Number of layers.  [default: 1 for tutorial, 2 for general]")
@click.option("--updates", type=int, help="Number of updates.  [default: 100 for tutorial, 44000 for general]")
@click.option("--seed", default=1, show_default=True, help="Seed of the first weights and of the random signals.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE",
              help="Save the best model (safetensors).")
@click.option("--resume", is_flag=True,
              help="Continue from FILE.checkpoint, which general leaves beside --out until it is done.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE",
              help="Draw target and prediction: as it learns for tutorial, held-out signals for general.")
@click.option("--json", "as_json", is_flag=True, help="Print one line an update on standard output.")
@quiet
def command(
    recipe: str, cell: str | None, hidden: int | None, layers: int | None, updates: int | None, seed: int,
    out: Path | None, resume: bool, plot: Path | None, as_json: bool, quiet: bool,
) -> None:
    # fmt: on
    """Train a model offline. Ctrl-C stops and keeps the best so far."""
    start_logging("train", quiet=quiet)
    if out is not None and out == plot:
        raise UsageError(f"--out, --plot: must be two files, got {out} for both")
    _check_writable("--out", out)
    _check_writable("--plot", plot)
    # Here and not above, so that --help needs no torch, and only who draws needs matplotlib.
    from trainer.offline.training import configure, use_one_thread

    if plot is not None:
        from trainer.offline.figure import check_format

        check_format(plot)
    use_one_thread()
    config = configure(recipe, cell=cell, hidden=hidden, layers=layers, updates=updates, seed=seed)
    state = _resumed(config, out) if resume else None
    if out is None:
        log.warning("without --out the model will not be saved")
    with StopSignal() as stop:
        _fit(config, state, stop, out, plot, as_json=as_json, quiet=quiet)


def _resumed(config: "TrainConfig", out: Path | None) -> "TrainingState":
    """Return what to go on from."""
    from trainer.offline.training_checkpoint import checkpoint_path, load_checkpoint

    if out is None or config.recipe != "general":
        raise UsageError("--resume: needs --recipe general and the --out of the training that was interrupted")
    state = load_checkpoint(config, checkpoint_path(out))
    if state.updates >= config.updates:
        raise UsageError(f"--resume: all {config.updates} updates are made, and the model is in {out}")
    return state


def _fit(
    config: "TrainConfig", state: "TrainingState | None", stop: StopSignal, out: Path | None, plot: Path | None,
    *, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train, and write what was asked for."""
    lesson: list[Progress] = []
    observers: list[Observer] = []
    if plot is not None and config.recipe == "tutorial":
        observers.append(lesson.append)
    if out is not None and config.recipe == "general":
        observers.append(partial(_keep, config, out))
    if as_json:
        observers.append(_JsonLines(stop))
    with _bar(config, hidden=quiet) as show:
        last = _train(config, state, stop, [show, *observers])
    log.info("%d of %d updates made; best loss %.6g", last.update + 1, config.updates, last.best_loss)
    if out is not None:
        _save(last.best, config, out)
        log.info("saved %s", out)
        if last.update + 1 == config.updates:
            _forget(out)
    if plot is not None:
        _draw(lesson, last.best, plot)


def _keep(config: "TrainConfig", out: Path, progress: "Progress") -> None:
    """Save the best so far, and what to go on from, whenever held-out signals were scored."""
    from trainer.offline.training_checkpoint import checkpoint_path, save_checkpoint

    if progress.state is not None:
        _save(progress.best, config, out)
        save_checkpoint(config, progress.state, checkpoint_path(out))


def _forget(out: Path) -> None:
    """Remove the checkpoint of a training that is done."""
    from trainer.offline.training_checkpoint import checkpoint_path

    checkpoint_path(out).unlink(missing_ok=True)


def _train(
    config: "TrainConfig", state: "TrainingState | None", stop: StopSignal, observers: "list[Observer]"
) -> "Progress":
    """Train until done or told to stop, showing each progress to the observers; return the last."""
    from trainer.offline.training import train

    last = None
    for last in train(config, state):
        for observe in observers:
            observe(last)
        if stop.requested:
            return last
    if last is None:
        raise UsageError("the first gradient is not finite: choose a smaller network")
    if last.update + 1 < config.updates:
        log.warning("the gradient is not finite any more: stopped, keeping the best so far")
    return last


class _JsonLines:
    """Prints each update on standard output; asks to stop when the reader has gone."""

    def __init__(self, stop: StopSignal) -> None:
        self._stop = stop

    def __call__(self, progress: "Progress") -> None:
        line: dict[str, float] = {"update": progress.update, "loss": progress.loss}
        if progress.validation_loss is not None:
            line["validation_loss"] = progress.validation_loss
        try:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            discard_output()
            self._stop.requested = True


@contextmanager
def _bar(config: "TrainConfig", *, hidden: bool) -> "Iterator[Observer]":
    """Draw a progress bar on standard error; what is yielded moves it."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    from predictor.console.terminal import progress as progress_bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.5f}, best {task.fields[best]:.5f}"),
        TimeRemainingColumn(),
    )
    with progress_bar(*columns, hidden=hidden) as bar:
        task = bar.add_task(config.recipe, total=config.updates, loss=float("nan"), best=float("nan"))

        def show(progress: "Progress") -> None:
            bar.update(task, completed=progress.update + 1, loss=progress.loss, best=progress.best_loss)

        yield show


def _check_writable(flag: str, path: Path | None) -> None:
    """Refuse, before hours of training, a file that could not be written after them."""
    if path is None:
        return
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"{flag} {path}: must be a regular file")
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name):
            pass
    except OSError as error:
        raise FileError(f"{flag} {path}: cannot be written: {error.strerror}") from None


def _save(model: "Model", config: "TrainConfig", path: Path) -> None:
    from trainer.model_file import save_model

    network = config.model
    cell = f"--cell {network.cell} " if config.recipe == "tutorial" else ""
    spoken = (
        f"sincos train --recipe {config.recipe} {cell}--hidden {network.hidden} "
        f"--layers {network.layers} --updates {config.updates} --seed {config.seed}"
    )
    save_model(replace(model, provenance={**model.provenance, "command": spoken}), path)


def _draw(lesson: "list[Progress]", best: "Model", path: Path) -> None:
    from trainer.offline.figure import save

    save(_lesson_panels(lesson) if lesson else _excerpt_panels(best), path)
    log.info("drew %s", path)


def _lesson_panels(lesson: "list[Progress]") -> "list[Panel]":
    """Return what was learnt from and what was said of it, window after window."""
    from trainer.offline.figure import Panel

    target = np.concatenate([each.window.targets[:, 0, 0] for each in lesson if each.window is not None])
    said = np.concatenate([each.estimates[:, 0, 0] for each in lesson if each.estimates is not None])
    return [Panel(f"cos as it is learnt: {len(lesson)} updates", target, said)]


def _excerpt_panels(model: "Model") -> "list[Panel]":
    """Return what a model says of held-out signals."""
    from trainer.offline.figure import Panel
    from trainer.offline.general import held_out_signals
    from trainer.offline.network import predict

    signals = held_out_signals(EXCERPT.stop, EXCERPTS)
    said = predict(model, signals.inputs)[0][EXCERPT]
    targets = signals.targets[EXCERPT]
    return [Panel(f"cos of held-out signal {k}", targets[:, k, 0], said[:, k, 0]) for k in range(EXCERPTS)]
