"""Disks that are full, fail, are slow, or hand back other bytes than they were given."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.ear import Ear
from tests.support.fixtures import Dose, Inject, Listen
from tests.support.ports import Ports
from tests.support.processes import Command, Starter
from tests.support.procfs import children
from tests.support.scene import Scene, must_keep_the_promise

EVERY_S = 0.1  # between checkpoints
STATES = 200  # file names that a tracer watches: more than a test writes
CHECKPOINT = 8  # the one that is interrupted
CALLS = (
    "mkdir,openat,newfstatat,ioctl,lseek,write,fsync,close,renameat,getdents64,unlinkat,ftruncate,pwrite64,flock"
)


class Stage:
    """A source, and a predictor that keeps its state in a folder."""

    def __init__(self, start: Starter, ports: Ports, listen: Listen, folder: Path, scene: Scene) -> None:
        self.folder, self.scene = folder, scene
        self._start = start
        self._source_at, self._predict_at = ports.address(), ports.address()
        self.ear: Ear = listen(self._predict_at)
        self.source = start(
            "source", "--bind", self._source_at, "--wait", "--retain", 600, "--linger", 600, *scene.source()
        )

    def predict(self, *, prefix: Sequence[str] = ()) -> Command:
        """Start the predictor."""
        return self._start(
            "predict", "--source", self._source_at, "--bind", self._predict_at, "--wait", *self.scene.predict(),
            "--state-dir", self.folder, "--checkpoint-every", EVERY_S, prefix=prefix,
        )  # fmt: skip

    def checkpoint(self, name: str) -> int:
        """What the daemon's status says of its states: the `seq` of the last one, or how many `failures`."""
        said = self.ear.bodies.get("", {}).get("checkpoint")
        return int((said[name] if isinstance(said, dict) else 0) or 0)

    def wait_for(self, name: str, at_least: int) -> None:
        """Wait until a count of the states has been reached."""
        self.ear.wait(lambda: self.checkpoint(name) >= at_least, f"{name} {at_least} of the states", provoke=True)

    def restart_and_check(self, predict: Command) -> None:
        """Kill the predictor, start it anew, and hold everything against the promise."""
        predict.stop(signal.SIGKILL)
        before = self.ear.next_seq
        predict = self.predict()
        self.ear.wait_for_seq(before + 50)
        must_keep_the_promise(self.ear, self.scene, self.ear.next_seq)
        for command in (predict, self.source):
            assert command.stop() == 0


@pytest.fixture
def stage(start: Starter, ports: Ports, listen: Listen, tmp_path: Path) -> Stage:
    return Stage(start, ports, listen, tmp_path / "state", Scene(rate_hz=200.0, learn="target"))


def test_a_full_disk_stops_no_estimate_and_is_healed(stage: Stage, injected: Inject, tmp_path: Path) -> None:
    """On a small file system of its own, in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=4m none {disk}"
    prefix = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        prefix = ["unshare", "-Umr", *prefix[2:]]
        if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
            pytest.skip("a small file system may not be mounted here")
    stage.folder = disk / "state"
    predict = stage.predict(prefix=prefix)
    stage.wait_for("seq", 2)
    filler = Path(f"/proc/{predict.process.pid}/root{disk}/filler")
    fill(filler)
    stage.wait_for("failures", 2)
    assert predict.process.poll() is None
    before = stage.ear.next_seq
    stage.ear.wait_for_seq(before + 100)
    written = stage.checkpoint("seq")
    filler.unlink()
    stage.wait_for("seq", written + 2)
    must_keep_the_promise(stage.ear, stage.scene, stage.ear.next_seq)
    failed = stage.checkpoint("failures")
    for command in (predict, stage.source):
        assert command.stop() == 0
    assert any("No space left" in line for line in predict.log)
    injected("disk full (tmpfs of 4 MiB)", failed)


def fill(path: Path) -> None:
    """Write until nothing more goes onto the disk."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - what is raised ends the loop


def test_a_file_that_may_not_grow_stops_no_estimate_and_is_healed(stage: Stage, injected: Inject) -> None:
    """EFBIG by RLIMIT_FSIZE: needs no rights at all."""
    predict = stage.predict()
    stage.wait_for("seq", 2)
    _, hard = resource.prlimit(predict.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(predict.process.pid, resource.RLIMIT_FSIZE, (1024, hard))
    stage.wait_for("failures", 3)
    stage.ear.wait_for_seq(stage.ear.next_seq + 100)
    written = stage.checkpoint("seq")
    resource.prlimit(predict.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    stage.wait_for("seq", written + 2)
    failed = stage.checkpoint("failures")
    stage.restart_and_check(predict)
    assert any("File too large" in line for line in predict.log)
    injected("files that may not grow (RLIMIT_FSIZE, EFBIG)", failed)


# By a tracer


def tracer(folder: Path, log: Path, *injections: str) -> list[str]:
    """The command that runs another under strace, heeding only calls on the files of a state folder.

    Other calls do not even stop the process (--seccomp-bpf), unless a signal is injected: none would be then.
    """
    if shutil.which("strace") is None:
        pytest.skip("no strace to make system calls fail with")
    probe = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"strace may not trace here: {probe.stderr.decode().strip()}")
    names = [f"state-{number:012d}.safetensors{end}" for number in range(1, STATES) for end in ("", ".partial")]
    paths = [word for path in (folder, *(folder / name for name in names)) for word in ("-P", str(path))]
    injected = [f"--inject={what}" for what in injections]
    quickly = [] if any("signal=" in what for what in injections) else ["--seccomp-bpf"]
    return ["strace", "-f", *quickly, "-qq", "-o", str(log), "-e", CALLS, *paths, *injected, "--"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("fsync", "EIO"),
        pytest.param("write", "EIO", marks=pytest.mark.release),
        pytest.param("write", "ENOSPC", marks=pytest.mark.release),
        pytest.param("renameat", "EIO", marks=pytest.mark.release),
        pytest.param("openat", "EIO", marks=pytest.mark.release),
        pytest.param("openat", "EROFS", marks=pytest.mark.release),
    ],
)
def test_errors_of_the_disk_stop_no_estimate_and_are_counted_and_healed(
    stage: Stage, injected: Inject, tmp_path: Path, call: str, error: str
) -> None:
    stage.folder.mkdir(mode=0o700)
    log, failures = tmp_path / "strace", 3
    predict = stage.predict(prefix=tracer(stage.folder, log, f"{call}:error={error}:when=4..{3 + failures}"))
    stage.wait_for("failures", 1)
    stage.wait_for("seq", 6)
    stage.ear.wait_for_seq(stage.ear.next_seq + 100)
    happened = log.read_text().count("(INJECTED)")
    assert happened == failures
    counted = stage.checkpoint("failures")  # fewer where one state meets several: what was buffered is tried again
    assert 0 < counted <= failures
    kill_traced(predict)
    stage.restart_and_check(predict)
    injected(f"{error} of {call}, when a state is kept", happened, failures_counted=counted)


def test_a_slow_disk_delays_no_estimate(stage: Stage, injected: Inject, tmp_path: Path) -> None:
    """While the second state waits for its fsync, samples are answered as before."""
    stage.folder.mkdir(mode=0o700)
    log = tmp_path / "strace"
    predict = stage.predict(prefix=tracer(stage.folder, log, "fsync:delay_enter=5000000:when=3"))
    stage.wait_for("seq", 1)
    before = stage.ear.next_seq
    stage.ear.wait_for_seq(before + 200)
    stage.ear.wait_for_status()
    assert stage.checkpoint("seq") == 1, "the disk was not slow while these were answered"
    stage.wait_for("seq", 2)
    happened = log.read_text().count("(DELAYED)")
    assert happened == 1
    kill_traced(predict)
    stage.restart_and_check(predict)
    injected("fsync that takes 5 s", happened, answered_meanwhile=200)


def kill_traced(command: Command) -> None:
    """Kill what a tracer runs; the tracer follows."""
    command.may_end = True
    for child in children(command.process.pid):
        os.kill(child, 9)
    command.process.wait(30)


def test_a_kill_at_every_system_call_of_the_checkpoint_leaves_a_whole_state(
    stage: Stage, rng: np.random.Generator, injected: Inject, dose: Dose, tmp_path: Path
) -> None:
    stage.folder.mkdir(mode=0o700)
    log = tmp_path / "strace"
    predict = stage.predict(prefix=tracer(stage.folder, log))
    stage.wait_for("seq", CHECKPOINT + 1)
    kill_traced(predict)
    calls = calls_of_a_checkpoint(log)
    chosen = rng.permutation(len(calls))[: dose.pick(quick=1, release=len(calls))]
    for number in chosen:
        call, count = calls[number]
        shutil.rmtree(stage.folder)
        stage.folder.mkdir(mode=0o700)
        predict = stage.predict(prefix=tracer(stage.folder, log, f"{call}:signal=KILL:when={count}"))
        predict.may_end = True
        predict.process.wait(60)
        assert re.search(rf"\b{call}( resumed>|\().*= \?$", log.read_text(), re.MULTILINE), (
            f"{call} {count} was never begun"
        )
        assert "+++ killed by SIGKILL +++" in log.read_text()
        before = stage.ear.next_seq
        predict = stage.predict()
        stage.ear.wait_for_seq(before)
        predict.stop(signal.SIGKILL)
    predict = stage.predict()
    stage.restart_and_check(predict)
    injected("kill -9 at a system call of the checkpoint", len(chosen), different_calls=len(calls))


def calls_of_a_checkpoint(log: Path) -> list[tuple[str, int]]:
    """Every system call of one checkpoint, which also drops an old one: its name, and which of its kind.

    Not of an early one: the main thread makes some of these calls at the start, and each thread has its own count.
    """
    traced = [re.match(r"(\d+) +(\w+)\(", line) for line in log.read_text().splitlines()]
    lines = [(found[1], found[2], found.string) for found in traced if found]
    writer = next(thread for thread, _, line in lines if ".partial" in line)
    counts: Counter[str] = Counter()
    calls: list[tuple[str, int]] = []
    checkpoint = 0
    for thread, call, line in lines:
        if thread == writer:
            counts[call] += 1
            checkpoint += call == "openat" and ".partial" in line
            if checkpoint == CHECKPOINT:
                calls.append((call, counts[call]))
    return calls
