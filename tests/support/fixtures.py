"""What the fixtures of tests/faults are called with."""

from dataclasses import dataclass
from typing import Protocol

from ear import Ear


class Inject(Protocol):
    """Notes for the report what was injected."""

    def __call__(self, fault: str, number: int, **measured: object) -> None: ...


class Listen(Protocol):
    """Opens an ear that is closed after the test."""

    def __call__(self, address: str, **options: object) -> Ear: ...


@dataclass(frozen=True, slots=True)
class Dose:
    """How much of each fault is wanted."""

    name: str

    def pick(self, *, quick: int, release: int) -> int:
        """Return how often a fault is injected."""
        return release if self.name == "release" else quick
