"""The console's loop and its edges: keys, displays, files, and the command itself."""

import io
import os
import pty
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from predictor.commands.console import _require_samples, command
from predictor.console.collector import Collector, Selection
from predictor.console.display import Screen, Ticker, check_writable, display_on, save_svg
from predictor.console.keyboard import Keyboard
from predictor.console.loop import watch
from predictor.console.snapshot import Snapshot
from streamer.clock import Instant
from streamer.errors import FileError, NothingHeard, UsageError
from streamer.messages import Chunk, Incoming, Kind, Message, Status
from streamer.shell import StopSignal
from streamer.transport.transport import Transport


class FakeClock:
    """Moves on by more than a frame whenever it is looked at, so that nothing is waited for."""

    def __init__(self) -> None:
        self.now_ns = 0

    def now(self) -> Instant:
        self.now_ns += 200_000_000
        return Instant(self.now_ns, self.now_ns)

    def sleep(self, duration_s: float) -> None:
        raise AssertionError(f"the console never sleeps, but was about to for {duration_s} s")


class ScriptedTransport:
    """Hands out one batch at each call, then nothing."""

    def __init__(self, batches: list[list[Incoming]]) -> None:
        self.batches = batches

    def receive(self) -> list[Incoming]:
        return self.batches.pop(0) if self.batches else []


class PressedKeys(Keyboard):
    """One key after the other, then no more."""

    def __init__(self, keys: str) -> None:
        super().__init__()
        self.left = list(keys)
        reader, writer = os.pipe()
        os.close(writer)  # always ready
        self.ready = os.fdopen(reader)

    @property
    def files(self) -> list[int]:
        return [self.ready.fileno()] if self.left else []

    def read(self) -> str:
        key = self.left.pop(0)
        if not self.left:
            self.ready.close()
        return key


class Album:
    """Keeps the pictures."""

    def __init__(self, keys: str = "") -> None:
        self.pictures: list[Snapshot] = []
        self.keyboard = PressedKeys(keys) if keys else Keyboard()

    def show(self, snapshot: Snapshot) -> None:
        self.pictures.append(snapshot)


def inputs(seq: int, stream: str = "demo", channels: int = 2) -> Chunk:
    return Chunk(Kind.INPUT, stream, 1, seq, 0, 100.0, np.ones((1, channels, 1), np.float32))


def watched(album: Album, *batches: list[Incoming], pictures: int = 3) -> Snapshot:
    collector = Collector([], [], Instant(0, 0))
    transport = ScriptedTransport(list(batches))
    with StopSignal() as stop:
        return watch(
            collector, Selection(), transport, FakeClock(), stop, album,  # type: ignore[arg-type]
            lambda _: len(album.pictures) >= pictures,
        )  # fmt: skip


class TestWatch:
    def test_everything_that_waits_is_taken_before_a_picture(self) -> None:
        album = Album()
        last = watched(album, *[[inputs(seq)] for seq in range(4)], pictures=2)
        assert last.streams[0].input_samples == 4
        assert len(album.pictures) == 2

    def test_q_ends_it(self) -> None:
        album = Album("q")
        watched(album, [inputs(0)])
        assert not album.pictures

    def test_keys_change_what_is_drawn(self) -> None:
        album = Album("c")
        for picture in (watched(album, [inputs(0)]), album.pictures[0]):
            assert picture.shown is not None
            assert picture.shown.channel == 1

    def test_a_signal_ends_it(self) -> None:
        album = Album()
        with StopSignal() as stop:
            stop.requested = True
            collector = Collector([], [], Instant(0, 0))
            watch(
                collector, Selection(), ScriptedTransport([]), FakeClock(), stop, album,  # type: ignore[arg-type]
                lambda _: False,
            )  # fmt: skip
        assert not album.pictures


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """A pseudo-terminal as standard input: (our end, its end)."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ours, theirs
    os.close(ours)


def modes(fd: int) -> int:
    return termios.tcgetattr(fd)[3] & (termios.ICANON | termios.ECHO)


class TestKeyboard:
    def test_keys_come_at_once_and_the_terminal_is_restored(self, terminal: tuple[int, int]) -> None:
        ours, theirs = terminal
        before = modes(theirs)
        with Keyboard() as keyboard:
            assert modes(theirs) == 0
            os.write(ours, b"nq")
            assert keyboard.read() == "nq"
        assert modes(theirs) == before

    def test_the_terminal_is_restored_after_a_crash(self, terminal: tuple[int, int]) -> None:
        _, theirs = terminal
        before = modes(theirs)
        screen = Screen(Console(file=io.StringIO(), width=40, height=12, force_terminal=True))

        def crash() -> None:
            with screen:
                assert modes(theirs) == 0
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            crash()
        assert modes(theirs) == before

    def test_a_terminal_that_has_gone_is_no_longer_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ours, theirs = pty.openpty()
        with os.fdopen(theirs) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            with Keyboard() as keyboard:
                os.close(ours)
                assert keyboard.read() == ""
                assert keyboard.files == []

    def test_without_a_terminal_there_are_no_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("q"))
        with Keyboard() as keyboard:
            assert keyboard.files == []


def empty_snapshot(elapsed_s: float = 0.0) -> Snapshot:
    return Collector(["tcp://source:1"], [], Instant(0, 0)).snapshot(
        Selection(), Instant(round(elapsed_s * 1e9), 0)
    )


class TestDisplays:
    def test_a_screen_on_a_terminal_and_lines_elsewhere(self) -> None:
        assert isinstance(display_on(Console(file=io.StringIO(), force_terminal=True)), Screen)
        assert isinstance(display_on(Console(file=io.StringIO())), Ticker)

    def test_the_screen_is_given_back(self) -> None:
        file = io.StringIO()
        with Screen(Console(file=file, width=80, height=24, force_terminal=True)) as screen:
            screen.show(empty_snapshot())
            assert "waiting for a source at tcp://source:1" in file.getvalue()
            assert "\x1b[?1049l" not in file.getvalue()
        assert file.getvalue().count("\x1b[?1049h") == file.getvalue().count("\x1b[?1049l") == 1

    def test_one_line_a_second(self) -> None:
        file = io.StringIO()
        with Ticker(Console(file=file)) as ticker:
            for elapsed_s in (0.1, 0.9, 1.0, 1.1, 1.9, 2.05, 5.5, 5.9):
                ticker.show(empty_snapshot(elapsed_s))
        assert [line.split()[0] for line in file.getvalue().splitlines()] == ["1.0", "2.0", "5.5"]


class TestFiles:
    def test_a_picture_as_svg(self, tmp_path: Path) -> None:
        save_svg(empty_snapshot(), tmp_path / "picture.svg", 80, 24)
        text = (tmp_path / "picture.svg").read_text()
        assert text.startswith("<svg")
        assert "tcp://source:1" in text

    def test_a_file_that_can_be_written_is_left_as_it_is(self, tmp_path: Path) -> None:
        check_writable(tmp_path / "new.svg")
        assert not (tmp_path / "new.svg").exists()
        (tmp_path / "old.svg").write_text("old")
        check_writable(tmp_path / "old.svg")
        assert (tmp_path / "old.svg").read_text() == "old"

    def test_a_file_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(FileError, match=r"missing/picture\.svg"):
            check_writable(tmp_path / "missing" / "picture.svg")
        with pytest.raises(FileError, match=r"missing/picture\.svg"):
            save_svg(empty_snapshot(), tmp_path / "missing" / "picture.svg", 80, 24)


class TestCommand:
    def invoke(self, folder: Path, *options: str) -> None:
        addresses = ["--source", f"ipc://{folder}/source", "--predictor", f"ipc://{folder}/predictor"]
        CliRunner().invoke(command, [*addresses, "-q", *options], catch_exceptions=False)

    def test_nothing_heard(self, tmp_path: Path) -> None:
        with pytest.raises(NothingHeard, match="nothing received at ipc"):
            self.invoke(tmp_path, "--once", "--timeout", "0")

    def test_a_stream_not_heard_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(NothingHeard, match="no stream 'lab' received"):
            self.invoke(tmp_path, "--once", "--timeout", "0", "--stream", "lab")

    def test_a_stream_of_which_only_others_speak_is_not_heard(self, tmp_path: Path) -> None:
        def publish(publisher: Transport, message: Message, done: threading.Event) -> None:
            while not done.is_set():
                publisher.send(message)
                done.wait(0.05)

        told = Status("demo", 1, 500, 0, {"health": "LOST"})
        done = threading.Event()
        with Transport(bind=f"ipc://{tmp_path}/predictor") as publisher:
            speaking = threading.Thread(target=publish, args=(publisher, told, done))
            speaking.start()
            try:
                with pytest.raises(NothingHeard, match="no sample of stream 'demo'"):
                    self.invoke(tmp_path, "--once", "--timeout", "2")
            finally:
                done.set()
                speaking.join(20)

    def test_targets_alone_are_no_picture(self) -> None:
        collector = Collector([], [], Instant(0, 0))
        target = Chunk(Kind.TARGET, "demo", 1, 0, 0, 100.0, np.ones((5, 1, 2), np.float32))
        collector.receive([target], Instant(0, 0))
        with pytest.raises(NothingHeard, match="no sample of stream 'demo'"):
            _require_samples(collector.snapshot(Selection(), Instant(1, 0)), 3.0)
        collector.receive([inputs(0, channels=1)], Instant(0, 0))
        _require_samples(collector.snapshot(Selection(), Instant(1, 0)), 3.0)

    @pytest.mark.parametrize("option", ["--after", "--timeout"])
    @pytest.mark.parametrize("value", ["nan", "inf", "-1"])
    def test_times_are_finite(self, tmp_path: Path, option: str, value: str) -> None:
        with pytest.raises(UsageError, match=option):
            self.invoke(tmp_path, "--once", option, value)

    def test_the_file_is_checked_before_anything_else(self, tmp_path: Path) -> None:
        with pytest.raises(FileError, match="choose another file"):
            self.invoke(tmp_path, "--once", "--svg", str(tmp_path / "missing" / "x.svg"))
