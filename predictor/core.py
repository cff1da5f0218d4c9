"""The daemon's core: messages and the clock in, effects out. Knows no sockets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from predictor.engine import Engine
from predictor.stream import MakeLearner, Stream
from streamer import wire
from streamer.clock import Instant
from streamer.effects import WARNING, Effect, Say, Send
from streamer.messages import Chunk, Incoming, Info, Kind, Rejected, Status, Subscription
from trainer.model import Model

STATUS_EVERY_NS = 1_000_000_000
MAX_STREAMS = 10_000


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    """How the daemon behaves.

    Parameters
    ----------
    reset_on_gap : bool
        After a gap, start from the initial hidden state rather than go on with the present one.
    max_streams : int
        Further streams are refused.
    """

    reset_on_gap: bool = False
    max_streams: int = MAX_STREAMS


class Predictor:
    """Core of `sincos predict`: keeps every stream's hidden state alive and answers each sample once.

    Parameters
    ----------
    model : Model
    config : PredictorConfig
    make_learner : callable or None
        Makes a stream's learner; None to not learn.
    """

    def __init__(
        self, model: Model, config: PredictorConfig | None = None, make_learner: MakeLearner | None = None
    ) -> None:
        self.streams: dict[str, Stream] = {}
        self.rejected = 0
        self._config = config or PredictorConfig()
        self._model = model
        self._make_learner = make_learner
        # Streams that learn have weights of their own: what one teaches must not depend on when others speak.
        self._engine = None if make_learner else Engine(model.config, model.weights)
        self._last_rejection: str | None = None
        self._reported_rejections = 0
        self._next_status_ns = 0
        self._started_ns: int | None = None

    def receive(self, messages: Sequence[Incoming], now: Instant) -> Iterator[Effect]:
        """Answer inputs, learn from targets, heed infos; count what is not understood."""
        for message in messages:
            match message:
                case Chunk(kind=Kind.INPUT):
                    stream = self._stream(message.stream)
                    if stream is not None:
                        yield from stream.predict(message, now)
                case Chunk(kind=Kind.TARGET):
                    if message.stream in self.streams:
                        self.streams[message.stream].teach(message)
                case Info():
                    if message.stream in self.streams:
                        self.streams[message.stream].hear(message, now)
                case Rejected(reason):
                    self._reject(reason)
                case Subscription(prefix, active=True) if wire.topic(Kind.STATUS).startswith(prefix[:7]):
                    self._next_status_ns = now.mono_ns

    def tick(self, now: Instant) -> Iterator[Effect]:
        """Say what changed, and publish the status of the daemon and of each stream."""
        if self._started_ns is None:
            self._started_ns = now.mono_ns
        self._next_status_ns = now.mono_ns + STATUS_EVERY_NS
        if self.rejected > self._reported_rejections:
            count = self.rejected - self._reported_rejections
            self._reported_rejections = self.rejected
            yield Say(f"rejected {count} message(s); the last: {self._last_rejection}", WARNING)
        yield Send(self.status(now))
        for stream in self.streams.values():
            yield from stream.tick(now)

    def next_deadline_ns(self) -> int:
        """When the next status is due."""
        return self._next_status_ns

    def work(self) -> tuple[Effect, ...] | None:
        """Learn from one window that is complete, ahead of the sample it must be ready for."""
        return () if any(stream.learn() for stream in self.streams.values()) else None

    def stop(self, now: Instant) -> Iterator[Effect]:
        """Publish the last status and sum up."""
        yield from self.tick(now)
        for stream in self.streams.values():
            yield Say(stream.summary())

    def status(self, now: Instant) -> Status:
        """Return the daemon's own status."""
        body = {
            "model": self._model.name,
            "learning": self._make_learner is not None,
            "streams": len(self.streams),
            "rejected": self.rejected,
            "last_rejection": self._last_rejection,
            "uptime_s": (now.mono_ns - (self._started_ns or now.mono_ns)) / 1e9,
        }
        return Status("", 0, 0, now.wall_ns, body)

    def _stream(self, name: str) -> Stream | None:
        stream = self.streams.get(name)
        if stream is not None:
            return stream
        if len(self.streams) >= self._config.max_streams:
            self._reject(f"stream {name}: {self._config.max_streams} streams are being predicted already")
            return None
        stream = Stream(
            name, self._model, self._engine, self._make_learner, reset_on_gap=self._config.reset_on_gap
        )
        self.streams[name] = stream
        return stream

    def _reject(self, reason: str) -> None:
        self.rejected += 1
        self._last_rejection = reason[:200]
