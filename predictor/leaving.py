"""Ways for a process to end early without noise. Imports nothing heavy: it acts before anything else does."""

import os
import signal
import sys
from types import FrameType


def leave_at_once_on_signals() -> None:
    """Let SIGINT and SIGTERM end the process with exit code 0 until a command has something to finish.

    Libraries may take seconds to import, and hear no flag meanwhile.
    """

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)


def leave_broken_pipe() -> None:
    """Write no more to a reader that has gone (`| head`); without this the interpreter complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
