"""The folder of states: what is there after a crash, a full disk and a second predictor."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor.state import folder as statefolder
from predictor.state.checkpoint import encode, pack
from predictor.state.folder import StateFolder
from predictor.state.parked_files import key_of
from predictor.state.writer import StateWriter
from streamer.effects import Checkpoint, Discard, Fetch, Park
from streamer.errors import FileError, StateError
from streamer.messages import Chunk, Fetched, Kind, Parked, Written
from streamer.ordering.decisions import GapDecision
from streamer.shell import _outcomes
from streamer.wire import codec

ESTIMATE = codec.encode(Chunk(Kind.ESTIMATE, "demo", 1, 0, 0, 100.0, np.zeros((1, 1, 2), np.float32)))[:2]


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
        assert "renamed to" in said[0]
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
        monkeypatch.setattr(statefolder.os, "rename", noting("rename", os.rename))
        monkeypatch.setattr(statefolder.os, "unlink", noting("unlink", os.unlink))
        folder.write(tree(3))
    assert done == ["fsync", "rename", "fsync", "unlink"]


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("a\0b")):
        with pytest.raises(FileError, match="--state-dir"), StateFolder(path):
            pass


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o770, 0o701])
def test_a_folder_that_others_may_use_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(FileError, match=rf"mode {mode:04o}\); type `chmod 0700 "), StateFolder(path):
        pass
    path.chmod(0o700)
    with StateFolder(path):
        pass


def test_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(FileError, match="must be a directory of yours"), StateFolder(tmp_path):
        pass


STATE = "state-000000000001.safetensors"


@pytest.mark.parametrize("name", ["lock", "published", "decisions-000000000001.log"])
@pytest.mark.parametrize("kind", ["link", "dangling", "fifo"])
def test_what_stands_in_the_place_of_a_file_is_refused_and_neither_followed_nor_waited_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    folder, target = tmp_path / "state", tmp_path / "target"
    folder.mkdir(mode=0o700)
    if kind == "fifo":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(target)
    if kind == "link":
        target.write_text("precious")
    with (
        pytest.raises(FileError, match=rf"--state-dir: {folder}: {name}: must be a regular file, got a "),
        StateFolder(folder) as states,
        StateWriter(states) as keeper,
    ):
        keeper.memory()
    assert target.exists() == (kind == "link")
    assert not target.exists() or target.read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["fifo", "device"])
def test_a_state_that_is_no_file_is_kept_aside_and_the_one_before_used(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    with StateFolder(tmp_path) as folder:
        folder.write(tree(1))
    make(tmp_path / "state-000000000002.safetensors")
    with StateFolder(tmp_path) as folder:
        latest, (said,) = folder.latest()
        assert latest is not None
        assert latest["number"] == 1
        assert "state-000000000002.safetensors: must be a regular file, got a " in said
        assert "renamed to" in said


def test_a_link_where_a_state_is_to_be_written_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "state").mkdir(mode=0o700)
    with StateFolder(tmp_path / "state") as folder:
        (tmp_path / "state" / f"{STATE}.partial").symlink_to(target)
        (tmp_path / "state" / STATE).symlink_to(target)
        folder.write(tree(1))
    assert target.read_text() == "precious"
    assert not (tmp_path / "state" / STATE).is_symlink()


def test_a_folder_that_is_deleted_and_made_anew_is_not_written_to_by_two(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with StateFolder(path) as first, StateWriter(first) as keeper:
        keeper.write(Checkpoint({"number": 1}, []))
        keeper.finish()
        path.rename(tmp_path / "elsewhere")
        with StateFolder(path) as second:
            second.write(tree(7))
            with pytest.raises(OSError, match="is another directory than at the start"):
                first.write(tree(2))
            keeper.ends.note(*ESTIMATE)
            keeper.decide(GapDecision("demo", 1, Kind.INPUT, 0, 5))
            assert names(path) == [STATE]
        path.rename(tmp_path / "second")
        with pytest.raises(OSError, match="is gone"):
            first.write(tree(2))
        (tmp_path / "elsewhere").rename(path)
        assert first.write(tree(2)) == 2
        assert "decisions-000000000001.log" in names(path) or "decisions-000000000002.log" in names(path)


def test_the_keeper_writes_beside_the_loop_and_reports_once(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as folder:
        keeper = StateWriter(folder)
        assert keeper.outcome() is None
        with keeper:
            keeper.write(Checkpoint({"number": 1}, []))
        assert keeper.outcome() == Written(1)
        assert keeper.outcome() is None


def test_the_keeper_reports_whatever_is_in_the_way(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state") as folder:
        (tmp_path / "state").rename(tmp_path / "elsewhere")
        with StateWriter(folder) as keeper:
            keeper.write(Checkpoint({"number": 1}, []))
        written = keeper.outcome()
        assert written is not None
        assert written.number is None
        assert "FileNotFoundError" in str(written.error)
        with StateWriter(folder) as keeper:
            keeper.write(Checkpoint({"odd": object()}, []))
        written = keeper.outcome()
        assert written is not None
        assert "TypeError" in str(written.error)


def test_the_keeper_writes_reads_and_removes_single_streams_in_order(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state") as folder, StateWriter(folder) as keeper:
        state = {"name": "a", "values": np.arange(3.0)}
        keeper.store(Park("a", {"identity": {}}, pack(state, "a"), brief=False))
        keeper.store(Fetch("a"))
        keeper.store(Discard([key_of("a")]))
        keeper.store(Fetch("a"))
        keeper.store(Park("b", {"identity": {}}, object(), brief=True))
        keeper.finish()
        parked, fetched, gone, failed = _outcomes(keeper)
    assert isinstance(parked, Parked)
    assert parked.size > 100
    assert isinstance(fetched, Fetched)
    assert fetched.tree["streams"][0]["values"].tolist() == [0, 1, 2]
    assert isinstance(gone, Fetched)
    assert (gone.tree, gone.error) == (None, None)
    assert isinstance(failed, Parked)
    assert failed.error is not None


def test_what_stands_in_the_place_of_parked_states_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "parked").symlink_to(tmp_path)
    with StateFolder(tmp_path / "state") as folder, pytest.raises(FileError, match="parked: must be a directory"):
        StateWriter(folder)
    (tmp_path / "state" / "parked").unlink()
    (tmp_path / "state" / "parked").mkdir(mode=0o755)
    with StateFolder(tmp_path / "state") as folder, pytest.raises(FileError, match="chmod 0700"):
        StateWriter(folder)
