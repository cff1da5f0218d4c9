"""Order, duplicates, gaps and runs, against a plain slow reference: everything sorted at the end."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import Burst, Chunk, Gone, Incoming, Info, Kind, Replay
from streamer.ordering.events import Announcement, Event, Gap, NewRun, Part
from streamer.ordering.reorder_buffer import MemoryBudget
from streamer.ordering.retry import RetryPolicy
from streamer.ordering.sequencer import Sequencer
from streamer.ordering.track import MAX_HOLES
from tests.support.dose import examples
from tests.support.lossy import MS, SECOND, WALL_NS, Faults, Server, chunks_of, merged, play, script

INPUT, TARGET = Kind.INPUT, Kind.TARGET
Sample = tuple[Kind, int, int, float]  # kind, run, seq, value


class Listening:
    """A sequencer as a reader of the lossy network; keeps what it was given, sample by sample."""

    def __init__(self, kinds: Sequence[Kind] = (INPUT,), retry_policy: RetryPolicy | None = None) -> None:
        self.retry_policy = retry_policy or RetryPolicy()
        self.budget = MemoryBudget(self.retry_policy.hold_bytes)
        self.sequencer = Sequencer("demo", kinds, self.retry_policy, self.budget)
        self.samples: list[Sample] = []
        self.gaps: list[Gap] = []
        self.runs: list[int] = []
        self.asked: list[Replay] = []
        self.rounds = 0
        self.most_bytes = 0

    def receive(self, messages: Sequence[Incoming], now_ns: int) -> list[Replay]:
        for message in messages:
            self.take(self._events(message, now_ns))
            self.most_bytes = max(self.most_bytes, self.budget.used_bytes)
        self.take(self.sequencer.look(now_ns))
        wishes = list(self.sequencer.asks(now_ns))
        assert len(wishes) <= MAX_HOLES * len(self.sequencer.kinds)
        self.asked += wishes
        self.rounds += bool(wishes)
        due = self.due_ns()
        assert due is None or due > now_ns  # or it would be woken without end
        return wishes

    def _events(self, message: Incoming, now_ns: int) -> Iterable[Event]:
        sequencer = self.sequencer
        if isinstance(message, Chunk) and message.kind in sequencer.kinds:
            if message.kind is sequencer.kinds[0] and sequencer.continues(message):
                sequencer.advance(message)
                return [Part(message)]
            if message.kind is not sequencer.kinds[0] and sequencer.take_target(message):
                return [Part(message)]
            return sequencer.receive(message, now_ns)
        if isinstance(message, Burst):
            return sequencer.receive(message, now_ns)
        if isinstance(message, Info):
            ends = tuple(message.next_seq if k is INPUT else message.next_target_seq for k in sequencer.kinds)
            word_ = Announcement(message.run, ends, message.time_ns, message.replays, message.ended)
            return sequencer.hear(word_, now_ns)
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


@examples(25, release=150)
@given(faulty, cuts, st.sampled_from([0, 0, 25]), st.sampled_from([(INPUT,), (INPUT, TARGET)]),
       st.integers(0, 300), st.integers(0, 2**32))  # fmt: skip
def test_where_everything_is_kept_the_order_is_the_sources(
    faults: Faults, chunk: int, delay: int, kinds: tuple[Kind, ...], late_ms: int, seed: int
) -> None:
    said = script(400, chunk=chunk, delay=delay)
    chunks = [c for c in chunks_of(said) if c.kind in kinds]
    reader = Listening(kinds, RetryPolicy(deadline_s=50.0))
    play(said, Server(chunks), reader, faults, seed, until_ns=UNTIL, from_ns=late_ms * MS)
    assert reader.gaps == []
    assert reader.samples == reference(chunks)
    assert reader.budget.used_bytes == 0
    assert reader.due_ns() is None


@examples(25, release=150)
@given(faulty, cuts, st.sampled_from([0, 25]), st.sampled_from([(INPUT,), (INPUT, TARGET)]),
       st.integers(0, 300), st.sampled_from([0, 1, 5, 40]), st.sampled_from([0, 3000, 100_000]),
       st.booleans(), st.integers(0, 2**32))  # fmt: skip
def test_where_less_is_kept_each_sample_comes_or_is_given_up_once(
    faults: Faults, chunk: int, delay: int, kinds: tuple[Kind, ...], late_ms: int, kept: int, hold_bytes: int,
    replays: bool, seed: int,
) -> None:  # fmt: skip
    said = script(400, chunk=chunk, delay=delay, replays=replays)
    chunks = [c for c in chunks_of(said) if c.kind in kinds]
    reader = Listening(kinds, RetryPolicy(deadline_s=0.7, hold_bytes=hold_bytes))
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
    # A round of requests takes 5 ms of progress, or 100 ms and more without.
    assert reader.rounds <= 2 * (UNTIL // SECOND + 400 + 20)


# Asking


def one(seq: int, samples: int = 1, *, run: int = 1, kind: Kind = INPUT, tally: int = 0, ms: int = 0) -> Chunk:
    values = np.arange(seq, seq + samples, dtype=np.float32).reshape(-1, 1, 1)
    return Chunk(kind, "demo", run, seq, WALL_NS + ms * MS, 1000.0, values, tally=tally)


def word(next_seq: int, *, run: int = 1, ms: int = 0, replays: bool = True, targets: int = 0) -> Info:
    return Info("demo", run, next_seq, WALL_NS + ms * MS, 1000.0, ("0",), next_target_seq=targets, replays=replays)


def waking(reader: Listening, until_ms: int) -> list[int]:
    """Wake a reader when it wants to be; return when it asked, in ms."""
    asked: list[int] = []
    while (due := reader.due_ns()) is not None and due <= until_ms * MS:
        if list(reader.receive([], due)):
            asked.append(due // MS)
    return asked


def test_who_gets_no_answer_asks_less_and_less_often_until_the_deadline() -> None:
    reader = Listening()
    assert reader.receive([word(0), one(0)], 0) == []
    (wish,) = reader.receive([one(5)], 10 * MS)
    assert wish == Replay(INPUT, "demo", 1, 1, 4)
    assert waking(reader, 5009) == [110, 310, 710, 1510, 2510, 3510, 4510]
    assert reader.gaps == []
    assert waking(reader, 5010) == []
    assert reader.gaps == [Gap(INPUT, 1, 1, 4)]
    assert [seq for _, _, seq, _ in reader.samples] == [0, 5]
    assert reader.due_ns() is None


def test_progress_puts_the_deadline_off() -> None:
    reader = Listening()
    reader.receive([word(0), one(0), one(5)], 0)
    waking(reader, 4000)
    reader.receive([one(1)], 4000 * MS)
    waking(reader, 8990)
    assert reader.gaps == []
    waking(reader, 9000)
    assert reader.gaps == [Gap(INPUT, 1, 2, 3)]


def test_a_reader_that_was_stopped_itself_asks_again_before_it_gives_up() -> None:
    reader = Listening()
    reader.receive([word(0), one(0), one(2)], 0)
    assert reader.gaps == []
    later = 60_000  # on the clock, without having been woken once
    assert len(list(reader.receive([], later * MS))) == 1
    assert reader.gaps == []
    reader.receive([one(1)], (later + 50) * MS)
    assert [seq for _, _, seq, _ in reader.samples] == [0, 1, 2]


@pytest.mark.parametrize("stopped_ms", [4600, 4990])
def test_a_reader_stopped_once_it_has_asked_often_reads_before_it_gives_up(stopped_ms: int) -> None:
    reader = Listening()
    reader.receive([word(0), one(0), one(2)], 0)
    waking(reader, stopped_ms)  # all requests that there are in the deadline were made in vain, or all but one
    woken = 60_000 * MS
    assert len(reader.receive([], woken)) == 1
    assert reader.gaps == []
    reader.receive([one(1)], woken + 50 * MS)
    assert [seq for _, _, seq, _ in reader.samples] == [0, 1, 2]


def test_a_reader_that_was_stopped_gives_up_in_the_end() -> None:
    reader = Listening()
    reader.receive([word(0), one(0), one(2)], 0)
    waking(reader, 4900)
    reader.receive([], 60_000 * MS)
    assert waking(reader, 70_000) == [60_100, 60_300, 60_700]
    assert reader.gaps == [Gap(INPUT, 1, 1, 1)]


def test_who_is_always_late_gives_up_all_the_same() -> None:
    reader = Listening()
    reader.receive([word(0), one(0), one(2)], 0)
    for second in range(2, 60, 2):
        reader.receive([], second * SECOND)
    assert reader.gaps == [Gap(INPUT, 1, 1, 1)]


def test_what_is_held_is_not_asked_for_again() -> None:
    reader = Listening()
    reader.receive([word(0), one(0), one(2)], 0)
    assert reader.receive([one(4), one(6)], MS) == []
    assert reader.receive([one(1)], 10 * MS) == [Replay(INPUT, "demo", 1, seq, 1) for seq in (3, 5)]
    assert reader.receive([one(3)], 20 * MS) == []
    assert reader.receive([one(8)], 30 * MS) == []
    assert reader.receive([one(5)], 40 * MS) == [Replay(INPUT, "demo", 1, 7, 1)]


def test_many_holes_cost_a_long_way_few_times() -> None:
    """20 % lost, and 0.2 s to the source and back: 500 holes took 100 s when each was asked for alone."""
    reader = Listening(retry_policy=RetryPolicy(hold_bytes=2**30))
    wishes, now_ns = reader.receive([word(0), *(one(seq) for seq in range(2500) if seq % 5)], 0), 0
    while len(reader.samples) < 2500:
        now_ns += 200 * MS
        wishes = reader.receive(
            [one(seq) for wish in wishes for seq in range(wish.seq, wish.seq + wish.samples)], now_ns
        )
    assert now_ns < 10_000 * MS
    assert sum(wish.samples for wish in reader.asked) == 500


def test_answers_to_many_holes_are_about_as_many_as_samples_are_missing() -> None:
    reader = Listening()
    wishes, now_ns = reader.receive([word(0), *(one(seq) for seq in range(1000) if seq % 10)], 0), 0
    while len(reader.samples) < 1000:
        now_ns += 6 * MS
        wishes = reader.receive(
            [one(seq) for wish in wishes for seq in range(wish.seq, wish.seq + wish.samples)], now_ns
        )
    assert sum(wish.samples for wish in reader.asked) == 100


def test_a_large_hole_is_asked_for_whole_and_then_in_portions() -> None:
    reader = Listening(retry_policy=RetryPolicy(hold_bytes=2**30))
    (wish,) = reader.receive([word(100_000)], 0)
    assert (wish.seq, wish.samples) == (0, 100_000)
    assert reader.receive([Gone(INPUT, "demo", 1, 0, 60_000)], 10 * MS) != []
    assert reader.gaps == [Gap(INPUT, 1, 0, 60_000)]
    reader.receive([one(60_000 + k) for k in range(1000)], 20 * MS)
    (wish,) = reader.receive([], 120 * MS)
    assert (wish.seq, wish.samples) == (61_000, 4000)
    (wish,) = reader.receive([one(61_000 + k) for k in range(4000)], 121 * MS) or reader.receive([], 126 * MS)
    assert (wish.seq, wish.samples) == (65_000, 4000)


def test_only_what_is_missing_is_given_up_when_it_is_gone() -> None:
    reader = Listening()
    reader.receive([word(0), one(0), one(10), one(20)], 0)
    reader.receive([Gone(INPUT, "demo", 1, 0, 15)], MS)
    assert reader.gaps == [Gap(INPUT, 1, 1, 9)]
    reader.receive([Gone(INPUT, "demo", 2, 11, 5), Gone(INPUT, "demo", 1, 13, 5)], 2 * MS)
    assert len(reader.gaps) == 1
    reader.receive([Gone(INPUT, "demo", 1, 11, 2**40)], 3 * MS)
    assert reader.gaps[1:] == [Gap(INPUT, 1, 11, 9)]


def test_a_source_that_cannot_be_asked_leaves_a_gap_at_once() -> None:
    reader = Listening()
    reader.receive([word(0, replays=False), one(0), one(5, 2)], 0)
    assert reader.gaps == [Gap(INPUT, 1, 1, 4)]
    reader.receive([word(9, replays=False)], 0)
    assert reader.gaps[1:] == [Gap(INPUT, 1, 7, 2)]


def test_before_the_sources_first_word_nothing_is_given_up() -> None:
    reader = Listening()
    (wish,) = reader.receive([one(5)], 0)  # it may be that it answers
    assert (wish.seq, wish.samples) == (0, 5)
    waking(reader, 1000)
    reader.receive([word(6)], 1000 * MS)
    waking(reader, 4000)
    assert reader.gaps == []
    silent = Listening()
    silent.receive([one(5)], 0)
    waking(silent, 4900)
    assert silent.gaps == []
    waking(silent, 5200)
    assert silent.gaps == [Gap(INPUT, 1, 0, 5)]


def test_who_joins_live_asks_for_nothing_before() -> None:
    reader = Listening((INPUT, TARGET), RetryPolicy(from_start=False))
    assert reader.receive([word(500, targets=500), one(499, kind=TARGET, tally=500)], 0) == []
    assert reader.receive([one(500, tally=500), one(500, kind=TARGET, tally=501)], 0) == []
    assert reader.gaps == []
    assert [sample[:3] for sample in reader.samples] == [(INPUT, 1, 500), (TARGET, 1, 500)]


# Runs


def test_the_old_runs_tail_is_given_up_when_its_source_does_not_know_it_any_more() -> None:
    reader = Listening((INPUT, TARGET))
    reader.receive([word(0), one(0), one(3, tally=0), word(5, targets=2)], 0)
    new = [one(0, run=2, ms=10), one(1, run=2, ms=11)]
    assert reader.receive(new[:1], 20 * MS) == []
    reader.receive(new[1:], 21 * MS)
    assert reader.runs == [1]
    assert [(ask.kind, ask.run, ask.seq) for ask in reader.asked[-4:]] != []
    reader.receive([Gone(ask.kind, "demo", 1, ask.seq, ask.samples) for ask in reader.asked], 22 * MS)
    for _ in range(8):
        asked, reader.asked = reader.asked, []
        reader.receive(
            [Gone(ask.kind, "demo", 1, ask.seq, ask.samples) for ask in asked], (reader.due_ns() or 0) + 1
        )
    assert sorted(reader.gaps, key=lambda gap: (gap.kind, gap.seq)) == [
        Gap(INPUT, 1, 1, 2), Gap(INPUT, 1, 4, 1), Gap(TARGET, 1, 0, 2)
    ]  # fmt: skip
    assert [sample[1:3] for sample in reader.samples] == [(1, 0), (1, 3), (2, 0), (2, 1)]
    reader.receive([one(1, ms=1), word(5, ms=1)], SECOND)
    assert reader.runs == [1, 2]
    assert reader.sequencer.counts.duplicates == 1


def test_an_unknown_run_older_than_the_one_that_speaks_is_not_taken_up() -> None:
    reader = Listening()
    reader.receive([word(0, ms=5000), one(0, ms=5000)], 0)
    for second in range(1, 6):
        reader.receive([one(7, run=9, ms=100), word(8, run=9, ms=100)], second * SECOND)
        reader.receive([word(1, ms=5000 + 1000 * second)], second * SECOND)
    assert reader.runs == [1]
    for second in range(6, 9):  # now it is silent: it may be that a clock was set back
        reader.receive([one(0, run=9, ms=100)], second * SECOND)
    waking(reader, 9000)
    assert reader.runs == [1, 9]


# Lies


@pytest.mark.parametrize("replays", [True, False])
@pytest.mark.parametrize("far", [10**6, 2**62])
@pytest.mark.parametrize("lie", ["chunk", "info", "tally", "target"])
@pytest.mark.parametrize("at_ms", [0, 100])
def test_a_message_with_an_absurd_seq_mutes_nobody(replays: bool, far: int, lie: str, at_ms: int) -> None:
    said = script(800, replays=replays, every_ms=10)  # beyond the deadline
    lies: dict[str, Chunk | Info] = {
        "chunk": one(far, ms=at_ms), "info": word(far, ms=at_ms, targets=far, replays=replays),
        "tally": one(at_ms, tally=far, ms=at_ms), "target": one(far, kind=TARGET, tally=far, ms=at_ms),
    }  # fmt: skip
    chunks = chunks_of(said)
    if lie == "tally":  # in the place of the true one
        place = next(n for n, (_, m) in enumerate(said) if isinstance(m, Chunk) and m.seq == at_ms // 10)
        said[place] = said[place][0], replace(chunks_of([said[place]])[0], tally=far)
    else:
        said = merged(said, [(at_ms * MS, lies[lie])] * 3)
    reader = Listening((INPUT, TARGET))
    server = Server(chunks)
    play(said, server, reader, Faults(), 0, until_ns=UNTIL)
    assert reader.samples == reference(chunks)
    assert reader.gaps == []
    assert server.requests <= 40
    assert reader.due_ns() is None
    assert reader.budget.used_bytes == 0


def test_a_source_that_says_again_that_it_is_far_ahead_is_believed() -> None:
    reader = Listening()
    reader.receive([word(0, replays=False), one(0), one(10**6, ms=1)], 0)
    assert reader.gaps == []
    reader.receive([one(10**6 + 1, ms=2)], MS)
    assert reader.gaps == [Gap(INPUT, 1, 1, 10**6 - 1)]
    assert len(reader.samples) == 3


@pytest.mark.parametrize("replays", [True, False])
@pytest.mark.parametrize("ahead", [300, 4096])
@pytest.mark.parametrize("lie", ["chunk", "tally", "target", "info"])
def test_a_seq_too_high_before_a_pause_gives_up_nothing_that_was_not_said(
    replays: bool, ahead: int, lie: str
) -> None:
    said = script(900, replays=replays, every_ms=4)
    place, pause_ms = 200, 7000  # the sample that the lie comes before; infos go on in the pause
    far, begin_ms = place + ahead, 4 * place
    lies: dict[str, Chunk | Info] = {
        "chunk": one(far, ms=begin_ms), "tally": one(place, tally=far, ms=begin_ms),
        "target": one(far, kind=TARGET, tally=far, ms=begin_ms),
        "info": word(far, ms=begin_ms, targets=far, replays=replays),
    }  # fmt: skip
    infos = [begin_ms + late_ms for late_ms in range(0, pause_ms, 1000)]
    before = [(moment, message) for moment, message in said if moment < begin_ms * MS]
    after = [
        (moment + pause_ms * MS, replace(message, time_ns=message.time_ns + pause_ms * MS))
        for moment, message in said
        if moment >= begin_ms * MS
    ]
    if lie == "tally":  # in the place of the true one
        after.remove(next(entry for entry in after if isinstance(entry[1], Chunk)))
    paused = [(ms * MS, word(place, ms=ms, targets=place, replays=replays)) for ms in infos]
    lied = [*before, (begin_ms * MS, lies[lie]), *paused, *after]
    reader = Listening((INPUT, TARGET))
    play(lied, Server(chunks_of([*before, *after])), reader, Faults(), 0, until_ns=UNTIL)
    assert reader.gaps == []
    for kind in (INPUT, TARGET):
        assert [seq for k, _, seq, _ in reader.samples if k is kind] == list(range(900))
    assert reader.due_ns() is None


@pytest.mark.parametrize("replays", [True, False])
def test_a_source_without_times_goes_on_after_a_long_outage(replays: bool) -> None:
    reader = Listening()
    timeless = [replace(one(seq), time_ns=0) for seq in range(3)]
    reader.receive([replace(word(0, replays=replays), time_ns=0), *timeless], 0)
    for k in range(20):
        reader.receive([replace(one(400_000 + k), time_ns=0)], (60_000 + k) * MS)
    waking(reader, 120_000)
    assert reader.gaps == [Gap(INPUT, 1, 3, 399_997)]
    assert len(reader.samples) == 23


def test_a_chunk_of_another_width_is_refused_and_what_it_hid_is_asked_for() -> None:
    reader = Listening()
    wide = replace(one(1), values=np.zeros((1, 2, 1), np.float32))
    reader.receive([word(0), one(0), wide], 0)
    reader.receive([one(1), one(2)], MS)
    assert [seq for _, _, seq, _ in reader.samples] == [0, 1, 2]
    assert reader.sequencer.counts.refused == 1
    early = Listening()
    early.receive([word(0), replace(wide, seq=1), one(0)], 0)
    assert early.sequencer.counts.refused == 1
    assert list(early.receive([word(2, ms=1)], 10 * MS)) == [Replay(INPUT, "demo", 1, 1, 1)]


# Bursts and memory


def test_a_burst_is_held_and_handed_out_whole_or_without_what_has_come() -> None:
    def burst(seq: int) -> Burst:
        return Burst(one(seq, 6), WALL_NS + np.arange(3, dtype=np.int64) * 2 * MS)

    reader = Listening()
    reader.receive([word(0), burst(2)], 0)
    assert reader.samples == []
    parts = [e for e in reader.sequencer.receive(one(0, 2), 0) if isinstance(e, Part)]
    assert [(type(p.message), p.skip) for p in parts] == [(Chunk, 0), (Burst, 0)]
    parts = [e for e in reader.sequencer.receive(burst(5), 0) if isinstance(e, Part)]
    assert [(p.message.seq, p.skip) for p in parts if isinstance(p.message, Chunk)] == [(7, 1), (9, 0)]


def test_streams_share_what_may_be_held() -> None:
    retry_policy = RetryPolicy(hold_bytes=20_000)
    budget = MemoryBudget(retry_policy.hold_bytes)
    many = [Sequencer(f"s{k}", (INPUT,), retry_policy, budget) for k in range(10)]
    for sequencer in many:
        list(sequencer.receive(one(0), 0))
        for seq in range(2, 50):
            list(sequencer.receive(replace(one(seq), stream=sequencer.stream), 0))
            assert budget.used_bytes <= retry_policy.hold_bytes
    for sequencer in many:  # what was dropped is asked for, once there is room
        list(sequencer.receive(one(1), 0))
        assert sequencer.due_ns() is None or next(sequencer.asks(10 * MS)).samples > 0
    assert budget.used_bytes == 0


def test_ten_thousand_held_messages_are_handed_out_in_linear_time() -> None:
    rng = random.Random(1)
    seqs = list(range(1, 20_000))
    rng.shuffle(seqs)
    reader = Listening(retry_policy=RetryPolicy(hold_bytes=2**30))
    reader.receive([one(seq) for seq in seqs], 0)
    reader.receive([one(0)], 0)
    assert [seq for _, _, seq, _ in reader.samples] == list(range(20_000))


def test_what_waits_for_a_lost_sample_of_a_source_that_died_does_not_wait_without_end() -> None:
    reader = Listening((INPUT, TARGET))
    reader.receive([word(0, ms=0), word(2, targets=1, ms=2)], 2 * MS)
    reader.receive([one(0, ms=3), one(0, kind=TARGET, tally=1, ms=3), one(1, tally=1, ms=4)], 4 * MS)
    reader.receive([one(1, kind=TARGET, tally=3, ms=5)], 5 * MS)  # after an input that nobody will say again
    now_ns, looks = 5 * MS, 0
    while (due_ns := reader.due_ns()) is not None and looks < 200:
        now_ns, looks = max(now_ns, due_ns), looks + 1
        reader.receive([], now_ns)
    assert [(gap.kind, gap.seq, gap.samples) for gap in reader.gaps] == [(INPUT, 2, 1)]
    assert [(kind, seq) for kind, _, seq, _ in reader.samples] == [
        (INPUT, 0),
        (TARGET, 0),
        (INPUT, 1),
        (TARGET, 1),
    ]
