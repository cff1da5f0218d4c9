"""P8: resident memory of `sincos predict`, and its growth over an hour's worth of samples at 1 kHz.

The hour is fed in minutes. What is kept by the clock, 30 s of estimates, is kept for as much shorter here, so that
it is no more than at 1 kHz and all there after the warm-up; `soak.py --minutes 60` takes the hour itself.
"""

from soak import memory_mb
from speed import Figure, figure, run

from predictor.bench.feed import Order
from predictor.bench.lane import Lane

HOUR_SAMPLES = 3_600_000
WARM_UP_SAMPLES = 100_000  # until every buffer has its final size
LEARNING_SHARE = 0.1  # of the hour; learning is ten times as slow
RETAIN_S, LEARNING_RETAIN_S = 1.0, 15.0  # at 30,000 and 2,000 samples a second as much as 30 s at 1,000


def resident_mb(pid: int) -> float:
    """Return a process's resident memory, MB of 10^6 bytes; OSError where the system does not say."""
    mb = memory_mb(pid)
    if mb is None:
        raise OSError(f"/proc/{pid}/status: no resident memory there")
    return mb


def feed(lane: Lane, samples: int, *, targets: bool) -> None:
    """Let samples through faster than in real time, some thousand messages at a time."""
    while samples > 0:
        count = min(samples, 10_000)
        lane.pump(Order(count, "hour", targets=targets))
        samples -= count


def measure(short: bool) -> list[Figure]:
    """Feed, and look."""
    hour, warm_up = (50_000, 10_000) if short else (HOUR_SAMPLES, WARM_UP_SAMPLES)
    figures = []
    lanes: tuple[tuple[str, list[str], float, float], ...]
    lanes = (("serving", [], 1.0, RETAIN_S), ("learning", ["--learn"], LEARNING_SHARE, LEARNING_RETAIN_S))
    for name, flags, share, retain_s in lanes:
        samples = round(share * hour)
        with Lane("predict", ["--model", "default", "--retain", str(retain_s), *flags]) as lane:
            feed(lane, warm_up, targets=bool(flags))
            before = resident_mb(lane.pid)
            feed(lane, samples, targets=bool(flags))
            after = resident_mb(lane.pid)
        figures.append(figure(f"{name}: resident", [after], "MB", [80], "<= 80", of_ours=True))
        figures.append(
            figure(f"{name}: growth over {samples:,} samples", [after - before], "MB", [1], "<= 1", of_ours=True)
        )
    return figures


if __name__ == "__main__":
    run("P8", "resident memory of sincos predict (Linux only)", measure)
