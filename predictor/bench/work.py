"""The arithmetic by itself, without sockets: what a benchmark calls again and again."""

from collections.abc import Callable

import numpy as np

from predictor.engine.stepper import Engine
from trainer.labels import Window
from trainer.model import Model
from trainer.online.tbptt import OnlineConfig, OnlineLearner

Work = Callable[[], object]


def steps(model: Model, channels: int, samples: int = 1) -> Work:
    """Return what estimates `samples` samples of one stream of `channels`."""
    engine = Engine(model.config, model.weights)
    inputs = np.random.default_rng(0).normal(size=(samples, channels)).astype(np.float32)
    state = model.initial_state(channels)
    return lambda: engine.run(inputs, state)


def bare_step(rows: int, columns: int, channels: int) -> Work:
    """Return NumPy's own product and tanh, of the size of a tanh layer's step: what no engine can beat."""
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(rows, columns)).astype(np.float32)
    inputs = generator.normal(size=(columns, channels)).astype(np.float32)
    out = np.empty((rows, channels), np.float32)

    def step() -> None:
        np.dot(matrix, inputs, out)
        np.tanh(out, out)

    return step


def update(model: Model, window_samples: int = 10, channels: int = 1) -> Work:
    """Return what makes one learning update from a window."""
    config = OnlineConfig(window_samples=window_samples, stride_samples=window_samples)
    learner = OnlineLearner(model, config)
    phase = 0.3 * np.arange(window_samples)[:, None] + np.arange(channels)
    targets = np.repeat(np.cos(phase)[:, :, None], len(model.config.fields), axis=2).astype(np.float32)
    window = Window(0, np.sin(phase).astype(np.float32), targets)
    learner.restart(model.initial_state(channels))
    return lambda: learner.learn(window)
