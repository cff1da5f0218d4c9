"""A folder of numbered states, which one process at a time keeps: what survives a crash, a cut and a full disk."""

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from predictor.state import checkpoint
from streamer.errors import FileError, StateError
from streamer.files.regular_files import open_regular, read_regular
from streamer.files.replacement import make_folder
from trainer.state import Tree

KEPT = 3
NAME = re.compile(r"state-(\d{12})\.safetensors")
PARTIAL = ".partial"  # ending of a file that is being written
DAMAGED = ".damaged"  # ending of one that is kept aside
LOCK = "lock"
RESTART = "checkpoints are written again once it is back, or by a predictor that is started again"


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
        If it cannot be made or written to, or others may write to it; on entering.

    Attributes
    ----------
    descriptor : int
        Of the directory, while it is held. Everything is done by it, so that whoever moves the directory moves it
        whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 1

    def __enter__(self) -> Self:
        try:
            make_folder(self.path)
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise FileError(f"--state-dir: {self.path} cannot be used: {error}") from None
        try:
            self._check_private()
            self._hold()
        except BaseException:
            os.close(self.descriptor)
            raise
        return self

    def _check_private(self) -> None:
        """Raise FileError if others may put files there: what is gone on from would be theirs."""
        found = os.fstat(self.descriptor)
        if found.st_uid != os.geteuid():
            raise FileError(
                f"--state-dir: {self.path}: must be a directory of yours, got one of user {found.st_uid}; "
                "give another directory"
            )
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077:
            raise FileError(
                f"--state-dir: {self.path}: others may use it (mode {mode:04o}); type `chmod 0700 {self.path}`"
            )

    def _hold(self) -> None:
        try:
            self._lock = open_regular(Path(LOCK), os.O_RDWR | os.O_CREAT, folder=self.descriptor)
        except FileError as error:
            raise FileError(f"--state-dir: {self.path}: {error}") from None
        except OSError as error:
            raise FileError(f"--state-dir: {self.path} cannot be used: {error}") from None
        try:
            self._take_lock()
        except BaseException:
            os.close(self._lock)
            raise
        for name in self._names():
            if name.endswith(PARTIAL):
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self.descriptor)
        names = (NAME.match(name) for name in self._names())
        self._next = 1 + max((int(name[1]) for name in names if name), default=0)

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                raise FileError(f"--state-dir: {self.path} cannot be locked: {error}") from None
            holder = os.pread(self._lock, 20, 0).decode(errors="replace").strip() or "unknown"
            raise StateError(
                f"--state-dir: another predictor (process {holder}) writes its checkpoints to {self.path}; "
                "stop it, or give each a directory of its own"
            ) from None
        with contextlib.suppress(OSError):  # for whoever is refused; a full disk is no reason not to start
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _names(self) -> list[str]:
        return os.listdir(self.descriptor)  # noqa: PTH208 - Path knows no descriptors

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)
        os.close(self.descriptor)

    def states(self) -> list[Path]:
        """Return the files of undamaged names, the newest first."""
        return sorted((self.path / name for name in self._names() if NAME.fullmatch(name)), reverse=True)

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
                tree = read(path, self.descriptor)
            except FileError as error:
                damaged.append(f"{error}; {self._put_aside(path.name)}")
            else:
                return tree, damaged
        if damaged:
            damaged.append(f"no complete checkpoint in {self.path}: starting afresh")
        return None, damaged

    def write(self, pieces: Iterable[bytes]) -> int:
        """Write the pieces of a state, which is then there for good or not at all; return its number.

        Raises
        ------
        OSError
            If it cannot be written. What was there before is as it was.
        """
        self._check_in_place()
        number, folder = self._next, self.descriptor
        final = f"state-{number:012d}.safetensors"
        partial = final + PARTIAL
        try:
            if partial in self._names():  # whatever it is: not to be written through
                os.unlink(partial, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(partial, flags, 0o600, dir_fd=folder), "wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            os.rename(partial, final, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(partial, dir_fd=folder)
            raise
        self._next = number + 1
        os.fsync(folder)  # before older ones go: the name must be there for good, too
        for old in self.states()[KEPT:]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old.name, dir_fd=folder)
        return number

    def _check_in_place(self) -> None:
        """Raise OSError if the directory of that name is no longer the one that this process holds."""
        held = os.fstat(self.descriptor)
        try:
            present = self.path.stat()
        except OSError as error:
            raise OSError(error.errno, f"{self.path} is gone; {RESTART}: {error.strerror}") from None
        if (present.st_dev, present.st_ino) != (held.st_dev, held.st_ino):
            raise OSError(errno.ESTALE, f"{self.path} is another directory than at the start; {RESTART}")

    def _put_aside(self, name: str) -> str:
        aside = name + DAMAGED
        try:
            os.rename(name, aside, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except OSError as error:
            return f"it stays where it is: {error}"
        return f"renamed to {aside}"


def read(path: Path, folder: int | None = None) -> Tree:
    """Return the state in a file.

    Parameters
    ----------
    path : Path
    folder : int or None
        Descriptor of the directory that it is in, where that may have moved.

    Raises
    ------
    FileError
        If it cannot be read, or is damaged.
    """
    place = path if folder is None else Path(path.name)
    try:
        return checkpoint.decode(read_regular(place, checkpoint.MAX_BYTES, folder=folder))
    except FileError as error:
        text = str(error)
        raise FileError(f"{path}: {text.removeprefix(f'{place}: ')}") from None
