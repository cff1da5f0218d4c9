"""Decisions on disk, beside the states: each is written before anything that follows from it is published.

A file belongs to the state that is written next: `decisions-12.log` holds what was decided from when state 11 was
whole until state 12 was. Who goes on from a state needs the file of its number and all later ones; older ones go
with their states. What is written outlives a kill of the process at once; it is forced to disk beside the loop.
"""

import contextlib
import errno
import os
import re
import time
from pathlib import Path

from streamer.errors import FileError
from streamer.files.fsync import FsyncThread
from streamer.files.regular_files import open_regular
from streamer.ordering.decisions import Decision, decode, encode

NAME = re.compile(r"decisions-(\d{12})\.log")
MAX_BYTES = 4 * 2**20  # a file; some 30,000 decisions
MAX_FILES = 64  # that are read: where states cannot be written, a file a life
MAX_UNWRITTEN = 1_000
RETRY_S = 1.0


class DecisionLog:
    """Writes decisions, and reads those of former lives.

    Parameters
    ----------
    folder : Path
        Held by this process.
    number : int
        Of the state that is written next.
    descriptor : int or None
        Of the folder, where that may have moved.

    Attributes
    ----------
    failures : int
    error : str or None
        Of the last write.
    unsynced : bool
        Something was written since `sync`.
    """

    def __init__(self, folder: Path, number: int, descriptor: int | None = None) -> None:
        self.failures = 0
        self.error: str | None = None
        self._is_named = False  # on disk, by its name in the folder
        self.unsynced = False
        self._folder = folder
        self._folder_descriptor = descriptor
        self._number = number
        self._descriptor = -1
        self._size = 0
        self._unwritten: list[Decision] = []
        self._retry_s = 0.0

    def read(self) -> tuple[list[Decision], list[str]]:
        """Return what was decided, in order, and what is to be said of the files.

        Raises
        ------
        FileError
            If one of them is not a regular file.
        """
        decisions: list[Decision] = []
        remarks: list[str] = []
        for path in self._paths()[-MAX_FILES:]:
            try:
                found, damaged = decode(self._content(path))
            except OSError as error:
                remarks.append(f"{path}: cannot be read: {error.strerror}; decisions in it may be made otherwise")
                continue
            decisions += found
            if damaged:
                remarks.append(
                    f"{path}: {damaged} bytes are damaged or cut off; decisions there may be made otherwise"
                )
        return decisions, remarks

    def write(self, decision: Decision) -> None:
        """Write a decision down; where that fails, count it, and try again."""
        self._unwritten.append(decision)
        del self._unwritten[:-MAX_UNWRITTEN]
        self.try_again()

    def try_again(self) -> None:
        """Write what could not be written, if it is time."""
        if not self._unwritten or (self.error is not None and time.monotonic() < self._retry_s):
            return
        try:
            if self._descriptor < 0:
                self._open()
            record = b"".join(map(encode, self._unwritten))
            if self._size + len(record) > MAX_BYTES:
                raise OSError(errno.EFBIG, f"more than {MAX_BYTES} bytes of decisions since the last checkpoint")
            if os.write(self._descriptor, record) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self.failures += 1
            self.error = f"{self._path(self._number)}: {error.strerror}"
            self._retry_s = time.monotonic() + RETRY_S
            if self._descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
        else:
            self._size += len(record)
            self._unwritten.clear()
            self.error = None
            self.unsynced = True

    def sync(self, syncer: FsyncThread) -> None:
        """Have what was written forced to disk, with the file's name."""
        self.unsynced = False
        if self._descriptor >= 0:
            syncer.sync(self._descriptor)
            if not self._is_named and self._folder_descriptor is not None:
                syncer.sync(self._folder_descriptor)
            self._is_named = True

    def go_on(self, number: int) -> None:
        """Write to another file from now on: the state before `number` is whole."""
        self.close()
        self._number = number
        if self.error is not None:
            self._retry_s = 0.0
            self.try_again()

    def drop_before(self, number: int) -> None:
        """Remove the files that no state needs any more, the oldest being this one. From any thread."""
        for path in self._paths():
            found = NAME.fullmatch(path.name)
            if found is not None and int(found[1]) < number:
                with contextlib.suppress(OSError):
                    os.unlink(self._place(path), dir_fd=self._folder_descriptor)

    def close(self) -> None:
        """Write nothing more to the present file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        place, flags = self._place(self._path(self._number)), os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            descriptor = open_regular(place, flags, folder=self._folder_descriptor)
        except FileError as error:
            raise OSError(errno.EINVAL, str(error)) from None
        self._descriptor, self._size = descriptor, os.fstat(descriptor).st_size
        self._is_named = False

    def _content(self, path: Path) -> bytes:
        try:
            descriptor = open_regular(self._place(path), os.O_RDONLY, folder=self._folder_descriptor)
        except FileError as error:
            raise FileError(f"--state-dir: {self._folder}: {error}, or give another directory") from None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_BYTES)

    def _path(self, number: int) -> Path:
        return self._folder / f"decisions-{number:012d}.log"

    def _place(self, path: Path) -> Path:
        """Return a file's path from the folder's descriptor, if there is one."""
        return path if self._folder_descriptor is None else Path(path.name)

    def _paths(self) -> list[Path]:
        folder = self._folder if self._folder_descriptor is None else self._folder_descriptor
        names = os.listdir(folder)  # noqa: PTH208 - Path knows no descriptors
        return sorted(self._folder / name for name in names if NAME.fullmatch(name))
