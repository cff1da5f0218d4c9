"""Bursts on the wire: the same messages, decoded and encoded all at once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import NO_GAP, Burst, Chunk, Incoming, Info, Kind, Rejected
from streamer.wire import batch, codec


def chunk(seq: int = 0, samples: int = 1, stream: str = "demo", **fields: object) -> Chunk:
    values = np.arange(seq, seq + samples, dtype=np.float32)[:, None, None]
    return replace(Chunk(Kind.INPUT, stream, 7, seq, 1000 + 3 * seq, 100.0, values), **fields)  # type: ignore[arg-type]


def plain(messages: list[Incoming]) -> list[object]:
    """Messages as values that compare, bursts taken apart."""
    told: list[object] = []
    for message in messages:
        if isinstance(message, Burst):
            told += plain(list(message.chunks()))
        elif isinstance(message, Chunk):
            told.append((*codec.encode(message), message.values.shape))
        else:
            told.append(message)
    return told


def both(said: list[list[bytes]]) -> list[Incoming]:
    """What `said` decodes to, which is the same all at once and one by one."""
    together = batch.decode(said)
    assert plain(together) == plain(batch.decode_each(said))
    return together


def test_neighbours_come_as_one_burst() -> None:
    (burst,) = both([codec.encode(chunk(seq, samples=2)) for seq in range(10, 30, 2)])
    assert isinstance(burst, Burst)
    assert (burst.chunk.seq, burst.chunk.time_ns) == (10, 1030)
    assert burst.chunk.values[:, 0, 0].tolist() == list(range(10, 30))
    assert burst.times_ns.tolist() == [1000 + 3 * seq for seq in range(10, 30, 2)]


@pytest.mark.parametrize(
    "odd",
    [
        chunk(7),
        chunk(3, samples=2),
        chunk(3, run=8),
        chunk(3, rate_hz=50.0),
        chunk(3, model_version=1),
        chunk(3, time_ns=2**63 - 1),
        chunk(3, tally=1),
        chunk(3, stream="other"),
        chunk(3, kind=Kind.TARGET),
        Info("demo", 7, 3, 0, 100.0, ("0",)),
    ],
    ids=["gap", "length", "run", "rate", "version", "time", "tally", "stream", "kind", "info"],
)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_what_does_not_follow_is_still_the_same_message(odd: Chunk, place: int) -> None:
    said = [codec.encode(chunk(seq)) for seq in range(3)] + [codec.encode(chunk(seq)) for seq in range(4, 7)]
    both([*said[:place], codec.encode(odd), *said[place:]])


@pytest.mark.parametrize("step", [0, 1, 7])
def test_a_tally_that_rises_evenly_stays_a_burst(step: int) -> None:
    (burst,) = both([codec.encode(chunk(seq, tally=5 + step * seq)) for seq in range(10)])
    assert isinstance(burst, Burst)
    assert burst.tallies() == [5 + step * seq for seq in range(10)]


@pytest.mark.parametrize("tallies", [[0, 1, 3, 3], [5, 4, 3, 2], [0, 0, 0, 1], [0, 3, 0, 3]])
def test_a_tally_that_does_not_is_still_the_same_messages(tallies: list[int]) -> None:
    assert len(both([codec.encode(chunk(seq, tally=tally)) for seq, tally in enumerate(tallies)])) == 4


@pytest.mark.parametrize("first", [0, 9, 2**64 - 30])
def test_estimates_since_a_gap_count_on(first: int) -> None:
    said = [chunk(2 * k, samples=2, kind=Kind.ESTIMATE, tally=first + 2 * k) for k in range(10)]
    (burst,) = both([codec.encode(one) for one in said])
    assert isinstance(burst, Burst)
    assert burst.tallies() == [one.tally for one in said]


def test_estimates_without_a_gap_stay_without() -> None:
    (burst,) = both([codec.encode(chunk(seq, kind=Kind.ESTIMATE, tally=NO_GAP)) for seq in range(10)])
    assert isinstance(burst, Burst)
    assert burst.tallies() == [NO_GAP] * 10


@pytest.mark.parametrize("tallies", [[NO_GAP, 0, 1], [3, 3, 3], [0, 1, NO_GAP], [NO_GAP - 1, NO_GAP, NO_GAP]])
def test_estimates_that_count_otherwise_are_still_the_same_messages(tallies: list[int]) -> None:
    said = [chunk(seq, kind=Kind.ESTIMATE, tally=tally) for seq, tally in enumerate(tallies)]
    assert len(both([codec.encode(one) for one in said])) == 3


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("wrong", [b"", b"input/demo", b"x" * 64])
def test_a_broken_neighbour_is_rejected_alone(part: int, wrong: bytes) -> None:
    said = [codec.encode(chunk(seq)) for seq in range(8)]
    said[4][part] = wrong
    messages = both(said)
    assert sum(isinstance(message, Rejected) for message in messages) == 1


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_a_message_with_too_few_or_too_many_parts_is_rejected(parts: int) -> None:
    said = [codec.encode(chunk(seq)) for seq in range(8)]
    said[2] = (said[2] + [b""])[:parts]
    assert any(isinstance(message, Rejected) for message in both(said))


def test_a_burst_stays_small_enough_for_others_to_have_their_turn() -> None:
    values = np.zeros((1, 3000, 1), np.float32)
    messages = both([codec.encode(chunk(seq, values=values)) for seq in range(7)])
    assert all(isinstance(message, Chunk) for message in messages)  # two would make no burst worth it
    values = np.zeros((1, 1000, 1), np.float32)
    messages = both([codec.encode(chunk(seq, values=values)) for seq in range(20)])
    assert max(m.chunk.values.size for m in messages if isinstance(m, Burst)) == 8000


def test_the_last_seq_there_is() -> None:
    last = 2**63 - 5
    both([codec.encode(replace(chunk(k), seq=last + k)) for k in range(5)])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6), st.integers(1, 2)), max_size=30))
def test_any_order_of_messages(told: list[tuple[str, int, int]]) -> None:
    both([codec.encode(chunk(seq, samples, stream)) for stream, seq, samples in told])


@given(
    count=st.integers(1, 20), samples=st.integers(1, 3), channels=st.integers(1, 3), seed=st.integers(0, 9),
    kind=st.sampled_from([Kind.INPUT, Kind.TARGET, Kind.ESTIMATE]), tally=st.sampled_from([0, 7, NO_GAP]),
    step=st.integers(0, 3),
)  # fmt: skip
def test_a_burst_is_said_as_its_chunks(
    count: int, samples: int, channels: int, seed: int, kind: Kind, tally: int, step: int
) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count * samples, channels, 2)).astype(np.float32)
    if kind is not Kind.ESTIMATE:
        tally %= NO_GAP
    whole = chunk(5, kind=kind, values=values, model_version=3, tally=tally)
    burst = Burst(whole, generator.integers(0, 2**62, count), step)
    assert [list(parts) for parts in batch.encode(burst)] == [codec.encode(one) for one in burst.chunks()]


def test_a_last_neighbour_that_a_full_burst_leaves_over_is_taken_too() -> None:
    most = batch.MAX_VALUES
    values = np.zeros((1, most // 4, 1), np.float32)
    said = [codec.encode(Chunk(Kind.INPUT, "demo", 1, seq, seq, 100.0, values, tally=seq)) for seq in range(5)]
    ends = [m.chunk.end_seq if isinstance(m, Burst) else m.end_seq for m in batch.decode(said)]  # type: ignore[union-attr]
    assert ends == [4, 5]
