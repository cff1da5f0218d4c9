"""The listener's core: what is printed, in which order, and that nothing is lost in silence."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.listen import listener as module
from predictor.listen.json_lines import report_line, sample_lines
from predictor.listen.listener import GRACE_NS, REMIND_NS, Listener, ListenerConfig
from streamer.clock import Instant
from streamer.effects import Effect, Finish, Print, Say
from streamer.errors import NothingHeard, UsageError
from streamer.messages import FIELDS, Chunk, Incoming, Info, Kind, Rejected, Status, Subscription

RUN, OTHER_RUN = 0x00C0FFEE00C0FFEE, 0xFFFFFFFFFFFFFFFF
TIME_NS = 1_754_000_000_000_000_000
JOINED = ListenerConfig(joined=True)


def chunk(
    kind: Kind, seq: int = 0, count: int = 1, *, run: int = RUN, stream: str = "demo", channels: int = 1
) -> Chunk:
    """Samples whose values tell them apart."""
    fields = 1 if kind is Kind.INPUT else 2
    values = np.arange(seq, seq + count, dtype=np.float32)[:, None, None] + 100 * np.float32(kind)
    values = values + 0.5 * np.arange(channels, dtype=np.float32)[None, :, None]
    values = values + 0.25 * np.arange(fields, dtype=np.float32)
    return Chunk(
        kind, stream, run, seq, TIME_NS + seq * 10_000_000, 100.0, values, 3 if kind is Kind.ESTIMATE else 0
    )


def info(
    next_seq: int = 0, *, run: int = RUN, targets: bool = True, ended: bool = False, stream: str = "demo"
) -> Info:
    return Info(stream, run, next_seq, TIME_NS, 100.0, ("0",), FIELDS if targets else (), ended=ended)


INPUT, TARGET, ESTIMATE = Kind.INPUT, Kind.TARGET, Kind.ESTIMATE


def at(seconds: float) -> Instant:
    return Instant(round(seconds * 1e9), 0)


def printed(effects: Iterable[Effect]) -> list[dict[str, Any]]:
    """The lines, read by a strict JSON parser."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    lines = [effect.line for effect in effects if isinstance(effect, Print)]
    return [json.loads(line, parse_constant=refuse) for line in lines]


def words(effects: Iterable[Effect]) -> str:
    return "\n".join(effect.text for effect in effects if isinstance(effect, Say))


def heard(core: Listener, *messages: Incoming, seconds: float = 0.0) -> list[dict[str, Any]]:
    return printed(core.receive(messages, at(seconds)))


def seqs(lines: Sequence[dict[str, Any]]) -> list[int]:
    return [line["seq"] for line in lines]


def started(config: ListenerConfig = JOINED) -> Listener:
    core = Listener(config)
    assert list(core.tick(at(0))) == []
    return core


def test_an_estimate_is_one_line_a_sample() -> None:
    values = np.array([[[1, 2], [3, 4]], [[0.1, -0.0], [1e-7, 1e20]]], np.float32)
    message = Chunk(ESTIMATE, "demo", RUN, 7, TIME_NS, 100.0, values, 9)
    assert list(sample_lines(message)) == [
        f'{{"stream": "demo", "run": "00c0ffee00c0ffee", "seq": 7, "time_ns": {TIME_NS}, '
        '"estimate": [1.0, 3.0], "sin": [2.0, 4.0], "model_version": 9}',
        f'{{"stream": "demo", "run": "00c0ffee00c0ffee", "seq": 8, "time_ns": {TIME_NS + 10_000_000}, '
        '"estimate": [0.1, 1e-07], "sin": [-0.0, 1e+20], "model_version": 9}',
    ]


def test_inputs_and_targets_go_by_their_own_names() -> None:
    config = ListenerConfig((INPUT, TARGET))
    lines = heard(started(config), chunk(INPUT, 4, channels=2), chunk(TARGET, 4))
    named = {"stream": "demo", "run": "00c0ffee00c0ffee", "seq": 4, "time_ns": TIME_NS + 40_000_000}
    assert lines == [named | {"input": [104.0, 104.5]}, named | {"target": [204.0], "sin": [204.25]}]


def test_fields_past_those_with_names_are_numbered() -> None:
    message = Chunk(ESTIMATE, "demo", RUN, 0, TIME_NS, 0.0, np.ones((1, 1, 4), np.float32))
    (line,) = map(json.loads, sample_lines(message))
    assert list(line)[4:] == ["estimate", "sin", "field2", "field3", "model_version"]


@given(st.lists(st.floats(width=32), min_size=1, max_size=8))
def test_every_float32_reads_back_exactly_and_what_is_not_finite_is_null(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)[None, :, None]
    (line,) = sample_lines(Chunk(INPUT, "demo", RUN, 0, TIME_NS, 0.0, values))
    (read,) = printed([Print(line)])
    for number, text in zip(numbers, read["input"], strict=True):
        if math.isfinite(number):
            assert np.float32(text) == np.float32(number)
        else:
            assert text is None


def test_status_and_info_are_lines_and_the_header_goes_before_the_body() -> None:
    body = {"health": "LIVE", "run": "a lie", "seq": 1, "learning": None}
    core = started(ListenerConfig((Kind.STATUS, Kind.INFO)))
    lines = heard(core, Status("demo", RUN, 5, TIME_NS, body), info(6))
    named = {"stream": "demo", "run": "00c0ffee00c0ffee", "time_ns": TIME_NS}
    assert lines[0] == named | {"next_seq": 5, "health": "LIVE", "seq": 1, "learning": None}
    assert lines[1] == named | {
        "next_seq": 6, "rate_hz": 100.0, "channels": ["0"], "target_fields": ["cos", "sin"],
        "target_delay_samples": 0, "next_target_seq": 0, "ended": False, "lateness_p99_s": None, "replays": False,
    }  # fmt: skip
    assert report_line(info()).isascii()


def test_count_ends_in_the_middle_of_a_chunk_and_nothing_follows() -> None:
    core = started(ListenerConfig((INPUT,), count=3))
    effects = list(core.receive([chunk(INPUT, 0, 2), chunk(INPUT, 2, 5), chunk(INPUT, 7)], at(0)))
    assert seqs(printed(effects)) == [0, 1, 2]
    assert effects[-1] == Finish()
    assert printed(core.stop(at(0))) == []


def test_a_count_of_nothing_finishes_at_once() -> None:
    assert list(Listener(ListenerConfig(count=0)).tick(at(0))) == [Finish()]


def test_other_streams_are_passed_over() -> None:
    core = started(ListenerConfig((INPUT,), stream="a"))
    lines = heard(core, chunk(INPUT, stream="b"), chunk(INPUT, stream="a"), Subscription(b"", active=True))
    assert [line["stream"] for line in lines] == ["a"]


@pytest.mark.parametrize(
    ("config", "topics"),
    [
        (ListenerConfig(), (b"estimate/",)),
        (ListenerConfig((INPUT, INPUT, Kind.STATUS), "a"), (b"status/a/", b"input/a/")),
        (JOINED, (b"info/", b"estimate/", b"target/", b"input/")),
    ],
)
def test_only_what_is_wanted_is_subscribed_to_the_input_last(
    config: ListenerConfig, topics: tuple[bytes, ...]
) -> None:
    assert config.topics == topics


def test_silence_is_an_error_after_the_timeout_and_not_before() -> None:
    core = started(ListenerConfig(timeout_s=2.0))
    assert core.next_deadline_ns() == at(2).mono_ns
    heard(core, chunk(ESTIMATE), seconds=1.5)
    assert core.next_deadline_ns() == at(3.5).mono_ns
    assert list(core.tick(at(3.4))) == []
    with pytest.raises(NothingHeard, match=r"nothing received for 2\.0 s"):
        list(core.tick(at(3.5)))


def test_joined_the_sources_infos_break_no_silence_and_what_was_held_is_printed() -> None:
    core = started(ListenerConfig(joined=True, timeout_s=2.0))
    heard(core, chunk(INPUT), info(1))
    heard(core, info(1), seconds=1.9)
    tick = core.tick(at(2))
    assert [effect for effect in map(next, [tick]) if isinstance(effect, Print)]
    with pytest.raises(NothingHeard):
        list(tick)


def test_without_a_timeout_it_waits_for_ever() -> None:
    assert started(ListenerConfig()).next_deadline_ns() is None


def test_what_is_not_understood_is_said_once_and_counted() -> None:
    core = started(ListenerConfig())
    assert "magic" in words(core.receive([Rejected("magic")], at(0)))
    assert words(core.receive([Rejected("a"), Rejected("b")], at(0))) == ""
    assert "3 malformed messages ignored" in words(core.stop(at(0)))


def test_joined_a_line_goes_out_when_all_three_are_there() -> None:
    core = started()
    assert heard(core, info(), chunk(INPUT), chunk(TARGET)) == []
    assert heard(core, chunk(ESTIMATE)) == [
        {
            "stream": "demo", "run": "00c0ffee00c0ffee", "seq": 0, "time_ns": TIME_NS, "input": [100.0],
            "target": [200.0], "target_sin": [200.25], "estimate": [300.0], "estimate_sin": [300.25],
            "model_version": 3,
        }
    ]  # fmt: skip


def test_joined_whatever_the_order_and_the_chunking_lines_are_in_order() -> None:
    core = started()
    lines = heard(core, info(), chunk(ESTIMATE, 0, 7), chunk(INPUT, 0, 4), chunk(TARGET, 0, 2))
    lines += heard(core, chunk(TARGET, 2, 8), chunk(INPUT, 4, 6), chunk(ESTIMATE, 7, 3))
    assert seqs(lines) == list(range(10))
    for line in lines:
        parts = (line["input"], line["target"], line["estimate"])
        assert parts == ([100 + line["seq"]], [200 + line["seq"]], [300 + line["seq"]])


def test_joined_a_stream_without_targets_is_not_kept_waiting() -> None:
    core = started()
    (line,) = heard(core, info(targets=False), chunk(INPUT), chunk(ESTIMATE))
    assert (line["target"], line["estimate"]) == (None, [300.0])


def test_joined_nothing_goes_out_before_it_is_known_whether_targets_come() -> None:
    core = started()
    assert heard(core, chunk(INPUT), chunk(ESTIMATE)) == []
    assert seqs(heard(core, info(1, targets=False))) == [0]
    known_by_a_target = started()
    assert seqs(heard(known_by_a_target, chunk(INPUT), chunk(ESTIMATE), chunk(TARGET))) == [0]
    assert heard(known_by_a_target, info(1, targets=False), chunk(INPUT, 1), chunk(ESTIMATE, 1)) == []


@pytest.mark.parametrize("lost", [INPUT, TARGET, ESTIMATE])
def test_joined_what_was_lost_is_null_as_soon_as_its_kind_has_gone_on(lost: Kind) -> None:
    core = started()
    kinds = [INPUT, TARGET, ESTIMATE]
    lines = heard(
        core, info(), *[chunk(kind, seq) for seq in range(3) for kind in kinds if (kind, seq) != (lost, 1)]
    )
    assert seqs(lines) == [0, 1, 2]
    assert [line[lost.word] is None for line in lines] == [False, True, False]
    if lost is ESTIMATE:
        assert lines[1]["model_version"] is None


def test_joined_an_info_tells_of_lost_inputs() -> None:
    core = started()
    assert heard(core, info(), chunk(TARGET, 0), chunk(ESTIMATE, 0)) == []
    (line,) = heard(core, info(1))
    assert line["input"] is None


def test_joined_a_joiner_in_the_middle_hears_all_it_can() -> None:
    core = started()
    lines = heard(core, info(100), chunk(TARGET, 90, 10), chunk(ESTIMATE, 98, 2), chunk(INPUT, 100))
    assert seqs(lines) == list(range(90, 100))
    assert {line["input"] is None for line in lines} == {True}
    assert seqs(heard(core, chunk(TARGET, 100), chunk(ESTIMATE, 100))) == [100]


def test_joined_the_end_gives_estimates_under_way_some_time_and_no_more() -> None:
    core = started()
    assert heard(core, info(), chunk(INPUT, 0, 3), chunk(TARGET, 0, 3), info(3, ended=True)) == []
    assert seqs(heard(core, chunk(ESTIMATE, 0), seconds=0.5)) == [0]
    due_ns = at(0.5).mono_ns + GRACE_NS  # of silence: counted from the newest part
    assert core.next_deadline_ns() == due_ns
    assert printed(core.tick(Instant(due_ns - 1, 0))) == []
    lines = printed(core.tick(Instant(due_ns, 0)))
    assert [(line["seq"], line["estimate"]) for line in lines] == [(1, None), (2, None)]


def test_joined_at_the_end_targets_that_never_came_are_not_waited_for() -> None:
    core = started()
    lines = heard(core, info(), chunk(INPUT), chunk(ESTIMATE), info(1, ended=True))
    assert [line["target"] for line in lines] == [None]


def test_joined_a_new_run_ends_the_old_one() -> None:
    core = started()
    heard(core, info(), chunk(INPUT, 0, 3), info(run=OTHER_RUN), chunk(INPUT, 0, run=OTHER_RUN))
    lines = printed(core.tick(Instant(GRACE_NS, 0)))
    assert [(line["run"], line["seq"]) for line in lines] == [("00c0ffee00c0ffee", seq) for seq in range(3)]
    (line,) = heard(core, chunk(TARGET, 0, run=OTHER_RUN), chunk(ESTIMATE, 0, run=OTHER_RUN))
    assert (line["run"], line["input"]) == ("ffffffffffffffff", [100.0])


def test_joined_streams_do_not_wait_for_each_other() -> None:
    core = started()
    messages: list[Incoming] = [
        info(stream="a"),
        chunk(INPUT, stream="a"),
        info(stream="b"),
        chunk(INPUT, stream="b"),
    ]
    lines = heard(core, *messages, chunk(TARGET, stream="b"), chunk(ESTIMATE, stream="b"))
    assert [line["stream"] for line in lines] == ["b"]
    assert printed(core.tick(Instant(GRACE_NS, 0))) == []
    assert [line["stream"] for line in printed(core.stop(at(9)))] == ["a"]


def test_joined_stop_prints_what_is_held() -> None:
    core = started()
    heard(core, chunk(INPUT, 0, 3), chunk(ESTIMATE, 1))
    lines = printed(core.stop(at(1)))
    assert [(line["seq"], line["input"] is None, line["estimate"] is None) for line in lines] == [
        (0, False, True), (1, False, False), (2, False, True),
    ]  # fmt: skip


def test_joined_past_the_bound_the_oldest_lines_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD", 10)
    core = started()
    lines = heard(core, info(), *[chunk(INPUT, seq) for seq in range(25)])
    assert seqs(lines) == list(range(15))
    assert {line["estimate"] is None for line in lines} == {True}
    # Ten numbers are three lines once each has its target of two.
    lines = heard(core, chunk(TARGET, 15, 10))
    assert seqs(lines) == list(range(15, 22))


def test_joined_runs_without_end_take_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RUNS", 3)
    core = started()
    lines = heard(core, *[chunk(INPUT, run=run) for run in range(10)])
    assert [int(line["run"], 16) for line in lines] == list(range(7))
    assert len(printed(core.stop(at(0)))) == 3


def test_joined_what_comes_twice_or_too_late_is_not_printed_but_said() -> None:
    core = started()
    heard(core, info(), chunk(INPUT), chunk(INPUT), chunk(TARGET), chunk(ESTIMATE))
    assert heard(core, chunk(ESTIMATE)) == []
    assert "2 late or duplicate messages" in words(core.stop(at(0)))


def test_joined_it_says_what_lines_wait_for_while_none_goes_out() -> None:
    core = started()
    heard(core, info(), chunk(INPUT, 0, 5), chunk(TARGET, 0, 5))
    assert core.next_deadline_ns() == REMIND_NS
    assert "5 samples wait for estimate" in words(core.tick(Instant(REMIND_NS, 0)))
    assert words(core.tick(Instant(REMIND_NS + 1, 0))) == ""
    heard(core, chunk(ESTIMATE, 0))
    assert words(core.tick(Instant(2 * REMIND_NS, 0))) == ""
    assert "4 samples wait for estimate" in words(core.tick(Instant(3 * REMIND_NS, 0)))
    heard(core, chunk(ESTIMATE, 1, 4))
    core.tick(Instant(4 * REMIND_NS, 0))
    assert words(core.tick(Instant(5 * REMIND_NS, 0))) == ""


def test_joined_before_an_info_it_says_that_it_waits_for_one() -> None:
    core = started()
    heard(core, chunk(INPUT))
    assert "1 samples wait for the source's info" in words(core.tick(Instant(REMIND_NS, 0)))


PARTS = st.lists(
    st.tuples(st.sampled_from([INPUT, TARGET, ESTIMATE]), st.integers(1, 4), st.booleans()), max_size=40
)


@given(PARTS)
def test_joined_every_part_that_came_is_printed_once_and_in_order(parts: list[tuple[Kind, int, bool]]) -> None:
    core = started()
    lines = heard(core, info())
    position = dict.fromkeys([INPUT, TARGET, ESTIMATE], 0)
    came: set[tuple[Kind, int]] = set()
    for kind, count, lost in parts:
        seq = position[kind]
        position[kind] += count
        if not lost:
            came |= {(kind, seq + offset) for offset in range(count)}
            lines += heard(core, chunk(kind, seq, count))
    lines += printed(core.stop(at(1)))
    assert seqs(lines) == sorted({seq for _, seq in came})
    told = {(kind, line["seq"]) for kind in position for line in lines if line[kind.word] is not None}
    assert told == came
    assert words(core.stop(at(1))) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stream", "a/b"),
        ("stream", ""),
        ("count", -1),
        ("timeout_s", 0.0),
        ("timeout_s", math.nan),
        ("timeout_s", -1.0),
    ],
)
def test_what_cannot_be_listened_to_is_named(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{name}: must .*got "):
        ListenerConfig(**{name: value})  # type: ignore[arg-type]
