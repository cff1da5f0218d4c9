"""Which run is followed: restarts, runs that come back, two sources of one name, turned bits; a fake clock."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import Phase, example, given
from hypothesis import strategies as st

from streamer.messages import Gone, Incoming, Kind, Replay
from streamer.ordering.events import Rivals
from streamer.ordering.retry import RetryPolicy
from tests.support.dose import examples
from tests.support.lossy import MS, SECOND, Faults, Script, Server, chunks_of, merged, play, script

from .test_sequencer import Listening, accounted, faulty, one, reference, waking, word

INPUT, TARGET = Kind.INPUT, Kind.TARGET
UNTIL = 120 * SECOND


class Reader(Listening):
    """Keeps the runs as they were taken up, and the warnings."""

    def __init__(self, kinds: Sequence[Kind] = (INPUT,)) -> None:
        super().__init__(kinds, RetryPolicy(deadline_s=50.0))
        self.rivals: list[Rivals] = []

    def take(self, events) -> None:  # type: ignore[no-untyped-def]
        listed = list(events)
        self.rivals += [event for event in listed if isinstance(event, Rivals)]
        super().take(listed)


class Source:
    """A process that says a run from a moment on, and dies at another: what it said before, its journal knows."""

    def __init__(
        self, run: int, count: int, *, start_ms: int = 0, lives: Sequence[tuple[int, int]] = (), chunk: int = 1,
        replays: bool = True, every_ms: int = 5,
    ) -> None:  # fmt: skip
        self.run = run
        self.lives = lives or [(start_ms, 10**6)]
        whole = script(count, run=run, start_ms=start_ms, chunk=chunk, replays=replays, every_ms=every_ms)
        self.said: Script = []
        pause = 0  # while it was dead nothing was said: what follows comes later
        times = iter(self.lives)
        _, death = next(times)
        for moment, message in whole:
            while moment + pause * MS >= death * MS:
                life = next(times, None)
                if life is None:
                    break
                pause += life[0] - death
                death = life[1]
            else:
                late = pause * MS
                self.said.append((moment + late, replace(message, time_ns=message.time_ns + late)))
                continue
            break
        self.server = Server(chunks_of(self.said))

    def lives_at(self, now_ns: int) -> bool:
        return any(birth * MS <= now_ns < death * MS for birth, death in self.lives)


class Servers:
    """All sources that live answer a request, each for its own run; of another one it says that it is gone."""

    def __init__(self, *sources: Source) -> None:
        self.sources = sources

    def answer(self, request: Replay, now_ns: int) -> list[Incoming]:
        answers: list[Incoming] = []
        for source in self.sources:
            if not source.lives_at(now_ns):
                continue
            if request.run == source.run:
                answers += source.server.answer(request, now_ns)
            else:
                answers.append(Gone(request.kind, request.stream, request.run, request.seq, request.samples))
        return answers


def heard(reader: Reader, run: int) -> list[tuple[Kind, int, int, float]]:
    return [sample for sample in reader.samples if sample[1] == run]


def played(reader: Reader, faults: Faults, seed: int, *sources: Source) -> None:
    play(merged(*(source.said for source in sources)), Servers(*sources), reader, faults, seed, until_ns=UNTIL)  # type: ignore[arg-type]
    assert reader.budget.used_bytes == 0
    for kind in reader.sequencer.kinds:
        for source in sources:
            told = accounted(reader, kind, source.run)
            assert len(told) == len(set(told)), "a sample twice"


kinds_ = st.sampled_from([(INPUT,), (INPUT, TARGET)])


@examples(4, release=20, phases=[Phase.explicit, Phase.generate])
@given(faulty, kinds_, st.sampled_from([1, 7]), st.integers(1, 1500), st.integers(0, 2**32))
def test_a_restarted_source_loses_nothing_that_can_be_had(
    faults: Faults, kinds: tuple[Kind, ...], chunk: int, down_ms: int, seed: int
) -> None:
    """The first run dies with its process, so that what was lost of it is gone; all of the second one comes."""
    first = Source(1, 100, lives=[(0, 300)], chunk=chunk)
    second = Source(2, 100, start_ms=300 + down_ms, chunk=chunk)
    reader = Reader(kinds)
    played(reader, faults, seed, first, second)
    assert reader.runs in ([1, 2], [2])
    assert heard(reader, 2) == [s for s in reference(chunks_of(second.said)) if s[0] in kinds]
    for kind in kinds:
        told = accounted(reader, kind)
        assert told == list(range(len(told)))


@examples(4, release=20, phases=[Phase.explicit, Phase.generate])
@given(faulty, kinds_, st.integers(0, 2**32), st.booleans())
def test_a_run_that_comes_back_goes_on_where_it_was(
    faults: Faults, kinds: tuple[Kind, ...], seed: int, ended: bool
) -> None:
    """A journal is taken up after another source has said the stream for a while: every sample of both comes."""
    between = (2000, 4000 if ended else 2300)
    second = Source(2, 100 if ended else 2000, start_ms=2000, lives=[between])
    first = Source(1, 150, lives=[(0, 300), (4500, 10**6)])
    reader = Reader(kinds)
    played(reader, faults, seed, first, second)
    # What was lost before the first died is gone as far as the second knows; all that follows comes.
    assert all(gap.seq < 60 for gap in reader.gaps if gap.run == 1)
    for kind in kinds:
        assert accounted(reader, kind, 1) == list(range(150))
    truth = [s for s in reference(chunks_of(first.said)) if s[0] in kinds]
    assert [s for s in heard(reader, 1) if s[2] >= 60] == [s for s in truth if s[2] >= 60]
    for kind in kinds:  # while the first was not given up the second could not be asked: what it lost is said
        told = accounted(reader, kind, 2)
        assert told == list(range(len(told)))
        assert not ended or len(told) == 100


@examples(4, release=20, phases=[Phase.explicit, Phase.generate])
@given(faulty, kinds_, st.integers(0, 2**32), st.sampled_from([1, 20]))
@example(Faults(loss=0.2, twice=0.2, late=0.5, late_ms=400), (INPUT, TARGET), 839, 20)
@example(Faults(loss=0.2, twice=0.2, late=0.1, late_ms=400), (INPUT, TARGET), 107361, 1)
def test_of_two_sources_one_is_followed_and_the_other_when_it_has_ended(
    faults: Faults, kinds: tuple[Kind, ...], seed: int, chunk: int
) -> None:
    first = Source(1, 500, every_ms=10)
    second = Source(2, 200 * chunk, start_ms=2000, chunk=chunk, every_ms=10)
    reader = Reader(kinds)
    played(reader, faults, seed, first, second)
    assert len(reader.runs) <= 4  # no to and fro
    assert len(reader.rivals) == 1
    assert {reader.rivals[0].followed, reader.rivals[0].other} == {1, 2}
    assert heard(reader, 1) == [s for s in reference(chunks_of(first.said)) if s[0] in kinds]
    for kind in kinds:  # the first, long silent, says that it has none of the second one's: that is believed then
        assert accounted(reader, kind, 2) == list(range(200 * chunk))


@examples(4, release=20, phases=[Phase.explicit, Phase.generate])
@given(kinds_, st.booleans(), st.integers(0, 2**32), st.sampled_from([20, 100, 300]))
@example((INPUT,), False, 16559, 300)
def test_a_turned_bit_of_run_switches_nothing(
    kinds: tuple[Kind, ...], replays: bool, seed: int, every: int
) -> None:
    source = Source(1, 400, replays=replays)
    rng = random.Random(seed)
    turned: Script = []
    for moment, message in source.said:
        bit = 1 << rng.randrange(64)
        turned.append(
            (moment, replace(message, run=message.run ^ bit) if rng.randrange(every + 1) == 1 else message)
        )
    reader = Reader(kinds)
    server = Servers(source)
    play(turned, server, reader, Faults(), 0, until_ns=UNTIL)  # type: ignore[arg-type]
    runs = [run for run in reader.runs if run == 1]
    assert runs
    if replays:
        assert heard(reader, 1) == [s for s in reference(chunks_of(source.said)) if s[0] in kinds]
    for kind in kinds:
        told = accounted(reader, kind)
        assert told == list(range(len(told)))
    assert reader.most_bytes < 2**20


def test_a_new_run_of_a_source_that_cannot_be_asked_is_taken_up_with_its_second_message() -> None:
    reader = Reader()
    reader.receive([word(0, replays=False), one(0), one(1, ms=1)], MS)
    reader.receive([one(0, run=2, ms=500)], 500 * MS)
    assert reader.runs == [1]
    reader.receive([one(1, run=2, ms=501)], 501 * MS)
    assert reader.runs == [1, 2]
    assert [sample[1:3] for sample in reader.samples] == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_the_only_message_of_a_run_is_taken_once_the_present_one_is_silent() -> None:
    reader = Reader()
    reader.receive([word(0, replays=False), one(0)], 0)
    reader.receive([one(0, run=2, ms=10)], 10 * MS)
    waking(reader, 3100)  # type: ignore[arg-type]
    assert [sample[1:3] for sample in reader.samples] == [(1, 0), (2, 0)]


def test_after_an_ended_run_the_next_one_begins_with_its_first_message() -> None:
    reader = Reader()
    reader.receive([word(0), one(0), replace(word(1), ended=True)], 0)
    reader.receive([one(0, run=2, ms=10)], 10 * MS)
    assert [sample[1:3] for sample in reader.samples] == [(1, 0), (2, 0)]


@pytest.mark.parametrize("known", [True, False])
def test_the_old_runs_tail_is_asked_for_before_the_new_run_is_handed_out(known: bool) -> None:
    """The last samples of a run were lost on their way, and nothing told of them, before the next run began."""
    first = [one(seq, ms=seq) for seq in range(10)]
    reader = Reader()
    reader.receive([word(0), *first[:6]], 10 * MS)
    reader.receive([one(0, run=2, ms=20)], 20 * MS)
    (wish,) = reader.receive([one(1, run=2, ms=21)], 21 * MS)
    assert (wish.run, wish.seq) == (1, 5)
    answer: list[Incoming] = [*first[5:]] if known else [Gone(INPUT, "demo", 1, wish.seq, wish.samples)]
    reader.receive(answer, 22 * MS)
    for ms in range(23, 60, 6):
        answered = reader.asked[-1] is not wish
        wish = reader.asked[-1]
        reader.receive([first[-1]] if answered and known else [], ms * MS)
    last = 10 if known else 6
    assert [sample[1:3] for sample in reader.samples] == [*((1, seq) for seq in range(last)), (2, 0), (2, 1)]
    assert reader.gaps == []


def test_a_tail_that_is_no_longer_kept_is_a_gap_with_its_range() -> None:
    reader = Reader()
    reader.receive([word(0), one(0)], 0)
    reader.receive([one(0, run=2, ms=20)], 20 * MS)
    reader.receive([one(1, run=2, ms=21)], 21 * MS)
    reader.receive([Gone(INPUT, "demo", 1, 0, 7), one(7, ms=7)], 22 * MS)  # what is known of it ends at 8
    for ms in range(30, 60, 6):
        reader.receive([one(7, ms=7)], ms * MS)
    assert [(gap.run, gap.seq, gap.samples) for gap in reader.gaps] == [(1, 1, 6)]
    assert [sample[1:3] for sample in reader.samples] == [(1, 0), (1, 7), (2, 0), (2, 1)]


def test_a_source_that_answers_nothing_about_its_old_run_delays_the_new_one_by_less_than_a_second() -> None:
    reader = Reader()
    reader.receive([word(0), one(0)], 0)
    reader.receive([one(0, run=2, ms=20), one(1, run=2, ms=21)], 21 * MS)
    waking(reader, 900)  # type: ignore[arg-type]
    assert reader.runs == [1, 2]
    assert len(reader.samples) == 3


def test_a_thousand_runs_take_no_memory_and_one_warning() -> None:
    reader = Reader()
    for seq in range(3000):
        reader.receive([one(seq, ms=seq)], seq * MS)
        reader.receive([one(0, run=10 + seq, ms=seq)], seq * MS)
    assert reader.runs == [1]
    assert len(reader.samples) == 3000
    assert reader.most_bytes < 2**16
    assert len(reader.rivals) <= 1


def test_runs_that_alternate_do_not_make_it_follow_one_and_the_other() -> None:
    reader = Reader()
    for k in range(6000):
        reader.receive([one(k // 2, run=1 + k % 2, ms=k)], k * MS)
    assert len(reader.runs) == 1
    assert len(reader.rivals) == 1
    assert len(reader.samples) == 3000


def test_a_run_that_only_says_infos_takes_nothing_from_the_one_that_speaks() -> None:
    reader = Reader()
    for seq in range(10_000):
        reader.receive([one(seq, ms=seq)], seq * MS)
        if seq % 1000 == 500:
            reader.receive([word(0, run=2, ms=seq)], seq * MS)
    assert reader.runs == [1]
    assert len(reader.samples) == 10_000


def test_a_restart_goes_on_with_what_was_left() -> None:
    reader = Reader()
    reader.receive([word(0, replays=False), one(0), one(1, ms=1)], 0)
    reader.receive(
        [one(0, run=2, ms=5), one(1, run=2, ms=6), replace(word(2, run=2, ms=9, replays=False), ended=True)],
        9 * MS,
    )
    again = Reader()
    again.sequencer.restore(reader.sequencer.state(), 1)
    again.receive([one(1, ms=1), one(2, ms=20), one(3, ms=21)], 30 * MS)
    waking(again, 5000)
    assert [sample[1:3] for sample in again.samples] == [(1, 2), (1, 3)]
    assert again.runs == [1]
