"""Messages in, snapshots out. Sans-IO."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from predictor.console import untrusted
from predictor.console.freshness import Freshness
from predictor.console.snapshot import Event, Snapshot
from predictor.console.stream import StreamView
from streamer.clock import Instant
from streamer.messages import Chunk, Incoming, Info, Kind, Rejected, Status

MAX_STREAMS = 256
MAX_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Selection:
    """What is drawn: a stream by name, or the first one with samples; a channel by index."""

    stream: str | None = None
    channel: int = 0


class Collector:
    """Keeps, in bounded room, what a snapshot needs.

    Parameters
    ----------
    sources, predictors : sequence of str
        Addresses listened to, to name them while nothing is heard.
    start : Instant
        When listening began.
    """

    def __init__(self, sources: Sequence[str], predictors: Sequence[str], start: Instant) -> None:
        self._sources, self._predictors = tuple(sources), tuple(predictors)
        self._start = start
        self._streams: dict[str, StreamView] = {}
        self._events: deque[tuple[int, str]] = deque(maxlen=MAX_EVENTS)
        self._rejected = 0
        self._predictor_rejected: int | None = None
        self._first_sampled: str | None = None
        self._predictor, self._predictor_status = Freshness(), Freshness()
        self._predictor_start_s: float | None = None

    @property
    def streams(self) -> Sequence[str]:
        """Names of the streams, in the order they were first heard."""
        return list(self._streams)

    def receive(self, messages: Iterable[Incoming], now: Instant) -> None:
        """Take what came in, in order."""
        touched: dict[str, StreamView] = {}
        for message in messages:
            if isinstance(message, Rejected):
                self._rejected += 1
            elif isinstance(message, Chunk | Info | Status):
                self._note_predictor(message, now)
                view = self._view(message.stream)
                if view is not None:
                    touched[view.name] = view
                    self._say(view.take(message, now), now)
                    if self._first_sampled is None and view.has_samples:
                        self._first_sampled = view.name
        for view in touched.values():
            view.settle(now)

    def next_stream(self, selection: Selection) -> Selection:
        """Select the stream after the one selected."""
        names = self.streams
        if not names:
            return selection
        view = self._selected(selection)
        at = names.index(view.name) if view is not None else 0
        return Selection(names[(at + 1) % len(names)])

    def next_channel(self, selection: Selection) -> Selection:
        """Select the channel after the one selected."""
        view = self._selected(selection)
        return replace(selection, channel=(selection.channel + 1) % view.channels) if view else selection

    def snapshot(self, selection: Selection, now: Instant) -> Snapshot:
        """Return the picture of this moment."""
        view = self._selected(selection)
        return Snapshot(
            elapsed_s=(now.mono_ns - self._start.mono_ns) / 1e9,
            sources=self._sources,
            predictors=self._predictors,
            streams=[each.summary(now) for each in self._streams.values()],
            shown=view.shown(selection.channel, now) if view else None,
            events=[Event(text, (now.mono_ns - at_ns) / 1e9) for at_ns, text in reversed(self._events)],
            rejected=self._rejected,
            predictor_rejected=self._predictor_rejected,
            predictor_rejected_stale_s=self._predictor_status.stale_s(now.mono_ns),
            predictor_silent_s=self._predictor.age_s(now.mono_ns),
            wanted=selection.stream,
        )

    def _selected(self, selection: Selection) -> StreamView | None:
        if selection.stream is not None:
            return self._streams.get(selection.stream)
        if self._first_sampled is not None:
            return self._streams[self._first_sampled]
        return next(iter(self._streams.values()), None)

    def _view(self, name: str) -> StreamView | None:
        if name and name not in self._streams and len(self._streams) < MAX_STREAMS:
            self._streams[name] = StreamView(name)
        return self._streams.get(name)

    def _say(self, texts: Iterable[str], now: Instant) -> None:
        self._events.extend((now.mono_ns, text) for text in texts)

    def _note_predictor(self, message: Chunk | Info | Status, now: Instant) -> None:
        match message:
            case Chunk(kind=Kind.ESTIMATE):
                self._predictor.note(now.mono_ns)
            case Status(stream=stream, body=body):
                self._predictor.note(now.mono_ns)
                if not stream:
                    self._predictor_status.note(now.mono_ns)
                    self._predictor_rejected = untrusted.count(body, "rejected")
                    self._note_predictor_start(message, now)

    def _note_predictor_start(self, status: Status, now: Instant) -> None:
        uptime_s = untrusted.number(status.body, "uptime_s")
        if uptime_s is None:
            return
        # Only a later start than any before is news, so that two predictors do not cry restart in turns.
        start_s = status.time_ns / 1e9 - uptime_s
        known_s = self._predictor_start_s
        if known_s is not None and start_s > known_s + 0.5:
            self._say(["predictor restarted"], now)
        self._predictor_start_s = start_s if known_s is None else max(known_s, start_s)
