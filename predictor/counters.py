"""What has happened to a stream."""

from dataclasses import dataclass

from streamer.ordering import OrderCounts


@dataclass(slots=True)
class Counters(OrderCounts):
    """What has happened to a stream since the predictor started."""

    samples: int = 0
    runs: int = 0
    gaps: int = 0
    gap_samples: int = 0
    target_gaps: int = 0
    target_gap_samples: int = 0
    unusable: int = 0
    updates: int = 0
