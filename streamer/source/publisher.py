"""The source: signal and pacer -> chunks. Sans-IO."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamer import memory
from streamer.clock import Instant
from streamer.effects import WARNING, Effect, Finish, Say, Send
from streamer.errors import UsageError
from streamer.messages import FIELDS, Incoming, Info, Kind, Request, SlowReader, Subscription
from streamer.quantiles import RecentQuantiles
from streamer.replay.history import History
from streamer.replay.server import ReplayServer
from streamer.source.pacing import Pacer
from streamer.source.run_log import Journal, Record
from streamer.source.signals import Samples
from streamer.transport.slow_readers import SlowReaders
from streamer.waveforms import check_range
from streamer.wire import codec

INFO_EVERY_NS = 1_000_000_000
MAX_RETAIN_S = 1e6
MAX_RETAIN_BYTES = 2**40
LABEL_BYTES = codec.MAX_JSON_BYTES - 4_096  # of an info; the rest of it takes less
CHUNKS_PER_TICK = 64  # so that a source far behind, or not paced at all, still hears its subscribers


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """How a signal is published.

    Parameters
    ----------
    stream : str
        Name of the stream.
    chunk : int
        Samples a message.
    count : int or None
        Samples in all; None goes on until stopped.
    paced : bool
        Publish in real time; otherwise as fast as listeners take it.
    targets : bool
        Publish the true quadrature (and clean in-phase) too.
    target_delay_samples : int
        How many samples later.
    wait_for : int
        Listeners to wait for before the first sample.
    retain_s : float
        How long what was said is kept, in case it is asked for again.
    retain_bytes : int
        How much of it, in memory.
    memory_bytes : int
        Of which at most half may be kept.
    linger_s : float
        How long to stay after the last sample, to be asked; not where nobody has listened.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    stream: str = "demo"
    chunk: int = 1
    count: int | None = None
    paced: bool = True
    targets: bool = True
    target_delay_samples: int = 0
    wait_for: int = 0
    retain_s: float = 60.0
    retain_bytes: int = 64 * 2**20
    linger_s: float = 1.0
    memory_bytes: int = memory.DEFAULT_BYTES

    def __post_init__(self) -> None:
        if not codec.STREAM_NAME.fullmatch(self.stream):
            raise UsageError(f"stream: {codec.STREAM_RULE}, got {self.stream!r}")
        for name, least in (("chunk", 1), ("count", 0), ("target_delay_samples", 0), ("wait_for", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value < codec.MAX_SEQ:
                raise UsageError(f"{name}: must be at least {least} and below 2^63, got {value}")
        check_range("retain_s", self.retain_s, 0, MAX_RETAIN_S)
        check_range("linger_s", self.linger_s, 0, MAX_RETAIN_S)
        check_range("retain_mb", self.retain_bytes / 2**20, 0, MAX_RETAIN_BYTES / 2**20)
        memory.check(self.memory_bytes, {"--retain-mb": self.retain_bytes})


class Publisher:
    """Core of `sincos source`: says every sample once, at its deadline, and again to who asks.

    Parameters
    ----------
    config : SourceConfig
    signal : Samples
    run : int
        Random 64-bit id of this start.
    journal : Journal or None
        Where every chunk is written down before it is said.

    Raises
    ------
    UsageError
        If one message would pass the protocol's limits.
    """

    def __init__(self, config: SourceConfig, signal: Samples, run: int, journal: Journal | None = None) -> None:
        self._most_samples = codec.MAX_PAYLOAD_BYTES // (4 * signal.channels * len(FIELDS))
        if config.chunk > self._most_samples:
            raise UsageError(
                f"chunk: a message of {signal.channels} channels holds at most {self._most_samples} samples, "
                f"got {config.chunk}"
            )
        _check_labels(signal.labels)
        self._config = config
        self._signal = signal
        self._journal = journal
        history = History(config.retain_s, config.retain_bytes, all_begun=True)
        self.record = Record(config.stream, run, signal.rate_hz, history, journal, targets=config.targets)
        self._replays = history.keeps
        self._server = ReplayServer(history)
        self._pacer: Pacer | None = None
        self._next_info_ns = 0
        self._leaves_ns: int | None = None
        self._listeners = 0
        self._slow_readers = SlowReaders()
        self._was_heard = False
        self._input_topic = codec.topic(Kind.INPUT, config.stream)
        self._info_topic = codec.topic(Kind.INFO, config.stream)
        self.lateness = RecentQuantiles()

    @property
    def listeners(self) -> int:
        """How many subscribers take the inputs."""
        return self._listeners

    def receive(self, messages: Sequence[Incoming], now: Instant) -> Iterator[Effect]:
        """Count listeners, tell each newcomer what the stream is, and take requests."""
        asked = False
        for message in messages:
            if isinstance(message, Request):
                self._server.take(message)
            elif isinstance(message, Subscription):
                asked |= message.active and self._info_topic.startswith(message.prefix)
                self._count(message)
            elif isinstance(message, SlowReader):
                self._slow_readers.take(message)
        if asked:
            yield Send(self._info(now))
        if self._pacer is None:
            yield from self.tick(now)
        yield from self.work() or ()  # however many ask, those who asked before are answered

    def _count(self, message: Subscription) -> None:
        if self._input_topic.startswith(message.prefix):
            # Never below none: a peer may give up what it never asked for.
            self._listeners = max(0, self._listeners + (1 if message.active else -1))
            self._was_heard = True

    def tick(self, now: Instant) -> Iterator[Effect]:
        """Publish every sample that is due, and the info that accompanies it."""
        if self._pacer is None and self._listeners >= self._config.wait_for:
            self._pacer = self._starting(now)
        if now.mono_ns >= self._next_info_ns:
            self._next_info_ns = now.mono_ns + INFO_EVERY_NS
            yield Send(self._info(now))
            yield from self._slow_readers.say(now)
            if self._journal is not None:
                yield from (Say(text, WARNING) for text in self._journal.news())
        if self._pacer is None:
            return
        for _ in range(CHUNKS_PER_TICK):
            chunk = self._next_chunk()
            if chunk is None or now.mono_ns < self._due_ns(chunk, self._pacer, now):
                break
            yield from self._say_chunk(chunk, self._pacer, now)
        if self._finished:
            yield from self._linger(self._pacer, now)

    def _starting(self, now: Instant) -> Pacer:
        """Return a pacer by which the next sample is due now."""
        self._was_heard |= self.record.next_seq > 0  # in an earlier life
        said_ns = round(self.record.next_seq * 1e9 / self._signal.rate_hz)
        return Pacer(Instant(now.mono_ns - said_ns, max(0, now.wall_ns - said_ns)), self._signal.rate_hz)

    def _linger(self, pacer: Pacer, now: Instant) -> Iterator[Effect]:
        """Say that nothing follows, and stay for who missed something."""
        if self._leaves_ns is None and self._was_heard and self._replays and self._config.linger_s:
            self._leaves_ns = now.mono_ns + round(self._config.linger_s * 1e9)
            yield from self._say_last_targets(pacer, now)
            yield Send(self._info(now))
        if self._leaves_ns is None or now.mono_ns >= self._leaves_ns:
            yield Finish()

    def next_deadline_ns(self) -> int | None:
        """When the next chunk, or the next info, is due, or it is time to leave."""
        if self._pacer is None:
            return self._next_info_ns
        if self._leaves_ns is not None:
            return min(self._next_info_ns, self._leaves_ns)
        chunk = self._next_chunk()
        if chunk is None:
            return 0 if self._finished else self._next_info_ns
        return min(self._next_info_ns, self._pacer.deadline_ns(chunk[1] - 1)) if self._config.paced else 0

    def work(self) -> Sequence[Effect] | None:
        """Answer a little of what was asked for."""
        return self._server.work()

    def stop(self, now: Instant) -> Iterator[Effect]:
        """Say the targets still held back, that the run has ended, and how well it was paced.

        A run that is written down has not ended: it may be taken up again.
        """
        ended = self._finished or self._journal is None
        if self._pacer is not None and ended:
            yield from self._say_last_targets(self._pacer, now)
        yield Send(self._info(now, ended=ended))
        yield Say(self._summary())

    @property
    def _finished(self) -> bool:
        next_seq, count = self.record.next_seq, self._config.count
        if count is not None:
            stretch = self._signal.stretch(next_seq)
            if next_seq >= count or (stretch is not None and stretch[0] >= count):
                return True
        return self._signal.ends(next_seq)

    def _next_chunk(self) -> tuple[int, int] | None:
        """Return begin and end of the samples that come next; None while there are none, or no more."""
        stretch = None if self._finished else self._signal.stretch(self.record.next_seq)
        if stretch is None:
            return None
        begin, end = stretch[0], min(stretch[1], stretch[0] + self._config.chunk)
        if self._config.count is None:
            return begin, end
        return begin, min(end, self._config.count)

    def _due_ns(self, chunk: tuple[int, int], pacer: Pacer, now: Instant) -> int:
        # A chunk can be said once its last sample has happened.
        return pacer.deadline_ns(chunk[1] - 1) if self._config.paced else now.mono_ns

    def _say_chunk(self, chunk: tuple[int, int], pacer: Pacer, now: Instant) -> Iterator[Effect]:
        record, delay = self.record, self._config.target_delay_samples
        seq, count = chunk[0], chunk[1] - chunk[0]
        if seq > record.next_seq:
            record.skip_to(seq)
        if self._config.paced:
            self.lateness.add((now.mono_ns - self._due_ns(chunk, pacer, now)) / 1e9)
        yield from self._say_targets(pacer, now, up_to=seq - delay)  # of a run taken up again
        inputs, targets = self._signal.samples(seq, count)
        yield Send(record.inputs(inputs, self._stamp_ns(seq, count, pacer, now), now))
        if self._config.targets and not delay:
            yield Send(record.targets(targets, self._stamp_ns(seq, count, pacer, now), now))
        else:
            yield from self._say_targets(pacer, now, up_to=record.next_seq - delay)

    def _say_last_targets(self, pacer: Pacer, now: Instant) -> Iterator[Effect]:
        """Say what is held back, in the messages in which an earlier life of the run may have said it."""
        end = self.record.next_seq
        for up_to in (end - self._config.target_delay_samples, end):
            yield from self._say_targets(pacer, now, up_to)

    def _say_targets(self, pacer: Pacer, now: Instant, up_to: int) -> Iterator[Effect]:
        """Say late targets: asked of the signal again, so that none need be held however late they are."""
        record = self.record
        while self._config.targets and record.next_target_seq < up_to:
            seq, count = record.next_target_seq, min(up_to - record.next_target_seq, self._most_samples)
            targets = self._signal.samples(seq, count)[1]
            yield Send(record.targets(targets, self._stamp_ns(seq, count, pacer, now), now))

    def _stamp_ns(self, seq: int, count: int, pacer: Pacer, now: Instant) -> int:
        if self._config.paced:
            return pacer.stamp_ns(seq)
        # Without pacing the last sample is said to happen now, so that none lies in the future.
        return max(0, now.wall_ns - round((count - 1) * 1e9 / self._signal.rate_hz))

    def _info(self, now: Instant, *, ended: bool = False) -> Info:
        record = self.record
        return Info(
            stream=record.stream,
            run=record.run,
            next_seq=record.next_seq,
            time_ns=now.wall_ns,
            rate_hz=record.rate_hz,
            channels=self._signal.labels or tuple(str(channel) for channel in range(self._signal.channels)),
            target_fields=FIELDS if self._config.targets else (),
            target_delay_samples=self._config.target_delay_samples,
            ended=ended or self._leaves_ns is not None,
            lateness_p99_s=self.lateness.quantile(0.99),
            next_target_seq=record.next_target_seq,
            replays=self._replays,
            paced=self._config.paced,
            repeats=self._journal is not None,
        )

    def _summary(self) -> str:
        record = self.record
        published = record.next_seq - record.missing
        text = f"stream {record.stream}: published {published} samples of run {record.run:016x}"
        if record.missing:
            text += f", {record.missing} are missing in it"
        p50_s, p99_s = self.lateness.quantile(0.5), self.lateness.quantile(0.99)
        worst_s = self.lateness.largest
        if p50_s is None or p99_s is None or worst_s is None:
            return text
        return f"{text}; late by p50 {p50_s * 1e3:.2f}, p99 {p99_s * 1e3:.2f}, max {worst_s * 1e3:.2f} ms"


def _check_labels(labels: Sequence[str]) -> None:
    """Refuse names of channels that nobody could be told: peers reject such an info."""
    longest, size = max(labels, key=len, default=""), len(json.dumps(labels))
    if len(longest) > codec.MAX_LABEL_LETTERS:
        raise UsageError(
            f"names of channels must have at most {codec.MAX_LABEL_LETTERS} letters, got {len(longest)} in "
            f"{longest[:40]!r}...: shorten it"
        )
    if size > LABEL_BYTES:
        raise UsageError(
            f"names of channels may take {LABEL_BYTES} bytes in all, as JSON, got {size}: shorten them"
        )
