"""What the daemon asks of a learner, whatever its method; knows no torch."""

from collections.abc import Generator
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


Study = Generator[bool, None, Weights | None]
"""An update in parts, for who has other things to do in between.

Each part but the last yields whether the next one is the last; the last returns the new weights, or None if the
window taught nothing.
"""


def last_of(study: Study) -> Weights | None:
    """Do what is left of an update; return what it returns."""
    while True:
        try:
            next(study)
        except StopIteration as done:
            weights: Weights | None = done.value
            return weights


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

    def study(self, window: Window) -> Study:
        """Begin an update. Nothing of the learner changes before its last part."""
        ...
