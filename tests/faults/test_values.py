"""Samples and targets that are no good numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from ear import Ear
from fixtures import Inject, Listen
from mouth import Mouth
from ports import Ports
from processes import Starter
from scene import Scene, golden, must_equal

from streamer import wire
from streamer.messages import Chunk, FloatArray, Kind, Message

BAD = np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 3.4e38], np.float32)
TINY = np.array([1e-40, -1e-45, np.float32(1.2e-38), -0.0], np.float32)
COUNT = 600


def spoilt(
    messages: Sequence[Message], kind: Kind, rng: np.random.Generator, spoil: Callable[[FloatArray], FloatArray],
    share: float = 0.1,
) -> tuple[list[Message], int]:  # fmt: skip
    """Change a share of the chunks of a kind; return how many were changed."""
    number = 0
    changed: list[Message] = []
    for message in messages:
        if isinstance(message, Chunk) and message.kind is kind and rng.random() < share:
            number += 1
            message = replace(message, values=spoil(message.values.copy()))
        changed.append(message)
    return changed, number


def burst_of(numbers: FloatArray, rng: np.random.Generator) -> Callable[[FloatArray], FloatArray]:
    return lambda values: rng.choice(numbers, values.shape).astype(np.float32)


@pytest.mark.parametrize("model", ["new", "default"])
@pytest.mark.parametrize("learn", [None, "target", "self"])
def test_samples_that_are_no_numbers_leave_the_estimates_finite_and_are_counted(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject,
    model: str, learn: str | None,
) -> None:  # fmt: skip
    scene = Scene(model=model, learn=learn)
    messages, bad = spoilt(scene.messages(COUNT), Kind.INPUT, rng, burst_of(BAD, rng))
    messages, tiny = spoilt(messages, Kind.INPUT, rng, burst_of(TINY, rng), share=0.03)
    unusable = sum(int(np.sum(~(np.abs(m.values) <= 1e30))) for m in inputs(messages))
    ear = speak(start, ports, listen, scene, messages)
    wanted = golden(scene.core(), messages)
    assert np.isfinite(wanted.estimates).all()
    must_equal(ear.heard(), wanted)
    assert ear.wait_for_status("demo")["unusable"] == unusable > 0
    injected("NaN, Inf, 1e38 and denormals in samples", bad + tiny)


POISONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "NaN": lambda values: np.full_like(values, np.nan),
    "1e30": lambda values: np.full_like(values, 1e30),
    "3e38": lambda values: np.full_like(values, 3e38),
    "sign": lambda values: -values,
}


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("model", ["new", "default"])
def test_a_poisoned_teacher_leaves_the_estimates_finite(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject,
    model: str, poison: str,
) -> None:  # fmt: skip
    scene = Scene(model=model, learn="target")
    messages, poisoned = spoilt(scene.messages(COUNT), Kind.TARGET, rng, POISONS[poison], share=0.5)
    ear = speak(start, ports, listen, scene, messages)
    wanted = golden(scene.core(), messages)
    assert np.isfinite(wanted.estimates).all()
    must_equal(ear.heard(), wanted)
    learning = ear.wait_for_status("demo")["learning"]
    assert isinstance(learning, dict)
    if poison == "NaN":
        assert learning["skipped"] > 0
    injected(f"a poisoned teacher ({poison})", poisoned)


def test_a_signal_that_deceives_self_made_labels_leaves_the_estimates_finite_and_guarded(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject
) -> None:
    """A rhythm that is learnt, and then turns, jumps and drowns."""
    scene = Scene(model="default", learn="self", rate_hz=100.0)
    deceits: list[Callable[[FloatArray], FloatArray]] = [
        lambda values: -values,
        lambda values: values * np.float32(1e6),
        lambda values: rng.normal(0, 30, values.shape).astype(np.float32),
    ]
    messages, deceived = scene.messages(4000), 0
    for number, deceit in enumerate(deceits):
        first = 1000 * (number + 1)
        for place, message in enumerate(messages):
            if isinstance(message, Chunk) and message.kind is Kind.INPUT and first <= message.seq < first + 500:
                messages[place] = replace(message, values=deceit(message.values))
                deceived += 1
    ear = speak(start, ports, listen, scene, messages)
    wanted = golden(scene.core(), messages)
    assert np.isfinite(wanted.estimates).all()
    must_equal(ear.heard(), wanted)
    learning = ear.wait_for_status("demo")["learning"]
    assert isinstance(learning, dict)
    assert learning["method"] == "self"
    injected("a signal that deceives self-made labels", deceived)


def inputs(messages: Sequence[Message]) -> list[Chunk]:
    return [m for m in messages if isinstance(m, Chunk) and m.kind is Kind.INPUT]


def speak(start: Starter, ports: Ports, listen: Listen, scene: Scene, messages: Sequence[Message]) -> Ear:
    """Say messages to a predictor; return who has heard every estimate of them."""
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    with Mouth(source_at) as mouth:
        predict = start("predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict())
        mouth.wait_for_listener()
        mouth.say_all(wire.encode(message) for message in messages)
        ear.wait_for_all(len(inputs(messages)))
        ear.wait_for_status("demo")
        assert predict.process.poll() is None
    return ear
