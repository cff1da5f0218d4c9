"""Keys, one at a time, without waiting and without echo."""

import os
import sys
import termios
import tty
from types import TracebackType
from typing import Self


class Keyboard:
    """Standard input as keys while the context is entered; nothing where it is no terminal."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._before: list[int | list[bytes | int]] = []

    @property
    def files(self) -> list[int]:
        """Descriptors whose readiness means a key."""
        return [] if self._fd is None else [self._fd]

    def read(self) -> str:
        """Return the keys pressed since the last call. Call when a descriptor is ready."""
        if self._fd is None:
            return ""
        try:
            keys = os.read(self._fd, 1024).decode(errors="replace")
        except OSError:  # the terminal has gone
            keys = ""
        if not keys:
            self._leave()
        return keys

    def __enter__(self) -> Self:
        if sys.stdin is not None and sys.stdin.isatty():
            self._fd = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            try:
                termios.tcsetattr(fd, termios.TCSADRAIN, self._before)
            except termios.error:
                return
