"""Phase and amplitude: one convention, in `sincos listen --phase` as in `sincos apply`."""

import cmath
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.listen import listener as module
from predictor.listen.listener import GRACE_NS, Listener, ListenerConfig
from predictor.listen.phase_lines import FIRST_INPUTS, MAX_INPUT_NUMBERS, PhaseLines
from predictor.phase import phase_and_amplitude
from streamer.clock import Instant
from streamer.effects import Ask, Effect, Print
from streamer.errors import UsageError
from streamer.messages import Chunk, Gone, Incoming, Info, Kind, Status

RUN = 0xC0FFEE
INPUT, TARGET, ESTIMATE = Kind.INPUT, Kind.TARGET, Kind.ESTIMATE
STEP_DEG = 40.0


def chunk(kind: Kind, seq: int, count: int = 1, *, fields: int = 1, run: int = RUN, stream: str = "demo") -> Chunk:
    """An oscillation of amplitude 2 that turns 40 degrees a sample, its second channel 90 degrees ahead."""
    phase = np.radians(STEP_DEG * (seq + np.arange(count))[:, None] + [0.0, 90.0])
    cos, sin = 2 * np.cos(phase), 2 * np.sin(phase)
    values = sin[..., None] if kind is INPUT else np.stack([cos, sin], axis=-1)[..., :fields]
    return Chunk(kind, stream, run, seq, seq * 10_000_000, 100.0, values.astype(np.float32))


def at(seconds: float) -> Instant:
    return Instant(round(seconds * 1e9), 0)


def lines(effects: Iterable[Effect]) -> list[dict[str, Any]]:
    return [json.loads(effect.line) for effect in effects if isinstance(effect, Print)]


def listener(**options: Any) -> Listener:
    core = Listener(ListenerConfig(phase=True, **options))
    list(core.tick(at(0)))
    return core


def heard(core: Listener, *messages: Incoming, seconds: float = 0.0) -> list[dict[str, Any]]:
    return lines(core.receive(messages, at(seconds)))


def angle_of(seq: int, ahead_deg: float = 0.0) -> float:
    """The phase of a sample, -180 to 180, by complex numbers alone."""
    return math.degrees(cmath.phase(cmath.exp(1j * math.radians(STEP_DEG * seq + ahead_deg))))


def assert_phases(line: dict[str, Any]) -> None:
    expected = [angle_of(line["seq"]), angle_of(line["seq"], 90.0)]
    assert line["phase_deg"] == pytest.approx(expected, abs=1e-3)
    assert line["amplitude"] == pytest.approx([2.0, 2.0], rel=1e-6)


class TestNumbers:
    def test_the_phase_is_0_where_the_signal_rises_through_zero_and_90_at_its_peak(self) -> None:
        cos, sin = np.float32([1, 0, -1, 0]), np.float32([0, 1, 0, -1])
        phase_deg, amplitude = phase_and_amplitude(cos, sin)
        assert phase_deg.tolist() == [0, 90, 180, -90]
        assert amplitude.tolist() == [1, 1, 1, 1]

    @given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=20))
    def test_a_sample_has_the_same_phase_alone_as_among_others(self, pairs: list[tuple[float, float]]) -> None:
        cos, sin = np.array(pairs, np.float32).T
        together = phase_and_amplitude(cos, sin)
        for n in range(len(pairs)):
            alone = phase_and_amplitude(cos[n : n + 1], sin[n : n + 1])
            assert [part.tobytes() for part in alone] == [part[n : n + 1].tobytes() for part in together]


class TestBothFields:
    def test_members_follow_those_of_the_estimate(self) -> None:
        (line,) = heard(listener(), chunk(ESTIMATE, 5, fields=2))
        assert list(line)[4:] == ["estimate", "sin", "model_version", "phase_deg", "amplitude"]
        assert_phases(line)

    def test_no_input_is_waited_for_and_those_held_before_are_let_go(self) -> None:
        core = listener()
        assert heard(core, chunk(INPUT, 0, 100)) == []
        (line,) = heard(core, chunk(ESTIMATE, 7, fields=2))
        assert_phases(line)
        assert heard(core, chunk(INPUT, 100, 100)) == []
        assert core._held == 0

    def test_joined(self) -> None:
        info = Info("demo", RUN, 0, 0, 100.0, ("a", "b"))
        (line,) = heard(listener(joined=True), info, chunk(INPUT, 0), chunk(ESTIMATE, 0, fields=2))
        assert list(line)[4:] == [
            "input", "target", "estimate", "estimate_sin", "model_version", "phase_deg", "amplitude",
        ]  # fmt: skip
        assert_phases(line)

    def test_a_target_has_no_phase(self) -> None:
        core = listener(kinds=(TARGET, ESTIMATE))
        (line,) = heard(core, chunk(TARGET, 0, fields=2))
        assert "phase_deg" not in line

    def test_reliable_asks_for_no_inputs(self) -> None:
        core = listener(reliable=True)
        info = Info("demo", RUN, 500, 0, 100.0, ("a", "b"), replays=True)
        effects = [*core.receive([info, chunk(ESTIMATE, 0, fields=2)], at(0)), *core.tick(at(0.5))]
        assert not [effect for effect in effects if isinstance(effect, Ask)]
        assert len(lines(effects)) == 1

    def test_what_float32_cannot_hold_is_null(self) -> None:
        values = np.array([[[3e38, 3e38], [np.nan, 1.0]]], np.float32)
        (line,) = heard(listener(), Chunk(ESTIMATE, "demo", RUN, 0, 0, 100.0, values))
        assert (line["phase_deg"], line["amplitude"]) == ([45.0, None], [None, None])


class TestCosAlone:
    @pytest.mark.parametrize("first", [INPUT, ESTIMATE])
    def test_the_input_is_the_other_half_whichever_comes_first(self, first: Kind) -> None:
        parts = [chunk(INPUT, 0, 9), chunk(ESTIMATE, 0, 9)]
        core = listener()
        printed = heard(core, *(parts if first is INPUT else parts[::-1]))
        assert [line["seq"] for line in printed] == list(range(9))
        for line in printed:
            assert list(line)[4:] == ["estimate", "model_version", "phase_deg", "amplitude"]
            assert_phases(line)
        assert core._held == 0

    @given(
        inputs=st.lists(st.integers(1, 7), min_size=5, max_size=20),
        estimates=st.lists(st.integers(1, 7), min_size=5, max_size=20),
        turns=st.lists(st.booleans(), min_size=40, max_size=40),
    )
    def test_any_cut_and_any_order_of_the_two_gives_each_line_once(
        self, inputs: Sequence[int], estimates: Sequence[int], turns: Sequence[bool]
    ) -> None:
        queues = {kind: [(sum(cuts[:n]), cut) for n, cut in enumerate(cuts)] for kind, cuts in
                  ((INPUT, inputs), (ESTIMATE, estimates))}  # fmt: skip
        core, printed = listener(), []
        for turn in turns:
            kind = INPUT if turn else ESTIMATE
            kind = kind if queues[kind] else ({INPUT, ESTIMATE} - {kind}).pop()
            if queues[kind]:
                printed += heard(core, chunk(kind, *queues[kind].pop(0)))
        printed += lines(core.stop(at(1)))
        assert [line["seq"] for line in printed] == list(range(sum(estimates)))
        for line in printed[: sum(inputs)]:
            assert_phases(line)
        assert all(line["phase_deg"] is None for line in printed[sum(inputs) :])

    def test_where_the_input_was_lost_the_phase_is_null_and_the_estimate_is_printed(self) -> None:
        core = listener()
        printed = heard(core, chunk(INPUT, 0), chunk(INPUT, 2), chunk(ESTIMATE, 0, 3))
        assert [line["seq"] for line in printed] == [0, 1, 2]
        assert (printed[1]["phase_deg"], printed[1]["amplitude"]) == (None, None)
        assert_phases(printed[2])

    def test_inputs_without_estimates_print_nothing(self) -> None:
        core = listener()
        heard(core, chunk(ESTIMATE, 0), chunk(INPUT, 0, 10))
        printed = heard(core, chunk(ESTIMATE, 9))
        assert [line["seq"] for line in printed] == [9]

    def test_a_run_that_has_ended_waits_no_longer_than_its_grace(self) -> None:
        core = listener()
        heard(core, chunk(INPUT, 0, 2), chunk(ESTIMATE, 0, 2))
        assert heard(core, chunk(ESTIMATE, 2)) == []
        list(core.receive([Info("demo", RUN, 2, 0, 100.0, ("a", "b"), ended=True)], at(1)))
        (line,) = lines(core.tick(Instant(at(1).mono_ns + GRACE_NS, 0)))
        assert (line["seq"], line["phase_deg"]) == (2, None)

    def test_inputs_that_no_estimate_needs_take_little_room(self) -> None:
        core = listener()
        for n in range(100):
            assert heard(core, chunk(INPUT, 10_000 * n, 10_000)) == []
        ((_, lines_of),) = core._joins.items()
        assert isinstance(lines_of, PhaseLines)
        assert lines_of._inputs._values.size <= 2 * MAX_INPUT_NUMBERS

    def test_inputs_that_have_served_make_room(self) -> None:
        core = listener()
        for n in range(50):
            heard(core, chunk(INPUT, 500 * n, 500), chunk(ESTIMATE, 500 * n, 500))
        ((_, lines_of),) = core._joins.items()
        assert isinstance(lines_of, PhaseLines)
        assert len(lines_of._inputs._seq) == FIRST_INPUTS

    @pytest.mark.parametrize("behind", [0, 1_000, 50_000])
    def test_a_predictor_that_is_far_behind_finds_its_inputs(self, behind: int) -> None:
        core, printed = listener(), []
        for first in range(0, behind + 2_000, 500):
            printed += heard(core, chunk(INPUT, first, 500))
            if first >= behind:
                printed += heard(core, chunk(ESTIMATE, first - behind, 500))
        assert [line["seq"] for line in printed] == list(range(2_000))
        for line in printed[::97]:
            assert_phases(line)

    def test_what_is_said_twice_is_printed_twice_with_its_phase(self) -> None:
        printed = heard(listener(), chunk(INPUT, 0, 9), chunk(ESTIMATE, 0, 9), chunk(ESTIMATE, 3, 6))
        assert [line["seq"] for line in printed] == [*range(9), *range(3, 9)]
        for line in printed:
            assert_phases(line)

    def test_more_than_may_be_held_is_printed_without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_HELD", 100)
        core = listener()
        printed = [line for n in range(30) for line in heard(core, chunk(ESTIMATE, 10 * n, 10))]
        assert [line["seq"] for line in printed] == list(range(len(printed)))
        assert 200 <= len(printed) < 300
        assert all(line["phase_deg"] is None for line in printed)

    def test_printed_beside_the_inputs_themselves(self) -> None:
        core = listener(kinds=(INPUT, ESTIMATE))
        printed = heard(core, chunk(INPUT, 0), chunk(ESTIMATE, 0))
        assert [("input" in line, "phase_deg" in line) for line in printed] == [(True, False), (False, True)]

    def test_joined(self) -> None:
        info = Info("demo", RUN, 0, 0, 100.0, ("a", "b"))
        core = listener(joined=True)
        printed = heard(core, info, chunk(INPUT, 0, 2), chunk(ESTIMATE, 0), chunk(ESTIMATE, 1))
        for line in printed:
            assert list(line)[-3:] == ["model_version", "phase_deg", "amplitude"]
            assert_phases(line)
        (lost,) = lines([*heard_effects(core, chunk(INPUT, 2), chunk(ESTIMATE, 3), chunk(INPUT, 3))][:1])
        assert (lost["estimate"], lost["phase_deg"]) == (None, None)

    def test_reliable_asks_for_the_inputs_it_missed(self) -> None:
        core = listener(reliable=True)
        status = Status("demo", RUN, 4, 0, {"replays": True})
        info = Info("demo", RUN, 4, 0, 100.0, ("a", "b"), replays=True)
        effects = list(core.receive([status, chunk(ESTIMATE, 0, 4), info], at(0)))
        effects += core.tick(at(0.5))
        asked = {(ask.replay.kind, ask.replay.seq, ask.replay.samples) for ask in effects if isinstance(ask, Ask)}
        assert asked == {(INPUT, 0, 4)}
        printed = heard(core, chunk(INPUT, 1, 3), Gone(INPUT, "demo", RUN, 0, 1), seconds=0.6)
        assert printed[0] == {
            "stream": "demo", "run": f"{RUN:016x}", "gap": "input", "seq": 0, "samples": 1,
        }  # fmt: skip
        assert [line["phase_deg"] is None for line in printed[1:]] == [True, False, False, False]


def heard_effects(core: Listener, *messages: Incoming) -> Iterable[Effect]:
    return core.receive(messages, at(0))


def test_silence_is_that_of_what_is_printed() -> None:
    core = listener(timeout_s=2.0)
    heard(core, chunk(INPUT, 0), seconds=1.0)
    assert core.next_deadline_ns() == at(2.0).mono_ns


def test_without_estimates_there_is_no_phase() -> None:
    with pytest.raises(UsageError, match="--kind estimate"):
        ListenerConfig(kinds=(INPUT,), phase=True)


def test_inputs_are_heard_too_and_last() -> None:
    assert ListenerConfig(phase=True).topics == (b"info/", b"estimate/", b"input/")
