"""States of streams that made room for others: a file for each, beside the checkpoints."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from predictor.state import checkpoint
from streamer.errors import FileError
from streamer.files.regular_files import read_regular
from trainer.state import Tree

FOLDER = "parked"
ENDING = ".safetensors"
BRIEF, LASTING = "brief-", "parked-"  # beginnings: of streams that said little, and of all others
PARTIAL, DAMAGED = ".partial", ".damaged"
MAX_DAMAGED = 16  # files that are kept aside


def key_of(stream: str) -> str:
    """Return the part of a file's name that stands for a stream."""
    return blake2b(stream.encode(), digest_size=16).hexdigest()


class ParkedFiles:
    """Holds the folder `parked` of a checkpoint directory.

    Parameters
    ----------
    path : Path
        Of the checkpoint directory.
    descriptor : int
        Of the same.

    Raises
    ------
    FileError
        If something else stands in the folder's place, or it cannot be used.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path / FOLDER
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(FOLDER, 0o700, dir_fd=descriptor)
                os.fsync(descriptor)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(FOLDER, flags, dir_fd=descriptor)
        except OSError as error:
            raise FileError(
                f"--state-dir: {self._path}: must be a directory: {error.strerror}; remove what is there"
            ) from None
        found = os.fstat(self._descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            os.close(self._descriptor)
            raise FileError(
                f"--state-dir: {self._path} must be yours, with mode 0700; type `chmod 0700 {self._path}`"
            )

    def close(self) -> None:
        """Use it no longer."""
        os.close(self._descriptor)

    def index(self) -> list[tuple[str, int, bool]]:
        """Return key, bytes and whether it is brief of each file, the oldest first; remove half of one."""
        found: list[tuple[int, str, int, bool]] = []
        for name in os.listdir(self._descriptor):  # noqa: PTH208 - Path knows no descriptors
            if name.endswith(PARTIAL):
                self._unlink(name)
            elif name.endswith(ENDING) and name.startswith((BRIEF, LASTING)):
                with contextlib.suppress(OSError):
                    stat = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
                    key = name.removesuffix(ENDING).removeprefix(BRIEF).removeprefix(LASTING)
                    found.append((stat.st_mtime_ns, key, stat.st_size, name.startswith(BRIEF)))
        return [(key, size, brief) for _, key, size, brief in sorted(found)]

    def write(self, stream: str, head: Tree, packed: checkpoint.Packed, *, brief: bool) -> int:
        """Write a stream's state, in the place of an older one; return its bytes once it is on disk.

        That of a stream that said little is not forced there: a kill takes nothing of it, a power cut may, and
        whoever makes up names does not keep others waiting for the disk.

        Raises
        ------
        OSError
            If it cannot be written. What was there before is as it was.
        """
        key, folder = key_of(stream), self._descriptor
        final = (BRIEF if brief else LASTING) + key + ENDING
        partial = final + PARTIAL
        size = 0
        self._unlink(partial)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(partial, flags, 0o600, dir_fd=folder), "wb") as file:
                for piece in checkpoint.encode(head, [packed]):
                    size += file.write(piece)
                file.flush()
                if not brief:
                    os.fsync(file.fileno())
            os.rename(partial, final, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            self._unlink(partial)
            raise
        if not brief:
            os.fsync(folder)
        self._unlink((LASTING if brief else BRIEF) + key + ENDING)
        return size

    def read(self, stream: str) -> Tree | None:
        """Return the state of a stream, None if there is none.

        Raises
        ------
        FileError
            If it is damaged; it is kept aside then.
        """
        for beginning in (LASTING, BRIEF):
            name = beginning + key_of(stream) + ENDING
            if not os.access(name, os.F_OK, dir_fd=self._descriptor, follow_symlinks=False):
                continue
            try:
                tree = checkpoint.decode(read_regular(Path(name), checkpoint.MAX_BYTES, folder=self._descriptor))
                states: Any = tree[checkpoint.STREAMS]
                if len(states) != 1 or not isinstance(states[0], Mapping) or states[0].get("name") != stream:
                    raise FileError(f"{name}: not the state of stream {stream}")
            except FileError as error:
                self._put_aside(name)
                raise FileError(f"{self._path}: {error}") from None
            return tree
        return None

    def drop(self, keys: Iterable[str]) -> None:
        """Remove files."""
        for key in keys:
            for beginning in (LASTING, BRIEF):
                self._unlink(beginning + key + ENDING)

    def _put_aside(self, name: str) -> None:
        names = os.listdir(self._descriptor)  # noqa: PTH208 - Path knows no descriptors
        if sum(one.endswith(DAMAGED) for one in names) >= MAX_DAMAGED:
            self._unlink(name)
            return
        with contextlib.suppress(OSError):
            os.rename(name, name + DAMAGED, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._descriptor)


def take_newer(tree: Tree, files: ParkedFiles, index: Iterable[tuple[str, int, bool]]) -> list[str]:
    """Put parked states in a checkpoint's tree in place of those of the same streams that are not as far on.

    A stream is in both if the predictor ended before a checkpoint told that it had gone or come back. Returned is
    what is to be said.
    """
    parked = {key for key, _, _ in index}
    said: list[str] = []
    states: Any = tree[checkpoint.STREAMS]
    for place, state in enumerate(states):
        name = state.get("name") if isinstance(state, Mapping) else None
        if not isinstance(name, str) or key_of(name) not in parked:
            continue
        try:
            found: Any = files.read(name)
        except FileError as error:
            said.append(f"{error}; stream {name} goes on from the checkpoint")
            continue
        if found is not None and found["identity"] == tree["identity"]:
            one = found[checkpoint.STREAMS][0]
            if _progress(one) >= _progress(state):
                states[place] = one
    return said


def _progress(state: Mapping[str, Any]) -> tuple[int, ...]:
    """Return numbers of which none ever falls."""
    try:
        counters, position = state["counters"], state["position"]
        names = ("runs", "samples", "gaps", "hole_samples", "target_gaps")
        return *(int(counters[name]) for name in names), int(position["next_second_seq"])
    except (LookupError, TypeError, ValueError):
        return (-1,)  # what is wrong with it is said where it is restored
