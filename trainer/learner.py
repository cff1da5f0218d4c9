"""What the daemon asks of a learner, whatever its method; knows no torch."""

from typing import Protocol

from streamer.messages import FloatArray
from trainer.labels import Window
from trainer.model import Weights
from trainer.state import Tree


class Schedule(Protocol):
    """When a learner wants windows, and how long."""

    @property
    def window_samples(self) -> int: ...
    @property
    def stride_samples(self) -> int: ...


class Learner(Protocol):
    """Learns one stream's weights from its windows."""

    loss: float | None
    skipped: int

    @property
    def config(self) -> Schedule: ...

    @property
    def weights(self) -> Weights:
        """A copy of what has been learnt so far."""
        ...

    @property
    def hidden(self) -> FloatArray:
        """The hidden state [rows, channels] before the next window."""
        ...

    def state(self) -> Tree:
        """Return what to go on from."""
        ...

    def restore(self, tree: Tree) -> None:
        """Go on from what `state` returned."""
        ...

    def restart(self, state: FloatArray) -> None:
        """Go on from a hidden state [rows, channels]."""
        ...

    def learn(self, window: Window) -> Weights | None:
        """Make one update; return the new weights, or None if this window taught nothing."""
        ...
