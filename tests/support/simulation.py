"""Source and predictor in memory on a fake clock: what the processes do, without processes."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from predictor.daemon.core import Predictor
from streamer.clock import Instant
from streamer.effects import Effect, Finish, Say, Send
from streamer.messages import Chunk, Incoming, Kind, Message, Status
from streamer.source.publisher import Publisher, SourceConfig
from streamer.source.signals import Signal

WALL_NS = 1_700_000_000_000_000_000
HOUR_NS = 3_600_000_000_000


def at(seconds: float) -> Instant:
    """The moment `seconds` after the simulation's start."""
    nanoseconds = round(seconds * 1e9)
    return Instant(nanoseconds, WALL_NS + nanoseconds)


def sent(effects: Iterable[Effect]) -> list[Any]:
    """The messages among effects."""
    return [effect.message for effect in effects if isinstance(effect, Send)]


def said(effects: Iterable[Effect]) -> list[str]:
    """The lines among effects."""
    return [effect.text for effect in effects if isinstance(effect, Say)]


def published(signal: Signal, count: int, *, run: int = 1, chunk: int = 1, **config: object) -> list[Message]:
    """Everything a source says of `count` samples, in order."""
    source = Publisher(SourceConfig(count=count, chunk=chunk, **config), signal, run)  # type: ignore[arg-type]
    messages: list[Message] = []
    now = at(0)
    while True:
        effects = list(source.tick(now))
        messages += sent(effects)
        if any(isinstance(effect, Finish) for effect in effects):
            return messages + sent(source.stop(now))
        deadline_ns = source.next_deadline_ns()
        assert deadline_ns is not None
        now = at(deadline_ns / 1e9)


def answer(core: Predictor, messages: Sequence[Incoming], seconds: float = 0.0) -> list[Chunk]:
    """The estimates a predictor publishes for messages."""
    effects = [*core.receive(messages, at(seconds)), *core.catch_up(at(seconds))]
    return [m for m in sent(effects) if isinstance(m, Chunk)]  # none comes as a burst


def joined(chunks: Sequence[Chunk]) -> np.ndarray:
    """Values [samples, channels, fields] of chunks in order."""
    return np.concatenate([chunk.values for chunk in chunks])


def status_of(core: Predictor, stream: str = "demo", seconds: float = 0.0) -> dict[str, object]:
    """The status body a predictor would publish of a stream now."""
    bodies = [m.body for m in sent(core.tick(at(seconds))) if isinstance(m, Status) and m.stream == stream]
    return dict(bodies[0])


def chunk(seq: int, values: object, *, kind: Kind = Kind.INPUT, run: int = 1, stream: str = "demo") -> Chunk:
    """A chunk of one-field samples [samples] or [samples, channels], at 100 Hz; each run begins an hour later."""
    array = np.array(values, np.float32)
    array = array.reshape(len(array), -1, 1)
    return Chunk(kind, stream, run, seq, WALL_NS + (run - 1) * HOUR_NS + seq * 10_000_000, 100.0, array)
