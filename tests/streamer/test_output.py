"""Lines to standard output, and what a signal does where nobody reads them."""

import io
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streamer.output import Output


class FakeStop:
    """Requested once its descriptor is readable, if it is a signal that stops."""

    def __init__(self) -> None:
        self.requested = False
        self._reader, self._writer = socket.socketpair()

    def fileno(self) -> int:
        return self._reader.fileno()

    def signal(self, *, stops: bool) -> None:
        self.requested = self.requested or stops
        self._writer.send(b"x")

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


@pytest.fixture
def stop() -> Iterator[FakeStop]:
    fake = FakeStop()
    yield fake
    fake.close()


@contextmanager
def piped() -> Iterator[int]:
    """Let standard output be a pipe; yield the end that is read."""
    reader, writer = os.pipe()
    before = sys.stdout
    try:
        with os.fdopen(writer, "w", encoding="utf-8") as sys.stdout:
            yield reader
    finally:
        sys.stdout = before
        os.close(reader)


def test_lines_are_written_whole_and_in_order(stop: FakeStop) -> None:
    output, texts = Output(stop), [f"line {number} \N{DEGREE SIGN}" for number in range(1_000)]
    with piped() as reader:
        for text in texts:
            output.add(text)
        output.flush()
        assert os.read(reader, 2**16).decode().splitlines() == texts


def test_a_signal_ends_a_write_that_nobody_reads(
    stop: FakeStop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streamer.output.GRACE_S", 0.01)
    output = Output(stop)
    output.add("x" * 2**20)
    stop.signal(stops=False)  # another one changes nothing
    timer = threading.Timer(0.3, stop.signal, kwargs={"stops": True})
    with piped() as reader:
        timer.start()
        output.flush()
        timer.join()
        assert stop.requested
        assert "standard output is not read" in caplog.text
        output.add("more")
        output.flush()
        assert b"more" not in os.read(reader, 2**17)


def test_no_line_is_cut_short_by_a_signal(stop: FakeStop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.output.GRACE_S", 0.01)
    output = Output(stop)
    for _ in range(10_000):
        output.add("a line of 30 letters, all of it")
    stop.signal(stops=True)
    with piped() as reader:
        output.flush()
        assert set(os.read(reader, 2**20).decode().splitlines()) == {"a line of 30 letters, all of it"}


def test_a_reader_that_comes_in_time_gets_everything(stop: FakeStop) -> None:
    output, got = Output(stop), bytearray()
    stop.signal(stops=True)
    output.add("x" * 2**20)
    with piped() as reader:

        def read() -> None:
            while len(got) < 2**20 + 1 and (piece := os.read(reader, 2**16)):
                got.extend(piece)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        output.flush()
        thread.join(60)
    assert bytes(got) == b"x" * 2**20 + b"\n"


def test_where_standard_output_is_no_file_it_is_written_to(
    stop: FakeStop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    output = Output(stop)
    output.add("a")
    output.add("b")
    output.flush()
    assert sys.stdout.getvalue() == "a\nb\n"  # type: ignore[attr-defined]
