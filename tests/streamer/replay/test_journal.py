"""The journal: what was written is read again whatever happened to the file, and nothing else is."""

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from streamer.clock import Instant
from streamer.errors import FileError
from streamer.files.records import FRAME, framed
from streamer.messages import Chunk, Kind
from streamer.replay import journal as journal_module
from streamer.replay import journal_format
from streamer.replay.history import MESSAGE_BYTES
from streamer.replay.journal import MIN_BYTES, JournalFile
from streamer.replay.journal_recovery import Part, older
from streamer.source.signals import Signal
from streamer.wire import codec
from tests.support.dose import examples

RUN = 0xABC
ABOUT = {"stream": "demo", "targets": True, "target_delay_samples": 0, "signal": asdict(Signal())}
NOW = Instant(0, 0)
MB = 2**20


def chunk(seq: int, kind: Kind = Kind.INPUT, samples: int = 2, run: int = RUN) -> Chunk:
    values = np.arange(seq, seq + samples, dtype=np.float32)[:, None, None]
    return Chunk(kind, "demo", run, seq, 10 * seq, 100.0, values, tally=seq)


def pairs(count: int, first: int = 0) -> list[Chunk]:
    """Inputs and their targets, as they are said."""
    return [chunk(2 * k, kind) for k in range(first, first + count) for kind in (Kind.INPUT, Kind.TARGET)]


def opened(path: Path, run: int = RUN, about: dict[str, object] = ABOUT) -> "closing[JournalFile]":
    return closing(JournalFile(path, about, run, MB))


def written(path: Path, chunks: list[Chunk]) -> bytes:
    """The bytes of a journal with chunks in it."""
    with opened(path) as journal:
        for one in chunks:
            journal.append(one, NOW)
    return path.read_bytes()


def encoded(chunks: Iterator[Chunk] | list[Chunk]) -> list[list[bytes]]:
    return [codec.encode(one) for one in chunks]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_a_new_journal_is_empty(path: Path) -> None:
    with opened(path) as journal:
        assert (journal.run, journal.next_seq, journal.next_target_seq, journal.resumed) == (RUN, 0, 0, False)
        assert list(journal.chunks()) == []
        assert journal.news() == []


def test_what_was_written_is_there_again_in_order(path: Path) -> None:
    written(path, [*pairs(5), chunk(10)])
    with opened(path, run=1) as journal:
        assert (journal.run, journal.next_seq, journal.next_target_seq, journal.resumed) == (RUN, 12, 10, True)
        assert encoded(journal.chunks()) == encoded([*pairs(5), chunk(10)])
        assert journal.news() == []


def test_a_run_that_was_taken_up_is_written_on(path: Path) -> None:
    written(path, pairs(2))
    written(path, pairs(2, first=2))
    with opened(path) as journal:
        assert encoded(journal.chunks()) == encoded(pairs(4))


def test_a_chunk_is_on_its_way_to_the_disk_once_it_is_appended(path: Path) -> None:
    """As after a kill: nothing was closed, nothing flushed."""
    with opened(path) as journal:
        journal.append(chunk(0), NOW)
        assert encoded(Part(path, ABOUT).chunks(RUN)) == encoded([chunk(0)])


def whole(data: bytes) -> list[int]:
    """Where each record of a sound journal ends."""
    ends, at = [], len(journal_format.MAGIC)
    while at < len(data):
        at += FRAME.size + FRAME.unpack_from(data, at)[0]
        ends.append(at)
    return ends


def test_cut_at_every_byte_what_was_whole_is_there(path: Path) -> None:
    data = written(path, pairs(3))
    about_end, *ends = whole(data)
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        part = Part(path, ABOUT)
        count = sum(end <= size for end in ends)
        assert encoded(part.chunks(RUN)) == encoded(pairs(3)[:count])
        if size >= about_end:
            assert part.run == RUN
            assert part.sound_bytes == ([about_end, *ends])[count]
            assert part.dropped_bytes == size - part.sound_bytes


@pytest.mark.parametrize("lost", [1, 30, 100])
def test_a_cut_tail_is_dropped_and_said_and_written_over(path: Path, lost: int) -> None:
    data = written(path, pairs(3))
    path.write_bytes(data[:-lost])
    kept = pairs(3)[: sum(end <= len(data) - lost for end in whole(data)[1:])]
    with opened(path, run=1) as journal:
        (line,) = journal.news()
        assert "bytes are damaged or cut off, and are dropped" in line
        assert encoded(journal.chunks()) == encoded(kept)
        journal.append(chunk(50), NOW)
    with opened(path) as journal:
        assert journal.news() == []
        assert encoded(journal.chunks()) == encoded([*kept, chunk(50)])


@pytest.mark.parametrize("bit", [0, 7])
def test_flipped_at_every_byte_only_the_record_that_was_hit_is_lost(path: Path, bit: int) -> None:
    data = written(path, pairs(3))
    begins = whole(data)
    for at in range(begins[0], len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
        hit = sum(end <= at for end in begins[1:])
        expected = pairs(3)[:hit] + pairs(3)[hit + 1 :]
        part = Part(path, ABOUT)
        assert encoded(part.chunks(RUN)) == encoded(expected), at
        last = hit == len(expected)
        assert (part.holes, part.dropped_bytes > 0) == (0 if last else 1, last)


def test_flipped_anywhere_before_the_first_chunk_it_is_refused(path: Path) -> None:
    data = written(path, pairs(2))
    for at in range(whole(data)[0]):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(FileError, match=r"is not a source's journal|its beginning is damaged"):
            JournalFile(path, ABOUT, 1, MB)


def test_cut_before_the_first_chunk_a_run_begins(path: Path) -> None:
    data = written(path, pairs(2))
    for size in range(0, whole(data)[0], 17):
        path.write_bytes(data[:size])
        with opened(path, run=7) as journal:
            assert (journal.run, journal.next_seq, journal.resumed) == (7, 0, False)


@given(st.binary(max_size=300))
@examples(50, release=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_without_harm(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "noise"
    path.write_bytes(journal_format.MAGIC + noise)
    part = Part(path, ABOUT)
    assert not part.is_begun
    path.write_bytes(journal_format.MAGIC + framed(noise or b"x"))
    assert not Part(path, ABOUT).is_begun


@given(
    cut=st.integers(0, 2000), flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 7)), max_size=4),
    inserted=st.tuples(st.integers(0, 2000), st.binary(max_size=20)),
)  # fmt: skip
@examples(37, release=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_done_to_it_it_yields_only_what_was_written(
    tmp_path: Path, cut: int, flips: list[tuple[int, int]], inserted: tuple[int, bytes]
) -> None:
    path = tmp_path / "journal"
    for one in tmp_path.glob("journal*"):
        one.unlink()
    data = bytearray(written(path, pairs(8)))
    for at, bit in flips:
        data[at % len(data)] ^= 1 << bit
    data[inserted[0] : inserted[0]] = inserted[1]
    path.write_bytes(bytes(data[: cut + 100]))
    try:
        journal = JournalFile(path, ABOUT, RUN, MB)
    except FileError:
        return
    with closing(journal):
        said = encoded(pairs(8))
        places = [said.index(one) for one in encoded(journal.chunks())]
        assert places == sorted(set(places))
        assert journal.next_seq <= 16
        journal.append(chunk(100), NOW)
    with opened(path) as again:
        assert codec.encode(chunk(100)) in encoded(again.chunks())


def test_sizes_are_checked_before_anything_is_read(path: Path) -> None:
    data = written(path, pairs(1))
    huge = FRAME.pack(2**32 - 1, 0) + b"SNCS"
    path.write_bytes(data + huge)
    part = Part(path, ABOUT)
    assert (part.holes, part.dropped_bytes) == (0, len(huge))
    sparse = path.with_name("sparse")
    sparse.write_bytes(data + huge)
    os.truncate(sparse, 200 * MB)  # the size is claimed and there: still past what a chunk can be
    assert encoded(Part(sparse, ABOUT).chunks(RUN)) == encoded(pairs(1))


def changed(**settings: object) -> dict[str, object]:
    return {**ABOUT, **settings}


@pytest.mark.parametrize(
    ("about", "difference"),
    [
        (changed(stream="other"), "stream 'demo' in it, 'other' now"),
        (changed(targets=False), "targets True in it, False now"),
        (changed(target_delay_samples=3), "target_delay_samples 0 in it, 3 now"),
        (changed(signal=asdict(Signal(rate_hz=50.0))), "signal.rate_hz 100.0 in it, 50.0 now"),
        (changed(signal=asdict(Signal(channels=2))), "signal.channels 1 in it, 2 now"),
        (changed(signal=asdict(Signal(seed=1))), "signal.seed 0 in it, 1 now"),
        (changed(extra=1), "extra None in it, 1 now"),
    ],
)
def test_the_journal_of_another_source_is_refused_and_kept(
    path: Path, about: dict[str, object], difference: str
) -> None:
    data = written(path, pairs(1))
    with pytest.raises(FileError, match="is the journal of another source") as error:
        JournalFile(path, about, 1, MB)
    assert difference in str(error.value)
    assert str(error.value).endswith("give another file, or remove this one to begin a new run")
    assert path.read_bytes() == data


@pytest.mark.parametrize("content", [b"precious", b"SNCSJRN2", b"\0" * 100])
def test_a_file_that_is_none_is_refused_and_kept(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(FileError, match="is not a source's journal; give another file"):
        JournalFile(path, ABOUT, 1, MB)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "said",
    [
        {"format": 2},
        {"run": 5},
        {"run": "x"},
        {"next_seq": -1},
        {"next_seq": 2**64},
        {"next_seq": "1"},
        {"next_target_seq": None},
        {"about": []},
    ],
)
def test_a_beginning_that_makes_no_sense_is_refused(path: Path, said: dict[str, object]) -> None:
    first = {"format": 1, "run": "0abc", "next_seq": 0, "next_target_seq": 0, "about": ABOUT, **said}
    path.write_bytes(journal_format.opening(first))
    with pytest.raises(FileError, match="give another file"):
        JournalFile(path, ABOUT, 1, MB)


def test_a_second_writer_is_refused(path: Path) -> None:
    with opened(path), pytest.raises(FileError, match="another process writes it; stop that one, or give another"):
        JournalFile(path, ABOUT, 1, MB)
    with opened(path):
        pass


@pytest.mark.parametrize("broken", ["missing/journal", "file/journal"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, broken: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"journal: cannot be used as a journal: .*; give another file"):
        JournalFile(tmp_path / broken, ABOUT, 1, MB)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


def refuse(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["write", "rename", "flock", "half of a write"])
def test_whoever_cannot_begin_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    match call:
        case "write":
            monkeypatch.setattr(journal_module.os, "write", fails(errno.ENOSPC))
        case "half of a write":
            monkeypatch.setattr(journal_module.os, "write", short)
        case "rename":
            monkeypatch.setattr(Path, "replace", refuse)
        case "flock":
            monkeypatch.setattr(journal_module.fcntl, "flock", refuse)
    with pytest.raises(FileError, match="cannot be used as a journal: No space left"):
        JournalFile(path, ABOUT, RUN, MB)
    assert everything_in(path.parent) == {}
    monkeypatch.undo()
    assert written(path, pairs(1))


@pytest.mark.parametrize("call", ["ftruncate", "flock"])
def test_whoever_cannot_take_a_journal_up_leaves_it_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    data = written(path, pairs(2))
    path.with_name("journal.lock").unlink()
    path.write_bytes(data[:-1])
    monkeypatch.setattr(journal_module.fcntl if call == "flock" else os, call, refuse)
    with pytest.raises(FileError, match="No space left"):
        JournalFile(path, ABOUT, RUN, MB)
    assert everything_in(path.parent) == {"journal": data[:-1]}


def test_a_file_that_is_refused_gets_no_lock_beside_it(path: Path) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(FileError, match="is not a source's journal"):
        JournalFile(path, ABOUT, RUN, MB)
    assert everything_in(path.parent) == {"journal": b"precious"}


def test_a_file_that_cannot_be_begun_anew_leaves_no_half_of_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as journal:
        fill(journal, 0, 26)
        monkeypatch.setattr(journal_module.os, "write", short)
        fill(journal, 26, 3)
        assert not path.with_name("journal.new").exists()


def test_a_lock_that_was_removed_by_who_failed_to_start_is_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two could hold one each: the one whose file is gone, and the one that was made after it."""
    real = journal_module.fcntl.flock
    beside, taken = path.with_name("journal.lock"), []

    def late(lock: int, how: int) -> None:
        if not taken:
            beside.unlink()
        taken.append(lock)
        real(lock, how)

    monkeypatch.setattr(journal_module.fcntl, "flock", late)
    with opened(path):
        assert len(taken) == 2
        monkeypatch.undo()
        with pytest.raises(FileError, match="another process writes it"):
            JournalFile(path, ABOUT, 1, MB)


LARGE = 10_000  # samples


def fill(journal: JournalFile, first: int, count: int) -> None:
    for k in range(first, first + count):
        journal.append(chunk(LARGE * k, samples=LARGE), NOW)
        settle(journal)


def settle(journal: JournalFile) -> None:
    """Wait until what is to be on disk is there."""
    for _ in range(10_000):
        if not journal._syncer.busy:
            return
        journal._syncer._thread.join(0.005)
    raise AssertionError("the disk is slow")


def test_a_file_is_not_begun_anew_before_the_old_one_is_on_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it grow without end where the disk hangs."""
    hangs = threading.Event()
    with opened(path) as journal:
        monkeypatch.setattr(os, "fsync", lambda _descriptor: hangs.wait(60))
        for k in range(40):
            journal.append(chunk(LARGE * k, samples=LARGE), NOW)
        assert path.stat().st_size > MIN_BYTES
        for k in range(40, 55):
            journal.append(chunk(LARGE * k, samples=LARGE), NOW)
        assert older(path).exists()
        hangs.set()
    with opened(path) as journal:
        assert [one.seq // LARGE for one in journal.chunks()] == list(range(55))


def test_it_stays_bounded_and_holds_the_latest(path: Path) -> None:
    weight = MESSAGE_BYTES + 4 * LARGE
    with opened(path) as journal:
        fill(journal, 0, 200)
    sizes = [one.stat().st_size for one in (path, older(path))]
    assert max(sizes) < MIN_BYTES + 2 * weight
    assert sorted(one.name for one in path.parent.iterdir()) == ["journal", "journal.1", "journal.lock"]
    with opened(path) as journal:
        held = list(journal.chunks())
        assert (journal.next_seq, journal.run) == (200 * LARGE, RUN)
    assert held[-1].end_seq == 200 * LARGE
    assert len(held) * weight >= MIN_BYTES
    assert [one.seq for one in held] == list(range(held[0].seq, 200 * LARGE, LARGE))


def test_the_older_file_alone_is_enough_to_go_on(path: Path) -> None:
    """As after a kill while the file has been renamed and no other is begun."""
    with opened(path) as journal:
        fill(journal, 0, 30)
    reached = Part(older(path), ABOUT).next_seq
    path.unlink()
    with opened(path, run=1) as journal:
        assert (journal.run, journal.next_seq) == (RUN, reached)
        fill(journal, reached // LARGE, 1)
    with opened(path, run=1) as journal:
        assert [one.seq for one in journal.chunks()] == list(range(0, reached + LARGE, LARGE))


def test_the_newer_file_alone_knows_how_far_the_run_was(path: Path) -> None:
    with opened(path) as journal:
        fill(journal, 0, 29)  # the last begins a file
    older(path).unlink()
    size = whole(path.read_bytes())[0]
    os.truncate(path, size)
    with opened(path, run=1) as journal:
        assert (journal.run, journal.next_seq) == (RUN, 28 * LARGE)


def test_an_older_file_of_another_run_is_left_alone(path: Path) -> None:
    written(path, pairs(9))
    path.rename(older(path))
    first = {"format": 1, "run": "7", "next_seq": 0, "next_target_seq": 0, "about": ABOUT}
    path.write_bytes(journal_format.opening(first) + journal_format.chunk_record(chunk(0, run=7)))
    with opened(path) as journal:
        assert (journal.run, journal.next_seq, journal.next_target_seq) == (7, 2, 0)
        assert encoded(journal.chunks()) == encoded([chunk(0, run=7)])


def test_a_damaged_beginning_is_no_harm_where_the_older_file_has_one(path: Path) -> None:
    with opened(path) as journal:
        fill(journal, 0, 30)
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(bytes(data))
    with opened(path, run=1) as journal:
        assert (journal.run, journal.next_seq) == (RUN, 30 * LARGE)
        assert len(list(journal.chunks())) == 30


Write = Callable[[int, bytes], int]


def fails(error: int) -> Write:
    def write(_descriptor: int, _data: bytes) -> int:
        raise OSError(error, os.strerror(error))

    return write


def short(descriptor: int, data: bytes) -> int:
    return real_write(descriptor, data[: len(data) // 2])


real_write = os.write


@pytest.mark.parametrize(
    ("write", "words"),
    [(fails(errno.ENOSPC), "No space left"), (fails(errno.EIO), "Input/output error"), (short, "No space left")],
    ids=["full", "error", "half of it"],
)
def test_a_disk_that_fails_stops_nothing_is_said_once_and_heals(
    path: Path, monkeypatch: pytest.MonkeyPatch, write: Write, words: str
) -> None:
    with opened(path) as journal:
        journal.append(chunk(0), NOW)
        monkeypatch.setattr(journal_module.os, "write", write)
        for k in range(1, 10):
            journal.append(chunk(2 * k), Instant(k * 300_000_000, 0))
            journal.append(chunk(2 * k, Kind.TARGET), Instant(k * 300_000_000, 0))
        (line,) = journal.news()
        assert words in line
        assert line.endswith("the source goes on without it")
        assert journal.news() == []
        monkeypatch.setattr(journal_module.os, "write", real_write)
        journal.append(chunk(20), Instant(2_800_000_000, 0))  # too early to try
        assert journal.news() == []
        journal.append(chunk(22), Instant(9_000_000_000, 0))
        (line,) = journal.news()
        assert line.endswith("is written again; 20 samples are missing in it")
    with opened(path, run=1) as journal:
        assert journal.news() == []
        assert encoded(journal.chunks()) == encoded([chunk(0), chunk(22)])
        assert journal.next_seq == 24


@pytest.mark.parametrize("rotated", [False, True])
def test_who_ends_while_its_disk_is_full_begins_a_new_run_next_and_never_gives_a_number_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch, rotated: bool
) -> None:
    with opened(path, run=1) as journal:
        fill(journal, 0, 40 if rotated else 3)
        monkeypatch.setattr(journal_module.os, "write", fails(errno.ENOSPC))
        fill(journal, 40, 3)
        monkeypatch.setattr(journal_module.os, "write", real_write)
    with opened(path, run=2) as journal:
        assert (journal.run, journal.next_seq, journal.resumed) == (2, 0, False)
        assert list(journal.chunks()) == []
        (line,) = journal.news()
        assert "lacks the end of its run: a new run begins" in line
        journal.append(chunk(0, run=2), NOW)
    with opened(path, run=3) as journal:
        assert (journal.run, journal.next_seq) == (2, 2)
        assert encoded(journal.chunks()) == encoded([chunk(0, run=2)])


def test_a_file_that_cannot_be_begun_anew_is_gone_on_without_and_nothing_is_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as journal:
        fill(journal, 0, 26)
        monkeypatch.setattr(journal_module.os, "write", fails(errno.ENOSPC))
        fill(journal, 26, 3)
        (line,) = journal.news()
        assert "cannot be written" in line
        monkeypatch.setattr(journal_module.os, "write", real_write)
        journal.append(chunk(29 * LARGE, samples=LARGE), Instant(2_000_000_000, 0))
    with opened(path) as journal:
        assert [one.seq // LARGE for one in journal.chunks()] == [*range(26), 29]


def test_a_disk_that_cannot_be_forced_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as journal:
        monkeypatch.setattr(os, "fsync", fails_to_sync)
        journal.append(chunk(0), NOW)
        news: list[str] = []
        for _ in range(2000):
            news += journal.news()
            journal._syncer._thread.join(0.005)
            if news:
                break
        assert news
        assert "cannot be forced to disk: Input/output error; a power cut may lose it" in news[0]


def fails_to_sync(_descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_it_is_forced_to_disk_when_it_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    data = written(path, pairs(1))
    assert synced[-1] == len(data)


def test_a_chunk_of_another_run_or_stream_is_a_damaged_place(path: Path) -> None:
    data = written(path, pairs(1))
    strange = journal_format.chunk_record(chunk(4, run=5))
    path.write_bytes(data + strange + framed(b"SNCS" + bytes(80)) + framed(b"{}"))
    part = Part(path, ABOUT)
    assert (part.holes, part.next_seq) == (3, 2)
    assert encoded(part.chunks(RUN)) == encoded(pairs(1))


def test_the_longest_chunk_is_written_and_read(path: Path) -> None:
    long = replace(chunk(0), values=np.zeros((codec.MAX_PAYLOAD_BYTES // 4, 1, 1), np.float32))
    written(path, [long])
    assert encoded(Part(path, ABOUT).chunks(RUN)) == encoded([long])


def test_the_first_record_is_json(path: Path) -> None:
    data = written(path, [])
    assert json.loads(data[len(journal_format.MAGIC) + FRAME.size :])["about"] == ABOUT


@pytest.mark.parametrize("end", ["", ".lock"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_is_no_regular_file_is_refused_and_neither_followed_nor_waited_for(
    path: Path, end: str, kind: str
) -> None:
    target, place = path.with_name("target"), path.with_name(path.name + end)
    target.write_text("precious")
    if kind == "link":
        place.symlink_to(target)
    else:
        os.mkfifo(place)
    with pytest.raises(FileError, match=rf"{place}: must be a regular file, got a "):
        JournalFile(path, ABOUT, RUN, MB)
    assert target.read_text() == "precious"


def test_a_new_file_is_not_begun_through_a_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("precious")
    path.with_name(path.name + ".new").symlink_to(target)
    written(path, pairs(2))
    assert target.read_text() == "precious"
    assert not path.is_symlink()


def test_a_mark_tells_a_bad_disk_from_a_power_cut(path: Path) -> None:
    """What is damaged before it is left out; what is damaged behind it ends the file."""
    with opened(path) as journal:
        for one in pairs(2):
            journal.append(one, NOW)
    marked = path.read_bytes()
    with opened(path) as journal:
        for one in pairs(2, first=2):
            journal.append(one, NOW)
        data = path.read_bytes()  # as a kill leaves it
    ends = whole(data)
    assert ends[5] == len(marked), "the beginning, four chunks and a mark"
    for hit, kept in ((ends[1], [0, 2, 3, 4, 5, 6, 7]), (ends[6], [0, 1, 2, 3, 4])):
        path.write_bytes(data[:hit] + bytes([data[hit] ^ 1]) + data[hit + 1 :])
        part = Part(path, ABOUT)
        assert encoded(part.chunks(RUN)) == encoded([pairs(4)[k] for k in kept])
        assert (part.holes, part.dropped_bytes > 0) == ((1, False) if hit < len(marked) else (0, True))
