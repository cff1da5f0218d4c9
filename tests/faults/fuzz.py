"""Coverage-guided fuzzing by hand: what strangers send, what asks, and what lies on disk.

``pip install atheris``, then ``python tests/faults/fuzz.py wire|request|state -runs=200000``. Whatever is no error
of the right kind ends it with the bytes that did it.
"""

import contextlib
import hashlib
import sys
from collections.abc import Callable
from typing import Any

import atheris

with atheris.instrument_imports(include=["streamer", "predictor", "trainer"]):
    from predictor.state import checkpoint
    from streamer.errors import FileError, OperatorError, WireError
    from streamer.messages import Chunk, Info, Request, Status
    from streamer.replay.history import History
    from streamer.replay.server import ReplayServer
    from streamer.wire import batch, codec

TOPICS = (b"input/s/", b"target/s/", b"estimate/s/", b"info/s/", b"status/s/", b"replay/s/", b"gone/s/", b"")
LONG = 4096


def _parts(data: bytes) -> list[bytes]:
    """A message: mostly three parts with a topic and magic that lead on, or anything."""
    fuzz: Any = atheris.FuzzedDataProvider(data)
    if fuzz.ConsumeIntInRange(0, 9) == 0:
        return [fuzz.ConsumeBytes(LONG) for _ in range(fuzz.ConsumeIntInRange(1, 5))]
    topic = TOPICS[fuzz.ConsumeIntInRange(0, len(TOPICS) - 1)] or fuzz.ConsumeBytes(100)
    header = b"SNCS\2" + fuzz.ConsumeBytes(codec.HEADER.size - 5)
    return [topic, header, fuzz.ConsumeBytes(LONG)]


def try_wire(data: bytes) -> None:
    """Decode a published message, alone and among its like; what is understood is said again alike."""
    parts = _parts(data)
    batch.decode([parts] * 4)
    try:
        message = codec.decode(parts)
    except WireError:
        return
    assert isinstance(message, Chunk | Info | Status)
    if isinstance(message, Chunk):
        assert [bytes(part) for part in codec.encode(message)] == parts


def try_request(data: bytes) -> None:
    """Decode a request and let it be answered; decode an answer."""
    parts = _parts(data)
    with contextlib.suppress(WireError):
        codec.decode_answer(parts)
    try:
        asked = codec.decode_request(parts)
    except WireError:
        return
    history = History(60.0, 2**20)
    history.begin(asked.kind, asked.stream, asked.run)
    server = ReplayServer(history)
    server.take(Request(b"peer", asked))
    for _ in range(10):
        if server.work() is None:
            return
    raise AssertionError("an answer without end")


def try_state(data: bytes) -> None:
    """Read a state: as it comes, and with a header and a checksum that fit, so that what follows is reached."""
    with contextlib.suppress(FileError, OperatorError):
        checkpoint.decode(data)
    middle, _, body = data.partition(b"|")
    about = f'{{"__metadata__":{{"format":"{checkpoint.FORMAT}","sha256":"{checkpoint.UNSUMMED}"}}'.encode()
    header = about + middle + b"}"
    total = hashlib.sha256(body)
    total.update(header)
    header = header.replace(checkpoint.UNSUMMED.encode(), total.hexdigest().encode(), 1)
    with contextlib.suppress(FileError, OperatorError):
        checkpoint.decode(len(header).to_bytes(8, "little") + header + body)


WAYS: dict[str, Callable[[bytes], None]] = {"wire": try_wire, "request": try_request, "state": try_state}

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], WAYS[sys.argv[1]])
    atheris.Fuzz()
