"""Answering requests: all of what is wanted, in order, in slices, however much anybody asks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.effects import Reply
from streamer.messages import Burst, Chunk, Gone, Kind, Replay, Request
from streamer.replay.history import History
from streamer.replay.server import (
    ANSWER_BYTES,
    ANSWER_MESSAGES,
    MAX_PEERS,
    MAX_RANGES,
    MAX_REQUESTS,
    MESSAGE_BYTES,
    SLICE_MESSAGES,
    ReplayServer,
)
from streamer.wire import codec


def chunk(seq: int, samples: int = 1, stream: str = "demo", kind: Kind = Kind.INPUT) -> Chunk:
    return Chunk(kind, stream, 7, seq, seq, 100.0, np.full((samples, 1, 1), seq, np.float32), 0, seq)


def serving(*messages: Chunk | Burst) -> ReplayServer:
    history = History(60, 2**30)
    for message in messages:
        history.add(message, 0)
    return ReplayServer(history)


def request(seq: int, samples: int, peer: bytes = b"me", stream: str = "demo", run: int = 7) -> Request:
    return Request(peer, Replay(Kind.INPUT, stream, run, seq, samples))


def replies(server: ReplayServer) -> list[Reply]:
    """All there is to say, slice by slice."""
    said: list[Reply] = []
    while (some := server.work()) is not None:
        count = sum(len(one.message.times_ns) if isinstance(one.message, Burst) else 1 for one in some)
        assert count <= SLICE_MESSAGES
        said += some
    return said


def bytes_of(said: list[Reply], peer: bytes = b"me") -> list[object]:
    told: list[object] = []
    for reply in said:
        if reply.peer != peer:
            continue
        if isinstance(reply.message, Burst):
            told += [codec.encode(one) for one in reply.message.chunks()]
        else:
            told.append(codec.encode(reply.message))
    return told


def test_nobody_asks_and_nothing_is_done() -> None:
    assert serving(chunk(0)).work() is None


def test_a_request_is_answered_with_what_was_said() -> None:
    server = serving(*map(chunk, range(500)))
    server.take(request(100, 300))
    assert bytes_of(replies(server)) == [codec.encode(chunk(seq)) for seq in range(100, 400)]
    assert server.work() is None


def test_what_is_gone_is_said_and_what_is_not_said_yet_is_not() -> None:
    server = serving(chunk(5), chunk(9))
    server.take(request(0, 100))
    lost = [Gone(Kind.INPUT, "demo", 7, 0, 5), Gone(Kind.INPUT, "demo", 7, 6, 3)]
    said = [lost[0], chunk(5), lost[1], chunk(9)]
    assert bytes_of(replies(server)) == [codec.encode(one) for one in said]  # type: ignore[arg-type]
    server.take(request(10, 1))
    server.take(request(0, 1, stream="other"))
    assert replies(server) == []


def test_a_burst_is_answered_in_parts() -> None:
    whole = Burst(
        Chunk(Kind.INPUT, "demo", 7, 0, 0, 100.0, np.arange(100, dtype=np.float32).reshape(100, 1, 1)),
        np.arange(100),
    )
    server = serving(whole)
    server.take(request(10, 80))
    assert bytes_of(replies(server)) == [codec.encode(one) for one in whole.chunks()][10:90]


def test_one_answer_has_its_limit_in_messages() -> None:
    server = serving(*map(chunk, range(ANSWER_MESSAGES + 10)))
    server.take(request(0, 10**6))
    said = replies(server)
    assert len(said) == ANSWER_MESSAGES
    server.take(request(ANSWER_MESSAGES, 10**6))
    assert len(replies(server)) == 10


def test_and_in_bytes_but_is_never_empty() -> None:
    samples = 300_000
    server = serving(*(chunk(samples * number, samples) for number in range(9)))
    server.take(request(0, 10**9))
    assert len(replies(server)) == -(-ANSWER_BYTES // (4 * samples + MESSAGE_BYTES))
    server = serving(chunk(0, ANSWER_BYTES))
    server.take(request(0, 1))
    assert len(replies(server)) == 1


def test_peers_take_turns() -> None:
    server = serving(*map(chunk, range(1000)))
    server.take(request(0, 1000, b"greedy"))
    server.take(request(994, 6, b"modest"))
    server.work()
    assert bytes_of(server.work() or [], b"modest") == [codec.encode(chunk(seq)) for seq in range(994, 1000)]
    assert bytes_of(replies(server), b"greedy")[-1] == codec.encode(chunk(999))


def test_who_was_not_served_lately_comes_before_those_who_always_ask() -> None:
    """70 who ask 20 times a second for everything took all places; a reader got none of 400."""
    server = serving(*map(chunk, range(1000)))
    greedy = [b"greedy %d" % number for number in range(70)]
    for _ in range(3):  # they have been at it for a while
        for peer in greedy:
            server.take(request(0, 1000, peer))
        for _ in range(70 * 40):
            server.work()
    for peer in greedy:
        server.take(request(0, 1000, peer))
    server.take(request(600, 400, b"modest"))
    said: list[Reply] = []
    for _ in range(-(-400 // SLICE_MESSAGES)):
        said += server.work() or []
    assert bytes_of(said, b"modest") == [codec.encode(chunk(seq)) for seq in range(600, 1000)]


@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=30))
def test_those_who_always_ask_get_equal_shares(first: list[bytes]) -> None:
    server = serving(*map(chunk, range(1000)))
    for peer in first:
        server.take(request(0, 1000, peer))
    for _ in range(400):  # whatever went before
        for peer in (b"a", b"b", b"c"):
            server.take(request(0, 1000, peer))
        server.work()
    served = {b"a": 0, b"b": 0, b"c": 0}
    for _ in range(300):
        for peer in served:
            server.take(request(0, 1000, peer))
        for peer in {reply.peer for reply in server.work() or []}:
            served[peer] += 1
    assert all(abs(slices - 100) <= 2 for slices in served.values()), served


def test_what_waits_in_all_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.replay.server.MAX_IN_ALL", 10)
    server = serving(chunk(0))
    for number in range(12):
        server.take(request(0, 1, b"%d" % (number % 3), stream=f"s{number}"))
    assert server.refused == 2
    replies(server)
    server.take(request(0, 1, b"late"))
    assert bytes_of(replies(server), b"late") == [codec.encode(chunk(0))]


def test_a_new_request_for_the_same_replaces_the_last_and_others_stand() -> None:
    server = serving(*map(chunk, range(1000)), chunk(0, stream="other"))
    server.take(request(0, 1000))
    server.take(request(0, 1, stream="other"))
    server.take(request(500, 2))
    server.take(request(10, 1))
    wanted = [chunk(0, stream="other"), chunk(500), chunk(501), chunk(10)]
    assert bytes_of(replies(server)) == [codec.encode(one) for one in wanted]


def test_many_holes_of_a_stream_are_asked_for_at_once() -> None:
    server = serving(*map(chunk, range(1000)))
    for number in range(MAX_RANGES + 2):
        server.take(request(10 * number, 2))
    assert server.refused == 2
    wanted = [chunk(10 * number + k) for number in range(MAX_RANGES) for k in range(2)]
    assert bytes_of(replies(server)) == [codec.encode(one) for one in wanted]


def test_requests_of_a_peer_and_peers_are_limited_until_some_are_done() -> None:
    server = serving(chunk(0))
    for number in range(MAX_REQUESTS + 5):
        server.take(request(0, 1, stream=f"s{number}"))
    assert server.refused == 5
    for number in range(1, MAX_PEERS + 3):
        server.take(request(0, 1, b"%d" % number))
    assert server.refused == 8
    replies(server)
    server.take(request(0, 1, b"late"))
    assert bytes_of(replies(server), b"late") == [codec.encode(chunk(0))]
    assert server.refused == 8


@pytest.mark.parametrize("stream", ["demo", "other"])
def test_a_storm_of_requests_costs_a_slice_each_time(stream: str) -> None:
    server = serving(*map(chunk, range(1000)))
    for _ in range(100):
        for number in range(200):
            server.take(request(number, 2**32 - 1, b"%d" % number, stream=stream))
        assert len(server.work() or []) <= SLICE_MESSAGES


@given(
    kept=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.booleans()), max_size=12),
    asked=st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b"]), st.sampled_from(["demo", "other"]), st.sampled_from([7, 8]),
            st.integers(0, 60) | st.integers(0, 2**63 - 2**32), st.integers(1, 60) | st.integers(1, 2**32 - 1),
        ),
        max_size=8,
    ),
    all_begun=st.booleans(),
)  # fmt: skip
def test_whatever_is_asked_the_answers_are_what_was_wanted_and_come_to_an_end(
    kept: list[tuple[int, int, bool]], asked: list[tuple[bytes, str, int, int, int]], all_begun: bool
) -> None:
    history, end = History(60, 2**30, all_begun=all_begun), 0
    for skipped, samples, as_burst in kept:
        one = chunk(end + skipped, samples)
        end = one.end_seq
        history.add(Burst(one, np.full(samples, one.time_ns), 1) if as_burst else one, 0)
    server = ReplayServer(history)
    wanted: dict[tuple[bytes, str], list[tuple[int, int, int]]] = {}
    for peer, stream, run, seq, samples in asked:
        server.take(request(seq, samples, peer, stream, run))
        ranges = wanted.setdefault((peer, stream), [])
        end_seq = seq + samples
        ranges[:] = [one for one in ranges if one[0] != run or one[2] <= seq or end_seq <= one[1]]
        ranges.append((run, seq, end_seq))
    for answers in wanted.values():  # those of which there is something to say
        answers[:] = [one for one in answers if reach(one, kept, end, all_begun) > one[1]]
    said_of: dict[tuple[bytes, str], list[Chunk | Gone]] = {}
    for reply in replies(server):
        said = reply.message.chunk if isinstance(reply.message, Burst) else reply.message
        assert isinstance(said, Chunk | Gone)
        said_of.setdefault((reply.peer, said.stream), []).append(said)
    for (peer, stream), ranges in wanted.items():
        heard = iter(said_of.pop((peer, stream), []))
        for run, first, last in ranges if stream == "demo" else ():
            at = first
            while at < reach((run, first, last), kept, end, all_begun):
                one_said = next(heard)
                after = one_said.seq + one_said.samples if isinstance(one_said, Gone) else one_said.end_seq
                assert one_said.run == run
                assert one_said.seq <= at < after, "in order, and nothing is left out"
                assert one_said.seq < last
                at = after
        assert next(heard, None) is None
    assert not said_of


def reach(wanted: tuple[int, int, int], kept: list[tuple[int, int, bool]], end: int, all_begun: bool) -> int:
    """How far a request about the stream `demo` is answered."""
    run, first, last = wanted
    known = bool(kept) and (run == 7 or all_begun)
    return first if not known else max(first, min(last, end)) if run == 7 else last
