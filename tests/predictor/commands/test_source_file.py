"""`sincos source --file`: a recording, or a pipe, published so that a predictor says what `apply` writes."""

import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from predictor import cli
from predictor.api.settings import choose_model
from predictor.commands import source_file
from predictor.daemon.core import Predictor
from streamer.clock import Instant
from streamer.effects import Ask, Effect, Finish, Reply, Say
from streamer.errors import FileError, SincosError, UsageError
from streamer.messages import Chunk, Gone, Kind, Request, Status, Subscription
from streamer.recordings.csv_layout import TableOptions
from streamer.source.live_signal import LiveSignal
from streamer.source.publisher import Publisher, SourceConfig
from tests.support.simulation import joined, sent

BIND = ["--bind", "tcp://127.0.0.1:*"]
MODEL = ["--model", "new", "--seed", "5"]
WAVE = np.float32(np.sin(np.arange(400) / 4))
ROWS = [n for n in range(400) if not 100 <= n < 137]
TABLE = "time_s,a\n" + "".join(f"{n / 250:.3f},{WAVE[n]:.9g}\n" for n in ROWS)


def source(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, ["source", *BIND, *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes, int], None]]:
    """Let standard input bring so many bytes at a time."""

    def fill(content: bytes, size: int = 65536) -> None:
        file = io.BytesIO(content)
        monkeypatch.setattr(source_file, "_read", lambda count: file.read(min(count, size)))

    return fill


def table(folder: Path, content: str = TABLE) -> Path:
    path = folder / "in.csv"
    path.write_text(content)
    return path


# What is published


def estimates(publisher: Publisher) -> tuple[list[int], np.ndarray, list[str]]:
    """Seqs, values and words of a predictor that hears a source without loss, its questions answered."""
    core = Predictor(choose_model("new", {}, 5))
    now_ns = 0
    said: list[Chunk] = []
    words: list[str] = []

    def hear(effects: list[Effect]) -> None:
        heard: list[Effect] = []
        for message in sent(effects):
            if not isinstance(message, Status):
                heard += core.receive([message], now)
        if now_ns:
            heard += core.tick(now)
        words.extend(effect.text for effect in heard if isinstance(effect, Say))
        said.extend(m for m in sent(heard) if isinstance(m, Chunk) and m.kind is Kind.ESTIMATE)
        for effect in heard:
            if isinstance(effect, Ask):
                answer(effect)

    def answer(ask: Ask) -> None:
        effects = list(publisher.receive([Request(b"me", ask.replay)], now))
        while (more := publisher.work()) is not None:
            effects += more
        replies = [effect.message for effect in effects if isinstance(effect, Reply)]
        heard = [effect for m in replies if isinstance(m, Chunk | Gone) for effect in core.receive([m], now)]
        words.extend(effect.text for effect in heard if isinstance(effect, Say))
        said.extend(m for m in sent(heard) if isinstance(m, Chunk) and m.kind is Kind.ESTIMATE)
        hear([effect for effect in effects if not isinstance(effect, Reply)])

    now = Instant(0, 0)
    hear(list(publisher.receive([Subscription(b"", True)], now)))
    for _ in range(100_000):
        effects = list(publisher.tick(now))
        hear(effects)
        if Finish() in effects:
            break
        deadline_ns = publisher.next_deadline_ns()
        assert deadline_ns is not None
        now_ns = max(now_ns + 1_000_000, deadline_ns)
        now = Instant(now_ns, now_ns)
    return [n for m in said for n in range(m.seq, m.end_seq)], joined(said), words


def applied(path: Path, *arguments: object) -> np.ndarray:
    out = path.with_name("out.npy")
    CliRunner().invoke(cli.cli, ["apply", str(path), str(out), "-q", *MODEL, *map(str, arguments)])
    result: np.ndarray = np.load(out)
    return result


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_a_predictor_says_of_a_file_what_apply_writes_bit_for_bit(tmp_path: Path, chunk: int) -> None:
    path = table(tmp_path)
    signal = source_file.signal_of(path, None, None, TableOptions(), loops=False, chunk=chunk)
    seqs, values, words = estimates(Publisher(SourceConfig(chunk=chunk, targets=False), signal, 1))
    assert seqs == ROWS
    assert values.tobytes() == applied(path)[ROWS].tobytes()
    assert any("samples 100 to 136 did not come" in word for word in words)


@pytest.mark.parametrize("size", [5, 65536])
def test_a_predictor_says_the_same_of_a_pipe(
    tmp_path: Path, pipe: Callable[[bytes, int], None], size: int
) -> None:
    pipe(TABLE.encode(), size)
    live = source_file.signal_of(source_file.PIPE, 250.0, None, TableOptions(), loops=False, chunk=1)
    assert isinstance(live, LiveSignal)
    seqs, values, _ = estimates(Publisher(SourceConfig(paced=False, targets=False), live, 1))
    live.leave()
    assert live.error is None
    assert seqs == ROWS
    assert values.tobytes() == applied(table(tmp_path))[ROWS].tobytes()


def test_each_kind_of_file_is_published_whole(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", WAVE)
    said = source("--file", tmp_path / "in.npy", "--rate", 250, "--speed", "max")
    assert "published 400 samples of run" in said.stderr
    said = source("--file", table(tmp_path), "--speed", 100)
    assert "column 1 (time_s) is a time, in s" in said.stderr
    assert "published 363 samples of run" in said.stderr
    assert "37 are missing in it" in said.stderr
    said = source("--file", tmp_path / "in.npy", "--rate", 250, "--speed", "max", "--loop", "--count", 1000)
    assert "published 1000 samples of run" in said.stderr


def test_a_journal_takes_a_file_up_where_it_was_left(tmp_path: Path) -> None:
    options = "--file", table(tmp_path), "--speed", "max", "--journal", tmp_path / "j"
    source(*options, "--count", 50)
    said = source(*options)
    assert "at sample 50" in said.stderr
    table(tmp_path, TABLE.replace(f",{WAVE[3]:.9g}\n", ",0.77\n"))
    with pytest.raises(FileError, match=r"is the journal of another source: signal\.digest"):
        source(*options)


def test_a_pipe_that_breaks_is_published_up_to_there_and_said(pipe: Callable[..., None]) -> None:
    pipe(b"ch1\n" + b"0.5\n" * 20 + b"oops\n" + b"0.5\n" * 20)
    with pytest.raises(FileError, match=r"standard input, line 22: a cell must be a number"):
        source("--file", "-", "--rate", 100)


@pytest.mark.parametrize(
    ("content", "samples"),
    [(b"0.1\n0.2\n0.3\n0.4\n0.5\n", 5), (b"\x93NUMPY", None), (b"RIFF\0\0\0\0WAVE", None), (b"", None)],
)
def test_a_pipe_says_by_its_first_bytes_what_it_is(
    pipe: Callable[..., None], content: bytes, samples: int | None
) -> None:
    pipe(content)
    if samples is None:
        with pytest.raises(FileError, match=r"^standard input: "):
            source("--file", "-", "--rate", 100)
    else:
        assert f"published {samples} samples" in source("--file", "-", "--rate", 100).stderr


# What cannot be


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--file", "F", "--frequency", "3"], "^--file, --frequency: a file has its own signal"),
        (["--file", "F", "--waveform", "chirp"], "^--file, --waveform: "),
        (["--file", "F", "--noise", "1"], "^--file, --noise: "),
        (["--file", "F", "--channels", "2"], "^--file, --channels: "),
        (["--file", "F", "--target-delay", "2"], "^--file, --target-delay: "),
        (["--file", "F", "--targets"], "^--file, --targets: a file has no targets"),
        (["--file", "F", "--rate", "max"], "^--file, --rate max: give --speed max"),
        (["--file", "F", "--rate", "500"], "^--rate: .*times amount to 250 samples a second, got 500"),
        (["--file", "F", "--rate", "-1"], "^--rate: .* got -1"),
        (["--file", "F", "--speed", "0"], "^--speed: .* got 0"),
        (["--file", "-", "--loop"], "^--file -, --loop: standard input cannot be read again"),
        (["--file", "-", "--journal", "J"], "^--file -, --journal: standard input cannot be read again"),
        (["--file", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--file", "N", "--time", "none"], r"^--rate: .*in\.npy does not state its sample rate"),
        (["--loop"], "^--loop: needs --file"),
        (["--speed", "2"], "^--speed: needs --file"),
        (["--columns", "a"], "^--columns: needs --file"),
    ],
)
def test_options_that_do_not_go_together_are_refused_as_typed(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    np.save(tmp_path / "in.npy", WAVE)
    places = {"F": table(tmp_path), "N": tmp_path / "in.npy", "J": tmp_path / "j"}
    with pytest.raises(SincosError, match=says) as error:
        source(*[places.get(argument, argument) for argument in arguments])
    assert isinstance(error.value, UsageError | FileError)


# A process


def test_a_line_through_a_pipe_is_published_when_it_comes_and_a_signal_ends_the_wait_for_the_next() -> None:
    command = [sys.executable, "-m", "predictor", "source", "--file", "-", "--rate", "100", *BIND]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("ch1\n0.5\n0.25\n")
        process.stdin.flush()
        while "publishing" not in (line := process.stderr.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "published" in err
        assert "Traceback" not in err
