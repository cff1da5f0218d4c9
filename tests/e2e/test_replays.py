"""A real source, asked for what was missed: while it runs, after its last sample, and after it was killed."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer.messages import Chunk, Gone, Info, Kind, Replay
from streamer.source.signals import Signal
from streamer.transport.transport import Transport
from streamer.wire import codec
from tests.support.ports import Ports
from tests.support.processes import Starter, commands

BOUND_MS = 20_000


@pytest.fixture
def start() -> Iterator[Starter]:
    with commands() as starter:
        yield starter


@pytest.fixture
def address() -> str:
    return Ports().address()


class Reader:
    """Listens and asks; keeps every chunk by its kind and seq."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.chunks: dict[tuple[Kind, int], Chunk] = {}
        self.infos: list[Info] = []
        self.gone: list[Gone] = []

    def hear(self, timeout_ms: int = BOUND_MS) -> bool:
        came = self.transport.wait(timeout_ms)
        for message in self.transport.receive():
            if isinstance(message, Chunk):
                known = self.chunks.setdefault((message.kind, message.seq), message)
                assert codec.encode(known) == codec.encode(message), "what is said again is what was said"
            elif isinstance(message, Info):
                self.infos.append(message)
            elif isinstance(message, Gone):
                self.gone.append(message)
        return came

    def ask(self, kind: Kind, run: int, count: int) -> np.ndarray:
        """Every sample up to `count`: asked for again until all of them are there."""
        for _ in range(BOUND_MS // 50):
            missing = [seq for seq in range(count) if (kind, seq) not in self.chunks]
            if not missing:
                return np.concatenate([self.chunks[kind, seq].values for seq in range(count)])
            self.transport.ask(Replay(kind, "demo", run, missing[0], missing[-1] + 1 - missing[0]))
            self.hear(50)
            while self.hear(0):
                pass
        raise AssertionError(f"still missing: {missing[:5]}")


def listening(address: str, *kinds: Kind) -> Transport:
    return Transport(connect=[address], topics=[codec.topic(kind) for kind in kinds], asks=True)


def test_who_comes_late_gets_everything(start: Starter, address: str) -> None:
    with listening(address, Kind.INPUT) as observe:
        source = start("source", "--bind", address, "--count", 3000, "--rate", "max", "--linger", 20, "--wait")
        reader = Reader(observe)
        assert reader.hear()
        with listening(address, Kind.INFO) as late:
            reader = Reader(late)
            while not (reader.infos and reader.infos[-1].ended):
                assert reader.hear()
            info = reader.infos[-1]
            assert (info.next_seq, info.next_target_seq, info.replays) == (3000, 3000, True)
            inputs, targets = Signal().samples(0, 3000)
            np.testing.assert_array_equal(reader.ask(Kind.INPUT, info.run, 3000), inputs)
            np.testing.assert_array_equal(reader.ask(Kind.TARGET, info.run, 3000), targets)
            late.ask(Replay(Kind.INPUT, "demo", info.run + 1, 0, 5))
            while not reader.gone:
                assert reader.hear()
        assert source.stop() == 0


def test_a_source_killed_goes_on_with_its_run_and_nothing_is_missing(
    start: Starter, address: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    options = ["--bind", address, "--journal", journal, "--count", 1500, "--rate", 1000, "--noise", 0.1]
    with listening(address, Kind.INFO, Kind.TARGET, Kind.INPUT) as transport:
        reader = Reader(transport)
        for heard in (300, 700):
            source = start("source", *options)
            while not any(seq >= heard for kind, seq in reader.chunks if kind is Kind.INPUT):
                assert reader.hear()
            source.process.send_signal(signal.SIGKILL)
            source.process.wait(20)
        source = start("source", *options, "--linger", 20)
        source.says(r"continuing run [0-9a-f]{16} at sample \d+, as in ")
        while not reader.infos[-1].ended:
            assert reader.hear()
        (run,) = {info.run for info in reader.infos}
        inputs, targets = Signal(rate_hz=1000.0, noise=0.1).samples(0, 1500)
        np.testing.assert_array_equal(reader.ask(Kind.INPUT, run, 1500), inputs)
        np.testing.assert_array_equal(reader.ask(Kind.TARGET, run, 1500), targets)
        assert not reader.gone
        assert source.stop() == 0


def test_a_journal_of_another_signal_ends_in_one_line(start: Starter, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    here = ["--bind", f"ipc://{tmp_path / 's'}", "--journal", journal, "--rate", "max"]
    start("source", *here, "--count", 5).ends()
    other = start("source", *here, "--count", 5, "--frequency", 7)
    other.ends()
    assert other.process.returncode == 3
    assert len(other.log) == 1
    assert "signal.oscillation.frequency_hz 5.0 in it, 7.0 now" in other.log[0]
