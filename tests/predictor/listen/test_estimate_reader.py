"""The core of `sincos.listen`: every estimate once and in order, what is missing counted, and when it ends."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.listen.estimate_reader import EstimateReader
from streamer.clock import Instant
from streamer.effects import Say
from streamer.errors import UsageError
from streamer.messages import Chunk, Gone, Incoming, Kind, Rejected, Replay, Status
from streamer.ordering.retry import RetryPolicy

RUN = 7


def estimates(seq: int, count: int = 1, stream: str = "s", run: int = RUN) -> Chunk:
    values = np.arange(seq, seq + count, dtype=np.float32)[:, None, None].repeat(2, axis=2)
    return Chunk(Kind.ESTIMATE, stream, run, seq, seq, 100.0, values)


def status(next_seq: int, health: str = "LIVE", stream: str = "s", run: int = RUN) -> Status:
    return Status(stream, run, next_seq, 0, {"health": health, "replays": True})


def at(seconds: float) -> Instant:
    return Instant(round(seconds * 1e9), round(seconds * 1e9))


def reader(stream: str | None = "s", *, reliable: bool = True, follow: bool = False) -> EstimateReader:
    return EstimateReader(stream, RetryPolicy() if reliable else None, follow=follow)


def taken(core: EstimateReader) -> list[tuple[int, int, int]]:
    """First and past the last sample of what is ready, and what is missing before."""
    said = [(chunk.seq, chunk.end_seq, missing) for chunk, missing in core.ready]
    core.ready.clear()
    return said


def give(core: EstimateReader, messages: Iterable[Incoming], now: Instant) -> list[Say | Replay]:
    return list(core.receive(list(messages), now))


@given(
    lost=st.sets(st.integers(0, 39), max_size=20), gone=st.sets(st.integers(0, 39), max_size=10),
    order=st.randoms(use_true_random=False),
)  # fmt: skip
def test_whatever_is_lost_doubled_or_late_each_comes_once_and_in_order(
    lost: set[int], gone: set[int], order: object
) -> None:
    """`gone` cannot be had again; the publisher answers what it is asked for."""
    core, seconds = reader(), 0.0
    messages: list[Incoming] = [estimates(seq) for seq in range(40) if seq not in lost | gone]
    messages += messages[::5]
    for first in range(0, len(messages), 6):
        part = messages[first : first + 6]
        order.shuffle(part)  # type: ignore[attr-defined]
        messages[first : first + 6] = part
    pending = [*messages, status(40), status(40, "ENDED")]
    said: list[tuple[int, int, int]] = []
    for _ in range(400):
        batch, pending, seconds = pending[:5], pending[5:], seconds + 0.05
        for effect in give(core, batch or [status(40, "ENDED")], at(seconds)):
            if isinstance(effect, Replay):
                wanted = range(effect.seq, min(40, effect.seq + effect.samples))
                pending += [
                    Gone(Kind.ESTIMATE, "s", RUN, seq, 1) if seq in gone else estimates(seq) for seq in wanted
                ]
        said += taken(core)
        if core.ended:
            break
    assert core.ended
    place = 0
    for first, end, missing in said:
        assert (first, end) == (place + missing, first + 1)
        place = end
    have = {first for first, _, _ in said}
    assert have == set(range(40)) - gone
    assert core.missing == len(gone)


def test_what_is_missing_is_said_with_its_range() -> None:
    core = reader()
    give(core, [estimates(0, 5), estimates(9)], at(0))
    said = give(core, [Gone(Kind.ESTIMATE, "s", RUN, 5, 4)], at(0.1))
    assert [effect.text for effect in said if isinstance(effect, Say)] == [
        "stream s: no estimates of samples 5 to 8"
    ]
    assert taken(core) == [(0, 5, 0), (9, 10, 4)]


def test_unreliable_brings_what_comes_and_asks_for_nothing() -> None:
    core = reader(reliable=False)
    said = give(core, [estimates(3, 2), estimates(7), estimates(7), estimates(8)], at(0))
    assert not any(isinstance(effect, Replay) for effect in said)
    assert taken(core) == [(3, 5, 0), (7, 8, 2), (8, 9, 0)]
    assert core.next_ns() is None
    give(core, [status(9, "ENDED")], at(1))
    assert core.ended


def test_it_ends_once_all_that_was_estimated_has_come() -> None:
    core = reader()
    give(core, [status(3, "ENDED")], at(0))
    assert not core.ended
    give(core, [estimates(0, 2)], at(0.1))
    assert not core.ended
    give(core, [estimates(2)], at(0.2))
    assert core.ended
    assert taken(core) == [(0, 2, 0), (2, 3, 0)]


@pytest.mark.parametrize("stream", ["s", None])
def test_who_follows_goes_on_with_the_next_run(stream: str | None) -> None:
    core = reader(stream, follow=stream is not None)
    give(core, [estimates(0), status(1, "ENDED"), estimates(0, run=8), estimates(1, run=8)], at(0))
    for seconds in (1.0, 2.0, 3.0, 4.0, 5.0):
        give(core, [status(2, run=8)], at(seconds))
    assert not core.ended
    assert taken(core) == [(0, 1, 0), (0, 1, 0), (1, 2, 0)]


def test_other_streams_are_left_out() -> None:
    core = reader()
    give(core, [estimates(0, stream="s2"), status(1, "ENDED", stream="s2"), status(0, "ENDED", stream="")], at(0))
    assert (taken(core), core.ended) == ([], False)
    everything = reader(None)
    give(everything, [estimates(0, stream="a"), estimates(0, stream="b")], at(0))
    assert [chunk.stream for chunk, _ in everything.ready] == ["a", "b"]


def test_what_is_not_understood_is_said_once() -> None:
    said = give(reader(), [Rejected("short"), Rejected("short")], at(0))
    assert [effect.text for effect in said if isinstance(effect, Say)] == [
        "a malformed message was ignored: short"
    ]


def test_a_stream_has_a_name_of_the_protocol() -> None:
    with pytest.raises(UsageError, match="stream: must be 1 to 64 letters"):
        reader("/")
