"""Decisions as bytes: what was written whole is read again whatever happened to the rest, and nothing else is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.files.records import framed
from streamer.messages import Kind
from streamer.ordering.decisions import MOST, Decision, GapDecision, Memory, RunDecision, decode, encode

indices = st.integers(0, MOST)
gaps = st.builds(
    GapDecision, st.text(max_size=20), indices, st.sampled_from([Kind.INPUT, Kind.TARGET]),
    st.integers(0, 2**63), st.integers(1, 2**62), indices, st.booleans(), indices,
)  # fmt: skip
runs = st.builds(
    RunDecision, st.text(max_size=20), indices, st.none() | indices, st.tuples(indices, indices), indices
)
SOME: list[Decision] = [
    GapDecision("a", 1, Kind.INPUT, 5, 3),
    RunDecision("a", 2, 1, (8, 7), 8),
    GapDecision("b", 2**64 - 1, Kind.TARGET, 0, 2, 9, reset=True, published_to=11),
]


@given(st.lists(gaps | runs, max_size=5))
def test_what_is_written_is_read_again(decisions: list[Decision]) -> None:
    assert decode(b"".join(map(encode, decisions))) == (decisions, 0)


def test_cut_at_every_byte_what_was_whole_is_there() -> None:
    records = list(map(encode, SOME))
    data = b"".join(records)
    ends = [sum(map(len, records[: k + 1])) for k in range(len(records))]
    for length in range(len(data) + 1):
        whole = [end for end in ends if end <= length]
        assert decode(data[:length]) == (SOME[: len(whole)], length - max(whole, default=0))


@pytest.mark.parametrize("bit", range(8))
def test_flipped_at_every_byte_only_the_record_that_was_hit_is_lost(bit: int) -> None:
    records = list(map(encode, SOME))
    data = b"".join(records)
    place = 0
    for hit, record in enumerate(records):
        for at in range(place, place + len(record)):
            flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            assert decode(flipped) == ([one for k, one in enumerate(SOME) if k != hit], len(record))
        place += len(record)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_harm(noise: bytes) -> None:
    found, damaged = decode(noise + encode(SOME[0]) + noise)
    assert found == [SOME[0]]
    assert damaged == 2 * len(noise)


GAP = {"gap": "input", "stream": "a", "run": 1, "seq": 0, "samples": 1, "other": 0, "reset": False, "published": 0}
BEGIN = {"begin": 1, "stream": "a", "left": None, "place": [0, 0], "published": 0}


@pytest.mark.parametrize(
    "content",
    [
        [], 5, {}, GAP | {"seq": -1}, GAP | {"samples": 0}, GAP | {"samples": 2**64 - 1, "seq": 1},
        GAP | {"gap": "sum"}, GAP | {"gap": []}, GAP | {"stream": 1}, GAP | {"run": True}, GAP | {"other": 2**64},
        BEGIN | {"left": -1}, BEGIN | {"place": [0]}, BEGIN | {"place": 7}, BEGIN | {"begin": 1.5},
    ],
)  # fmt: skip
def test_a_whole_record_of_something_else_is_none(content: object) -> None:
    assert decode(framed(json.dumps(content).encode()))[0] == []


@pytest.mark.parametrize("body", [b"nonsense", b"[" * 500])
def test_a_whole_record_that_is_no_json_is_none(body: bytes) -> None:
    assert decode(framed(body))[0] == []


def test_what_is_known_of_a_stream() -> None:
    later = GapDecision("a", 1, Kind.INPUT, 9, 1)
    earlier = GapDecision("a", 1, Kind.INPUT, 2, 1, published_to=9)
    memory = Memory([later, earlier, *SOME[1:]], lambda stream, run: 40 if (stream, run) == ("a", 2) else 0)
    former = memory.take("a")
    assert former.gaps == {1: [earlier, later]}
    assert former.runs == {2: SOME[1]}
    assert [former.published_to(run) for run in (1, 2, 3)] == [8, 40, 0]
    assert memory.take("unheard of").gaps == {}
