"""A folder of numbered states, which one process at a time keeps: what survives a crash, a cut and a full disk."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from predictor import checkpoint
from streamer.errors import FileError, StateError
from trainer.state import Tree

KEPT = 3
NAME = re.compile(r"state-(\d{12})\.safetensors")
PARTIAL = ".partial"  # ending of a file that is being written
DAMAGED = ".damaged"  # ending of one that is kept aside
LOCK = "lock"


class StateFolder:
    """Holds the folder while the context is entered.

    Parameters
    ----------
    path : Path
        Made if it is not there, for its owner alone.

    Raises
    ------
    StateError
        If another process holds it; on entering.
    FileError
        If it cannot be made or written to; on entering.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 1

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (OSError, ValueError) as error:
            raise FileError(f"--state-dir: {self.path} cannot be used: {error}") from None
        try:
            self._hold()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                raise FileError(f"--state-dir: {self.path} cannot be locked: {error}") from None
            holder = os.pread(self._lock, 20, 0).decode(errors="replace").strip() or "unknown"
            raise StateError(
                f"--state-dir: another predictor (process {holder}) keeps its state in {self.path}; "
                "stop it, or give each a directory of its own"
            ) from None
        with contextlib.suppress(OSError):  # for whoever is refused; a full disk is no reason not to start
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        for left in self.path.glob(f"*{PARTIAL}"):
            with contextlib.suppress(OSError):
                left.unlink()
        names = (NAME.match(path.name) for path in self.path.iterdir())
        self._next = 1 + max((int(name[1]) for name in names if name), default=0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def states(self) -> list[Path]:
        """Return the files of undamaged names, the newest first."""
        return sorted((path for path in self.path.iterdir() if NAME.fullmatch(path.name)), reverse=True)

    @property
    def next_number(self) -> int:
        """The number of the state that is written next."""
        return self._next

    def oldest_number(self) -> int:
        """Return the number of the oldest state that is there, or of the next one where there is none."""
        states = self.states()
        found = NAME.fullmatch(states[-1].name) if states else None
        return self._next if found is None else int(found[1])

    def latest(self) -> tuple[Tree | None, list[str]]:
        """Return the newest state that is whole, None if there is none, and what is to be said of the others.

        Damaged files are kept aside: under a name that ends in ``.damaged``.
        """
        damaged: list[str] = []
        for path in self.states():
            try:
                tree = read(path)
            except FileError as error:
                damaged.append(f"{error}; {_put_aside(path)}")
            else:
                return tree, damaged
        if damaged:
            damaged.append(f"no whole state in {self.path}: starting afresh")
        return None, damaged

    def write(self, pieces: Iterable[bytes]) -> int:
        """Write the pieces of a state, which is then there for good or not at all; return its number.

        Raises
        ------
        OSError
            If it cannot be written. What was there before is as it was.
        """
        number = self._next
        final = self.path / f"state-{number:012d}.safetensors"
        partial = final.with_name(final.name + PARTIAL)
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(final)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        self._next = number + 1
        _sync_folder(self.path)  # before older ones go: the name must be there for good, too
        for old in self.states()[KEPT:]:
            old.unlink(missing_ok=True)
        return number


def read(path: Path) -> Tree:
    """Return the state in a file.

    Raises
    ------
    FileError
        If it cannot be read, or is damaged.
    """
    try:
        size = path.stat().st_size
        if size > checkpoint.MOST_BYTES:
            raise FileError(f"{path}: larger than {checkpoint.MOST_BYTES} bytes")
        return checkpoint.decode(path.read_bytes())
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error}") from None
    except FileError as error:
        raise FileError(f"{path}: {error}") from None


def _put_aside(path: Path) -> str:
    aside = path.with_name(path.name + DAMAGED)
    try:
        path.rename(aside)
    except OSError as error:
        return f"it stays where it is: {error}"
    return f"kept aside as {aside.name}"


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
