"""One process between two ends of ours: samples go in, estimates come out, and a clock stands beside it."""

import contextlib
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import zmq

from predictor.bench.feed import RATE_HZ, Order, wave
from predictor.processes import SINCOS
from streamer.errors import NothingHeard
from streamer.messages import Chunk, Kind
from streamer.wire import codec

PATIENCE_S = 60.0  # bounds a hang of processes that live
LOOK_S = 0.05  # how often it is looked whether they do
PING = "ping"


Word = TypeVar("Word")


class LaneError(NothingHeard):
    """A process of the lane ended, or says nothing."""


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
        self._predict = predict
        self._context = zmq.Context()
        self._source: zmq.Socket[bytes] = self._context.socket(zmq.XPUB)
        self._source.bind("tcp://127.0.0.1:*")
        # In sessions of their own: what the terminal's Ctrl-C ends is this process, which then ends them.
        self._feeder = subprocess.Popen(
            [sys.executable, "-m", "predictor.bench.feed", "tcp://127.0.0.1:*"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ear = threading.Thread(target=self._hear_feeder, daemon=True)
        self._ear.start()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the lane
        self._middle: subprocess.Popen[bytes] | None = None
        self._reader: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._reader.setsockopt(zmq.RCVHWM, 0)
        self._reader.setsockopt(zmq.SUBSCRIBE, b"input/" if predict is None else b"estimate/")
        self._reader.setsockopt(zmq.RCVTIMEO, round(1e3 * LOOK_S))
        self._pinged = 0

    @property
    def pid(self) -> int:
        """Of the process in the middle."""
        assert self._middle is not None
        return self._middle.pid

    def begin(self) -> Self:
        """Start the process in the middle, and wait until samples go through."""
        sources = [self._source.getsockopt_string(zmq.LAST_ENDPOINT), self._feeder_says()]
        self._middle = subprocess.Popen(
            _command(self._predict, sources),
            stdin=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
        )
        self._reader.connect(self._await(self._published_on))
        self._feeder_says("heard")
        self._await(self._passes)
        while self._reader.poll(100):
            self._reader.recv_multipart()
        return self

    def _await(self, look: Callable[[], Word | None]) -> Word:
        """Look until there is something, for as long as all processes live, or a minute.

        Raises
        ------
        LaneError
            If one has ended, or nothing comes.
        """
        end_s = time.monotonic() + PATIENCE_S
        while True:
            found = look()
            if found is not None:
                return found
            if self._feeder.poll() is not None:
                raise LaneError(f"{self.name}: the feeder ended with exit code {self._feeder.returncode}")
            if (self._middle is not None and self._middle.poll() is not None) or time.monotonic() > end_s:
                raise self._silent()

    def _passes(self) -> bool | None:
        """Send a sample; return whether one has come through."""
        self._say(self._ping_message(1))
        self._pinged += 1
        return True if self._reader.poll(round(1e3 * LOOK_S)) else None

    def _published_on(self) -> str | None:
        """Return where the process in the middle publishes, once it has said so."""
        found = re.search(r"publishing on (tcp://\S+:\d+)\s", self._logged())
        if found is None:
            time.sleep(LOOK_S)
        return None if found is None else found[1]

    def _logged(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

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
            if child is not None:
                child.kill()
                child.wait()
        self._ear.join(PATIENCE_S)
        for pipe in (self._feeder.stdin, self._feeder.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._log.close()
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        try:
            return self.begin()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self, messages: int) -> None:
        receive, left = self._reader.recv, messages
        while left:
            try:
                while left:
                    receive()
                    receive()
                    receive()
                    left -= 1
            except zmq.Again:  # never between the parts of a message, which come together
                self._await(lambda: self._reader.poll(round(1e3 * LOOK_S)) or None)

    def _silent(self) -> LaneError:
        code = None if self._middle is None else self._middle.poll()
        said = self._logged()[-500:].strip()
        return LaneError(f"the benchmark's {self.name} does not answer (exit code {code}): {said}")

    def _ping_message(self, channels: int, kind: Kind = Kind.INPUT) -> list[bytes]:
        values = wave(self._pinged, 1, channels)
        time_ns = round(self._pinged * 1e9 / RATE_HZ)
        return codec.encode(Chunk(kind, f"{PING}{channels}", 1, self._pinged, time_ns, RATE_HZ, values))

    def _say(self, said: list[bytes]) -> None:
        self._source.send_multipart(said)

    def _tell_feeder(self, line: str) -> None:
        assert self._feeder.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # whoever waits for its word finds out
            self._feeder.stdin.write(line + "\n")
            self._feeder.stdin.flush()

    def _hear_feeder(self) -> None:
        assert self._feeder.stdout is not None
        for line in self._feeder.stdout:
            self._words.put(line.rstrip("\n"))

    def _feeder_says(self, word: str | None = None) -> str:
        """Return the feeder's next word, which must be `word` if one is given."""

        def look() -> str | None:
            try:
                return self._words.get(timeout=LOOK_S)
            except queue.Empty:
                return None

        said = self._await(look)
        if word is not None and said != word:
            raise LaneError(f"{self.name}: the feeder printed {said!r}, not {word!r}")
        return said


def _command(predict: Sequence[str] | None, sources: Sequence[str]) -> list[str]:
    """Return what runs in the middle; it binds any free port, and says which on standard error."""
    if predict is None:
        return [sys.executable, "-m", "predictor.bench.echo", "tcp://127.0.0.1:*", *sources]
    listening = [argument for source in sources for argument in ("--source", source)]
    # What the feeder's flood loses it does not say again.
    return [*SINCOS, "predict", "--bind", "tcp://127.0.0.1:*", "--gap-deadline", "0", *listening, *predict]
