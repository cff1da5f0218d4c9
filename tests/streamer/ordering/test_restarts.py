"""A run that its source starts again at old numbers is followed as another run, and no copy of old samples is."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import Burst, Chunk, Gone, Kind
from streamer.ordering.events import Announcement, Event, Gap, NewRun, Part, Repeated, Rivals, StartedAgain
from streamer.ordering.restarts import mark_of, restarted_run
from streamer.ordering.retry import RetryPolicy
from streamer.ordering.sequencer import Sequencer
from tests.support.lossy import SECOND, WALL_NS

INPUT, TARGET, ESTIMATE = Kind.INPUT, Kind.TARGET, Kind.ESTIMATE
RUN, RATE_HZ, STEP_NS = 7, 250.0, 4_000_000
Message = Chunk | Burst | Announcement | Gone


def samples(
    first: int, end: int, began_ns: int, *, values: float = 0.0, run: int = RUN, size: int = 1, kind: Kind = INPUT,
    timed: bool = True,
) -> list[Chunk]:  # fmt: skip
    """What a source says that began at that time, its value being what tells its samples from another start's."""
    return [
        Chunk(
            kind, "demo", run, seq, began_ns + seq * STEP_NS if timed else 0, RATE_HZ,
            np.full((min(size, end - seq), 1, 1), values, np.float32),
        )
        for seq in range(first, end, size)
    ]  # fmt: skip


def info(next_seq: int, at_ns: int, *, replays: bool = False, ended: bool = False) -> Announcement:
    return Announcement(RUN, (next_seq,), at_ns, replays, ended)


class Follower:
    """A sequencer and what came out of it: by run, the seq and value of each sample."""

    def __init__(self, kinds: Sequence[Kind] = (INPUT,), sequencer: Sequencer | None = None) -> None:
        self.sequencer = sequencer or Sequencer("demo", kinds, RetryPolicy(deadline_s=1.0))
        self.samples: dict[int, list[tuple[int, float]]] = {}
        self.events: list[Event] = []
        self.now_ns = 0

    def hear(self, messages: Iterable[Message], step_ns: int = STEP_NS) -> None:
        for message in messages:
            self.now_ns += step_ns
            match message:
                case Announcement():
                    self._take(self.sequencer.hear(message, self.now_ns))
                case Gone():
                    self._take(self.sequencer.lose(message, self.now_ns))
                case Chunk() if self.sequencer.continues(message):
                    self.sequencer.advance(message)
                    self._keep(message, 0)
                case _:
                    self._take(self.sequencer.receive(message, self.now_ns))

    def wait(self, seconds: float) -> None:
        until_ns = self.now_ns + round(seconds * SECOND)
        while (due_ns := self.sequencer.due_ns()) is not None and due_ns <= until_ns:
            self.now_ns = max(self.now_ns + 1, due_ns)
            self._take(self.sequencer.look(self.now_ns))
            list(self.sequencer.asks(self.now_ns))
        self.now_ns = until_ns

    def asked(self) -> list[tuple[int, int]]:
        """Run and first sample of what is asked for now."""
        self._take(self.sequencer.look(self.now_ns))
        return [(one.run, one.seq) for one in self.sequencer.asks(self.now_ns)]

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Part):
                self._keep(event.message, event.skip)
            else:
                self.events.append(event)

    def _keep(self, message: Chunk | Burst, skip: int) -> None:
        for chunk in (message,) if isinstance(message, Chunk) else message.chunks():
            if chunk.kind is self.sequencer.kinds[0]:
                rows = [(chunk.seq + k, float(row[0, 0])) for k, row in enumerate(chunk.values)]
                self.samples.setdefault(chunk.run, []).extend(rows[skip:])
                skip = 0

    @property
    def restarts(self) -> list[StartedAgain]:
        return [event for event in self.events if isinstance(event, StartedAgain)]

    @property
    def gaps(self) -> list[tuple[int, int, int]]:
        return [(event.run, event.seq, event.samples) for event in self.events if isinstance(event, Gap)]


def whole(count: int, value: float, first: int = 0) -> list[tuple[int, float]]:
    return [(seq, value) for seq in range(first, count)]


def started(hour: float) -> int:
    """When a source began."""
    return WALL_NS + round(hour * 3600 * SECOND)


def again(hour: float, seq: int = 0) -> int:
    """The run that the samples of a later start have."""
    return restarted_run(RUN, started(hour) + seq * STEP_NS)


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**63))
def test_a_restarted_run_tells_its_mark_and_is_never_the_run_itself(run: int, mark: int) -> None:
    assert mark_of(run, restarted_run(run, mark)) == mark
    assert restarted_run(run, mark) != run


@pytest.mark.parametrize("size", [1, 25])
@pytest.mark.parametrize("infos", [False, True])
def test_each_start_is_a_run_of_its_own(infos: bool, size: int) -> None:
    follower = Follower()
    for start in range(4):
        began_ns = started(start)
        said: list[Message] = [*samples(0, 300 + start, began_ns, values=start, size=size)]
        if infos:
            said = [info(0, began_ns - 1), *said, info(300 + start, began_ns + 3 * SECOND, ended=True)]
        follower.hear(said)
    runs = [RUN, again(1), again(2), again(3)]
    assert follower.samples == {run: whole(300 + start, start) for start, run in enumerate(runs)}
    assert follower.restarts == [StartedAgain(RUN, 0, run) for run in runs[1:]]
    assert follower.gaps == []
    assert follower.sequencer.run == runs[3]
    assert follower.sequencer.source_run == RUN


def test_a_start_in_the_middle_says_what_is_missing_before_it() -> None:
    follower = Follower()
    follower.hear([info(0, started(0)), *samples(0, 3000, started(0))])
    follower.hear(samples(500, 900, started(1), values=1))
    run = again(1, 500)
    assert follower.restarts == [StartedAgain(RUN, 500, run)]
    follower.wait(10)
    assert follower.gaps == [(run, 0, 500)]
    assert follower.samples[run] == whole(900, 1, first=500)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_however_short_the_run_was_nothing_of_the_next_start_becomes_its_continuation(count: int) -> None:
    follower = Follower()
    follower.hear(samples(0, count, started(0)))
    follower.hear(samples(0, 10, started(1), values=1))
    assert follower.samples == {RUN: whole(count, 0), again(1): whole(10, 1)}


def test_a_start_with_earlier_times_is_another_run_too() -> None:
    follower = Follower()
    follower.hear(samples(0, 300, started(1)))
    follower.hear(samples(0, 400, started(0), values=1), step_ns=SECOND // 50)
    follower.wait(10)
    assert follower.samples == {RUN: whole(300, 0), again(0): whole(400, 1)}


@pytest.mark.parametrize("times", ["none", "the same"])
def test_where_times_do_not_tell_two_infos_do(times: str) -> None:
    follower = Follower()
    for start in range(3):
        said: list[Message] = []
        for chunk in samples(0, 600, started(0), values=start, timed=times != "none"):
            if chunk.seq % 100 == 0:
                said.append(info(chunk.seq, started(1 + start) + chunk.seq * STEP_NS))
            said.append(chunk)
        follower.hear([*said, info(600, started(1 + start) + 600 * STEP_NS, ended=True)])
        follower.wait(4)
    runs = [RUN, restarted_run(RUN, 1), restarted_run(RUN, 2)]
    assert follower.samples == {run: whole(600, start) for start, run in enumerate(runs)}
    assert follower.gaps == []


@pytest.mark.parametrize("between", [False, True])
def test_what_neither_times_nor_infos_tell_from_copies_is_dropped_and_said_once(between: bool) -> None:
    follower = Follower()
    follower.hear(samples(0, 300, 0, timed=False))
    if between:
        follower.hear(samples(0, 100, started(0), run=8), step_ns=SECOND // 10)
        assert follower.sequencer.run == 8
    follower.hear(samples(0, 300, 0, timed=False))
    assert follower.restarts == []
    assert follower.sequencer.counts.duplicates == 300
    assert [event for event in follower.events if isinstance(event, Repeated)] == [Repeated(RUN, 0, 300)]


@given(st.integers(0, 10**6), st.sampled_from([1, 7]), st.sampled_from([0, 20]), st.booleans())
def test_no_copies_of_old_messages_are_a_restart(seed: int, size: int, jitter_ms: int, infos: bool) -> None:
    rng = random.Random(seed)
    said: list[Message] = []
    for chunk in samples(0, 200, started(0), size=size):
        said.append(replace(chunk, time_ns=chunk.time_ns + rng.randint(0, jitter_ms) * 1_000_000))
        if infos and rng.random() < 0.1:
            said.append(info(chunk.end_seq, chunk.time_ns + SECOND, replays=rng.random() < 0.5))
    copies = [(place + rng.random() * rng.choice([2, 50, 300]), message) for place, message in enumerate(said)]
    copies += [(place + rng.random() * rng.choice([2, 50, 300]), message) for place, message in enumerate(said)]
    follower = Follower()
    follower.hear(message for _, message in sorted(copies, key=lambda one: one[0]))
    follower.hear(said)
    assert follower.restarts == []
    assert set(follower.samples) == {RUN}


def test_copies_of_each_message_say_nothing() -> None:
    follower = Follower()
    said = samples(0, 400, started(0))
    follower.hear(said[:20])
    for one, copy in zip(said[20:], said[:380], strict=True):
        follower.hear([one, copy])
    assert follower.events == [NewRun(RUN)]
    assert follower.samples == {RUN: whole(400, 0)}


def test_one_damaged_message_is_no_restart() -> None:
    follower = Follower()
    said = samples(0, 400, started(0))
    damaged = replace(said[299], seq=299 ^ 32)
    damaged_info = info(400 ^ 256, started(0) + 300 * STEP_NS)
    follower.hear([*said[:299], damaged, said[299], damaged_info, *said[300:], *said[140:180]])
    assert follower.restarts == []
    assert follower.samples == {RUN: whole(400, 0)}


def test_late_copies_of_the_old_start_never_reach_the_new_one() -> None:
    follower = Follower()
    old, new = samples(0, 300, started(0)), samples(0, 300, started(1), values=1)
    follower.hear([*old, *new[:100]])
    late = [old[k] for k in (105, 100, 101, 250, 99, 299)]
    for place, chunk in enumerate(new[100:]):
        follower.hear([late[place % len(late)], chunk])
    assert follower.samples == {RUN: whole(300, 0), again(1): whole(300, 1)}
    assert len(follower.restarts) == 1


def test_a_source_that_stamps_its_answers_anew_has_not_started_again() -> None:
    follower = Follower()
    follower.hear([info(0, started(0), replays=True), *samples(0, 300, started(0))])
    follower.hear(samples(0, 300, started(1)))
    follower.hear([info(301, started(2), replays=True), *samples(300, 400, started(0))])
    assert follower.restarts == []
    assert follower.samples == {RUN: whole(400, 0)}


def test_a_source_that_answers_is_asked_under_its_own_run() -> None:
    follower = Follower()
    follower.hear([info(0, started(0), replays=True), *samples(0, 300, started(0))])
    new = samples(0, 300, started(1), values=1)
    follower.hear([info(0, started(1) - 1, replays=True), *new[:100], *new[110:200]])
    follower.wait(0.9)  # nobody knows more of the old run
    asked = list(follower.sequencer.asks(follower.now_ns + SECOND))
    assert follower.sequencer.run == again(1)
    assert [(one.run, one.seq, one.samples) for one in asked] == [(RUN, 100, 10)]
    follower.hear(new[100:110])
    assert follower.samples[again(1)] == whole(200, 1)
    follower.hear([*new[200:250], info(300, started(1) + 300 * STEP_NS, replays=True)])
    follower.hear([Gone(INPUT, "demo", RUN, 250, 50)])
    assert follower.gaps == [(again(1), 250, 50)]


@pytest.mark.parametrize("lag", [900, 100])
def test_two_sources_of_one_run_are_two_runs(lag: int) -> None:
    """Also where the second passes the first one's end before that counts as silent."""
    follower = Follower()
    hours = (lag + 0.25) * STEP_NS / SECOND / 3600
    first, second = samples(0, 2000, started(0)), samples(0, 4000, started(hours), values=1)
    follower.hear(first[:lag])
    for one, other in zip(first[lag:], second, strict=False):
        follower.hear([one, other], step_ns=STEP_NS // 2)
    assert follower.samples == {RUN: whole(2000, 0)}
    follower.hear(second[2000 - lag :])
    follower.wait(5)
    assert [event for event in follower.events if isinstance(event, Rivals)] == [Rivals(RUN, again(hours))]
    taken_up = follower.samples.pop(again(hours))
    assert follower.samples == {RUN: whole(2000, 0)}
    assert taken_up == whole(4000, 1, first=taken_up[0][0])
    assert follower.gaps == [(again(hours), 0, taken_up[0][0])]


def test_infos_that_come_late_tell_of_no_restart() -> None:
    follower = Follower()
    said = samples(0, 400, started(0))
    late = [info(seq, started(0) + seq * STEP_NS) for seq in (100, 200, 300)]
    follower.hear([*said, late[0], *said[100:200], late[1], *said[200:300], late[2]])
    assert follower.restarts == []
    assert follower.samples == {RUN: whole(400, 0)}


def test_a_run_that_was_left_is_told_from_its_next_start() -> None:
    follower = Follower()
    follower.hear(samples(0, 300, started(0)))
    follower.hear(samples(0, 300, started(1), values=5, run=8))
    follower.hear(samples(0, 300, started(2), values=1))
    assert follower.samples == {RUN: whole(300, 0), 8: whole(300, 5), again(2): whole(300, 1)}


def test_targets_go_with_their_start() -> None:
    follower = Follower((INPUT, TARGET))
    for start in range(2):
        inputs = samples(0, 100, started(start), values=start)
        targets = samples(0, 100, started(start), values=start, kind=TARGET)
        for one, other in zip(inputs, targets, strict=True):
            follower.hear([replace(one, tally=one.seq), replace(other, tally=one.seq + 1)])
    assert follower.samples == {RUN: whole(100, 0), again(1): whole(100, 1)}
    assert follower.sequencer.next_target_seq == 100
    assert follower.gaps == []


@pytest.mark.parametrize("cut", [1, 300, 301, 350])
def test_a_state_knows_when_the_run_has_started_again(cut: int) -> None:
    said = [*samples(0, 300, started(0)), *samples(0, 200, started(1), values=1)]
    follower = Follower()
    follower.hear(said[:cut])
    position = follower.sequencer.state()
    later = Sequencer("demo", (INPUT,), RetryPolicy(deadline_s=1.0))
    later.restore(position, 1)
    second = Follower(sequencer=later)
    second.hear(said[max(cut - 1, 300) :])
    last = second.samples[again(1)]
    assert last[-1] == (199, 1)
    assert RUN not in second.samples
    assert later.source_run == RUN


def test_estimates_are_told_apart_as_inputs_are() -> None:
    follower = Follower((ESTIMATE,))
    first = samples(0, 300, started(0), kind=ESTIMATE)
    second = samples(0, 300, started(1), values=1, kind=ESTIMATE)
    renamed = [replace(one, run=again(1)) for one in second]
    follower.hear([*first, *renamed[:200]])
    follower.hear([info(3, started(3), replays=True), *second])  # a predictor that knew nothing of the first start
    assert follower.samples == {RUN: whole(300, 0), again(1): whole(300, 1)}


def test_an_answer_without_times_keeps_no_run_from_being_left() -> None:
    follower = Follower((ESTIMATE,))
    first, second = (samples(0, 300, 0, timed=False, values=k, run=RUN + k, kind=ESTIMATE) for k in range(2))
    follower.hear([info(0, started(0), replays=True), *first, info(300, started(0) + 300 * STEP_NS, replays=True)])
    for chunk in second:
        follower.hear([chunk], step_ns=SECOND // 50)
        follower.hear(first[-1] for asked in follower.asked() if asked == (RUN, 299))
    assert follower.samples == {RUN: whole(300, 0), RUN + 1: whole(300, 1)}


@pytest.mark.parametrize("repeats", [False, True])
def test_a_source_with_a_journal_that_a_power_cut_took_back_says_the_same_samples_again(repeats: bool) -> None:
    follower, later_ns = Follower(), WALL_NS + 60 * SECOND
    before = samples(0, 500, WALL_NS)
    follower.hear([replace(info(0, WALL_NS, replays=True), repeats=repeats), *before])
    again = samples(300, 700, later_ns)
    for first in range(0, 400, 100):
        now = info(300 + first, later_ns + (300 + first) * STEP_NS, replays=True)
        follower.hear([replace(now, repeats=repeats), *again[first : first + 100]])
    restarts = [event for event in follower.events if isinstance(event, StartedAgain)]
    assert bool(restarts) is not repeats
    if repeats:
        assert [seq for seq, _ in follower.samples[RUN]] == list(range(700))
