"""The protocol's pages: their golden bytes are the wire's, and their programs run as they stand."""

import itertools
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.daemon.stream import SLICE_VALUES
from predictor.phase import phase_and_amplitude
from streamer.clock import Instant
from streamer.effects import Send
from streamer.messages import FIELDS, PUBLISHED, Chunk, Gone, Incoming, Info, Kind, Replay, Request, Status
from streamer.replay.history import History
from streamer.replay.server import ANSWER_BYTES, ANSWER_MESSAGES, ReplayServer
from streamer.transport import keys
from streamer.transport.retransmit_sockets import MAX_REQUEST_BYTES
from streamer.transport.transport import HIGH_WATER_MARK, Transport
from streamer.wire import codec
from trainer.model import ModelConfig, new_model

BOUND_S = 20
DOCS = Path(__file__).parents[2] / "docs"
PAGES = (
    "reference/protocol.md", "reference/phase.md", "reference/status.md", "howto/write-a-source.md",
    "howto/write-a-reader.md",
)  # fmt: skip
PAGE = "\n".join((DOCS / page).read_text() for page in PAGES)


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
        message = codec.decode(parts)
        assert codec.encode(message) == parts
        assert parts[0].startswith(codec.topic(kind))
    last_estimate = codec.decode([bytes.fromhex(part) for part in messages[2]])
    assert isinstance(last_estimate, Chunk)
    np.testing.assert_array_equal(last_estimate.values, [[[1, 0]], [[0.5, 0.5]]])
    assert (last_estimate.seq, last_estimate.model_version) == (3, 7)


def test_the_golden_request_and_refusal_are_what_the_wire_says() -> None:
    block = re.search(r"^```asking\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert block is not None
    asked, gone = (
        [bytes.fromhex(topic), bytes.fromhex(header), b""]
        for topic, header in re.findall(r"topic (.*?)header (.*?)(?=^\w|\Z)", block[1], re.MULTILINE | re.DOTALL)
    )
    wanted = (Kind.ESTIMATE, "demo", 0x00C0FFEE00C0FFEE, 3, 2)
    assert codec.decode_request(asked) == Replay(*wanted)
    assert codec.decode_answer(gone) == Gone(*wanted)


def test_the_limits_of_an_answer_are_the_servers() -> None:
    assert f"at most {ANSWER_MESSAGES:,} messages and some {ANSWER_BYTES // 2**20} MiB" in PAGE
    assert f"one\n   answer brings up to {ANSWER_MESSAGES:,}" in PAGE
    assert f"| a part of a request | {MAX_REQUEST_BYTES} bytes |" in PAGE


def test_the_queues_and_cuts_are_the_programs() -> None:
    assert f"A sincos publisher keeps {HIGH_WATER_MARK:,} for each reader" in PAGE
    assert f"holds more than {SLICE_VALUES:,} values" in PAGE


def test_the_status_examples_pass_the_wire() -> None:
    examples = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    for text in examples:
        status = Status("", 0, 0, 0, json.loads(text))
        assert codec.decode(codec.encode(status)) == status


def test_every_member_of_a_status_is_shown_and_explained() -> None:
    examples = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
    explained = {
        name for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    core = Predictor(new_model(ModelConfig("gru", 4), seed=1), PredictorConfig())
    list(core.receive([Chunk(Kind.INPUT, "demo", 1, 0, 0, 100.0, np.ones((1, 1, 1), np.float32))], Instant(0, 0)))
    sent = [effect.message for effect in core.tick(Instant(0, 0)) if isinstance(effect, Send)]
    bodies = {message.stream: message.body for message in sent if isinstance(message, Status)}
    assert [set(example) for example in examples[:2]] == [set(bodies[""]), set(bodies["demo"])]
    for names in (examples[1], examples[1]["learning"], examples[2]):
        assert set(names) - explained - {"method", "window", "stride"} == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("payload of input, target, estimate", f"{codec.MAX_PAYLOAD_BYTES // 2**20} MiB"),
        ("payload of info, status", f"{codec.MAX_JSON_BYTES // 2**20} MiB"),
        ("channels", f"1 to {codec.MAX_CHANNELS:,}"),
        ("fields", f"1 for inputs, 1 to {codec.MAX_FIELDS} for others"),
        ("seq + samples", f"at most 2^{codec.MAX_SEQ.bit_length() - 1}"),
    ],
)
def test_the_limits_are_the_wires(name: str, value: str) -> None:
    assert f"| {name} | {value} |" in PAGE


def test_the_source_is_heard_by_a_sincos_transport(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 's'}"
    samples = 20
    topics = [codec.topic(kind) for kind in (Kind.INFO, Kind.TARGET, Kind.INPUT)]
    heard: list[Incoming] = []
    code = program("In Python, with targets")
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


def test_the_smallest_source_is_small_and_heard(tmp_path: Path) -> None:
    address, samples = f"ipc://{tmp_path / 's'}", 150
    code = program("The smallest source")
    assert len([line for line in code.splitlines() if line]) <= 15
    heard: list[Incoming] = []
    topics = [codec.topic(Kind.INFO), codec.topic(Kind.INPUT)]
    with Transport(connect=[address], topics=topics) as reader, run(code, address, f"{samples}") as source:
        while not (heard and isinstance(heard[-1], Chunk) and heard[-1].end_seq == samples):
            assert reader.wait(BOUND_S * 1000), f"nothing came after {len(heard)} messages"
            heard += reader.receive()
        assert source.communicate(timeout=BOUND_S) == ("", "")
    chunks = [message for message in heard if isinstance(message, Chunk)]
    assert len(heard) > len(chunks)
    first = chunks[0].seq  # 0, unless this machine took a second to connect
    assert [chunk.seq for chunk in chunks] == list(range(first, samples))
    assert {chunk.kind for chunk in chunks} == {Kind.INPUT}
    values = np.concatenate([chunk.values for chunk in chunks])[:, 0, 0]
    np.testing.assert_allclose(values, np.sin(2 * np.pi * 5 * np.arange(first, samples) / 100), atol=1e-6)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_source_in_c_is_heard(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```c\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "source.c").write_text(code)
    built = tmp_path / "source"
    build = ["cc", "-Wall", "-Werror", tmp_path / "source.c", "-o", built, "-lzmq", "-lm"]
    compiled = subprocess.run(build, capture_output=True, text=True, timeout=BOUND_S, check=False)
    if "zmq.h: No such file" in compiled.stderr:
        pytest.skip("needs libzmq's header")
    assert compiled.returncode == 0, compiled.stderr
    address, samples, heard = f"ipc://{tmp_path / 's'}", 110, list[Incoming]()
    topics = [codec.topic(Kind.INFO), codec.topic(Kind.INPUT)]
    command = [built, address, f"{samples}"]
    with Transport(connect=[address], topics=topics) as reader, subprocess.Popen(command) as source:
        while not (heard and isinstance(heard[-1], Info) and heard[-1].ended):
            assert reader.wait(BOUND_S * 1000), f"nothing came after {len(heard)} messages"
            heard += reader.receive()
        assert source.wait(BOUND_S) == 0
    chunks = [message for message in heard if isinstance(message, Chunk)]
    first = chunks[0].seq  # 0, unless this machine took a second to connect
    assert [chunk.seq for chunk in chunks] == list(range(first, samples))
    values = np.concatenate([chunk.values for chunk in chunks])[:, 0, 0]
    np.testing.assert_allclose(values, np.sin(2 * np.pi * 5 * np.arange(first, samples) / 100), atol=1e-6)


def test_the_phase_of_a_hilbert_transform_is_a_quarter_turn_behind() -> None:
    samples = np.arange(1000)
    phase_rad = 2 * np.pi * 5 * samples / 1000 + 0.7
    spectrum = np.fft.fft(np.sin(phase_rad))
    spectrum[501:], spectrum[1:500] = 0, 2 * spectrum[1:500]
    analytic = np.fft.ifft(spectrum)  # as scipy.signal.hilbert makes it
    ours_deg, _ = phase_and_amplitude(np.cos(phase_rad).astype(np.float32), np.sin(phase_rad).astype(np.float32))
    np.testing.assert_allclose(np.exp(1j * np.radians(ours_deg - 90)), analytic, atol=1e-5)
    assert "hilbert_deg = phase_deg - 90" in PAGE
    for ours, theirs in re.findall(r"^\| .* \| (-?\d+) \| (-?\d+) \|$", PAGE, re.MULTILINE):
        assert (int(ours) - 90 - int(theirs)) % 360 == 0


def test_the_formulas_of_phase_and_amplitude_are_the_programs() -> None:
    formulas = dict(re.findall(r"^    (phase_deg|amplitude) = (.*?)  ", PAGE, re.MULTILINE))
    numbers = np.random.default_rng(5).normal(size=(50, 2)).astype(np.float32)
    ours = dict(zip(("phase_deg", "amplitude"), phase_and_amplitude(*numbers.T), strict=True))
    for name, formula in formulas.items():
        names = {"atan2": np.arctan2, "hypot": np.hypot, "pi": np.pi}
        there = eval(formula, names | {"cos": numbers[:, 0].astype(float), "sin": numbers[:, 1].astype(float)})
        np.testing.assert_allclose(ours.pop(name), there, rtol=1e-6)
    assert not ours


def test_the_worked_line_of_tallies_is_right() -> None:
    line = re.findall(r"(input|target) (\d) \(tally (\d)\)", PAGE)
    said = {"input": 0, "target": 0}
    for word, seq, tally in line:
        assert (int(seq), int(tally)) == (said[word], said["target" if word == "input" else "input"])
        said[word] += 1
    assert said == {"input": 3, "target": 3}


def test_the_key_file_can_be_used(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```\n(metadata.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    (folder / keys.SECRET).write_text(text)
    (folder / keys.SECRET).chmod(0o600)
    assert keys.load(folder).secret.decode() in text
    (tmp_path / "made").mkdir(mode=0o700)
    keys.make(tmp_path / "made")
    made = (tmp_path / "made" / keys.SECRET).read_text()
    assert re.sub(r'".*"', '""', made) == re.sub(r'".*"', '""', text)


def test_the_reader_hears_a_sincos_transport(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 's'}"

    def estimate(seq: int, run_id: int = 1) -> Chunk:
        values = np.array([[[seq, -1], [0.5, -1]], [[seq + 1, -1], [0.5, -1]]], np.float32)
        return Chunk(Kind.ESTIMATE, "demo", run_id, seq, 0, 100.0, values, 7)

    with Transport(bind=address) as publisher, run(program("In Python"), address) as reader:
        try:
            assert publisher.wait(BOUND_S * 1000)
            again = estimate(0), estimate(2)  # as a predictor says them that was restarted
            for message in (*again, estimate(6), estimate(0, run_id=0xABC), *again, estimate(7), *again):
                publisher.send(message)
            publisher.send(estimate(1, run_id=0xABC))
            assert reader.stdout is not None
            lines = [reader.stdout.readline().strip() for _ in range(13)]
        finally:
            reader.kill()
    said = [line.removeprefix("estimate/demo/ ") for line in lines]
    assert said == [
        "run 0000000000000001 from 0", "0 0.0 0.5", "1 1.0 0.5", "2 2.0 0.5", "3 3.0 0.5", "2 samples missing",
        "6 6.0 0.5", "7 7.0 0.5", "run 0000000000000abc from 0", "0 0.0 0.5", "1 1.0 0.5",
        "8 8.0 0.5", "2 2.0 0.5",
    ]  # fmt: skip


def samples_of(run_id: int, first: int, end: int, kind: Kind = Kind.ESTIMATE) -> Chunk:
    values = np.arange(first, end, dtype=np.float32).reshape(-1, 1, 1)
    return Chunk(kind, "demo", run_id, first, 0, 100.0, values)


class Slow:
    """A publisher of one-sample estimates that answers what it is asked for a few messages at a time.

    Attributes
    ----------
    requests, answered : int
        How many requests came, and how many messages answered them.
    """

    def __init__(self, publisher: Transport, *, lost_answers: int = 0) -> None:
        self.history = History(60, 2**30)
        self.requests: list[Replay] = []
        self.answered = 0
        self._lost = lost_answers
        self._publisher = publisher
        self._turn = threading.Lock()
        self._server = ReplayServer(self.history)

    def keep(self, run_id: int, first: int, end: int) -> None:
        """Take samples as said, without saying them."""
        with self._turn:
            for seq in range(first, end):
                self.history.add(samples_of(run_id, seq, seq + 1), 0)

    def serve(self, done: threading.Event) -> None:
        """Answer until it is done, 8 messages each millisecond, and with a status now and then."""
        for turn in itertools.count():
            if done.wait(0.001):
                return
            with self._turn:
                self._serve_a_little(with_status=turn % 100 == 0)

    def _serve_a_little(self, *, with_status: bool) -> None:
        for run_id in self.history.runs(Kind.ESTIMATE, "demo") if with_status else ():
            end = self.history.kept(Kind.ESTIMATE, "demo", run_id, 0)[-1].end_seq
            self._publisher.send(Status("demo", run_id, end, 0, {"replays": True}))
        for message in self._publisher.receive() if self._publisher.wait(0) else ():
            if isinstance(message, Request):
                self.requests.append(message.replay)
                self._server.take(message)
        for reply in self._server.work() or ():
            self.answered += 1
            if self.answered > self._lost:
                self._publisher.reply(reply.peer, reply.message)


@contextmanager
def reading(address: str, slow: Slow, publisher: Transport) -> Iterator["subprocess.Popen[str]"]:
    """Run the page's reliable reader at a publisher that answers in a thread."""
    with run(program("In Python, without loss"), address) as reader:
        done = threading.Event()
        server = threading.Thread(target=slow.serve, args=(done,))
        hang = threading.Timer(BOUND_S, reader.kill)
        hang.start()
        try:
            subscribed = 0
            while subscribed < 2:
                assert publisher.wait(BOUND_S * 1000)
                subscribed += len(publisher.receive())
            server.start()
            yield reader
        finally:
            hang.cancel()
            reader.kill()
            done.set()
            server.join(BOUND_S)


def lines_of(reader: "subprocess.Popen[str]", count: int) -> list[str]:
    assert reader.stdout is not None
    return [reader.stdout.readline().strip() for _ in range(count)]


@pytest.mark.parametrize("lost_answers", [0, 500])
def test_the_reliable_reader_is_not_flooded_with_what_it_asks_for(tmp_path: Path, lost_answers: int) -> None:
    address, missing = f"ipc://{tmp_path / 's'}", 11_000
    with Transport(bind=address, answers=True) as publisher:
        slow = Slow(publisher, lost_answers=lost_answers)
        slow.keep(7, 0, missing)
        with reading(address, slow, publisher) as reader:
            lines = lines_of(reader, missing + 1)
    assert lines == ["run 0000000000000007", *[f"{seq} {seq}.0" for seq in range(missing)]]
    assert slow.answered <= 1.5 * missing
    assert len(slow.requests) <= 20


def test_the_reliable_reader_takes_the_old_runs_tail_first_and_heeds_no_damaged_message(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 's'}"
    with Transport(bind=address, answers=True) as publisher:
        slow = Slow(publisher)
        slow.keep(7, 0, 20)
        with reading(address, slow, publisher) as reader:
            assert lines_of(reader, 21)[-1] == "19 19.0"
            publisher.send(samples_of(0x107, 20, 21))  # a bit of run turned
            publisher.send(samples_of(7, 2**40, 2**40 + 1))  # and one of seq
            slow.keep(7, 20, 30)  # lost on the way
            slow.keep(8, 0, 5)
            told = lines_of(reader, 16)
    lines = [[f"{seq} {seq}.0" for seq in seqs] for seqs in (range(20, 30), range(5))]
    assert told == [*lines[0], "run 0000000000000008", *lines[1]]


def lossy_source(publisher: Transport, done: threading.Event, word: str) -> None:
    """Publish 40 chunks of 2 samples, most of them never, some twice or late; answer requests as a source does."""
    history = History(60, 2**30)
    server = ReplayServer(history)
    kind = Kind[word.upper()]
    history.begin(kind, "demo", 7, seq=4)  # samples 0 to 3 are gone
    chunks = [
        Chunk(kind, "demo", 7, seq, 0, 100.0, np.arange(seq, seq + 2, dtype=np.float32).reshape(2, 1, 1))
        for seq in range(4, 84, 2)
    ]
    for number in (3, 2, 10, 10, 9, 30, 0):
        publisher.send(chunks[number])
    for one in chunks:
        history.add(one, 0)
    if word == "estimate":
        publisher.send(Status("demo", 7, 84, 0, {"replays": True}))
    else:
        publisher.send(Info("demo", 7, 84, 0, 100.0, ("0",), next_target_seq=84, replays=True))
    while not done.is_set():
        publisher.wait(20)
        for message in publisher.receive():
            if isinstance(message, Request):
                server.take(message)
        while (replies := server.work()) is not None:
            for reply in replies:
                publisher.reply(reply.peer, reply.message)


@pytest.mark.parametrize("word", ["input", "target", "estimate"])
def test_the_reliable_reader_misses_nothing(tmp_path: Path, word: str) -> None:
    address = f"ipc://{tmp_path / 's'}"
    code = program("In Python, without loss")
    with Transport(bind=address, answers=True) as publisher, run(code, address, word) as reader:
        done = threading.Event()
        try:
            subscribed = 0
            while subscribed < 2:
                assert publisher.wait(BOUND_S * 1000)
                subscribed += len(publisher.receive())
            source = threading.Thread(target=lossy_source, args=(publisher, done, word))
            source.start()
            assert reader.stdout is not None
            lines = [reader.stdout.readline().strip() for _ in range(82)]
        finally:
            reader.kill()
            done.set()
            source.join(BOUND_S)
    assert lines == ["run 0000000000000007", "gone 0 4", *[f"{seq} {seq}.0" for seq in range(4, 84)]]
