"""Standard output that a signal can end, although nobody reads it.

A write to a pipe whose reader takes nothing, or to a terminal that was halted, waits for ever, and a signal does
not end it. So it is begun only once there is room.
"""

import io
import logging
import os
import select
import sys
from typing import Protocol

PIECE_BYTES = 4_096  # what fits where there is room at all
GRACE_S = 1.0  # for a reader, after a signal
LOOK_S = 0.1

log = logging.getLogger("sincos")


class Stop(Protocol):
    """Whether a signal has asked to stop, and a descriptor that is readable once any has come."""

    @property
    def requested(self) -> bool: ...
    def fileno(self) -> int: ...


class Output:
    """Writes lines to standard output.

    Parameters
    ----------
    stop : Stop
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._lines: list[str] = []
        self._given_up = False

    def add(self, line: str) -> None:
        """Take a line, to be written by `flush`."""
        self._lines.append(line)

    def flush(self) -> None:
        """Write what was taken, or give it up where nobody reads and a signal has asked to stop.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if not self._lines:
            return
        text = "".join(line + "\n" for line in self._lines)
        self._lines.clear()
        if self._given_up:
            return
        try:
            descriptor = sys.stdout.fileno()
        except (io.UnsupportedOperation, AttributeError):  # no file: it never waits
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        sys.stdout.flush()
        rest = memoryview(text.encode(sys.stdout.encoding, sys.stdout.errors or "strict"))
        while rest:
            if not self._has_room(descriptor):
                self._given_up = True
                log.warning("standard output is not read: %d bytes or more were not written", len(rest))
                return
            rest = rest[os.write(descriptor, rest[: _whole_lines(rest)]) :]

    def _has_room(self, descriptor: int) -> bool:
        """Wait for room; return False if a signal asked to stop and there is none for a while."""
        room = select.poll()
        room.register(descriptor, select.POLLOUT)
        while not self._stop.requested:
            both = select.poll()
            both.register(descriptor, select.POLLOUT)
            both.register(self._stop.fileno(), select.POLLIN)
            if any(ready == descriptor for ready, _ in both.poll()):
                return True
            if not self._stop.requested and room.poll(1_000 * LOOK_S):  # it was another signal
                return True
        return bool(room.poll(1_000 * GRACE_S))


def _whole_lines(rest: memoryview) -> int:
    """Return how many bytes to write at once: whole lines if one fits, so that none is cut short."""
    return bytes(rest[:PIECE_BYTES]).rfind(b"\n") + 1 or PIECE_BYTES
