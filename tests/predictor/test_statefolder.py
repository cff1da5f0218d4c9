"""The folder of states: what is there after a crash, a full disk and a second predictor."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor import statefolder
from predictor.checkpoint import encode
from predictor.keeper import Keeper
from predictor.statefolder import StateFolder
from streamer.effects import Checkpoint
from streamer.errors import FileError, StateError
from streamer.messages import Written


def tree(number: int) -> list[bytes]:
    return encode({"number": number, "array": np.full(5, number, np.float32)})


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.name != "lock")


def test_the_last_three_are_kept_and_the_newest_is_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "made" / "here"
    with StateFolder(path) as folder:
        assert folder.latest() == (None, [])
        assert [folder.write(tree(number)) for number in range(5)] == [1, 2, 3, 4, 5]
    assert names(path) == [f"state-{number:012d}.safetensors" for number in (3, 4, 5)]
    with StateFolder(path) as folder:
        latest, said = folder.latest()
        assert latest is not None
        assert (latest["number"], said) == (4, [])
        assert folder.write(tree(9)) == 6


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with StateFolder(path) as folder:
        folder.write(tree(1))
        assert path.stat().st_mode & 0o777 == 0o700
        assert {entry.stat().st_mode & 0o077 for entry in path.iterdir()} == {0}


def test_a_second_predictor_is_refused_and_the_first_one_goes_on(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as first:
        with (
            pytest.raises(StateError, match=f"process {os.getpid()}.*directory of its own"),
            StateFolder(tmp_path),
        ):
            pass
        first.write(tree(1))
    with StateFolder(tmp_path):
        pass


@pytest.mark.parametrize("damage", [b"", b"x" * 100, None])
def test_damage_is_said_and_the_one_before_is_used(tmp_path: Path, damage: bytes | None) -> None:
    with StateFolder(tmp_path) as folder:
        for number in range(3):
            folder.write(tree(number))
        newest = folder.states()[0]
        newest.write_bytes(newest.read_bytes()[:-1] if damage is None else damage)
    with StateFolder(tmp_path) as folder:
        latest, said = folder.latest()
        assert latest is not None
        assert latest["number"] == 1
        assert len(said) == 1
        assert newest.name in said[0]
        assert "kept aside" in said[0]
        assert folder.write(tree(7)) == 4  # no number is used twice
    assert newest.name + ".damaged" in names(tmp_path)


def test_where_all_are_damaged_it_starts_afresh_and_keeps_them_aside(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as folder:
        for number in range(2):
            folder.write(tree(number))
        for state in folder.states():
            state.write_bytes(b"gone")
        latest, said = folder.latest()
    assert latest is None
    assert "starting afresh" in said[-1]
    assert names(tmp_path) == [f"state-{number:012d}.safetensors.damaged" for number in (1, 2)]


def test_what_was_being_written_at_a_crash_is_cleared_away(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as folder:
        folder.write(tree(1))
    (tmp_path / "state-000000000002.safetensors.partial").write_bytes(b"half")
    with StateFolder(tmp_path) as folder:
        latest, said = folder.latest()
        assert latest is not None
        assert said == []
    assert names(tmp_path) == ["state-000000000001.safetensors"]


@pytest.mark.parametrize(
    ("call", "number"),
    [("fsync", errno.EIO), ("fsync", errno.ENOSPC), ("open", errno.EROFS), ("fdopen", errno.EMFILE)],
)
def test_a_state_is_there_for_good_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    with StateFolder(tmp_path) as folder:
        folder.write(tree(1))

        def fails(*_arguments: object, **_options: object) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as disk:
            disk.setattr(statefolder.os, call, fails)
            with pytest.raises(OSError, match=os.strerror(number)):
                folder.write(tree(2))
        assert names(tmp_path) == ["state-000000000001.safetensors"]
        assert folder.write(tree(3)) == 2


def test_the_order_of_what_a_power_cut_may_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are on disk before the name is, and the name before older ones go."""
    done: list[str] = []

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            done.append(name)
            return function(*arguments, **options)

        return noted

    with StateFolder(tmp_path) as folder:
        for number in range(3):
            folder.write(tree(number))
        monkeypatch.setattr(statefolder.os, "fsync", noting("fsync", os.fsync))
        monkeypatch.setattr(Path, "rename", noting("rename", Path.rename))
        monkeypatch.setattr(Path, "unlink", noting("unlink", Path.unlink))
        folder.write(tree(3))
    assert done == ["fsync", "rename", "fsync", "unlink"]


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("a\0b")):
        with pytest.raises(FileError, match="--state-dir"), StateFolder(path):
            pass


def test_the_keeper_writes_beside_the_loop_and_reports_once(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as folder:
        keeper = Keeper(folder)
        assert keeper.outcome() is None
        with keeper:
            keeper.write(Checkpoint({"number": 1}, []))
        assert keeper.outcome() == Written(1)
        assert keeper.outcome() is None


def test_the_keeper_reports_whatever_is_in_the_way(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state") as folder:
        (tmp_path / "state").rename(tmp_path / "elsewhere")
        with Keeper(folder) as keeper:
            keeper.write(Checkpoint({"number": 1}, []))
        written = keeper.outcome()
        assert written is not None
        assert written.number is None
        assert "FileNotFoundError" in str(written.error)
        with Keeper(folder) as keeper:
            keeper.write(Checkpoint({"odd": object()}, []))
        written = keeper.outcome()
        assert written is not None
        assert "TypeError" in str(written.error)
