"""What has happened to a stream."""

from dataclasses import asdict, dataclass, fields

from trainer.state import Tree, value_of


@dataclass(slots=True)
class Counters:
    """What has happened to a stream since the predictor started."""

    samples: int = 0
    runs: int = 0
    gaps: int = 0
    gap_samples: int = 0
    duplicates: int = 0
    unusable: int = 0
    refused: int = 0
    updates: int = 0

    def state(self) -> Tree:
        """Return what `restore` takes."""
        return asdict(self)

    def restore(self, tree: Tree) -> None:
        """Go on counting from there."""
        for field in fields(self):
            setattr(self, field.name, value_of(tree, field.name, int))
