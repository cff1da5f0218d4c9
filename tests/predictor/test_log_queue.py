"""The log's way to standard error, and what happens when nobody reads that."""

import logging
import os
from collections.abc import Iterator

import pytest

from predictor.log_queue import LogQueue

PIPE_BYTES = 65_536


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def say(handler: LogQueue, text: str) -> None:
    handler.handle(logging.LogRecord("sincos", logging.INFO, "", 0, text, (), None))


def test_lines_come_out_in_order(pipe: tuple[int, int]) -> None:
    handler = LogQueue(pipe[1])
    for number in range(100):
        say(handler, f"line {number}")
    handler.close()
    assert os.read(pipe[0], PIPE_BYTES).decode().splitlines() == [f"line {number}" for number in range(100)]


def test_a_reader_that_takes_nothing_stops_nobody_and_is_told_what_it_missed(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("predictor.log_queue.FLUSH_S", 0.01)
    handler = LogQueue(pipe[1], queued_lines=10)
    for _ in range(200):  # 200 kB into a pipe of 64 kB
        say(handler, "x" * 1_000)
        handler.flush()  # as long as it takes lines, the queue is empty
    handler.close()
    text = b""
    while not text.endswith(b"was not read\n"):
        text += os.read(pipe[0], PIPE_BYTES)
    lines = text.decode().splitlines()
    written = sum(line == "x" * 1_000 for line in lines)
    dropped = sum(int(line.split()[0]) for line in lines if line.endswith("was not read"))
    assert written + dropped == 200
    assert dropped > 50


def test_what_is_no_text_in_utf_8_is_written_all_the_same(pipe: tuple[int, int]) -> None:
    handler = LogQueue(pipe[1])
    say(handler, "a name with \udcff")
    handler.close()
    assert os.read(pipe[0], PIPE_BYTES) == b"a name with \\udcff\n"


def test_a_closed_standard_error_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    handler = LogQueue(writer)
    say(handler, "nobody reads this")
    handler.close()
    os.close(writer)
