"""The console: what it makes of messages, and that its picture fits."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from predictor.console import formatting, untrusted
from predictor.console.chart import Axis, Curve, draw
from predictor.console.coalesce import coalesce
from predictor.console.collector import Collector, Selection
from predictor.console.error_curve import MAX_BUCKETS, CurvePoint, ErrorCurve
from predictor.console.loop import press
from predictor.console.rates import RateMeter
from predictor.console.render import plain_line, render
from predictor.console.sample_ring import MAX_SAMPLES, JoinedSamples
from predictor.console.snapshot import Health, Snapshot, StreamSummary
from predictor.console.stream import StreamView
from streamer.clock import Instant
from streamer.messages import Chunk, Incoming, Info, Kind, Rejected, Status
from tests.support.dose import examples

EPOCH_NS = 1_700_000_000_000_000_000
RATE_HZ = 100.0
FREQUENCY_HZ = 5.0
RUN = 0xABCDEF0123456789
SIZES = [(120, 40), (80, 24), (40, 12), (20, 5), (100, 9), (1, 1)]


def at(seconds: float) -> Instant:
    nanoseconds = round(seconds * 1e9)
    return Instant(nanoseconds, EPOCH_NS + nanoseconds)


def phases(seq: Sequence[int], channels: int = 1) -> np.ndarray:
    """Phases [samples, channels] of the test signal, each channel a little ahead of the one before."""
    return 2 * np.pi * FREQUENCY_HZ * np.asarray(seq)[:, None] / RATE_HZ + np.arange(channels)


def chunk(kind: Kind, seq: int, values: np.ndarray, *, run: int = RUN, stream: str = "demo") -> Chunk:
    time_ns = EPOCH_NS + round(seq / RATE_HZ * 1e9)
    version = 7 if kind is Kind.ESTIMATE else 0
    return Chunk(kind, stream, run, seq, time_ns, RATE_HZ, np.asarray(values, np.float32), version)


def inputs(first: int, end: int, channels: int = 1, **names: object) -> Chunk:
    return chunk(Kind.INPUT, first, np.sin(phases(range(first, end), channels))[..., None], **names)


def fields(
    kind: Kind, first: int, end: int, channels: int = 1, *, shift_deg: float = 0.0, gain: float = 1.0,
    count: int = 2, **names: object,
) -> Chunk:  # fmt: skip
    phase = phases(range(first, end), channels) + np.radians(shift_deg)
    values = gain * np.stack([np.cos(phase), np.sin(phase)], axis=-1)
    return chunk(kind, first, values[..., :count], **names)


def collected(*batches: Sequence[Incoming], every_s: float = 1.0) -> Collector:
    collector = Collector(["tcp://source:1"], ["tcp://predictor:2"], at(0))
    for number, batch in enumerate(batches):
        collector.receive(batch, at(number * every_s))
    return collector


def demo(collector: Collector, now: Instant | None = None) -> StreamSummary:
    return collector.snapshot(Selection(), now or at(10)).streams[0]


class TestErrors:
    def test_rmse_of_a_known_error(self) -> None:
        truth = fields(Kind.TARGET, 0, 200)
        off = chunk(Kind.ESTIMATE, 0, truth.values + np.float32([0.25, 0.0]))
        assert demo(collected([inputs(0, 200), truth, off])).rmse == pytest.approx(0.25, rel=1e-5)

    @pytest.mark.parametrize("shift_deg", [0.0, 30.0, -90.0, 175.0, 350.0])
    def test_phase_error_is_the_circular_distance(self, shift_deg: float) -> None:
        collector = collected(
            [inputs(0, 200), fields(Kind.TARGET, 0, 200), fields(Kind.ESTIMATE, 0, 200, shift_deg=shift_deg)]
        )
        expected = min(abs(shift_deg), 360 - abs(shift_deg))
        assert demo(collector).phase_deg == pytest.approx(expected, abs=1e-3)

    @pytest.mark.parametrize(("target_fields", "estimate_fields"), [(1, 2), (2, 1), (1, 1)])
    def test_the_input_is_the_in_phase_part_of_a_side_without_one(
        self, target_fields: int, estimate_fields: int
    ) -> None:
        collector = collected(
            [
                inputs(0, 100),
                fields(Kind.TARGET, 0, 100, count=target_fields),
                fields(Kind.ESTIMATE, 0, 100, count=estimate_fields),
            ]
        )
        assert demo(collector).phase_deg == pytest.approx(0.0, abs=1e-3)

    def test_all_channels_count(self) -> None:
        truth = fields(Kind.TARGET, 0, 50, 2)
        off = truth.values + np.float32([[0.3, 0.0], [0.4, 0.0]])
        summary = demo(collected([inputs(0, 50, 2), truth, chunk(Kind.ESTIMATE, 0, off)]))
        assert summary.rmse == pytest.approx(np.sqrt((0.09 + 0.16) / 2), rel=1e-5)

    def test_late_targets_and_any_order_of_chunks_give_the_same_error(self) -> None:
        estimates = [fields(Kind.ESTIMATE, n, n + 10, shift_deg=20) for n in range(0, 200, 10)]
        targets = [fields(Kind.TARGET, n, n + 25) for n in range(0, 200, 25)]
        late = collected([inputs(0, 200), *estimates], targets[::-1])
        early = collected([inputs(0, 200), *targets], estimates[::-1])
        assert demo(late).scored_samples == demo(early).scored_samples == 200
        assert demo(late).rmse == pytest.approx(demo(early).rmse)
        assert demo(late).phase_deg == pytest.approx(20, abs=1e-3)

    def test_a_sample_is_scored_once(self) -> None:
        pair = [fields(Kind.TARGET, 0, 50), fields(Kind.ESTIMATE, 0, 50)]
        assert demo(collected(pair, pair, pair)).scored_samples == 50

    def test_only_the_last_200_samples_count_now_and_the_first_50_at_the_start(self) -> None:
        collector = collected(
            [
                fields(Kind.TARGET, 0, 300),
                fields(Kind.ESTIMATE, 0, 100, gain=3),
                fields(Kind.ESTIMATE, 100, 300),
            ]
        )
        summary = demo(collector)
        assert summary.rmse == pytest.approx(0.0)
        assert summary.start_rmse == pytest.approx(2 * np.sqrt(0.5), rel=0.05)

    def test_without_targets_there_is_no_error(self) -> None:
        info = Info("demo", RUN, 0, EPOCH_NS, RATE_HZ, ("0",))
        summary = demo(collected([info, inputs(0, 50), fields(Kind.ESTIMATE, 0, 50)]))
        assert (summary.rmse, summary.phase_deg, summary.scored_samples) == (None, None, 0)
        assert not summary.has_targets

    def test_non_finite_estimates_are_not_scored_and_leave_the_rest_alone(self) -> None:
        estimate = fields(Kind.ESTIMATE, 0, 100, 2)
        estimate.values[10:20] = np.nan
        estimate.values[30:40, 0] = np.inf
        summary = demo(collected([inputs(0, 100, 2), fields(Kind.TARGET, 0, 100, 2), estimate]))
        assert summary.scored_samples == 90
        assert summary.rmse == pytest.approx(0.0)


class TestRuns:
    def test_a_new_run_is_said_and_old_samples_do_not_mix_with_it(self) -> None:
        collector = collected(
            [inputs(0, 100), fields(Kind.TARGET, 0, 100)],
            [inputs(0, 10, run=2), fields(Kind.ESTIMATE, 0, 100), fields(Kind.ESTIMATE, 0, 10, run=2)],
        )
        snapshot = collector.snapshot(Selection(), at(2))
        assert "source restarted, new run 0000000000000002" in snapshot.events[0].text
        assert (snapshot.streams[0].run, snapshot.streams[0].restarts) == (2, 1)
        assert snapshot.streams[0].scored_samples == 0
        assert snapshot.shown is not None
        assert len(snapshot.shown.curves.seq) == 10

    def test_what_waits_is_scored_before_a_run_ends(self) -> None:
        view = StreamView("demo")
        for message in (fields(Kind.TARGET, 0, 40), fields(Kind.ESTIMATE, 0, 40)):
            list(view.take(message, at(0)))
        scores = view._run.scores
        list(view.take(inputs(0, 5, run=2), at(2)))
        assert scores.count == 40
        shown = view.shown(0, at(2))
        assert shown is not None
        assert np.isnan(shown.curves.targets).all()

    def test_a_predictor_that_started_later_has_restarted(self) -> None:
        def daemon(time_s: float, uptime_s: float) -> Status:
            return Status("", 0, 0, EPOCH_NS + round(time_s * 1e9), {"uptime_s": uptime_s})

        steady = collected([daemon(0, 5)], [daemon(1, 6)], [daemon(2, 7)])
        assert not steady.snapshot(Selection(), at(3)).events
        assert collected([daemon(0, 5)], [daemon(1, 0.2)]).snapshot(Selection(), at(3)).events
        again = collected([daemon(0, 5)], [daemon(1, 0.2)], [daemon(2, 7)], [daemon(3, 2.2)])
        assert [event.text for event in again.snapshot(Selection(), at(3)).events] == ["predictor restarted"]

    def test_chunks_of_another_shape_are_left_out(self) -> None:
        summary = demo(collected([inputs(0, 10), inputs(10, 20, 3)]))
        assert (summary.channels, summary.input_samples) == (1, 10)


class TestHealth:
    def test_the_console_judges_by_itself_while_no_predictor_speaks(self) -> None:
        collector = collected([inputs(0, 10)])
        assert [demo(collector, at(s)).health for s in (1, 5, 30)] == [Health.LIVE, Health.STALE, Health.LOST]

    def test_a_predictors_word_counts_while_it_is_fresh(self) -> None:
        collector = collected([inputs(0, 10), Status("demo", RUN, 10, 0, {"health": "LOST"})])
        assert demo(collector, at(1)).health is Health.LOST
        assert demo(collector, at(2.5)).health is Health.STALE

    def test_changes_of_health_are_said(self) -> None:
        words_of = [[Status("demo", RUN, 0, 0, {"health": health})] for health in ("LIVE", "LIVE", "STALE")]
        events = collected(*words_of).snapshot(Selection(), at(3)).events
        assert [event.text for event in events] == ["demo: LIVE -> STALE"]

    def test_the_source_says_that_it_has_ended(self) -> None:
        ended = Info("demo", RUN, 10, EPOCH_NS, RATE_HZ, ("0",), ended=True)
        assert demo(collected([inputs(0, 10), ended])).health is Health.ENDED

    def test_age_of_the_newest_estimate(self) -> None:
        collector = collected([fields(Kind.ESTIMATE, 0, 101), fields(Kind.ESTIMATE, 20, 30)])
        assert demo(collector, at(1.25)).age_s == pytest.approx(0.25)


class TestBounds:
    def test_missing_samples_are_holes_in_the_curves(self) -> None:
        joined = JoinedSamples(1)
        joined.put(inputs(0, 100))
        joined.put(fields(Kind.ESTIMATE, 0, 40))
        joined.put(fields(Kind.ESTIMATE, 60, 100))
        curves = joined.latest(0, 100)
        assert np.isnan(curves.estimates[40:60]).all()
        assert np.isfinite(curves.estimates[[0, 39, 60, 99]]).all()
        assert np.isnan(curves.targets).all()

    def test_a_chunk_longer_than_the_room_keeps_its_end(self) -> None:
        joined = JoinedSamples(1)
        joined.put(chunk(Kind.INPUT, 0, np.arange(MAX_SAMPLES + 10.0)[:, None, None]))
        assert joined.latest(0, 3).inputs.tolist() == [MAX_SAMPLES + 7, MAX_SAMPLES + 8, MAX_SAMPLES + 9]

    def test_a_sample_that_comes_too_late_does_not_displace_a_newer_one(self) -> None:
        joined = JoinedSamples(1)
        joined.put(inputs(MAX_SAMPLES, MAX_SAMPLES + 10))
        assert len(joined.put(inputs(0, 10))) == 0
        assert np.isfinite(joined.latest(0, 10).inputs).all()

    def test_the_error_curve_keeps_its_whole_course_in_bounded_room(self) -> None:
        curve = ErrorCurve()
        for second in range(3600):
            error = 1.0 if second < 1800 else 0.5
            curve.add(np.array([error**2] * 2), np.array([10.0, np.nan]), second * 10**9)
        points = curve.points()
        assert len(points) <= MAX_BUCKETS
        assert points[0].time_s < 10
        assert points[-1].time_s > 3580
        assert {point.rmse for point in points[:200]} == {1.0}
        assert points[-1].rmse == pytest.approx(0.5)
        assert points[-1].phase_deg == pytest.approx(10.0)

    def test_the_part_of_the_error_curve_that_still_fills_is_not_drawn(self) -> None:
        curve = ErrorCurve()
        curve.add(np.array([4.0]), np.array([1.0]), 0)
        assert curve.points() == ()
        curve.add(np.array([0.0]), np.array([3.0]), 10**8)
        curve.add(np.array([9.0]), np.array([9.0]), 3 * 10**8)
        (point,) = curve.points()
        assert point == CurvePoint(0.125, pytest.approx(2**0.5), 2.0)  # type: ignore[arg-type]

    def test_streams_are_bounded(self) -> None:
        names = [inputs(0, 1, stream=f"s{number}") for number in range(1000)]
        assert len(collected(names).streams) == 256

    @given(cuts=st.lists(st.integers(1, 99), max_size=8))
    def test_coalescing_says_the_same_in_fewer_words(self, cuts: list[int]) -> None:
        whole = fields(Kind.TARGET, 0, 100)
        edges = sorted({0, 100, *cuts})
        parts = [chunk(Kind.TARGET, a, whole.values[a:b]) for a, b in pairwise(edges)]
        (joined,) = coalesce(parts)
        assert joined.seq == 0
        assert np.array_equal(joined.values, whole.values)

    def test_a_gap_or_another_shape_is_not_coalesced(self) -> None:
        assert len(list(coalesce([inputs(0, 5), inputs(6, 8), inputs(8, 9, 2)]))) == 3


class TestRates:
    def test_a_steady_stream(self) -> None:
        meter = RateMeter()
        for tick in range(101):
            meter.add(20, round(tick * 0.05e9))
        assert meter.per_second(5 * 10**9) == pytest.approx(400, rel=0.03)
        assert meter.total == 2020

    @pytest.mark.parametrize("every_s", [0.1, 0.3, 0.52, 1.0, 1.43, 3.0, 5.0, 30.0])
    @pytest.mark.parametrize("chunk", [1, 1000])
    def test_a_rate_is_right_however_slow_and_whenever_it_is_asked_for(self, every_s: float, chunk: int) -> None:
        meter, seen, next_s = RateMeter(), [], 0.0
        for look_s in np.arange(0, 40 * max(every_s, 0.5), max(every_s, 0.5) / 7):
            while next_s <= look_s:
                meter.add(chunk, round(next_s * 1e9))
                next_s += every_s
            if (rate := meter.per_second(round(look_s * 1e9))) is not None and look_s > 2 * max(every_s, 1):
                seen.append(rate)
        assert len(seen) > 200
        np.testing.assert_allclose(seen, chunk / every_s, rtol=0.02)

    def test_silence_lowers_the_rate_to_nothing(self) -> None:
        meter = RateMeter()
        for tick in range(11):
            meter.add(1, tick * 10**8)
        assert meter.per_second(10 * 10**9) == 0

    def test_nothing_is_claimed_before_there_is_a_second_to_measure(self) -> None:
        meter = RateMeter()
        meter.add(1, 0)
        meter.add(5, 4 * 10**8)
        assert meter.per_second(5 * 10**8) is None


class TestKeys:
    def test_streams_and_channels_go_round(self) -> None:
        collector = collected([inputs(0, 5, 2, stream="a"), inputs(0, 5, 1, stream="b")])
        assert press("c", Selection(), collector) == Selection(None, 1)
        assert press("cc", Selection(), collector) == Selection(None, 0)
        assert press("n", Selection(None, 1), collector) == Selection("b", 0)
        assert press("n\t", Selection(), collector) == Selection("a", 0)

    def test_q_quits_and_others_do_nothing(self) -> None:
        collector = collected()
        assert press("xyz\x1b[A", Selection(), collector) == Selection()
        assert press("nc", Selection(), collector) == Selection()
        assert press("xq", Selection(), collector) is None

    def test_the_selected_channel_is_drawn(self) -> None:
        collector = collected([inputs(0, 50, 3)])
        shown = collector.snapshot(Selection("demo", 2), at(1)).shown
        assert shown is not None
        assert np.allclose(shown.curves.inputs, np.sin(phases(range(50), 3))[:, 2], atol=1e-6)

    def test_a_channel_that_is_not_there_is_the_last(self) -> None:
        shown = collected([inputs(0, 5, 3)]).snapshot(Selection("demo", 99), at(1)).shown
        assert shown is not None
        assert shown.channel == 2


def lines_of(snapshot: Snapshot, width: int, height: int) -> list[str]:
    """Rendered lines, after a check that they fit."""
    lines = render(snapshot, width, height).plain.split("\n")
    assert len(lines) <= height
    assert max(cell_len(line) for line in lines) <= width
    return lines


def dots(line: str) -> int:
    """Cells in which something is drawn."""
    return sum("\u2800" < letter <= "\u28ff" for letter in line)


def live(streams: int = 1, channels: int = 1) -> Collector:
    """Ten seconds of streams that a predictor learns."""

    def batches() -> Iterator[Sequence[Incoming]]:
        for second in range(10):
            first, end, shift_deg = 100 * second, 100 * (second + 1), 90.0 / 2**second
            batch: list[Incoming] = [
                Status("", 0, 0, EPOCH_NS, {"rejected": 4, "uptime_s": 1e9}),
                Rejected("bad"),
            ]
            for number in range(streams):
                names = {"stream": f"s{number}"}
                batch += [
                    inputs(first, end, channels, **names),
                    fields(Kind.TARGET, first, end, channels, **names),
                    fields(Kind.ESTIMATE, first, end, channels, shift_deg=shift_deg, **names),
                    Status(names["stream"], RUN, end, 0, body()),
                ]
            yield batch

    return collected(*batches())


def body() -> dict[str, object]:
    return {
        "health": "LIVE", "model": "new", "lag_p50_s": 0.00042, "lag_p99_s": 0.0017, "gaps": 3,
        "gap_samples": 17, "recovered_samples": 678, "unusable": 5,
        "learning": {"updates": 4321, "loss": 0.0125, "skipped": 0},
    }  # fmt: skip


class TestRender:
    @pytest.mark.parametrize(("width", "height"), SIZES)
    @pytest.mark.parametrize("streams", [0, 1, 3, 40])
    def test_never_larger_than_the_terminal(self, width: int, height: int, streams: int) -> None:
        lines_of(live(streams).snapshot(Selection(), at(10)), width, height)

    def test_every_number_stands_in_a_standard_terminal(self) -> None:
        text = "\n".join(lines_of(live().snapshot(Selection(), at(10.5)), 80, 24))
        for fact in (
            "LIVE", "s0", "channel 0 of 1", "RMSE", "0.0034", "0.3\N{DEGREE SIGN}", "510.0 ms", "420 us",
            "1.7 ms", "new v7", "4,321", "0.0125", "3 (17)", "retransmits 678", "invalid     5", "rejected    14",
            "input (sin)", "target (true cos)", "estimate (cos)", "RMSE of cos", "-0.5 s", "q quit",
        ):  # fmt: skip
            assert fact in text

    def test_what_was_learnt_on_the_signal_itself_stands_beside_the_model(self) -> None:
        learning = {"method": "self", "updates": 180, "champion_deg": 75.24, "challenger_deg": 38.06}
        said = Status("demo", RUN, 100, 0, body() | {"learning": learning})
        text = "\n".join(lines_of(collected([inputs(0, 100), said]).snapshot(Selection(), at(1)), 80, 24))
        assert "self/model" in text
        assert "38.1/75.2\N{DEGREE SIGN}" in text
        assert "loss" not in text

    @pytest.mark.parametrize(("said", "shown"), [(False, True), (True, False), (None, False), ("no", False)])
    def test_a_signal_that_the_model_does_not_know_is_called_unfamiliar(self, said: object, shown: bool) -> None:
        status = Status("demo", RUN, 100, 0, body() | {"familiar": said})
        first = lines_of(collected([inputs(0, 100), status]).snapshot(Selection(), at(1)), 80, 24)[0]
        assert ("out of range" in first) is shown

    def test_a_channel_that_the_model_does_not_know_is_called_unfamiliar_where_it_is_shown(self) -> None:
        said = body() | {"familiar": True, "unfamiliar_channels": [1, "2", -1, True]}
        collector = collected([inputs(0, 100, 3), Status("demo", RUN, 100, 0, said)])
        heads = [lines_of(collector.snapshot(Selection("demo", n), at(1)), 80, 24)[0] for n in range(3)]
        assert ["out of range" in head for head in heads] == [False, True, False]

    def test_small_terminals_keep_the_numbers_and_lose_the_charts(self) -> None:
        lines = lines_of(live().snapshot(Selection(), at(10)), 40, 12)
        assert not any("input (sin)" in line for line in lines)
        assert any("RMSE" in line and "0.0034" in line for line in lines)
        tiny = "\n".join(lines_of(live().snapshot(Selection(), at(10)), 20, 5))
        assert "LIVE" in tiny
        assert "0.0034" in tiny

    def test_several_streams_stand_in_a_table(self) -> None:
        lines = lines_of(live(3).snapshot(Selection("s1"), at(10)), 120, 40)
        rows = [line for line in lines if line.startswith((" s0", " s1", " s2"))]
        assert len(rows) == 3
        assert all("LIVE" in row and "new v7" in row for row in rows)

    def test_the_curves_are_drawn(self) -> None:
        def drawn(collector: Collector) -> int:
            return sum(map(dots, lines_of(collector.snapshot(Selection(), at(10)), 80, 24)))

        inputs_alone = drawn(collected([inputs(0, 1000)]))
        assert drawn(live()) > inputs_alone > 80

    def test_a_line_is_broken_where_values_are_missing(self) -> None:
        x, y = np.arange(100.0), np.zeros(100)
        y[20:80] = np.nan
        axis = Axis(0, 99, []), Axis(-1, 1, [])
        whole, broken = (draw([Curve(x, values, 39)], *axis, 60, 8) for values in (np.zeros(100), y))
        counts = [sum(dots(line.plain) for line in lines) for lines in (whole, broken)]
        assert counts[1] == pytest.approx(0.4 * counts[0], abs=2)

    def test_the_background_is_the_terminals_own(self) -> None:
        styles = [span.style for span in render(live(2).snapshot(Selection(), at(10)), 80, 24).spans]
        assert any(isinstance(style, Style) and style.color is not None for style in styles)
        assert not any(isinstance(style, Style) and style.bgcolor is not None for style in styles)

    def test_charts_are_as_wide_as_the_terminal(self) -> None:
        lines = lines_of(live().snapshot(Selection(), at(10)), 120, 40)
        assert sum(cell_len(line) == 120 and "\u2500" in line for line in lines) == 2

    def test_no_error_at_all_is_drawn_at_the_bottom(self) -> None:
        batches = [
            [fields(kind, 10 * n, 10 * n + 10) for kind in (Kind.TARGET, Kind.ESTIMATE)] for n in range(100)
        ]
        lines = lines_of(collected(*batches, every_s=0.1).snapshot(Selection(), at(10)), 80, 24)
        legend = next(number for number, line in enumerate(lines) if "RMSE of cos" in line)
        rows = [dots(line) for line in lines[legend + 1 :]]
        assert sum(rows) == max(rows) > 20

    def test_what_happened_long_ago_is_no_longer_told(self) -> None:
        collector = collected([inputs(0, 10)], [inputs(0, 10, run=2)], every_s=2.0)
        assert any("restarted" in line for line in lines_of(collector.snapshot(Selection(), at(50)), 80, 24))
        assert not any("restarted" in line for line in lines_of(collector.snapshot(Selection(), at(70)), 80, 24))

    def test_nobody_heard(self) -> None:
        text = "\n".join(lines_of(collected().snapshot(Selection(), at(3)), 80, 24))
        assert "waiting for a source at tcp://source:1" in text
        assert "no predictor answers at tcp://predictor:2" in text

    def test_a_source_alone(self) -> None:
        text = "\n".join(lines_of(collected([inputs(0, 50)]).snapshot(Selection(), at(1)), 80, 24))
        assert "waiting for a source" not in text
        assert "no predictor answers at tcp://predictor:2" in text

    def test_a_source_that_has_not_begun(self) -> None:
        info = Info("demo", RUN, 0, EPOCH_NS, RATE_HZ, ("0",), ("cos", "sin"))
        text = "\n".join(lines_of(collected([info]).snapshot(Selection(), at(1)), 80, 24))
        assert "WAITING demo is announced, no sample yet" in text

    def test_a_predictor_that_fell_silent(self) -> None:
        text = "\n".join(lines_of(live().snapshot(Selection(), at(15)), 80, 24))
        assert "predictor silent for 6.0 s" in text

    def test_a_stream_that_was_asked_for_and_is_not_there(self) -> None:
        text = "\n".join(lines_of(live().snapshot(Selection("other"), at(10)), 80, 24))
        assert "waiting for stream other" in text

    def test_the_plain_line(self) -> None:
        line = plain_line(live().snapshot(Selection(), at(10)))
        assert line == (
            "  10.0 s  s0 LIVE  samples 1,000  rmse 0.0034  phase error 0.3\N{DEGREE SIGN}  updates 4,321"
        )
        assert "waiting for a source" in plain_line(collected().snapshot(Selection(), at(1)))

    @pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, -3e38, 1e-45, 0.0])
    def test_any_float_can_be_drawn(self, value: float) -> None:
        def constant(kind: Kind) -> Chunk:
            return chunk(kind, 0, np.full((300, 1, 1), value))

        snapshot = collected([inputs(300, 600)], [constant(k) for k in (Kind.INPUT, Kind.TARGET, Kind.ESTIMATE)])
        lines_of(snapshot.snapshot(Selection(), at(2)), 80, 24)
        alone = collected([constant(Kind.INPUT), constant(Kind.ESTIMATE)])
        lines_of(alone.snapshot(Selection(), at(2)), 80, 24)

    @pytest.mark.parametrize("rate_hz", [0.0, 1e-300, 1e300])
    def test_any_rate_can_be_drawn(self, rate_hz: float) -> None:
        info = Info("demo", RUN, 0, EPOCH_NS, rate_hz, ("0",))
        lines_of(collected([info, inputs(0, 300)]).snapshot(Selection(), at(2)), 80, 24)

    def test_the_largest_sample_index(self) -> None:
        far = [chunk(kind, 2**63 - 20, np.ones((20, 1, 1))) for kind in (Kind.INPUT, Kind.TARGET, Kind.ESTIMATE)]
        collector = collected([Chunk(c.kind, c.stream, c.run, c.seq, 0, c.rate_hz, c.values) for c in far])
        assert demo(collector).scored_samples == 20
        lines_of(collector.snapshot(Selection(), at(2)), 80, 24)


KEYS = [
    *body(),
    "model_version",
    "unfamiliar_channels",
    "warnings",
    "updates",
    "loss",
    "skipped",
    "waiting_samples",
    "champion_deg",
    "challenger_deg",
    "rejected",
    "uptime_s",
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)


class TestLies:
    @examples(30, release=180)
    @given(said=st.dictionaries(st.sampled_from(KEYS), ANYTHING))
    def test_no_status_body_can_break_the_picture(self, said: dict[str, object]) -> None:
        collector = collected([inputs(0, 60), Status("demo", RUN, 1, 1, said), Status("", 0, 0, 1, said)])
        snapshot = collector.snapshot(Selection(), at(1))
        for width, height in ((80, 24), (40, 12)):
            assert all(line.isprintable() for line in lines_of(snapshot, width, height))
        assert plain_line(snapshot).isprintable()

    def test_claims_are_of_their_type_or_nothing(self) -> None:
        said = {"a": True, "b": "x" * 999, "c": float("nan"), "d": -3, "e": 10**400, "f": "\x1b[2J", "g": 2.5}
        assert [untrusted.number(said, key) for key in "abcdeg"] == [None, None, None, -3.0, None, 2.5]
        assert [untrusted.count(said, key) for key in "dg"] == [None, 2]
        assert untrusted.text(said, "f") == "?[2J"
        assert len(untrusted.text(said, "b") or "") == 32
        assert untrusted.section(said, "a") is None


class TestWords:
    @given(value=st.floats(allow_nan=False, allow_infinity=False))
    def test_every_number_fits_its_cell(self, value: float) -> None:
        for word in (formatting.plain, formatting.error, formatting.hertz, formatting.seconds):
            assert len(word(value)) <= 13
        assert len(formatting.whole(int(abs(value)))) <= 13

    def test_units(self) -> None:
        told = [formatting.seconds(s) for s in (0.0002, 0.0123, 4.2, 600, 10_000)]
        assert told == ["200 us", "12.3 ms", "4.2 s", "10 min", "2.78 h"]
        assert formatting.hertz(99.96) == "100.0 Hz"
        assert formatting.seconds(None) == formatting.error(None) == formatting.whole(None) == "-"
