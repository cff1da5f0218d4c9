"""Decisions and published ends on disk: what outlives a process, a bad disk, and a strange file in their place."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from predictor.state import decision_log, published_ends
from predictor.state.decision_log import DecisionLog
from predictor.state.published_ends import SLOT, PublishedEnds
from streamer.errors import FileError
from streamer.messages import Kind
from streamer.ordering.decisions import GapDecision
from streamer.wire import codec

GAPS = [GapDecision("demo", 1, Kind.INPUT, 10 * k, 5) for k in range(6)]


def note(ends: PublishedEnds, seq: int, *, samples: int = 1, run: int = 1, stream: str = "demo") -> None:
    header = codec.HEADER.pack(codec.MAGIC, codec.VERSION, Kind.ESTIMATE, 2, samples, 1, run, seq, 0, 100.0, 0, 0)
    ends.note(codec.topic(Kind.ESTIMATE, stream), header)


def known(folder: Path, run: int = 1, stream: str = "demo") -> int:
    """What the next life finds."""
    ends = PublishedEnds(folder)
    ends.close()
    return ends.published(stream, run)


# Published ends


def test_what_was_noted_is_known_to_the_next_life(tmp_path: Path) -> None:
    ends = PublishedEnds(tmp_path)
    assert ends.published("demo", 1) == 0
    note(ends, 4)
    note(ends, 5, samples=3, stream="other")
    assert [known(tmp_path), known(tmp_path, stream="other"), known(tmp_path, run=2)] == [5, 8, 0]
    note(ends, 2)  # said again: nothing new
    assert known(tmp_path) == 5
    assert (tmp_path / "published").stat().st_mode & 0o777 == 0o600


def test_a_stream_that_is_forgotten_leaves_its_slot_to_others_and_nothing_in_it(tmp_path: Path) -> None:
    ends = PublishedEnds(tmp_path)
    for number in range(300):
        note(ends, 6, stream=f"name{number}")
        ends.forget(f"name{number}")
    assert known(tmp_path, stream="name299") == 0
    assert (tmp_path / "published").stat().st_size == SLOT.size
    note(ends, 8, stream="name7")
    assert known(tmp_path, stream="name7") == 9
    ends.forget("never heard of")


def test_a_life_that_says_again_what_is_published_forgets_nothing(tmp_path: Path) -> None:
    first = PublishedEnds(tmp_path)
    note(first, 99)
    note(first, 49, run=2)
    second = PublishedEnds(tmp_path)
    note(second, 10)  # it begins in the run before
    assert (known(tmp_path, run=2), second.published("demo", 2)) == (50, 50)
    note(second, 10, run=2)
    assert known(tmp_path, run=2) == 50
    note(second, 50, run=2)
    assert known(tmp_path, run=2) == 51
    assert (tmp_path / "published").stat().st_size == 2 * SLOT.size


def test_many_runs_of_a_stream_take_one_slot(tmp_path: Path) -> None:
    ends = PublishedEnds(tmp_path)
    for run in range(1, 100):
        note(ends, 3, run=run)
    assert (tmp_path / "published").stat().st_size == SLOT.size
    assert known(tmp_path, run=99) == 4


def test_many_lives_do_not_let_it_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_ends, "MAX_SLOTS", 8)
    for run in range(1, 40):
        ends = PublishedEnds(tmp_path)
        note(ends, run, run=run)
        ends.close()
        assert known(tmp_path, run=run) == run + 1
    assert (tmp_path / "published").stat().st_size == 8 * SLOT.size


@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_slot_is_nobodys(tmp_path: Path, bit: int) -> None:
    ends = PublishedEnds(tmp_path)
    note(ends, 4)
    note(ends, 7, stream="other")
    data = (tmp_path / "published").read_bytes()
    for at in range(SLOT.size):
        (tmp_path / "published").write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
        assert (known(tmp_path), known(tmp_path, stream="other")) == (0, 8)


def test_cut_at_every_byte_what_is_whole_is_known(tmp_path: Path) -> None:
    ends = PublishedEnds(tmp_path)
    note(ends, 4)
    note(ends, 7, stream="other")
    data = (tmp_path / "published").read_bytes()
    for size in range(len(data) + 1):
        (tmp_path / "published").write_bytes(data[:size])
        whole = size // SLOT.size
        assert (known(tmp_path), known(tmp_path, stream="other")) == (5 * (whole > 0), 8 * (whole > 1))


def full(*_arguments: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_nothing_is_counted_and_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = PublishedEnds(tmp_path)
    note(ends, 4)
    clock = [0.0]
    monkeypatch.setattr(published_ends.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(published_ends.os, "pwrite", full)
    note(ends, 5)
    note(ends, 6)
    note(ends, 8, stream="other")
    assert ends.failures == 1, "tried again once a second"
    assert "No space left" in str(ends.error)
    monkeypatch.undo()
    monkeypatch.setattr(published_ends.time, "monotonic", lambda: 1e9)
    note(ends, 7)
    assert ends.error is None
    assert (known(tmp_path), known(tmp_path, stream="other")) == (8, 9)


def link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [link, pipe, Path.mkdir], ids=["link", "pipe", "folder"])
def test_what_is_no_regular_file_is_refused_or_gone_on_without(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "published")
    if make is Path.mkdir:
        ends = PublishedEnds(tmp_path)
        note(ends, 4)
        assert ends.error is not None
    else:
        with pytest.raises(FileError, match=r"must be a regular file, got a .* give another directory"):
            PublishedEnds(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


# Decisions


def read(folder: Path) -> list[object]:
    found, remarks = DecisionLog(folder, 99).read()
    assert remarks == []
    return list(found)


def test_decisions_are_read_in_order_over_files_and_lives(tmp_path: Path) -> None:
    for number in (1, 2, 2, 10):
        log = DecisionLog(tmp_path, number)
        log.write(GAPS[0])
        log.write(GAPS[1])
        log.close()
    assert read(tmp_path) == GAPS[:2] * 4
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"decisions-{number:012d}.log" for number in (1, 2, 10)]


def test_a_file_goes_with_the_states_that_need_it(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, 1)
    for number, gap in enumerate(GAPS, 1):
        log.write(gap)
        log.go_on(number + 1)
    assert read(tmp_path) == GAPS
    log.drop_before(4)
    assert read(tmp_path) == GAPS[3:]


def test_a_damaged_record_is_said_and_the_others_count(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, 1)
    for gap in GAPS:
        log.write(gap)
    path = tmp_path / "decisions-000000000001.log"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data[:-1])
    found, (remark,) = DecisionLog(tmp_path, 1).read()
    assert len(found) == len(GAPS) - 2
    assert "bytes are damaged or cut off" in remark
    log = DecisionLog(tmp_path, 1)  # and written on
    log.write(GAPS[0])
    assert DecisionLog(tmp_path, 1).read()[0][-1] == GAPS[0]


def half(descriptor: int, data: bytes) -> int:
    return real_write(descriptor, data[: len(data) // 2])


real_write = os.write


@pytest.mark.parametrize("write", [full, half])
def test_a_full_disk_loses_no_decision_once_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., int]
) -> None:
    log = DecisionLog(tmp_path, 1)
    log.write(GAPS[0])
    monkeypatch.setattr(decision_log.os, "write", write)
    log.write(GAPS[1])
    log.write(GAPS[2])
    assert log.failures == 1
    assert "No space left" in str(log.error)
    assert read(tmp_path) == GAPS[:1]
    monkeypatch.undo()
    log.go_on(2)
    assert log.error is None
    assert read(tmp_path) == GAPS[:3]


def test_it_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_log, "MAX_BYTES", 1000)
    log = DecisionLog(tmp_path, 1)
    for _ in range(100):
        log.write(GAPS[0])
    assert log.failures > 0
    assert (tmp_path / "decisions-000000000001.log").stat().st_size <= 1000


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"mine")
    (tmp_path / "decisions-000000000001.log").symlink_to(secret)
    log = DecisionLog(tmp_path, 1)
    with pytest.raises(FileError, match="got a symbolic link; put the file itself there"):
        log.read()
    log.write(GAPS[0])
    assert log.error is not None
    assert secret.read_bytes() == b"mine"
