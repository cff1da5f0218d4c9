"""docs/protocol.md: its golden bytes are the wire's, and its Python programs run as they stand."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamer import wire
from streamer.messages import FIELDS, PUBLISHED, Chunk, Incoming, Info, Kind, Status
from streamer.sockets import Transport

BOUND_S = 20
PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def program(heading: str) -> str:
    """The fenced program under a heading."""
    found = re.search(rf"^## {re.escape(heading)}$.*?^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def run(code: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_golden_messages_are_what_the_wire_says() -> None:
    block = re.search(r"^```golden\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert block is not None
    messages = re.findall(r"topic (.*?)header (.*?)payload (.*?)(?=^\w|\Z)", block[1], re.MULTILINE | re.DOTALL)
    assert len(messages) == len(PUBLISHED)
    for kind, (topic, header, payload) in zip(PUBLISHED, messages, strict=True):
        text = " ".join(payload.split())
        raw = text.encode() if text.startswith("{") else bytes.fromhex(text)
        parts = [bytes.fromhex(topic), bytes.fromhex(header), raw]
        message = wire.decode(parts)
        assert wire.encode(message) == parts
        assert parts[0].startswith(wire.topic(kind))
    last_estimate = wire.decode([bytes.fromhex(part) for part in messages[2]])
    assert isinstance(last_estimate, Chunk)
    np.testing.assert_array_equal(last_estimate.values, [[[1, 0]], [[0.5, 0.5]]])
    assert (last_estimate.seq, last_estimate.model_version) == (3, 7)


def test_the_status_examples_pass_the_wire() -> None:
    examples = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    for text in examples:
        status = Status("", 0, 0, 0, json.loads(text))
        assert wire.decode(wire.encode(status)) == status


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("payload of input, target, estimate", f"{wire.MAX_PAYLOAD_BYTES // 2**20} MiB"),
        ("payload of info, status", f"{wire.MAX_JSON_BYTES // 2**20} MiB"),
        ("channels", f"1 to {wire.MAX_CHANNELS:,}"),
        ("fields", f"1 for inputs, 1 to {wire.MAX_FIELDS} for others"),
        ("seq + samples", f"at most 2^{wire.MAX_SEQ.bit_length() - 1}"),
    ],
)
def test_the_limits_are_the_wires(name: str, value: str) -> None:
    assert f"| {name} | {value} |" in PAGE


def test_the_source_is_heard_by_a_sincos_transport(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 's'}"
    samples = 20
    topics = [wire.topic(kind) for kind in (Kind.INFO, Kind.TARGET, Kind.INPUT)]
    heard: list[Incoming] = []
    code = program("A source in Python")
    with Transport(connect=[address], topics=topics) as reader, run(code, address, f"{samples}") as source:
        while not (heard and isinstance(heard[-1], Info) and heard[-1].ended):
            came = reader.wait(BOUND_S * 1000)
            assert came, f"nothing came after {len(heard)} messages"
            heard += reader.receive()
        assert source.communicate(timeout=BOUND_S) == ("", "")
    phase = 2 * np.pi * 5.0 * np.arange(samples) / 100.0
    wanted = {Kind.INPUT: [np.sin(phase)], Kind.TARGET: [np.cos(phase), np.sin(phase)]}
    for kind, columns in wanted.items():
        chunks = [message for message in heard if isinstance(message, Chunk) and message.kind is kind]
        assert [chunk.seq for chunk in chunks] == list(range(samples))
        values = np.concatenate([chunk.values for chunk in chunks])[:, 0, :]
        np.testing.assert_allclose(values, np.stack(columns, axis=1), atol=1e-6)
    infos = [message for message in heard if isinstance(message, Info)]
    assert len(heard) == len(infos) + 2 * samples
    assert (infos[0].next_seq, infos[0].ended, infos[-1].next_seq) == (0, False, samples)
    assert infos[-1].target_fields == FIELDS


def test_the_reader_hears_a_sincos_transport(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 's'}"

    def estimate(seq: int, run_id: int = 1) -> Chunk:
        values = np.array([[[seq, -1], [0.5, -1]], [[seq + 1, -1], [0.5, -1]]], np.float32)
        return Chunk(Kind.ESTIMATE, "demo", run_id, seq, 0, 100.0, values, 7)

    with Transport(bind=address) as publisher, run(program("A reader in Python"), address) as reader:
        try:
            assert publisher.wait(BOUND_S * 1000)
            for message in (estimate(0), estimate(2), estimate(6), estimate(0, run_id=0xABC)):
                publisher.send(message)
            assert reader.stdout is not None
            lines = [reader.stdout.readline().strip() for _ in range(11)]
        finally:
            reader.kill()
    said = [line.removeprefix("estimate/demo/ ") for line in lines]
    assert said == [
        "run 0000000000000001 from 0", "0 0.0 0.5", "1 1.0 0.5", "2 2.0 0.5", "3 3.0 0.5", "2 samples missing",
        "6 6.0 0.5", "7 7.0 0.5", "run 0000000000000abc from 0", "0 0.0 0.5", "1 1.0 0.5",
    ]  # fmt: skip
