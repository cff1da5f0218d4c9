"""P7: `sincos --help` against importing click, `import sincos` against NumPy, a first estimate against torch."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import zmq
from speed import Figure, figure, run

from predictor.bench.feed import wave
from predictor.bench.lane import PATIENCE_S
from streamer.messages import Chunk, Kind
from streamer.wire import codec


def seconds(command: Sequence[str]) -> float:
    """Return how long a command takes."""
    start_s = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start_s


def first_estimate_s() -> float:
    """Return the time from the start of `sincos predict` to its first estimate."""
    with (
        tempfile.TemporaryDirectory(prefix="sincos-") as folder,
        zmq.Context() as context,
        context.socket(zmq.XPUB) as source,
        context.socket(zmq.SUB) as reader,
    ):
        for end in (source, reader):
            end.setsockopt(zmq.RCVTIMEO, round(1e3 * PATIENCE_S))
        source.bind("tcp://127.0.0.1:*")
        out = f"ipc://{folder}/predictor"
        reader.setsockopt(zmq.SUBSCRIBE, b"estimate/")
        reader.setsockopt(zmq.RECONNECT_IVL, 5)
        reader.connect(out)
        arguments = [
            "predict",
            "-q",
            "--wait",
            "--source",
            source.getsockopt_string(zmq.LAST_ENDPOINT),
            "--bind",
            out,
        ]
        start_s = time.perf_counter()
        predictor = subprocess.Popen([sys.executable, "-m", "predictor", *arguments])
        try:
            while source.recv() != b"\1input/":
                pass
            source.send_multipart(codec.encode(Chunk(Kind.INPUT, "s", 1, 0, 0, 0.0, wave(0, 1, 1))))
            reader.recv_multipart()
            return time.perf_counter() - start_s
        finally:
            predictor.kill()
            predictor.wait()


def measure(short: bool) -> list[Figure]:
    """Start processes in turn."""
    lanes = ("help", "click", "sincos", "numpy", "api", "predict", "torch")
    taken: dict[str, list[float]] = {lane: [] for lane in lanes}
    for _ in range(2 if short else 11):
        taken["help"].append(seconds(["-m", "predictor", "--help"]))
        taken["click"].append(seconds(["-c", "import click"]))
        taken["sincos"].append(seconds(["-c", "import sincos"]))
        taken["numpy"].append(seconds(["-c", "import numpy"]))
        taken["api"].append(seconds(["-c", "from sincos import Quadrature"]))
        taken["predict"].append(first_estimate_s())
        taken["torch"].append(seconds(["-c", "import torch"]))
    return [
        figure("sincos --help, against import click", taken["help"], "s", taken["click"], "<= 1.5"),
        figure("import sincos, against import numpy", taken["sincos"], "s", taken["numpy"], "<= 1.5"),
        figure("from sincos import Quadrature, against import numpy", taken["api"], "s", taken["numpy"]),
        figure(
            "sincos predict to its first estimate, against import torch",
            taken["predict"],
            "s",
            taken["torch"],
            "<= 0.4",
        ),
    ]


if __name__ == "__main__":
    run("P7", "start-up", measure)
