"""The history: what it finds again is what was said, and it keeps no more than it may."""

import gc
import tracemalloc
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import NO_GAP, Burst, Chunk, Gone, Kind
from streamer.replay import history as history_module
from streamer.replay.history import MESSAGE_BYTES, REMEMBERED_RUNS, History
from streamer.wire import codec

SECOND_NS = 1_000_000_000
LARGE = 2**30


def chunk(seq: int, samples: int = 1, **fields: object) -> Chunk:
    values = np.arange(seq, seq + samples, dtype=np.float32)[:, None, None]
    plain = Chunk(Kind.INPUT, "demo", 7, seq, 1000 + 3 * seq, 100.0, values, 5, 2 * seq)
    return replace(plain, **fields)  # type: ignore[arg-type]


def burst(seq: int, count: int, samples: int = 1, **fields: object) -> Burst:
    return Burst(chunk(seq, count * samples, **fields), 10 * np.arange(count, dtype=np.int64) + seq)


def told(history: History, seq: int, end: int, run: int = 7, most: int = 1000) -> list[object]:
    """All that is found of a range: each chunk as its bytes, each loss as its range."""
    found: list[object] = []
    while seq < end:
        part = history.find(Kind.INPUT, "demo", run, seq, end, most)
        if not part:
            break
        count = len(found)
        for said in part:
            if isinstance(said, Gone):
                found.append((said.seq, said.seq + said.samples))
                seq = said.seq + said.samples
            else:
                chunks = [said] if isinstance(said, Chunk) else list(said.chunks())
                found += [codec.encode(one) for one in chunks]
                seq = chunks[-1].end_seq
        assert len(found) - count <= most
    return found


def test_what_was_said_is_found_as_it_was_said() -> None:
    history = History(60, LARGE)
    said = [chunk(0), chunk(1, 3), chunk(4, model_version=9, tally=NO_GAP), chunk(5)]
    for one in said:
        history.add(one, 0)
    assert told(history, 0, 6) == [codec.encode(one) for one in said]
    assert told(history, 2, 4) == [codec.encode(said[1])]
    assert told(history, 5, 99) == [codec.encode(said[3])]


def test_of_a_burst_the_chunks_that_are_wanted_are_found_as_they_were_said() -> None:
    history = History(60, LARGE)
    whole = burst(10, 8, samples=2, kind=Kind.ESTIMATE, tally=30)
    history.add(whole, 0)
    chunks = list(whole.chunks())

    def found(seq: int, end: int, most: int = 100) -> list[list[bytes]]:
        (said,) = history.find(Kind.ESTIMATE, "demo", 7, seq, end, most)
        assert isinstance(said, Burst)
        return [codec.encode(one) for one in said.chunks()]

    assert found(10, 26) == [codec.encode(one) for one in chunks]
    assert found(13, 15) == [codec.encode(one) for one in chunks[1:3]]
    assert found(12, 26, most=2) == [codec.encode(one) for one in chunks[1:3]]
    assert found(25, 99) == [codec.encode(chunks[-1])]


def test_what_was_not_said_yet_is_not_answered() -> None:
    history = History(60, LARGE)
    history.begin(Kind.INPUT, "demo", 7)
    assert history.find(Kind.INPUT, "demo", 7, 0, 9, 1) == []
    history.add(chunk(0, 4), 0)
    assert history.find(Kind.INPUT, "demo", 7, 4, 9, 1) == []


def test_what_was_before_the_beginning_and_what_was_left_out_is_gone() -> None:
    history = History(60, LARGE)
    history.begin(Kind.INPUT, "demo", 7, seq=5)
    assert told(history, 0, 9) == [(0, 5)]
    history.add(chunk(7, 2), 0)
    history.add(chunk(12), 0)
    assert told(history, 0, 99) == [(0, 7), codec.encode(chunk(7, 2)), (9, 12), codec.encode(chunk(12))]
    assert told(history, 1, 3) == [(1, 3)]


def test_what_a_process_never_says_it_does_not_answer_for() -> None:
    for history in (History(60, LARGE), History(60, LARGE, all_begun=True)):
        history.add(chunk(0), 0)
        assert history.find(Kind.TARGET, "demo", 7, 3, 9, 1) == []
        assert history.find(Kind.ESTIMATE, "demo", 7, 3, 9, 1) == []
        assert history.find(Kind.INPUT, "other", 7, 3, 9, 1) == []


def test_a_run_never_heard_of_may_come_or_is_gone_where_all_have_begun() -> None:
    history = History(60, LARGE)
    history.add(chunk(0), 0)
    assert history.find(Kind.INPUT, "demo", 8, 3, 9, 1) == []
    history = History(60, LARGE, all_begun=True)
    history.add(chunk(0), 0)
    assert history.find(Kind.INPUT, "demo", 8, 3, 9, 1) == [Gone(Kind.INPUT, "demo", 8, 3, 6)]


def test_what_is_older_than_it_may_be_is_gone() -> None:
    history = History(10, LARGE)
    for seq in range(30):
        history.add(chunk(seq), seq * SECOND_NS)
    assert told(history, 0, 30) == [(0, 20), *[codec.encode(chunk(seq)) for seq in range(20, 30)]]


def test_what_is_more_than_it_may_be_is_gone_the_oldest_first_whoevers_it_is() -> None:
    history = History(60, 10 * (MESSAGE_BYTES + 4))
    for seq in range(20):
        history.add(chunk(seq), 0)
        history.add(chunk(seq, stream="other"), 0)
    assert history.kept_bytes == 10 * (MESSAGE_BYTES + 4)
    assert told(history, 0, 20) == [(0, 15), *[codec.encode(chunk(seq)) for seq in range(15, 20)]]


@pytest.mark.parametrize("history", [History(0, LARGE), History(60, 0)])
def test_it_may_keep_nothing(history: History) -> None:
    assert not history.keeps
    history.add(chunk(0, 3), 0)
    assert told(history, 0, 9) == [(0, 3)]
    assert history.kept_bytes == 0


def test_a_message_larger_than_all_it_may_keep_is_gone() -> None:
    history = History(60, 1000)
    history.add(chunk(0, 1000), 0)
    history.add(chunk(1000), 0)
    assert told(history, 0, 1001) == [(0, 1000), codec.encode(chunk(1000))]


def test_old_runs_are_forgotten_with_all_that_is_kept_of_them() -> None:
    history = History(60, LARGE)
    for run in range(REMEMBERED_RUNS + 2):
        history.add(chunk(0, run=run), run)
    assert history.kept_bytes == REMEMBERED_RUNS * (MESSAGE_BYTES + 4)
    assert told(history, 0, 5, run=1) == [(0, 5)]
    assert told(history, 0, 1, run=2) == [codec.encode(chunk(0, run=2))]
    history.add(chunk(1, run=9), 60 * SECOND_NS + 5)  # by now the first six are too old
    assert told(history, 0, 1, run=5) == [(0, 1)]
    assert history.kept_bytes == 5 * (MESSAGE_BYTES + 4)


@given(
    told_of=st.lists(st.tuples(st.sampled_from([7, 8]), st.integers(0, 3), st.integers(1, 4)), max_size=30),
    retain=st.integers(0, 12), seq=st.integers(0, 40), samples=st.integers(1, 40), most=st.integers(1, 5),
)  # fmt: skip
def test_every_sample_said_is_found_or_gone_once(
    told_of: list[tuple[int, int, int]], retain: int, seq: int, samples: int, most: int
) -> None:
    """Against a model that keeps a list of everything."""
    history = History(60, retain * (MESSAGE_BYTES + 8))
    next_seq = {7: 0, 8: 0}
    model: list[Chunk] = []
    for run, skipped, length in told_of:
        one = chunk(next_seq[run] + skipped, length, run=run)
        next_seq[run] = one.end_seq
        history.add(one, 0)
        model.append(one)
        while sum(MESSAGE_BYTES + kept.values.nbytes for kept in model) > retain * (MESSAGE_BYTES + 8):
            model.pop(0)
    assert history.kept_bytes == sum(MESSAGE_BYTES + kept.values.nbytes for kept in model)
    if not any(run == 7 for run, _, _ in told_of):
        return
    found = told(history, seq, seq + samples, most=most)
    wanted = [kept for kept in model if kept.run == 7 and kept.seq < seq + samples and kept.end_seq > seq]
    assert [one for one in found if isinstance(one, list)] == [codec.encode(kept) for kept in wanted]
    gone = {lost for one in found if isinstance(one, tuple) for lost in range(*one)}
    there = {kept for one in wanted for kept in range(one.seq, one.end_seq)}
    assert gone == set(range(seq, min(seq + samples, next_seq[7]))) - there


def test_the_garbage_collector_has_nothing_to_look_at() -> None:
    history = History(60, LARGE)
    history.add(chunk(0), 0)
    gc.collect()
    before = len(gc.get_objects())
    for seq in range(1, 2001):
        history.add(chunk(seq), 0)
    gc.collect()
    assert len(gc.get_objects()) - before < 200


def test_runs_without_end_leave_nothing_behind_a_message_that_is_kept_for_long() -> None:
    history = History(60, LARGE)
    history.add(chunk(0, stream="other"), 0)

    def say(first: int, count: int) -> None:
        for run in range(first, first + count):
            for seq in range(2):
                history.add(chunk(seq, run=run), run)

    say(0, 100)
    tracemalloc.start()
    say(100, 2000)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000  # 3 MB where each run that was dropped stays until it would be too old


@pytest.mark.parametrize("seed", range(12))
def test_the_oldest_goes_first_whatever_runs_and_streams_are_dropped_meanwhile(seed: int) -> None:
    """Against a model that keeps a list of everything; places of dropped messages are taken out one by one."""
    random = Random(seed)
    retain = random.choice([3, 40, 200])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "SIFTED_AT_ONCE", 1)
        history = History(10, retain * (MESSAGE_BYTES + 4))
        model: list[tuple[int, Chunk]] = []
        runs: dict[str, list[int]] = {}
        next_seq: dict[tuple[str, int], int] = {}
        now = 0
        for _ in range(1500):
            name, number = random.choice("abc"), random.randint(1, random.choice([2, 14, 200]))
            deed = random.choices(["say", "forget", "later"], [50, 1, 1])[0]
            if deed == "later":
                now += random.randint(0, 6) * SECOND_NS
            elif deed == "forget":
                history.forget(Kind.INPUT, name)
                model = [one for one in model if one[1].stream != name]
                for run in runs.pop(name, []):
                    del next_seq[name, run]
            else:
                _say(history, model, runs, next_seq, (name, number), now)
                model = [one for one in model if one[0] > now - 10 * SECOND_NS][-retain:]
            history.add(chunk(now, run=0, stream="clock"), now)
            model.append((now, chunk(now, run=0, stream="clock")))
            model = [one for one in model if one[0] > now - 10 * SECOND_NS][-retain:]
            assert history.kept_bytes == len(model) * (MESSAGE_BYTES + 4)
        for name, its in runs.items():
            for run in its:
                kept = history.kept(Kind.INPUT, name, run, 0)
                assert [one.seq for one in kept] == [
                    said.seq for _, said in model if (said.stream, said.run) == (name, run)
                ]


def _say(
    history: History, model: list[tuple[int, Chunk]], runs: dict[str, list[int]],
    next_seq: dict[tuple[str, int], int], whose: tuple[str, int], now: int,
) -> None:  # fmt: skip
    name, run = whose
    its = runs.setdefault(name, [])
    if run not in its:
        its.append(run)
        if len(its) > REMEMBERED_RUNS:
            left = its.pop(0)
            del next_seq[name, left]
            model[:] = [one for one in model if (one[1].stream, one[1].run) != (name, left)]
    seq = next_seq.setdefault((name, run), 0)
    next_seq[name, run] = seq + 1
    one = chunk(seq, run=run, stream=name)
    history.add(one, now)
    model.append((now, one))
