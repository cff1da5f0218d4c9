"""Order, duplicates, gaps and runs, against a plain slow reference: everything sorted at the end."""

from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from lossy import MS, SECOND, Faults, Server, chunks_of, play, script

from streamer.holding import Budget
from streamer.messages import Burst, Chunk, Gone, Incoming, Info, Kind, Replay
from streamer.patience import Patience
from streamer.sequencer import Event, Gap, NewRun, Part, Sequencer, Word

INPUT, TARGET = Kind.INPUT, Kind.TARGET
Sample = tuple[Kind, int, int, float]  # kind, run, seq, value


class Listening:
    """A sequencer as a reader of the lossy network; keeps what it was given, sample by sample."""

    def __init__(self, kinds: Sequence[Kind] = (INPUT,), patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self.budget = Budget(self.patience.hold_bytes)
        self.sequencer = Sequencer("demo", kinds, self.patience, self.budget)
        self.samples: list[Sample] = []
        self.gaps: list[Gap] = []
        self.runs: list[int] = []
        self.asked: list[Replay] = []
        self.most_bytes = 0

    def receive(self, messages: Sequence[Incoming], now_ns: int) -> Iterable[Replay]:
        for message in messages:
            self.take(self._events(message, now_ns))
            self.most_bytes = max(self.most_bytes, self.budget.used_bytes)
        self.take(self.sequencer.look(now_ns))
        wishes = list(self.sequencer.asks(now_ns))
        self.asked += wishes
        return wishes

    def _events(self, message: Incoming, now_ns: int) -> Iterable[Event]:
        sequencer = self.sequencer
        if isinstance(message, Chunk) and message.kind in sequencer.kinds:
            if message.kind is sequencer.kinds[0] and sequencer.continues(message):
                sequencer.advance(message.end_seq)
                return [Part(message)]
            if message.kind is not sequencer.kinds[0] and sequencer.continues_second(message):
                return [Part(message)]
            return sequencer.receive(message, now_ns)
        if isinstance(message, Burst):
            return sequencer.receive(message, now_ns)
        if isinstance(message, Info):
            ends = tuple(message.next_seq if k is INPUT else message.next_target_seq for k in sequencer.kinds)
            return sequencer.hear(Word(message.run, ends, message.time_ns, message.replays), now_ns)
        if isinstance(message, Gone):
            return sequencer.lose(message, now_ns)
        return ()

    def take(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case NewRun(run):
                    self.runs.append(run)
                case Gap():
                    self.gaps.append(event)
                case Part(message, skip):
                    chunk = message if isinstance(message, Chunk) else message.chunk
                    self.samples += in_samples(chunk)[skip:]

    def due_ns(self) -> int | None:
        return self.sequencer.due_ns()


def in_samples(chunk: Chunk) -> list[Sample]:
    return [(chunk.kind, chunk.run, chunk.seq + k, float(v)) for k, v in enumerate(chunk.values[:, 0, 0])]


def reference(chunks: Iterable[Chunk]) -> list[Sample]:
    """What an undisturbed reader hears: the samples in the order in which they were said, each once."""
    seen: dict[tuple[Kind, int, int], Sample] = {}
    for chunk in chunks:
        for sample in in_samples(chunk):
            seen.setdefault(sample[:3], sample)
    return list(seen.values())


def accounted(listening: Listening, kind: Kind, run: int = 1) -> list[int]:
    """Every seq that was delivered or given up, as often as it was."""
    seqs = [seq for k, r, seq, _ in listening.samples if (k, r) == (kind, run)]
    for gap in listening.gaps:
        if (gap.kind, gap.run) == (kind, run):
            seqs += range(gap.seq, gap.seq + gap.samples)
    return sorted(seqs)


faulty = st.builds(
    Faults,
    loss=st.sampled_from([0.0, 0.05, 0.2]),
    twice=st.sampled_from([0.0, 0.2]),
    late=st.sampled_from([0.0, 0.1, 0.5]),
    late_ms=st.sampled_from([2, 30, 400]),
)
cuts = st.sampled_from([1, 1, 7, 20])
UNTIL = 60 * SECOND


@settings(max_examples=60, deadline=None)
@given(faulty, cuts, st.sampled_from([0, 0, 25]), st.sampled_from([(INPUT,), (INPUT, TARGET)]),
       st.integers(0, 300), st.integers(0, 2**32))  # fmt: skip
def test_where_everything_is_kept_the_order_is_the_sources(
    faults: Faults, chunk: int, delay: int, kinds: tuple[Kind, ...], late_ms: int, seed: int
) -> None:
    said = script(400, chunk=chunk, delay=delay)
    chunks = [c for c in chunks_of(said) if c.kind in kinds]
    reader = Listening(kinds, Patience(deadline_s=50.0))
    play(said, Server(chunks), reader, faults, seed, until_ns=UNTIL, from_ns=late_ms * MS)
    assert reader.gaps == []
    assert reader.samples == reference(chunks)
    assert reader.budget.used_bytes == 0
    assert reader.due_ns() is None


@settings(max_examples=60, deadline=None)
@given(faulty, cuts, st.sampled_from([0, 25]), st.sampled_from([(INPUT,), (INPUT, TARGET)]),
       st.integers(0, 300), st.sampled_from([0, 1, 5, 40]), st.sampled_from([0, 3000, 100_000]),
       st.booleans(), st.integers(0, 2**32))  # fmt: skip
def test_where_less_is_kept_each_sample_comes_or_is_given_up_once(
    faults: Faults, chunk: int, delay: int, kinds: tuple[Kind, ...], late_ms: int, kept: int, hold_bytes: int,
    replays: bool, seed: int,
) -> None:  # fmt: skip
    said = script(400, chunk=chunk, delay=delay, replays=replays)
    chunks = [c for c in chunks_of(said) if c.kind in kinds]
    reader = Listening(kinds, Patience(deadline_s=0.7, hold_bytes=hold_bytes))
    server = Server(chunks, kept) if replays else None
    play(said, server, reader, faults, seed, until_ns=UNTIL, from_ns=late_ms * MS)
    for kind in kinds:
        # Where nothing is said again, who came after the last sample has missed nothing.
        assert accounted(reader, kind) == list(range(400 if replays or reader.runs else 0))
    truth = {sample[:3]: sample for sample in reference(chunks)}
    assert all(truth[sample[:3]] == sample for sample in reader.samples)
    for kind in kinds:
        seqs = [seq for k, _, seq, _ in reader.samples if k is kind]
        assert seqs == sorted(seqs)
    if reader.runs and not reader.gaps:
        assert reader.samples == reference(chunks)
    assert reader.budget.used_bytes == 0
    largest = max(c.values.nbytes for c in chunks) + 1000
    assert reader.most_bytes <= hold_bytes + 2 * largest
    # A request takes 5 ms of progress, or 100 ms and more without.
    assert len(reader.asked) <= 2 * (UNTIL // SECOND + 400 + 20)
