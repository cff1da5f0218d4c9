"""Keeping a command's state: the options, the folder, and what is gone on from."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from predictor.daemon.core import Predictor
from predictor.state.folder import StateFolder
from predictor.state.parked_files import take_newer
from predictor.state.writer import StateWriter
from streamer.clock import Instant, SystemClock
from streamer.effects import ERROR, Effect, Say
from streamer.errors import FileError, OperatorError, StateError, UsageError
from streamer.shell import log
from trainer.model import Model

DEFAULT_EVERY_S = 5.0


def state_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --state-dir and --checkpoint-every, for `checkpoint_every` and `keeping`."""
    every = click.option(
        "--checkpoint-every",
        "every_s",
        type=float,
        metavar="SECONDS",
        help=f"How often to write a checkpoint, with --state-dir.  [default: {DEFAULT_EVERY_S:g}]",
    )
    folder = click.option(
        "--state-dir",
        "state_folder",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Write checkpoints to DIR, and continue from the last one there.",
    )
    return folder(every(command))


def checkpoint_every(folder: Path | None, every_s: float | None) -> float | None:
    """Return how often to keep the state, None where it is not kept.

    Raises
    ------
    UsageError
        If there is nowhere to keep it.
    """
    if folder is None:
        if every_s is not None:
            raise UsageError("--checkpoint-every: needs --state-dir")
        return None
    return DEFAULT_EVERY_S if every_s is None else every_s


@contextmanager
def keeping(core: Predictor, folder: Path | None) -> Iterator[StateWriter | None]:
    """Let a core go on from what a folder holds; yield what writes its state there, until the end.

    Raises
    ------
    StateError
        If the folder is in use, or its state is of another model or other options.
    FileError
        If the folder cannot be used.
    """
    if folder is None:
        yield None
        return
    with StateFolder(folder) as states, StateWriter(states) as keeper:
        memory, remarks = keeper.memory()
        core.recall(memory)
        try:
            tree, damaged = states.latest()
            for line in (*damaged, *remarks):
                log.warning("%s", line)
            index = keeper.parked.index()
            if tree is not None:
                for line in take_newer(tree, keeper.parked, index):
                    log.warning("%s", line)
                core.restore(tree, SystemClock().now())
                log.info("continuing from the checkpoint in %s: %d stream(s)", folder, len(core.streams))
            core.adopt_parked(index)
        except (FileError, StateError) as error:
            raise type(error)(f"--state-dir: {folder}: {error}, or give another directory") from None
        yield keeper
        last = keeper.finish()
        if last is not None and last.error is not None:
            log.error("the last checkpoint was not written: %s", last.error)


def reloader(core: Predictor, choose: Callable[[], Model]) -> Callable[[Instant], Iterable[Effect]]:
    """Return what reads a model anew and gives it to a core; where that fails, the core keeps what it has."""

    def reload(_now: Instant) -> Iterable[Effect]:
        try:
            model = choose()
        except OperatorError as error:
            return [Say(f"model not reloaded, the present one goes on: {error}", ERROR)]
        return core.reload(model)

    return reload
