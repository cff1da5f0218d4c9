"""What lies where a journal is to be: whose it is, how far its run came, and what of it is damaged.

Marks in a file say how much of it was on disk for good. What is damaged before the last mark is the doing of a bad
disk: it is left out, and what follows is taken. What is damaged behind it was torn by a power cut: the file counts
up to there, as if the source had been killed at that moment, and the source publishes the rest again. Both files
of a journal are judged as one.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamer.errors import FileError
from streamer.files.regular_files import open_regular
from streamer.messages import Chunk, Kind
from streamer.replay.history import MESSAGE_BYTES
from streamer.replay.journal_format import MAGIC, Entry, decode_about, decode_chunk, decode_mark, entries
from streamer.wire import codec

FORMAT = 1


@dataclass(slots=True)
class Reach:
    """How far a file's records come."""

    run: int | None = None
    chunks_run: int | None = None
    next_seq: int = 0
    next_target_seq: int = 0
    weight: int = 0
    sound_bytes: int = len(MAGIC)
    holes: int = 0


class Part:
    """One file of a journal, read through once.

    Parameters
    ----------
    path : Path
    about : mapping
        Of the source that wants to use it, with its `stream`.
    durable : bool
        All of it was on disk for good: what is damaged is no power cut's doing.

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
    begins_at : tuple of int
        The input and the target that its beginning says to come next.
    next_seq, next_target_seq : int
        What comes next in the run.
    weight : int
        Bytes that its chunks take in a history.
    sound_bytes, dropped_bytes : int
        Up to where it counts; after that.
    synced_bytes : int
        How much its marks say to have been on disk for good.
    holes : int
        Damaged places before that.
    is_blank : bool
        Where it should begin are zeros.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], *, durable: bool = False) -> None:
        self.path = path
        self._about = about
        self.is_blank = False
        self.synced_bytes = 0
        self.begins_at = 0, 0
        reach, size, torn = Reach(), self._size(), []
        for entry in self._entries(size):
            if entry.begin != reach.sound_bytes:
                torn.append(replace(reach))
                reach.holes += 1
            reach.sound_bytes = entry.end
            if entry.begin == len(MAGIC):
                self._begin(entry.body, reach)
            elif (synced := decode_mark(entry.body)) is not None:
                self.synced_bytes = max(self.synced_bytes, synced)
            else:
                self._count(entry.body, reach)
        if not durable:
            reach = next((before for before in torn if before.sound_bytes >= self.synced_bytes), reach)
        self.run, self.chunks_run = reach.run, reach.chunks_run
        self.next_seq, self.next_target_seq = reach.next_seq, reach.next_target_seq
        self.weight, self.holes, self.sound_bytes = reach.weight, reach.holes, reach.sound_bytes
        self.dropped_bytes = size - self.sound_bytes

    @property
    def is_begun(self) -> bool:
        """Whether there is anything in it."""
        return self.run is not None or self.chunks_run is not None

    def chunks(self, run: int) -> Iterator[Chunk]:
        """Yield the chunks of a run."""
        for entry in self._entries(self.sound_bytes):
            chunk = decode_chunk(entry.body, self._about["stream"])
            if chunk is not None and chunk.run == run:
                yield chunk

    def _size(self) -> int:
        return self.path.stat().st_size

    def _entries(self, size: int) -> Iterator[Entry]:
        with os.fdopen(open_regular(self.path, os.O_RDONLY), "rb") as file:
            first = file.read(len(MAGIC))
            self.is_blank = not any(first)
            if not self.is_blank and not MAGIC.startswith(first):
                raise no_journal(self.path)
            if not self.is_blank:
                yield from entries(file, size)

    def _begin(self, body: bytes, reach: Reach) -> None:
        said = decode_about(body)
        if said is None:
            return
        try:
            version, run, about = said["format"], int(said["run"], 16), said["about"]
            self.begins_at = _index(said["next_seq"]), _index(said["next_target_seq"])
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
        reach.run = run
        reach.next_seq, reach.next_target_seq = self.begins_at

    def _count(self, body: bytes, reach: Reach) -> None:
        chunk = decode_chunk(body, self._about["stream"])
        expected = reach.run if reach.run is not None else reach.chunks_run
        if chunk is None or expected not in (None, chunk.run):
            reach.holes += 1
            return
        reach.chunks_run = chunk.run
        reach.weight += MESSAGE_BYTES + chunk.values.nbytes
        if chunk.kind is Kind.INPUT:
            reach.next_seq = max(reach.next_seq, chunk.end_seq)
        else:
            reach.next_target_seq = max(reach.next_target_seq, chunk.end_seq)


def no_journal(path: Path) -> FileError:
    """Return the error of a file that is something else."""
    return FileError(f"{path}: is not a source's journal; give another file")


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
    parts = _parts(path, about)
    if not parts:
        return []
    runs = [part.run for part in parts if part.run is not None]
    if not runs:
        raise FileError(
            f"{path}: its beginning is damaged; give another file, or remove this one to begin a new run"
        )
    return [part for part in parts if runs[-1] in (part.run, part.chunks_run)]


def _parts(path: Path, about: Mapping[str, Any]) -> list[Part]:
    """Return the files that count, the older first."""
    newer = Part(path, about) if path.exists() else None
    is_durable = newer is not None and newer.synced_bytes > 0  # the older one was forced to disk before
    before = Part(older(path), about, durable=is_durable) if older(path).exists() else None
    if before is not None and not before.is_begun:
        before = None
    if newer is not None and newer.is_blank and newer.path.stat().st_size and before is None:
        raise no_journal(path)  # the first file's beginning is on disk before anything is published
    if newer is None or not newer.is_begun:
        return [] if before is None else [before]
    if before is None:
        return [newer]
    of_one_run = newer.run is not None and newer.run in (before.run, before.chunks_run)
    follows = newer.begins_at[0] <= before.next_seq and newer.begins_at[1] <= before.next_target_seq
    if of_one_run and not is_durable and not follows:
        return [before]  # a power cut took what lay between them
    return [before, newer]


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
        yield f"{part.path}: is damaged in {part.holes} places; what was there cannot be retransmitted"
    if part.dropped_bytes:
        yield f"{part.path}: its last {part.dropped_bytes} bytes are damaged or cut off, and are dropped"
