"""How messages are said: dataclass <-> ZeroMQ parts. The contract is docs/reference/protocol.md."""

import json
import math
import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from streamer.errors import WireError
from streamer.messages import PUBLISHED, Chunk, FloatArray, Gone, Info, Kind, Message, Replay, Status

MAGIC = b"SNCS"
VERSION = 2
# magic, version, kind, fields, samples, channels, run, seq, time_ns, rate_hz, model_version, tally
HEADER = struct.Struct("<4sBBHIIQQqdQQ")
_FORM, _PLACE = struct.Struct("<4sBBHII"), struct.Struct("<QQqdQQ")  # the same in two

MAX_PAYLOAD_BYTES = 16 * 2**20  # a second of 40,000 channels at 100 Hz
MAX_JSON_BYTES = 2**20  # 65,536 channel labels of 13 letters
MAX_CHANNELS = 65_536
MAX_FIELDS = 16
MAX_SAMPLES = 2**32 - 1  # in one message, or asked for in one
MAX_SEQ = 2**63  # leaves room for seq + samples in a signed 64-bit integer
MAX_TIME_NS = 2**63 - 1  # the year 2262
MIN_RATE_HZ, MAX_RATE_HZ = 1e-6, 1e9
RATE_RULE = f"0 (not known) or {MIN_RATE_HZ} to {MAX_RATE_HZ}"
MAX_JSON_DEPTH = 16
MAX_LABEL_LETTERS = 64
MAX_TOPIC_BYTES = 96  # the longest word and the longest name take 75
REMEMBERED_TOPICS = 32_768  # inputs and targets of 10,000 streams, and then some

STREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
STREAM_RULE = "must be 1 to 64 letters (a to z, A to Z), digits, _, . or -, the first a letter or digit"

_CHUNKS = frozenset({Kind.INPUT, Kind.TARGET, Kind.ESTIMATE})
_KINDS = {int(kind): kind for kind in PUBLISHED}
_FLOAT32 = np.dtype("<f4")
_KIND_AT = slice(5, 6)  # where it stands in a header


@lru_cache(maxsize=REMEMBERED_TOPICS)
def topic(kind: Kind, stream: str = "") -> bytes:
    """First part of every message, and what to subscribe to; without `stream`, all streams of the kind.

    A topic ends in a separator, so that one stream's name is never the prefix of another's.
    """
    return f"{kind.word}/{stream}/".encode() if stream else f"{kind.word}/".encode()


def encode(message: Message | Replay | Gone) -> list[bytes]:
    """Return the three parts of a message: topic, header, payload."""
    if isinstance(message, Chunk):
        samples, channels, fields = message.values.shape
        header = HEADER.pack(
            MAGIC, VERSION, message.kind, fields, samples, channels,
            message.run, message.seq, message.time_ns, message.rate_hz, message.model_version, message.tally,
        )  # fmt: skip
        return [topic(message.kind, message.stream), header, payload(message.values)]
    if isinstance(message, Replay | Gone):
        return _encode_range(message)
    kind = Kind.INFO if isinstance(message, Info) else Kind.STATUS
    rate_hz = message.rate_hz if isinstance(message, Info) else 0.0
    body = info_body(message) if isinstance(message, Info) else message.body
    header = HEADER.pack(
        MAGIC, VERSION, kind, 0, 0, 0, message.run, message.next_seq, message.time_ns, rate_hz, 0, 0
    )
    return [f"{kind.word}/{message.stream}/".encode(), header, json.dumps(body, allow_nan=False).encode()]


def _encode_range(wanted: Replay | Gone) -> list[bytes]:
    kind = Kind.REPLAY if isinstance(wanted, Replay) else Kind.GONE
    header = HEADER.pack(
        MAGIC, VERSION, kind, wanted.kind, wanted.samples, 0, wanted.run, wanted.seq, 0, 0.0, 0, 0
    )
    return [topic(kind, wanted.stream), header, b""]


def payload(values: FloatArray) -> bytes:
    """Return the payload of a chunk."""
    return (values if values.dtype is _FLOAT32 else np.asarray(values, _FLOAT32)).tobytes()


def decode(parts: Sequence[bytes]) -> Message:
    """Return the message in `parts`.

    Values of a chunk are a read-only view of the payload. Non-finite samples are legal here.

    Raises
    ------
    WireError
        If the parts are not a message of this version, naming the field and the rule it breaks.
    """
    name, header, body = _three(parts)
    form = _form(name, header[: _FORM.size], len(body))
    if form is None:
        return _decode_other(name, header, body)
    kind, stream, shape = form
    run, seq, time_ns, rate_hz, model_version, tally = _PLACE.unpack_from(header, _FORM.size)
    _check_place(seq, time_ns, rate_hz, shape[0])
    values: FloatArray = np.ndarray(shape, _FLOAT32, body)  # a third of frombuffer's time
    return Chunk(kind, stream, run, seq, time_ns, rate_hz, values, model_version, tally)


@lru_cache(maxsize=REMEMBERED_TOPICS)
def _form(name: bytes, start: bytes, payload_bytes: int) -> tuple[Kind, str, tuple[int, int, int]] | None:
    """Return kind, stream and shape of a chunk; None of what is none, or not a sound one.

    Remembered, since one message of a stream differs from the next one only in what comes after the start of its
    header: what is wrong is `_decode_other`'s to say.
    """
    magic, version, kind_byte, fields, samples, channels = _FORM.unpack(start)
    kind = _KINDS.get(kind_byte)
    if magic != MAGIC or version != VERSION or kind is None or kind not in _CHUNKS:
        return None
    try:
        stream = _stream_of(name, kind)
        _check_shape(kind, samples, channels, fields, payload_bytes)
    except WireError:
        return None
    return kind, stream, (samples, channels, fields)


def _decode_other(name: bytes, header: bytes, body: bytes) -> Info | Status:
    """Return an info or a status; refuse what is neither, nor a sound chunk."""
    magic, version, kind_byte, fields, samples, channels, run, seq, time_ns, rate_hz, *_ = HEADER.unpack(header)
    if magic != MAGIC or version != VERSION:
        raise _not_ours(magic, version)
    kind = _KINDS.get(kind_byte)
    if kind is None:
        raise WireError(f"kind: must be 1 to {max(_KINDS)}, got {kind_byte}")
    stream = _stream_of(name, kind)
    _check_place(seq, time_ns, rate_hz, samples)
    if kind in _CHUNKS:
        try:
            _check_shape(kind, samples, channels, fields, len(body))
        except WireError as error:
            raise WireError(f"{error}; stream {stream}") from None
    if samples or channels or fields:
        shape = samples, channels, fields
        raise WireError(f"samples, channels, fields: must be 0 in {kind.word}, got {shape}")
    said = _json_object(body)
    if kind is Kind.INFO:
        return _info(stream, run, seq, time_ns, rate_hz, said)
    return Status(stream, run, seq, time_ns, said)


def decode_request(parts: Sequence[bytes]) -> Replay:
    """Return what a peer asks for.

    Raises
    ------
    WireError
        If the parts are no request of this version.
    """
    return Replay(*_range(parts, Kind.REPLAY))


def decode_answer(parts: Sequence[bytes]) -> Chunk | Gone:
    """Return what answers a request of ours.

    Raises
    ------
    WireError
        If the parts are no answer of this version.
    """
    if len(parts) == 3 and parts[1][_KIND_AT] == bytes([Kind.GONE]):
        return Gone(*_range(parts, Kind.GONE))
    message = decode(parts)
    if not isinstance(message, Chunk):
        raise WireError(
            f"kind: what answers is input, target, estimate or gone, got {type(message).__name__.lower()}"
        )
    return message


def _range(parts: Sequence[bytes], kind: Kind) -> tuple[Kind, str, int, int, int]:
    """Return which kind, stream, run, seq and number of samples a message without values names."""
    name, header, body = _three(parts)
    magic, version, kind_byte, wanted, samples, _, run, seq, *_ = HEADER.unpack(header)
    if magic != MAGIC or version != VERSION:
        raise _not_ours(magic, version)
    if kind_byte != kind:
        raise WireError(f"kind: must be {int(kind)} here, got {kind_byte}")
    stream = _stream_of(name, kind)
    if wanted not in _CHUNKS:
        raise WireError(f"fields: the kind wanted must be 1 to {max(_CHUNKS)}, got {wanted}")
    if samples < 1 or seq + samples > MAX_SEQ:
        raise WireError(f"samples: at least 1, and seq must stay below 2^63, got {samples} from {seq} on")
    if body:
        raise WireError(f"payload: must be empty in {kind.word}, got {len(body)} bytes")
    return _KINDS[wanted], stream, run, seq, samples


def _three(parts: Sequence[bytes]) -> Sequence[bytes]:
    if len(parts) != 3:
        raise WireError(f"parts: a message has 3 (topic, header, payload), got {len(parts)}")
    header = parts[1]
    if len(parts[0]) > MAX_TOPIC_BYTES:
        raise WireError(
            f"topic: at most {MAX_TOPIC_BYTES} bytes, got {len(parts[0])}: {parts[0][:MAX_TOPIC_BYTES]!r}"
        )
    if len(header) != HEADER.size:
        raise WireError(f"header: must be {HEADER.size} bytes, got {len(header)}{_of_another_version(header)}")
    return parts


def _of_another_version(header: bytes) -> str:
    ours = header[:4] == MAGIC and len(header) > 4
    return f"; its version is {header[4]}, this side speaks {VERSION}" if ours and header[4] != VERSION else ""


def _not_ours(magic: bytes, version: int) -> WireError:
    if magic != MAGIC:
        return WireError(f"magic: must be {MAGIC!r}, got {magic!r}")
    return WireError(f"version: this side speaks {VERSION}, got {version}")


@lru_cache(maxsize=REMEMBERED_TOPICS)
def _stream_of(name: bytes, kind: Kind) -> str:
    prefix = f"{kind.word}/".encode()
    if not name.startswith(prefix) or not name.endswith(b"/"):
        raise WireError(f"topic: a {kind.word} message needs {prefix.decode()}STREAM/, got {name!r}")
    stream = name[len(prefix) : -1].decode("ascii", errors="replace")
    if not STREAM_NAME.fullmatch(stream) and not (kind is Kind.STATUS and stream == ""):
        raise WireError(f"stream: {STREAM_RULE}, got {stream!r}")
    return stream


def _check_place(seq: int, time_ns: int, rate_hz: float, samples: int) -> None:
    if seq + samples > MAX_SEQ:
        raise WireError(f"seq: must stay below 2^63, got {seq} with {samples} samples")
    check_times(time_ns, rate_hz, samples)


def is_rate(rate_hz: float) -> bool:
    """Return whether a source may say that rate."""
    return rate_hz == 0 or MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ


def check_times(time_ns: int, rate_hz: float, samples: int) -> None:
    """Raise WireError unless all samples of a chunk have times."""
    if not is_rate(rate_hz):
        raise WireError(f"rate_hz: must be {RATE_RULE}, got {rate_hz}")
    length_ns = int(samples * 1e9 / rate_hz) if rate_hz else 0
    if time_ns < 0 or time_ns + length_ns > MAX_TIME_NS:
        raise WireError(f"time_ns: every sample's must be 0 to 2^63 - 1, got {time_ns} for {samples} samples")


def _check_shape(kind: Kind, samples: int, channels: int, fields: int, payload_bytes: int) -> None:
    if payload_bytes > MAX_PAYLOAD_BYTES:
        raise WireError(f"payload: at most {MAX_PAYLOAD_BYTES} bytes, got {payload_bytes}")
    if samples < 1:
        raise WireError("samples: a chunk has at least 1, got 0")
    if not 1 <= channels <= MAX_CHANNELS:
        raise WireError(f"channels: must be 1 to {MAX_CHANNELS}, got {channels}")
    if not 1 <= fields <= (1 if kind is Kind.INPUT else MAX_FIELDS):
        raise WireError(f"fields: {kind.word} cannot have {fields}")
    needed = 4 * samples * channels * fields
    if payload_bytes != needed:
        raise WireError(
            f"payload: {samples} samples x {channels} channels x {fields} fields of float32 take "
            f"{needed} bytes, got {payload_bytes}{_other_type(payload_bytes, needed)}"
        )


def _other_type(payload_bytes: int, needed: int) -> str:
    """Return what a payload of another size looks like, in words."""
    if payload_bytes == 2 * needed:
        return ", twice as much: float64? Values are little-endian float32"
    if 2 * payload_bytes == needed:
        return ", half of it: int16 or float16? Values are little-endian float32"
    return ""


def _json_object(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_JSON_BYTES:
        raise WireError(f"payload: JSON of at most {MAX_JSON_BYTES} bytes, got {len(payload)}")
    try:
        body = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"payload: not JSON in UTF-8: {str(error)[:80]}") from None
    if not isinstance(body, dict):
        raise WireError(f"payload: must be a JSON object, got {type(body).__name__}")
    _check_json(body, MAX_JSON_DEPTH)
    return body


def _check_json(value: Any, depth: int) -> None:
    """Refuse what Python's parser lets through but a terminal, a float or the next JSON reader would not."""
    if depth == 0:
        raise WireError(f"payload: JSON nested deeper than {MAX_JSON_DEPTH}")
    match value:
        case str() if not value.isprintable():
            raise WireError(f"payload: JSON strings must be printable, got {ascii(value)[:80]}")
        case float() if not math.isfinite(value):
            raise WireError(f"payload: JSON numbers must be finite, got {value}")
        case int() if not -(2**64) < value < 2**64:
            raise WireError("payload: JSON integers must fit in 64 bits and a sign")
        case dict():
            for key, item in value.items():
                _check_json(key, depth)
                _check_json(item, depth - 1)
        case list():
            for item in value:
                _check_json(item, depth - 1)


def info_body(info: Info) -> dict[str, Any]:
    """Return what the payload of an info says, as JSON would have it."""
    return {
        "stream": info.stream,
        "run": f"{info.run:016x}",
        "rate_hz": info.rate_hz,
        "channels": list(info.channels),
        "target_fields": list(info.target_fields),
        "target_delay_samples": info.target_delay_samples,
        "next_seq": info.next_seq,
        "next_target_seq": info.next_target_seq,
        "ended": info.ended,
        "lateness_p99_s": info.lateness_p99_s,
        "replays": info.replays,
        **({} if info.paced else {"paced": False}),
        **({"repeats": True} if info.repeats else {}),
    }


def _info(stream: str, run: int, next_seq: int, time_ns: int, rate_hz: float, body: dict[str, Any]) -> Info:
    # The header decides what the body repeats (stream, run, next_seq, rate_hz); unknown keys are allowed.
    channels, target_fields = _labels(body, "channels"), _labels(body, "target_fields")
    if not 1 <= len(channels) <= MAX_CHANNELS:
        raise WireError(f"channels: must be 1 to {MAX_CHANNELS} labels, got {len(channels)}")
    if len(target_fields) > MAX_FIELDS:
        raise WireError(f"target_fields: at most {MAX_FIELDS}, got {len(target_fields)}")
    late = body.get("lateness_p99_s")
    if late is not None and type(late) not in (int, float):
        raise WireError(f"lateness_p99_s: must be a finite number or null, got {late!r}")
    return Info(
        stream, run, next_seq, time_ns, rate_hz, channels, target_fields, _index(body, "target_delay_samples"),
        _flag(body, "ended"), late, _index(body, "next_target_seq"), _flag(body, "replays"),
        _flag(body, "paced", absent=True), _flag(body, "repeats", absent=False),
    )  # fmt: skip


def _index(body: dict[str, Any], key: str) -> int:
    value = body.get(key, 0)
    if type(value) is not int or not 0 <= value <= MAX_SEQ:
        raise WireError(f"{key}: must be a whole number from 0 to 2^63, got {value!r}")
    return value


def _flag(body: dict[str, Any], key: str, *, absent: bool = False) -> bool:
    value = body.get(key, absent)
    if type(value) is not bool:
        raise WireError(f"{key}: must be true or false, got {value!r}")
    return value


def _labels(body: dict[str, Any], key: str) -> tuple[str, ...]:
    labels = body.get(key, [])
    if not isinstance(labels, list) or not all(
        isinstance(label, str) and len(label) <= MAX_LABEL_LETTERS for label in labels
    ):
        raise WireError(f"{key}: must be a list of strings of at most {MAX_LABEL_LETTERS} letters")
    return tuple(labels)
