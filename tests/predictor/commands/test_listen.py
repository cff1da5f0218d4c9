"""`sincos listen` as a process: live behind a pipe, quiet when its reader leaves, honest about silence."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer.messages import Chunk, Kind, Subscription
from streamer.transport.transport import Transport

BOUND_S = 20
COMMAND = [sys.executable, "-c", "from predictor.cli import main; main()", "listen", "-q"]


@pytest.fixture
def source() -> Iterator[Transport]:
    with Transport(bind="tcp://127.0.0.1:*") as transport:
        yield transport


def chunk(seq: int) -> Chunk:
    return Chunk(Kind.INPUT, "demo", 1, seq, 0, 100.0, np.full((1, 1, 1), 0.1, np.float32))


def listen(source: Transport, *flags: str) -> "subprocess.Popen[str]":
    """Start the command and return it once it listens."""
    assert source.address is not None
    command = [*COMMAND, "--source", source.address, "--kind", "input", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert source.wait(BOUND_S * 1000)
    assert source.receive() == [Subscription(b"input/", active=True)]
    return process


def test_lines_come_live_and_a_count_ends_it(source: Transport) -> None:
    with listen(source, "--count", "2") as process:
        assert process.stdout is not None
        for seq in range(2):
            source.send(chunk(seq))
            line = json.loads(process.stdout.readline())
            assert (line["seq"], line["input"]) == (seq, [0.1])
        assert process.communicate(timeout=BOUND_S) == ("", "")
        assert process.returncode == 0


def test_a_reader_that_leaves_ends_it_without_a_word(source: Transport) -> None:
    with listen(source) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        source.send(chunk(0))
        process.stdout.readline()
        process.stdout.close()
        source.send(chunk(1))
        assert process.wait(BOUND_S) == 0
        assert process.stderr.read() == ""


def test_a_signal_ends_it_with_everything_printed(source: Transport) -> None:
    with listen(source, "--timeout", "60") as process:
        assert process.stdout is not None
        source.send(chunk(0))
        assert process.stdout.readline()
        process.terminate()
        assert process.communicate(timeout=BOUND_S) == ("", "")
        assert process.returncode == 0


def test_silence_is_exit_code_5(source: Transport) -> None:
    with listen(source, "--timeout", "0.1") as process:
        out, err = process.communicate(timeout=BOUND_S)
        assert (out, process.returncode) == ("", 5)
        assert err == "sincos: --timeout: timed out: nothing received for 0.1 s\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_full_disk_behind_standard_output_is_said() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "predictor", "keys", "--help"]
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=BOUND_S, check=False
        )
    assert (ended.returncode, ended.stderr) == (
        3,
        "sincos: standard output cannot be written: No space left on device\n",
    )


def test_a_deadline_for_gaps_is_for_who_asks_again() -> None:
    command = [*COMMAND, "--gap-deadline", "60"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert ended.returncode == 2
    assert "--gap-deadline: is for --reliable" in ended.stderr
