"""Time, injected. The only module that imports `time`."""

import time
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(slots=True)  # Final and not frozen: made for every message
class Instant:
    """One moment on both clocks.

    `mono_ns` never jumps and serves deadlines; `wall_ns` is nanoseconds since the Unix epoch and serves
    time stamps that other processes read.
    """

    mono_ns: Final[int]
    wall_ns: Final[int]


class Clock(Protocol):
    """Source of time for a shell."""

    def now(self) -> Instant:
        """Return the present moment."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Instant:
        return Instant(time.monotonic_ns(), time.time_ns())

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)
