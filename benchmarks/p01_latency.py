"""P1: from a sample published to its estimate received, against a bare pyzmq echo in the predictor's place."""

from collections.abc import Sequence

import numpy as np
from speed import Figure, figure, run

from predictor.bench.lane import Lane


def latency(
    model: Sequence[str], *, rounds: int, pings: int, pause_s: float, name: str, goals: bool
) -> list[Figure]:
    """Return p50 and p99 beside the echo's."""
    taken: dict[str, list[list[float]]] = {"echo": [], "predict": []}
    with Lane("echo", None) as echo, Lane("predict", model) as predict:
        for _ in range(rounds):
            for lane in (echo, predict):
                taken[lane.name].append(np.quantile(lane.ping(pings, pause_s=pause_s), [0.5, 0.99]).tolist())
    figures = []
    for index, (quantile, goal) in enumerate((("p50", "<= 1.15"), ("p99", "<= 1.25"))):
        ours, bare = ([1e6 * both[index] for both in taken[lane]] for lane in ("predict", "echo"))
        figures.append(figure(f"{name} {quantile}", ours, "us", bare, goal if goals else ""))
    return figures


def measure(short: bool) -> list[Figure]:
    """Ping as fast as answers come, and at 1 kHz."""
    rounds, pings = (3, 100) if short else (15, 1000)
    back_to_back = latency(
        ["--model", "tutorial"], rounds=rounds, pings=pings, pause_s=0, name="back to back", goals=True
    )
    paced = latency(["--model", "tutorial"], rounds=rounds, pings=pings, pause_s=1e-3, name="at 1 kHz", goals=True)
    return back_to_back + paced


if __name__ == "__main__":
    run("P1", "one sample published to its estimate received; tanh RNN, 32 units; against a bare echo", measure)
