"""Signals in numbers."""

import signal

import numpy as np
from fixtures import Dose, Inject, Listen
from ports import Ports
from processes import Starter
from scene import Scene, must_keep_the_promise

HARMLESS = [signal.SIGCONT, signal.SIGWINCH, signal.SIGURG, signal.SIGCHLD]


def test_a_storm_of_signals_costs_no_sample_and_ends_with_exit_code_0(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, dose: Dose
) -> None:
    """The model is read again at each SIGHUP: the same file, so the same bits."""
    number = dose.pick(quick=300, release=3000)
    scene = Scene(model="default", learn="self")
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    source = start("source", "--bind", source_at, "--wait", "--linger", 60, *scene.source())
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict())
    ear.wait_for_seq(10)
    for place in range(number):
        source.process.send_signal(rng.choice(HARMLESS))
        predict.process.send_signal(rng.choice([*HARMLESS, signal.SIGHUP]))
        if place % 10 == 0:
            ear.wait_for_seq(ear.next_seq + 5)
    count = ear.next_seq
    ear.wait_for_seq(count + 100)
    must_keep_the_promise(ear, scene, count)
    for command in (predict, source):
        for _ in range(20):
            command.process.send_signal(rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGCONT]))
        command.process.send_signal(signal.SIGTERM)
        command.process.wait(30)
        assert command.process.returncode == 0
    injected("signals to source and predictor, SIGHUP to the predictor among them", 2 * number)
    assert "the model" in "\n".join(predict.log) or predict.says("reloaded|model")
