"""What has happened to a stream."""

from dataclasses import dataclass


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
