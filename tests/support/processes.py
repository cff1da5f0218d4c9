"""The real commands as processes."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

PATIENCE_S = 120.0  # bounds a hang; nothing is ever waited for this long unless it is broken
GAP_DEADLINE_S = 600  # a source that is slow to answer on a busy machine has lost nothing


class Command:
    """One running `sincos` command.

    Parameters
    ----------
    arguments : str
    prefix : sequence of str
        A command that runs it in its turn.
    environment : mapping
        What to add to the environment.
    """

    def __init__(
        self, *arguments: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "predictor", *arguments],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=bool(prefix),  # so that `close` reaches what the prefix runs
        )
        self._leads = bool(prefix)
        self.log: list[str] = []
        self.may_end = False
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def says(self, pattern: str) -> str:
        """Wait for a line on standard error that matches, and return it."""
        while True:
            line = self._lines.get(timeout=PATIENCE_S)
            if line is None:
                raise AssertionError(f"ended without saying {pattern!r}; it said {self.log}")
            self.log.append(line)
            if re.search(pattern, line):
                return line

    def has_died(self) -> bool:
        """Whether it has ended although nobody asked for it."""
        return not self.may_end and self.process.poll() is not None

    def ends(self) -> str:
        """Wait until it ends by itself; return its standard output."""
        self.may_end = True
        assert self.process.stdout is not None
        hang = threading.Timer(PATIENCE_S, self.process.kill)
        hang.start()
        output = self.process.stdout.read()
        hang.cancel()
        self.process.wait(PATIENCE_S)
        self.collect()
        return output

    def stop(self, number: int = signal.SIGTERM, within_s: float = PATIENCE_S) -> int:
        """Send a signal, and return the exit code; fails if that takes longer than it may."""
        self.may_end = True
        self.process.send_signal(number)
        self.process.wait(within_s)
        self.collect()
        return self.process.returncode

    def close(self) -> None:
        """Leave nothing behind."""
        self.may_end = True
        if self._leads:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def collect(self) -> None:
        """Have all of the log in `log`, once it has ended."""
        self._reader.join(PATIENCE_S)
        while not self._lines.empty():
            line = self._lines.get()
            if line is not None:
                self.log.append(line)


@contextmanager
def commands() -> Iterator["Starter"]:
    """Start commands that are all gone afterwards."""
    starter = Starter()
    try:
        yield starter
    finally:
        for command in starter.started:
            command.close()


class Starter:
    """Starts commands and remembers them."""

    def __init__(self) -> None:
        self.started: list[Command] = []

    def __call__(
        self, *arguments: object, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Command:
        words = [str(argument) for argument in arguments]
        if (words[0] == "predict" or "--reliable" in words) and "--gap-deadline" not in words:
            words += ["--gap-deadline", str(GAP_DEADLINE_S)]
        command = Command(*words, prefix=prefix, environment=environment)
        self.started.append(command)
        return command
