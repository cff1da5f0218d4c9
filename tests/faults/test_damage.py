"""State files that hold other bytes than were written: each byte turned, each length cut."""

import signal
from pathlib import Path

import numpy as np
import pytest

from predictor.state import checkpoint
from streamer.effects import Checkpoint
from streamer.errors import FileError, StateError
from tests.support.ear import Ear
from tests.support.fixtures import Dose, Inject, Listen
from tests.support.ports import Ports
from tests.support.processes import Command, Starter
from tests.support.scene import Scene, must_keep_the_promise
from tests.support.simulation import at

COUNT = 100


@pytest.fixture(scope="module")
def content() -> bytes:
    """A state as the daemon writes it, of a stream that learns."""
    scene = Scene(learn="target")
    core = scene.core(checkpoint_every_s=1.0)
    for message in scene.messages(COUNT):
        list(core.receive([message], at(0)))
    (last,) = (effect for effect in core.stop(at(1)) if isinstance(effect, Checkpoint))
    return b"".join(checkpoint.encode(last.head, last.streams))


def test_a_state_with_any_byte_changed_is_refused(
    content: bytes, rng: np.random.Generator, injected: Inject, dose: Dose
) -> None:
    bits_of_each = dose.pick(quick=1, release=8)
    for place in range(len(content)):
        for bit in rng.permutation(8)[:bits_of_each]:
            damaged = bytearray(content)
            damaged[place] ^= 1 << int(bit)
            refused(bytes(damaged), f"bit {bit} of byte {place} turned")
    injected(
        "a state file with one bit turned, at every byte", len(content) * bits_of_each, file_bytes=len(content)
    )


def test_a_state_cut_at_any_byte_is_refused(content: bytes, injected: Inject) -> None:
    for place in range(len(content)):
        refused(content[:place], f"cut at {place}")
    injected("a state file cut short, at every byte", len(content))


def refused(damaged: bytes, what: str) -> None:
    try:
        checkpoint.decode(damaged)
    except (FileError, StateError):
        return
    raise AssertionError(f"taken as whole: {what}")


@pytest.mark.parametrize("whole", [2, *(pytest.param(n, marks=pytest.mark.release) for n in (1, 0))])
def test_a_daemon_passes_over_damaged_states_and_says_so(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, tmp_path: Path,
    whole: int,
) -> None:  # fmt: skip
    """Without a whole one it starts afresh, and the source says everything again."""
    scene = Scene(learn="target")
    source_at, predict_at, folder = ports.address(), ports.address(), tmp_path / "state"
    ear = listen(predict_at)
    source = start("source", "--bind", source_at, "--wait", "--retain", 600, "--linger", 600, *scene.source())

    def predictor() -> Command:
        return start(
            "predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict(),
            "--state-dir", folder, "--checkpoint-every", 0.1,
        )  # fmt: skip

    predict = predictor()
    ear.wait(lambda: number_of_states(ear) >= 3, "three states", provoke=True)
    predict.stop(signal.SIGKILL)
    states = sorted(folder.glob("state-*.safetensors"))
    assert len(states) in (3, 4)  # killed before the oldest was removed
    for path in states[whole:]:
        damage(path, rng)
    before = ear.next_seq
    predict = predictor()
    ear.wait_for_seq(before + 50)
    must_keep_the_promise(ear, scene, ear.next_seq)
    for command in (predict, source):
        assert command.stop() == 0
    said = [line for line in predict.log if "damaged" in line or "cut off" in line]
    assert len(said) >= len(states) - whole
    injected("a state folder with damaged files, restarted from", len(states) - whole)


def number_of_states(ear: Ear) -> int:
    said = ear.bodies.get("", {}).get("checkpoint")
    return int((said["seq"] if isinstance(said, dict) else 0) or 0)


def damage(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    if rng.random() < 0.5:
        content[place] ^= 1 << int(rng.integers(8))
    else:
        del content[place:]
    path.write_bytes(content)
