"""Real commands on a terminal: Ctrl-Z and fg, a hang-up, a terminal that can draw nothing."""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trainer.model import ModelConfig, new_model
from trainer.model_file import save_model

BOUND_S = 60.0
PROMPT = b"ready> "
SINCOS = [sys.executable, "-m", "predictor"]
ENTERED, LEFT, CURSOR, HIDDEN = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?25l"


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *program: str, **environment: str) -> None:
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests themselves run under nohup
                os.execvpe(program[0], program, {**os.environ, "PS1": PROMPT.decode(), **environment})
            finally:
                os._exit(127)

    def shows(self, enough: Callable[[bytes], object]) -> bytes:
        """Read until what came is enough; return it."""
        end_s = time.monotonic() + BOUND_S
        while not enough(self.text):
            assert time.monotonic() < end_s, self.text[-2000:]
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 65_536)
                except OSError as error:  # everybody has left
                    raise AssertionError(self.text[-2000:]) from error
        came, self.text = self.text, b""
        return came

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def hang_up(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def ended(self) -> int:
        """Wait until the program has ended; return its exit code, negative of a signal."""
        end_s = time.monotonic() + BOUND_S
        while time.monotonic() < end_s:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                self._read_rest()
                return os.waitstatus_to_exitcode(status)
            if self.fd >= 0 and select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.text += os.read(self.fd, 65_536)
                except OSError:
                    time.sleep(0.05)
            else:
                time.sleep(0.05)
        raise AssertionError("it goes on")

    def _read_rest(self) -> None:
        with contextlib.suppress(OSError):  # nobody is there to write any more
            while self.fd >= 0 and select.select([self.fd], [], [], 0)[0]:
                piece = os.read(self.fd, 65_536)
                self.text += piece
                if not piece:
                    break

    def close(self) -> None:
        self.hang_up()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def start(*program: str, **environment: str) -> Terminal:
        terminals.append(Terminal(*program, **environment))
        return terminals[-1]

    yield start
    for one in terminals:
        one.close()


def nobody(folder: Path) -> list[str]:
    return ["--source", f"ipc://{folder}/s", "--predictor", f"ipc://{folder}/p"]


@pytest.mark.parametrize("how", ["key", "SIGSTOP"])
def test_the_console_gives_the_terminal_back_while_it_is_stopped(
    terminal: Callable[..., Terminal], tmp_path: Path, how: str
) -> None:
    shell = terminal("bash", "--norc", "--noprofile", "-i", TERM="xterm-256color")
    shell.shows(lambda text: PROMPT in text)
    shell.type(" ".join([*SINCOS, "console", "-q", *nobody(tmp_path)]).encode() + b"\n")
    shell.shows(lambda text: ENTERED in text and b"RMSE" not in text)
    if how == "key":
        shell.type(b"\x1a")
        stopped = shell.shows(lambda text: b"Stopped" in text and text.rstrip().endswith(PROMPT.rstrip()))
        assert LEFT in stopped
        assert CURSOR in stopped
        shell.type(b"echo typed\n")
        assert b"echo typed" in shell.shows(lambda text: text.count(b"typed") >= 2), "the shell echoes again"
    else:
        (pid,) = [int(pid) for pid in Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()]
        os.kill(pid, signal.SIGSTOP)
        shell.shows(lambda text: b"Stopped" in text)
    shell.type(b"fg\n")
    shell.shows(lambda text: ENTERED in text)
    shell.type(b"x")
    time.sleep(0.3)
    shell.type(b"q")
    end = shell.shows(lambda text: LEFT in text and PROMPT in text)
    drawn = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", end)
    assert not drawn.startswith((b"x", b"^")), "a key is not echoed"


def test_a_progress_bar_gives_the_cursor_back_while_it_is_stopped(terminal: Callable[..., Terminal]) -> None:
    shell = terminal("bash", "--norc", "--noprofile", "-i", TERM="xterm-256color", COLUMNS="120")
    shell.shows(lambda text: PROMPT in text)
    line = " ".join([*SINCOS, "train", "--recipe", "tutorial", "--updates", "1000000"])
    shell.type(line.encode() + b"\n")
    shell.shows(lambda text: b"best 0." in text and HIDDEN in text)
    shell.type(b"\x1a")
    assert CURSOR in shell.shows(lambda text: b"Stopped" in text)
    shell.type(b"fg\n")
    shell.shows(lambda text: HIDDEN in text and b"best 0." in text)
    shell.type(b"\x03")
    assert CURSOR in shell.shows(lambda text: CURSOR in text and PROMPT in text)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(new_model(ModelConfig("rnn", 8), seed=0), path)
    return path


def predict(folder: Path, model_file: Path) -> list[str]:
    addresses = ["--source", f"ipc://{folder}/s", "--bind", f"ipc://{folder}/p"]
    return [*SINCOS, "predict", "--model", str(model_file), *addresses]


def test_a_daemon_whose_terminal_is_closed_ends_in_order(
    terminal: Callable[..., Terminal], tmp_path: Path, model_file: Path
) -> None:
    daemon = terminal(*predict(tmp_path, model_file))
    daemon.shows(lambda text: b"publishing on" in text)
    os.kill(daemon.pid, signal.SIGHUP)  # not from the terminal: reloads
    daemon.shows(lambda text: b"nothing new" in text)
    daemon.hang_up()
    assert daemon.ended() == 0, "as after SIGTERM, with its last state; of the signal itself it would be -1"
    assert not (tmp_path / "p").exists(), "its address is free"


@pytest.mark.parametrize("command", ["source", "predict", "listen"])
def test_who_has_nothing_to_reload_says_so_and_ends_with_its_terminal(
    terminal: Callable[..., Terminal], tmp_path: Path, command: str
) -> None:
    here, there = f"ipc://{tmp_path}/p", f"ipc://{tmp_path}/s"
    options, shown = {
        "source": (["--bind", here], b"publishing input"),
        "predict": (["--source", there, "--bind", here], b"publishing on"),
        "listen": (["--predictor", there], b"listening to"),
    }[command]
    started = terminal(*SINCOS, command, *options)
    started.shows(lambda text: shown in text)
    os.kill(started.pid, signal.SIGHUP)  # not from the terminal
    started.shows(lambda text: b"there is nothing to reload" in text)
    started.hang_up()
    assert started.ended() == 0


@pytest.mark.parametrize("command", ["console", "demo", pytest.param("train", marks=pytest.mark.release)])
def test_what_draws_on_a_terminal_that_is_closed_ends_as_if_it_were_stopped(
    terminal: Callable[..., Terminal], tmp_path: Path, command: str
) -> None:
    model = tmp_path / "trained.safetensors"
    options, shown = {
        "console": (nobody(tmp_path), ENTERED),
        "demo": (["--no-learn", "--model", "tutorial"], ENTERED),
        "train": (["--recipe", "tutorial", "--updates", "1000000", "--out", str(model)], b"best 0."),
    }[command]
    drawing = terminal(*SINCOS, command, *options, TERM="xterm-256color", COLUMNS="120")
    drawing.shows(lambda text: shown in text)
    drawing.hang_up()
    assert drawing.ended() == 0
    assert model.exists() == (command == "train"), "the best so far is kept"


@pytest.mark.skipif(shutil.which("nohup") is None, reason="needs nohup")
def test_a_daemon_under_nohup_outlives_its_terminal_and_reloads(
    terminal: Callable[..., Terminal], tmp_path: Path, model_file: Path
) -> None:
    log = tmp_path / "log"
    line = " ".join(["nohup", *predict(tmp_path, model_file), f">{log} 2>&1", "& echo its pid $!; wait"])
    shell = terminal("bash", "--norc", "--noprofile", "-c", line)
    found = re.search(rb"its pid (\d+)", shell.shows(lambda text: re.search(rb"its pid \d+\r", text)))
    assert found is not None
    pid = int(found[1])
    try:
        wait_for(log, "publishing on")
        shell.hang_up()
        shell.ended()
        os.kill(pid, signal.SIGHUP)
        wait_for(log, "nothing new")
        os.kill(pid, signal.SIGTERM)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(pid, signal.SIGKILL)


def wait_for(log: Path, words: str) -> None:
    end_s = time.monotonic() + BOUND_S
    while words not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < end_s
        time.sleep(0.05)


@pytest.mark.parametrize("command", ["console", "demo", "train", "apply"])
def test_a_dumb_terminal_gets_plain_lines(terminal: Callable[..., Terminal], tmp_path: Path, command: str) -> None:
    (tmp_path / "in.csv").write_text("1\n2\n3\n" * 200)
    options = {
        "console": nobody(tmp_path),
        "demo": ["--no-learn", "--model", "tutorial", "--duration", "3"],
        "train": ["--recipe", "tutorial", "--updates", "2"],
        "apply": [f"{tmp_path}/in.csv", f"{tmp_path}/out.csv", "--rate", "100", "--model", "tutorial"],
    }
    dumb = terminal(*SINCOS, command, *options[command], TERM="dumb")
    if command == "console":
        dumb.shows(lambda text: text.count(b"\n") >= 2)  # a line a second
        os.kill(dumb.pid, signal.SIGINT)
    assert dumb.ended() == 0
    assert b"\x1b" not in dumb.text
    assert dumb.text.strip() or command == "console"
