"""The estimators that are compared: our models, the classical ones and the limit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from classical import epll, kalman_bank, maximum_likelihood, meegkit_phase, sogi_fll
from numpy.typing import NDArray

from predictor.engine.stepper import Engine
from trainer.model_file import load_model

Estimate = Callable[[NDArray[np.float32], float], NDArray[np.complex128]]
"""Inputs [samples, trials], rate (Hz) -> ``A exp(i phase)`` [samples, trials]."""


@dataclass(frozen=True)
class Method:
    """An estimator under its name in the table.

    Parameters
    ----------
    name : str
    estimate : callable
    ours : bool
        One of our models, not a classical estimator.
    """

    name: str
    estimate: Estimate
    ours: bool = False


def model(name_or_path: str) -> Method:
    """Return a model as the daemon runs it: the array engine, every trial a channel from a fresh state.

    A model without an in-phase output (sin) is paired with the input itself.
    """
    loaded = load_model(name_or_path)
    engine = Engine(loaded.config, loaded.weights)

    def estimate(inputs: NDArray[np.float32], rate_hz: float) -> NDArray[np.complex128]:
        del rate_hz  # a network counts samples
        estimates, _ = engine.run(inputs, loaded.initial_state(inputs.shape[1]))
        in_phase = estimates[..., 1] if len(loaded.config.fields) > 1 else inputs
        analytic: NDArray[np.complex128] = estimates[..., 0].astype(complex) + 1j * in_phase
        return analytic

    return Method(loaded.name, estimate, ours=True)


CLASSICAL: Sequence[Method] = (
    Method("SOGI-FLL", sogi_fll.estimate),
    Method("EPLL", epll.estimate),
    Method("Kalman bank", kalman_bank.estimate),
    Method("ML 0.5 s", partial(maximum_likelihood.estimate, window_s=0.5)),
    Method("ML 1 s", partial(maximum_likelihood.estimate, window_s=1.0)),
)

MEEGKIT: Sequence[Method] = (
    Method("ECHT", meegkit_phase.echt),
    Method("ResOsc", meegkit_phase.oscillator),
)
"""Only where meegkit is installed."""
