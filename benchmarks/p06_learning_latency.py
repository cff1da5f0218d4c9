"""P6: estimate latency at 1 kHz with --learn, against without."""

import numpy as np
from speed import Figure, figure, run

from predictor.bench.lane import Lane

SERVED = ("--model", "tutorial")


def measure(short: bool) -> list[Figure]:
    """Ping at 1 kHz, each sample's target following its estimate."""
    rounds, pings = (2, 300) if short else (15, 2000)
    taken: dict[str, list[list[float]]] = {"plain": [], "learn": []}
    with Lane("plain", SERVED) as plain, Lane("learn", [*SERVED, "--learn"]) as learn:
        for _ in range(rounds):
            for lane in (plain, learn):
                answers_s = lane.ping(pings, pause_s=1e-3, targets=True)
                taken[lane.name].append(np.quantile(answers_s, [0.5, 0.99]).tolist())
    figures = []
    for index, (quantile, goal) in enumerate((("p50", ""), ("p99", "<= 1.2"))):
        ours, reference = ([1e6 * both[index] for both in taken[name]] for name in ("learn", "plain"))
        figures.append(figure(f"answer {quantile} at 1 kHz", ours, "us", reference, goal))
    return figures


if __name__ == "__main__":
    run("P6", "answers at 1 kHz with --learn (window 10, stride 10), against without", measure)
