"""Where rich writes: standard output, and progress on standard error."""

from rich.console import Console
from rich.progress import Progress, ProgressColumn


class Output(Console):
    """Standard output; a reader that has gone is reported as it is for everything else that writes there."""

    def on_broken_pipe(self) -> None:
        """Raise, where rich would end the process with exit code 1."""
        raise BrokenPipeError


class _Aside(Console):
    """Standard error; whether somebody reads it matters to nobody."""

    def on_broken_pipe(self) -> None:
        """Write no more."""
        self.quiet = True


def draws(console: Console) -> bool:
    """Return whether pictures can be put in each other's place: not with TERM=dumb, which knows no such thing."""
    return console.is_terminal and not console.is_dumb_terminal


def progress(*columns: ProgressColumn | str, hidden: bool, transient: bool = False) -> Progress:
    """Return a progress bar on standard error; nothing is drawn if `hidden`, or where no terminal can show it."""
    console = _Aside(stderr=True)
    seen = draws(console) and not hidden
    return Progress(
        *columns or Progress.get_default_columns(), console=console, disable=not seen, transient=transient
    )
