"""What the console shows is of the present: of this run, and backed by messages, or said to be old."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.console import formatting
from predictor.console.collector import Collector, Selection
from predictor.console.error_curve import ErrorCurve
from predictor.console.render import plain_line, render
from predictor.console.runs import FollowedRun
from predictor.console.sample_ring import MAX_SAMPLES, JoinedSamples
from predictor.console.snapshot import Health, StreamSummary
from streamer.clock import Instant
from streamer.messages import Chunk, Incoming, Info, Kind, Status
from tests.support.dose import examples

EPOCH_NS = 1_700_000_000_000_000_000
RATE_HZ = 100.0
RUN, OTHER = 0xA1, 0xB2
INPUT, TARGET, ESTIMATE = Kind.INPUT, Kind.TARGET, Kind.ESTIMATE


def at(seconds: float) -> Instant:
    nanoseconds = round(seconds * 1e9)
    return Instant(nanoseconds, EPOCH_NS + nanoseconds)


def chunk(
    kind: Kind, first: int, end: int, *, run: int = RUN, off: float = 0.0, rate_hz: float = RATE_HZ
) -> Chunk:
    """A second harmonic-free wave of 5 Hz; `off` is added to cos."""
    phase = 2 * np.pi * 5.0 * np.arange(first, end) / rate_hz
    columns = [np.sin(phase)] if kind is INPUT else [np.cos(phase) + off, np.sin(phase)]
    values = np.stack(columns, axis=-1)[:, None].astype(np.float32)
    time_ns = EPOCH_NS + round(first / rate_hz * 1e9)
    return Chunk(kind, "demo", run, first, time_ns, rate_hz, values)


def info(next_seq: int, *, run: int = RUN, targets: bool = True, ended: bool = False) -> Info:
    names = ("cos", "sin") if targets else ()
    return Info("demo", run, next_seq, EPOCH_NS, RATE_HZ, ("0",), names, ended=ended)


def status(seq: int, *, run: int = RUN, **body: object) -> Status:
    said = {"health": "LIVE", "model": "new", "lag_p50_s": 0.004, "lag_p99_s": 0.008, "gaps": 3}
    return Status("demo", run, seq, 0, said | body)


class Played:
    """A console that hears source and predictor, half a second at a time."""

    def __init__(self) -> None:
        self.collector = Collector(["tcp://source:1"], ["tcp://predictor:2"], at(0))
        self.now_s = 0.0

    def play(
        self, seconds: float, *, run: int = RUN, first: int = 0, source: bool = True, predictor: bool = True,
        targets: bool = True, off: float = 0.25,
    ) -> "Played":  # fmt: skip
        for step in range(round(2 * seconds)):
            seq, end = first + 50 * step, first + 50 * (step + 1)
            batch: list[Incoming] = []
            if source:
                batch += [info(seq, run=run, targets=targets), chunk(INPUT, seq, end, run=run)]
            if source and targets:
                batch.append(chunk(TARGET, seq, end, run=run))
            if predictor:
                batch += [Status("", 0, 0, 0, {"rejected": 2}), status(end, run=run)]
            if source and predictor:
                batch.append(chunk(ESTIMATE, seq, end, run=run, off=off))
            self.hear(batch)
            self.now_s += 0.5
        return self

    def hear(self, batch: Sequence[Incoming]) -> None:
        self.collector.receive(batch, at(self.now_s))

    @property
    def summary(self) -> StreamSummary:
        return self.collector.snapshot(Selection(), at(self.now_s)).streams[0]

    def text(self, width: int = 120) -> str:
        return render(self.collector.snapshot(Selection(), at(self.now_s)), width, 40).plain

    def cell(self, label: str) -> str:
        """What stands beside a label."""
        return re.findall(rf"{re.escape(label)} +(\S+(?: \S+)*)", self.text())[-1]


class TestRuns:
    def test_a_run_without_targets_shows_no_error_of_the_one_before(self) -> None:
        played = Played().play(5).play(5, run=OTHER, targets=False)
        summary = played.summary
        assert (summary.rmse, summary.phase_deg, summary.scored_samples) == (None, None, 0)
        assert (summary.start_rmse, summary.start_phase_deg) == (None, None)
        assert not summary.has_targets
        assert "no targets" in played.cell("RMSE")
        assert "the source publishes no targets" in played.text()

    def test_each_run_starts_its_own_scores(self) -> None:
        summary = Played().play(5, off=0.5).play(0.5, run=OTHER, off=0.25).summary
        assert summary.run == OTHER
        assert summary.rmse == summary.start_rmse == pytest.approx(0.25, rel=1e-5)
        assert summary.scored_samples == 50

    def test_the_lag_of_the_run_before_is_not_shown(self) -> None:
        played = Played().play(5)
        assert played.summary.lag_p99_s == 0.008
        played.hear([info(0, run=OTHER), chunk(INPUT, 0, 50, run=OTHER), chunk(ESTIMATE, 0, 50, run=OTHER)])
        assert played.summary.run == OTHER
        assert (played.summary.lag_p50_s, played.summary.lag_p99_s) == (None, None)


class TestDeadPredictor:
    def test_the_header_is_live_no_longer_and_the_numbers_tell_their_age(self) -> None:
        played = Played().play(10)
        assert played.summary.health is Health.LIVE
        played.play(12, first=1000, predictor=False)
        assert played.summary.health is Health.UNANSWERED
        assert played.text().splitlines()[0].startswith(" sincos  NO ESTIMATES for 12.5 s  demo")
        for label in (
            "RMSE",
            "phase error",
            "phase now",
            "amplitude",
            "latency p50",
            "latency p99",
            "model",
            "gaps",
        ):
            assert "(12s)" in played.cell(label) or "(13s)" in played.cell(label), label
        assert played.cell("updates") == "not learning"
        assert "LIVE" not in played.text()
        assert "predictor silent for 12.5 s" in played.text()
        assert "(12s ago)" in plain_line(played.collector.snapshot(Selection(), at(played.now_s)))

    def test_a_new_run_that_it_never_answers(self) -> None:
        played = Played().play(5).play(5, run=OTHER, predictor=False)
        assert played.summary.run == OTHER
        assert played.summary.health is Health.UNANSWERED

    def test_a_predictor_that_speaks_but_does_not_answer(self) -> None:
        played = Played().play(5)
        for step in range(10):
            seq = 500 + 50 * step
            played.hear([info(seq), chunk(INPUT, seq, seq + 50), status(500)])
            played.now_s += 0.5
        assert played.summary.health is Health.UNANSWERED
        assert played.summary.lag_stale_s is not None

    def test_back_again_it_is_live(self) -> None:
        played = Played().play(5).play(5, first=500, predictor=False).play(2, first=1000)
        assert played.summary.health is Health.LIVE
        stale = ("score_stale_s", "estimate_stale_s", "status_stale_s", "lag_stale_s", "input_stale_s")
        assert [getattr(played.summary, name) for name in stale] == [None] * 5

    def test_who_was_never_there_takes_nothing_away(self) -> None:
        assert Played().play(5, predictor=False).summary.health is Health.LIVE


class TestWarnings:
    def test_what_the_predictor_finds_odd_is_shown_as_long_as_it_says_so(self) -> None:
        played = Played().play(2)
        played.hear([status(200, warnings=["says 250 and 125 come", 5, "\x1b[2J"])])
        assert "says 250 and 125 come" in played.text()
        assert "\x1b" not in played.text()
        played.hear([status(200, warnings="none")])
        assert "says 250" not in played.text()
        played.hear([status(200, warnings=["says 250 and 125 come"])])
        played.now_s += 10
        assert "says 250" not in played.text()


class TestSilence:
    def test_rmse_does_not_bridge_a_silence(self) -> None:
        played = Played().play(1, off=0.5)
        played.now_s += 60
        assert played.play(0.5, first=100, off=0.25).summary.rmse == pytest.approx(0.25, rel=1e-5)

    def test_slow_samples_are_no_silence(self) -> None:
        played = Played()
        for n in range(10):
            pair = [chunk(kind, n, n + 1, rate_hz=0.2, off=0.5 * (kind is ESTIMATE)) for kind in Kind if kind <= 3]
            played.hear(pair)
            played.now_s += 5
        assert played.summary.rmse == pytest.approx(0.5, rel=1e-5)
        assert played.summary.scored_samples == 10
        assert len(played.collector._streams["demo"]._run.scores._last) == 10

    def test_the_curve_is_broken(self) -> None:
        curve = ErrorCurve()
        for second in (0, 1, 2, 60, 61, 62):
            if second == 60:
                curve.cut()
            curve.add(np.array([1.0]), np.array([1.0]), second * 10**9)
        assert [np.isnan(point.rmse) for point in curve.points()] == [False] * 3 + [True] + [False] * 2

    @given(breaks=st.sets(st.integers(1, 1999), max_size=5))
    def test_and_stays_broken_however_long_it_grows(self, breaks: set[int]) -> None:
        curve, now_s = ErrorCurve(), 0
        for n in range(2000):
            if n in breaks:
                now_s += 600
                curve.cut()
            curve.add(np.array([1.0]), np.array([1.0]), now_s * 10**9)
            now_s += 1
        points = curve.points()
        assert sum(np.isnan(point.rmse) for point in points) <= len(breaks)
        assert not any(np.isnan(a.rmse) and np.isnan(b.rmse) for a, b in pairwise(points))
        assert [point.time_s for point in points] == sorted(point.time_s for point in points)

    def test_when_everything_stops_everything_says_so(self) -> None:
        played = Played().play(10)
        played.now_s += 59
        assert "LIVE" not in played.text()
        assert played.cell("RMSE").endswith("(60s)")
        assert played.cell("sample rate").startswith("0 Hz")
        assert "0.2500 at the start, 0.2500 60s ago" in played.text()

    def test_the_end_keeps_its_last_numbers_with_their_age(self) -> None:
        played = Played().play(10)
        played.hear([info(1000, ended=True)])
        played.now_s += 30
        assert played.summary.health is Health.ENDED
        assert played.cell("RMSE") == "0.2500 (30s)"

    def test_a_run_has_not_ended_while_its_predictor_catches_up(self) -> None:
        played = Played().play(5)
        played.hear([info(1000, ended=True), status(500, final_seq=1000), chunk(ESTIMATE, 450, 500)])
        assert played.summary.health is Health.LIVE
        played.hear([status(1000, final_seq=1000, health="ENDED")])
        assert played.summary.health is Health.ENDED


class TestFollowedRun:
    def test_one_damaged_message_changes_nothing(self) -> None:
        played = Played().play(5)
        for damaged in (chunk(INPUT, 1, 2, run=OTHER), info(3, run=OTHER), chunk(ESTIMATE, 1, 2, run=OTHER)):
            played.hear([damaged])
            played.play(3, first=500)
            assert (played.summary.run, played.summary.restarts) == (RUN, 0)
        assert played.summary.rmse == pytest.approx(0.25, rel=1e-5)

    def test_of_two_sources_one_is_shown_and_both_are_named_and_then_the_other(self) -> None:
        played = Played()
        for step in range(20):
            seq = 50 * step
            mine = [info(seq), chunk(INPUT, seq, seq + 50), chunk(ESTIMATE, seq, seq + 50)]
            its = [info(seq, run=OTHER), chunk(INPUT, seq, seq + 50, run=OTHER)]
            played.hear([*mine, *its] if (step + 1) % 3 else [*its, *mine])
            played.now_s += 0.5
            assert played.summary.run == RUN
        told = [event.text for event in played.collector.snapshot(Selection(), at(played.now_s)).events]
        assert told == [f"demo: two sources of one name: run {RUN:016x} is shown, {OTHER:016x} is not"]
        played.hear([info(1000, ended=True)])
        played.play(2, run=OTHER, first=1000)
        assert played.summary.run == OTHER

    def test_a_run_that_was_left_comes_back(self) -> None:
        played = Played().play(3).play(3, run=OTHER)
        assert played.summary.run == OTHER
        played.now_s += 2
        assert played.play(3, first=300).summary.run == RUN

    def test_leftover_estimates_do_not_bring_a_run_back(self) -> None:
        played = Played().play(3).play(3, run=OTHER)
        played.hear([chunk(ESTIMATE, 300, 350), chunk(ESTIMATE, 350, 400)])
        assert played.summary.run == OTHER

    def test_nothing_of_a_new_run_is_lost_while_it_is_not_shown_yet(self) -> None:
        followed = FollowedRun()
        assert followed.take(chunk(INPUT, 0, 50), 0) != []
        taken: list[int] = []
        for step in range(40):
            message = chunk(INPUT, 50 * step, 50 * step + 50, run=OTHER)
            taken += [one.seq for one in followed.take(message, step * 10**8) if isinstance(one, Chunk)]
        assert taken == [50 * step for step in range(40)]


class TestLargeChunks:
    @pytest.mark.parametrize("samples", [100, 1000, 3000, 20_000])
    def test_the_estimate_stays_in_sight_while_it_is_a_chunk_behind(self, samples: int) -> None:
        played, rate_hz = Played(), 10_000.0
        for step in range(8):
            first, end = step * samples, (step + 1) * samples
            played.hear([chunk(INPUT, first, end, rate_hz=rate_hz), chunk(TARGET, first, end, rate_hz=rate_hz)])
            shown = played.collector.snapshot(Selection(), at(played.now_s)).shown
            assert shown is not None
            if step:  # the last chunk has not been answered yet
                assert np.isfinite(shown.curves.estimates[-50:]).all()
                assert np.isfinite(shown.curves.inputs[-50:]).all()
            played.hear([chunk(ESTIMATE, first, end, rate_hz=rate_hz)])
            played.now_s += samples / rate_hz
        assert "estimate (cos)" in played.text()
        assert played.summary.scored_samples == 8 * samples

    def test_a_few_cycles_are_drawn_at_any_rate(self) -> None:
        played = Played()
        played.hear([chunk(kind, 0, 12_000, rate_hz=10_000.0) for kind in (INPUT, ESTIMATE)])
        assert "-0.8 s" in played.text() or "-0.5 s" in played.text()

    def test_many_channels_stay_within_bounds(self) -> None:
        assert JoinedSamples(65_536, 10**6)._capacity < 100
        assert JoinedSamples(1)._capacity == MAX_SAMPLES

    def test_where_estimates_have_ceased_the_inputs_go_on(self) -> None:
        played = Played().play(3).play(5, first=300, predictor=False)
        shown = played.collector.snapshot(Selection(), at(played.now_s)).shown
        assert shown is not None
        assert shown.curves.seq[-1] == 799


class TestNow:
    def test_phase_and_amplitude_of_the_newest_estimate(self) -> None:
        played = Played().play(2, off=0.0)
        shown = played.collector.snapshot(Selection(), at(played.now_s)).shown
        assert shown is not None
        assert shown.phase_now_deg == pytest.approx(360 * 5 * 199 / 100 % 360 - 360, abs=1e-3)
        assert shown.amplitude_now == pytest.approx(1.0, rel=1e-6)
        assert played.cell("phase now").startswith("-18.0\N{DEGREE SIGN}")

    def test_of_cos_alone_with_the_input(self) -> None:
        collector = Collector([], [], at(0))
        estimate = chunk(ESTIMATE, 0, 8)
        cos = Chunk(ESTIMATE, "demo", RUN, 0, 0, RATE_HZ, estimate.values[..., :1])
        collector.receive([chunk(INPUT, 0, 8), cos], at(0))
        shown = collector.snapshot(Selection(), at(0)).shown
        assert shown is not None
        assert shown.phase_now_deg == pytest.approx(126.0, abs=1e-3)


class TestFirstHeard:
    def test_a_stream_with_samples_goes_before_one_that_is_only_spoken_of(self) -> None:
        collector = Collector([], [], at(0))
        collector.receive([Status("old", 5, 9, 0, {"health": "LOST"}), chunk(INPUT, 0, 5)], at(0))
        shown = collector.snapshot(Selection(), at(0)).shown
        assert shown is not None
        assert shown.summary.name == "demo"
        assert collector.next_stream(Selection()) == Selection("old")


SPOKEN = st.tuples(
    st.sampled_from(["input", "target", "estimate", "info", "status", "ended"]),
    st.sampled_from([RUN, OTHER, 3]),
    st.integers(0, 300) | st.just(2**62),
    st.integers(1, 40),
    st.sampled_from([0.0, 1e-6, 0.2, 100.0, 1e9]),
    st.sampled_from([0.0, 0.01, 0.5, 5.0, 1e5]),
)


@examples(25, release=100)
@given(st.lists(SPOKEN, min_size=1, max_size=40))
def test_whatever_is_heard_in_whatever_order_there_is_a_picture_of_one_run(spoken: list[tuple]) -> None:  # type: ignore[type-arg]
    played = Played()
    for word, run, seq, count, rate_hz, pause_s in spoken:
        played.now_s += pause_s
        if word in ("info", "ended"):
            message: Incoming = info(seq, run=run, ended=word == "ended")
        elif word == "status":
            message = status(seq, run=run)
        else:
            values = np.ones((count, 1, 1 if word == "input" else 2), np.float32)
            message = Chunk(Kind[word.upper()], "demo", run, seq, 0, rate_hz, values)
        played.hear([message])
        summary, text = played.summary, played.text(80)
        assert max(map(len, text.split("\n"))) <= 80
        assert "no sample yet" in text or f"{summary.run:016x}"[:8] in text
        assert summary.scored_samples <= summary.estimate_samples


@given(st.floats(0, 1e12))
def test_an_age_takes_four_letters_at_most(value: float) -> None:
    assert len(formatting.age(value)) <= 4
