"""Ctrl-Z and fg: the terminal is given back before the process stops, and taken again when it goes on."""

import signal
from types import FrameType, TracebackType
from typing import Self


class Suspension:
    """SIGTSTP and SIGCONT as flags while the context is entered; nothing where SIGTSTP is ignored."""

    def __init__(self) -> None:
        self.asked = False
        self._continued = False
        self._before: dict[int, signal.Handlers] = {}

    def continued(self) -> bool:
        """Return whether the process was stopped and goes on, once each time."""
        continued, self._continued = self._continued, False
        return continued

    def stop_here(self) -> None:
        """Stop, as SIGTSTP does if nobody catches it, until SIGCONT."""
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._handle)
        self.asked = self._continued = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTSTP:
            self.asked = True
        else:
            self._continued = True

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
            for number in (signal.SIGTSTP, signal.SIGCONT):
                signal.signal(number, self._handle)
                self._before[number] = signal.SIG_DFL
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
