"""Clocks that jump: the wall clock decides what is said of time, and nothing else."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from streamer.clock import Instant
from streamer.effects import Send
from streamer.messages import Chunk
from tests.support.ear import Ear
from tests.support.fixtures import Inject, Listen
from tests.support.ports import Ports
from tests.support.processes import Starter
from tests.support.scene import Scene, must_equal, must_keep_the_promise
from tests.support.simulation import WALL_NS, at

COUNT = 500
JUMPS_S = (-3600.0, 3600.0, -86_400.0 * 365 * 30, 86_400.0 * 365 * 30, -0.5, 0.5)

# Adds to the wall clock as many seconds as the file says, which is looked at a thousand times a second at most.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    static __thread long seen_ms = -1, seconds;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (result == 0 && id == CLOCK_REALTIME) {
        struct timespec mono;
        real(CLOCK_MONOTONIC, &mono);
        long ms = mono.tv_sec * 1000 + mono.tv_nsec / 1000000;
        if (ms != seen_ms) {
            FILE *file = fopen(getenv("SINCOS_TEST_JUMP"), "r");
            seen_ms = ms;
            if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
        }
        now->tv_sec += seconds;
    }
    return result;
}
"""


@pytest.mark.parametrize("learn", [None, "target", "self"])
def test_jumps_of_the_wall_clock_change_no_estimate_of_the_core(
    rng: np.random.Generator, injected: Inject, learn: str | None
) -> None:
    scene = Scene(learn=learn)
    wanted = scene.golden(COUNT)
    core = scene.core()
    wall_ns, jumps, estimates = WALL_NS, 0, []
    for number, message in enumerate(scene.messages(COUNT)):
        if rng.random() < 0.02:
            wall_ns = WALL_NS + round(1e9 * rng.choice(JUMPS_S))
            jumps += 1
        now = Instant(at(number / 1000).mono_ns, wall_ns)
        effects = [*core.receive([message], now), *core.tick(now)]
        estimates += [e.message.values for e in effects if isinstance(e, Send) and isinstance(e.message, Chunk)]
    np.testing.assert_array_equal(np.concatenate(estimates), wanted.estimates)
    injected("jumps of the wall clock, on the core", jumps)


@pytest.fixture
def shim(tmp_path: Path) -> tuple[Path, Path]:
    """A library that makes the wall clock jump, and the file that says by how many seconds."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the clock that jumps")
    source, library, jump = tmp_path / "clock.c", tmp_path / "clock.so", tmp_path / "jump"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    jump.write_text("0")
    return library, jump


def test_jumps_of_the_wall_clock_lose_no_sample_and_change_no_bit(
    start: Starter,
    ports: Ports,
    listen: Listen,
    injected: Inject,
    shim: tuple[Path, Path],
) -> None:
    library, jump = shim
    scene = Scene(learn="target")
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    environment = {"LD_PRELOAD": str(library), "SINCOS_TEST_JUMP": str(jump)}
    source = start(
        "source", "--bind", source_at, "--wait", "--linger", 60, *scene.source(), environment=environment
    )
    predict = start(
        "predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict(), environment=environment
    )
    ear.wait_for_seq(100)
    for seconds in (3600, -7200, 20 * 365 * 86_400):
        jump.write_text(str(seconds))
        _wait_for_wall_clock(ear, seconds)
        ear.wait_for_seq(ear.next_seq + 100)
    count = ear.next_seq
    must_keep_the_promise(ear, scene, count)
    injected("jumps of the wall clock, source and predictor", 3)
    for command in (predict, source):
        assert command.stop() == 0
    must_equal({seq: said for seq, said in ear.heard().items() if seq < count}, scene.golden(count))


def _wait_for_wall_clock(ear: Ear, seconds: int) -> None:
    """Wait until a status shows that the predictor's clock has jumped so far from ours."""
    ear.wait(lambda: abs(ear.status_ahead_s - seconds) < 60, f"a status {seconds} s ahead", provoke=True)
