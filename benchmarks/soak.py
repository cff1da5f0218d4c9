"""Soak at 1 kHz, one sample a message: is each sample answered once, how soon, and does memory stay as it is?

`--minutes 60 --churn` for an hour with neighbours: a second source that ends and begins anew, a reader that comes
and goes, learning, states on disk. `--predict FLAGS` for a predictor of one's own choice. `--realtime` gives
source, predictor and the measuring reader FIFO scheduling (root, Linux), so that other work on the machine is not
measured. Memory is read on Linux only.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import Pipeline, pipeline, report, reserved

from predictor.processes import SINCOS
from streamer.messages import Chunk, Kind
from streamer.transport.transport import Transport
from streamer.wire import codec

RATE_HZ = 1000
PREDICTORS = ("--model default", "--model new --learn")
CHURNED = "--model default --learn self --checkpoint-every 5"
FULL_AFTER_S = 70.0  # a source retains 60 s, a predictor 30 s; by then every buffer has its final size
WINDOWS = 6
LONG_RUN_S = 20.0  # of the source that begins anew, at 250 samples/s
READER_S = 7.0  # that a reader stays
REALTIME = "--realtime"


def memory_mb(pid: int) -> float | None:
    """Return a process's resident memory, MB of 10^6 bytes; None where the system does not say."""
    try:
        (kilobytes,) = re.findall(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    except (OSError, ValueError):
        return None
    return int(kilobytes) * 1024 / 1e6


@dataclass
class Window:
    """What was measured in a part of the time."""

    lag_ms: list[float] = field(default_factory=list)
    samples: int = 0
    in_order: bool = True
    predictor_mb: float | None = None
    source_mb: float | None = None

    def row(self, name: str) -> dict[str, object]:
        """Return it as a row."""
        lag = np.quantile(self.lag_ms, [0.5, 0.99, 0.999, 1.0]) if self.lag_ms else [np.nan] * 4
        return {
            "window": name,
            "samples": self.samples,
            "each once, in order": self.in_order,
            **{
                f"lag {title} (ms)": float(value)
                for title, value in zip(("p50", "p99", "p99.9", "max"), lag, strict=True)
            },
            "predictor (MB)": self.predictor_mb,
            "source (MB)": self.source_mb,
        }


class Churn:
    """Neighbours: a source that ends and begins anew, and readers that come and are killed, one after another.

    Parameters
    ----------
    source, predictor : str
        Where the source publishes, and where the readers listen.
    """

    def __init__(self, source: str, predictor: str) -> None:
        self._commands = (
            ["source", "--bind", source, "--stream", "churn", "--rate", "250", "--linger", "1",
             "--duration", str(LONG_RUN_S)],
            ["listen", "--source", predictor, "--reliable"],
        )  # fmt: skip
        self._children: list[subprocess.Popen[bytes] | None] = [None, None]
        self._reader_until_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)  # to start a process can take long: nobody waits for it
        self.runs = self.readers = 0

    def __enter__(self) -> "Churn":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        for child in self._children:
            if child is not None:
                child.kill()
                child.wait()

    def _run(self) -> None:
        if REALTIME in sys.argv:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # of this thread, and what it starts
        while not self._over.wait(0.1):
            self._step(time.monotonic())

    def _step(self, now_s: float) -> None:
        """Start what has ended; end the reader whose time is over."""
        source, reader = self._children
        if source is None or source.poll() is not None:
            self._children[0], self.runs = _started(self._commands[0]), self.runs + 1
        if reader is None or now_s >= self._reader_until_s:
            if reader is not None:
                reader.send_signal(signal.SIGKILL if self.readers % 2 else signal.SIGTERM)
                reader.wait()
            self._children[1], self.readers = _started(self._commands[1]), self.readers + 1
            self._reader_until_s = now_s + READER_S


def _started(arguments: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*SINCOS, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def _neighbours(run: Pipeline, wanted: bool) -> Iterator[tuple[list[str], Churn | None]]:
    """Yield what the predictor is told of them, and them."""
    if not wanted:
        yield [], None
        return
    with reserved() as source, Churn(source, run.predictor) as churn:
        yield ["--source", source, "--state-dir", str(run.folder / "state")], churn


def measure(seconds: float, predict: list[str], churned: bool) -> list[dict[str, object]]:
    """Return a row for each window, and one that compares the last with the first.

    The lag is from the time of a sample, as its source says it, to the arrival of its estimate.
    """
    count = round(seconds * RATE_HZ)
    begin = min(round(FULL_AFTER_S * RATE_HZ), count // 2)  # what comes before counts for order alone
    windows, latest = [Window() for _ in range(WINDOWS + 1)], -1
    with (
        pipeline() as run,
        _neighbours(run, churned) as (told, churn),
        Transport(connect=[run.predictor], topics=[codec.topic(Kind.ESTIMATE, "demo")]) as reader,
    ):
        predictor = run.processes.start(
            "predict", ["--source", run.source, "--bind", run.predictor, "--wait", *told, *predict]
        )
        source = run.processes.start(
            "source", ["--bind", run.source, "--count", str(count), "--rate", str(RATE_HZ), "--wait"]
        )
        seen = 0
        while latest < count - 1 and reader.wait(30_000):
            now_ns = time.time_ns()
            for message in reader.receive():
                if isinstance(message, Chunk):
                    number = 0 if message.seq < begin else 1 + (message.seq - begin) * WINDOWS // (count - begin)
                    window = windows[number]
                    window.in_order &= message.seq == latest + 1
                    window.samples, latest = window.samples + 1, message.seq
                    window.lag_ms.append((now_ns - message.time_ns) / 1e6)
                    if number != seen:
                        windows[seen].predictor_mb, seen = memory_mb(predictor.pid), number
                        windows[number - 1].source_mb = memory_mb(source.pid)
        windows[seen].predictor_mb, windows[seen].source_mb = memory_mb(predictor.pid), memory_mb(source.pid)
    minutes = [0.0, *(((begin + (count - begin) * part / WINDOWS) / RATE_HZ / 60) for part in range(WINDOWS + 1))]
    rows = [
        window.row(f"{first:.3g} to {last:.3g} min")
        for window, first, last in zip(windows, minutes, minutes[1:], strict=False)
    ]
    return [*rows, _compared(windows[1], windows[-1], windows[2:], churn)]


def _compared(first: Window, last: Window, later: list[Window], churn: Churn | None) -> dict[str, object]:
    """Return how much grew from the first window's end to the last's, and the worst p99.9 against the first's."""
    tails = [float(np.quantile(window.lag_ms, 0.999)) for window in [first, *later] if window.lag_ms]
    grown = {
        name: getattr(last, name) - getattr(first, name) if getattr(first, name) and getattr(last, name) else None
        for name in ("predictor_mb", "source_mb")
    }
    extra = f"; {churn.runs} runs and {churn.readers} readers beside it" if churn is not None else ""
    return {
        "window": f"growth since the first; worst p99.9 against its{extra}",
        "samples": sum(window.samples for window in [first, *later]),
        "each once, in order": all(window.in_order for window in [first, *later]),
        "lag p50 (ms)": None,
        "lag p99 (ms)": None,
        "lag p99.9 (ms)": max(tails[1:], default=float("nan")) / tails[0] if tails else None,
        "lag max (ms)": None,
        "predictor (MB)": grown["predictor_mb"],
        "source (MB)": grown["source_mb"],
    }


def main() -> None:
    """Print a table for each predictor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a quick run, to see that it still works")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long each predictor is fed")
    parser.add_argument("--churn", action="store_true", help="sources and readers come and go beside it")
    parser.add_argument(REALTIME, action="store_true", help="FIFO scheduling for what is measured")
    parser.add_argument("--predict", action="append", metavar="FLAGS", help="of sincos predict, instead of ours")
    options = parser.parse_args()
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    seconds = 3.0 if options.short else 60 * options.minutes
    for flags in options.predict or ((CHURNED,) if options.churn else PREDICTORS):
        rows = measure(seconds, shlex.split(flags), options.churn)
        report(f"1 kHz, one sample a message, predict {flags}", rows, as_json=options.json)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
