"""Core of `sincos listen`: messages in, JSON lines out. Sans-IO."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from predictor.listen.cos_alone import CosAlone
from predictor.listen.joiner import PARTS, Joiner
from predictor.listen.json_lines import gap_line, own_phases, report_line, sample_lines
from predictor.listen.phase_lines import PhaseLines
from predictor.listen.reorder import MAX_STREAMS, OrderedReader
from streamer.clock import Instant
from streamer.effects import WARNING, Ask, Effect, Finish, Print, Say
from streamer.errors import NothingHeard, UsageError
from streamer.messages import Chunk, Gone, Incoming, Info, Kind, Message, Rejected, Replay, Status
from streamer.ordering.events import Gap
from streamer.ordering.retry import RetryPolicy
from streamer.ordering.run_names import RunNames
from streamer.wire import codec

SECOND_NS = 1_000_000_000
MAX_HELD = 500_000  # numbers in unfinished lines: some 100 MB, 100,000 samples of one channel
MAX_RUNS = 256  # joined at once
GRACE_NS = 2 * SECOND_NS  # of silence, once a run has ended, before its last estimates are given up
REMIND_NS = 5 * SECOND_NS


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """What to print, and when to leave.

    Parameters
    ----------
    kinds : tuple of Kind
        What to print. Without effect where `joined`.
    stream : str or None
        Only this stream; None takes all.
    count : int or None
        Lines in all; None goes on until stopped.
    joined : bool
        One line a sample, with its input, target and estimate together.
    timeout_s : float or None
        How long nothing may come.
    reliable : bool
        Print samples in order and without holes: ask again for what is missing, and print a line for what cannot
        be had.
    retry_policy : RetryPolicy
        Where reliable.
    phase : bool
        Print phase and amplitude of each estimate. Inputs are heard too, for models that say cos alone.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    kinds: tuple[Kind, ...] = (Kind.ESTIMATE,)
    stream: str | None = None
    count: int | None = None
    joined: bool = False
    timeout_s: float | None = None
    reliable: bool = False
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    phase: bool = False

    def __post_init__(self) -> None:
        if self.phase and not self.joined and Kind.ESTIMATE not in self.kinds:
            raise UsageError("--phase: is of estimates: add --kind estimate, or leave --kind out")
        if self.stream is not None and not codec.STREAM_NAME.fullmatch(self.stream):
            raise UsageError(f"stream: {codec.STREAM_RULE}, got {self.stream!r}")
        if self.count is not None and self.count < 0:
            raise UsageError(f"count: must be at least 0, got {self.count}")
        if self.timeout_s is not None and not 0 < self.timeout_s <= 1e9:
            raise UsageError(f"timeout_s: must be above 0 and at most 1e9 seconds, got {self.timeout_s}")

    @property
    def heard_kinds(self) -> tuple[Kind, ...]:
        """Kinds to subscribe to; INPUT comes last, for a source that waits for its listeners."""
        kinds = {*PARTS, Kind.INFO} if self.joined else set(self.kinds)
        if self.phase:
            kinds |= {Kind.INPUT, Kind.INFO}
        if self.reliable and Kind.ESTIMATE in kinds:
            kinds.add(Kind.STATUS)
        if self.reliable and kinds & {Kind.INPUT, Kind.TARGET}:
            kinds.add(Kind.INFO)
        return tuple(sorted(kinds, reverse=True))

    @property
    def sample_kinds(self) -> tuple[Kind, ...]:
        """Kinds of samples to bring in order."""
        if self.joined:
            return PARTS
        needed = {*self.kinds, Kind.INPUT} if self.phase else set(self.kinds)
        return tuple(kind for kind in PARTS if kind in needed)

    @property
    def topics(self) -> tuple[bytes, ...]:
        """What to subscribe to."""
        return tuple(codec.topic(kind, self.stream or "") for kind in self.heard_kinds)

    def shows(self, message: Info | Status) -> bool:
        """Whether a report has a part in what is printed."""
        if self.joined:
            return isinstance(message, Info)
        return (Kind.INFO if isinstance(message, Info) else Kind.STATUS) in self.kinds


class Listener:
    """Prints what passes.

    Parameters
    ----------
    config : ListenerConfig
    """

    def __init__(self, config: ListenerConfig) -> None:
        self._config = config
        self._in_order = OrderedReader(config.sample_kinds, config.retry_policy) if config.reliable else None
        self._left = config.count
        self._heard_ns: int | None = None
        self._rejected = 0
        self._joins: dict[tuple[str, int], Joiner | PhaseLines] = {}
        self._held = 0
        self._late = 0
        self._remind_ns: int | None = None
        self._paused = False  # whether some kinds wait for others, for too much is held of them
        self._cos_alone = CosAlone()
        self._names: dict[str, RunNames] = {}  # of streams, where they are not brought in order

    def receive(self, messages: Sequence[Incoming], now: Instant) -> Iterator[Effect]:
        """Print the lines that `messages` make or finish."""
        for message in messages:
            match message:
                case Rejected(reason):
                    yield from self._reject(reason)
                case Chunk() | Info() | Status() | Gone():
                    yield from self._hear(message, now)
        yield from self._look(now)
        if self._left == 0:
            yield Finish()

    def tick(self, now: Instant) -> Iterator[Effect]:
        """Give up on runs that have ended, and what cannot be had; say what lines wait for; give up on silence."""
        if self._heard_ns is None:
            self._heard_ns = now.mono_ns
        yield from self._look(now)
        for join in self._joins.values():
            if join.closing_ns is not None and now.mono_ns >= join.closing_ns:
                join.closing_ns = None
                yield from self._print(self._given_up(join))
        yield from self._remind(now)
        silence_ns = self._silence_ns()
        if self._left == 0:
            yield Finish()
        elif silence_ns is not None and now.mono_ns >= silence_ns:
            yield from self.stop(now)
            raise NothingHeard(f"--timeout: timed out: nothing received for {self._config.timeout_s} s")

    def next_deadline_ns(self) -> int | None:
        """When the next run or reminder is due, or silence has lasted too long."""
        dues = [self._remind_ns, self._silence_ns(), self._in_order.next_ns() if self._in_order else None]
        dues += [join.closing_ns for join in self._joins.values()]
        return min((due for due in dues if due is not None), default=None)

    def work(self) -> None:
        """Nothing can wait."""

    def stop(self, _now: Instant) -> Iterator[Effect]:
        """Print unfinished lines with null for what is missing; say what was not printed."""
        for join in self._joins.values():
            yield from self._print(self._given_up(join))
            self._late += join.late
        if self._late:
            yield Say(f"{self._late} late or duplicate messages ignored", WARNING)
        if self._rejected:
            yield Say(f"{self._rejected} malformed messages ignored", WARNING)
        stopped_early = self._left != 0
        for stream, kind, seq in self._in_order.unfinished() if self._in_order and stopped_early else ():
            text = f"stream {stream}: {kind.word}s from sample {seq} on were still missing; what came after it"
            yield Say(f"{text} is not printed", WARNING)
        if self._in_order is not None and self._in_order.ignored:
            yield Say(f"{self._in_order.ignored} messages of streams beyond {MAX_STREAMS} were left out", WARNING)

    def _hear(self, message: Message | Gone, now: Instant) -> Iterator[Effect]:
        """Print a message in its turn."""
        if self._config.stream not in (None, message.stream):
            return
        if self._phase_alone:
            self._cos_alone.note(message)
        if self._in_order is None:
            if not isinstance(message, Gone):
                yield from self._print(self._lines(message, now))
            return
        if isinstance(message, Info | Status) and self._config.shows(message):
            yield from self._print(self._lines(message, now))
        if self._serves_phase_only(message) and not self._cos_alone.is_known(message.stream):
            return  # asking for them would be in vain where the estimates have both fields
        for stream, event in self._in_order.take(message, now):
            self._rename_all(self._in_order)
            yield from self._next(stream, event, now)
        self._rename_all(self._in_order)

    def _rename_all(self, in_order: OrderedReader) -> None:
        while in_order.renamed:
            self._rename(*in_order.renamed.pop())

    def _rename(self, stream: str, run: int, name: int) -> None:
        """Call a run otherwise whose estimates have another run than its source says."""
        join = self._joins.pop((stream, run), None)
        if join is not None and (stream, name) not in self._joins:
            join.run = name
            self._joins[stream, name] = join

    def _look(self, now: Instant) -> Iterator[Effect]:
        """Ask again for what is missing, or give it up."""
        if self._paused:
            self._resume(now)
        for wanted in self._in_order.look(now) if self._in_order is not None else ():
            if isinstance(wanted, Replay):
                yield Ask(wanted)
            else:
                yield from self._next(*wanted, now)

    def _next(self, stream: str, event: Chunk | Gap, now: Instant) -> Iterator[Effect]:
        """Print what comes next in a stream: samples, or that some are missing."""
        if isinstance(event, Chunk):
            yield from self._print(self._lines(event, now))
            return
        if self._left != 0:
            yield Print(gap_line(stream, event.run, event.kind, event.seq, event.samples))
        join = self._joins.get((stream, event.run))
        if join is not None:
            held_before = join.held
            yield from self._print(join.add_gap(event.kind, event.seq + event.samples))
            self._held += join.held - held_before

    def _print(self, lines: Iterable[str]) -> Iterator[Effect]:
        for line in lines:
            if self._left == 0:
                return
            if self._left is not None:
                self._left -= 1
            yield Print(line)

    def _reject(self, reason: str) -> Iterator[Effect]:
        self._rejected += 1
        if self._rejected == 1:
            yield Say(f"a malformed message was ignored (further ones are counted): {reason}", WARNING)

    def _silence_ns(self) -> int | None:
        """When nothing will have come for too long."""
        if self._config.timeout_s is None or self._heard_ns is None:
            return None
        return self._heard_ns + round(self._config.timeout_s * SECOND_NS)

    @property
    def _phase_alone(self) -> bool:
        """Whether phases are printed with estimates alone."""
        return self._config.phase and not self._config.joined

    def _serves_phase_only(self, message: Message | Gone) -> bool:
        """Whether a message is heard for the phase of estimates, and not to be printed."""
        if not self._phase_alone or isinstance(message, Status):
            return False
        kind = Kind.INFO if isinstance(message, Info) else message.kind
        return kind in (Kind.INPUT, Kind.INFO) and kind not in self._config.kinds

    def _lines(self, message: Message, now: Instant) -> Iterator[str]:
        asked_for = not self._serves_phase_only(message)
        if asked_for and (isinstance(message, Chunk) or not (self._config.joined or self._config.reliable)):
            self._heard_ns = now.mono_ns
        if self._config.joined and not isinstance(message, Status):
            yield from self._joined_lines(message, now)
            return
        if self._phase_alone and not isinstance(message, Status):
            if self._cos_alone.concerns(message):
                yield from self._joined_lines(message, now)
                asked_for = asked_for and not (isinstance(message, Chunk) and message.kind is Kind.ESTIMATE)
            else:
                yield from self._forget_inputs(message.stream)
        if not asked_for:
            return
        if isinstance(message, Chunk):
            yield from sample_lines(message, own_phases(message) if self._config.phase else None)
        else:
            yield report_line(message)

    def _joined_lines(self, message: Chunk | Info, now: Instant) -> Iterator[str]:
        if self._in_order is None:
            names = self._names.get(message.stream)
            if names is None:
                names = self._names[message.stream] = RunNames()
                if len(self._names) > MAX_STREAMS:
                    del self._names[next(iter(self._names))]
            taken = names.take(message)
            if names.renamed is not None:
                self._rename(message.stream, *names.renamed)
                names.renamed = None
            for one in taken:
                yield from self._join(one, now)
            return
        yield from self._join(self._in_order.named(message) if isinstance(message, Info) else message, now)

    def _join(self, message: Chunk | Info, now: Instant) -> Iterator[str]:
        key = message.stream, message.run
        if key not in self._joins:
            yield from self._open(key, now)
        join = self._joins[key]
        held_before = join.held
        reliable = self._config.reliable
        if isinstance(message, Chunk):
            yield from join.add_chunk(message)
        else:
            yield from join.add_info(message, reliable=reliable)
        self._held += join.held - held_before
        ended = isinstance(message, Info) and message.ended and not reliable
        if ended or (join.closing_ns is not None and isinstance(message, Chunk)):
            join.closing_ns = now.mono_ns + GRACE_NS
        if self._held > MAX_HELD and self._in_order is not None and isinstance(join, Joiner) and join.ahead():
            for kind in join.ahead():
                self._in_order.pause(join.stream, kind, now)
            self._paused = True
        elif self._held > MAX_HELD:
            yield from self._given_up(join, excess=self._held - MAX_HELD)
        if self._remind_ns is None and join.waiting:
            self._remind_ns = now.mono_ns + REMIND_NS

    def _resume(self, now: Instant) -> None:
        """Take samples again that there is room for, and those that unfinished lines wait for."""
        assert self._in_order is not None
        self._paused = self._held > MAX_HELD // 2
        for join in self._joins.values():
            if isinstance(join, Joiner) and (join.waiting or not self._paused):
                ahead = join.ahead() if self._paused else ()
                self._in_order.resume(join.stream, [kind for kind in PARTS if kind not in ahead], now)

    def _forget_inputs(self, stream: str) -> Iterator[str]:
        """Let go of inputs that were held in case that the stream's estimates need them."""
        for key in [key for key in self._joins if key[0] == stream]:
            yield from self._given_up(self._joins[key])
            del self._joins[key]

    def _open(self, key: tuple[str, int], now: Instant) -> Iterator[str]:
        """Begin a run: what came before it on its stream has ended."""
        for (stream, _), join in self._joins.items():
            if stream == key[0] and join.waiting and join.closing_ns is None and not self._config.reliable:
                join.closing_ns = now.mono_ns + GRACE_NS
        if len(self._joins) >= MAX_RUNS:
            oldest = self._joins.pop(next(iter(self._joins)))
            self._late += oldest.late
            yield from self._given_up(oldest)
        self._joins[key] = PhaseLines(*key) if self._phase_alone else Joiner(*key, phase=self._config.phase)

    def _given_up(self, join: Joiner | PhaseLines, excess: int | None = None) -> Iterator[str]:
        """Yield unfinished lines of `join`: all, or the oldest that free `excess` numbers."""
        held_before = join.held
        yield from join.give_up(held=0 if excess is None else max(0, join.held - excess))
        self._held += join.held - held_before

    def _remind(self, now: Instant) -> Iterator[Effect]:
        """Say what unfinished lines wait for, where for some time none could be finished."""
        if self._remind_ns is None or now.mono_ns < self._remind_ns:
            return
        self._remind_ns = None
        for join in self._joins.values():
            awaited = join.stuck_on()
            if join.waiting:
                self._remind_ns = now.mono_ns + REMIND_NS
            if awaited:
                yield Say(f"stream {join.stream}: {join.waiting} samples wait for {awaited}", WARNING)
