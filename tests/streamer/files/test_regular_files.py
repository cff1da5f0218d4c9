"""What is opened of a folder that others may have written to."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer.errors import FileError
from streamer.files.regular_files import open_regular, read_regular

OTHERS: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "symbolic link": lambda path: path.symlink_to("/dev/zero"),
    "directory": os.mkdir,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_regular_file_is_named_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    OTHERS[kind](tmp_path / "x")
    with pytest.raises(FileError, match=f"must be a regular file, got a {kind}"):
        read_regular(tmp_path / "x", 100)


def test_a_link_is_not_followed_and_its_target_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FileError, match="symbolic link"):
        open_regular(tmp_path / "link", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    assert (tmp_path / "target").read_text() == "kept"


def test_a_file_is_read_whole_or_refused_for_its_size(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert read_regular(tmp_path / "x", 5) == b"12345"
    with pytest.raises(FileError, match="at most 4 bytes"):
        read_regular(tmp_path / "x", 4)


def test_another_users_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"1")
    owner = (tmp_path / "x").stat().st_uid
    if owner == 0:  # root's files are taken by everybody
        os.chown(tmp_path / "x", 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(FileError, match="must be a file of yours"):
        read_regular(tmp_path / "x", 5)


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read_regular(tmp_path / "nowhere", 5)


def test_relative_to_a_folder_that_was_moved(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    folder = os.open(tmp_path / "a", os.O_RDONLY | os.O_DIRECTORY)
    try:
        (tmp_path / "a").rename(tmp_path / "b")
        assert read_regular(Path("x"), 5, folder=folder) == b"1"
    finally:
        os.close(folder)
