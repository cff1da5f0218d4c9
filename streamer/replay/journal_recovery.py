"""What lies where a journal is to be: whose it is, how far its run came, and what of it is damaged."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streamer.errors import FileError
from streamer.files.regular_files import open_regular
from streamer.messages import Chunk, Kind
from streamer.replay.history import MESSAGE_BYTES
from streamer.replay.journal_format import MAGIC, Entry, decode_about, decode_chunk, entries
from streamer.wire import codec

FORMAT = 1


class Part:
    """One file of a journal, read through once.

    Parameters
    ----------
    path : Path
    about : mapping
        Of the source that wants to use it, with its `stream`.

    Raises
    ------
    FileError
        If it is no journal, or that of another source.
    OSError
        If it cannot be read.

    Attributes
    ----------
    run, chunks_run : int or None
        As its beginning says, and as its chunks do; None where the beginning is damaged or nothing follows.
    next_seq, next_target_seq : int
        What comes next in the run.
    weight : int
        Bytes that its chunks take in a history.
    sound_bytes, dropped_bytes : int
        Up to the last whole record; after it.
    holes : int
        Damaged places before that.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self._about = about
        self.run: int | None = None
        self.next_seq = self.next_target_seq = self.weight = self.holes = 0
        self.sound_bytes = len(MAGIC)
        self.chunks_run: int | None = None
        self.dropped_bytes = self._size() - self.sound_bytes
        for entry in self._entries():
            self.holes += entry.begin != self.sound_bytes
            self.dropped_bytes -= entry.end - self.sound_bytes
            self.sound_bytes = entry.end
            if entry.begin == len(MAGIC):
                self._begin(entry.body)
            else:
                self._count(entry.body)

    @property
    def is_begun(self) -> bool:
        """Whether there is anything in it."""
        return self.run is not None or self.chunks_run is not None

    def chunks(self, run: int) -> Iterator[Chunk]:
        """Yield the chunks of a run."""
        for entry in self._entries():
            chunk = decode_chunk(entry.body, self._about["stream"])
            if chunk is not None and chunk.run == run:
                yield chunk

    def _size(self) -> int:
        return self.path.stat().st_size

    def _entries(self) -> Iterator[Entry]:
        with os.fdopen(open_regular(self.path, os.O_RDONLY), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not MAGIC.startswith(file.read(len(MAGIC))):
                raise FileError(f"{self.path}: is no journal of a source; give another file")
            yield from entries(file, size)

    def _begin(self, body: bytes) -> None:
        said = decode_about(body)
        if said is None:
            return
        try:
            version, run, about = said["format"], int(said["run"], 16), said["about"]
            self.next_seq, self.next_target_seq = _index(said["next_seq"]), _index(said["next_target_seq"])
        except (KeyError, TypeError, ValueError):
            raise FileError(f"{self.path}: does not begin as a journal does; give another file") from None
        if version != FORMAT:
            raise FileError(
                f"{self.path}: is of format {version}, this version writes {FORMAT}; give another file"
            )
        difference = _difference(about, self._about)
        if difference:
            raise FileError(
                f"{self.path}: is the journal of another source: {difference}; "
                "give another file, or remove this one to begin a new run"
            )
        self.run = run

    def _count(self, body: bytes) -> None:
        chunk = decode_chunk(body, self._about["stream"])
        expected = self.run if self.run is not None else self.chunks_run
        if chunk is None or expected not in (None, chunk.run):
            self.holes += 1
            return
        self.chunks_run = chunk.run
        self.weight += MESSAGE_BYTES + chunk.values.nbytes
        if chunk.kind is Kind.INPUT:
            self.next_seq = max(self.next_seq, chunk.end_seq)
        else:
            self.next_target_seq = max(self.next_target_seq, chunk.end_seq)


def older(path: Path) -> Path:
    """Return where the file before this one lies."""
    return path.with_name(f"{path.name}.1")


def behind(path: Path) -> Path:
    """Return where a journal lies while it lacks what has been published."""
    return path.with_name(f"{path.name}.behind")


def scan(path: Path, about: Mapping[str, Any]) -> list[Part]:
    """Return the files of a journal that belong together, the older first; none if a run is to begin.

    Raises
    ------
    FileError
        If they cannot be used.
    OSError
        If they cannot be read.
    """
    parts = [Part(one, about) for one in (older(path), path) if one.exists()]
    parts = [part for part in parts if part.is_begun]
    if not parts:
        return []
    runs = [part.run for part in parts if part.run is not None]
    if not runs:
        raise FileError(
            f"{path}: its beginning is damaged; give another file, or remove this one to begin a new run"
        )
    return [part for part in parts if runs[-1] in (part.run, part.chunks_run)]


def _index(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= codec.MAX_SEQ:
        raise ValueError
    return value


def _difference(theirs: Any, ours: Mapping[str, Any], within: str = "") -> str:
    """Return the first thing in which two sources differ, in words."""
    if not isinstance(theirs, dict):
        return f"{within or 'about'} {theirs!r} in it, {dict(ours)!r} now"
    for key in sorted({*theirs, *ours}):
        its, own = theirs.get(key), ours.get(key)
        if isinstance(own, Mapping):
            if deeper := _difference(its, own, f"{within}{key}."):
                return deeper
        elif its != own:
            return f"{within}{key} {its!r} in it, {own!r} now"
    return ""


def remarks(part: Part) -> Iterator[str]:
    """Yield what the operator should know of a file."""
    if part.holes:
        yield f"{part.path}: is damaged in {part.holes} places; what was there cannot be said again"
    if part.dropped_bytes:
        yield f"{part.path}: its last {part.dropped_bytes} bytes are damaged or cut off, and are dropped"
