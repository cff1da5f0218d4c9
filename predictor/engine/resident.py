"""One channel's hidden state kept where the next step wants it: a sample's bytes in, its estimate's out."""

import sys
from itertools import pairwise
from typing import Protocol

import numpy as np

from predictor.engine.cells import CELLS
from predictor.engine.products import Workspace
from streamer.messages import FloatArray
from trainer.level import Follower
from trainer.model import ModelConfig

_FLOAT32 = np.dtype("<f4")
NATIVE = sys.byteorder == "little"
"""Whether this machine's floats are laid out as those of the wire, as all but `ResidentState` need them."""


class Runs(Protocol):
    """What steps a model; see `predictor.engine.timescale.Stepper`."""

    def run(self, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]: ...


class Resident(Protocol):
    """Steps one channel sample by sample, to the same bits as `Stepper.run`."""

    def step(self, payload: bytes) -> bytes:
        """Step over a float32 that is a usable number, both ways little-endian."""
        ...

    def state(self) -> FloatArray:
        """Return the state [rows, 1] after the last step, not to be changed; further steps leave it untouched."""
        ...

    def copy_from(self, state: FloatArray) -> None:
        """Go on from `state` [rows]."""
        ...

    def copy_to(self, state: FloatArray) -> None:
        """Write the state after the last step to `state` [rows]."""
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

    def copy_from(self, state: FloatArray) -> None:
        self._state = state[:, None].copy()

    def copy_to(self, state: FloatArray) -> None:
        state[:] = self._state[:, 0]


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

    def step(self, payload: bytes) -> bytes:
        self._entry[:] = payload
        self._fused.dot(self._column, self._gates)
        np.tanh(self._gates, self._hidden)
        self._head.dot(self._top, self._estimate)
        return self._estimate.tobytes()

    def state(self) -> FloatArray:
        return self._hidden[:, None].copy()

    def copy_from(self, state: FloatArray) -> None:
        self._hidden[:] = state

    def copy_to(self, state: FloatArray) -> None:
        state[:] = self._hidden


class Seat(Protocol):
    """Working arrays that hold one channel's state from step to step; many channels take turns.

    Attributes
    ----------
    taken_by : ResidentSeated or None
        Whose state it holds. Who comes next has that one save it, then loads its own; a seat does neither itself.
    """

    taken_by: "ResidentSeated | None"

    def load(self, state: FloatArray) -> None:
        """Take a state [rows, 1]."""
        ...

    def save(self) -> FloatArray:
        """Return a copy of the state [rows, 1]."""
        ...

    def step(self, fused: list[FloatArray], head: FloatArray, payload: bytes) -> bytes:
        """Step over a sample; see `Resident.step`."""
        ...


class ResidentSeated:
    """Of any model. Who steps has its state in the seat until somebody else does.

    Parameters
    ----------
    seat : Seat
        Of the model; its streams share it, for it is larger than a state.
    fused : list of float32 array
        Of each layer.
    head : float32 array
    state : float32 array, shape (rows, 1)
    """

    __slots__ = ("_fused", "_head", "_seat", "_state")

    def __init__(self, seat: Seat, fused: list[FloatArray], head: FloatArray, state: FloatArray) -> None:
        self._seat, self._fused, self._head, self._state = seat, fused, head, state

    def step(self, payload: bytes) -> bytes:
        seat = self._seat
        if seat.taken_by is not self:
            if seat.taken_by is not None:
                seat.taken_by.rise()
            seat.load(self._state)
            seat.taken_by = self
        return seat.step(self._fused, self._head, payload)

    def rise(self) -> None:
        """Leave the seat to somebody else."""
        self._state, self._seat.taken_by = self._seat.save(), None

    def state(self) -> FloatArray:
        return self._seat.save() if self._seat.taken_by is self else self._state

    def copy_from(self, state: FloatArray) -> None:
        self._state = state[:, None].copy()
        if self._seat.taken_by is self:
            self._seat.taken_by = None

    def copy_to(self, state: FloatArray) -> None:
        state[:] = self.state()[:, 0]


class CellSeat:
    """Of recurrent cells, with or without a level.

    Parameters
    ----------
    config : ModelConfig
    """

    def __init__(self, config: ModelConfig) -> None:
        self.taken_by: ResidentSeated | None = None
        workspace = Workspace(1, 1, apart=True)
        sizes = [1] + [config.hidden] * (config.layers - 1)
        self._layers = [CELLS[config.cell](inputs, config.hidden, workspace) for inputs in sizes]
        self._rows = config.state_rows_per_layer
        self._level = Follower(config.level_samples) if config.level_rows else None
        self._scaled: FloatArray = self._layers[0].inputs[0, :, 0]
        self._entry = self._scaled.data.cast("B")
        self._above = [(layer.inputs[0], below.hiddens[0]) for below, layer in pairwise(self._layers)]
        self._top = self._layers[-1].top
        self._estimate = np.empty(len(config.fields), np.float32)

    def load(self, state: FloatArray) -> None:
        if self._level is not None:
            self._level.average, self._level.weight = state[:2, 0]
            state = state[2:]
        for number, layer in enumerate(self._layers):
            layer.load_state(state[number * self._rows : (number + 1) * self._rows])

    def save(self) -> FloatArray:
        level = [] if self._level is None else [self._level.average, self._level.weight]
        state = np.empty((len(level) + self._rows * len(self._layers), 1), np.float32)
        state[: len(level), 0] = level
        for number, layer in enumerate(self._layers):
            first = len(level) + number * self._rows
            layer.save_state(0, state[first : first + self._rows])
        return state

    def step(self, fused: list[FloatArray], head: FloatArray, payload: bytes) -> bytes:
        if self._level is None:
            self._entry[:] = payload
            return self._run(fused, head).tobytes()
        sample = np.frombuffer(payload, np.float32)[0]
        level = self._level.follow(sample)
        self._scaled[...] = sample / level
        estimate = self._run(fused, head)
        np.multiply(estimate, level, estimate)
        return estimate.tobytes()

    def _run(self, fused: list[FloatArray], head: FloatArray) -> FloatArray:
        """Step over what is in the first layer's entry."""
        self._layers[0].step_in_place(fused[0])
        for layer, matrix, (inputs, below) in zip(self._layers[1:], fused[1:], self._above, strict=True):
            inputs[...] = below
            layer.step_in_place(matrix)
        head.dot(self._top, self._estimate)
        return self._estimate
