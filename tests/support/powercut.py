"""What a power cut may leave of the files below a folder, by what code did to them before it.

A recorder looks at the files after each call that changes any. From what it saw, states of the disk are made that
a file system may show after a cut: what was forced to disk is there; of the rest, names and contents are there or
not, each on its own. Contents are lost by sectors, and a file may have its new size with zeros for its content.
After Pillai et al., All File Systems Are Not Created Equal, OSDI 2014.
"""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

SECTOR = 512
CHANGING = (
    "open",
    "write",
    "pwrite",
    "ftruncate",
    "rename",
    "replace",
    "unlink",
    "mkdir",
    "link",
    "fchmod",
    "chmod",
)
ROOT = 0
REAL_OPEN = os.open
MODES = ("lost", "all", "sizes", "torn")


@dataclass(frozen=True, slots=True)
class Named:
    """A directory's entry changes: `node` gets the name `new`, and loses the name `old`."""

    folder: int
    old: str | None
    new: str | None
    node: int


@dataclass(frozen=True, slots=True)
class Content:
    """A file has these bytes now."""

    node: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    """A file's bytes, or a directory's entries, are on disk."""

    node: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that the world saw at that moment: from now on it must be true."""

    what: Any


Event = Named | Content | Synced | Seen


class Recorder:
    """Notes what happens below a folder while it is entered.

    Parameters
    ----------
    root : Path
        Whatever is in it at the start counts as on disk.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self.folders = {ROOT}
        self._nodes: dict[tuple[int, int], int] = {self._key(root.stat()): ROOT}
        self._paths = {ROOT: root}
        self._held: list[int] = []  # so that no number of a file is given twice
        self._names: dict[tuple[int, str], int] = {}
        self._data: dict[int, bytes] = {}
        self._look()
        for node in [*self.folders, *self._data]:
            self.events.append(Synced(node))
        self.start = len(self.events)

    @staticmethod
    def _key(found: os.stat_result) -> tuple[int, int]:
        return found.st_dev, found.st_ino

    def see(self, what: Any) -> None:
        """Note what the world has seen."""
        self._look()
        self.events.append(Seen(what))

    def __enter__(self) -> "Recorder":
        self._stack = ExitStack()
        for name in CHANGING:
            real = getattr(os, name)
            self._stack.enter_context(mock.patch.object(os, name, self._looking(real)))
        self._stack.enter_context(mock.patch.object(os, "fsync", self._syncing(os.fsync)))
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()
        self._look()
        for descriptor in self._held:
            os.close(descriptor)

    # Looking

    def _looking(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._look()  # what C code did meanwhile
            try:
                return real(*arguments, **options)
            finally:
                self._look()

        return call

    def _syncing(self, real: Callable[[Any], None]) -> Callable[[Any], None]:
        def fsync(descriptor: Any) -> None:
            self._look()
            node = self._nodes.get(self._key(os.fstat(descriptor)))
            real(descriptor)
            if node is not None:
                self.events.append(Synced(node))

        return fsync

    def _look(self) -> None:
        """Note what has changed since the last look."""
        names: dict[tuple[int, str], int] = {}
        for folder, name, path in self._walk(ROOT, self.root):
            names[folder, name] = self._node(path)
        self._compare(names)
        for node in names.values():
            if node in self.folders:
                continue
            data = self._paths[node].read_bytes()
            if self._data.get(node, b"") != data:
                self.events.append(Content(node, data))
            self._data[node] = data

    def _walk(self, folder: int, path: Path) -> Iterator[tuple[int, str, Path]]:
        for name in sorted(os.listdir(path)):  # noqa: PTH208
            here = path / name
            yield folder, name, here
            if here.is_dir():
                yield from self._walk(self._node(here), here)

    def _node(self, path: Path) -> int:
        key = self._key(path.lstat())
        node = self._nodes.setdefault(key, len(self._nodes))
        if node not in self._paths:
            self._held.append(REAL_OPEN(path, os.O_RDONLY))
            if path.is_dir():
                self.folders.add(node)
        self._paths[node] = path
        return node

    def _compare(self, names: dict[tuple[int, str], int]) -> None:
        before, self._names = self._names, names
        gone = {place: node for place, node in before.items() if names.get(place) != node}
        for place, node in names.items():
            if before.get(place) == node:
                continue
            old = next((left for left, same in gone.items() if same == node and left[0] == place[0]), None)
            self.events.append(Named(place[0], None if old is None else old[1], place[1], node))
            gone.pop(place, None)  # another file has its name
            if old is not None:
                gone.pop(old, None)
        for (folder, name), node in gone.items():
            self.events.append(Named(folder, name, None, node))


@dataclass
class Image:
    """What is on a disk after a cut."""

    ordered: bool = True  # names changed in the order in which they were changed
    names: dict[tuple[int, str], int] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    folders: set[int] = field(default_factory=set)

    def put(self, root: Path) -> None:
        """Make it the content of a folder."""
        if root.exists():
            shutil.rmtree(root)
        self._put(ROOT, root)

    def _put(self, folder: int, path: Path) -> None:
        path.mkdir(mode=0o700)
        for (inside, name), node in self.names.items():
            if inside == folder and node in self.folders:
                self._put(node, path / name)
            elif inside == folder:
                (path / name).write_bytes(self.data.get(node, b""))
                (path / name).chmod(0o600)


def cut(recorder: Recorder, at: int, rng: random.Random) -> tuple[Image, list[Any]]:
    """Return a disk after a power cut behind so many events, and what the world had seen by then."""
    ordered, names_mode, data_mode = rng.random() < 0.5, rng.choice(MODES), rng.choice(MODES)
    image = Image(ordered, folders=recorder.folders)
    pending: list[Named] = []
    versions: dict[int, list[bytes]] = {}
    seen: list[Any] = []
    for event in recorder.events[:at]:
        match event:
            case Named():
                pending.append(event)
            case Content(node, data):
                versions.setdefault(node, []).append(data)
            case Synced(node) if node in recorder.folders:
                for change in pending:
                    if change.folder == node:
                        _rename(image, change)
                pending = [change for change in pending if change.folder != node]
            case Synced(node):
                image.data[node] = (versions.pop(node, None) or [image.data.get(node, b"")])[-1]
            case Seen(what):
                seen.append(what)
    for change in _chosen(pending, ordered, names_mode, rng):
        _rename(image, change)
    for node, later in versions.items():
        image.data[node] = _left_of([image.data.get(node, b""), *later], data_mode, rng)
    return image, seen


def _rename(image: Image, change: Named) -> None:
    if change.old is not None and image.names.get((change.folder, change.old)) == change.node:
        del image.names[change.folder, change.old]
    if change.new is not None:
        image.names[change.folder, change.new] = change.node


def _chosen(pending: list[Named], ordered: bool, mode: str, rng: random.Random) -> list[Named]:
    """Return the changes that reached the disk: as with a journalling file system, the first ones; or any."""
    if mode == "lost":
        return []
    if mode in ("all", "sizes"):
        return pending
    if ordered:
        return pending[: rng.randint(0, len(pending))]
    return [change for change in pending if rng.random() < 0.5]


def _left_of(versions: list[bytes], mode: str, rng: random.Random) -> bytes:
    """Return what is left of a file that had these contents, the first of them forced to disk."""
    first, last = versions[0], versions[-1]
    if mode == "lost":
        return first
    if mode == "all":
        return last
    size = len(last) if mode == "sizes" else len(rng.choice(versions))
    content = bytearray(size)
    for begin in range(0, size, SECTOR):
        source = first if mode == "sizes" else rng.choice(versions)
        piece = source[begin : min(begin + SECTOR, size)]
        content[begin : begin + len(piece)] = piece
    return bytes(content)


def cuts(recorder: Recorder, count: int, seed: int) -> Iterator[tuple[int, Image, list[Any]]]:
    """Yield so many cuts, at every event in turn where there are enough, each with its number."""
    first, events = recorder.start, len(recorder.events) - recorder.start
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        image, seen = cut(
            recorder, first + (number % (events + 1) if count > events else rng.randint(0, events)), rng
        )
        yield number, image, seen
