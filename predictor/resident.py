"""One channel's hidden state kept where the next step wants it: a sample's bytes in, its estimate's out."""

import sys
from typing import Protocol

import numpy as np

from streamer.messages import FloatArray

_FLOAT32 = np.dtype("<f4")


class Runs(Protocol):
    """What steps a model; see `predictor.timescale.Stepper`."""

    def run(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]: ...


class Resident(Protocol):
    """Steps one channel sample by sample, to the same bits as `Stepper.run`."""

    def step(self, payload: bytes) -> bytes:
        """Step over a float32 that is a usable number, both ways little-endian."""
        ...

    def state(self) -> FloatArray:
        """Return the state [rows, 1] after the last step; further steps leave it untouched."""
        ...

    def load(self, state: FloatArray) -> None:
        """Go on from `state` [rows, 1], which is not touched again by anybody else."""
        ...


class ResidentState:
    """Of any model, by way of what steps it.

    Parameters
    ----------
    stepper : Stepper
    state : float32 array, shape (rows, 1)
    """

    __slots__ = ("_state", "_stepper")

    def __init__(self, stepper: Runs, state: FloatArray) -> None:
        self._stepper = stepper
        self._state = state

    def step(self, payload: bytes) -> bytes:
        inputs: FloatArray = np.ndarray((1, 1), _FLOAT32, payload)
        estimates, self._state = self._stepper.run(inputs, self._state)
        return estimates.tobytes()

    def state(self) -> FloatArray:
        return self._state

    def load(self, state: FloatArray) -> None:
        self._state = state


class ResidentRnn:
    """Of one layer of tanh units: h = tanh(W [x; h; 1]), in place, and the head over [h; 1].

    Parameters
    ----------
    fused : float32 array, shape (hidden, 1 + hidden + 1)
    head : float32 array, shape (fields, hidden + 1)
    state : float32 array, shape (hidden, 1)
    """

    __slots__ = ("_column", "_entry", "_estimate", "_fused", "_gates", "_head", "_hidden", "_top")

    def __init__(self, fused: FloatArray, head: FloatArray, state: FloatArray) -> None:
        self._fused, self._head = fused, head
        self._column: FloatArray = np.concatenate([[0], state[:, 0], [1]], dtype=np.float32)
        self._hidden, self._top = self._column[1:-1], self._column[1:]
        self._entry = self._column.data[:1].cast("B")
        self._gates = np.empty(len(state), np.float32)
        self._estimate = np.empty(len(head), np.float32)

    @staticmethod
    def possible() -> bool:
        """Whether this machine's floats are laid out as those of the wire."""
        return sys.byteorder == "little"

    def step(self, payload: bytes) -> bytes:
        self._entry[:] = payload
        self._fused.dot(self._column, self._gates)
        np.tanh(self._gates, self._hidden)
        self._head.dot(self._top, self._estimate)
        return self._estimate.tobytes()

    def state(self) -> FloatArray:
        return self._hidden[:, None].copy()

    def load(self, state: FloatArray) -> None:
        self._hidden[:] = state[:, 0]
