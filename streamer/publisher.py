"""The source: signal and pacer -> chunks. Sans-IO."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

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
            if value is not None and value < least:
                raise UsageError(f"{name}: must be at least {least}, got {value}")


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
        widest = 4 * config.chunk * signal.channels * len(FIELDS)
        if signal.channels > wire.MAX_CHANNELS or widest > wire.MAX_PAYLOAD_BYTES:
            raise UsageError(
                f"chunk, channels: at most {wire.MAX_CHANNELS} channels and {wire.MAX_PAYLOAD_BYTES} bytes a "
                f"message, got {signal.channels} channels and {widest} bytes"
            )
        self._config = config
        self._signal = signal
        self._run = run
        self._next_seq = 0
        self._next_target = 0
        self._held_targets: list[FloatArray] = []
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
                self._listeners += 1 if message.active else -1
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
        if self._config.targets:
            yield from self._say_targets(now, up_to=self._next_seq)
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
        if self._config.targets:
            self._held_targets.append(targets)
            yield from self._say_targets(now, up_to=self._next_seq - self._config.target_delay_samples)

    def _say_targets(self, now: Instant, up_to: int) -> Iterator[Effect]:
        count = up_to - self._next_target
        if count <= 0 or self._pacer is None:
            return
        held = np.concatenate(self._held_targets)
        self._held_targets = [held[count:]] if len(held) > count else []
        yield Send(self._chunk(Kind.TARGET, self._next_target, held[:count], self._pacer, now))
        self._next_target = up_to

    def _chunk(self, kind: Kind, seq: int, values: FloatArray, pacer: Pacer, now: Instant) -> Chunk:
        stamp_ns = pacer.stamp_ns(seq) if self._config.paced else now.wall_ns
        return Chunk(kind, self._config.stream, self._run, seq, stamp_ns, self._signal.rate_hz, values)

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
        if self.lateness.largest is None:
            return text
        p50, p99 = self.lateness.quantile(0.5), self.lateness.quantile(0.99)
        return f"{text}; late by p50 {p50 * 1e3:.2f}, p99 {p99 * 1e3:.2f}, max {self.lateness.largest * 1e3:.2f} ms"
