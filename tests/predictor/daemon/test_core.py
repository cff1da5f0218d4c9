"""The daemon's core on a fake clock: one estimate for every sample, whatever comes."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.daemon.stream import slice_values
from predictor.engine.stepper import Engine
from streamer.effects import Checkpoint
from streamer.messages import Burst, Chunk, FloatArray, Incoming, Info, Kind, Rejected, Status, Subscription
from streamer.ordering.restarts import restarted_run
from streamer.ordering.retry import RetryPolicy
from streamer.source.signals import Signal
from streamer.waveforms import Oscillation
from streamer.wire import batch, codec
from tests.support.dose import examples
from tests.support.simulation import WALL_NS, answer, at, chunk, joined, published, said, sent, status_of
from trainer.model import Model, ModelConfig, Weights, new_model
from trainer.offline.network import predict
from trainer.online.tbptt import OnlineConfig, OnlineLearner


def model(cell: str = "gru", **config: object) -> Model:
    level_samples = 0.0 if cell == "gated" else 20.0  # it has levels of its own
    return new_model(ModelConfig(cell, 8, level_samples=level_samples, **config), seed=2)  # type: ignore[arg-type]


AT_ONCE = RetryPolicy(deadline_s=0)  # what is missing is given up as soon as that is noticed


def learning(a_model: Model, window: int = 10, stride: int = 10, retry_policy: RetryPolicy = AT_ONCE) -> Predictor:
    config = OnlineConfig(window_samples=window, stride_samples=stride)
    return Predictor(a_model, PredictorConfig(retry_policy=retry_policy), partial(OnlineLearner, config=config))


def weights_of(core: Predictor) -> Weights:
    learner = core.streams["demo"].scheduler.learner
    assert isinstance(learner, OnlineLearner)
    return learner._parameters.named


# Estimates


def test_every_sample_gets_the_estimate_of_the_whole_sequence_forward() -> None:
    signal = Signal(Oscillation(amplitude=3.0), channels=2, noise=0.1)
    estimates = answer(Predictor(model()), published(signal, 300))
    expected, _ = predict(model(), signal.samples(0, 300)[0][..., 0])
    np.testing.assert_allclose(joined(estimates), expected, atol=1e-5)


def test_an_estimate_repeats_run_seq_time_and_rate_of_its_input() -> None:
    messages = published(Signal(rate_hz=200.0), 20, run=2**64 - 1, chunk=5)
    inputs = [m for m in messages if isinstance(m, Chunk) and m.kind is Kind.INPUT]
    for estimate, heard in zip(answer(Predictor(model()), messages), inputs, strict=True):
        assert estimate.kind is Kind.ESTIMATE
        assert (estimate.stream, estimate.run, estimate.seq, estimate.time_ns, estimate.rate_hz) == (
            heard.stream, heard.run, heard.seq, heard.time_ns, heard.rate_hz,
        )  # fmt: skip


@examples(30, release=120)
@given(size=st.integers(1, 60), channels=st.integers(1, 3))
def test_chunking_does_not_change_a_bit(size: int, channels: int) -> None:
    signal = Signal(channels=channels, noise=0.2)
    whole = answer(Predictor(model()), published(signal, 60, chunk=60))
    pieces = answer(Predictor(model()), published(signal, 60, chunk=size))
    assert joined(pieces).tobytes() == joined(whole).tobytes()


def test_streams_are_kept_apart() -> None:
    signals = {
        "a": Signal(Oscillation(frequency_hz=3.0)),
        "b": Signal(Oscillation(frequency_hz=7.0), channels=2),
    }
    spoken = {name: published(signal, 50, stream=name) for name, signal in signals.items()}
    core = Predictor(model())
    mixed = answer(core, [m for pair in zip(*spoken.values(), strict=True) for m in pair])
    for name in signals:
        alone = answer(Predictor(model()), spoken[name])
        assert joined([c for c in mixed if c.stream == name]).tobytes() == joined(alone).tobytes()


def outgoing(
    core: Predictor, messages: Sequence[Incoming], cuts: Sequence[int] = ()
) -> dict[str, list[list[bytes]]]:
    """What each stream's readers get when `messages` come in the batches that `cuts` make of them."""
    told: dict[str, list[list[bytes]]] = {}
    bounds = [0, *sorted(cuts), len(messages)]
    for first, end in itertools.pairwise(bounds):
        together = batch.decode([codec.encode(m) for m in messages[first:end]])  # type: ignore[arg-type]
        for message in sent(core.receive(together, at(0))):
            parts = [*batch.encode(message)] if isinstance(message, Burst) else [codec.encode(message)]
            for topic, header, payload in parts:
                told.setdefault(topic.decode(), []).append([header, payload])
    return told


@examples(20, release=100)
@given(data=st.data())
def test_who_came_with_whom_changes_no_bit(data: st.DataObject) -> None:
    """Streams of any size, chunks of any length, duplicates, gaps, restarts and targets, in any batches."""
    reset = data.draw(st.booleans())
    spoken: dict[str, list[Chunk]] = {}
    for name in "abcde"[: data.draw(st.integers(2, 5))]:
        channels, length = data.draw(st.sampled_from([1, 1, 1, 2, 9])), data.draw(st.sampled_from([1, 1, 2]))
        wave = np.sin(0.3 * np.arange(40)[:, None] + np.arange(channels) + ord(name))
        spoken[name] = [chunk(seq, wave[seq : seq + length], stream=name) for seq in range(0, 20, length)] + [
            chunk(seq, wave[seq : seq + length], stream=name, run=2) for seq in range(4)
        ]
        for _ in range(data.draw(st.integers(0, 3))):
            place = data.draw(st.integers(0, len(spoken[name]) - 1))
            odd = data.draw(st.sampled_from(["lost", "twice", "target"]))
            message = spoken[name][place]
            if odd == "lost":
                del spoken[name][place]
            elif odd == "twice":
                spoken[name].insert(place, message)
            else:
                spoken[name].insert(place + 1, replace(message, kind=Kind.TARGET))
    left = {name: list(messages) for name, messages in spoken.items()}
    mixed: list[Chunk] = []
    while any(left.values()):
        name = data.draw(st.sampled_from([name for name, messages in left.items() if messages]))
        take = data.draw(st.integers(1, 6))
        mixed += left[name][:take]
        del left[name][:take]
    cuts = data.draw(st.lists(st.integers(1, len(mixed) - 1), max_size=6))
    together = outgoing(Predictor(model(), PredictorConfig(reset_on_gap=reset, retry_policy=AT_ONCE)), mixed, cuts)
    for name, messages in spoken.items():
        alone = Predictor(model(), PredictorConfig(reset_on_gap=reset, retry_policy=AT_ONCE))
        expected = outgoing(alone, messages, range(1, len(messages)))
        assert together.get(f"estimate/{name}/") == expected.get(f"estimate/{name}/")


def test_many_small_streams_share_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    core = Predictor(model())
    widths: list[int] = []
    run_apart = Engine.run_apart

    def noting(self: Engine, inputs: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        widths.append(inputs.shape[1])
        return run_apart(self, inputs, state)

    monkeypatch.setattr(Engine, "run_apart", noting)
    names = [f"s{k}" for k in range(600)]
    answer(core, [chunk(0, [0.1], stream=name) for name in names])  # a first chunk is each stream's own
    assert widths == []
    assert len(answer(core, [chunk(1, [0.2], stream=name) for name in names])) == 600
    assert widths == [256, 256, 88]


def test_targets_and_infos_of_a_shared_step_count_after_it() -> None:
    core = Predictor(model())
    answer(core, [chunk(0, [0.1], stream=name) for name in "ab"])
    messages = [chunk(1, [0.2], stream="a"), chunk(1, [0.9], stream="a", kind=Kind.TARGET)]
    messages += [chunk(1, [0.2], stream="b"), Info("b", 1, 5, WALL_NS + 45_000_000, 100.0, ("0",))]
    assert len(answer(core, messages)) == 2
    assert status_of(core, "a")["scored"] == 1
    assert status_of(core, "b")["gap_samples"] == 3


def test_a_stream_that_falls_silent_keeps_no_more_than_its_own_state() -> None:
    core = Predictor(model())
    for seq in range(2):
        answer(core, [chunk(seq, [0.1], stream=f"s{k}") for k in range(50)])
    for stream in core.streams.values():
        held = stream.state if stream.state.base is None else stream.state.base
        assert held.size == stream.state.size


def test_statuses_of_many_streams_come_in_turn_and_once_a_round() -> None:
    core = Predictor(model())
    answer(core, [chunk(0, [0.1], stream=f"s{k}") for k in range(50)])
    told: list[list[str]] = []
    now_ns = 0
    while now_ns < 1_000_000_000:
        now = at(now_ns / 1e9)
        told.append([m.stream for m in sent(core.tick(now)) if isinstance(m, Status)])
        now_ns = core.next_deadline_ns()
    assert [len(names) for names in told] == [21, 20, 10]
    assert told[0][0] == ""
    assert sorted(itertools.chain(*told)) == sorted(["", *core.streams])
    assert len(sent(core.stop(at(1)))) == 51


# Order, gaps and runs


def test_duplicates_are_answered_once_and_counted() -> None:
    core = Predictor(model())
    messages = [chunk(0, [0.1, 0.2]), chunk(0, [0.1, 0.2]), chunk(1, [0.2, 0.3]), chunk(3, [0.4])]
    estimates = answer(core, messages)
    assert [(c.seq, len(c.values)) for c in estimates] == [(0, 2), (2, 1), (3, 1)]
    whole = answer(Predictor(model()), [chunk(0, [0.1, 0.2, 0.3, 0.4])])
    assert joined(estimates).tobytes() == joined(whole).tobytes()
    assert status_of(core)["duplicates"] == 3


def test_the_trimmed_rest_of_an_overlap_carries_its_own_source_time() -> None:
    core = Predictor(model())
    _, rest = answer(core, [chunk(0, [0.1, 0.2]), chunk(1, [0.2, 0.3])])
    assert rest.time_ns == chunk(2, [0.3]).time_ns


@pytest.mark.parametrize("reset", [False, True])
def test_a_gap_is_said_and_the_hidden_state_held_or_reset(reset: bool) -> None:
    core = Predictor(model(), PredictorConfig(reset_on_gap=reset, retry_policy=AT_ONCE))
    answer(core, [chunk(0, [0.5, 0.6, 0.7])])
    after = answer(core, [chunk(10, [0.1])])
    fresh = answer(Predictor(model(), PredictorConfig(retry_policy=AT_ONCE)), [chunk(10, [0.1])])
    held = answer(Predictor(model()), [chunk(0, [0.5, 0.6, 0.7, 0.1])])
    expected = joined(fresh) if reset else joined(held)[3:]
    assert joined(after).tobytes() == expected.tobytes()
    lines = said(core.tick(at(1)))
    assert any("GAP: samples 3 to 9" in line for line in lines)
    status = status_of(core, seconds=2)
    assert (status["gaps"], status["gap_samples"]) == (1, 7)
    assert status["since_reset_samples"] == (1 if reset else 4)


def test_the_sources_info_reveals_a_lost_tail() -> None:
    core = Predictor(model())
    answer(core, [chunk(0, [0.5, 0.6])])
    list(core.receive([Info("demo", 1, 7, WALL_NS + 65_000_000, 100.0, ("0",))], at(0.1)))
    assert any("GAP: samples 2 to 6" in line for line in said(core.tick(at(1))))


def test_a_new_run_starts_from_the_initial_state_and_is_said() -> None:
    core = Predictor(model())
    answer(core, [chunk(0, [0.5, 0.6, 0.7])])
    assert answer(core, [chunk(0, [0.3], run=2)]) == []  # it might be one turned bit
    effects = list(core.receive([chunk(1, [0.2], run=2)], at(1)))
    assert any("source restarted: new run 0000000000000002" in line for line in said(effects))
    fresh = answer(Predictor(model()), [chunk(0, [0.3, 0.2], run=2)])
    assert joined([m for m in sent(effects) if isinstance(m, Chunk)]).tobytes() == joined(fresh).tobytes()
    assert answer(core, [chunk(3, [0.1], run=1)]) == []
    assert status_of(core, seconds=2)["runs"] == 2


def test_a_run_that_starts_again_is_estimated_as_another_and_named_once() -> None:
    core = Predictor(model())
    answer(core, [chunk(seq, [0.1]) for seq in range(20)])
    copies = [chunk(seq, [0.1]) for seq in range(3)]
    late = [chunk(seq, [0.3]) for seq in range(30)]
    again = [replace(one, time_ns=one.time_ns + 60_000_000_000) for one in late]
    assert not said(core.receive(copies, at(1)))
    effects = [effect for one in again for effect in core.receive([one], at(2))]
    run = restarted_run(1, again[0].time_ns)
    lines = said(effects)
    assert sum("run 0000000000000001 starts again at 0" in line for line in lines) == 1
    assert any(f"new run {run:016x}" in line for line in lines)
    estimates = [one for m in sent(effects) for one in parts(m)]
    assert [(one.run, one.seq, one.time_ns) for one in estimates] == [(run, one.seq, one.time_ns) for one in again]
    alone = answer(Predictor(model()), [replace(one, run=run) for one in again])
    assert joined(estimates).tobytes() == joined(alone).tobytes()
    status = status_of(core, seconds=3)
    assert (status["duplicates"], status["gaps"], status["source_run"]) == (3, 0, "0000000000000001")


@pytest.mark.parametrize("repeats", [False, True])
def test_the_status_passes_on_that_a_source_says_the_same_samples_again(repeats: bool) -> None:
    core = Predictor(model())
    answer(core, [chunk(0, [0.1])])
    list(core.receive([Info("demo", 1, 1, WALL_NS, 100.0, ("0",), (), repeats=repeats)], at(0)))
    assert status_of(core, seconds=1)["repeats"] is repeats


def parts(message: object) -> list[Chunk]:
    """The chunks that a message is, or is made of."""
    if isinstance(message, Burst):
        return list(message.chunks())
    return [message] if isinstance(message, Chunk) else []


def test_a_new_run_may_have_other_channels_but_a_run_may_not() -> None:
    core = Predictor(model())
    answer(core, [chunk(0, [[0.5]])])
    assert answer(core, [chunk(1, [[0.5, 0.6]])]) == []
    assert status_of(core)["refused"] == 1
    assert len(answer(core, [chunk(1, [[0.5]])])) == 1
    estimates = answer(core, [chunk(seq, [[0.5, 0.6]], run=2) for seq in range(2)])
    assert [estimate.values.shape for estimate in estimates] == [(1, 2, 2)] * 2


# Bad input


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -1e31])
def test_an_unusable_sample_is_replaced_counted_and_touches_no_other_channel(bad: float) -> None:
    good = np.sin(0.3 * np.arange(40))[:, None] + np.array([0.0, 0.5])
    broken = good.copy()
    broken[20, 0] = bad
    core = Predictor(model())
    estimates = joined(answer(core, [chunk(0, broken[:20]), chunk(20, broken[20:])]))
    assert np.isfinite(estimates).all()
    assert status_of(core)["unusable"] == 1
    undisturbed = joined(answer(Predictor(model()), [chunk(0, good)]))
    assert estimates[:, 1].tobytes() == undisturbed[:, 1].tobytes()
    patched = good.copy()
    patched[20, 0] = good[19, 0]
    repaired = joined(answer(Predictor(model()), [chunk(0, patched)]))
    assert estimates.tobytes() == repaired.tobytes()


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_any_float_leaves_the_state_finite(values: list[float]) -> None:
    core = Predictor(model())
    answer(core, [chunk(0, values)])
    estimates = joined(answer(core, [chunk(len(values), [0.5, 0.6])]))
    assert np.isfinite(estimates).all()


def test_rejected_messages_are_counted_and_said_once_a_second() -> None:
    core = Predictor(model())
    list(core.tick(at(0)))
    assert list(core.receive([Rejected("magic: wrong")] * 500, at(0.5))) == []
    assert said(core.tick(at(1))) == ["rejected 500 message(s); the last: magic: wrong"]
    assert said(core.tick(at(2))) == []
    assert status_of(core, "", 3)["rejected"] == 500


def test_streams_beyond_the_limit_are_refused_and_counted() -> None:
    core = Predictor(model(), PredictorConfig(max_streams=2))
    estimates = answer(core, [chunk(0, [0.1], stream=name) for name in "abc"])
    assert [c.stream for c in estimates] == ["a", "b"]
    assert core.rejected == 1


# Health and status


def test_a_silent_stream_is_stale_then_lost_then_live_again() -> None:
    core = Predictor(model())
    answer(core, [chunk(0, [0.1])])
    told = {}
    for second in range(1, 10):
        told[second] = said(core.tick(at(second)))
        if second <= 2:
            list(core.receive([Info("demo", 1, 1, 0, 100.0, ("0",))], at(second)))
    assert told[1] == []
    assert any("STALE" in line for line in told[2])
    assert any("LOST" in line for line in told[8])
    assert status_of(core, seconds=9)["health"] == "LOST"
    answer(core, [chunk(1, [0.1])], seconds=10)
    assert any("LIVE" in line for line in said(core.tick(at(10))))


def test_the_source_said_it_ended() -> None:
    core = Predictor(model())
    list(core.receive(published(Signal(), 10), at(0)))
    assert any("ENDED" in line for line in said(core.tick(at(60))))


def test_slow_chunks_are_not_silence() -> None:
    core = Predictor(model())
    answer(core, [chunk(0, np.zeros(400))])  # four seconds a chunk
    assert said(core.tick(at(11))) == []


def test_status_comes_each_second_and_at_a_subscription() -> None:
    core = Predictor(model())
    list(core.tick(at(0)))
    assert core.next_deadline_ns() == at(1).mono_ns
    list(core.receive([Subscription(b"estimate/", True), Subscription(b"status/", False)], at(0.5)))
    assert core.next_deadline_ns() == at(1).mono_ns
    list(core.receive([Subscription(b"status/", True)], at(0.5)))
    assert core.next_deadline_ns() == at(0.5).mono_ns


def test_every_status_can_be_said_on_the_wire() -> None:
    core = learning(model())
    list(core.receive(published(Signal(), 40), at(1)))
    statuses = [m for m in sent(core.tick(at(1))) if isinstance(m, Status)]
    assert [m.stream for m in statuses] == ["", "demo"]
    for message in statuses:
        decoded = codec.decode(codec.encode(message))
        assert isinstance(decoded, Status)
        assert decoded.body == message.body


def test_lag_and_rate_are_measured() -> None:
    core = Predictor(model())
    list(core.tick(at(0)))
    for seq in range(100):
        answer(core, [chunk(seq, [0.0])], seconds=seq * 0.01 + 0.003)
        if seq == 0:
            assert status_of(core, seconds=0.01)["rate_hz"] is None  # from here on it counts
    status = status_of(core, seconds=1.01)
    assert status["lag_p50_s"] == pytest.approx(0.003, abs=1e-6)
    assert status["rate_hz"] == pytest.approx(100.0, rel=1e-3)


@pytest.mark.parametrize(
    ("rate_hz", "chunk_samples"),
    [(0.2, 1), (0.7, 1), (1.0, 1), (1.9, 1), (3.0, 30), (100.0, 77), (10_000.0, 1000)],
)
def test_a_rate_is_right_however_slow_and_however_samples_are_cut(rate_hz: float, chunk_samples: int) -> None:
    core = Predictor(model())
    seen, seq, tick_s = [], 0, 0.0
    while tick_s < (40 if rate_hz < 10 else 15):
        while (due_s := (seq + chunk_samples) / rate_hz) < tick_s:
            answer(core, [chunk(seq, np.zeros(chunk_samples))], due_s)
            seq += chunk_samples
        if seq:
            seen.append(status_of(core, seconds=tick_s)["rate_hz"])
        tick_s += 1.03
    measured = [rate for rate in seen if rate is not None]
    assert len(measured) >= len(seen) // 2
    np.testing.assert_allclose(measured, rate_hz, rtol=1e-6)


def test_in_silence_the_measured_rate_falls() -> None:
    core = Predictor(model())
    for seq in range(300):
        answer(core, [chunk(seq, [0.0])], seq * 0.01)
        if seq % 100 == 0:
            list(core.tick(at(seq * 0.01)))
    rates = [status_of(core, seconds=s)["rate_hz"] for s in (3.0, 4.0, 8.0, 103.0)]
    assert rates[0] == pytest.approx(100)
    assert rates[1] > rates[2] > rates[3]  # type: ignore[operator]
    assert rates[3] < 0.02  # type: ignore[operator]


# Learning


def test_learning_brings_the_prequential_error_down() -> None:
    core = learning(new_model(ModelConfig("rnn", 32, level_samples=20.0), seed=0))
    signal = Signal()
    estimates = joined(answer(core, published(signal, 2000)))
    error = (estimates - signal.samples(0, 2000)[1])[..., 0]
    assert np.sqrt(np.mean(error[:100] ** 2)) > 0.3
    assert np.sqrt(np.mean(error[-200:] ** 2)) < 0.1
    assert status_of(core)["prequential_rmse"] == pytest.approx(np.sqrt(np.mean(error[-200:] ** 2)), rel=1e-5)


@pytest.mark.parametrize("delay", [0, 35])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "gated"])
def test_when_messages_arrive_does_not_matter_only_their_order(cell: str, delay: int) -> None:
    signal = Signal(channels=2, noise=0.1)
    messages = published(signal, 200, target_delay_samples=delay)
    eager = learning(model(cell), window=12, stride=5)
    one_by_one = []
    for message in messages:
        one_by_one += answer(eager, [message])
        while eager.work() is not None:
            pass
    lazy = learning(model(cell), window=12, stride=5)
    at_once = answer(lazy, messages)
    assert joined(one_by_one).tobytes() == joined(at_once).tobytes()
    assert [c.model_version for c in one_by_one] == [c.model_version for c in at_once]
    assert at_once[-1].model_version > 20


def idle_or_not(core: Predictor, messages: Sequence[Incoming], *, idle: bool) -> list[tuple[int, bytes]]:
    told = []
    for message in messages:
        told += [(said.model_version, said.values.tobytes()) for said in answer(core, [message])]
        while idle and core.work() is not None:
            pass
    return told


def test_targets_that_come_when_they_are_given_up_change_nothing_whether_there_was_time_or_not() -> None:
    wave = np.sin(0.3 * np.arange(60))
    messages: list[Incoming] = [chunk(seq, wave[seq : seq + 1]) for seq in range(32)]
    messages += [chunk(seq, wave[seq : seq + 1], kind=Kind.TARGET) for seq in range(30)]
    messages += [chunk(seq, wave[seq : seq + 1]) for seq in range(32, 60)]
    told = []
    for idle in (True, False):
        core = learning(model(), window=4, stride=4)
        answer(core, messages[:1])
        core.streams["demo"].scheduler._labels.capacity = 20
        told.append(idle_or_not(core, messages[1:], idle=idle))
    assert told[0] == told[1]
    assert told[0][-1][0] > 0


def test_a_model_loaded_when_an_update_is_due_is_served_whether_there_was_time_or_not() -> None:
    wave = np.sin(0.3 * np.arange(30))
    before: list[Incoming] = [chunk(0, wave[:10]), chunk(0, wave[:10], kind=Kind.TARGET), chunk(10, wave[10:12])]
    told = []
    for idle in (True, False):
        core = learning(model())
        idle_or_not(core, before, idle=idle)
        list(core.reload(new_model(model().config, seed=9)))
        told.append(idle_or_not(core, [chunk(12, wave[12:14])], idle=idle))
    assert told[0] == told[1]


def test_the_last_sample_that_can_be_is_kept_like_any_other() -> None:
    config = PredictorConfig(checkpoint_every_s=1.0, retry_policy=RetryPolicy(from_start=False))
    core = Predictor(model(), config)
    answer(core, [replace(chunk(0, [0.5]), seq=seq) for seq in (2**63 - 2, 2**63 - 1)])
    list(core.tick(at(2.0)))
    assert status_of(core, seconds=4.0)["samples"] == 2
    assert any(isinstance(effect, Checkpoint) for effect in core.stop(at(5.0)))


def test_a_run_that_was_only_spoken_of_begins_at_its_first_sample() -> None:
    core = Predictor(model())
    answer(core, [chunk(seq, [0.5]) for seq in range(5)])
    word = Info("demo", 2, 0, chunk(0, [0.0], run=2).time_ns, 100.0, ("0",), replays=True)
    assert answer(core, [word, chunk(5, [0.5], run=2)]) == []
    told = answer(core, [chunk(seq, [0.5], run=2) for seq in range(5)])
    assert [said.seq for said in told] == [0, 1, 2, 3, 4, 5]
    assert core.streams["demo"].counters.runs == 2


def test_the_first_sample_of_a_run_that_was_only_spoken_of_begins_it() -> None:
    core, fresh = Predictor(model()), Predictor(model())
    answer(core, [chunk(seq, [0.5]) for seq in range(5)])
    answer(core, [Info("demo", 2, 0, chunk(0, [0.0], run=2).time_ns, 100.0, ("0",), replays=True)])
    (told,) = answer(core, [chunk(0, [0.5], run=2)])
    assert core.streams["demo"].counters.runs == 2
    assert told.values.tobytes() == answer(fresh, [chunk(0, [0.5])])[0].values.tobytes()


def test_a_window_that_is_complete_before_a_gap_is_learnt_even_if_nobody_was_idle() -> None:
    signal = Signal()
    inputs, targets = signal.samples(0, 25)
    messages = [
        chunk(0, inputs[:10, 0, 0]),
        chunk(0, targets[:10, 0, 0], kind=Kind.TARGET),
        Info("demo", 1, 15, 0, 100.0, ("0",)),
        chunk(15, inputs[15:, 0, 0]),
    ]
    lazy, eager = learning(model()), learning(model())
    told = answer(lazy, messages)
    idle = []
    for message in messages:
        idle += answer(eager, [message])
        while eager.work() is not None:
            pass
    assert [c.model_version for c in told] == [0, 1]
    assert joined(told).tobytes() == joined(idle).tobytes()


def test_a_target_that_comes_twice_counts_once() -> None:
    core = Predictor(model(), make_learner=partial(OnlineLearner, config=OnlineConfig(20, 20)))
    answer(core, [chunk(0, np.zeros(5)), *[chunk(0, np.ones(5), kind=Kind.TARGET)] * 2])
    assert status_of(core)["scored"] == 5


def test_a_large_chunk_is_estimated_in_slices_with_the_same_bits() -> None:
    inputs = np.sin(0.3 * np.arange(20_000))
    slices = answer(Predictor(model()), [chunk(0, inputs)])
    assert [c.seq for c in slices] == list(range(0, 20_000, slice_values(model(), learns_itself=False)))
    assert [c.time_ns for c in slices] == [chunk(c.seq, [0]).time_ns for c in slices]
    pieces = answer(Predictor(model()), [chunk(seq, inputs[seq : seq + 1000]) for seq in range(0, 20_000, 1000)])
    assert joined(slices).tobytes() == joined(pieces).tobytes()


def test_an_update_serves_from_the_second_sample_after_its_window_on() -> None:
    estimates = answer(learning(model(), window=10, stride=10), published(Signal(), 40))
    assert [c.model_version for c in estimates] == [max(0, seq - 1) // 10 for seq in range(40)]


def test_an_update_is_computed_while_nobody_waits_and_a_sample_in_between_is_answered_without_it() -> None:
    core = learning(model(), window=10, stride=10)
    messages = published(Signal(), 12)
    first, second = [place for place, m in enumerate(messages) if isinstance(m, Chunk) and m.kind is Kind.INPUT][
        10:
    ]
    answer(core, messages[:first])
    parts = 0
    while core.work() is not None:
        parts += 1
    learner = core.streams["demo"].scheduler.learner
    assert learner is not None
    before = {name: value.copy() for name, value in weights_of(core).items()}
    assert parts >= 2
    assert answer(core, messages[first:second])[0].model_version == 0
    assert all((value == before[name]).all() for name, value in weights_of(core).items())
    while core.work() is not None:
        pass
    assert any((value != before[name]).any() for name, value in weights_of(core).items())
    assert answer(core, messages[second:])[0].model_version == 1


def test_late_targets_delay_learning_and_nothing_else() -> None:
    core = learning(model(), window=10, stride=10)
    estimates = answer(core, published(Signal(), 100, target_delay_samples=25))
    versions = [c.model_version for c in estimates]
    assert versions == [max(0, (seq - 26) // 10) for seq in range(100)]
    at_once = learning(model(), window=10, stride=10)
    answer(at_once, published(Signal(), 100))
    beyond = [chunk(100, [0.5]), chunk(101, [0.5])]
    assert [said.model_version for said in answer(core, beyond)] == [7, 10]
    assert [said.model_version for said in answer(at_once, beyond)] == [9, 10]
    for name, value in weights_of(core).items():
        np.testing.assert_array_equal(value, weights_of(at_once)[name])


def test_a_sample_is_scored_with_the_estimate_made_before_it_was_learnt_from() -> None:
    core, signal = learning(model()), Signal()
    estimates = joined(answer(core, published(signal, 60)))
    served = (estimates - signal.samples(0, 60)[1])[..., 0]
    assert status_of(core)["prequential_rmse"] == pytest.approx(np.sqrt(np.mean(served**2)), rel=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gated"])
def test_serving_and_learning_carry_the_same_hidden_state(cell: str) -> None:
    """The carried state equals the served one while updates change nothing (learning rate near 0)."""
    config = OnlineConfig(window_samples=10, stride_samples=5, learning_rate=1e-12)
    core = Predictor(model(cell), make_learner=partial(OnlineLearner, config=config))
    signal = Signal()
    learnt = joined(answer(core, published(signal, 200)))
    plain = joined(answer(Predictor(model(cell)), published(signal, 200)))
    np.testing.assert_allclose(learnt, plain, atol=1e-6)


def test_a_poisoned_teacher_never_reaches_the_serving_weights() -> None:
    for poison in (np.nan, np.inf, 3e38, -3e38, 1e20):
        core = learning(model())
        for seq, value in enumerate(np.sin(0.3 * np.arange(100))):
            answer(core, [chunk(seq, [value]), chunk(seq, [poison], kind=Kind.TARGET)])
        (stream,) = core.streams.values()
        estimates = joined(answer(core, [chunk(100, np.sin(0.3 * np.arange(100, 200)))]))
        assert np.isfinite(estimates).all()
        assert np.abs(estimates).max() < 10
        assert stream.counters.updates == 0


def test_streams_learn_weights_of_their_own() -> None:
    spoken = [
        published(Signal(Oscillation(frequency_hz=f)), 60, stream=name) for name, f in (("a", 3.0), ("b", 7.0))
    ]
    together = answer(learning(model()), list(itertools.chain(*zip(*spoken, strict=True))))
    for name, messages in zip("ab", spoken, strict=True):
        alone = answer(learning(model()), messages)
        assert joined([c for c in together if c.stream == name]).tobytes() == joined(alone).tobytes()


def test_what_was_learnt_outlives_a_new_run() -> None:
    core = learning(model())
    list(core.receive(published(Signal(), 100), at(0)))
    (stream,) = core.streams.values()
    (first,) = answer(core, [chunk(0, [0.7], run=9)])
    assert first.model_version == stream.counters.updates == 10
    engine: Engine = stream._engine
    expected, _ = engine.run(np.array([[0.7]], np.float32), model().initial_state(1))
    assert first.values.tobytes() == expected.tobytes()


def test_learning_goes_on_after_a_gap() -> None:
    core = learning(model())
    messages = published(Signal(), 200)
    kept = [m for m in messages if not (isinstance(m, Chunk) and 50 <= m.seq < 77)]
    estimates = answer(core, kept)
    assert [c.seq for c in estimates] == [*range(50), *range(77, 200)]
    # 5 windows before the gap, 12 whole ones after it.
    assert status_of(core)["learning"]["updates"] == 5 + 12  # type: ignore[index]


def test_targets_of_unknown_samples_are_counted() -> None:
    core = learning(model())
    answer(core, [chunk(0, [0.1, 0.2]), chunk(1, [1.0, 1.0, 1.0], kind=Kind.TARGET)])
    assert status_of(core)["learning"]["late_targets"] == 2  # type: ignore[index]
