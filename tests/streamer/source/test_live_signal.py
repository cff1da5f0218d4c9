"""What comes through a pipe: each sample once it has come, its gaps, and an end that says why."""

import io
import logging
import struct
from collections.abc import Callable, Iterator
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.clock import Instant
from streamer.effects import Finish, Send
from streamer.errors import FileError, SincosError, UsageError
from streamer.messages import Chunk, FloatArray
from streamer.recordings.csv_layout import TableOptions
from streamer.recordings.live_frames import ByteStream, npy_frames, wav_frames
from streamer.recordings.live_table import LiveTable
from streamer.source.live_signal import MAX_VALUES, LiveSignal
from streamer.source.publisher import Publisher, SourceConfig
from tests.support.dose import examples

WAVE = np.float32(np.sin(np.arange(2000) / 4))


def pieces(content: bytes, size: int) -> Callable[[int], bytes]:
    """A pipe that gives at most so many bytes at a time."""
    file = io.BytesIO(content)
    return lambda count: file.read(min(count, size))


def table(content: str, **options: object) -> LiveTable:
    return LiveTable(io.StringIO(content, newline=""), "pipe", TableOptions(**options))  # type: ignore[arg-type]


def read(one: LiveTable) -> tuple[list[int], list[float]]:
    """Seqs and values of the first channel."""
    seq, seqs, values = 0, [], []
    for block, missing in one.samples():
        seq += missing
        seqs.append(seq)
        values.append(float(block[0, 0]))
        seq += 1
    return seqs, values


# Tables


def lines(rows: range | list[int], head: str = "") -> str:
    return head + "".join(f"{WAVE[n]:.5f}\n" for n in rows)


@pytest.mark.parametrize("head", ["", "ch1\n", "# rate 250\n", "ch1\nuV\n"])
def test_rows_become_samples(head: str) -> None:
    one = table(lines(range(100), head), rate_hz=250)
    assert one.rate_hz == 250
    seqs, values = read(one)
    assert seqs == list(range(100))
    np.testing.assert_allclose(values, WAVE[:100], atol=1e-5)


@pytest.mark.parametrize(("head", "needed"), [("ch1\n", 1), ("", 4), ("# note\nch1\nuV\n", 1)])
def test_a_row_is_a_sample_as_soon_as_it_has_come(head: str, needed: int) -> None:
    taken = 0

    def come() -> Iterator[str]:
        nonlocal taken
        yield from head.splitlines(keepends=True)
        for n in range(50):
            taken += 1
            yield f"{WAVE[n]:.5f}\n"

    samples = LiveTable(come(), "pipe", TableOptions(rate_hz=250)).samples()
    for n in range(50):
        next(samples)
        assert taken == max(needed, n + 1)


def test_a_time_says_the_rate_and_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    rows = [n for n in range(300) if not 100 <= n < 137]
    one = table("time_s,a\n" + "".join(f"{n / 250:.3f},{WAVE[n]:.5f}\n" for n in rows))
    assert (one.rate_hz, one.channels, one.names) == (250, 1, ("a",))
    seqs, values = read(one)
    assert seqs == rows
    np.testing.assert_allclose(values, WAVE[rows], atol=1e-5)
    assert "pipe, line 102: 37 samples are missing" in caplog.text


COARSE: dict[str, Callable[[int], float]] = {
    "blocks of ten": lambda n: n // 10 * 10 / 250,
    "blocks of eight": lambda n: n // 8 * 8 / 250,
    "to 10 ms": lambda n: round(n / 250, 2),
    "to 20 ms": lambda n: n // 5 / 50,
    "down to 10 ms": lambda n: int(n / 2.5) / 100,
}


@pytest.mark.parametrize("rate_hz", [None, 250])
@pytest.mark.parametrize("time", COARSE.values(), ids=COARSE)
def test_a_coarse_time_is_no_gap_and_a_large_gap_in_it_is_one(
    time: Callable[[int], float], rate_hz: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    head = "time_s,a\n" + "".join(f"{time(n):.6f},0.5\n" for n in range(40))
    rest = {n: f"{time(n):.6f},0.5\n" for n in range(40, 1000)}
    if rate_hz and time(3) == 0:
        pytest.skip("four rows do not show that it rises")
    assert read(table(head + "".join(rest.values()), rate_hz=rate_hz))[0] == list(range(1000))
    assert ("its times are coarse" in caplog.text) == (rate_hz is None)
    seqs = read(table(head + "".join(line for n, line in rest.items() if not 400 <= n < 440), rate_hz=rate_hz))[0]
    assert seqs[-1] == pytest.approx(999, abs=2 if rate_hz else 5)
    assert max(np.diff(seqs)) == pytest.approx(41, abs=2 if rate_hz else 5)


@pytest.mark.parametrize("head", ["", "a\n\n", "a\n"])
@pytest.mark.parametrize("end", ["\n\n", "\r\r\n"])
def test_line_ends_that_were_written_twice_are_no_missing_samples(head: str, end: str) -> None:
    content = head + "".join(f"{WAVE[n]:.5f}{end}" for n in range(100))
    seqs, values = read(
        LiveTable(ByteStream(pieces(content.encode(), 7)).lines(), "pipe", TableOptions(rate_hz=250))
    )
    np.testing.assert_allclose(values, WAVE[:100], atol=1e-5)
    assert seqs == list(range(100))


def test_an_empty_line_that_may_be_anything_ends_it() -> None:
    one = table("0.5\n\n" * 20 + "0.5\n0.5\n", rate_hz=250)
    with pytest.raises(FileError, match="line 42: each row had an empty line before it"):
        read(one)


@pytest.mark.parametrize("head", ["Fp1 Cz Oz\n", ""])
def test_decimal_commas_between_blanks_are_no_separators(head: str) -> None:
    rows = "".join(f"{WAVE[n]:.4f} {-WAVE[n]:.4f} 0.5000\n".replace(".", ",") for n in range(100))
    one = table(head + rows, rate_hz=250)
    assert one.channels == 3
    np.testing.assert_allclose(read(one)[1], WAVE[:100], atol=1e-4)


def test_a_time_of_day_goes_on_after_midnight() -> None:
    rows = [n for n in range(300) if not 100 <= n < 137]
    times = [f"{'23:59:59' if n < 150 else '00:00:00'}.{(n + 100) % 250 * 4:03d}" for n in range(300)]
    one = table("Time,a\n" + "".join(f"{times[n]},{WAVE[n]:.5f}\n" for n in rows))
    assert one.rate_hz == pytest.approx(250)
    assert read(one)[0] == rows


def test_an_index_says_what_is_missing() -> None:
    rows = [n for n in range(300) if not 100 <= n < 137]
    one = table("index,a\n" + "".join(f"{n},{WAVE[n]:.5f}\n" for n in rows), rate_hz=250)
    assert read(one)[0] == rows


@pytest.mark.parametrize("row", ["{n},{value:.5f}", "{time:.3f},{value:.5f}", "{index}\t{value:.5f}\t{epoch:.6f}"])
@pytest.mark.parametrize("head", ["", ",0\n"])
def test_a_first_column_that_rises_is_waited_for_until_it_is_known(row: str, head: str) -> None:
    if head and "\t" in row:
        head = ""
    content = head + "".join(
        row.format(n=n, time=n / 250, value=WAVE[n], index=n % 256, epoch=1.6e9 + n / 250) + "\n"
        for n in range(300)
    )
    one = table(content, rate_hz=250)
    assert one.channels == 1
    seqs, values = read(one)
    assert seqs == list(range(300))
    np.testing.assert_allclose(values, WAVE[:300], atol=1e-5)


@examples(25, release=150)
@given(seed=st.integers(0, 2**32 - 1), missing=st.sets(st.integers(40, 290), max_size=8))
def test_jitter_is_no_gap(seed: int, missing: set[int]) -> None:
    jitter = np.random.default_rng(seed).uniform(-0.15, 0.15, 300)
    rows = [n for n in range(300) if n not in missing]
    content = "time_s,a\n" + "".join(f"{(n + jitter[n]) / 250:.6f},0.5\n" for n in rows)
    assert read(table(content, rate_hz=250))[0] == rows


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (lines(range(9)), {}, "^--rate: pipe does not state its sample rate"),
        (
            "time_s,a\n" + "".join(f"{n / 250},0\n" for n in range(99)),
            {"rate_hz": 500},
            "amount to 250 .* got 500",
        ),
        ("time_s,a\n" + "".join(f"{n / 250},0\n" for n in range(99)), {"rate_hz": 200}, "to 250 .* got 200"),
        ("time_s,a\n0,0\n1,0\n2,0\n3,1\n2,0\n", {"rate_hz": 1}, "line 6: its time goes back"),
        (lines(range(9)) + "oops\n" + lines(range(9)), {"rate_hz": 1}, "line 10: a cell must be a number"),
        (
            "".join(f"{n * 7 % 9},{n * 5 % 7}\n" for n in range(9)) + "1,2,3\n",
            {"rate_hz": 1},
            "line 10: every row",
        ),
        ("".join(f"{WAVE[n]:.3f}\n".replace(".", ",") for n in range(99)), {"rate_hz": 1}, "decimal comma"),
        (
            "1,1\n2,3\n3,4\n5,2\n" + "".join(f"{n % 7},0{n % 9}\n" for n in range(20)),
            {"rate_hz": 1},
            "decimal comma",
        ),
        (
            "x,y\n" + "".join(f"{n / 250},{WAVE[n]}\n" for n in range(99)),
            {"rate_hz": 250},
            "another than its first rows showed",
        ),
        ("\0\0\0\0", {"rate_hz": 1}, "must be text in UTF-8"),
        ("", {"rate_hz": 1}, "no samples"),
        ("only\n", {"rate_hz": 1}, "no samples"),
    ],
)
def test_what_cannot_be_told_ends_it_with_a_word(content: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(SincosError, match=says):
        read(table(content, **options))


@examples(25, release=200)
@given(content=st.text(alphabet='0123456789.,;-+e# \t\n"abtime:x', max_size=150))
def test_any_text_is_read_or_refused_and_never_anything_else(content: str) -> None:
    try:
        read(table(content, rate_hz=100))
    except (FileError, UsageError):
        return


# .wav and .npy


def wav(stated: int, data: bytes, tail: bytes = b"") -> bytes:
    layout = struct.pack("<HHIIHH", 1, 2, 250, 1000, 4, 16)
    return (
        b"RIFF\xff\xff\xff\xffWAVELIST\x03\0\0\0odd\0fmt \x10\0\0\0"
        + layout
        + b"data"
        + struct.pack("<I", stated)
        + data
        + tail
    )


FRAMES = (np.arange(-500, 500).reshape(-1, 2) * 8).astype("<i2")


def joined(blocks: Iterator[FloatArray]) -> FloatArray:
    return np.concatenate(list(blocks))


@pytest.mark.parametrize("size", [1, 7, 65536])
@pytest.mark.parametrize(
    ("stated", "cut", "tail", "says"),
    [
        (2000, 2000, b"", ""),
        (2000, 2000, b"LIST\x04\0\0\0INFO", ""),
        (2000, 2000, b"ID3\x03" + b"x" * 301, ""),
        (2000, 2000, b"APETAGEX" + b"x" * 24, ""),
        (0, 2000, b"", ""),
        (0xFFFFFFFF, 2000, b"", ""),
        (0x7FFFF000, 2000, b"", ""),
        (2000, 1500, b"", "ends 500 bytes before"),
        (0, 1501, b"", "last sample is cut short"),
        (500, 2000, b"", "states 500 bytes of samples, more come"),
    ],
)
def test_a_wav_is_read_as_it_comes(
    size: int, stated: int, cut: int, tail: bytes, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    frames = wav_frames(ByteStream(pieces(wav(stated, FRAMES.tobytes()[:cut], tail), size)), "pipe")
    assert (frames.channels, frames.rate_hz) == (2, 250)
    np.testing.assert_array_equal(joined(frames.blocks()), FRAMES[: cut // 4] / 32768)
    assert says in caplog.text
    assert bool(says) == bool(caplog.text)


@pytest.mark.parametrize("size", [1, 65536])
@pytest.mark.parametrize("array", [WAVE, WAVE.reshape(-1, 4), np.arange(9), np.asfortranarray(WAVE[:, None])])
def test_a_npy_is_read_as_it_comes(size: int, array: np.ndarray) -> None:
    file = io.BytesIO()
    np.save(file, array)
    frames = npy_frames(ByteStream(pieces(file.getvalue(), size)), "pipe")
    np.testing.assert_array_equal(joined(frames.blocks()), np.float32(array).reshape(len(array), -1))


@pytest.mark.parametrize("array", [np.zeros((2, 2, 2)), np.zeros(0), np.zeros(3, complex), np.zeros((3, 2)).T])
def test_a_npy_of_anything_else_is_refused(array: np.ndarray) -> None:
    file = io.BytesIO()
    np.save(file, array)
    with pytest.raises(FileError, match=r"^pipe: "):
        npy_frames(ByteStream(pieces(file.getvalue(), 100)), "pipe")


# Two threads


def test_what_has_come_is_published_at_once_and_a_gap_is_left_out() -> None:
    signal = LiveSignal(100.0, 1)
    source = Publisher(SourceConfig(paced=False, targets=False), signal, 1)

    def said() -> list[int]:
        effects = list(source.tick(Instant(0, 0)))
        sent = [effect.message for effect in effects if isinstance(effect, Send)]
        return [m.seq for m in sent if isinstance(m, Chunk)] + [-1] * (Finish() in effects)

    assert said() == []
    assert source.next_deadline_ns() != 0  # it sleeps
    signal.put(np.zeros((2, 1), np.float32))
    assert source.next_deadline_ns() == 0
    assert said() == [0, 1]
    signal.put(np.zeros((1, 1), np.float32), missing=7)
    assert said() == [9]
    signal.close()
    assert source.next_deadline_ns() == 0
    assert said() == [-1]
    signal.leave()


def test_a_chunk_waits_until_it_is_full_or_ends() -> None:
    signal = LiveSignal(100.0, 1, chunk=3)
    signal.put(np.zeros((2, 1), np.float32))
    assert signal.stretch(0) is None
    signal.put(np.zeros((2, 1), np.float32))
    assert signal.stretch(0) == (0, 4)
    signal.samples(0, 3)
    signal.put(np.zeros((1, 1), np.float32), missing=5)
    assert signal.stretch(3) == (3, 4)
    signal.samples(3, 1)
    assert signal.stretch(4) is None
    signal.close()
    assert signal.stretch(4) == (9, 10)
    signal.leave()


def test_who_reads_faster_than_is_published_waits_and_is_let_go() -> None:
    signal = LiveSignal(100.0, 1)
    wanted: list[bool] = []

    def pump() -> None:
        while not wanted or wanted[-1]:
            wanted.append(signal.put(np.zeros((MAX_VALUES, 1), np.float32)))

    thread = Thread(target=pump, daemon=True)
    thread.start()
    signal.leave()
    thread.join(60)
    assert not thread.is_alive()
    assert wanted[-1] is False
    assert len(wanted) <= 3


def test_a_reader_gone_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    signal = LiveSignal(100.0, 1)
    signal.leave()
    assert signal.put(np.zeros((1, 1), np.float32)) is False
    signal.close()
    assert caplog.text == ""
