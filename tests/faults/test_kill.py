"""kill -9 of predictor and source at random instants."""

import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.ear import Ear
from tests.support.fixtures import Dose, Inject, Listen
from tests.support.ports import Ports
from tests.support.processes import Command, Starter
from tests.support.scene import Scene, must_keep_the_promise

EVERY_S = 0.2  # between checkpoints
GAP = re.compile(r"(\d+) to (\d+)(?=[ ,].*did not come)")


@pytest.mark.parametrize(
    ("learn", "state", "quick", "release"),
    [
        (None, True, 1, 15),
        ("target", True, 2, 20),
        pytest.param("self", True, 0, 10, marks=pytest.mark.release),
        pytest.param("target", False, 0, 5, marks=pytest.mark.release),
    ],
)
def test_a_predictor_killed_at_random_instants_publishes_what_an_undisturbed_one_would(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, dose: Dose,
    tmp_path: Path, learn: str | None, state: bool, quick: int, release: int,
) -> None:  # fmt: skip
    """Without a state folder, too, as long as the source has kept the run from its first sample on."""
    scene = Scene(model="default" if learn == "self" else "new", learn=learn, seed=int(rng.integers(1000)))
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    folder = ["--state-dir", tmp_path / "state", "--checkpoint-every", EVERY_S] if state else []
    kills = dose.pick(quick=quick, release=release)
    source = start(
        "source",
        "--bind",
        source_at,
        "--wait",
        "--retain",
        600,
        "--retain-mb",
        200,
        "--linger",
        600,
        *scene.source(),
    )
    predict = predictor(start, source_at, predict_at, scene, *folder)
    lives, recoveries_s = [predict], []
    for _ in range(kills):
        ear.wait_for_seq(ear.next_seq + int(rng.integers(1, 500)))
        time.sleep(rng.uniform(0, 0.01))  # so that it does not always die just after an estimate
        kill(predict)
        before = ear.next_seq
        predict = predictor(start, source_at, predict_at, scene, *folder)
        lives.append(predict)
        recoveries_s.append(ear.wait_for_seq(before))
    finish(ear, scene, 100)
    for command in (predict, source):
        assert command.stop() == 0
    resumed = sum(any("continuing from the checkpoint" in line for line in life.log) for life in lives)
    assert resumed <= (kills if state else 0)
    assert resumed or not state or kills < 4  # who is killed at once has left no state
    what = f"kill -9 of the predictor, {f'--learn {learn}' if learn else 'not learning'}"
    injected(what + ("" if state else ", without a state folder"), kills, **recovered(recoveries_s),
             resumed=resumed, estimates=ear.next_seq, said_again=ear.repeated)  # fmt: skip


@pytest.mark.parametrize("learn", [None, "target"])
def test_a_source_killed_at_random_instants_goes_on_in_the_same_run(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, dose: Dose,
    tmp_path: Path, learn: str | None,
) -> None:  # fmt: skip
    scene = Scene(learn=learn, seed=int(rng.integers(1000)), target_delay=7)
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    kills = dose.pick(quick=1, release=10)
    arguments = ("--bind", source_at, "--wait", "--journal", tmp_path / "journal", "--linger", 600)
    source = start("source", *arguments, *scene.source())
    predict = predictor(start, source_at, predict_at, scene)
    recoveries_s = []
    for _ in range(kills):
        ear.wait_for_seq(ear.next_seq + int(rng.integers(1, 500)))
        time.sleep(rng.uniform(0, 0.01))
        kill(source)
        before = ear.next_seq
        source = start("source", *arguments, *scene.source())
        recoveries_s.append(ear.wait_for_seq(before))
    assert len(ear.runs) == 1
    finish(ear, scene, 100)
    for command in (predict, source):
        assert command.stop() == 0
    what = f"kill -9 of the source, {f'--learn {learn}' if learn else 'not learning'}"
    injected(what, kills, **recovered(recoveries_s), estimates=ear.next_seq)


def test_both_killed_at_once_lose_nothing_that_was_published(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, dose: Dose,
    tmp_path: Path,
) -> None:  # fmt: skip
    scene = Scene(learn="target", seed=int(rng.integers(1000)))
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    kills = dose.pick(quick=1, release=5)
    arguments = ("--bind", source_at, "--wait", "--journal", tmp_path / "journal", "--linger", 600)
    folder = ("--state-dir", tmp_path / "state", "--checkpoint-every", EVERY_S)
    recoveries_s = []
    for _ in range(kills):
        source = start("source", *arguments, *scene.source())
        predict = predictor(start, source_at, predict_at, scene, *folder)
        recoveries_s.append(ear.wait_for_seq(ear.next_seq))
        ear.wait_for_seq(ear.next_seq + int(rng.integers(1, 500)))
        kill(source)
        kill(predict)
    source = start("source", *arguments, *scene.source())
    predict = predictor(start, source_at, predict_at, scene, *folder)
    recoveries_s.append(ear.wait_for_seq(ear.next_seq))
    finish(ear, scene, 100)
    for command in (predict, source):
        assert command.stop() == 0
    injected("kill -9 of source and predictor together", kills, **recovered(recoveries_s[1:]))


@pytest.mark.parametrize(
    "learn",
    [None, pytest.param("target", marks=pytest.mark.release), pytest.param("self", marks=pytest.mark.release)],
)
def test_a_predictor_killed_before_a_source_that_forgets_says_nothing_twice_otherwise(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, dose: Dose,
    tmp_path: Path, learn: str | None,
) -> None:  # fmt: skip
    """The source keeps 3 s, and the last state is older: the hidden state has a hole, and that is no gap."""
    scene = Scene(rate_hz=200.0, learn=learn, seed=int(rng.integers(1000)))
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    source = start("source", "--bind", source_at, "--wait", "--retain", 3, "--linger", 600, *scene.source())
    folder = ("--state-dir", tmp_path / "state", "--checkpoint-every", 600, "--gap-deadline", 60)
    predict = predictor(start, source_at, predict_at, scene, *folder)
    kills = dose.pick(quick=1, release=3)
    lines: list[str] = []
    for _ in range(kills):
        ear.wait_for_seq(ear.next_seq + 5 * int(scene.rate_hz))
        kill(predict)
        lines += predict.log
        before = ear.next_seq
        predict = predictor(start, source_at, predict_at, scene, *folder)
        ear.wait_for_seq(before + int(scene.rate_hz))
    ear.wait(
        lambda: int(str(ear.body("demo").get("hole_samples", 0))) > 0, "a hole in the hidden state", provoke=True
    )
    for command in (predict, source):
        assert command.stop(within_s=30) == 0
    lines += predict.log
    assert not ear.contradictions, f"said again otherwise: {ear.contradictions[:5]}"
    heard = set(ear.heard())
    gaps = [
        range(int(first), int(last) + 1)
        for line in lines
        if "GAP: samples" in line
        for first, last in GAP.findall(line)
    ]
    both = sorted(heard & {seq for gap in gaps for seq in gap})
    assert not both, f"estimated, and said to be missing: {both[:5]}"
    untold = sorted(set(range(ear.next_seq)) - heard - {seq for gap in gaps for seq in gap})
    assert len(untold) <= 5 * kills, "no more than what died on its way out"
    injected(f"kill -9 of the predictor, the source keeps 3 s, {learn or 'not learning'}", kills,
             estimates=ear.next_seq, lost_on_the_way_out=len(untold))  # fmt: skip


def predictor(start: Starter, source_at: str, predict_at: str, scene: Scene, *more: object) -> Command:
    """Start a predictor that waits for its listener."""
    return start("predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict(), *more)


def kill(command: Command) -> None:
    """Kill a process, and see it dead."""
    assert command.stop(signal.SIGKILL) == -signal.SIGKILL


def finish(ear: Ear, scene: Scene, more: int) -> None:
    """Hear some more, and hold everything against the promise."""
    ear.wait_for_seq(ear.next_seq + more)
    count = ear.next_seq
    must_keep_the_promise(ear, scene, count)
    assert ear.out_of_order == 0


def recovered(recoveries_s: list[float]) -> dict[str, object]:
    return {
        "recovery_s_median": round(float(np.median(recoveries_s)), 2),
        "recovery_s_max": round(max(recoveries_s), 2),
    }
