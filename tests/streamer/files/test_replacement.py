"""A file is written whole or not at all, whatever its place is and whenever the disk is full."""

import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from streamer.files.replacement import replacing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def on_a_full_disk(path: Path) -> BinaryIO:
    path.symlink_to("/dev/full")
    return path.open("wb")


def write(path: Path, content: bytes = b"after") -> None:
    with replacing(path) as file:
        file.write(content)


def test_it_takes_its_place_with_the_permissions_that_were_there(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write(path, b"before")
    path.chmod(0o640)
    write(path)
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_symbolic_link_stays_and_what_it_names_is_written(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "far").mkdir()
    target, link, chain = tmp_path / "far" / "target", tmp_path / "link", tmp_path / "chain"
    if exists:
        target.write_text("before")
    link.symlink_to("far/target")
    chain.symlink_to("link")
    write(chain)
    assert target.read_bytes() == b"after"
    assert chain.is_symlink()
    assert link.is_symlink()
    assert names(tmp_path / "far") == ["target"]


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="leads nowhere"):
        write(tmp_path / "a")
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("place", ["write", "fsync", "rename"])
def test_an_error_at_any_moment_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = tmp_path / "out"
    path.write_text("before")

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if place == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif place == "rename":
        monkeypatch.setattr(Path, "replace", full)
    elif place == "write":
        monkeypatch.setattr("streamer.files.replacement.open_new", on_a_full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(path)
    assert path.read_text() == "before"
    assert names(tmp_path) == ["out"]
