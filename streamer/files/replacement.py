"""A file written whole or not at all: under another name beside its place, which it takes once it is on disk."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the context is left without an error.

    A symbolic link stays, and the file that it names is replaced. Permissions stay as they were. Once the context
    is left, a power cut takes nothing of it.

    Raises
    ------
    OSError
        If it cannot be written; `path` is then what it was.
    """
    place = Path(os.path.realpath(path))
    if place.is_symlink():
        raise OSError(f"its symbolic link leads nowhere: {place}")
    partial = place.with_name(f"{place.name}.{secrets.token_hex(4)}.partial")  # of this run alone
    try:
        with open_new(partial) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # some disks say only now that they are full
        with suppress(FileNotFoundError):
            partial.chmod(place.stat().st_mode & 0o777)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(place.parent)


def sync_folder(path: Path) -> None:
    """Force the names in a folder to disk: without it, a power cut takes new ones away again.

    Raises
    ------
    OSError
        If it fails; not where the file system, or the folder's mode, does not allow it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # may be written to, but not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone, with those above it, where it is not there; a power cut leaves it."""
    made = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in made:
        sync_folder(one.parent)


def open_new(path: Path) -> BinaryIO:
    """Open a file that is not there yet."""
    return path.open("xb")
