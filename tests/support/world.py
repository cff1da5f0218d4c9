"""A source, a predictor and a reader with their real cores, a network and deaths between them, on a fake clock.

A plan says what goes wrong, and a seed draws it. Nothing of it needs a process, a socket or time: a schedule of
one run takes some milliseconds, and the same seed always plays the same one.
"""

import heapq
import itertools
import json
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from itertools import pairwise

from atonce import received
from lossy import MS, SECOND, WALL_NS, Faults

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.listen.listener import Listener, ListenerConfig
from predictor.state.checkpoint import decode, encode
from streamer.clock import Instant
from streamer.effects import Ask, Checkpoint, Core, Decide, Effect, Finish, Print, Reply, Say, Send
from streamer.messages import (
    Burst,
    Chunk,
    FloatArray,
    Incoming,
    Kind,
    Request,
    Subscription,
    Written,
)
from streamer.ordering import decisions
from streamer.ordering.decisions import Decision, GapDecision, Memory
from streamer.ordering.retry import Patience
from streamer.source.publisher import Publisher, SourceConfig
from streamer.source.signals import Signal
from trainer.model import ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner

RATE_HZ = 100.0
HOP_NS = MS // 10
MODEL = new_model(ModelConfig("rnn", 4, level_samples=20.0), seed=2)
ACTORS = ("source", "predictor", "reader")
NEVER_NS = 2**63
Row = tuple[int, tuple[float | None, ...], int]
Rows = dict[int, tuple[tuple[float | None, ...], int]]


class Remembered:
    """A signal whose samples are made once for all schedules: they are a function of their place alone."""

    def __init__(self, signal: Signal) -> None:
        self.rate_hz, self.channels, self.labels = signal.rate_hz, signal.channels, signal.labels
        self.about, self.stretch, self.ends = signal.about, signal.stretch, signal.ends
        self._signal = signal
        self._made: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = {}

    def samples(self, seq: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Return what `Signal.samples` does; whoever writes into it is found out."""
        made = self._made.get((seq, count))
        if made is None:
            made = self._made[seq, count] = self._signal.samples(seq, count)
            for array in made:
                array.flags.writeable = False
        return made


SIGNAL = Remembered(Signal(rate_hz=RATE_HZ, noise=0.1, seed=3))


@dataclass(frozen=True)
class Plan:
    """What happens to one run."""

    seed: int
    samples: int
    chunk: int
    delay: int
    learns: bool
    faults: Faults
    predictor_deaths: tuple[int, ...]
    source_deaths: tuple[int, ...]
    down_ms: int
    kept_samples: int | None

    @classmethod
    def drawn(cls, seed: int) -> "Plan":
        """Draw a plan: most networks are bad in one way, some in all."""
        rng = random.Random(seed)
        samples = rng.randint(1, 60)

        def sometimes(most: float) -> float:
            return rng.random() * most if rng.random() < 0.6 else 0.0

        def deaths(share: float, most: int) -> tuple[int, ...]:
            count = rng.randint(1, most) if rng.random() < share else 0
            return tuple(sorted(rng.randrange((10 * samples + 500) * MS) for _ in range(count)))

        faults = Faults(sometimes(0.5), sometimes(0.3), sometimes(0.5), rng.choice([2, 30, 300]))
        kept = rng.randint(1, 30) if rng.random() < 0.25 else None
        return cls(
            seed, samples, rng.choice([1, 1, 3, 7]), rng.choice([0, 0, 5]), rng.random() < 0.5, faults,
            deaths(0.5, 3), deaths(0.3, 2), rng.choice([1, 20, 1500]), kept,
        )  # fmt: skip


@dataclass
class Outcome:
    """What the reader was told, and what really went wrong."""

    rows: list["Row"] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    late: int = 0
    deaths: int = 0
    asked: int = 0
    resumed: int = 0
    lines: list[str] = field(default_factory=list)
    contradictions: list[int] = field(default_factory=list)
    both: list[int] = field(default_factory=list)
    told: int = 0

    @property
    def happened(self) -> dict[str, int]:
        """The faults by name, and how often each came about."""
        names = ("lost", "doubled", "late", "deaths", "asked", "resumed")
        return {name: getattr(self, name) for name in names} | {"samples": len(self.rows), "gaps": len(self.gaps)}


class Journal:
    """What a source wrote down, in memory: its death takes nothing of it."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    def append(self, chunk: Chunk, _now: Instant) -> None:
        """Write a chunk down."""
        self.chunks.append(chunk)

    def news(self) -> Iterable[str]:
        """Nothing ever fails."""
        return ()

    def next_seq(self, kind: Kind) -> int:
        """What comes next of a kind."""
        return max((chunk.end_seq for chunk in self.chunks if chunk.kind is kind), default=0)


class Disk:
    """What a predictor wrote down of its decisions and its published ends, in memory; and what it published."""

    def __init__(self) -> None:
        self._log = b""
        self.ends: dict[tuple[str, int], int] = {}
        self.estimates: dict[tuple[str, int, int], tuple[bytes, int]] = {}
        self.contradictions: list[int] = []
        self.gaps: dict[tuple[str, int], set[int]] = {}

    def decide(self, decision: Decision) -> None:
        """Write a decision down."""
        self._log += decisions.encode(decision)
        if isinstance(decision, GapDecision) and decision.kind is Kind.INPUT:
            missing = range(max(decision.seq, decision.published_to), decision.seq + decision.samples)
            self.gaps.setdefault((decision.stream, decision.run), set()).update(missing)

    def publish(self, chunk: Chunk) -> None:
        """Note how far a run is published, and what was said otherwise before."""
        if chunk.kind is not Kind.ESTIMATE:
            return
        key = chunk.stream, chunk.run
        self.ends[key] = max(self.ends.get(key, 0), chunk.end_seq)
        for seq, values in enumerate(chunk.values, chunk.seq):
            said = values.tobytes(), chunk.model_version
            if self.estimates.setdefault((*key, seq), said) != said:
                self.contradictions.append(seq)

    def memory(self) -> Memory:
        """What the next life knows."""
        found, damaged = decisions.decode(self._log)
        assert not damaged
        return Memory(found, lambda stream, run: self.ends.get((stream, run), 0))

    def both(self) -> list[int]:
        """Samples that were estimated, and said to be missing."""
        return sorted(seq for stream, run, seq in self.estimates if seq in self.gaps.get((stream, run), ()))


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
        self._saved: Checkpoint | None = None
        self._dues: dict[str, int] = {}  # when each core is to be woken
        self._lives = dict.fromkeys(ACTORS, 0)  # what is on its way dies with who was to hear it
        self._start_source()
        self._start_predictor()
        self._live("reader", Listener(ListenerConfig(reliable=True, patience=patience(plan))))
        for actor, moments in (("predictor", plan.predictor_deaths), ("source", plan.source_deaths)):
            for moment in moments:
                self._at(moment, partial(self._die, actor))

    # Who lives

    def _start_source(self) -> None:
        config = SourceConfig(
            chunk=self.plan.chunk, count=self.plan.samples, target_delay_samples=self.plan.delay, linger_s=1e6,
            retain_s=1e6, retain_bytes=retained_bytes(self.plan),
        )  # fmt: skip
        source = Publisher(config, SIGNAL, 1, self.journal)
        if self.journal.chunks:
            ends = self.journal.next_seq(Kind.INPUT), self.journal.next_seq(Kind.TARGET)
            source.record.resume(self.journal.chunks, *ends, self._instant)
        self._live("source", source)
        self._hand("source", [Subscription(b"", active=True)])

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
        if self.cores[actor] is None:
            return
        self.outcome.deaths += 1
        self.cores[actor] = None
        self._dues[actor] = NEVER_NS
        self._lives[actor] += 1
        again = self._start_source if actor == "source" else self._start_predictor
        self._at(self._now + self.plan.down_ms * MS, again)

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
        if isinstance(core, Predictor):
            self._perform(actor, received(core, messages, self._instant))
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
        while (effects := core.work()) is not None:
            self._perform(actor, effects)
        due = core.next_deadline_ns()
        self._dues[actor] = NEVER_NS if due is None else due

    def _carry(self, actor: str, message: Incoming) -> None:
        """Bring a message to somebody: never, once, twice, at once or late."""
        rng, faults, life = self._rng, self.plan.faults, self._lives[actor]
        if rng.random() < faults.loss:
            self.outcome.lost += 1
            return
        copies = 1 + (rng.random() < faults.twice)
        self.outcome.doubled += copies - 1
        for _ in range(copies):
            late = rng.randrange(faults.late_ms * MS) if rng.random() < faults.late else 0
            self.outcome.late += late > 0
            self._at(self._now + HOP_NS + late, partial(self._arrive, actor, life, message))

    def _arrive(self, actor: str, life: int, message: Incoming) -> None:
        if life == self._lives[actor]:
            self._hand(actor, [message])

    def _perform(self, actor: str, effects: Iterable[Effect]) -> None:
        below = "predictor" if actor == "source" else "reader"
        for effect in effects:
            match effect:
                case Decide(decision):
                    self.disk.decide(decision)
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
                case Finish():
                    pass

    def _keep(self, state: Checkpoint) -> None:
        """Keep a state after a while, if whoever took it lives so long; it becomes bytes if it is needed."""
        life = self._lives["predictor"]

        def written() -> None:
            if life == self._lives["predictor"]:
                self._saved = state
                self._hand("predictor", [Written(0, None)])

        self._at(self._now + self._rng.randrange(20 * MS), written)

    def _note(self, line: str) -> None:
        seq, samples, row = parsed(line)
        if row is None:
            self.outcome.gaps.append((seq, samples))
        else:
            self.outcome.rows.append(row)
        self.outcome.told += samples

    # Time

    def play(self, until_ns: int) -> Outcome:
        """Let it happen, until then or until the reader knows what became of each sample."""
        queue, dues, outcome, samples = self._queue, self._dues, self.outcome, self.plan.samples
        while self._now <= until_ns and outcome.told < samples:
            event = queue[0][0] if queue else NEVER_NS
            due = min(dues.values())
            self._now = max(self._now, min(event, due))
            if event <= due:
                heapq.heappop(queue)[2]()
            else:
                self._wake(min(actor for actor in dues if dues[actor] == due))
        outcome.contradictions, outcome.both = self.disk.contradictions, self.disk.both()
        return outcome


@lru_cache(maxsize=10_000)
def parsed(line: str) -> tuple[int, int, Row | None]:
    """What a line of the reader says: seq, samples, and of a sample its row."""
    said = json.loads(line)
    if "gap" in said:
        return said["seq"], said["samples"], None
    return said["seq"], 1, (said["seq"], (*said["estimate"], *said["sin"]), said["model_version"])


def patience(plan: Plan) -> Patience:
    """Far more than any fault lasts where everything is kept."""
    return Patience(deadline_s=60.0 if plan.kept_samples is None else 5.0)


def predictor(plan: Plan) -> Predictor:
    """A predictor as the plan wants it."""
    config = PredictorConfig(patience=patience(plan), retain_s=1e6, checkpoint_every_s=0.1)
    learner = partial(OnlineLearner, config=OnlineConfig(10, 5)) if plan.learns else None
    return Predictor(MODEL, config, learner)


def retained_bytes(plan: Plan) -> int:
    """A source's history: of everything, or of some of the latest samples."""
    return 2**30 if plan.kept_samples is None else 300 * plan.kept_samples


def played(plan: Plan) -> Outcome:
    """What became of a plan."""
    return World(plan).play(600 * SECOND)


@cache
def golden(samples: int, chunk: int, delay: int, *, learns: bool) -> Rows:
    """The estimates of an undisturbed run: the same samples said to the same model by a perfect network."""
    outcome = played(Plan(0, samples, chunk, delay, learns, Faults(), (), (), 1, None))
    assert not outcome.gaps
    return {seq: (values, version) for seq, values, version in outcome.rows}


def judged(plan: Plan, outcome: Outcome) -> list[str]:
    """What is wrong with an outcome; nothing should be."""
    wrong: list[str] = []
    seqs = [seq for seq, _, _ in outcome.rows]
    if any(later <= earlier for earlier, later in pairwise(seqs)):
        wrong.append("not in order, or twice")
    if outcome.contradictions:
        wrong.append(f"estimates published again otherwise: {outcome.contradictions[:5]}")
    if outcome.both:
        wrong.append(f"estimated, and said to be missing: {outcome.both[:5]}")
    told = sorted(seqs + [seq for first, samples in outcome.gaps for seq in range(first, first + samples)])
    if told != list(range(plan.samples)):
        wrong.append(f"of {plan.samples} samples, {len(told)} were told of")
    if plan.kept_samples is not None:
        return wrong  # what is lost is lost; after it nothing need be as it would have been
    if outcome.gaps:
        wrong.append(f"gaps though everything was kept: {outcome.gaps}")
    expected = golden(plan.samples, plan.chunk, plan.delay, learns=plan.learns)
    other = [seq for seq, values, version in outcome.rows if expected[seq] != (values, version)]
    if other:
        wrong.append(f"{len(other)} estimates are not those of an undisturbed run, the first at {other[0]}")
    return wrong


def _main(first: int, last: int) -> int:
    """Play schedules, and say which went wrong; a single one is told of in full."""
    bad = 0
    for seed in range(first, last + 1):
        plan = Plan.drawn(seed)
        outcome = played(plan)
        wrong = judged(plan, outcome)
        bad += bool(wrong)
        if wrong or first == last:
            lines = (seed, plan, *outcome.lines, outcome.happened, *(wrong or ["as it should be"]))
            sys.stdout.write("\n  ".join(map(str, lines)) + "\n")
    sys.stdout.write(f"{last + 1 - first} schedules, {bad} went wrong\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), int(sys.argv[-1])))
