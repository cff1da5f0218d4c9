"""Power cuts of a real file system under source and predictor, heard by somebody who had none.

The file system is shut down as the tests of its developers do it (the ioctl behind `godown` of xfstests, its log
not flushed), the processes are killed, and it is mounted again: what had not been forced to disk is gone.
"""

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.ear import Ear
from tests.support.fixtures import Dose, Inject, Listen
from tests.support.ports import Ports
from tests.support.processes import Starter
from tests.support.scene import Scene, must_keep_the_promise

SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125  # FS_IOC_SHUTDOWN
WITHOUT_LOG_FLUSH = 2
MIB = {"ext4": 64, "xfs": 320}


class Volume:
    """A file system in a file."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.path = folder / "volume"
        self._image = folder / "image"
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(MIB[kind] * 2**20)
        _run(f"mkfs.{kind}", "-q", str(self._image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.path))

    def mount_again(self) -> None:
        """Start again with what is on the disk: with a copy, for somebody may still hold what was shut down."""
        _run("umount", "-l", str(self.path))
        after = self._image.with_name(f"{self._image.name}-after")
        _run("cp", "--sparse=always", str(self._image), str(after))
        self._image.unlink()
        self._image = after
        self.mount()

    def cut(self) -> None:
        """From now on nothing reaches the disk, nor what was to."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        finally:
            os.close(descriptor)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture(params=["ext4", "xfs"])
def volume(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Volume]:
    kind = request.param
    if os.geteuid() or shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"needs root and mkfs.{kind}")
    try:
        volume = Volume(tmp_path, kind)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no file system may be mounted here: {error.stderr.decode().strip()}")
    yield volume
    subprocess.run(["umount", "-l", str(volume.path)], capture_output=True, check=False)


@pytest.mark.release
@pytest.mark.timeout(900)
@pytest.mark.parametrize("learn", [None, "target"])
def test_after_power_cuts_every_sample_has_the_estimate_of_an_undisturbed_run(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, dose: Dose,
    volume: Volume, request: pytest.FixtureRequest, learn: str | None,
) -> None:  # fmt: skip
    scene = Scene(learn=learn, seed=int(rng.integers(1000)), target_delay=7)
    source_at, predict_at = ports.address(), ports.address()
    ear: Ear = listen(predict_at)
    recoveries_s: list[float] = []
    cuts = dose.pick(quick=1, release=5)
    for number in range(cuts + 1):
        source = start(
            "source", "--bind", source_at, "--wait", "--journal", volume.path / "journal", "--linger", 600,
            "--retain", 600, *scene.source(),
        )  # fmt: skip
        predict = start(
            "predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict(),
            "--state-dir", volume.path / "state", "--checkpoint-every", 0.2,
        )  # fmt: skip
        recoveries_s.append(ear.wait_for_seq(ear.next_seq + 1))
        ear.wait_for_seq(ear.next_seq + int(rng.integers(1, 1500)))
        if number == cuts:
            break
        time.sleep(rng.uniform(0, 0.01))
        for process in (source, predict):
            process.process.send_signal(signal.SIGSTOP)
        volume.cut()
        for process in (source, predict):
            assert process.stop(signal.SIGKILL) == -signal.SIGKILL
        volume.mount_again()
    count = ear.next_seq
    must_keep_the_promise(ear, scene, count)
    assert len(ear.runs) == 1
    for process in (predict, source):
        assert process.stop() == 0
    kind = request.node.callspec.params["volume"]
    injected(f"power cut of {kind} under source and predictor, {learn or 'not learning'}", cuts, estimates=count,
             recovery_s_max=round(max(recoveries_s[1:]), 2), said_again=ear.repeated)  # fmt: skip
