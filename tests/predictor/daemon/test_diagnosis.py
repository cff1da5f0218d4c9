"""What is odd about a source's rate and times is said once, in plain words; what only looks odd is not."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from predictor.daemon.byte_order import HINT
from predictor.daemon.core import Predictor
from predictor.daemon.diagnosis import LINES_OVER_NS, MAX_LINES, Diagnosis, RateLimit
from predictor.daemon.formatting import amount, duration
from streamer.effects import INFO, WARNING, Effect, Say, Send
from streamer.messages import Chunk, Info, Kind, Rejected, Status
from tests.support.simulation import WALL_NS, at
from trainer.model import ModelConfig, new_model
from trainer.model_file import load_model

MODEL = new_model(ModelConfig(), seed=0)
Stamp = Callable[[int], int]
Sample = tuple[float, Chunk | Info]
HOUR = 3_600_000_000_000


def chunk(seq: int, samples: int, time_ns: int, said_hz: float, run: int = 1, stream: str = "mine") -> Chunk:
    return Chunk(Kind.INPUT, stream, run, seq, time_ns, said_hz, np.zeros((samples, 1, 1), np.float32))


def steadily(
    seconds: float, *, said_hz: float = 250.0, rate_hz: float = 250.0, samples: int = 1,
    stamp: Stamp | None = None, speed: float = 1.0, start_s: float = 0.0, first: int = 0,
) -> Iterator[Sample]:  # fmt: skip
    """Chunks as they come, each once its last sample has happened; a true clock, or the times of `stamp`."""
    for seq in range(first, first + round(seconds * rate_hz), samples):
        since_s = start_s + (seq - first) / rate_hz
        time_ns = WALL_NS + round(since_s * 1e9) if stamp is None else stamp(seq)
        come_s = start_s + (seq - first + samples - 1) / rate_hz / speed
        yield come_s + 0.001, chunk(seq, samples, time_ns, said_hz)


def run(samples: Iterator[Sample], core: Predictor | None = None) -> tuple[list[Say], list[Status]]:
    """What is said while samples come, on a fake clock, with a status each second; what every stream's said."""
    core = core or Predictor(MODEL)
    told: list[Effect] = []
    tick_s = now_s = 0.0
    for now_s, message in samples:
        while tick_s <= now_s:
            told += core.tick(at(tick_s))
            tick_s += 0.02 if core._turn else 1.0
        told += core.receive([message], at(now_s))
    told += core.tick(at(now_s + 1.0))
    says = [effect for effect in told if isinstance(effect, Say)]
    statuses = [
        effect.message for effect in told if isinstance(effect, Send) and isinstance(effect.message, Status)
    ]
    return says, [status for status in statuses if status.stream]


def odd(says: list[Say]) -> list[str]:
    """What is said of rates and times."""
    words = ("rate_hz", "time_ns", "time jumps", "come here")
    return [say.text for say in says if any(word in say.text for word in words)]


class TestRates:
    @pytest.mark.parametrize("rate_hz", [125.0, 83.3, 200.0, 300.0, 500.0])
    @pytest.mark.parametrize("times", ["true", "none"])
    def test_another_rate_than_the_source_says_is_said_once(self, rate_hz: float, times: str) -> None:
        stamp = None if times == "true" else lambda _seq: 0
        says, statuses = run(steadily(12, rate_hz=rate_hz, stamp=stamp))
        (line,) = odd(says)
        assert line.startswith("stream mine: the source says 250 samples/s (rate_hz), and ")
        assert f"and {amount(rate_hz)} come" in line
        body = statuses[-1].body
        assert body["said_rate_hz"] == 250.0
        assert body["source_rate_hz"] == (pytest.approx(rate_hz, rel=1e-3) if times == "true" else None)
        assert body["warnings"] == [line.removeprefix("stream mine: ")]

    def test_it_is_withdrawn_when_it_is_right_again(self) -> None:
        def samples() -> Iterator[Sample]:
            yield from steadily(10, rate_hz=125.0)
            yield from steadily(20, start_s=10.0, first=1250)

        says, statuses = run(samples())
        lines = [say for say in says if "rate_hz" in say.text]
        assert [say.level for say in lines] == [WARNING, INFO]
        assert lines[1].text == "stream mine: rate_hz is right again"
        assert statuses[-1].body["warnings"] == []

    def test_a_new_run_is_judged_anew(self) -> None:
        def samples() -> Iterator[Sample]:
            yield from steadily(10, rate_hz=125.0)
            for come_s, message in steadily(10, start_s=10.0):
                assert isinstance(message, Chunk)
                yield come_s, chunk(message.seq, 1, message.time_ns, 125.0, run=2)

        says, _ = run(samples())
        assert [("says 250" in line, "says 125" in line) for line in odd(says)] == [(True, False), (False, True)]

    @pytest.mark.parametrize("rate_hz", [0.2, 1.0, 7.0, 250.0])
    def test_a_right_rate_is_never_doubted(self, rate_hz: float) -> None:
        says, statuses = run(steadily(max(12, 60 / rate_hz), said_hz=rate_hz, rate_hz=rate_hz))
        assert odd(says) == []
        assert statuses[-1].body["warnings"] == []

    def test_nor_in_chunks_of_a_tenth_of_a_second(self) -> None:
        says, statuses = run(steadily(12, said_hz=10_000.0, rate_hz=10_000.0, samples=1000))
        assert odd(says) == []
        assert statuses[-1].body["source_rate_hz"] == pytest.approx(10_000)

    @pytest.mark.parametrize("times", ["true", "none"])
    def test_nor_where_it_jitters_pauses_and_comes_in_bursts(self, times: str) -> None:
        random, samples = np.random.default_rng(1), []
        held_until_s = 0.0
        for seq in range(250 * 60):
            due_s = seq / 250.0
            if seq % 3000 == 1500:
                held_until_s = due_s + 2.5  # what was sent meanwhile comes at once
            come_s = max(due_s + random.exponential(0.01), held_until_s)
            samples.append((come_s, chunk(seq, 1, 0 if times == "none" else WALL_NS + round(due_s * 1e9), 250.0)))
        says, _ = run(iter(samples))
        assert odd(says) == []

    def test_nor_where_stamps_are_those_of_sending_and_jitter(self) -> None:
        random = np.random.default_rng(2)
        late_ns = np.rint(random.exponential(3e6, 250 * 30)).astype(np.int64)
        says, _ = run(steadily(30, stamp=lambda seq: WALL_NS + seq * 4_000_000 + int(late_ns[seq])))
        assert odd(says) == []

    def test_nor_while_it_catches_up(self) -> None:
        says, _ = run(steadily(100, speed=25.0, stamp=lambda seq: WALL_NS - 100 * 10**9 + seq * 4_000_000))
        assert odd(says) == []

    def test_nor_where_the_source_says_that_it_keeps_to_none(self) -> None:
        def samples() -> Iterator[Sample]:
            for come_s, message in steadily(10, rate_hz=1000.0):
                if isinstance(message, Chunk) and message.seq == 10:
                    yield come_s, Info("mine", 1, 10, WALL_NS, 250.0, ("0",), replays=True, paced=False)
                yield come_s, message

        assert odd(run(samples())[0]) == []

    @pytest.mark.parametrize("speed", [0.5, 2.0])
    def test_another_speed_with_times_to_match_is_no_warning(self, speed: float) -> None:
        says, statuses = run(steadily(20, speed=speed))
        assert [say.level for say in says if say.text in odd(says)] == [INFO]
        assert statuses[-1].body["warnings"] == []

    def test_without_a_rate_it_is_said_once_and_measured(self) -> None:
        says, statuses = run(steadily(10, said_hz=0.0))
        (line,) = odd(says)
        assert line.startswith("stream mine: the source says no rate (rate_hz 0): ")
        body = statuses[-1].body
        assert body["said_rate_hz"] is None
        assert body["source_rate_hz"] == pytest.approx(250)
        assert body["rate_hz"] == pytest.approx(250, rel=0.01)


class TestTimes:
    def test_a_jump_is_said_with_sample_and_size_and_counted(self) -> None:
        def stamp(seq: int) -> int:
            return WALL_NS + (seq + 13 * (seq >= 1000)) * 4_000_000

        says, statuses = run(steadily(10, stamp=stamp))
        (line,) = odd(says)
        assert line.startswith("stream mine: time jumps by 52 ms at sample 1000 while seq is whole: ")
        assert statuses[-1].body["time_jumps"] == 1

    def test_many_jumps_are_few_lines(self) -> None:
        def stamp(seq: int) -> int:
            return WALL_NS + (seq + 20 * (seq // 1000)) * 4_000_000

        says, statuses = run(steadily(60, stamp=stamp))
        lines = odd(says)
        assert statuses[-1].body["time_jumps"] == 14
        assert 2 <= len(lines) <= 7
        assert "times, the last: time jumps by 80 ms at sample " in lines[-1]

    @pytest.mark.parametrize(
        ("stamp", "words"),
        [
            (lambda seq: (WALL_NS + seq * 4_000_000) // 1000, "time_ns looks like microseconds"),
            (lambda seq: (WALL_NS + seq * 4_000_000) // 10**6, "time_ns looks like milliseconds"),
            (lambda seq: (WALL_NS + seq * 4_000_000) // 10**9, "time_ns looks like seconds"),
            (lambda seq: 5000 * 10**9 + seq * 4_000_000, "time_ns counts from the start of the machine"),
            (lambda seq: 86_400 * 30 * 10**9 + seq * 4_000_000, "time_ns counts from the start of the machine"),
            (lambda seq: 1 + seq * 4_000_000, "time_ns counts from the start of the machine or the program"),
            (lambda seq: WALL_NS + HOUR + seq * 4_000_000, "time_ns is 1 h ahead of the clock here: local time"),
            (lambda seq: WALL_NS - 2 * HOUR + seq * 4_000_000, "time_ns is 2 h behind the clock here: local time"),
            (lambda seq: WALL_NS + 11 * HOUR // 2 + seq * 4_000_000, "time_ns is 5.5 h ahead of the clock here"),
            (
                lambda seq: WALL_NS - 1000 * 24 * HOUR + seq * 4_000_000,
                "time_ns is 2.74 years behind the clock here",
            ),
            (lambda seq: WALL_NS + 20 * 10**9 + seq * 4_000_000, "time_ns is 20 s ahead of the clock here"),
            (lambda _: WALL_NS, "time_ns stands still"),
        ],
        ids=["us", "ms", "s", "boot", "month", "program", "hour", "behind", "zone", "recording", "ahead", "still"],
    )
    def test_what_a_clock_that_is_off_looks_like_is_said_once_and_lag_is_null(
        self, stamp: Stamp, words: str
    ) -> None:
        says, statuses = run(steadily(15, stamp=stamp))
        (line,) = odd(says)
        assert line.startswith(f"stream mine: {words}")
        body = statuses[-1].body
        assert body["lag_p50_s"] is None
        assert body["lag_p99_s"] is None
        assert body["warnings"] == [line.removeprefix("stream mine: ")]

    def test_half_a_rate_in_microseconds_is_both(self) -> None:
        says, _ = run(steadily(15, rate_hz=125.0, stamp=lambda seq: (WALL_NS + seq * 8_000_000) // 1000))
        lines = odd(says)
        assert len(lines) == 2
        assert any("looks like microseconds" in line for line in lines)
        assert any("says 250 samples/s (rate_hz), and 125 come" in line for line in lines)

    def test_a_clock_that_agrees_has_a_lag(self) -> None:
        says, statuses = run(steadily(10))
        assert odd(says) == []
        assert statuses[-1].body["lag_p50_s"] == pytest.approx(0.001, abs=1e-6)

    def test_where_there_are_no_times_there_is_no_lag_and_no_word(self) -> None:
        says, statuses = run(steadily(10, stamp=lambda _: 0))
        assert odd(says) == []
        assert statuses[0].body["lag_p50_s"] is None
        assert statuses[-1].body["lag_p50_s"] is None

    def test_a_long_chunk_is_not_early(self) -> None:
        says, _ = run(steadily(100, samples=2500))
        assert odd(says) == []


class TestWords:
    def test_many_streams_do_not_flood(self) -> None:
        allowance = RateLimit()
        streams = [Diagnosis(f"s{number}", allowance) for number in range(10_000)]
        said: list[Effect] = []
        for second in range(30):
            now_ns = second * 10**9
            for stream in streams:
                said += stream.judge({"rate_hz": "wrong" if second % 2 else None}, now_ns)
            said += allowance.refused(now_ns)
        most = (30 * 10**9 // LINES_OVER_NS + 1) * (MAX_LINES + 1)
        assert MAX_LINES < len(said) <= most
        assert any("more such line(s) about streams" in say.text for say in said if isinstance(say, Say))
        assert streams[-1].standing == ["wrong"]

    def test_what_comes_and_goes_is_said_at_most_each_minute(self) -> None:
        diagnosis = Diagnosis("mine", RateLimit())
        said: list[Effect] = []
        for second in range(120):
            said += diagnosis.judge({"rate_hz": "wrong" if second % 2 else None}, second * 10**9)
        assert len([say for say in said if isinstance(say, Say) and say.level == WARNING]) == 2
        assert len(said) <= 4

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.052, "52 ms"),
            (2.0, "2 s"),
            (3600.0, "60 min"),
            (7200.0, "2 h"),
            (5e-6, "5 us"),
            (8.64e7, "2.74 years"),
        ],
    )
    def test_lengths_of_time(self, seconds: float, words: str) -> None:
        assert duration(seconds) == words

    def test_amounts(self) -> None:
        assert [amount(number) for number in (250.0, 10_000.3, 0.2, 83.333)] == ["250", "10,000", "0.2", "83.33"]


def test_it_costs_little() -> None:
    """Of an input chunk, a few hundred nanoseconds; here only that it is not a thousand times that."""
    from predictor.daemon.time_jumps import TimeJumps

    jumps = TimeJumps()
    jumps.begin(250.0)
    start = time.perf_counter()
    for seq in range(20_000):
        jumps.note(seq, 1, WALL_NS + seq * 4_000_000)
    assert time.perf_counter() - start < 20


def test_bytes_the_wrong_way_round_are_named() -> None:
    def samples() -> Iterator[Sample]:
        for come_s, message in steadily(10):
            assert isinstance(message, Chunk)
            values = np.array([np.sin(2 * np.pi * 10 * message.seq / 250)], np.float32).byteswap()
            yield come_s, replace(message, values=values.reshape(1, 1, 1))

    model = load_model("default")
    says, statuses = run(samples(), Predictor(model))
    assert [say.text for say in says if "big-endian" in say.text] == [f"stream mine: {HINT}"]
    assert HINT in statuses[-1].body["warnings"]


def test_what_cannot_be_read_is_told_of_at_once_and_then_each_ten_seconds() -> None:
    core, lines = Predictor(MODEL), []
    for second in range(31):
        list(core.receive([Rejected("payload: odd")] * 250, at(second)))
        lines += [say.text for say in core.tick(at(second + 0.5)) if isinstance(say, Say)]
    assert lines[:2] == [
        "rejected 250 message(s); the last: payload: odd",
        "rejected 2500 message(s); the last: payload: odd",
    ]
    assert len(lines) == 4
