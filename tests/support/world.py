"""A source, a predictor and a reader with their real cores, a network and deaths between them, on a fake clock.

A plan says what goes wrong, and a seed draws it. Nothing of it needs a process, a socket or time, and the same
seed always plays the same schedule. Whether it went well is for `verdict` to say.
"""

import heapq
import itertools
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.listen.listener import Listener, ListenerConfig
from predictor.state.checkpoint import decode, encode
from streamer.clock import Instant
from streamer.effects import Ask, Checkpoint, Core, Decide, Effect, Print, Reply, Say, Send
from streamer.messages import Burst, Chunk, Incoming, Info, Kind, Request, Subscription, Written
from streamer.ordering.decisions import Decision, GapDecision
from streamer.ordering.restarts import mark_of
from streamer.ordering.retry import RetryPolicy
from streamer.source.publisher import Publisher, SourceConfig
from streamer.source.signals import Signal
from tests.support.atonce import received, received_alone
from tests.support.lossy import MS, SECOND, WALL_NS
from tests.support.memories import Disk, Journal, Remembered
from tests.support.plans import RATE_HZ, Flip, Plan, Suspension
from trainer.model import ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner

HOP_NS = MS // 10
NEVER_NS = 2**63
MAX_TURNS = 50_000  # a schedule in which nobody is heard for 600 s takes some 10,000
STREAM, RUN, OTHER_RUN = "demo", 1, 2
MAX_STREAMS = 3
MODEL = new_model(ModelConfig("rnn", 4, level_samples=20.0), seed=2)
SIGNAL = Remembered(Signal(rate_hz=RATE_HZ, noise=0.1, seed=3))
ACTORS = ("source", "predictor", "reader")
Row = tuple[int, tuple[float | None, ...], int]
"""Of a sample: seq, estimate, model version."""


@dataclass
class Outcome:
    """What the reader was told, and what really went wrong."""

    rows: list[Row] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    other_rows: list[Row] = field(default_factory=list)
    other_gaps: list[tuple[int, int]] = field(default_factory=list)
    again: dict[int, "Told"] = field(default_factory=dict)
    """Of a run that its source started again at old numbers, by the name that it was given."""
    went_on_learning: bool = False
    """Whether the predictor took what it had learnt into a run that was started again."""
    gave_up: bool = False
    """Whether the predictor missed inputs or targets of the stream."""
    lines: list[str] = field(default_factory=list)
    contradictions: list[int] = field(default_factory=list)
    both: list[int] = field(default_factory=list)
    told: int = 0
    lost: int = 0
    doubled: int = 0
    late: int = 0
    deaths: int = 0
    asked: int = 0
    resumed: int = 0
    suspended: int = 0
    unread: int = 0
    flipped: int = 0
    named: int = 0
    forgotten: int = 0
    begun_again: int = 0
    between: int = 0
    phantoms: int = 0
    """Runs that a single damaged message named, and that were followed all the same."""

    @property
    def happened(self) -> dict[str, int]:
        """The faults by name, and how often each came about."""
        names = (
            "lost", "doubled", "late", "deaths", "asked", "resumed", "suspended", "unread", "flipped", "named",
            "forgotten", "begun_again", "between", "phantoms",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names} | {"samples": len(self.rows), "gaps": len(self.gaps)}


@dataclass
class Told:
    """What the reader was told of one run."""

    rows: list[Row] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    samples: int = 0


class World:
    """Plays one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcome = Outcome()
        self.journal = Journal()
        self.disk = Disk()
        self.cores: dict[str, Core | None] = {}
        self._rng = random.Random(plan.seed ^ 0xFA17)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._now = 0
        self._until_ns = NEVER_NS
        self._saved: Checkpoint | None = None
        self._dues: dict[str, int] = {}  # when each core is to be woken
        self._lives = dict.fromkeys(ACTORS, 0)  # what is on its way dies with who was to hear it
        self._unread: dict[str, list[Incoming]] = {}  # of those who are suspended
        self._flips = {(flip.actor, flip.message): flip for flip in plan.flips}
        self._carried = dict.fromkeys(ACTORS, 0)
        self._start_source()
        self._start_predictor()
        self._live("reader", Listener(ListenerConfig(reliable=True, retry_policy=retry_policy(plan))))
        for actor, moments in (("predictor", plan.predictor_deaths), ("source", plan.source_deaths)):
            for moment in moments:
                self._at(moment, partial(self._die, actor))
        for suspension in plan.suspensions:
            self._at(suspension.at_ns, partial(self._suspend, suspension))
        if plan.names is not None:
            self._at(plan.names.at_ns, partial(self._say_names, plan.names.count))

    # Who lives

    def _start_source(self) -> None:
        journal = None if self.plan.returns == "zero" else self.journal
        source = Publisher(source_config(self.plan), SIGNAL, RUN, journal)
        if self.journal.chunks:
            ends = self.journal.next_seq(Kind.INPUT), self.journal.next_seq(Kind.TARGET)
            source.record.resume(self.journal.chunks, *ends, self._instant)
        self._live("source", source)
        self._hand("source", [Subscription(b"", active=True)])

    def _start_other_source(self) -> None:
        """Have another source speak in between, under the same name, until it dies in its turn."""
        self.outcome.between += 1
        config = replace(source_config(self.plan), count=min(self.plan.samples, 4), retain_bytes=2**26)
        self._live("source", Publisher(config, SIGNAL, OTHER_RUN))
        self._hand("source", [Subscription(b"", active=True)])
        self._at(self._now + 100 * MS, partial(self._stop_living, "source", self._start_source))

    def _start_predictor(self) -> None:
        core = predictor(self.plan)
        core.recall(self.disk.memory())
        if self._saved is not None:
            core.restore(decode(b"".join(encode(self._saved.head, self._saved.streams))), self._instant)
            self.outcome.resumed += 1
        self._live("predictor", core)

    def _live(self, actor: str, core: Core) -> None:
        self.cores[actor] = core
        self._settle(actor, core)

    def _die(self, actor: str) -> None:
        core = self.cores[actor]
        if core is None:
            return
        self.outcome.deaths += 1
        again = self._start_predictor
        if actor == "source":
            again = self._start_other_source if self.plan.returns == "between" else self._start_source
            if self.plan.returns == "zero" and isinstance(core, Publisher):
                self.outcome.begun_again += core.record.next_seq > 0
        self._stop_living(actor, again)

    def _stop_living(self, actor: str, again: Callable[[], None]) -> None:
        if self.cores[actor] is None:
            return
        self.cores[actor] = None
        self._dues[actor] = NEVER_NS
        self._lives[actor] += 1
        self._unread.pop(actor, None)
        self._at(self._now + self.plan.down_ms * MS, again)

    def _suspend(self, suspension: Suspension) -> None:
        """Stop a process where it is; it will find what came meanwhile, as far as there was room."""
        actor, life = suspension.actor, self._lives[suspension.actor]
        if self.cores[actor] is None or actor in self._unread:
            return
        self.outcome.suspended += 1
        self._dues[actor] = NEVER_NS
        unread = self._unread[actor] = []

        def resume() -> None:
            if life != self._lives[actor]:
                return
            del self._unread[actor]
            read = unread[: suspension.room]
            self.outcome.unread += len(unread) - len(read)
            if read:
                self._hand(actor, read)
            elif (core := self.cores[actor]) is not None:
                self._settle(actor, core)

        self._at(self._now + suspension.for_ns, resume)

    def _say_names(self, count: int) -> None:
        self.outcome.named += count
        for number in range(count):
            values = SIGNAL.samples(0, 1)[0]
            chunk = Chunk(Kind.INPUT, f"s{number}", 7, 0, WALL_NS + self._now, RATE_HZ, values)
            self._hand("predictor", [chunk])
        core = self.cores["predictor"]
        if isinstance(core, Predictor) and core.forgotten:
            self.outcome.forgotten += STREAM not in core.streams

    # What moves

    @property
    def _instant(self) -> Instant:
        return Instant(self._now, WALL_NS + self._now)

    def _at(self, moment: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (moment, next(self._numbers), action))

    def _hand(self, actor: str, messages: Sequence[Incoming]) -> None:
        core = self.cores[actor]
        if core is None:
            return
        if actor in self._unread:
            self._unread[actor] += messages
            return
        if isinstance(core, Predictor):
            hear = received if len(messages) > 1 or self._flips else received_alone
            self._perform(actor, hear(core, messages, self._instant))
        else:
            self._perform(actor, core.receive(messages, self._instant))
        self._settle(actor, core)

    def _wake(self, actor: str) -> None:
        core = self.cores[actor]
        assert core is not None
        self._perform(actor, core.tick(self._instant))
        self._settle(actor, core)

    def _settle(self, actor: str, core: Core) -> None:
        """Let a core that was touched do what can wait, and note when it is to be woken; no other has changed."""
        if not (self.plan.busy and actor == "predictor"):
            while (effects := core.work()) is not None:
                self._perform(actor, effects)
        due = core.next_deadline_ns()
        self._dues[actor] = NEVER_NS if due is None or actor in self._unread else due

    def _carry(self, actor: str, message: Incoming) -> None:
        """Bring a message to somebody: never, once, twice, at once or late."""
        rng, faults, life = self._rng, self.plan.faults, self._lives[actor]
        if rng.random() < faults.loss:
            self.outcome.lost += 1
            return
        if self._flips:
            message = self._flipped(actor, message)
        copies = 1 + (rng.random() < faults.twice)
        self.outcome.doubled += copies - 1
        for _ in range(copies):
            late = rng.randrange(faults.late_ms * MS) if rng.random() < faults.late else 0
            self.outcome.late += late > 0
            self._at(self._now + HOP_NS + late, partial(self._arrive, actor, life, message))

    def _flipped(self, actor: str, message: Incoming) -> Incoming:
        """Turn a bit where the plan says so."""
        if not isinstance(message, Chunk | Info):
            return message
        self._carried[actor] += 1
        flip = self._flips.get((actor, self._carried[actor]))
        if flip is None:
            return message
        self.outcome.flipped += 1
        return turned(message, flip)

    def _arrive(self, actor: str, life: int, message: Incoming) -> None:
        if life == self._lives[actor]:
            self._hand(actor, [message])

    def _perform(self, actor: str, effects: Iterable[Effect]) -> None:
        below = "predictor" if actor == "source" else "reader"
        for effect in effects:
            match effect:
                case Decide(decision):
                    self.disk.decide(decision)
                    self._note_decision(decision)
                case Send(Burst() as burst):
                    for chunk in burst.chunks():
                        self.disk.publish(chunk)
                        self._carry(below, chunk)
                case Send(Chunk(kind=Kind.ESTIMATE) as chunk):
                    self.disk.publish(chunk)
                    self._carry(below, chunk)
                case Send(message):
                    self._carry(below, message)
                case Ask(replay):
                    self.outcome.asked += 1
                    self._carry("source" if actor == "predictor" else "predictor", Request(b"peer", replay))
                case Reply(_, Burst() as burst):
                    for chunk in burst.chunks():
                        self._carry(below, chunk)
                case Reply(_, message):
                    self._carry(below, message)
                case Print(line):
                    self._note(line)
                case Say(text):
                    self.outcome.lines.append(text)
                case Checkpoint():
                    self._keep(effect)

    def _note_decision(self, decision: Decision) -> None:
        """Once a run is followed that does not exist, what follows of the real one may never be told."""
        if decision.stream != STREAM:
            return
        if isinstance(decision, GapDecision):
            self.outcome.gave_up = True
        elif self._is_again(decision.run):
            self.outcome.went_on_learning = self.plan.learns
        elif decision.run not in (RUN, OTHER_RUN):
            self.outcome.phantoms += 1
            self._until_ns = min(self._until_ns, self._now + 10 * SECOND)

    def _is_again(self, run: int) -> bool:
        """Whether a run is what a later start of the source is called: by the time of a sample of it."""
        began_again_ns = WALL_NS + self.plan.source_deaths[0] if self.outcome.begun_again else NEVER_NS
        return began_again_ns < mark_of(RUN, run) <= WALL_NS + self._now

    def _keep(self, state: Checkpoint) -> None:
        """Keep a state after a while, if whoever took it lives so long; it becomes bytes if it is needed."""
        life = self._lives["predictor"]

        def written() -> None:
            if life == self._lives["predictor"]:
                self._saved = state
                self._hand("predictor", [Written(0, None)])

        self._at(self._now + self._rng.randrange(20 * MS), written)

    def _note(self, line: str) -> None:
        (stream, run), seq, samples, row = parsed(line)
        outcome = self.outcome
        if (stream, run) == (STREAM, RUN):
            rows, gaps = outcome.rows, outcome.gaps
            outcome.told += samples
        elif stream == STREAM and self._is_again(run):
            again = outcome.again.setdefault(run, Told())
            rows, gaps = again.rows, again.gaps
            again.samples += samples
        elif (stream, run) == (STREAM, OTHER_RUN):
            rows, gaps = outcome.other_rows, outcome.other_gaps
        else:
            return
        if row is None:
            gaps.append((seq, samples))
        else:
            rows.append(row)

    # Time

    @property
    def _is_told_again(self) -> bool:
        """Whether the reader knows all of a run that was started again."""
        return any(told.samples >= self.plan.samples for told in self.outcome.again.values())

    def play(self, until_ns: int) -> Outcome:
        """Let it happen, until then or until the reader knows what became of each sample."""
        queue, dues, outcome, samples = self._queue, self._dues, self.outcome, self.plan.samples
        self._until_ns = until_ns
        for _ in range(MAX_TURNS):
            if self._now > self._until_ns or outcome.told >= samples or self._is_told_again:
                break
            event = queue[0][0] if queue else NEVER_NS
            due = min(dues.values())
            self._now = max(self._now, min(event, due))
            if event <= due:
                heapq.heappop(queue)[2]()
            else:
                self._wake(min(actor for actor in dues if dues[actor] == due))
        else:
            raise AssertionError(f"a core is woken without end, at {self._now} ns: {dues}")
        outcome.contradictions, outcome.both = self.disk.contradictions, self.disk.both()
        return outcome


def turned(message: Chunk | Info, flip: Flip) -> Chunk | Info:
    """Return the message with one bit turned, of its run or of the seq that it names."""
    if flip.member == "run":
        return replace(message, run=message.run ^ 1 << flip.bit)
    if isinstance(message, Info):
        return replace(message, next_seq=message.next_seq ^ 1 << flip.bit)
    return replace(message, seq=message.seq ^ 1 << flip.bit)


@lru_cache(maxsize=10_000)
def parsed(line: str) -> tuple[tuple[str, int], int, int, Row | None]:
    """What a line of the reader says: stream and run, seq, samples, and of a sample its row."""
    said = json.loads(line)
    of, seq = (said["stream"], int(said["run"], 16)), said["seq"]
    if "gap" in said:
        return of, seq, said["samples"], None
    return of, seq, 1, (seq, (*said["estimate"], *said["sin"]), said["model_version"])


def retry_policy(plan: Plan) -> RetryPolicy:
    """Far more than any fault lasts where everything is kept."""
    return RetryPolicy(deadline_s=60.0 if plan.kept_samples is None else 5.0)


def predictor(plan: Plan) -> Predictor:
    """A predictor as the plan wants it."""
    config = PredictorConfig(
        retry_policy=retry_policy(plan), retain_s=1e6, checkpoint_every_s=0.1, max_streams=MAX_STREAMS
    )
    learner = partial(OnlineLearner, config=OnlineConfig(3, 1)) if plan.learns else None
    return Predictor(MODEL, config, learner)


def source_config(plan: Plan) -> SourceConfig:
    """A source that stays for ever, with a history of everything or of some of the latest samples."""
    kept_bytes = 2**26 if plan.kept_samples is None else 300 * plan.kept_samples
    return SourceConfig(
        stream=STREAM, chunk=plan.chunk, count=plan.samples, target_delay_samples=plan.delay, linger_s=1e6,
        retain_s=1e6, retain_bytes=kept_bytes,
    )  # fmt: skip


def played(plan: Plan) -> Outcome:
    """What became of a plan."""
    return World(plan).play(600 * SECOND)
