"""P8: resident memory of `sincos predict`, and its growth over an hour's worth of samples at 1 kHz."""

import re
from pathlib import Path

from speed import Figure, figure, run

from predictor.bench.feed import Order
from predictor.bench.lane import Lane

HOUR_SAMPLES = 3_600_000
WARM_UP_SAMPLES = 200_000  # until every buffer has its final size


def resident_mb(pid: int) -> float:
    """Return a process's resident memory, MB of 10^6 bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = re.findall(r"^VmRSS:\s+(\d+) kB", status, re.M)
    return int(kilobytes) * 1024 / 1e6


def feed(lane: Lane, samples: int, *, targets: bool) -> None:
    """Let samples through faster than in real time, some thousand messages at a time."""
    while samples > 0:
        count = min(samples, 10_000)
        lane.pump(Order(count, "hour", targets=targets))
        samples -= count


def measure(short: bool) -> list[Figure]:
    """Feed, and look."""
    hour, warm_up = (50_000, 50_000) if short else (HOUR_SAMPLES, WARM_UP_SAMPLES)
    figures = []
    for name, flags, share in (("serving", [], 1.0), ("learning", ["--learn"], 0.1)):
        with Lane("predict", ["--model", "default", *flags]) as lane:
            feed(lane, round(share * warm_up), targets=bool(flags))
            before = resident_mb(lane.pid)
            feed(lane, round(share * hour), targets=bool(flags))
            after = resident_mb(lane.pid)
        samples = f"{round(share * hour):,}"
        figures.append(figure(f"{name}: resident", [after], "MB", [80], "<= 80", of_ours=True))
        figures.append(
            figure(f"{name}: growth over {samples} samples", [after - before], "MB", [1], "<= 1", of_ours=True)
        )
    return figures


if __name__ == "__main__":
    run("P8", "resident memory of sincos predict (Linux only)", measure)
