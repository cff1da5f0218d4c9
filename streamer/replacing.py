"""A file written whole or not at all: under another name beside its place, which it takes once it is on disk."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the context is left without an error.

    A symbolic link stays, and the file that it names is replaced. Permissions stay as they were.

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


def open_new(path: Path) -> BinaryIO:
    """Open a file that is not there yet."""
    return path.open("xb")
