"""A state from other arithmetic is gone on from, and that is said."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.engine.arithmetic import arithmetic, probe
from predictor.state import checkpoint
from streamer.effects import WARNING, Checkpoint, Say
from tests.support.simulation import at, chunk, said
from trainer.model import ModelConfig, new_model
from trainer.state import Tree

MODEL = new_model(ModelConfig("gated", 6), seed=2)
CONFIG = PredictorConfig(checkpoint_every_s=5.0)


def state() -> Tree:
    core = Predictor(MODEL, CONFIG)
    list(core.receive([chunk(0, np.zeros(12))], at(0)))
    (effect,) = [effect for effect in core.stop(at(0)) if isinstance(effect, Checkpoint)]
    return checkpoint.decode(b"".join(checkpoint.encode(effect.head, effect.streams)))


def told(**changes: object) -> list[Say]:
    """What is said at the start of a state whose place was another."""
    tree = state()
    tree["identity"]["arithmetic"].update(changes)
    core = Predictor(MODEL, CONFIG)
    core.restore(tree, at(1))
    first, later = list(core.tick(at(1))), said(core.tick(at(2)))
    assert not [text for text in later if "arithmetic" in text]
    return [one for one in first if isinstance(one, Say) and ("arithmetic" in one.text or "bits" in one.text)]


def test_a_state_of_the_same_place_needs_no_word() -> None:
    assert told() == []


def test_other_bits_are_warned_of_by_what_differs_and_what_that_means() -> None:
    (line,) = told(bits="0" * 64, kernel="Penryn")
    assert line.level == WARNING
    assert f"BLAS kernel Penryn then, {arithmetic(MODEL)['kernel']} now" in line.text
    assert "estimates from here on may differ in their last bits from those of an undisturbed run" in line.text


def test_another_cause_than_any_that_is_named_is_warned_of_too() -> None:
    (line,) = told(bits="0" * 64)
    assert line.level == WARNING
    assert "nothing that can be named" in line.text


def test_another_place_with_the_same_bits_is_mentioned() -> None:
    (line,) = told(numpy="1.0")
    assert line.level < WARNING
    assert "NumPy 1.0 then" in line.text
    assert "the same bits" in line.text


def test_processor_features_are_named_where_they_differ() -> None:
    (line,) = told(features=str(arithmetic(MODEL)["features"]) + " ODD", bits="0")
    assert "processor features ODD then, without now" in line.text


@pytest.mark.parametrize("odd", [None, 5, {}, {"bits": 3}])
def test_a_state_that_does_not_say_is_warned_of(odd: object) -> None:
    tree = state()
    tree["identity"]["arithmetic"] = odd
    core = Predictor(MODEL, CONFIG)
    core.restore(tree, at(1))
    lines = [text for text in said(core.tick(at(1))) if "does not state which arithmetic" in text]
    assert len(lines) == 1


def test_the_probe_is_the_same_each_time_and_the_models_own() -> None:
    assert probe(MODEL) == probe(MODEL)
    assert probe(MODEL) != probe(new_model(ModelConfig("gated", 6), seed=3))


def test_another_kernel_is_seen() -> None:
    """In processes of their own: OpenBLAS chooses its kernel when it is loaded."""
    ask = "from test_arithmetic import MODEL, arithmetic; import json; print(json.dumps(arithmetic(MODEL)))"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    answers = []
    for kernel in ("Prescott", "Haswell"):
        done = subprocess.run(
            [sys.executable, "-c", ask], env=os.environ | {"OPENBLAS_CORETYPE": kernel, "PYTHONPATH": path},
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        answers.append(json.loads(done.stdout))
    if answers[0]["kernel"] == answers[1]["kernel"]:
        pytest.skip("no BLAS here that can be told which kernel to use")
    assert answers[0]["bits"] != answers[1]["bits"]
