"""Where rich writes: standard output, and progress on standard error."""

import contextlib
import io
import signal
import sys
from types import FrameType
from typing import IO, cast

from rich.console import Console
from rich.progress import Progress, ProgressColumn


class Output(Console):
    """Standard output; a reader that has gone is reported as it is for everything else that writes there."""

    def on_broken_pipe(self) -> None:
        """Raise, where rich would end the process with exit code 1."""
        raise BrokenPipeError


class _Aside(io.TextIOBase):
    """Standard error as a stream whose reader, or terminal, may go without anybody minding."""

    def __init__(self) -> None:
        self._stream = sys.stderr  # in whose place rich puts a stream that writes here

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of standard error."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        """Write if that is possible."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if that is possible."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._stream.fileno()


def draws(console: Console) -> bool:
    """Return whether pictures can be put in each other's place: not with TERM=dumb, which knows no such thing."""
    return console.is_terminal and not console.is_dumb_terminal


class _Bar(Progress):
    """A progress bar that gives the cursor back while the process is stopped (Ctrl-Z)."""

    def start(self) -> None:
        """Draw."""
        super().start()
        if not self.disable and signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._stop_here)

    def stop(self) -> None:
        """Draw for the last time."""
        if signal.getsignal(signal.SIGTSTP) == self._stop_here:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        super().stop()

    def _stop_here(self, _number: int, _frame: FrameType | None) -> None:
        self.console.show_cursor(True)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # and on with the next line once it is continued
        signal.signal(signal.SIGTSTP, self._stop_here)
        self.console.show_cursor(False)


def progress(*columns: ProgressColumn | str, hidden: bool, transient: bool = False) -> Progress:
    """Return a progress bar on standard error; nothing is drawn if `hidden`, or where no terminal can show it."""
    console = Console(file=cast(IO[str], _Aside()))
    seen = draws(console) and not hidden
    return _Bar(*columns or Progress.get_default_columns(), console=console, disable=not seen, transient=transient)
