"""Recordings: what each kind of file holds, and every way in which one can be wrong."""

import contextlib
import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import FileError
from streamer.recordings.recording import Recording, read_recording
from tests.support.dose import examples


def whole(recording: Recording) -> np.ndarray:
    return recording.block(0, recording.samples)


def text(folder: Path, content: str) -> Path:
    path = folder / "signal.csv"
    path.write_text(content, newline="")
    return path


def npy(folder: Path, array: np.ndarray) -> Path:
    path = folder / "signal.npy"
    np.save(path, array)
    return path


# .npy


@pytest.mark.parametrize("dtype", ["f2", ">f4", "f8", "i1", "<i4", ">i8", "u2", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_any_real_type_is_read_as_float32(tmp_path: Path, dtype: str, order: str) -> None:
    array = np.asarray(np.arange(12).reshape(6, 2), dtype, order=order)  # type: ignore[call-overload]
    recording = read_recording(npy(tmp_path, array))
    assert (recording.samples, recording.columns, recording.rate_hz) == (6, 2, None)
    assert recording.block(1, 4).dtype == np.float32
    np.testing.assert_array_equal(recording.block(1, 4), array[1:4])


def test_one_dimension_is_one_channel_and_a_third_lies_side_by_side(tmp_path: Path) -> None:
    assert whole(read_recording(npy(tmp_path, np.arange(3.0)))).tolist() == [[0], [1], [2]]
    cube = read_recording(npy(tmp_path, np.arange(12.0).reshape(2, 3, 2)), dims=(1, 2, 3))
    assert whole(cube).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_what_is_too_large_for_float32_is_infinite(tmp_path: Path) -> None:
    assert np.isinf(whole(read_recording(npy(tmp_path, np.array([1e300, -1e300]))))).all()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(3, complex), "real numbers, got complex128"),
        (np.array(["a"]), "real numbers, got <U1"),
        (np.zeros(3, [("a", "f4")]), "real numbers"),
        (np.array([1, None]), "Python objects"),
        (np.zeros((2, 2, 2)), r"1 or 2 dimensions.* got shape \[2, 2, 2\]"),
        (np.array(1.0), r"got shape \[\]"),
        (np.zeros(0), r"no samples: its shape is \[0\]"),
        (np.zeros((0, 3)), "no samples"),
        (np.zeros((3, 0)), "no samples"),
    ],
)
def test_an_array_of_anything_else_is_refused(tmp_path: Path, array: np.ndarray, says: str) -> None:
    path = npy(tmp_path, array)
    with pytest.raises(FileError, match=f"^{path}: .*{says}"):
        read_recording(path)


@examples(25, release=200)
@given(place=st.integers(0, 159), byte=st.integers(0, 255), cut=st.integers(0, 160))
def test_a_damaged_array_is_read_or_refused_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: int
) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(8, dtype=np.float32))
    content = bytearray(buffer.getvalue())
    content[place] = byte
    path = tmp_path_factory.mktemp("damaged") / "signal.npy"
    path.write_bytes(content[: len(content) - cut])
    with contextlib.suppress(FileError):
        whole(read_recording(path))


# .csv


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("1\n2\n", [[1], [2]]),
        ("1\n2", [[1], [2]]),
        ("\ufeffx\r\n1\r\n2\r\n\r\n", [[1], [2]]),
        ("left,right\n1,-2e3\n .5 ,inf\n", [[1, -2000], [0.5, np.inf]]),
        ("1,\n,nan\n", [[1, np.nan], [np.nan, np.nan]]),
        (",\n1,2\n", [[np.nan, np.nan], [1, 2]]),
        ('"1","2"\n', [[1, 2]]),
        ("x,2\n1,2\n", [[1, 2]]),
        ("1\n\n2\n", [[1], [np.nan], [2]]),
    ],
)
def test_text_is_read_with_or_without_names(tmp_path: Path, content: str, values: list[list[float]]) -> None:
    np.testing.assert_array_equal(whole(read_recording(text(tmp_path, content))), np.float32(values))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no samples"),
        ("only,names\n", "no samples"),
        ("1,2\n3\n", r", line 2: every row must have 2 cell\(s\), got 1"),
        ("x,y\n1,2\n3,4,5\n", r", line 3: every row must have 2 cell\(s\), got 3"),
        ("1\n2\noops\n", ", line 3: a cell must be a number, nan or empty.* got 'oops'"),
        ("1,2\n,2;5\n", ", line 2: a cell must be a number, nan or empty, got '2;5'"),
        ('1\n"2\n' + "3\n" * 100_000, "field larger than"),
    ],
)
def test_text_of_anything_else_is_refused_with_its_line(tmp_path: Path, content: str, says: str) -> None:
    path = text(tmp_path, content)
    with pytest.raises(FileError, match=f"^{path}.*{says}"):
        read_recording(path)


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signal.csv"
    path.write_bytes(b"1\n\xff\xfe\n")
    with pytest.raises(FileError, match="UTF-8"):
        read_recording(path)


# .wav

STEPS = np.array([[-1, 0], [0.5, 0.25], [-0.5, 1 - 2.0**-7]])  # exact in 8 bits


def riff(layout: bytes, data: bytes) -> bytes:
    chunks = [b"LIST", struct.pack("<I", 3), b"odd\0", b"fmt ", struct.pack("<I", len(layout)), layout]
    chunks += [b"data", struct.pack("<I", len(data)), data, b"tail"]
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def layout(kind: int, bits: int, channels: int = 2) -> bytes:
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", kind, channels, 8000, 8000 * frame, frame, bits)


def extensible(kind: int, bits: int) -> bytes:
    guid = struct.pack("<H", kind) + bytes.fromhex("000000001000800000aa00389b71")
    return layout(0xFFFE, bits) + struct.pack("<HHI", 22, bits, 3) + guid


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_integers_are_scaled_so_that_full_scale_is_one(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "signal.wav"
    integers = (STEPS * 2.0 ** (bits - 1)).astype("<i8") + (128 if bits == 8 else 0)
    frames = integers.reshape(-1, 1).view("u1")[:, : bits // 8].tobytes()
    with wave.open(str(path), "wb") as file:  # the standard library's writer is the oracle
        file.setnchannels(2)
        file.setsampwidth(bits // 8)
        file.setframerate(44_100)
        file.writeframes(frames)
    recording = read_recording(path)
    assert (recording.samples, recording.columns, recording.rate_hz) == (3, 2, 44_100.0)
    assert recording.block(0, 1).dtype == np.float32
    np.testing.assert_array_equal(whole(recording), STEPS)
    np.testing.assert_array_equal(recording.block(1, 2), STEPS[1:2])


@pytest.mark.parametrize(("kind", "dtype"), [(3, "<f4"), (3, "<f8"), (1, "<i2")])
@pytest.mark.parametrize("long", [False, True])
def test_floats_and_the_extensible_header_are_read(tmp_path: Path, kind: int, dtype: str, long: bool) -> None:
    path = tmp_path / "signal.wav"
    bits = 8 * np.dtype(dtype).itemsize
    values = STEPS * (32768 if kind == 1 else 1)
    path.write_bytes(riff(extensible(kind, bits) if long else layout(kind, bits), values.astype(dtype).tobytes()))
    np.testing.assert_array_equal(whole(read_recording(path)), STEPS)


GOOD = riff(layout(1, 16), bytes(12))


@pytest.mark.parametrize("said", [0, 0xFFFFFFFF])
def test_a_wav_written_to_a_pipe_is_read_to_its_end(
    tmp_path: Path, said: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "signal.wav"
    samples = (STEPS * 32768).astype("<i2").tobytes()
    size = struct.pack("<I", said)
    head = b"RIFF" + size + b"WAVEfmt " + struct.pack("<I", 16) + layout(1, 16) + b"data" + size
    path.write_bytes(head + samples + b"!")  # the end of a frame that did not come whole
    np.testing.assert_array_equal(whole(read_recording(path)), STEPS)
    assert "does not state its length" in caplog.text
    path.write_bytes(head)
    with pytest.raises(FileError, match="no samples"):
        read_recording(path)


FRAMES = (np.arange(-500, 500).reshape(-1, 2) * 8).astype("<i2")  # 500 samples of 2 channels, 2,000 bytes


def recorded(stated: int, data: bytes = FRAMES.tobytes(), tail: bytes = b"", *, riff_bytes: int = 36) -> bytes:
    """A file whose header states a number of bytes, whatever follows."""
    head = b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVEfmt " + struct.pack("<I", 16) + layout(1, 16)
    return head + b"data" + struct.pack("<I", stated) + data + tail


def rf64(stated: int, data: bytes = FRAMES.tobytes()) -> bytes:
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 0, stated, 0, 0)
    body = b"WAVE" + ds64 + b"fmt " + struct.pack("<I", 16) + layout(1, 16) + b"data" + b"\xff" * 4 + data
    return b"RF64" + b"\xff" * 4 + body


@pytest.mark.parametrize(
    ("content", "samples", "says"),
    [
        (recorded(2000), 500, ""),
        (recorded(2000, tail=b"LIST" + struct.pack("<I", 4) + b"INFO"), 500, ""),
        (recorded(2000, tail=b"ID3\x03" + b"x" * 301), 500, ""),  # of a music program
        (recorded(2000, tail=b"TAG" + b"x" * 125), 500, ""),
        (recorded(0x7FFFF000), 500, "states 2147479552 bytes of samples, 2000 are there"),  # sox into a pipe
        (recorded(0x7FFFFFFF - 36), 500, "2000 are there"),  # ffmpeg's and others' largest
        (recorded(0, riff_bytes=0), 500, "does not state its length"),  # killed before it could
        (recorded(0, riff_bytes=2036), 500, "does not state its length"),
        (recorded(2000, FRAMES.tobytes()[:1500]), 375, "states 2000 bytes of samples, 1500 are"),
        (recorded(2000, FRAMES.tobytes()[:1501]), 375, "its last sample is cut short"),
        (recorded(500, riff_bytes=536), 500, "states 500 bytes of samples, 2000 are"),  # stale
        (recorded(2000, tail=bytes(4096)), 500, "zeros after its 2000 bytes of samples are left out"),
        (rf64(2000), 500, ""),
        (rf64(2000, FRAMES.tobytes()[:1500]), 375, "states 2000 bytes"),
        (rf64(0), 500, "does not state its length"),
        (rf64(2**64 - 1), 500, "does not state its length"),
        (b"RF64" + recorded(2000)[4:], 500, ""),
    ],
)
def test_a_header_that_is_wrong_about_the_length_is_not_believed_and_that_is_said(
    tmp_path: Path, content: bytes, samples: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "signal.wav"
    path.write_bytes(content)
    np.testing.assert_array_equal(whole(read_recording(path)), FRAMES[:samples] / 32768)
    assert says in caplog.text
    assert bool(says) == bool(caplog.text)


@pytest.mark.parametrize("padded", [False, True])
def test_a_chunk_of_odd_length_is_passed_over_with_its_padding_or_without(tmp_path: Path, padded: bool) -> None:
    path = tmp_path / "signal.wav"
    note = b"note" + struct.pack("<I", 3) + b"abc" + (b"\0" if padded else b"")
    whole_file = recorded(2000)
    path.write_bytes(whole_file[:12] + note + whole_file[12:])
    np.testing.assert_array_equal(whole(read_recording(path)), FRAMES / 32768)


@examples(50, release=400)
@given(place=st.integers(0, 59), byte=st.integers(0, 255), cut=st.integers(0, 80))
def test_a_damaged_wav_is_read_or_refused_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: int
) -> None:
    content = bytearray(recorded(40, FRAMES.tobytes()[:40]))
    content[place] = byte
    path = tmp_path_factory.mktemp("damaged") / "signal.wav"
    path.write_bytes(content[: len(content) - cut])
    with contextlib.suppress(FileError):
        whole(read_recording(path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "must begin as a RIFF or RF64 WAVE file"),
        (b"RIFX" + GOOD[4:], "must begin as a RIFF or RF64 WAVE file"),
        (GOOD[:12], "no data chunk"),
        (riff(layout(1, 16), b""), "no samples"),
        (riff(b"shorty", bytes(12)), "no format"),
        (riff(layout(2, 4), bytes(12)), "format 0x2 with 4 bits"),
        (riff(layout(1, 16, channels=0), bytes(12)), "format 0x1"),
        (riff(layout(0xFFFE, 16), bytes(12)), "format 0xfffe"),
    ],
)
def test_a_wav_of_anything_else_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "signal.wav"
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"^{path}: .*{says}"):
        read_recording(path)


# Any


def test_a_file_that_is_not_there_or_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.npy: no such file"):
        read_recording(tmp_path / "nowhere.npy")
    with pytest.raises(FileError, match=r"ending must be one of \.npy, \.csv, \.wav"):
        read_recording(tmp_path / "signal.mat")
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(FileError, match="must be a regular file"):
        read_recording(folder)


@pytest.mark.parametrize("shape", [(2, 300), (1, 300)])
def test_more_channels_than_samples_is_a_warning_that_says_what_to_do(
    tmp_path: Path, shape: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    np.save(tmp_path / "in.npy", np.zeros(shape))
    read_recording(tmp_path / "in.npy")
    assert f"{shape[0]} sample(s) of 300 channels" in caplog.text
    assert "transpose" in caplog.text


def test_what_is_no_number_is_not_asked_for_its_real_part(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.array(["1.0", "2.0"]))
    with pytest.raises(FileError, match="save it as float32"):
        read_recording(tmp_path / "in.npy")
