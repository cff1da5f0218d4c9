"""Jumps of a source's times are found where they are, and what only jitters is none."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from predictor.daemon.time_jumps import Jump, TimeJumps
from tests.support.dose import examples

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000


def schedule(samples: int, rate_hz: float) -> np.ndarray:
    return START_NS + np.rint(np.arange(samples) * 1e9 / rate_hz).astype(np.int64)


def watch(
    times_ns: np.ndarray, rate_hz: float, *, chunk: int = 1, cuts: int = 0, ended: bool = True
) -> tuple[list[Jump], TimeJumps]:
    """What is found in these times of samples, sent in chunks, noted one by one or so many chunks together."""
    jumps = TimeJumps()
    jumps.begin(rate_hz)
    starts = times_ns[::chunk]
    if cuts:
        for first in range(0, len(starts), cuts):
            jumps.note_burst(first * chunk, chunk, starts[first : first + cuts])
    else:
        for number, time_ns in enumerate(starts.tolist()):
            jumps.note(number * chunk, chunk, time_ns)
    found = jumps.found(ended=ended)
    assert jumps.count == len(found)
    return found, jumps


@pytest.mark.parametrize("size_ms", [4, 52, 2000, 3_600_000, -52, -3_600_000])
@pytest.mark.parametrize("cuts", [0, 1, 7, 500])
def test_a_jump_is_found_where_it_is(size_ms: int, cuts: int) -> None:
    times_ns = schedule(3000, 250.0)
    times_ns[1000:] += size_ms * MS
    found, _ = watch(times_ns, 250.0, cuts=cuts, ended=False)
    assert [jump.seq for jump in found] == [1000]
    assert found[0].size_ns == pytest.approx(size_ms * MS, abs=1000)


@pytest.mark.parametrize("said_hz", [0.0, 250.0, 100.0, 1000.0])
def test_it_is_found_whatever_the_source_says_its_rate_is(said_hz: float) -> None:
    times_ns = schedule(3000, 250.0)
    times_ns[1000:] += 52 * MS
    found, _ = watch(times_ns, said_hz)
    assert [(jump.seq, round(jump.size_ns / MS)) for jump in found] == [(1000, 52)]


def test_in_chunks_it_is_the_chunk_before_which_something_is_missing() -> None:
    times_ns = schedule(200_000, 10_000.0)
    times_ns[50_500:] += 2 * MS
    found, _ = watch(times_ns, 10_000.0, chunk=1000)
    assert [(jump.seq, round(jump.size_ns / MS)) for jump in found] == [(51_000, 2)]


def test_several_are_counted_each() -> None:
    times_ns = schedule(10_000, 250.0)
    for seq in (1000, 2500, 4000, 9000):
        times_ns[seq:] += 52 * MS
    found, _ = watch(times_ns, 250.0, cuts=100)
    assert [jump.seq for jump in found] == [1000, 2500, 4000, 9000]


def test_one_just_before_the_end_is_said_when_the_run_has_ended() -> None:
    times_ns = schedule(1010, 250.0)
    times_ns[1000:] += 52 * MS
    assert watch(times_ns, 250.0, ended=False)[0] == []
    assert [jump.seq for jump in watch(times_ns, 250.0)[0]] == [1000]


def jittered(seed: int, kind: str, jitter_ms: float, rate_hz: float, samples: int) -> np.ndarray:
    """Times of a source without a hole whose stamps are late in one way or another."""
    random = np.random.default_rng(seed)
    times_ns, jitter_ns = schedule(samples, rate_hz), jitter_ms * MS
    match kind:
        case "uniform":
            late_ns = random.uniform(-jitter_ns, jitter_ns, samples)
        case "normal":
            late_ns = random.normal(0, jitter_ns, samples)
        case "rarely late":
            late_ns = np.where(random.random(samples) < 0.01, random.exponential(20 * jitter_ns, samples), 0)
        case "backlogs":  # what should have been sent during a stall is sent at its end
            due = times_ns.astype(np.float64)
            jitter_ns = min(jitter_ns, 20 * MS)
            for first in range(300, samples, 700):
                end_ns = due[first] + random.uniform(0, 20 * jitter_ns)
                due[first:] = np.maximum(due[first:], end_ns)
            return np.rint(due).astype(np.int64)
        case "ticks":  # of a coarse clock
            step_ns = max(1, round(8 * jitter_ns))
            return START_NS + (times_ns - START_NS) // step_ns * step_ns
        case _:
            late_ns = 0.05 * np.sin(np.arange(samples) / 5000) * 1e9  # a clock that is steered
    return times_ns + np.rint(late_ns).astype(np.int64)


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["uniform", "normal", "rarely late", "backlogs", "ticks", "steered"]),
    jitter_ms=st.sampled_from([0.001, 0.1, 1.0, 5.0, 20.0, 100.0]),
    rate_hz=st.sampled_from([1.0, 100.0, 250.0, 1000.0, 30_000.0]),
    chunk=st.sampled_from([1, 1, 8, 100]),
    cuts=st.sampled_from([0, 3, 500]),
    error=st.sampled_from([1.0, 1.0001, 1.01, 0.5]),
)
@examples(30, release=120)
@example(0, "ticks", 5.0, 1000.0, 1, 0, 1.0)
@example(0, "ticks", 100.0, 250.0, 1, 0, 1.0)
@example(0, "steered", 0.001, 250.0, 100, 0, 1.0)
@example(0, "rarely late", 5.0, 100.0, 1, 0, 1.0)
@example(21, "uniform", 5.0, 100.0, 8, 0, 1.0)
@example(0, "backlogs", 100.0, 250.0, 1, 3, 0.5)
def test_jitter_is_no_jump(
    seed: int, kind: str, jitter_ms: float, rate_hz: float, chunk: int, cuts: int, error: float
) -> None:
    times_ns = jittered(seed, kind, jitter_ms, rate_hz, 6000 * min(chunk, 4))
    assert watch(times_ns, rate_hz * error, chunk=chunk, cuts=cuts, ended=False)[0] == []


@pytest.mark.parametrize("kind", ["uniform", "normal", "rarely late", "ticks"])
def test_a_jump_far_beyond_the_jitter_is_found_among_it(kind: str) -> None:
    times_ns = jittered(3, kind, 1.0, 250.0, 6000)
    times_ns[3000:] += 300 * MS
    found, _ = watch(times_ns, 250.0, cuts=50)
    assert [jump.seq for jump in found] == [3000]
    assert found[0].size_ns == pytest.approx(300 * MS, abs=12 * MS)


@given(
    steps=st.lists(st.sampled_from([0, 1, 4, 4, 4, 4, 5, 60, -50, 10**7]), min_size=50, max_size=900),
    cuts=st.lists(st.integers(1, 300), min_size=1, max_size=40),
    seed=st.integers(0, 2**32 - 1),
)
@examples(30, release=120)
def test_together_or_one_by_one_is_the_same(steps: list[int], cuts: list[int], seed: int) -> None:
    jitter = np.random.default_rng(seed).integers(-1000, 1000, len(steps))
    times_ns = START_NS + np.cumsum(np.array(steps, np.int64) * MS + jitter)
    one, all_of_it = TimeJumps(), TimeJumps()
    one.begin(250.0)
    all_of_it.begin(250.0)
    first = 0
    while first < len(times_ns):
        count = cuts[first % len(cuts)]
        part = times_ns[first : first + count]
        all_of_it.note_burst(first, 1, part)
        for seq, time_ns in enumerate(part.tolist(), first):
            one.note(seq, 1, time_ns)
        first += count
    assert (one.seq, one.end_seq, one.time_ns) == (all_of_it.seq, all_of_it.end_seq, all_of_it.time_ns)
    assert [jump.seq for jump in one.found(ended=True)] == [jump.seq for jump in all_of_it.found(ended=True)]


def test_over_a_hole_in_seq_and_without_times_nothing_is_said() -> None:
    jumps = TimeJumps()
    jumps.begin(250.0)
    for seq in range(1000):
        jumps.note(seq, 1, START_NS + seq * 4 * MS)
    for seq in range(1500, 3000):  # told of as a gap; how long it took is not known
        jumps.note(seq, 1, START_NS + (seq + 300) * 4 * MS)
    for seq in range(3000, 4000):
        jumps.note(seq, 1, 0)
    jumps.note_burst(4000, 1, np.zeros(500, np.int64))
    for seq in range(4500, 6000):
        jumps.note(seq, 1, START_NS + seq * 4 * MS)
    assert jumps.found(ended=True) == []
