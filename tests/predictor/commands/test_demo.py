"""The demo: its processes never outlive it, and its last words are true."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from predictor.commands.demo import summary_line
from predictor.console.collector import Collector, Selection
from predictor.processes import Processes
from streamer.clock import Instant
from streamer.messages import Chunk, Kind, Status

PYTHON = (sys.executable, "-c")
FOR_EVER = "import time; time.sleep(600)"


class TestProcesses:
    def test_none_is_left_behind_when_the_block_fails(self, tmp_path: Path) -> None:
        children = []

        def fail() -> None:
            with Processes(tmp_path, PYTHON) as processes:
                children.append(processes.start(FOR_EVER))
                children.append(processes.start(FOR_EVER + " "))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert [child.returncode for child in children] == [-signal.SIGTERM] * 2

    def test_one_that_does_not_heed_sigterm_is_killed(self, tmp_path: Path) -> None:
        with Processes(tmp_path, PYTHON, grace_s=0.05) as processes:
            # An ignored signal stays ignored in the child, from its first instruction on.
            before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
            child = processes.start(FOR_EVER)
            signal.signal(signal.SIGTERM, before)
        assert child.returncode == -signal.SIGKILL

    def test_one_that_ends_early_is_reported_with_its_words(self, tmp_path: Path) -> None:
        early = "import sys; sys.exit('no such flag')"
        with Processes(tmp_path, PYTHON) as processes:
            processes.start(FOR_EVER)
            assert processes.failure() is None
            processes.start(early).wait(30)
            failure = processes.failure()
        assert failure is not None
        assert (failure.name, failure.code, failure.log) == (early, 1, "no such flag\n")


def test_last_words_compare_the_start_with_the_end() -> None:
    collector = Collector([], [], Instant(0, 0))

    def say(kind: Kind, first: int, cos: float) -> None:
        values = np.full((200, 1, 1), cos, np.float32)
        collector.receive([Chunk(kind, "demo", 1, first, 0, 100.0, values)], Instant(first, 0))

    for first, error in ((0, 0.5), (200, 0.125)):
        say(Kind.TARGET, first, 1.0)
        say(Kind.ESTIMATE, first, 1.0 + error)
    collector.receive([Status("demo", 1, 0, 0, {"learning": {"updates": 40}})], Instant(0, 0))
    line = summary_line(collector.snapshot(Selection(), Instant(10**9, 0)))
    assert line == "demo: RMSE 0.5000 -> 0.1250, phase error - -> -, in 400 samples and 40 updates"


def test_last_words_when_nothing_came() -> None:
    snapshot = Collector([], [], Instant(0, 0)).snapshot(Selection(), Instant(1, 0))
    assert summary_line(snapshot) == "demo: nothing was estimated"


class TestCommand:
    """The real demo, without learning: it spares the seconds that torch takes to import."""

    def start(self, folder: Path, *options: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "predictor", "demo", "--no-learn", "--rate", "200", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
            start_new_session=True,
        )

    def check_nothing_left(self, demo: "subprocess.Popen[str]", folder: Path) -> None:
        with pytest.raises(ProcessLookupError):
            os.killpg(demo.pid, 0)
        assert not list(folder.iterdir())

    def test_a_line_a_second_and_a_summary(self, tmp_path: Path) -> None:
        with self.start(tmp_path, "--duration", "4") as demo:
            out, err = demo.communicate(timeout=60)
        assert demo.returncode == 0, err
        assert len(out.splitlines()) >= 4
        assert out.splitlines()[-1].startswith("demo: RMSE 0.")
        self.check_nothing_left(demo, tmp_path)

    def test_sigterm_ends_all_three(self, tmp_path: Path) -> None:
        with self.start(tmp_path) as demo:
            assert demo.stdout is not None
            assert demo.stdout.readline()  # a second has passed: the others are there
            demo.terminate()
            demo.communicate(timeout=60)
        assert demo.returncode == 0
        self.check_nothing_left(demo, tmp_path)

    def test_a_part_that_cannot_start_is_named(self, tmp_path: Path) -> None:
        with self.start(tmp_path, "--model", "nowhere") as demo:
            _, err = demo.communicate(timeout=60)
        assert demo.returncode == 3
        assert "nowhere" in err
        assert err.splitlines()[-1] == "sincos: the demo's `sincos predict` ended with exit code 3"
        self.check_nothing_left(demo, tmp_path)
