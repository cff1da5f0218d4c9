"""`sincos bench`: what the figures say, and that real processes give them."""

import json
import subprocess
import sys

import pytest

from predictor.bench import lane
from predictor.bench.feed import Order, encoded
from predictor.bench.measure import Figures, table, verdict
from predictor.bench.stopwatch import per_call_s, ratio
from streamer.messages import Chunk, Kind
from streamer.wire import codec

FIGURES = Figures(
    echo_s=[(100e-6, 200e-6), (200e-6, 400e-6), (100e-6, 200e-6)],
    predict_s=[(110e-6, 220e-6), (240e-6, 600e-6), (130e-6, 220e-6)],
    echo_rate=[100_000.0, 50_000.0, 80_000.0],
    predict_rate=[90_000.0, 50_000.0, 40_000.0],
    streams_rate=[30_000.0, 26_789.0, 20_000.0],
    wide_rate=[3e6, 1_234_567.0, 1e6],
    learnt_rate=[12_000.0, 9_990.0, 5_000.0],
    engine_rate=[4e6, 4e6, 4e6],
    bare_rate=[16e6, 8e6, 16e6],
    update_s=[1e-4, 1e-4, 1e-4],
)


def test_ratios_are_medians_of_rounds_and_not_ratios_of_medians() -> None:
    rows = {row.measure: row for row in table(FIGURES)}
    assert rows["published to answered p50"].ratio == pytest.approx(1.2)
    assert rows["published to answered p50"].ours == pytest.approx(130)
    assert rows["published to answered p99"].ratio == pytest.approx(1.1)
    assert rows["one-sample messages"].ratio == pytest.approx(0.9)
    assert rows["engine, 1,024 channels"].ratio == pytest.approx(0.25)
    assert ratio([3.0, 1.0, 8.0], [1.0, 1.0, 4.0]) == 2.0


def test_the_verdict_promises_no_more_than_was_measured() -> None:
    assert verdict(FIGURES) == (
        "At full load this machine carries 260 streams of one channel at 100 samples/s (26 at 1 kHz), or 12,000 "
        "channels of large streams at 100 samples/s (1,200 at 1 kHz); learning from every sample, 99 streams at "
        "100 samples/s (9 at 1 kHz)."
    )


def test_calls_take_turns() -> None:
    order: list[str] = []
    taken = per_call_s({name: lambda name=name: order.append(name) for name in "ab"}, rounds=3)  # type: ignore[misc]
    assert [len(rounds) for rounds in taken.values()] == [3, 3]
    turns = [name for place, name in enumerate(order) if place == 0 or order[place - 1] != name]
    assert turns[-6:] == ["a", "b"] * 3


def test_the_feeder_numbers_samples_on_and_streams_take_turns() -> None:
    order = Order(6, "s", streams=2, samples=3, targets=True)
    said = [codec.decode(parts) for parts in encoded(order, 0) + encoded(order, 6)]
    chunks = [message for message in said if isinstance(message, Chunk)]
    assert [c.kind for c in chunks[:2]] == [Kind.INPUT, Kind.TARGET]
    for stream in ("s0", "s1"):
        assert [c.seq for c in chunks if c.stream == stream and c.kind is Kind.INPUT] == [0, 3, 6, 9, 12, 15]


def test_the_command_measures_with_real_processes() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "predictor", "bench", "--rounds", "1", "--model", "tutorial", "--json", "--quiet"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = json.loads(result.stdout)
    assert all(row["ours"] > 0 and row["reference"] > 0 for row in told["rows"])
    assert told["verdict"].startswith("At full load this machine carries ")
    assert all(len(rounds) == 1 for rounds in told["rounds"].values())


class TestLane:
    """A lane never waits for a process that has ended, and leaves none behind."""

    @pytest.fixture
    def begun(self, monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
        begun: list[subprocess.Popen[bytes]] = []

        class Noted(subprocess.Popen):  # type: ignore[type-arg]
            def __init__(self, *arguments: object, **options: object) -> None:
                super().__init__(*arguments, **options)  # type: ignore[call-overload]
                begun.append(self)

        monkeypatch.setattr(lane.subprocess, "Popen", Noted)
        return begun

    @pytest.mark.parametrize("options", [["--no-such-flag"], ["--nominal-hz", "-1"]])
    def test_a_predictor_that_ends_at_once_is_said_with_its_words(
        self, begun: list["subprocess.Popen[bytes]"], options: list[str]
    ) -> None:
        with pytest.raises(lane.LaneError, match=rf"(?s)does not answer \(exit code 2\).*{options[0]}"):
            lane.Lane("predict", options).__enter__()
        assert len(begun) == 2
        assert all(child.returncode is not None for child in begun)

    @pytest.mark.parametrize(("victim", "says"), [(0, "the feeder ended"), (1, "exit code -9")])
    def test_who_is_killed_meanwhile_is_missed_at_once(
        self, begun: list["subprocess.Popen[bytes]"], victim: int, says: str
    ) -> None:
        with lane.Lane("echo", None) as running:
            begun[victim].kill()
            begun[victim].wait(60)
            with pytest.raises(lane.LaneError, match=says):
                running.pump(Order(10))
        assert all(child.returncode is not None for child in begun)
