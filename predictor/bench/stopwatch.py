"""How long a call takes, on a machine that does other things as well."""

import time
from collections.abc import Callable, Mapping
from statistics import median

BATCH_S = 0.02  # long beside the clock's steps, short beside the scheduler's


def per_call_s(calls: Mapping[str, Callable[[], object]], rounds: int = 9) -> dict[str, list[float]]:
    """Return seconds a call of each function, one figure a round; the functions take turns within a round."""
    counts = {name: _calls_a_batch(call) for name, call in calls.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(_batch_s(call, counts[name]) / counts[name])
    return taken


def ratio(over: list[float], under: list[float]) -> float:
    """Return the median of the ratios of two figures' rounds."""
    return median(a / b for a, b in zip(over, under, strict=True))


def _calls_a_batch(call: Callable[[], object]) -> int:
    call()
    return max(1, round(BATCH_S / max(_batch_s(call, 1), 1e-9)))


def _batch_s(call: Callable[[], object], count: int) -> float:
    start_s = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - start_s
