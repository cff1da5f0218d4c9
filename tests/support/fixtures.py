"""What the fixtures of tests/faults are called with."""

from typing import Protocol

from tests.support.dose import Dose
from tests.support.ear import Ear

__all__ = ["Dose", "Inject", "Listen"]


class Inject(Protocol):
    """Notes for the report what was injected."""

    def __call__(self, fault: str, number: int, **measured: object) -> None: ...


class Listen(Protocol):
    """Opens an ear that is closed after the test."""

    def __call__(self, address: str, **options: object) -> Ear: ...
