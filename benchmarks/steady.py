"""A minute at 1 kHz, one sample a message: is every sample answered once, and how soon?"""

import time

import numpy as np
from common import arguments, pipeline, report

from streamer import wire
from streamer.messages import Chunk, Kind
from streamer.sockets import Transport

RATE_HZ = 1000


def measure(seconds: int, predict: list[str]) -> dict[str, object]:
    """Return how many samples were answered, how often, and how long after their source time."""
    count = seconds * RATE_HZ
    sequence: list[int] = []
    lag_ms: list[float] = []
    with pipeline() as run, Transport(connect=[run.predictor], topics=[wire.topic(Kind.ESTIMATE)]) as ear:
        run.processes.start("predict", ["--source", run.source, "--bind", run.predictor, "--wait", *predict])
        run.processes.start(
            "source", ["--bind", run.source, "--count", str(count), "--rate", str(RATE_HZ), "--wait"]
        )
        while (not sequence or sequence[-1] < count - 1) and ear.wait(30_000):
            now_ns = time.time_ns()
            for message in ear.receive():
                if isinstance(message, Chunk):
                    sequence.append(message.seq)
                    lag_ms.append((now_ns - message.time_ns) / 1e6)
    return {
        "predict": " ".join(predict),
        "samples": count,
        "estimates": len(sequence),
        "each once, in order": sequence == list(range(count)),
        "lag p50 (ms)": float(np.quantile(lag_ms, 0.5)),
        "lag p99 (ms)": float(np.quantile(lag_ms, 0.99)),
        "lag max (ms)": float(np.max(lag_ms)),
    }


def main() -> None:
    """Print the table."""
    options = arguments(__doc__)
    seconds = 3 if options.short else 60
    rows = [measure(seconds, flags) for flags in (["--model", "default"], ["--model", "new", "--learn"])]
    report("1 kHz, one sample a message: source time to estimate received", rows, as_json=options.json)


if __name__ == "__main__":
    main()
