"""A source's journal: what it says is written down first, so that its run outlives its process."""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streamer.clock import Instant
from streamer.errors import FileError
from streamer.files.fsync import FsyncThread
from streamer.files.regular_files import open_regular
from streamer.files.replacement import sync_folder
from streamer.messages import Chunk, Kind
from streamer.replay import journal_format
from streamer.replay.history import MESSAGE_BYTES
from streamer.replay.journal_format import opening
from streamer.replay.journal_recovery import FORMAT, Part, behind, older, remarks, scan

RETRY_NS = 1_000_000_000
MIN_BYTES = 2**20  # before a file is begun anew

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class JournalFile:
    """Writes chunks to a file, and takes up a run that is in it.

    The file is begun anew when it holds as much as a history would keep; the one before stays beside it, as
    FILE.1. FILE.lock keeps a second writer away. While it cannot be written it is called FILE.behind, for it lacks
    what has been published: a source that starts with that begins a new run, so that no number means two samples.

    Parameters
    ----------
    path : Path
    about : mapping
        Which source it is, as JSON would have it: a journal of another one is refused.
    run : int
        Random id of a new run, where there is none to take up.
    retain_bytes : int
        Of the history that it is read into.

    Raises
    ------
    FileError
        If the file cannot be used, or another process uses it.

    Attributes
    ----------
    run, next_seq, next_target_seq : int
        The run that is written, and what comes next in it.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], run: int, retain_bytes: int) -> None:
        self._path = path
        self._about = dict(json.loads(json.dumps(about)))
        self._most_bytes = max(MIN_BYTES, retain_bytes)
        self.run, self.next_seq, self.next_target_seq = run, 0, 0
        self._failing = self._was_unsynced = False
        self._missed_samples = self._retry_ns = 0
        self._place = path  # of the file that is written, while it can be
        self._is_full = False
        self._syncer = FsyncThread()
        try:
            self._lock, made = _locked(path)
            try:
                self._take_up()
            except BaseException:
                if made:
                    _remove(_lock_path(path))  # before anybody else can have it
                os.close(self._lock)
                raise
        except OSError as error:
            raise FileError(f"{path}: cannot be used as a journal: {error.strerror}; give another file") from None
        self._syncer = FsyncThread()
        self._asked_bytes = 0  # which the last call of the syncer was to force to disk
        self._marked_bytes = self._size
        for part in self._parts:
            if part.path != path:
                self._sync_older(part.path)  # a mark in the file after it says that it is on disk
        self._sync_folder()  # whoever was killed may not have come to that

    def _sync_older(self, path: Path) -> None:
        with contextlib.suppress(OSError, FileError):
            descriptor = open_regular(path, os.O_RDONLY)
            self._syncer.sync(descriptor)
            os.close(descriptor)

    def _take_up(self) -> None:
        """Go on with the run that is there, or begin one."""
        if behind(self._path).exists():
            self._parts: list[Part] = []
            self._news = [
                f"{self._path}: could not be written when the source ended, and lacks the end of its run: "
                "a new run begins"
            ]
            self._begin(forced=True)
            _remove(behind(self._path))
            return
        self._parts = scan(self._path, self._about)
        self._news = [remark for part in self._parts for remark in remarks(part)]
        for part in self._parts:
            self.run = part.run if part.run is not None else part.chunks_run or 0
            self.next_seq = max(self.next_seq, part.next_seq)
            self.next_target_seq = max(self.next_target_seq, part.next_target_seq)
        last = self._parts[-1] if self._parts else None
        if last is None or last.path != self._path:
            sync_folder(self._path.parent)  # the older one's name: whoever was killed may not have come to that
            self._begin(forced=True)
            return
        self._size, self._weight = last.sound_bytes, last.weight
        self._descriptor = open_regular(self._path, _APPEND)
        try:
            os.ftruncate(self._descriptor, self._size)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _begin(self, *, forced: bool = False) -> None:
        """Begin the file, in place of any that is there; come back when it is on disk for good, if so wanted."""
        first = opening(
            {
                "format": FORMAT,
                "run": f"{self.run:016x}",
                "next_seq": self.next_seq,
                "next_target_seq": self.next_target_seq,
                "about": self._about,
            }
        )
        fresh = self._path.with_name(f"{self._path.name}.new")
        _remove(fresh)  # whatever it is: not to be written through
        descriptor = os.open(fresh, _APPEND | os.O_EXCL, 0o600)
        try:
            _write_whole(descriptor, first)
            if forced:
                os.fsync(descriptor)
            fresh.replace(self._path)
            if forced:
                sync_folder(self._path.parent)
        except BaseException:
            _remove(fresh)
            os.close(descriptor)
            raise
        self._descriptor, self._size, self._weight = descriptor, len(first), 0
        self._place, self._is_full = self._path, False

    @property
    def resumed(self) -> bool:
        """Whether there was a run to take up."""
        return bool(self._parts)

    def chunks(self) -> Iterator[Chunk]:
        """Yield what the run's files held when they were opened, in the order in which it was said.

        To be read before anything is appended.
        """
        for part in self._parts:
            yield from part.chunks(self.run)

    def append(self, chunk: Chunk, now: Instant) -> None:
        """Write a chunk down; where that fails, count it, and try again with one a second later."""
        if now.mono_ns >= self._retry_ns:
            try:
                if self._weight > self._most_bytes:
                    self._rotate()
                self._write(journal_format.chunk_record(chunk))
            except OSError as error:
                self._fail(error, now)
            else:
                self._heal()
                self._weight += MESSAGE_BYTES + chunk.values.nbytes
        if chunk.kind is Kind.INPUT:
            self.next_seq = chunk.end_seq
            self._missed_samples += len(chunk.values) if self._failing else 0
        else:
            self.next_target_seq = chunk.end_seq

    def news(self) -> list[str]:
        """Return what the operator should know, each thing once. Called each second: what is new is synced."""
        if not self._syncer.busy:
            self._mark()
            self._sync()
        error = self._syncer.error
        if error is not None and not self._was_unsynced:
            self._news.append(f"{self._path}: cannot be forced to disk: {error.strerror}; a power cut may lose it")
        self._was_unsynced = error is not None
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        """Force what was written to disk, and let others write."""
        self._sync()
        self._syncer.close()
        if not self._syncer.busy:
            self._mark()
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)
        os.close(self._descriptor)
        os.close(self._lock)

    def _sync(self) -> None:
        self._asked_bytes = self._size
        self._syncer.sync(self._descriptor)

    def _mark(self) -> None:
        """Note in the file how much of it is on disk, if that is more than it says already."""
        if self._asked_bytes <= self._marked_bytes or self._failing or self._syncer.failures:
            return  # after a failure nobody knows what is on disk, whatever succeeds later
        with contextlib.suppress(OSError):  # the next one says it, too
            self._write(journal_format.mark(self._asked_bytes))
            self._marked_bytes = self._size

    def _write(self, record: bytes) -> None:
        """Write a record whole, or not at all."""
        try:
            _write_whole(self._descriptor, record)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(record)

    def _rotate(self) -> None:
        """Force the file to disk, call it the older one, begin another: each once what was before it is on disk.

        Or a power cut could take both files. Where the disk hangs, the file grows to twice its size before that.
        """
        if self._failing and behind(self._path).exists():
            behind(self._path).replace(self._place)
        waits = self._weight <= 2 * self._most_bytes
        if not self._is_full:
            self._is_full = True
            self._sync()
        if self._syncer.busy and waits:
            return
        if self._place == self._path:
            self._path.replace(older(self._path))
            self._place = older(self._path)
            self._sync_folder()
        if self._syncer.busy and waits:
            return
        self._syncer.sync(self._descriptor)
        before = self._descriptor
        self._begin()
        self._asked_bytes, self._marked_bytes = 0, self._size
        os.close(before)
        self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY)
        self._syncer.sync(folder)
        os.close(folder)

    def _fail(self, error: OSError, now: Instant) -> None:
        if not self._failing:
            self._news.append(f"{self._path}: cannot be written: {error.strerror}; the source goes on without it")
        self._failing = True
        try:
            if self._place.exists():
                self._place.replace(behind(self._path))
        except OSError as trouble:
            self._news.append(f"{self._path}: remove it before the source starts again: {trouble.strerror}")
        self._retry_ns = now.mono_ns + RETRY_NS

    def _heal(self) -> None:
        if self._failing:
            with contextlib.suppress(OSError):  # else a new run begins next time, though none would have to
                if behind(self._path).exists():
                    behind(self._path).replace(self._place)
            self._news.append(f"{self._path}: is written again; {self._missed_samples} samples are missing in it")
        self._failing = False
        self._missed_samples = 0


def _write_whole(descriptor: int, record: bytes) -> None:
    if os.write(descriptor, record) != len(record):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _lock_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _locked(path: Path) -> tuple[int, bool]:
    """Return the descriptor of a lock that no other process has, and whether its file was made for it."""
    beside = _lock_path(path)
    while True:
        made = not beside.exists()
        lock = open_regular(beside, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise FileError(f"{path}: another process writes it; stop that one, or give another file") from None
        except OSError:
            if made:
                _remove(beside)
            os.close(lock)
            raise
        if os.fstat(lock).st_nlink:
            return lock, made
        os.close(lock)  # whoever made it failed to start, and has just removed it
