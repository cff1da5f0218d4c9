"""What the benchmarks of self-learning share: a frozen model and a learner beside it, over whole records."""

import numpy as np

from predictor.engine.stepper import Engine
from streamer.messages import FloatArray
from trainer.model import Model
from trainer.selfsupervised.learner import SelfLearner


def frozen(model: Model, inputs: FloatArray) -> FloatArray:
    """Return a model's estimates [samples, channels, 2]."""
    estimates, _ = Engine(model.config, model.weights).run(inputs, model.initial_state(inputs.shape[1]))
    return np.ascontiguousarray(estimates)


def served(inputs: FloatArray, rate_hz: float, champion: FloatArray, learner: SelfLearner) -> FloatArray:
    """Return what a self-learning stream publishes [samples, channels, 2].

    Parameters
    ----------
    inputs : float32 array, shape (samples, channels)
    rate_hz : float
    champion : float32 array, shape (samples, channels, 2)
        The frozen model's estimates.
    learner : SelfLearner
        Is started anew.
    """
    learner.restart(inputs.shape[1], rate_hz, 0)
    published, first = [], 0
    while first < len(inputs):
        while learner.learn():
            pass
        end = first + learner.room
        published.append(learner.answer(inputs[first:end], champion[first:end]))
        first = end
    return np.concatenate(published)
