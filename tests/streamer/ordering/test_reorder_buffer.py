"""What is held beyond holes is shared fairly among streams: who needs little loses nothing to who needs much."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import Chunk, Kind
from streamer.ordering.events import Announcement, Part
from streamer.ordering.reorder_buffer import MESSAGE_BYTES, MemoryBudget
from streamer.ordering.retry import RetryPolicy
from streamer.ordering.sequencer import Sequencer
from tests.support.dose import examples

LIMIT_BYTES = 40 * MESSAGE_BYTES
KINDS = (Kind.INPUT, Kind.TARGET)


def chunk(seq: int, channels: int = 1, kind: Kind = Kind.INPUT, run: int = 1, tally: int = 0) -> Chunk:
    values = np.full((1, channels, 1), seq, np.float32)
    return Chunk(kind, "demo", run, seq, 1_000 * run + seq, 100.0, values, tally)


class Streams:
    """Several that share a budget: each has had sample 0 of both kinds, and misses what comes next."""

    def __init__(self, channels: list[int], limit_bytes: int = LIMIT_BYTES) -> None:
        self.budget = MemoryBudget(limit_bytes)
        retry_policy = RetryPolicy(hold_bytes=limit_bytes)
        self.all = [Sequencer(f"s{k}", KINDS, retry_policy, self.budget) for k in range(len(channels))]
        self.channels = channels
        self.next = [[2, 2] for _ in channels]
        self.heard: list[list[list[int]]] = [[[], []] for _ in channels]
        self.most = [0 for _ in channels]  # that each would hold if nothing of it were dropped
        for place in range(len(channels)):
            for kind in (0, 1):
                self.receive(place, 0, kind)

    def receive(self, place: int, seq: int, kind: int = 0, run: int = 1) -> None:
        message = replace(chunk(seq, self.channels[place], KINDS[kind], run), stream=f"s{place}")
        for event in self.all[place].receive(message, 0):
            if isinstance(event, Part):
                part = event.message
                assert isinstance(part, Chunk)
                self.heard[place][KINDS.index(part.kind)].append(part.seq)

    def go_on(self, place: int, kind: int) -> None:
        """Receive the next sample beyond the hole."""
        self.most[place] += MESSAGE_BYTES + 4 * self.channels[place] + 8
        self.receive(place, self.next[place][kind], kind)
        self.next[place][kind] += 1

    def lost(self, place: int) -> int:
        return self.all[place].counts.overflowed


steps = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(1, 30)), max_size=60)


@examples(80, release=400)
@given(st.lists(st.sampled_from([1, 1, 8, 500]), min_size=1, max_size=5), steps)
def test_who_stays_within_its_share_loses_nothing_whatever_the_others_do(
    channels: list[int], rounds: list[tuple[int, int, int]]
) -> None:
    streams = Streams(channels)
    for which, kind, count in rounds:
        place = which % len(channels)
        for _ in range(count):
            streams.go_on(place, kind)
            assert streams.budget.used_bytes <= LIMIT_BYTES
            for each, most in enumerate(streams.most):
                if most <= LIMIT_BYTES // len(channels):
                    assert streams.lost(each) == 0
    for place in range(len(channels)):  # the holes are filled, and everything that was dropped comes again
        for kind in (0, 1):
            for seq in range(1, streams.next[place][kind]):
                streams.receive(place, seq, kind)
            assert streams.heard[place][kind] == list(range(max(streams.next[place][kind], 2)))
    assert streams.budget.used_bytes == 0
    assert all(sequencer.due_ns() is None for sequencer in streams.all)


def test_one_streams_holes_cost_another_nothing() -> None:
    streams = Streams([1, 1])
    for _ in range(1_000):
        streams.go_on(0, 0)
    for _ in range(15):
        streams.go_on(1, 0)
    assert streams.lost(1) == 0
    assert streams.lost(0) > 900
    streams.receive(1, 1)
    assert streams.heard[1][0] == list(range(17))
    streams.receive(0, 1)
    assert streams.heard[0][0] == list(range(2 + 1_000 - streams.lost(0)))  # the newest were dropped
    (asked,) = streams.all[0].asks(10**9)
    assert (asked.seq, asked.samples) == (len(streams.heard[0][0]), streams.lost(0))


def test_who_has_too_much_alone_may_hold_it_all() -> None:
    streams = Streams([1, 1])
    for _ in range(38):
        streams.go_on(0, 0)
    assert streams.lost(0) == 0


def test_runs_that_wait_for_their_turn_take_no_more_than_a_share() -> None:
    streams = Streams([1, 1])
    streams.all[0].counts.refused = 0
    list(streams.all[0].hear(Announcement(1, (2, 2), 10**12, True, False), 0))  # the present run goes on
    for seq in range(100):
        streams.receive(0, seq, run=0)  # another, which claims to be older, waits
    assert streams.budget.used_bytes > LIMIT_BYTES // 2
    for _ in range(15):
        streams.go_on(1, 0)
    assert streams.lost(1) == 0
    assert streams.budget.used_bytes <= LIMIT_BYTES
