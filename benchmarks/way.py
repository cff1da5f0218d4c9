"""One sample's way through `sincos predict`, stage by stage: warm, and after a pause as a 1 kHz stream makes it.

The sockets are inproc, so that what counts is this process's own work on either side of ZeroMQ's.
"""

import argparse
import json
import sys
import time
from itertools import pairwise
from statistics import median

import zmq
from speed import tanh_rnn

from predictor.bench.feed import wave
from predictor.daemon.core import Predictor
from streamer.clock import SystemClock
from streamer.messages import ANSWERED, Chunk, Kind
from streamer.transport.frames import drain
from streamer.wire import codec

STAGES = ("receive", "recognise, step, answer", "send", "after the answer")
BARE = "bare echo: recv_multipart, send_multipart"
PAUSE_S = 1e-3


def way(samples: int, pause_s: float) -> dict[str, float]:
    """Return the median microseconds of each stage, and of the bare echo of the same bytes."""
    core, clock = Predictor(tanh_rnn()), SystemClock()
    context = zmq.Context()
    inward, entry, outward, exit_ = (context.socket(zmq.PAIR) for _ in range(4))
    for near, far, name in ((inward, entry, "in"), (exit_, outward, "out")):
        near.bind(f"inproc://{name}")
        far.connect(f"inproc://{name}")
    taken: list[list[float]] = []
    for seq in range(samples):
        said = codec.encode(Chunk(Kind.INPUT, "s", 1, seq, seq, 1000.0, wave(seq, 1, 1)))
        entry.send_multipart(said)
        if pause_s:
            time.sleep(pause_s)
        at = [time.perf_counter()]
        parts = drain(inward, at_most=1)[0]
        at.append(time.perf_counter())
        answer = core.fast_paths.answer(parts)
        at.append(time.perf_counter())
        if answer is None:  # the first one
            list(core.receive([codec.decode(parts)], clock.now()))
            core.work()
            continue
        topic, header, payload = answer
        outward.send(topic, zmq.SNDMORE)
        outward.send(header, zmq.SNDMORE)
        outward.send(payload)
        at.append(time.perf_counter())
        core.receive([ANSWERED], clock.now())
        core.work()
        at.append(time.perf_counter())
        exit_.recv_multipart()
        entry.send_multipart(said)
        if pause_s:
            time.sleep(pause_s)
        start_s = time.perf_counter()
        outward.send_multipart(inward.recv_multipart())
        bare_s = time.perf_counter() - start_s
        exit_.recv_multipart()
        taken.append([1e6 * (b - a) for a, b in pairwise(at)] + [1e6 * bare_s])
    context.destroy(linger=0)
    return dict(zip([*STAGES, BARE], map(median, zip(*taken[samples // 10 :], strict=True)), strict=True))


def markdown(warm: dict[str, float], paused: dict[str, float]) -> str:
    """Return the table."""
    lines = ["| stage | warm, us | of it | after 1 ms of pause, us |", "|---|---:|---:|---:|"]
    whole = sum(warm[stage] for stage in STAGES)
    for stage in STAGES:
        lines.append(f"| {stage} | {warm[stage]:.1f} | {warm[stage] / whole:.0%} | {paused[stage]:.1f} |")
    lines.append(f"| **all of it** | **{whole:.1f}** | | **{sum(paused[stage] for stage in STAGES):.1f}** |")
    lines.append(f"| {BARE} | {warm[BARE]:.1f} | | {paused[BARE]:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    samples = 300 if options.short else 5000
    warm, paused = way(samples, 0.0), way(samples, PAUSE_S)
    told = json.dumps({"warm": warm, "paused": paused}) if options.json else markdown(warm, paused)
    sys.stdout.write(told + "\n")


if __name__ == "__main__":
    main()
