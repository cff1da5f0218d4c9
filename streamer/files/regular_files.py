"""Files that others may have put in a folder of ours: opened only if they are what they should be.

A FIFO or a device under the name of a key or a state would let its reader wait for ever; a symbolic link would
have us read or write somewhere else.
"""

import os
import stat
from pathlib import Path

from streamer.errors import FileError


def open_regular(path: Path, flags: int, mode: int = 0o600, *, folder: int | None = None) -> int:
    """Open a regular file, never through a symbolic link in its last place, without waiting.

    Parameters
    ----------
    path : Path
        Relative to `folder` where that is given.
    flags, mode : int
        As of `os.open`.
    folder : int or None
        Descriptor of a directory.

    Returns
    -------
    int
        A file descriptor, closed in child processes.

    Raises
    ------
    FileError
        If something else stands there, or it is another user's.
    OSError
        If it cannot be opened.
    """
    safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    truncates = flags & os.O_TRUNC
    try:
        descriptor = os.open(path, (flags & ~os.O_TRUNC) | safe, mode, dir_fd=folder)
    except OSError:
        if _is_link(path, folder):
            raise FileError(
                f"{path}: must be a regular file, got a symbolic link; put the file itself there"
            ) from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FileError(f"{path}: must be a regular file, got a {_kind(found.st_mode)}; remove it")
        if found.st_uid not in (os.geteuid(), 0):
            raise FileError(f"{path}: must be a file of yours, got one of user {found.st_uid}; copy it")
        if truncates:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: Path, limit_bytes: int, *, folder: int | None = None) -> bytes:
    """Return what is in a regular file.

    Raises
    ------
    FileError
        If something else stands there, it cannot be read, or it is larger than it may be.
    """
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY, folder=folder), "rb") as file:
            small = os.fstat(file.fileno()).st_size <= limit_bytes
            content = file.read(limit_bytes + 1) if small else b""
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    if not small or len(content) > limit_bytes:  # it may have grown
        raise FileError(f"{path}: must have at most {limit_bytes} bytes")
    return content


def _is_link(path: Path, folder: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "FIFO", stat.S_IFCHR: "device", stat.S_IFBLK: "device", stat.S_IFDIR: "directory"}
    return kinds.get(stat.S_IFMT(mode), "socket")
