"""Log lines on their way to standard error: a thread writes them, so that who takes none stops nothing.

A terminal that was halted (Ctrl-S) or a log collector that hangs lets a write wait for ever. Here only the thread
waits; the queue is bounded, and what does not fit is dropped and counted.
"""

import atexit
import logging
import os
import threading
from collections import deque

QUEUED_LINES = 1_000
FLUSH_S = 1.0  # how long the end of the process waits for a reader


class LogQueue(logging.Handler):
    """Handler that never waits for who reads the log.

    Parameters
    ----------
    descriptor : int
        File descriptor to write to.
    queued_lines : int
        Further lines are dropped; how many is written once there is room.
    """

    def __init__(self, descriptor: int, queued_lines: int = QUEUED_LINES) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._queued_lines = queued_lines
        self._lines: deque[str] = deque()
        self._changed = threading.Condition()
        self._dropped = 0
        self._writing = False
        self._stuck = False  # nothing has been taken since a flush gave up
        self._ended = False
        self._writer = threading.Thread(target=self._write_lines, name="log", daemon=True)
        self._writer.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or count it as dropped."""
        line = self.format(record)
        with self._changed:
            if len(self._lines) < self._queued_lines:
                self._lines.append(line)
            else:
                self._dropped += 1
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all lines are written, for a bounded time, and only once for who takes none."""
        with self._changed:
            limit_s = 0.0 if self._stuck else FLUSH_S
            self._stuck = not self._changed.wait_for(lambda: not self._lines and not self._writing, limit_s)

    def close(self) -> None:
        """Write what is queued if it is taken within a bounded time, and end."""
        atexit.unregister(self.close)
        self.flush()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        super().close()

    def _write_lines(self) -> None:
        while (text := self._next_text()) is not None:
            rest = text.encode("utf-8", "backslashreplace")
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError:  # nobody reads it any more, or it is full; the program goes on
                pass

    def _next_text(self) -> str | None:
        """Wait for the next line, with a word about dropped ones; return None at the end."""
        with self._changed:
            self._writing = self._stuck = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._lines or self._ended)
            if not self._lines:
                return None
            self._writing = True
            line = self._lines.popleft()
            if self._dropped and not self._lines:
                line += f"\n{self._dropped} more log line(s) were dropped: standard error was not read"
                self._dropped = 0
            return line + "\n"


def flush_log() -> None:
    """Wait until the program's log is written, for a bounded time."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogQueue):
            handler.flush()
