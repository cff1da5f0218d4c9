"""Signals in numbers."""

import signal
from pathlib import Path

import numpy as np

from predictor.api.settings import choose_model
from tests.support.fixtures import Dose, Inject, Listen
from tests.support.ports import Ports
from tests.support.processes import Starter
from tests.support.scene import Scene, must_keep_the_promise
from trainer.model_file import save_model

HARMLESS = [signal.SIGCONT, signal.SIGWINCH, signal.SIGURG, signal.SIGCHLD]


def test_a_storm_of_signals_costs_no_sample_and_ends_with_exit_code_0(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, dose: Dose,
    tmp_path: Path,
) -> None:  # fmt: skip
    """At each SIGHUP the model is read again: the same one, or a file that is damaged at that moment."""
    number = dose.pick(quick=300, release=3000)
    path = tmp_path / "model.safetensors"
    save_model(choose_model("new", {"cell": None, "hidden": None, "layers": None}, None), path)
    content = path.read_bytes()
    scene = Scene(model=str(path), learn="target")
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    source = start("source", "--bind", source_at, "--wait", "--linger", 60, *scene.source())
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict())
    ear.wait_for_seq(10)
    for place in range(number):
        if place % 10 == 0:
            path.write_bytes(content if place % 20 else content[: int(rng.integers(len(content)))])
            ear.wait_for_seq(ear.next_seq + 5)
        source.process.send_signal(rng.choice(HARMLESS))
        predict.process.send_signal(rng.choice([*HARMLESS, signal.SIGHUP]))
    path.write_bytes(content)
    predict.process.send_signal(signal.SIGHUP)
    predict.says("not reloaded")
    predict.says("nothing new")
    count = ear.next_seq
    ear.wait_for_seq(count + 100)
    must_keep_the_promise(ear, scene, count)
    for command in (predict, source):
        for _ in range(20):
            command.process.send_signal(rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGCONT]))
        assert command.stop() == 0
    injected("signals to source and predictor, SIGHUP with whole and damaged model files among them", 2 * number)
