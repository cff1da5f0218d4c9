"""Sends samples as fast as they are taken, from a process of its own.

`python -m predictor.bench.feed BIND` says where it publishes, then "heard" once somebody listens. It reads
lines as `Order.line` writes them, one an order; it says "ready" once the messages are made, and sends them
after the next line.
"""

import json
import sys
from dataclasses import asdict, dataclass

import numpy as np
import zmq

from predictor.early_exit import leave_at_once_on_signals
from streamer.messages import Chunk, Kind
from streamer.transport.transport import SHORT_HIGH_WATER_MARK
from streamer.wire import codec

CYCLE_SAMPLES = 20
RATE_HZ = 1000.0


def wave(first: int, samples: int, channels: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Return sines [samples, channels, 1], a cycle every `CYCLE_SAMPLES`."""
    cycles = (
        np.arange(first, first + samples)[:, None, None] / CYCLE_SAMPLES + np.linspace(0, 1, channels)[:, None]
    )
    return np.sin(2 * np.pi * cycles).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Order:
    """What to send.

    Parameters
    ----------
    messages : int
        In all. Samples are numbered on from the last order for the same streams.
    name : str
        Of the streams, which are numbered.
    streams : int
        That take turns.
    channels, samples : int
        Of each message.
    targets : bool
        Each input is followed by its target.
    """

    messages: int
    name: str = "pump"
    streams: int = 1
    channels: int = 1
    samples: int = 1
    targets: bool = False

    def line(self) -> str:
        """Return the order as it is sent to the feeder."""
        return json.dumps(asdict(self))


def encoded(order: Order, done: int) -> list[list[bytes]]:
    """Return messages as their parts, `done` of which have been sent before."""
    said = []
    kinds = [(Kind.INPUT, 0), (Kind.TARGET, CYCLE_SAMPLES // 4)][: 1 + order.targets]
    for number in range(done, done + order.messages):
        turn, stream = divmod(number, order.streams)
        seq = turn * order.samples
        time_ns = round(seq * 1e9 / RATE_HZ)
        for kind, ahead in kinds:
            values = wave(seq + ahead, order.samples, order.channels)
            said.append(codec.encode(Chunk(kind, f"{order.name}{stream}", 1, seq, time_ns, RATE_HZ, values)))
    return said


def main(bind: str) -> None:
    """Send what standard input asks for."""
    socket = zmq.Context().socket(zmq.XPUB)
    socket.setsockopt(zmq.SNDHWM, SHORT_HIGH_WATER_MARK)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.bind(bind)
    _say(socket.getsockopt_string(zmq.LAST_ENDPOINT))
    while socket.recv() != b"\1input/":
        pass
    _say("heard")
    done: dict[str, int] = {}
    for line in sys.stdin:
        order = Order(**json.loads(line))
        said = encoded(order, done.get(order.name, 0))
        done[order.name] = done.get(order.name, 0) + order.messages
        _say("ready")
        sys.stdin.readline()
        for topic, header, payload in said:
            socket.send(topic, zmq.SNDMORE)
            socket.send(header, zmq.SNDMORE)
            socket.send(payload)


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    leave_at_once_on_signals()
    main(sys.argv[1])
