"""A while at 1 kHz, one sample a message: is every sample answered once, how soon, and does memory stay as it is?

`--minutes 60` for an hour; `--predict FLAGS` for a predictor of one's own choice. Memory is read on Linux only.
"""

import argparse
import re
import shlex
import time
from pathlib import Path

import numpy as np
from common import pipeline, report

from streamer import wire
from streamer.messages import Chunk, Kind
from streamer.sockets import Transport

RATE_HZ = 1000
PREDICTORS = ("--model default", "--model new --learn")
FULL_AFTER_S = 40.0  # estimates are kept for 30 s; by then every buffer has its final size


def resident_mb(pid: int) -> float:
    """Return a process's resident memory, MB of 10^6 bytes; NaN where the system does not say."""
    try:
        (kilobytes,) = re.findall(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    except (OSError, ValueError):
        return float("nan")
    return int(kilobytes) * 1024 / 1e6


def measure(seconds: float, predict: list[str]) -> dict[str, object]:
    """Return how many samples were answered, how often, how long after their source time, and what grew."""
    count = round(seconds * RATE_HZ)
    full_after = min(count // 2, round(FULL_AFTER_S * RATE_HZ))
    answered, in_order, full_mb = 0, True, float("nan")
    lag_ms = np.full(count, np.nan, np.float32)
    with pipeline() as run, Transport(connect=[run.predictor], topics=[wire.topic(Kind.ESTIMATE)]) as ear:
        predictor = run.processes.start(
            "predict", ["--source", run.source, "--bind", run.predictor, "--wait", *predict]
        )
        run.processes.start(
            "source", ["--bind", run.source, "--count", str(count), "--rate", str(RATE_HZ), "--wait"]
        )
        while answered < count and ear.wait(30_000):
            now_ns = time.time_ns()
            for message in ear.receive():
                if isinstance(message, Chunk):
                    in_order &= message.seq == answered
                    lag_ms[min(message.seq, count - 1)] = (now_ns - message.time_ns) / 1e6
                    answered += 1
                    if answered == full_after:
                        full_mb = resident_mb(predictor.pid)
        end_mb = resident_mb(predictor.pid)
    return {
        "predict": " ".join(predict),
        "samples": count,
        "estimates": answered,
        "each once, in order": in_order and answered == count,
        "lag p50 (ms)": float(np.nanquantile(lag_ms, 0.5)),
        "lag p99 (ms)": float(np.nanquantile(lag_ms, 0.99)),
        "lag max (ms)": float(np.nanmax(lag_ms)),
        "resident (MB)": end_mb,
        f"growth after {full_after:,} samples (MB)": end_mb - full_mb,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a quick run, to see that it still works")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long each predictor is fed")
    parser.add_argument("--predict", action="append", metavar="FLAGS", help="of sincos predict, instead of both")
    options = parser.parse_args()
    seconds = 3.0 if options.short else 60 * options.minutes
    rows = [measure(seconds, shlex.split(flags)) for flags in options.predict or PREDICTORS]
    report("1 kHz, one sample a message: source time to estimate received", rows, as_json=options.json)


if __name__ == "__main__":
    main()
