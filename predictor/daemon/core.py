"""The daemon's core: messages and the clock in, effects out. Knows no sockets."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import islice

from predictor.daemon.batch import Batch
from predictor.daemon.diagnosis import RateLimit
from predictor.daemon.eviction import LongestSilent
from predictor.daemon.fast_path import FastPaths
from predictor.daemon.parked_streams import LOOK_EVERY_NS, ParkedStreams
from predictor.daemon.round_robin import Heard, RoundRobin
from predictor.daemon.stream import MAX_COURSE_LINES, MakeLearner, Stream
from predictor.engine.arithmetic import arithmetic, remark
from predictor.engine.stepper import FEW_CHANNELS, Engine
from predictor.state.checkpoint import pack
from predictor.state.checkpoint_schedule import CheckpointSchedule
from predictor.state.fingerprint import check_fingerprint, identity, model_hash
from predictor.state.parked_files import key_of
from streamer import memory
from streamer.clock import Instant
from streamer.effects import ERROR, INFO, WARNING, Checkpoint, Discard, Effect, Forget, Say, Send
from streamer.errors import FileError, OperatorError, UsageError
from streamer.messages import (
    ANSWERED,
    Burst,
    Chunk,
    Fetched,
    Gone,
    Incoming,
    Info,
    Kind,
    Parked,
    Recorded,
    Rejected,
    Request,
    SlowReader,
    Status,
    Subscription,
    Written,
)
from streamer.ordering.decisions import Memory
from streamer.ordering.reorder_buffer import MemoryBudget
from streamer.ordering.retry import RetryPolicy
from streamer.ordering.timers import TimerQueue
from streamer.replay.history import History
from streamer.replay.server import ReplayServer
from streamer.transport.slow_readers import SlowReaders
from streamer.waveforms import check_range
from streamer.wire import codec
from trainer.model import Model
from trainer.selfsupervised.learner import SelfConfig, SelfLearner
from trainer.state import Tree, subtree, trees, value_of

INPUT, TARGET = Kind.INPUT, Kind.TARGET  # to get at a member takes as long as to get at a sample's stream
STATUS_EVERY_NS = 1_000_000_000
REJECTIONS_EVERY_NS = 10_000_000_000
STATUSES_PER_TICK = 20  # a status takes 0.1 ms; beyond 1,000 streams a round of all takes longer than a second
TURN_EVERY_NS = 20_000_000
MAX_STREAMS = 10_000
# At streams that miss samples: a socket takes so many requests before they must be on their way.
LOOKS_AT_ONCE = 16
NARROW_STREAM_BYTES = 30_000  # of a stream of few channels
CHANNEL_BYTES, LEARNING_CHANNEL_BYTES = 7_680, 10_240  # of a stream; measured, with all that a step needs
LAST_WORDS = 1_000  # streams of which status and summary are said at the end: half a second
PREPARED_AT_ONCE = 64  # fast paths: a millisecond


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    """How the daemon behaves.

    Parameters
    ----------
    reset_on_gap : bool
        After a gap, start from the initial hidden state rather than go on with the present one.
    max_streams : int
        Further streams are refused.
    nominal_hz : float or None
        Scale the model's time to signals of about that frequency, by each stream's own rate.
    retry_policy : RetryPolicy
        What is done about missing samples.
    memory_bytes : int
        Of all; see `streamer.memory`.
    retain_s, retain_bytes : float, int
        How long and how many estimates are kept for those who ask for them again.
    checkpoint_every_s : float or None
        Have the state kept so often; None to not.

    Raises
    ------
    UsageError
        If a number is out of range.
    """

    reset_on_gap: bool = False
    max_streams: int = MAX_STREAMS
    nominal_hz: float | None = None
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    memory_bytes: int = memory.DEFAULT_BYTES
    retain_s: float = 30.0
    retain_bytes: int = 16 * 2**20
    checkpoint_every_s: float | None = None

    def __post_init__(self) -> None:
        if self.checkpoint_every_s is not None:
            check_range("--checkpoint-every", self.checkpoint_every_s, 0.1, 86_400)
        if self.nominal_hz is not None:
            check_range("--nominal-hz", self.nominal_hz, codec.MIN_RATE_HZ, codec.MAX_RATE_HZ)
        check_range("--retain", self.retain_s, 0, 1e9)
        check_range("--retain-mb", self.retain_bytes / 2**20, 0, 1e9)
        memory.check(
            self.memory_bytes, {"--hold-mb": self.retry_policy.hold_bytes, "--retain-mb": self.retain_bytes}
        )

    @property
    def state_bytes(self) -> int:
        """What the states of streams may take."""
        return memory.state_bytes(self.memory_bytes, self.retry_policy.hold_bytes + self.retain_bytes)


class Predictor:
    """Core of `sincos predict`: keeps every stream's hidden state alive and answers each sample once.

    Parameters
    ----------
    model : Model
    config : PredictorConfig
    make_learner : callable or None
        Makes a stream's learner; None to not learn from targets.
    self_config : SelfConfig or None
        How to learn on the signals themselves; None to not.

    Raises
    ------
    UsageError
        If the model's time is to be scaled and it learns from targets, or says cos alone.
    """

    def __init__(
        self,
        model: Model,
        config: PredictorConfig | None = None,
        make_learner: MakeLearner | None = None,
        self_config: SelfConfig | None = None,
    ) -> None:
        self.streams: dict[str, Stream] = {}
        self.rejected = 0
        if config is not None and config.nominal_hz is not None:
            _check_scalable(model, learns=make_learner is not None)
        self._config = config or PredictorConfig()
        self._most_streams = min(self._config.max_streams, max(1, self._config.state_bytes // NARROW_STREAM_BYTES))
        self._model = model
        self._make_learner = make_learner
        self._self_config = self_config
        self._learns = make_learner is not None or self_config is not None
        self._engine = Engine(model.config, model.weights)
        self._turns = RoundRobin(self._do, self._wake, self._failed, memory.queue_bytes(self._config.memory_bytes))
        self._batch = None if self._learns else Batch(self._engine, self._run)
        self.fast_paths = FastPaths(self._shared_engine())
        self._allowance = RateLimit()
        self._course = RateLimit(MAX_COURSE_LINES)  # of lines
        self._silent = LongestSilent(self._is_leaving)
        self._channel_bytes = LEARNING_CHANNEL_BYTES if self._learns else CHANNEL_BYTES
        self.forgotten = 0  # streams that made room for others
        self._now_ns = 0
        self._budget = MemoryBudget(self._config.retry_policy.hold_bytes)
        self._history = History(self._config.retain_s, self._config.retain_bytes)
        self._replays = ReplayServer(self._history)
        self.slow_readers = SlowReaders()
        self._timers = TimerQueue()  # of streams that miss samples
        # Those that have heard something since they last had nothing to learn.
        self._learning: dict[str, Stream] = {}
        self._turn: list[Stream] = []  # whose status is still to be said in this round, the next one last
        self._last_rejection: str | None = None
        self._reported_rejections = 0
        self._last_forgotten = ""
        self._said_forgotten = self._next_forgotten_ns = 0
        self._next_rejection_ns = 0  # when they may be told of again
        self._next_status_ns = self._next_turn_ns = 0
        self._started_ns: int | None = None
        every_s = self._config.checkpoint_every_s
        self._snapshots = CheckpointSchedule(every_s, self._settle) if every_s is not None else None
        self._identity = self._own_fingerprint() if self._snapshots is not None else {}
        self._parked = ParkedStreams(self._config.memory_bytes) if self._snapshots is not None else None
        self._stores: list[Effect] = []  # what is to be written, read and removed of single streams
        self._looked_ns = 0  # when it was last asked what became of it
        self._said_parked = self._said_park_failures = self._next_parked_ns = 0
        self._memory: Memory | None = None
        self._remarks: list[Say] = []  # on what was restored, for the next tick

    def receive(self, messages: Sequence[Incoming], now: Instant) -> Iterable[Effect]:
        """Answer inputs, learn from targets, heed infos; count what is not understood."""
        self._now_ns = now.mono_ns
        if messages and messages[0] is ANSWERED:
            self._heed(self.fast_paths.note(now))
            self._turns.others(now)
            messages = messages[1:]
            if not messages:
                return self._replays.work() or ()
        if len(messages) == 1 and isinstance(messages[0], Chunk):  # the usual cases, by the shortest way
            message = messages[0]
            if message.kind is INPUT:
                stream = self._stream(message.stream, message)
                if stream is None:
                    return self._take_stores()
                if not stream.at_work and message.values.size <= stream.slice_values and stream.continues(message):
                    self._turns.others(now)
                    if self._learns:
                        return self._turns.run(stream, stream.predict_next(message, now), now)
                    return stream.predict_next(message, now)
            elif message.kind is TARGET and self._learns and message.stream not in self._turns:
                stream = self._hearer(message.stream)
                if stream is None and self._is_parked(message.stream):
                    self._stream(message.stream, message)
                    return self._take_stores()
                if stream is None or stream.hear_next(message):
                    return self._replays.work() or ()  # however much comes in, those who ask are answered
        return self._receive(messages, now)

    def _receive(self, messages: Sequence[Incoming], now: Instant) -> Iterator[Effect]:
        for message in messages:
            match message:
                case Chunk(kind=Kind.INPUT):
                    yield from self._answer(message, message, now)
                case Burst(chunk) if chunk.kind is Kind.INPUT:
                    yield from self._answer(message, chunk, now)
                case Burst(chunk) if chunk.kind is Kind.TARGET:
                    for target in message.chunks():
                        yield from self._hear(target, now)
                case Chunk(kind=Kind.TARGET) | Info() | Gone():
                    yield from self._hear(message, now)
                case Request(_, replay):
                    self._settle(replay.stream)
                    self._replays.take(message)
                case Written() | Recorded() if self._snapshots is not None:
                    yield from self._snapshots.heed(message, now)
                    if isinstance(message, Written) and message.error is None and self._parked is not None:
                        yield from self._parked.covered()
                case Parked() if self._parked is not None:
                    yield from self._note_parked(message, self._parked)
                case Fetched() if self._parked is not None:
                    yield from self._note_fetched(message, self._parked, now)
                case Rejected(reason):
                    self._reject(reason)
                case SlowReader():
                    self.slow_readers.take(message)
                case Subscription(prefix, active=True) if codec.topic(Kind.STATUS).startswith(prefix[:7]):
                    self._next_status_ns = now.mono_ns
        if self._batch is not None:
            yield from self._batch.run(now)
            self.fast_paths.prepare(PREPARED_AT_ONCE)  # who is never idle must not stay without
        yield from self._look(now)
        yield from self._take_stores()
        yield from self._replays.work() or ()  # however much comes in, those who ask are answered

    def _take_stores(self) -> list[Effect]:
        stores, self._stores = self._stores, []
        return stores

    def _settle(self, name: str) -> None:
        """Do what remains to be done for a stream's samples that were answered at once, before it is touched."""
        stream = self.fast_paths.close(name)
        if stream is not None:
            self._heed([stream])

    def _heed(self, settled: Iterable[Stream]) -> None:
        """Take note of streams of which more is known now."""
        for stream in settled:
            if self._learns:
                self._learning[stream.name] = stream

    def _look(self, now: Instant) -> Iterator[Effect]:
        """Ask for what streams miss, or give it up, where that is due."""
        for name in islice(self._timers.take(now.mono_ns), LOOKS_AT_ONCE):
            self._settle(name)
            stream = self.streams.get(name)
            if stream is not None and not stream.at_work:  # else it is looked at once that is done
                yield from self._turns.run(stream, stream.look(now), now)

    def _wake(self, stream: Stream) -> None:
        """Note when a stream is to be looked at: it misses something, or another run speaks beside its own."""
        if (due_ns := stream.due_ns()) is not None:
            self._timers.set(stream.name, due_ns)

    def _answer(self, message: Chunk | Burst, chunk: Chunk, now: Instant) -> Iterator[Effect]:
        """Answer an input, at once or with the batch."""
        batch, stream = self._batch, self._stream(chunk.stream, message)
        if stream is None:
            return
        if batch is None:
            yield from self._run(stream, message, now)
            return
        if chunk.stream in batch or batch.full:
            yield from batch.run(now)
        if not stream.at_work and batch.takes(stream, chunk):
            self._turns.others(now)
            batch.add(stream, message, chunk)
        else:
            yield from self._run(stream, message, now)

    def _hear(self, message: Chunk | Info | Gone, now: Instant) -> Iterator[Effect]:
        """Give a target, or what the source says, to its stream, after the inputs that came before it."""
        stream = self._hearer(message.stream)
        if stream is None and (self._is_parked(message.stream) or self._can_catch_up(message)):
            stream = self._stream(message.stream, message)
        if stream is None:
            return
        if self._batch is not None and stream.name in self._batch:
            self._batch.hear(message)
            return
        yield from self._run(stream, message, now)

    def _run(self, stream: Stream, message: Heard, now: Instant) -> Iterator[Effect]:
        """Have a stream do what a message asks for: a slice of it now and the rest in turns, or all in turns."""
        if not self._fits(stream, message):
            return
        if stream.at_work:
            self._turns.queue(stream, message)
            return
        self._turns.others(now)
        # Where somebody is at work already, whoever else asks for much begins in a turn of its own.
        if self._turns and (stream.disturbed or _is_large(message, stream.slice_values)):
            self._turns.queue(stream, message)
            return
        yield from self._turns.run(stream, self._do(stream, message, now), now)

    def _failed(self, stream: Stream) -> Iterator[Effect]:
        """Let go of a stream for which memory was lacking: what it has half done is not to be gone on from."""
        self.forget(stream)
        self._reject(f"stream {stream.name}: not enough memory; it starts anew if it publishes again")
        yield from self._say_rejected(self._now_ns)

    def _fits(self, stream: Stream, message: Heard) -> bool:
        """Whether there is room for the state of a stream that has so many channels from now on; make it if so."""
        chunk = message.chunk if isinstance(message, Burst) else message
        if not isinstance(chunk, Chunk) or chunk.kind is not INPUT:
            return True
        channels = chunk.values.shape[1]
        if channels <= FEW_CHANNELS or channels <= stream.channels:
            return True
        limit_bytes = self._config.state_bytes - NARROW_STREAM_BYTES * (len(self.streams) - 1)
        wide = [one for one in self.streams.values() if one.channels > FEW_CHANNELS and one is not stream]
        needed = channels * self._channel_bytes
        used = sum(one.channels for one in wide) * self._channel_bytes
        leaving = sum(
            one.channels * self._channel_bytes + NARROW_STREAM_BYTES for one in wide if self._is_leaving(one)
        )
        while used - leaving + needed > limit_bytes and needed <= limit_bytes:
            gone = self._silent.longest(wide, self._now_ns)
            if gone is None:
                break
            self._settle(gone.name)
            if self._let_go(gone):
                leaving += gone.channels * self._channel_bytes + NARROW_STREAM_BYTES
            else:
                wide.remove(gone)
                used -= gone.channels * self._channel_bytes
                limit_bytes += NARROW_STREAM_BYTES
        if used + needed <= limit_bytes:
            stream.reserved_channels = channels
            return True
        if used - leaving + needed <= limit_bytes:
            self._reject(f"stream {stream.name}: the states of others are written to disk first, to make room")
            return False
        self._reject(
            f"stream {stream.name}: the state of {channels} channels takes some {needed / 2**20:.0f} MB; "
            f"those of all wide streams may take {limit_bytes / 2**20:.0f} MB; give --memory more"
        )
        return False

    def _do(self, stream: Stream, message: Heard, now: Instant) -> Iterator[Effect]:
        """Return what a stream does about a message."""
        if isinstance(message, Burst) or (isinstance(message, Chunk) and message.kind is INPUT):
            return stream.predict(message, now)
        return stream.hear(message, now)

    def _hearer(self, name: str) -> Stream | None:
        """Return the stream that is to hear something, settled; it may have something to learn from then on."""
        self._settle(name)
        stream = self.streams.get(name)
        if stream is not None:
            stream.touched_ns = self._now_ns
            if self._batch is None:
                self._learning[name] = stream
        return stream

    def _can_catch_up(self, message: Chunk | Info | Gone) -> bool:
        """Whether a stream that has not been heard yet has samples that can be had again."""
        if not isinstance(message, Info):
            return False
        return message.replays and message.next_seq > 0 and self._config.retry_policy.from_start

    def tick(self, now: Instant) -> Iterator[Effect]:
        """Have the state kept, say what changed, publish the status of the daemon and, in turn, of each stream."""
        yield from self._remarks
        self._remarks = []
        working = bool(self._turns)
        if working:
            yield from self._turns.work(now)
        if self._snapshots is not None:
            self._looked_ns = now.mono_ns
            for effect in self._snapshots.tick(self.streams, self._identity, now):
                if isinstance(effect, Checkpoint) and self._parked is not None:
                    self._parked.cover(self._snapshots.names)
                yield effect
        yield from self._take_stores()
        if self._started_ns is None:
            self._started_ns = now.mono_ns
        alarm_ns = self._timers.next_ns()
        looked = alarm_ns is not None and now.mono_ns >= alarm_ns
        yield from self._look(now)
        if (working or looked or self._snapshots is not None) and now.mono_ns < self._next_said_ns:
            return
        if now.mono_ns >= self._next_status_ns or not self._turn:
            self._next_status_ns = now.mono_ns + STATUS_EVERY_NS
            yield from self._say_status(now)
            self._turn = self._turn or list(reversed(self.streams.values()))
        for _ in range(min(STATUSES_PER_TICK, len(self._turn))):
            stream = self._turn.pop()
            if self.streams.get(stream.name) is stream:
                self._settle(stream.name)
                yield from stream.tick(now)
        self._next_turn_ns = now.mono_ns + TURN_EVERY_NS

    def _say_status(self, now: Instant) -> Iterator[Effect]:
        yield from self._say_rejected(now.mono_ns)
        yield from self._allowance.refused(now.mono_ns)
        yield from self._course.refused(now.mono_ns)
        yield from self._say_forgotten(now)
        yield from self.slow_readers.say(now)
        yield Send(self.status(now))

    def _say_rejected(self, now_ns: int) -> Iterator[Effect]:
        if self.rejected > self._reported_rejections and now_ns >= self._next_rejection_ns:
            self._next_rejection_ns = now_ns + REJECTIONS_EVERY_NS
            count = self.rejected - self._reported_rejections
            self._reported_rejections = self.rejected
            yield Say(f"rejected {count} message(s); the last: {self._last_rejection}", WARNING)

    def catch_up(self, now: Instant) -> Iterator[Effect]:
        """Do all that streams have left to do, of which `tick` does a slice."""
        while self._turns:
            yield from self._turns.work(now)

    def full(self) -> bool:
        """Whether no more samples are to be read in for now."""
        return self._turns.full()

    def next_deadline_ns(self) -> int:
        """When a status is due, a look at what is to be kept or at who misses samples; now, if work is left."""
        if self._turns:
            return 0
        due_ns, alarm_ns = self._next_said_ns, self._timers.next_ns()
        keep_ns = self._snapshots.next_deadline_ns() if self._snapshots is not None else None
        if alarm_ns is not None and alarm_ns < due_ns:
            due_ns = alarm_ns
        if self._parked is not None and self._parked.busy:
            due_ns = min(due_ns, self._looked_ns + LOOK_EVERY_NS)
        return due_ns if keep_ns is None else min(due_ns, keep_ns)

    @property
    def _next_said_ns(self) -> int:
        """When the next status is due."""
        return min(self._next_status_ns, self._next_turn_ns) if self._turn else self._next_status_ns

    def work(self) -> Iterable[Effect] | None:
        """Answer somebody who missed estimates, make ready for the next sample, or learn ahead of time."""
        replies = self._replays.work()
        if replies is not None:
            return replies
        if self.fast_paths.prepare():
            return ()
        while self._learning:
            name, stream = self._learning.popitem()
            if stream.scheduler.learn():
                self._learning[name] = stream
                self.fast_paths.wake(name)  # for now it may know with which weights
                return ()
        return None

    def stop(self, now: Instant) -> Iterator[Effect]:
        """Publish the last status of everything and sum up."""
        self._heed(self.fast_paths.close_all())
        yield from self._say_status(now)
        last = nlargest(LAST_WORDS, self.streams.values(), key=Stream.heard_ns)
        for stream in last:
            yield from stream.tick(now)
        for stream in last:
            yield Say(stream.summary())
        if len(last) < len(self.streams):
            yield Say(f"and {len(self.streams) - len(last)} stream(s) that published less recently")
        if self._snapshots is not None:
            yield from self._snapshots.last(self.streams, self._identity)

    def reload(self, model: Model) -> Iterator[Effect]:
        """Go on with another model from the next sample on, or say why not.

        Hidden states are kept where the two have the same shape, and start anew where they do not. Streams that
        learn from targets start from the new weights; what a stream learnt on its own signal stands beside them.
        """
        problem = _other_words(self._model, model)
        if problem is not None:
            yield Say(f"model {model.name} not taken, going on with {self._model.name}: {problem}", ERROR)
            return
        if model_hash(model) == model_hash(self._model):
            yield Say(f"model {model.name}: nothing new in it")
            return
        self._heed(self.fast_paths.close_all())
        same_shape = model.config == self._model.config
        self._model = model
        if same_shape:
            self._engine.load(model.weights)
        else:
            self._engine = Engine(model.config, model.weights)
            self._batch = None if self._learns else Batch(self._engine, self._run)
        self.fast_paths.forget(self._shared_engine())
        for stream in self.streams.values():
            engine = self._engine.fork() if self._make_learner else self._engine
            stream.adopt(model, engine, self._make_learner, same_shape=same_shape)
        how = "states are kept" if same_shape else "of another shape: hidden states are reset"
        yield Say(f"model {model.name} reloaded ({model.config.cell}, {model.config.hidden} units), {how}")
        if self._snapshots is not None:
            self._identity = self._own_fingerprint()
            self._snapshots.renew()
        if self._parked is not None:
            self._parked.stay()

    def checkpoint(self) -> Checkpoint:
        """Return the state of all streams as it stands between two messages."""
        for name in list(self.streams):
            self._settle(name)
        taken = [(name, stream.snapshot()) for name, stream in self.streams.items()]
        packed = [pack(tree, name) for name, tree in taken if tree is not None]
        return Checkpoint({"identity": self._own_fingerprint()}, packed)

    def recall(self, memory: Memory) -> None:
        """Have decisions written down from now on, and decide again what former lives did; before `restore`."""
        self._memory = memory

    def restore(self, tree: Tree, now: Instant) -> None:
        """Go on from a state that a `Checkpoint` carried.

        Raises
        ------
        StateError
            If it is of another model or other options.
        FileError
            If it is no such state.
        """
        theirs, ours = subtree(tree, "identity"), self._identity or self._own_fingerprint()
        check_fingerprint(theirs, ours)
        elsewhere = remark(theirs.get("arithmetic"), ours["arithmetic"])
        if elsewhere is not None:
            text, serious = elsewhere
            self._remarks.append(Say(text, WARNING if serious else INFO))
        streams = trees(tree, "streams")
        try:
            for state in streams:
                name = value_of(state, "name", str)
                self.streams[name] = self._new_stream(name)
                self.streams[name].restore(state, now)
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            raise FileError(f"state: cannot be gone on from: {type(error).__name__}: {error}") from None
        if self._snapshots is not None:
            self._snapshots.adopt(self.streams.values())

    def adopt_parked(self, index: Iterable[tuple[str, int, bool]]) -> None:
        """Take up the states of single streams that former lives left, as `ParkedFiles.index` has them."""
        if self._parked is not None:
            self._stores += self._parked.adopt(index, self.streams)

    def status(self, now: Instant) -> Status:
        """Return the daemon's own status."""
        body = {
            "model": self._model.name,
            "learning": self._learns,
            "streams": len(self.streams),
            "forgotten": self.forgotten,
            "rejected": self.rejected,
            "last_rejection": self._last_rejection,
            "slow_readers": self.slow_readers.count,
            "uptime_s": (now.mono_ns - (self._started_ns or now.mono_ns)) / 1e9,
            "checkpoint": self._snapshots.status(now) if self._snapshots is not None else None,
            "parked": self._parked.status() if self._parked is not None else None,
        }
        return Status("", 0, 0, now.wall_ns, body)

    def _shared_engine(self) -> Engine | None:
        """Return what steps all streams, if they have no time scales or weights of their own."""
        return None if self._learns or self._config.nominal_hz is not None else self._engine

    def _own_fingerprint(self) -> Tree:
        ours = identity(self._model, self._make_learner, self._self_config, self._config.nominal_hz)
        return ours | {"arithmetic": arithmetic(self._model)}

    def _stream(self, name: str, message: Heard) -> Stream | None:
        """Return the stream of an input, who may have something to learn now; None if it is refused or waits."""
        self._settle(name)
        stream = self.streams.get(name)
        if stream is not None:
            stream.touched_ns = self._now_ns
            if self._batch is None:
                self._learning[name] = stream
            return stream
        if self._hold(message):
            return None
        present = len(self.streams) + (self._parked.balance if self._parked is not None else 0)
        if present >= self._most_streams and not self._make_room():
            self._reject(f"stream {name}: {self._most_streams} streams are served already")
            return None
        if self._parked is not None and self._is_parked(name):
            self._stores.append(self._parked.fetch(name, message))
            return None
        self.streams[name] = stream = self._new_stream(name)
        stream.touched_ns = self._now_ns
        return stream

    def _make_room(self) -> bool:
        """Have the stream go that has been silent for the longest; return whether there is one."""
        if self._parked is not None and self._parked.full:
            return False
        stream = self._silent.take(self.streams.values(), self._now_ns)
        while stream is not None and self.fast_paths.close(stream.name) is not None:  # it was heard after all
            stream = self._silent.take(self.streams.values(), self._now_ns)
        if stream is None:
            return False
        self._let_go(stream)
        return True

    # Streams that make room

    def _let_go(self, stream: Stream) -> bool:
        """Have a stream's state written, to drop it then, or forget it; return whether it is still here."""
        park = self._parked.park(stream, self._identity) if self._parked is not None else None
        if park is None:
            self.forget(stream)
            return False
        self._stores.append(park)
        return True

    def _is_leaving(self, stream: Stream) -> bool:
        return self._parked is not None and self._parked.is_leaving(stream.name)

    def _is_parked(self, name: str) -> bool:
        """Return whether a stream's state is on disk alone, or being read."""
        return self._parked is not None and key_of(name) in self._parked

    def _hold(self, message: Heard) -> bool:
        """Keep a message of a stream whose state is being read; return False if it is not."""
        name = message.chunk.stream if isinstance(message, Burst) else message.stream
        return self._parked is not None and self._parked.hold(name, message)

    def _note_parked(self, message: Parked, parked: ParkedStreams) -> Iterator[Effect]:
        """Drop a stream whose state is on disk, if it was not heard meanwhile."""
        if not parked.is_leaving(message.stream):  # it has been forgotten
            yield Discard((key_of(message.stream),))
            return
        self._settle(message.stream)
        stream = parked.written(message)
        if stream is not None and message.error is None:
            self._drop(stream)
            self._last_forgotten = stream.name
            yield Forget(stream.name)
        elif stream is not None:
            self.forget(stream)
        yield from parked.bound()

    def _note_fetched(self, message: Fetched, parked: ParkedStreams, now: Instant) -> Iterator[Effect]:
        """Go on with a stream where it was parked, with what it said meanwhile."""
        name, why = message.stream, message.error
        stream = self._new_stream(name)
        try:
            if message.tree is None:
                raise FileError(why or "its file is gone")
            check_fingerprint(subtree(message.tree, "identity"), self._identity)
            stream.restore(trees(message.tree, "streams")[0], now)
        except (OperatorError, ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            why = str(error) or type(error).__name__
            self.fast_paths.remove(name)
            stream.close()
            stream = self._new_stream(name)
            yield Discard((key_of(name),))
            yield Say(f"stream {name}: its state cannot be gone on from, so it begins anew: {why}", WARNING)
        self.streams[name] = stream
        heard = parked.fetched(message, usable=why is None, why=why)
        yield from self._receive(list(heard), now)

    def forget(self, stream: Stream) -> None:
        """Let go of a stream; if it is heard again, it begins anew."""
        self.forgotten += 1
        self._last_forgotten = stream.name
        self._drop(stream)
        if self._parked is not None:
            self._parked.abandon(stream.name)
            self._stores += [*self._parked.discard(stream.name), Forget(stream.name)]

    def _drop(self, stream: Stream) -> None:
        """Keep nothing of a stream in memory."""
        name = stream.name
        self.fast_paths.remove(name)
        self._timers.forget(name)
        self._learning.pop(name, None)
        if self._snapshots is not None:
            self._snapshots.forget(name)
        stream.close()
        del self.streams[name]

    def _say_forgotten(self, now: Instant) -> Iterator[Effect]:
        count = self.forgotten - self._said_forgotten
        if count and now.mono_ns >= self._next_forgotten_ns:
            self._said_forgotten, self._next_forgotten_ns = self.forgotten, now.mono_ns + REJECTIONS_EVERY_NS
            text = f"{count} stream(s) that were silent for the longest were dropped for others"
            yield Say(f"{text}; they start anew if they publish again; the last: {self._last_forgotten}", WARNING)
        if self._parked is None or now.mono_ns < self._next_parked_ns:
            return
        count, failures = self._parked.parked - self._said_parked, self._parked.failures - self._said_park_failures
        self._said_parked, self._said_park_failures = self._parked.parked, self._parked.failures
        if count:
            text = f"{count} stream(s) that were silent for the longest were dropped for others"
            yield Say(f"{text}; they go on if they publish again; the last: {self._last_forgotten}")
        if failures:
            text = f"the states of {failures} stream(s) could not be written to disk or read from there"
            yield Say(f"{text}, so they begin anew; the last: {self._parked.last_error}", WARNING)
        if count or failures:
            self._next_parked_ns = now.mono_ns + REJECTIONS_EVERY_NS

    def _new_stream(self, name: str) -> Stream:
        # Streams that learn have weights of their own: what one teaches must not depend on when others speak.
        engine = self._engine.fork() if self._make_learner else self._engine
        stream = Stream(
            name,
            self._model,
            engine,
            self._make_learner,
            SelfLearner(self._self_config) if self._self_config else None,
            self._config.retry_policy,
            self._budget,
            self._history,
            self._allowance,
            self._course,
            reset_on_gap=self._config.reset_on_gap,
            nominal_hz=self._config.nominal_hz,
        )
        if self._memory is not None:
            stream.recall(self._memory.take(name))
        if self._self_config is None:
            self.fast_paths.add(stream)
        return stream

    def _reject(self, reason: str) -> None:
        self.rejected += 1
        self._last_rejection = reason[:200]


def _is_large(message: Heard, slice_values: int) -> bool:
    """Whether answering a message takes more than a slice's time."""
    chunk = message.chunk if isinstance(message, Burst) else message
    return isinstance(chunk, Chunk) and chunk.values.size > slice_values


def _other_words(present: Model, model: Model) -> str | None:
    """Return why a model cannot take the place of the present one, None if it can."""
    said, would_say = present.config.fields, model.config.fields
    if would_say != said:
        return f"it says {', '.join(would_say)}, and readers expect {', '.join(said)}; start again with it"
    return None


def _check_scalable(model: Model, *, learns: bool) -> None:
    if learns:
        raise UsageError("--nominal-hz: a model whose time is scaled cannot learn from targets; --learn self can")
    if len(model.config.fields) < 2:
        raise UsageError(f"--nominal-hz: needs a model that gives cos and sin; {model.name} gives cos alone")
