"""How far the estimates of each run are published, in a file that survives the process: a slot for each run.

A slot is 16 bytes: one past the last published sample, and the same number combined with a key of stream and run.
So a slot says itself whose it is, and one that is damaged is nobody's. It is written before the estimate goes out:
that outlives a kill of the process, and takes about a microsecond. It is forced to disk each second, beside the
loop.
"""

import contextlib
import errno
import os
import struct
import time
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from streamer.errors import FileError
from streamer.files.fsync import FsyncThread
from streamer.files.regular_files import open_regular
from streamer.messages import Kind
from streamer.wire import codec

NAME = "published"
SLOT = struct.Struct("<QQ")
MAX_SLOTS = 65_536
RETRY_S = 1.0
_RUN_AND_SEQ = struct.Struct("<QQ")
_RUN_AT = 16  # in a header
_SAMPLES = struct.Struct("<I")
_SAMPLES_AT = 8


class _Slot:
    """The slot of a run that this process publishes."""

    __slots__ = ("end", "key", "number", "run")

    def __init__(self, run: int, key: int, number: int, end: int) -> None:
        self.run, self.key, self.number, self.end = run, key, number, end


class PublishedEnds:
    """Notes what is published.

    Parameters
    ----------
    folder : Path
        Held by this process.
    descriptor : int or None
        Of the folder, where that may have moved.

    Raises
    ------
    FileError
        If there is something else of that name.

    Attributes
    ----------
    failures : int
    error : str or None
        Of the last write.
    unsynced : bool
        Something was written since `sync`.
    """

    def __init__(self, folder: Path, descriptor: int | None = None) -> None:
        self.failures = 0
        self.error: str | None = None
        self.unsynced = True
        self._is_named = False  # on disk, by its name in the folder
        self._path = folder / NAME
        self._folder_descriptor = descriptor
        self._descriptor = -1
        self._retry_s = 0.0
        self._image = bytearray()
        self._by_topic: dict[bytes, _Slot] = {}
        self._free: list[int] = []
        try:
            self._open()
        except OSError as error:
            self._fail(error)
        self._found = dict(_slots(bytes(self._image)))  # key -> number, end; of former lives, not yet gone on with

    def _open(self) -> None:
        place = self._path if self._folder_descriptor is None else Path(NAME)
        try:
            self._descriptor = open_regular(place, os.O_RDWR | os.O_CREAT, folder=self._folder_descriptor)
        except FileError as error:
            raise FileError(f"--state-dir: {self._path.parent}: {error}, or give another directory") from None
        self._image = bytearray(os.pread(self._descriptor, MAX_SLOTS * SLOT.size, 0))
        del self._image[len(self._image) // SLOT.size * SLOT.size :]

    def published(self, stream: str, run: int) -> int:
        """Return one past the last published sample of a run, by a former life; 0 if that is not known."""
        return self._found.get(key_of(stream, run), (0, 0))[1]

    def note(self, topic: bytes, header: bytes) -> None:
        """Note that an estimate is about to be published, by topic and header of its message."""
        run, seq = _RUN_AND_SEQ.unpack_from(header, _RUN_AT)
        slot = self._by_topic.get(topic)
        if slot is None or slot.run != run:
            if not topic.startswith(_ESTIMATES):
                return
            slot = self._begin(topic, run)
        end = seq + _SAMPLES.unpack_from(header, _SAMPLES_AT)[0]
        if end <= slot.end:
            return
        slot.end = end
        self.unsynced = True
        content = SLOT.pack(end, end ^ slot.key)
        try:
            if self.error is not None:
                self._try_again(slot, content)
            elif os.pwrite(self._descriptor, content, slot.number * SLOT.size) != SLOT.size:
                raise OSError("written in part")
        except OSError as error:
            self._fail(error, slot, content)

    def forget(self, stream: str) -> None:
        """Let go of a stream's slot: what it said lies before where its state is, or it begins anew."""
        slot = self._by_topic.pop(_ESTIMATES + stream.encode() + b"/", None)
        if slot is None:
            return
        self._free.append(slot.number)
        place = slot.number * SLOT.size
        self._image[place : place + SLOT.size] = bytes(SLOT.size)
        if self.error is None:  # or all of them are written later
            with contextlib.suppress(OSError):
                os.pwrite(self._descriptor, bytes(SLOT.size), place)

    def _begin(self, topic: bytes, run: int) -> _Slot:
        stream = topic[len(_ESTIMATES) : -1].decode(errors="replace")
        key = key_of(stream, run)
        left = self._by_topic.get(topic)
        number, end = self._found.pop(key, (-1, 0))
        if left is not None:
            self._free.append(left.number)  # what it said is written down where the run was left
        if number < 0:
            number = self._number()
        slot = self._by_topic[topic] = _Slot(run, key, number, end)
        return slot

    def _number(self) -> int:
        """Return a slot that is free, or else that of a run of a former life that nobody goes on with."""
        if self._free:
            return self._free.pop()
        if len(self._image) < MAX_SLOTS * SLOT.size or not self._found:
            self._image += bytes(SLOT.size)
            return len(self._image) // SLOT.size - 1
        return self._found.pop(next(iter(self._found)))[0]

    # A disk that fails

    def _fail(self, error: OSError, slot: _Slot | None = None, content: bytes = b"") -> None:
        if slot is not None:
            self._image[slot.number * SLOT.size : (slot.number + 1) * SLOT.size] = content
        self.failures += 1
        self.error = f"{self._path}: {error.strerror or error}"
        self._retry_s = time.monotonic() + RETRY_S

    def _try_again(self, slot: _Slot, content: bytes) -> None:
        """Write all of them, if it is time."""
        self._image[slot.number * SLOT.size : (slot.number + 1) * SLOT.size] = content
        if time.monotonic() < self._retry_s:
            return
        if self._descriptor < 0:
            image = self._image
            try:
                self._open()
            except FileError as error:
                raise OSError(errno.EINVAL, str(error)) from None
            self._image = image
        for one in self._by_topic.values():
            place = one.number * SLOT.size
            self._image[place : place + SLOT.size] = SLOT.pack(one.end, one.end ^ one.key)
        if os.pwrite(self._descriptor, self._image, 0) != len(self._image):
            raise OSError("written in part")
        self.error = None

    def sync(self, syncer: FsyncThread) -> None:
        """Have what was written forced to disk, with the file's name."""
        self.unsynced = False
        if self._descriptor >= 0:
            syncer.sync(self._descriptor)
            if not self._is_named and self._folder_descriptor is not None:
                syncer.sync(self._folder_descriptor)
            self._is_named = True

    def close(self) -> None:
        """Write nothing more."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)


_ESTIMATES = f"{Kind.ESTIMATE.word}/".encode()


def key_of(stream: str, run: int) -> int:
    """Return the key of a run's slot."""
    total = blake2b(run.to_bytes(8, "little") + stream.encode(), digest_size=8)
    return int.from_bytes(total.digest(), "little")


def _slots(image: bytes) -> Iterable[tuple[int, tuple[int, int]]]:
    for number, (end, mixed) in enumerate(SLOT.iter_unpack(image)):
        if end and end <= codec.MAX_SEQ:
            yield end ^ mixed, (number, end)
