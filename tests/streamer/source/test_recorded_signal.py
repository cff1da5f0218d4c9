"""A recording as a source's signal: every sample that is there, once, and its gaps."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.clock import Instant
from streamer.effects import Effect, Finish, Reply, Say, Send
from streamer.errors import UsageError
from streamer.messages import Chunk, Gone, Info, Kind, Replay, Request, Subscription
from streamer.recordings.recording import Recording
from streamer.source.publisher import Publisher, SourceConfig
from streamer.source.recorded_signal import RecordedSignal
from tests.support.dose import examples

RATE_HZ = 100.0


def recording(starts: tuple[tuple[int, int], ...] = ((0, 0),), rows: int = 50) -> Recording:
    raw = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    return Recording(Path("in.npy"), raw, np.asarray, RATE_HZ, ("left", "right"), starts)


def signal(
    starts: tuple[tuple[int, int], ...] = ((0, 0),), *, rows: int = 50, loops: bool = False
) -> RecordedSignal:
    return RecordedSignal(recording(starts, rows), RATE_HZ, loops=loops)


def played(source: Publisher) -> list[tuple[float, Effect]]:
    """All effects until it finishes, each with the moment in seconds."""
    effects: list[tuple[float, Effect]] = []
    now_ns = 0
    while True:
        new = list(source.tick(Instant(now_ns, now_ns)))
        effects += [(now_ns / 1e9, effect) for effect in new]
        if Finish() in new:
            return effects + [(now_ns / 1e9, effect) for effect in source.stop(Instant(now_ns, now_ns))]
        deadline_ns = source.next_deadline_ns()
        assert deadline_ns is not None
        now_ns = max(now_ns, deadline_ns)


def config(**options: object) -> SourceConfig:
    return SourceConfig(targets=False, **options)  # type: ignore[arg-type]


def chunks(effects: list[tuple[float, Effect]]) -> list[tuple[float, Chunk]]:
    sent = [(at, effect.message) for at, effect in effects if isinstance(effect, Send)]
    return [(at, message) for at, message in sent if isinstance(message, Chunk)]


def test_it_is_published_at_its_own_rate_with_the_names_of_its_channels() -> None:
    effects = played(Publisher(config(), signal(), 1))
    said = chunks(effects)
    assert [chunk.seq for _, chunk in said] == list(range(50))
    assert [at for at, _ in said] == [n / RATE_HZ for n in range(50)]
    np.testing.assert_array_equal(np.concatenate([c.values for _, c in said])[..., 0], recording().raw)
    infos = [e.message for _, e in effects if isinstance(e, Send) and isinstance(e.message, Info)]
    assert {info.channels for info in infos} == {("left", "right")}
    assert {info.target_fields for info in infos} == {()}
    assert infos[-1].ended


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_missing_samples_are_never_said_take_their_time_and_are_gone_for_who_asks(chunk: int) -> None:
    source = Publisher(config(chunk=chunk, linger_s=60.0), signal(((0, 0), (20, 30), (25, 36))), 1)
    begun = [(0.0, effect) for effect in source.receive([Subscription(b"input/", True)], Instant(0, 0))]
    said = chunks(begun + played_until(source, 10))
    assert [n for _, c in said for n in range(c.seq, c.end_seq)] == [*range(20), *range(30, 35), *range(36, 61)]
    values = np.concatenate([c.values for _, c in said])[..., 0]
    np.testing.assert_array_equal(values, recording().raw)
    assert all(at == pytest.approx((c.end_seq - 1) / RATE_HZ) for at, c in said)
    assert all(c.time_ns == round(c.seq / RATE_HZ * 1e9) for _, c in said)
    now = Instant(10_000_000_000, 10_000_000_000)
    effects = list(source.receive([Request(b"me", Replay(Kind.INPUT, "demo", 1, 0, 61))], now))
    while (more := source.work()) is not None:
        effects += more
    replies = [e.message for e in effects if isinstance(e, Reply)]
    gone = [(m.seq, m.samples) for m in replies if isinstance(m, Gone)]
    assert gone == [(20, 10), (35, 1)]
    assert [m.seq for m in replies if isinstance(m, Chunk)] == [c.seq for _, c in said]


def played_until(source: Publisher, end_s: float) -> list[tuple[float, Effect]]:
    effects: list[tuple[float, Effect]] = []
    now_ns = 0
    while now_ns <= end_s * 1e9:
        effects += [(now_ns / 1e9, effect) for effect in source.tick(Instant(now_ns, now_ns))]
        deadline_ns = source.next_deadline_ns()
        assert deadline_ns is not None
        now_ns = max(now_ns + 1, deadline_ns)
    return effects


def test_the_summary_says_how_many_are_missing() -> None:
    effects = played(Publisher(config(), signal(((0, 0), (20, 30))), 1))
    (line,) = [effect.text for _, effect in effects if isinstance(effect, Say)]
    assert "published 50 samples of run" in line
    assert ", 10 are missing in it" in line


@pytest.mark.parametrize("count", [0, 1, 20, 25, 30, 31, 60, 99])
def test_a_count_ends_it_within_a_gap_too(count: int) -> None:
    effects = played(Publisher(config(count=count, chunk=4), signal(((0, 0), (20, 30))), 1))
    expected = [n for n in [*range(20), *range(30, 60)] if n < count]
    assert [n for _, c in chunks(effects) for n in range(c.seq, c.end_seq)] == expected


def test_a_loop_goes_on_counting() -> None:
    source = Publisher(config(count=150, chunk=3), signal(((0, 0), (20, 30)), loops=True), 1)
    said = [c for _, c in chunks(played(source))]
    expected = [n for n in range(150) if not 20 <= n % 60 < 30]
    assert [n for c in said for n in range(c.seq, c.end_seq)] == expected
    rows = [n % 60 - 10 * (n % 60 >= 30) for n in expected]
    np.testing.assert_array_equal(np.concatenate([c.values for c in said])[..., 0], recording().raw[rows])


@examples(25, release=200)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6),
    chunk=st.integers(1, 8),
    loops=st.booleans(),
)
def test_whatever_the_gaps_each_sample_is_said_once_and_no_other(
    sizes: list[tuple[int, int]], chunk: int, loops: bool
) -> None:
    starts, row, seq = [(0, 0)], 0, 0
    present: list[int] = []
    for rows, missing in sizes:
        present += range(seq, seq + rows)
        row, seq = row + rows, seq + rows + missing
        starts.append((row, seq))
    present.append(seq)
    period = seq + 1
    one = signal(tuple(starts), rows=row + 1, loops=loops)
    said = [c for _, c in chunks(played(Publisher(config(count=3 * period, chunk=chunk), one, 1)))]
    expected = [n + period * turn for turn in range(3 if loops else 1) for n in present]
    assert [n for c in said for n in range(c.seq, c.end_seq)] == expected
    assert all(first.end_seq <= second.seq for first, second in pairwise(said))


def test_a_rate_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="got 0"):
        RecordedSignal(recording(), 0.0)
