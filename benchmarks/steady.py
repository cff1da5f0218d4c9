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

from streamer.messages import Chunk, Kind
from streamer.transport.transport import Transport
from streamer.wire import codec

RATE_HZ = 1000
PREDICTORS = ("--model default", "--model new --learn")
FULL_AFTER_S = 40.0  # estimates are kept for 30 s; by then every buffer has its final size


def resident_mb(pid: int) -> float:
    """Return a process's resident memory, MB of 10^6 bytes; OSError where the system does not say."""
    (kilobytes,) = re.findall(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(kilobytes) * 1024 / 1e6


def measure(seconds: float, predict: list[str]) -> dict[str, object]:
    """Return how many samples were answered, how often, how long after their source time, and what grew."""
    count, full_after = round(seconds * RATE_HZ), round(FULL_AFTER_S * RATE_HZ)
    answered, latest, in_order = 0, -1, True
    full_mb = end_mb = None
    lag_ms: list[float] = []
    with pipeline() as run, Transport(connect=[run.predictor], topics=[codec.topic(Kind.ESTIMATE)]) as ear:
        predictor = run.processes.start(
            "predict", ["--source", run.source, "--bind", run.predictor, "--wait", *predict]
        )
        run.processes.start(
            "source", ["--bind", run.source, "--count", str(count), "--rate", str(RATE_HZ), "--wait"]
        )
        while latest < count - 1 and ear.wait(30_000):
            now_ns = time.time_ns()
            for message in ear.receive():
                if isinstance(message, Chunk):
                    in_order &= message.seq == latest + 1
                    answered, latest = answered + 1, message.seq
                    lag_ms.append((now_ns - message.time_ns) / 1e6)
            if full_mb is None and latest >= full_after:
                full_mb = memory_mb(predictor.pid)
        end_mb = memory_mb(predictor.pid)
    return {
        "predict": " ".join(predict),
        "samples": count,
        "estimates": answered,
        "each once, in order": in_order and answered == count,
        "lag p50 (ms)": float(np.quantile(lag_ms, 0.5)),
        "lag p99 (ms)": float(np.quantile(lag_ms, 0.99)),
        "lag max (ms)": float(np.max(lag_ms)),
        "resident (MB)": end_mb,
        f"growth after {full_after:,} samples (MB)": end_mb - full_mb if end_mb and full_mb else None,
    }


def memory_mb(pid: int) -> float | None:
    """As `resident_mb`; None where the system does not say."""
    try:
        return resident_mb(pid)
    except OSError:
        return None


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
