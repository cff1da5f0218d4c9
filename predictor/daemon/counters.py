"""What has happened to a stream."""

from dataclasses import dataclass, fields

from streamer.ordering.track import OrderCounts
from trainer.state import Tree, value_of


@dataclass(slots=True)
class Counters(OrderCounts):
    """What has happened to a stream since it was first heard, restarts from a kept state included."""

    samples: int = 0
    runs: int = 0
    gaps: int = 0
    gap_samples: int = 0
    hole_samples: int = 0
    """Samples that a former life estimated, and that the hidden state has gone on without since."""
    target_gaps: int = 0
    target_gap_samples: int = 0
    unusable: int = 0
    updates: int = 0

    def state(self) -> Tree:
        """Return what `restore` takes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def restore(self, tree: Tree) -> None:
        """Go on counting from there."""
        for field in fields(self):
            setattr(self, field.name, value_of(tree, field.name, int))
