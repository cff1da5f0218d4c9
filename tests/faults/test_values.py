"""Samples and targets that are no good numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from streamer.messages import Chunk, FloatArray, Info, Kind, Message
from streamer.wire import codec
from tests.support.ear import Ear
from tests.support.fixtures import Inject, Listen
from tests.support.mouth import Mouth
from tests.support.ports import Ports
from tests.support.processes import Starter
from tests.support.scene import Scene, golden, must_equal

BAD = np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 3.4e38], np.float32)
TINY = np.array([1e-40, -1e-45, 1.2e-38, -0.0], np.float32)
COUNT = 500

Spoil = Callable[[FloatArray], FloatArray]


@pytest.mark.parametrize(
    ("model", "learn"),
    [
        ("default", None),
        ("default", "self"),
        ("new", "target"),
        pytest.param("new", None, marks=pytest.mark.release),
        pytest.param("new", "self", marks=pytest.mark.release),
        pytest.param("default", "target", marks=pytest.mark.release),
    ],
)
def test_samples_that_are_no_numbers_leave_estimates_finite_and_are_counted(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject,
    model: str, learn: str | None,
) -> None:  # fmt: skip
    scene = Scene(model=model, learn=learn)
    messages, bad = spoilt(scene.messages(COUNT), Kind.INPUT, rng, some_of(BAD, rng))
    messages, tiny = spoilt(messages, Kind.INPUT, rng, some_of(TINY, rng), share=0.03)
    unusable = sum(int(np.sum(~(np.abs(message.values) <= 1e30))) for message in inputs(messages))
    body = speak(start, ports, listen, scene, {"demo": messages})["demo"].body("demo")
    assert body["unusable"] == unusable > 0
    injected("NaN, Inf, 1e38 and denormals in samples", bad + tiny)


POISONS: dict[str, Spoil] = {
    "nan": lambda values: np.full_like(values, np.nan),
    "1e30": lambda values: np.full_like(values, 1e30),
    "3e38": lambda values: np.full_like(values, 3e38),
    "sign": lambda values: -values,
}


@pytest.mark.parametrize("model", ["new", pytest.param("default", marks=pytest.mark.release)])
def test_a_poisoned_teacher_leaves_estimates_finite(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, model: str
) -> None:
    scene = Scene(model=model, learn="target")
    said, poisoned = {}, 0
    for name, poison in POISONS.items():
        said[name], number = spoilt(scene.messages(COUNT), Kind.TARGET, rng, poison, share=0.5)
        poisoned += number
    ears = speak(start, ports, listen, scene, said)
    for name, ear in ears.items():
        learning = ear.body(name)["learning"]
        assert isinstance(learning, dict)
        assert learning["updates"] + learning["skipped"] >= COUNT // 10 - 1  # the last may still be waiting
    injected("a poisoned teacher (NaN, 1e30, 3e38, turned signs)", poisoned)


def test_a_signal_that_deceives_self_made_labels_leaves_estimates_finite(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject
) -> None:
    """A rhythm that is learnt, and then turns, jumps and drowns."""
    scene = Scene(model="default", learn="self", rate_hz=100.0)
    deceits: list[Spoil] = [
        lambda values: -values,
        lambda values: values * np.float32(1e6),
        lambda values: rng.normal(0, 30, values.shape).astype(np.float32),
    ]
    messages, deceived = scene.messages(1200), 0
    for place, message in enumerate(messages):
        stage, within = divmod(message.seq, 300) if isinstance(message, Chunk) else (0, 300)
        if isinstance(message, Chunk) and message.kind is Kind.INPUT and stage > 0 and within < 150:
            messages[place] = replace(message, values=deceits[stage - 1](message.values))
            deceived += 1
    ear = speak(start, ports, listen, scene, {"demo": messages})["demo"]
    learning = ear.body("demo")["learning"]
    assert isinstance(learning, dict)
    assert learning["method"] == "self"
    injected("a signal that deceives self-made labels", deceived, switches=learning["switches"])


def spoilt(
    messages: Sequence[Message], kind: Kind, rng: np.random.Generator, spoil: Spoil, share: float = 0.1
) -> tuple[list[Message], int]:
    """Change a share of the chunks of a kind; return how many were changed."""
    changed = list(messages)
    places = [place for place, m in enumerate(messages) if isinstance(m, Chunk) and m.kind is kind]
    chosen = [place for place in places if rng.random() < share]
    for place in chosen:
        chunk = messages[place]
        assert isinstance(chunk, Chunk)
        changed[place] = replace(chunk, values=spoil(chunk.values.copy()))
    return changed, len(chosen)


def some_of(numbers: FloatArray, rng: np.random.Generator) -> Spoil:
    return lambda values: rng.choice(numbers, values.shape).astype(np.float32)


def inputs(messages: Sequence[Message]) -> list[Chunk]:
    return [m for m in messages if isinstance(m, Chunk) and m.kind is Kind.INPUT]


def speak(
    start: Starter, ports: Ports, listen: Listen, scene: Scene, said: Mapping[str, Sequence[Message]]
) -> dict[str, Ear]:
    """Say each stream's messages to one predictor, which must answer as its core would, and finitely."""
    source_at, predict_at = ports.address(), ports.address()
    ears = {stream: listen(predict_at, stream=stream) for stream in said}
    with Mouth(source_at) as mouth:
        predict = start(
            "predict", "--source", source_at, "--bind", predict_at, "--wait", len(said), *scene.predict()
        )
        mouth.wait_for_listener()
        renamed = [replace(m, stream=stream) for stream, messages in said.items() for m in messages]
        mouth.say_all(codec.encode(m) for m in renamed if not isinstance(m, Info))
        for stream, ear in ears.items():
            ear.wait_for_all(len(inputs(said[stream])))
        assert predict.stop() == 0
    for stream, ear in ears.items():
        wanted = golden(scene.core(), [m for m in said[stream] if not isinstance(m, Info)])
        assert np.isfinite(wanted.estimates).all()
        must_equal(ear.heard(), wanted)
        ear.wait(lambda ear=ear, stream=stream: ear.next_seqs.get(stream) == ear.next_seq, "the last status")  # type: ignore[misc]
    return ears
