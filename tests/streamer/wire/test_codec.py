"""The wire: golden bytes, round trips, and nothing but a message or a WireError out of any bytes."""

import json
import math
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import WireError
from streamer.messages import FIELDS, NO_GAP, PUBLISHED, Chunk, Gone, Info, Kind, Message, Replay, Status
from streamer.wire import codec
from tests.support.dose import examples

RUN = 0x00C0FFEE00C0FFEE
TIME_NS = 1_754_000_000_000_000_000
REST = "eeffc000eeffc0000300000000000000000009f8b47557180000000000005940"

INPUT_HEADER = f"534e4353 02 01 0100 02000000 01000000 {REST} 0000000000000000 0300000000000000"
TARGET_HEADER = f"534e4353 02 02 0200 02000000 01000000 {REST} 0000000000000000 0500000000000000"
ESTIMATE_HEADER = f"534e4353 02 03 0200 02000000 01000000 {REST} 0700000000000000 ffffffffffffffff"
INFO_HEADER = (
    "534e4353 02 04 0000 00000000 00000000 eeffc000eeffc000 0500000000000000 000009f8b4755718"
    "0000000000005940 0000000000000000 0000000000000000"
)
STATUS_HEADER = (
    "534e4353 02 05 0000 00000000 00000000 0000000000000000 0000000000000000 000009f8b4755718"
    "0000000000000000 0000000000000000 0000000000000000"
)
REPLAY_HEADER = (
    "534e4353 02 06 0300 02000000 00000000 eeffc000eeffc000 0300000000000000 0000000000000000"
    "0000000000000000 0000000000000000 0000000000000000"
)
GONE_HEADER = REPLAY_HEADER.replace("534e4353 02 06", "534e4353 02 07")
INFO_BODY = {
    "stream": "demo", "run": "00c0ffee00c0ffee", "rate_hz": 100.0, "channels": ["0"],
    "target_fields": ["cos", "sin"], "target_delay_samples": 0, "next_seq": 5, "next_target_seq": 4,
    "ended": False, "lateness_p99_s": None, "replays": True,
}  # fmt: skip


def chunk(kind: Kind = Kind.INPUT, *, fields: int = 1, model_version: int = 0, tally: int = 0) -> Chunk:
    values = np.array([[[1.0, 0.0]], [[0.5, 0.5]]], np.float32)[:, :, :fields]
    return Chunk(kind, "demo", RUN, 3, TIME_NS, 100.0, values, model_version, tally)


INFO = Info("demo", RUN, 5, TIME_NS, 100.0, ("0",), FIELDS, next_target_seq=4, replays=True)
STATUS = Status("", 0, 0, TIME_NS, {"model": "default", "learning": False})

GOLDEN = [
    (chunk(tally=3), b"input/demo/", INPUT_HEADER, bytes.fromhex("0000803f 0000003f")),
    (chunk(Kind.TARGET, fields=2, tally=5), b"target/demo/", TARGET_HEADER,
     bytes.fromhex("0000803f 00000000 0000003f 0000003f")),
    (chunk(Kind.ESTIMATE, fields=2, model_version=7, tally=NO_GAP), b"estimate/demo/", ESTIMATE_HEADER,
     bytes.fromhex("0000803f 00000000 0000003f 0000003f")),
    (INFO, b"info/demo/", INFO_HEADER, json.dumps(INFO_BODY).encode()),
    (STATUS, b"status//", STATUS_HEADER, b'{"model": "default", "learning": false}'),
]  # fmt: skip
KINDS = [kind.word for kind in PUBLISHED]
WANTED = (Kind.ESTIMATE, "demo", RUN, 3, 2)


def same(left: Message, right: Message) -> bool:
    if isinstance(left, Chunk) and isinstance(right, Chunk):
        fields = ("kind", "stream", "run", "seq", "time_ns", "rate_hz", "model_version", "tally")
        return (
            all(getattr(left, name) == getattr(right, name) for name in fields)
            and left.values.shape == right.values.shape
            and left.values.tobytes() == right.values.tobytes()
        )
    return left == right


@pytest.mark.parametrize(("message", "topic", "header", "payload"), GOLDEN, ids=KINDS)
def test_golden_bytes(message: Message, topic: bytes, header: str, payload: bytes) -> None:
    parts = [topic, bytes.fromhex(header), payload]
    assert codec.encode(message) == parts
    assert same(codec.decode(parts), message)


def test_golden_bytes_of_a_request_and_its_refusal() -> None:
    request = [b"replay/demo/", bytes.fromhex(REPLAY_HEADER), b""]
    assert codec.encode(Replay(*WANTED)) == request
    assert codec.decode_request(request) == Replay(*WANTED)
    refusal = [b"gone/demo/", bytes.fromhex(GONE_HEADER), b""]
    assert codec.encode(Gone(*WANTED)) == refusal
    assert codec.decode_answer(refusal) == Gone(*WANTED)


STREAMS = st.from_regex(codec.STREAM_NAME, fullmatch=True)
U64 = st.integers(0, 2**64 - 1)
LABELS = st.lists(st.text(max_size=8).filter(str.isprintable), min_size=1, max_size=4).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64) + 1, 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8).filter(str.isprintable),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4).filter(str.isprintable), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
TIMES_NS = st.integers(0, 2**62)
RATES = st.just(0.0) | st.floats(1.0, 1e9)


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    kind = draw(st.sampled_from([Kind.INPUT, Kind.TARGET, Kind.ESTIMATE]))
    shape = (
        draw(st.integers(1, 5)),
        draw(st.integers(1, 4)),
        1 if kind is Kind.INPUT else draw(st.integers(1, codec.MAX_FIELDS)),
    )
    bits = draw(st.binary(min_size=4 * math.prod(shape), max_size=4 * math.prod(shape)))
    values = np.frombuffer(bits, "<f4").reshape(shape)
    return Chunk(
        kind, draw(STREAMS), draw(U64), draw(st.integers(0, codec.MAX_SEQ - shape[0])), draw(TIMES_NS),
        draw(RATES), values, draw(U64), draw(U64),
    )  # fmt: skip


INFOS = st.builds(
    Info, STREAMS, U64, st.integers(0, codec.MAX_SEQ), TIMES_NS, RATES, LABELS,
    st.sampled_from([(), ("cos",), FIELDS]), st.integers(0, codec.MAX_SEQ - 1), st.booleans(),
    st.none() | st.floats(0, 1e3), st.integers(0, codec.MAX_SEQ), st.booleans(),
)  # fmt: skip
STATUSES = st.builds(
    Status, STREAMS | st.just(""), U64, st.integers(0, codec.MAX_SEQ), TIMES_NS,
    st.dictionaries(st.text(max_size=4).filter(str.isprintable), JSON, max_size=4),
)  # fmt: skip
MESSAGES = chunks() | INFOS | STATUSES
RANGES = st.tuples(
    st.sampled_from([Kind.INPUT, Kind.TARGET, Kind.ESTIMATE]), STREAMS, U64, st.integers(0, 2**62),
    st.integers(1, codec.MAX_SAMPLES),
)  # fmt: skip


@given(MESSAGES)
def test_every_message_survives_the_wire(message: Message) -> None:
    assert same(codec.decode(codec.encode(message)), message)


@given(RANGES)
def test_every_request_and_refusal_survives_the_wire(wanted: tuple[Kind, str, int, int, int]) -> None:
    assert codec.decode_request(codec.encode(Replay(*wanted))) == Replay(*wanted)
    assert codec.decode_answer(codec.encode(Gone(*wanted))) == Gone(*wanted)


@given(chunks())
def test_samples_answer_a_request_as_they_were_published(message: Chunk) -> None:
    answer = codec.decode_answer(codec.encode(message))
    assert isinstance(answer, Chunk)
    assert same(answer, message)


def decoded_or_refused(parts: list[bytes], decode: Callable[[list[bytes]], object] = codec.decode) -> object:
    try:
        return decode(parts)
    except WireError:
        return None


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_arbitrary_parts_are_refused(parts: list[bytes]) -> None:
    for decode in (codec.decode, codec.decode_request, codec.decode_answer):
        assert decoded_or_refused(parts, decode) is None


def mutated(parts: list[bytes], data: st.DataObject) -> list[bytes]:
    """The same parts, with a byte or a few changed, lost or too many."""
    changed = [bytearray(part) for part in parts]
    for _ in range(data.draw(st.integers(1, 3))):
        part = changed[data.draw(st.integers(0, 2))]
        if not part:
            continue
        at = data.draw(st.integers(0, len(part) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                part[at] = data.draw(st.integers(0, 255))
            case 1:
                del part[at:]
            case _:
                part[at:at] = data.draw(st.binary(min_size=1, max_size=4))
    return [bytes(part) for part in changed]


@given(MESSAGES, st.data())
@examples(100, release=600)
def test_a_mutated_message_is_a_message_or_a_wire_error(message: Message, data: st.DataObject) -> None:
    result = decoded_or_refused(mutated(codec.encode(message), data))
    if isinstance(result, Chunk):  # whatever is let through can be aged and said again
        codec.encode(replace(result, time_ns=result.sample_time_ns(len(result.values) - 1)))


@given(RANGES, st.data())
@examples(100, release=600)
def test_a_mutated_request_is_a_request_or_a_wire_error(
    wanted: tuple[Kind, str, int, int, int], data: st.DataObject
) -> None:
    asked = decoded_or_refused(mutated(codec.encode(Replay(*wanted)), data), codec.decode_request)
    if isinstance(asked, Replay):  # whatever is let through can be refused
        assert codec.decode_answer(codec.encode(Gone(*wanted))) == Gone(*wanted)
    decoded_or_refused(mutated(codec.encode(Gone(*wanted)), data), codec.decode_answer)


@given(st.binary(max_size=200) | st.text(max_size=60).map(str.encode) | JSON.map(lambda x: json.dumps(x).encode()))
def test_any_payload_of_an_info_is_an_info_or_refused(payload: bytes) -> None:
    topic, header, _ = codec.encode(INFO)
    assert isinstance(decoded_or_refused([topic, header, payload]), Info | None)


NAMES = [
    "magic",
    "version",
    "kind",
    "fields",
    "samples",
    "channels",
    "run",
    "seq",
    "time_ns",
    "rate_hz",
    "model_version",
    "tally",
]


def packed(message: Message = INFO, /, **changed: object) -> list[bytes]:
    """The parts of a message, some of them replaced."""
    return _replaced(codec.encode(message), **changed)


def _replaced(
    parts: list[bytes], /, *, payload: bytes | None = None, topic: bytes | None = None, **header: object
) -> list[bytes]:
    values = dict(zip(NAMES, codec.HEADER.unpack(parts[1]), strict=True)) | header
    return [
        parts[0] if topic is None else topic,
        codec.HEADER.pack(*values.values()),
        parts[2] if payload is None else payload,
    ]


def body(**changed: object) -> bytes:
    return json.dumps(INFO_BODY | changed).encode()


CHUNK = chunk()
BIG = 4 * (codec.MAX_PAYLOAD_BYTES // 4 + 1)

LIMITS = {
    "parts": (packed()[:2], "^parts:"),
    "four parts": ([*packed(), b""], "^parts:"),
    "header": ([b"info/demo/", packed()[1][:-1], b"{}"], "^header:"),
    "magic": (packed(magic=b"SNCX"), "^magic:"),
    "version": (packed(version=3), "^version: this side speaks 2, got 3"),
    "version 1": (
        [b"info/demo/", b"SNCS\1" + packed()[1][5:56], b"{}"],
        "^header: must be 64 bytes, got 56; its version is 1, this side speaks 2",
    ),
    "kind 0": (packed(kind=0), "^kind:"),
    "a request where samples are published": (packed(kind=6), "^kind: must be 1 to 5, got 6"),
    "kind 8": (packed(kind=8), "^kind:"),
    "topic of another kind": (packed(topic=b"input/demo/"), "^topic:"),
    "topic without end": (packed(topic=b"info/demo"), "^topic:"),
    "topic too long": (packed(topic=b"info/" + b"a" * 100 + b"/"), "^topic: at most 96 bytes, got 106"),
    "topic of a chunk too long": (packed(CHUNK, topic=b"input/" + b"a" * 100 + b"/"), "^topic: at most 96 bytes"),
    "stream with a separator": (packed(topic=b"info/a/b/"), "^stream:"),
    "stream of 65 letters": (packed(topic=b"info/" + b"a" * 65 + b"/"), "^stream:"),
    "stream not ASCII": (packed(topic="info/é/".encode()), "^stream:"),
    "stream empty": (packed(topic=b"info//"), "^stream:"),
    "seq": (packed(CHUNK, seq=2**63 - 1), "^seq:"),
    "next seq": (packed(seq=2**63 + 1), "^seq:"),
    "rate nan": (packed(rate_hz=math.nan), "^rate_hz:"),
    "rate infinite": (packed(rate_hz=math.inf), "^rate_hz:"),
    "rate negative": (packed(rate_hz=-1.0), "^rate_hz:"),
    "rate too small to count with": (packed(rate_hz=1e-300), "^rate_hz:"),
    "rate too large": (packed(rate_hz=1e10), "^rate_hz:"),
    "time negative": (packed(time_ns=-1), "^time_ns:"),
    "time of the last sample": (packed(CHUNK, time_ns=2**63 - 1, rate_hz=1.0), "^time_ns:"),
    "shape of an info": (packed(samples=1), "^samples, channels, fields:"),
    "samples": (packed(CHUNK, samples=0), "^samples:"),
    "channels 0": (packed(CHUNK, channels=0), "^channels:"),
    "channels": (packed(CHUNK, channels=65_537), "^channels:"),
    "fields 0": (packed(CHUNK, fields=0), "^fields:"),
    "fields of an input": (packed(CHUNK, fields=2), "^fields:"),
    "fields of a target": (packed(chunk(Kind.TARGET), fields=17), "^fields:"),
    "payload truncated": (packed(CHUNK, payload=bytes(7)), "^payload: 2 samples x 1 channels x 1 fields"),
    "payload empty": (packed(CHUNK, payload=b""), "^payload:"),
    "payload oversized": (packed(CHUNK, payload=bytes(BIG), samples=BIG // 4), "^payload: at most 16777216"),
    "JSON oversized": (packed(payload=b" " * (2**20 + 1)), "^payload: JSON of at most"),
    "not JSON": (packed(payload=b"{"), "^payload: not JSON"),
    "not UTF-8": (packed(payload=b'{"a": "\xff"}'), "^payload: not JSON in UTF-8"),
    "UTF-16": (packed(payload='{"channels": ["0"]}'.encode("utf-16")), "^payload: not JSON in UTF-8"),
    "not an object": (packed(payload=b"[]"), "^payload: must be a JSON object, got list"),
    "deep": (packed(payload=b'{"x":' + b"[" * 17 + b"]" * 17 + b"}"), "^payload: JSON nested"),
    "a bomb of brackets": (packed(payload=b"[" * 500_000), "^payload: not JSON"),
    "a bomb of digits": (packed(payload=b'{"x": ' + b"9" * 100_000 + b"}"), "^payload: not JSON"),
    "an integer past 64 bits": (packed(payload=body(lateness_p99_s=10**400)), "^payload: JSON integers"),
    "NaN": (packed(payload=b'{"x": NaN}'), "^payload: JSON numbers must be finite"),
    "Infinity": (packed(payload=b'{"x": [-Infinity]}'), "^payload: JSON numbers must be finite"),
    "1e400": (packed(payload=b'{"x": 1e400}'), "^payload: JSON numbers must be finite"),
    "half a surrogate pair": (packed(payload=b'{"x": "\\ud800"}'), "^payload: JSON strings"),
    "half a surrogate pair as a key": (packed(payload=b'{"\\udc00": 0}'), "^payload: JSON strings"),
    "terminal escape": (packed(payload=body(channels=["\x1b[2J"])), "^payload: JSON strings"),
    "no channels": (packed(payload=body(channels=[])), "^channels:"),
    "too many channels": (packed(payload=body(channels=[""] * 65_537)), "^channels:"),
    "channels not a list": (packed(payload=body(channels="ab")), "^channels:"),
    "a label not a string": (packed(payload=body(channels=[0])), "^channels:"),
    "a label of 65 letters": (packed(payload=body(channels=["a" * 65])), "^channels:"),
    "too many fields": (packed(payload=body(target_fields=["x"] * 17)), "^target_fields:"),
    "delay negative": (packed(payload=body(target_delay_samples=-1)), "^target_delay_samples:"),
    "delay too large": (packed(payload=body(target_delay_samples=2**63 + 1)), "^target_delay_samples:"),
    "delay a bool": (packed(payload=body(target_delay_samples=True)), "^target_delay_samples:"),
    "next target negative": (packed(payload=body(next_target_seq=-1)), "^next_target_seq:"),
    "replays a number": (packed(payload=body(replays=1)), "^replays:"),
    "ended a number": (packed(payload=body(ended=1)), "^ended:"),
    "lateness a string": (packed(payload=body(lateness_p99_s="1")), "^lateness_p99_s:"),
    "lateness a bool": (packed(payload=body(lateness_p99_s=True)), "^lateness_p99_s:"),
}


@pytest.mark.parametrize(("parts", "reason"), LIMITS.values(), ids=LIMITS)
def test_every_limit_is_named(parts: list[bytes], reason: str) -> None:
    with pytest.raises(WireError, match=reason) as error:
        codec.decode(parts)
    assert len(str(error.value)) < 300
    assert str(error.value).isprintable()


def asked(**changed: object) -> list[bytes]:
    """The parts of a request, some of them replaced."""
    return _replaced(codec.encode(Replay(*WANTED)), **changed)


REQUEST_LIMITS = {
    "parts": (asked()[:2], "^parts:"),
    "header": ([*asked()[:1], bytes(56), b""], "^header: must be 64 bytes, got 56$"),
    "version": (asked(version=1), "^version:"),
    "magic": (asked(magic=b"SNCX"), "^magic:"),
    "samples published": (codec.encode(CHUNK), "^kind: must be 6 here, got 1"),
    "the answer": (codec.encode(Gone(*WANTED)), "^kind: must be 6 here, got 7"),
    "another's topic": (asked(topic=b"gone/demo/"), "^topic:"),
    "stream empty": (asked(topic=b"replay//"), "^stream:"),
    "info wanted": (asked(fields=4), "^fields: the kind wanted must be 1 to 3, got 4"),
    "nothing wanted": (asked(samples=0), "^samples: at least 1"),
    "seq": (asked(seq=2**63 - 1), "^samples: .* seq must stay below 2.63"),
    "payload": (asked(payload=b"x"), "^payload: must be empty in replay, got 1 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "reason"), REQUEST_LIMITS.values(), ids=REQUEST_LIMITS)
def test_every_limit_of_a_request_is_named(parts: list[bytes], reason: str) -> None:
    with pytest.raises(WireError, match=reason) as error:
        codec.decode_request(parts)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("parts", [codec.encode(INFO), codec.encode(STATUS), codec.encode(Replay(*WANTED))])
def test_what_is_no_answer_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(WireError, match=r"^kind: "):
        codec.decode_answer(parts)


@pytest.mark.parametrize(
    "parts",
    [
        packed(CHUNK, seq=2**63 - 2),
        packed(seq=2**63),
        packed(CHUNK, rate_hz=1e-6),
        packed(rate_hz=1e9),
        packed(time_ns=2**63 - 1),
        packed(payload=b'{"channels": ["0"], "x":' + b"[" * 15 + b"]" * 15 + b"}"),
        packed(payload=b'{"channels": ["1"], "channels": ["0"]}'),
        packed(payload=body(channels=["x"] * 65_536)),
        packed(payload=body(future={"key": [1]})),
        packed(STATUS, run=2**64 - 1),
        packed(CHUNK, payload=np.array([np.nan, np.inf], "<f4").tobytes()),
    ],
    ids=["seq", "next_seq", "slow", "fast", "time", "deep", "twice", "wide", "unknown key", "run", "not finite"],
)  # fmt: skip
def test_what_is_just_inside_the_limits_is_taken(parts: list[bytes]) -> None:
    codec.decode(parts)


def test_the_largest_chunk_is_taken() -> None:
    samples = codec.MAX_PAYLOAD_BYTES // 4
    message = codec.decode(packed(CHUNK, samples=samples, payload=bytes(codec.MAX_PAYLOAD_BYTES)))
    assert isinstance(message, Chunk)
    assert message.values.shape == (samples, 1, 1)


def test_the_header_decides_what_an_info_repeats() -> None:
    message = codec.decode(packed(payload=body(stream="other", run="0", next_seq=99, rate_hz=7)))
    assert message == INFO


def test_decoded_values_cannot_be_written() -> None:
    message = codec.decode(packed(CHUNK))
    assert isinstance(message, Chunk)
    assert not message.values.flags.writeable


def test_a_chunk_may_be_any_view_of_any_float_array() -> None:
    values = np.arange(24, dtype=np.float64).reshape(4, 3, 2)[::2, ::-1]
    any_chunk = replace(chunk(Kind.TARGET, fields=2), values=values)  # type: ignore[arg-type]
    message = codec.decode(codec.encode(any_chunk))
    assert isinstance(message, Chunk)
    np.testing.assert_array_equal(message.values, values)


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_D", "x" * 64])
def test_no_streams_topic_is_the_prefix_of_anothers(name: str) -> None:
    assert not codec.topic(Kind.INPUT, name + "2").startswith(codec.topic(Kind.INPUT, name))
    assert codec.topic(Kind.INPUT, name).startswith(codec.topic(Kind.INPUT))


def test_an_info_of_a_source_that_keeps_nothing_may_leave_out_what_it_keeps() -> None:
    told = {key: value for key, value in INFO_BODY.items() if key not in ("next_target_seq", "replays")}
    assert codec.decode(packed(payload=json.dumps(told).encode())) == replace(
        INFO, next_target_seq=0, replays=False
    )


def test_the_header_is_64_bytes_without_padding() -> None:
    assert codec.HEADER.size == 64 == struct.calcsize("<4sBBHIIQQqdQQ")


@pytest.mark.parametrize(
    ("payload", "hint"),
    [(8, "twice as much: float64\\?"), (2, "half of it: int16 or float16\\?"), (12, "got 12; stream demo$")],
)
def test_a_payload_of_another_type_is_named_with_its_stream(payload: int, hint: str) -> None:
    values = np.zeros((1, 1, 1), np.float32)
    topic, header, _ = codec.encode(Chunk(Kind.INPUT, "demo", 1, 0, 1, 250.0, values))
    with pytest.raises(WireError, match=f"^payload: .* take 4 bytes, got {payload}.*{hint}.*stream demo$|{hint}"):
        codec.decode((topic, header, bytes(payload)))
