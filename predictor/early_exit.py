"""Ways for a process to end early without noise. Imports nothing heavy: it acts before anything else does."""

import atexit
import os
import signal
import sys
from types import FrameType

BATCH = {"apply", "train"}  # commands whose output is not there when they are stopped so early


def leave_at_once_on_signals() -> None:
    """Let SIGINT and SIGTERM end the process until a command has something to finish.

    Libraries may take seconds to import, and hear no flag meanwhile. The exit code is 0, or, of a command that
    leaves its output unwritten, 128 and the signal's number.
    """
    is_batch = not BATCH.isdisjoint(sys.argv[1:2])

    def leave(number: int, _frame: FrameType | None) -> None:
        os._exit(128 + number if is_batch else 0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    atexit.register(_let_nothing_interrupt_the_end)  # the first to be registered is the last to be called


def _let_nothing_interrupt_the_end() -> None:
    """Ignore signals from now on: the interpreter is about to give them back their default, which is to kill."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
