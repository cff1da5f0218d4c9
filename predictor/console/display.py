"""Where pictures go: a full screen with its keys, a line a second, an SVG file."""

import io
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from predictor.console.keyboard import Keyboard
from predictor.console.render import plain_line, render
from predictor.console.snapshot import Snapshot
from predictor.console.suspension import Suspension
from predictor.console.terminal import draws
from streamer.errors import FileError
from streamer.files.replacement import replacing

TITLE = "sincos console"


class Screen:
    """The whole terminal, given back as it was."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False, transient=True)
        self._suspension = Suspension()
        self.keyboard = Keyboard()

    def show(self, snapshot: Snapshot) -> None:
        """Draw the picture at the terminal's size of this moment; stop before, after Ctrl-Z, until fg."""
        if self._suspension.asked:
            self._leave()
            self._suspension.stop_here()
            self._take()
        elif self._suspension.continued():  # by SIGSTOP and SIGCONT; meanwhile the terminal was another's
            self._leave()
            self._take()
        width, height = self._console.size
        self._live.update(render(snapshot, width, height), refresh=True)

    def _take(self) -> None:
        self.keyboard.__enter__()
        try:
            self._live.__enter__()
        except BaseException:
            self.keyboard.__exit__(None, None, None)
            raise

    def _leave(self) -> None:
        try:
            self._live.__exit__(None, None, None)
        finally:
            self.keyboard.__exit__(None, None, None)

    def __enter__(self) -> Self:
        self._suspension.__enter__()  # before the terminal is taken: Ctrl-Z may come at once
        try:
            self._take()
        except BaseException:
            self._suspension.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._leave()
        finally:
            self._suspension.__exit__(kind, error, trace)


class Ticker:
    """A plain line a second, for where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_s = 1.0
        self.keyboard = Keyboard()

    def show(self, snapshot: Snapshot) -> None:
        """Print a line if a second has passed."""
        if snapshot.elapsed_s >= self._next_s:
            self._next_s = float(int(snapshot.elapsed_s) + 1)
            self._console.file.write(plain_line(snapshot) + "\n")
            self._console.file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def display_on(console: Console) -> Screen | Ticker:
    """Return the full screen where there is a terminal that can show it, otherwise a line a second."""
    return Screen(console) if draws(console) else Ticker(console)


class Nowhere:
    """Shows nothing, while a picture is gathered."""

    def __init__(self) -> None:
        self.keyboard = Keyboard()

    def show(self, snapshot: Snapshot) -> None:
        """Leave the picture alone."""


def check_writable(path: Path) -> None:
    """Raise FileError, before any work is done, if `path` cannot be written."""
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        raise FileError(f"--svg: cannot write {path}: {error.strerror}; choose another file") from None
    if not existed:
        path.unlink()


def save_svg(snapshot: Snapshot, path: Path, width: int, height: int) -> None:
    """Write the picture as an SVG file.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    console = Console(
        file=io.StringIO(), record=True, width=width, height=height, force_terminal=True, color_system="256"
    )
    console.print(render(snapshot, width, height))
    try:
        with replacing(path) as file:
            file.write(console.export_svg(title=TITLE).encode())
    except OSError as error:
        raise FileError(f"--svg: cannot write {path}: {error.strerror}; choose another file") from None
