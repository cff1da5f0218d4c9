"""An input is recognised by its bytes where the decoder would find the next one, and answered as encoded."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.daemon.sanitize import LARGEST
from streamer.errors import WireError
from streamer.messages import NO_GAP, Chunk, Kind
from streamer.wire import codec
from streamer.wire.expected import ExpectedMessage, decode

RUN, SEQ, RATE_HZ, MAX_TALLY = 2**63 + 5, 2**40 + 7, 100.0, 12
ESTIMATE = np.array([[[0.25, -3.0]]], np.float32)


def succession(seq: int = SEQ, tally: int = 3) -> ExpectedMessage:
    return ExpectedMessage("demo", RUN, seq, RATE_HZ, MAX_TALLY, 2, 9, tally)


def next_input(**other: object) -> Chunk:
    values = np.full((1, 1, 1), 0.5, np.float32)
    return replace(Chunk(Kind.INPUT, "demo", RUN, SEQ, 10**18, RATE_HZ, values, 4, MAX_TALLY), **other)


def test_the_next_input_gets_the_answer_that_would_be_encoded() -> None:
    parts = codec.encode(next_input())
    assert succession().expects(parts)
    said = Chunk(Kind.ESTIMATE, "demo", RUN, SEQ, 10**18, RATE_HZ, ESTIMATE, 9, 3)
    assert list(succession().answer(parts[1], ESTIMATE.tobytes())) == codec.encode(said)


@pytest.mark.parametrize(
    "other",
    [
        {"run": RUN - 1},
        {"seq": SEQ + 1},
        {"seq": SEQ - 1},
        {"rate_hz": 50.0},
        {"tally": MAX_TALLY + 1},
        {"kind": Kind.TARGET},
        {"kind": Kind.ESTIMATE},
        {"time_ns": 2**62},
        {"values": np.zeros((2, 1, 1), np.float32)},
        {"values": np.zeros((1, 2, 1), np.float32)},
        *(
            {"values": np.full((1, 1, 1), value, np.float32)}
            for value in (np.nan, -np.nan, np.inf, -np.inf, 2.0**99)
        ),
    ],
)
def test_any_other_message_needs_a_closer_look(other: dict[str, object]) -> None:
    assert not succession().expects(codec.encode(next_input(**other)))


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-45, -1.5, 6.3e29, -6.3e29])
def test_any_usual_value_is_expected(value: float) -> None:
    assert succession().expects(codec.encode(next_input(values=np.full((1, 1, 1), value, np.float32))))


def test_every_value_that_is_expected_can_be_stepped_over() -> None:
    assert LARGEST >= 2.0**99


def test_where_no_tally_is_too_high_every_one_is_expected() -> None:
    any_tally = ExpectedMessage("demo", RUN, SEQ, RATE_HZ, 2**64, 2, 9, 3)
    assert any_tally.expects(codec.encode(next_input(tally=2**64 - 1)))


@pytest.mark.parametrize(("tally", "then"), [(3, 4), (0, 1), (NO_GAP, NO_GAP)])
def test_it_goes_on_from_sample_to_sample(tally: int, then: int) -> None:
    going = succession(tally=tally)
    assert going.advance()
    assert not going.expects(codec.encode(next_input()))
    parts = codec.encode(next_input(seq=SEQ + 1))
    assert going.expects(parts)
    said = codec.decode(going.answer(parts[1], ESTIMATE.tobytes()))
    assert isinstance(said, Chunk)
    assert (said.seq, said.tally) == (SEQ + 1, then)


def test_it_ends_with_the_last_number_a_sample_can_have() -> None:
    last = succession(seq=codec.MAX_SEQ - 1)
    assert last.expects(codec.encode(next_input(seq=codec.MAX_SEQ - 1)))
    assert not last.advance()


@given(st.data())
def test_whatever_is_changed_it_answers_nothing_that_is_not_sound_and_next(data: st.DataObject) -> None:
    parts = [bytearray(part) for part in codec.encode(next_input())]
    for _ in range(data.draw(st.integers(1, 3))):
        part = parts[data.draw(st.integers(1, 2))]
        place = data.draw(st.integers(0, len(part)))
        match data.draw(st.sampled_from(["flip", "cut", "grow"])):
            case "flip" if place < len(part):
                part[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del part[place:]
            case "grow":
                part += bytes(place)
    said = [bytes(part) for part in parts]
    expected = succession().expects(said)
    try:
        chunk = codec.decode(said)
    except WireError:
        assert not expected
        return
    assert isinstance(chunk, Chunk)
    fits = (
        (chunk.kind, chunk.run, chunk.seq, chunk.rate_hz, chunk.values.shape)
        == (Kind.INPUT, RUN, SEQ, RATE_HZ, (1, 1, 1))
        and chunk.tally <= MAX_TALLY
        and chunk.time_ns < 2**62
        and abs(chunk.values.item()) < 2.0**99
    )  # fmt: skip
    assert expected == fits


@pytest.mark.parametrize("count", [1, 2, 5])
def test_messages_that_were_expected_are_decoded_as_one(count: int) -> None:
    inputs = [
        next_input(seq=SEQ + k, time_ns=10**18 + k * k, values=np.full((1, 1, 1), k, np.float32))
        for k in range(count)
    ]
    topics, headers, payloads = zip(*map(codec.encode, inputs), strict=True)
    told = decode(topics[0], headers, payloads)
    singles = [told] if isinstance(told, Chunk) else list(told.chunks())
    assert isinstance(told, Chunk) == (count == 1)
    assert [codec.encode(one) for one in singles] == [codec.encode(one) for one in inputs]
