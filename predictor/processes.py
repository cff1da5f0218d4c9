"""Further sincos commands as child processes, which never outlive their parent's block."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

SINCOS = (sys.executable, "-m", "predictor")
GRACE_S = 2.0  # what every command promises to need at most after SIGTERM
LOG_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Failure:
    """A child that ended by itself: its command, exit code and last words."""

    name: str
    code: int
    log: str


class Processes:
    """Starts commands; stops them when the context is left, whatever the reason.

    Parameters
    ----------
    folder : Path
        Where their output goes, a file each.
    program : sequence of str
        What is started, before its command and arguments.
    grace_s : float
        How long they may take to end before they are killed.
    """

    def __init__(self, folder: Path, program: Sequence[str] = SINCOS, grace_s: float = GRACE_S) -> None:
        self._folder = folder
        self._program = program
        self._grace_s = grace_s
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, arguments: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
        """Start command `name`."""
        with self._log(name).open("wb") as log:
            child = subprocess.Popen(
                [*self._program, name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._children[name] = child
        return child

    def failure(self) -> Failure | None:
        """Return the first child that has ended."""
        for name, child in self._children.items():
            code = child.poll()
            if code is not None:
                log = self._log(name).read_text(encoding="utf-8", errors="replace")
                return Failure(name, code, log[-LOG_CHARACTERS:])
        return None

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children.values():
            child.terminate()
        for child in self._children.values():
            try:
                child.wait(self._grace_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
