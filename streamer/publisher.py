"""The source: signal and pacer -> chunks. Sans-IO."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamer import wire
from streamer.clock import Instant
from streamer.effects import Effect, Finish, Say, Send
from streamer.errors import UsageError
from streamer.messages import FIELDS, Chunk, FloatArray, Incoming, Info, Kind, Subscription
from streamer.pacing import Pacer
from streamer.quantiles import RecentQuantiles
from streamer.signals import Signal

INFO_EVERY_NS = 1_000_000_000
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

    def __post_init__(self) -> None:
        if not wire.STREAM_NAME.fullmatch(self.stream):
            raise UsageError(f"stream: must match {wire.STREAM_NAME.pattern}, got {self.stream!r}")
        for name, least in (("chunk", 1), ("count", 0), ("target_delay_samples", 0), ("wait_for", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value < wire.MAX_SEQ:
                raise UsageError(f"{name}: must be at least {least} and below 2^63, got {value}")


class Publisher:
    """Core of `sincos source`: says every sample once, at its deadline.

    Parameters
    ----------
    config : SourceConfig
    signal : Signal
    run : int
        Random 64-bit id of this start.

    Raises
    ------
    UsageError
        If one message would pass the protocol's limits.
    """

    def __init__(self, config: SourceConfig, signal: Signal, run: int) -> None:
        self._most_samples = wire.MAX_PAYLOAD_BYTES // (4 * signal.channels * len(FIELDS))
        if config.chunk > self._most_samples:
            raise UsageError(
                f"chunk: a message of {signal.channels} channels holds at most {self._most_samples} samples, "
                f"got {config.chunk}"
            )
        self._config = config
        self._signal = signal
        self._run = run
        self._next_seq = 0
        self._next_target = 0
        self._pacer: Pacer | None = None
        self._next_info_ns = 0
        self._listeners = 0
        self._input_topic = wire.topic(Kind.INPUT, config.stream)
        self._info_topic = wire.topic(Kind.INFO, config.stream)
        self.lateness = RecentQuantiles()

    def receive(self, messages: Sequence[Incoming], now: Instant) -> Iterator[Effect]:
        """Count listeners; tell each newcomer what the stream is."""
        asked = False
        for message in messages:
            if not isinstance(message, Subscription):
                continue
            asked |= message.active and self._info_topic.startswith(message.prefix)
            if self._input_topic.startswith(message.prefix):
                # Never below none: a peer may give up what it never asked for.
                self._listeners = max(0, self._listeners + (1 if message.active else -1))
        if asked:
            yield Send(self._info(now))
        if self._pacer is None:
            yield from self.tick(now)

    def tick(self, now: Instant) -> Iterator[Effect]:
        """Publish every sample that is due, and the info that accompanies it."""
        if self._pacer is None and self._listeners >= self._config.wait_for:
            self._pacer = Pacer(now, self._signal.rate_hz)
        if now.mono_ns >= self._next_info_ns:
            self._next_info_ns = now.mono_ns + INFO_EVERY_NS
            yield Send(self._info(now))
        if self._pacer is None:
            return
        for _ in range(CHUNKS_PER_TICK):
            if self._finished or now.mono_ns < self._chunk_due_ns(self._pacer, now):
                break
            yield from self._say_chunk(self._pacer, now)
        if self._finished:
            yield Finish()

    def next_deadline_ns(self) -> int | None:
        """When the next chunk, or the next info, is due."""
        if self._pacer is None:
            return self._next_info_ns
        if not self._config.paced:
            return 0
        return min(self._next_info_ns, self._pacer.deadline_ns(self._chunk_end() - 1))

    def work(self) -> None:
        """Nothing can wait."""

    def stop(self, now: Instant) -> Iterator[Effect]:
        """Say the targets still held back, that the run has ended, and how well it was paced."""
        if self._config.targets and self._pacer is not None:
            yield from self._say_targets(self._pacer, now, up_to=self._next_seq)
        yield Send(self._info(now, ended=True))
        yield Say(self._summary())

    @property
    def _finished(self) -> bool:
        return self._config.count is not None and self._next_seq >= self._config.count

    def _chunk_end(self) -> int:
        end = self._next_seq + self._config.chunk
        return end if self._config.count is None else min(end, self._config.count)

    def _chunk_due_ns(self, pacer: Pacer, now: Instant) -> int:
        # A chunk can be said once its last sample has happened.
        return pacer.deadline_ns(self._chunk_end() - 1) if self._config.paced else now.mono_ns

    def _say_chunk(self, pacer: Pacer, now: Instant) -> Iterator[Effect]:
        seq, count = self._next_seq, self._chunk_end() - self._next_seq
        if self._config.paced:
            self.lateness.add((now.mono_ns - self._chunk_due_ns(pacer, now)) / 1e9)
        inputs, targets = self._signal.samples(seq, count)
        self._next_seq += count
        yield Send(self._chunk(Kind.INPUT, seq, inputs, pacer, now))
        if not self._config.targets:
            return
        if self._config.target_delay_samples:
            yield from self._say_targets(pacer, now, up_to=self._next_seq - self._config.target_delay_samples)
        else:
            self._next_target = self._next_seq
            yield Send(self._chunk(Kind.TARGET, seq, targets, pacer, now))

    def _say_targets(self, pacer: Pacer, now: Instant, up_to: int) -> Iterator[Effect]:
        """Say late targets: asked of the signal again, so that none need be held however late they are."""
        while self._next_target < up_to:
            seq, count = self._next_target, min(up_to - self._next_target, self._most_samples)
            self._next_target += count
            yield Send(self._chunk(Kind.TARGET, seq, self._signal.samples(seq, count)[1], pacer, now))

    def _chunk(self, kind: Kind, seq: int, values: FloatArray, pacer: Pacer, now: Instant) -> Chunk:
        rate_hz = self._signal.rate_hz
        # Without pacing the last sample is said to happen now, so that none lies in the future.
        stamp_ns = (
            pacer.stamp_ns(seq)
            if self._config.paced
            else max(0, now.wall_ns - round((len(values) - 1) * 1e9 / rate_hz))
        )
        return Chunk(kind, self._config.stream, self._run, seq, stamp_ns, rate_hz, values)

    def _info(self, now: Instant, *, ended: bool = False) -> Info:
        return Info(
            stream=self._config.stream,
            run=self._run,
            next_seq=self._next_seq,
            time_ns=now.wall_ns,
            rate_hz=self._signal.rate_hz,
            channels=tuple(str(channel) for channel in range(self._signal.channels)),
            target_fields=FIELDS if self._config.targets else (),
            target_delay_samples=self._config.target_delay_samples,
            ended=ended,
            lateness_p99_s=self.lateness.quantile(0.99),
        )

    def _summary(self) -> str:
        text = f"stream {self._config.stream}: published {self._next_seq} samples of run {self._run:016x}"
        p50_s, p99_s = self.lateness.quantile(0.5), self.lateness.quantile(0.99)
        worst_s = self.lateness.largest
        if p50_s is None or p99_s is None or worst_s is None:
            return text
        return f"{text}; late by p50 {p50_s * 1e3:.2f}, p99 {p99_s * 1e3:.2f}, max {worst_s * 1e3:.2f} ms"
