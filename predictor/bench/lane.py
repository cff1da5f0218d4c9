"""One process between two ends of ours: samples go in, estimates come out, and a clock stands beside it."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import zmq

from predictor.bench.feed import RATE_HZ, Order, wave
from predictor.processes import SINCOS
from streamer import wire
from streamer.errors import NothingHeard
from streamer.messages import Chunk, Kind

PATIENCE_MS = 20_000  # bounds a hang
PING = "ping"


class LaneError(NothingHeard):
    """The process in the middle ended, or says nothing."""


class Lane:
    """A predictor, or a bare echo in its place, with a source and a reader in this process and a feeder beside it.

    Parameters
    ----------
    name : str
    predict : sequence of str or None
        Further arguments of `sincos predict`; None runs the bare echo.
    """

    def __init__(self, name: str, predict: Sequence[str] | None) -> None:
        self.name = name
        self._context = zmq.Context()
        self._source: zmq.Socket[bytes] = self._context.socket(zmq.XPUB)
        self._source.bind("tcp://127.0.0.1:*")
        feed, out = free_addresses(2)
        sources = [self._source.getsockopt_string(zmq.LAST_ENDPOINT), feed]
        # In sessions of their own: what the terminal's Ctrl-C ends is this process, which then ends them.
        self._feeder = subprocess.Popen(
            [sys.executable, "-m", "predictor.bench.feed", feed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the lane
        self._middle = subprocess.Popen(
            _command(predict, sources, out), stdin=subprocess.DEVNULL, stderr=self._log, start_new_session=True
        )
        self._reader: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._reader.setsockopt(zmq.RCVHWM, 0)
        self._reader.setsockopt(zmq.SUBSCRIBE, b"input/" if predict is None else b"estimate/")
        self._reader.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        self._reader.connect(out)
        self._pinged = 0

    @property
    def pid(self) -> int:
        """Of the process in the middle."""
        return self._middle.pid

    def begin(self) -> Self:
        """Wait until samples go through."""
        self._feeder_says("heard")
        while True:
            self._say(self._ping_message(1))
            self._pinged += 1
            if self._reader.poll(50):
                break
            if self._middle.poll() is not None:
                raise self._silent()
        while self._reader.poll(100):
            self._reader.recv_multipart()
        return self

    def ping(self, count: int, *, pause_s: float = 0.0, channels: int = 1, targets: bool = False) -> list[float]:
        """Return the seconds from each of `count` samples published to its estimate received, one at a time.

        With `targets`, each sample's target follows its estimate; with `pause_s`, samples are so far apart.
        """
        source, taken_s = self._source, []
        due_s = time.perf_counter()
        for _ in range(count):
            said = self._ping_message(channels)
            target = self._ping_message(channels, Kind.TARGET) if targets else None
            self._pinged += 1
            if pause_s:
                due_s += pause_s
                time.sleep(max(0.0, due_s - time.perf_counter()))
            start_s = time.perf_counter()
            source.send(said[0], zmq.SNDMORE)
            source.send(said[1], zmq.SNDMORE)
            source.send(said[2])
            self._receive(1)
            taken_s.append(time.perf_counter() - start_s)
            if target is not None:
                self._say(target)
        return taken_s

    def pump(self, order: Order) -> float:
        """Return how many messages a second come through when they are sent as fast as they are taken."""
        self._tell_feeder(order.line())
        self._feeder_says("ready")
        self._tell_feeder("")
        self._receive(1)
        start_s = time.perf_counter()
        self._receive(order.messages - 1)
        return (order.messages - 1) / (time.perf_counter() - start_s)

    def close(self) -> None:
        """End both processes."""
        for child in (self._feeder, self._middle):
            child.kill()
            child.wait()
        for pipe in (self._feeder.stdin, self._feeder.stdout):
            if pipe is not None:
                pipe.close()
        self._log.close()
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self, messages: int) -> None:
        receive = self._reader.recv
        try:
            for _ in range(messages):
                receive()
                receive()
                receive()
        except zmq.Again:
            raise self._silent() from None

    def _silent(self) -> LaneError:
        self._log.seek(0)
        said = self._log.read()[-500:].decode(errors="replace").strip()
        return LaneError(f"the benchmark's {self.name} does not answer (exit code {self._middle.poll()}): {said}")

    def _ping_message(self, channels: int, kind: Kind = Kind.INPUT) -> list[bytes]:
        values = wave(self._pinged, 1, channels)
        time_ns = round(self._pinged * 1e9 / RATE_HZ)
        return wire.encode(Chunk(kind, f"{PING}{channels}", 1, self._pinged, time_ns, RATE_HZ, values))

    def _say(self, said: list[bytes]) -> None:
        self._source.send_multipart(said)

    def _tell_feeder(self, line: str) -> None:
        assert self._feeder.stdin is not None
        self._feeder.stdin.write(line + "\n")
        self._feeder.stdin.flush()

    def _feeder_says(self, word: str) -> None:
        assert self._feeder.stdout is not None
        line = self._feeder.stdout.readline()
        if line != word + "\n":
            raise LaneError(f"{self.name}: the feeder said {line!r}, not {word!r}")


def _command(predict: Sequence[str] | None, sources: Sequence[str], out: str) -> list[str]:
    if predict is None:
        return [sys.executable, "-m", "predictor.bench.echo", out, *sources]
    listening = [argument for source in sources for argument in ("--source", source)]
    # What the feeder's flood loses it does not say again.
    return [*SINCOS, "predict", "--quiet", "--bind", out, "--gap-deadline", "0", *listening, *predict]


def free_addresses(count: int) -> list[str]:
    """Return addresses on this machine that nobody has bound."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    addresses = [f"tcp://127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
    for probe in probes:
        probe.close()
    return addresses
