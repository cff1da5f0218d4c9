"""The model's time scaled to a signal's: against the plain engine, and against the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.engine.decimated import Decimated
from predictor.engine.stepper import Engine
from predictor.engine.timescale import TimeScale, time_scale
from predictor.engine.upsampled import Upsampled
from streamer.errors import UsageError
from tests.support.dose import examples
from trainer.metrics import phase_error_deg
from trainer.model import ModelConfig, new_model
from trainer.model_file import load_model

SMALL = new_model(ModelConfig("gru", 6, level_samples=20.0), seed=2)
DEFAULT = load_model("default")


def engine(model: object = SMALL) -> Engine:
    return Engine(model.config, model.weights)  # type: ignore[attr-defined]


def tone(
    cycle: float, cycles: float, channels: int = 4, snr_db: float | None = None, seed: int = 300
) -> np.ndarray:
    """Return (cos, sin, heard) [samples, channels, 3] of tones of so many samples a cycle, phases random."""
    generator = np.random.default_rng(seed)
    turns = np.arange(round(cycle * cycles))[:, None] / cycle + generator.uniform(size=channels)
    cos, sin = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    noise = 0 if snr_db is None else generator.standard_normal(sin.shape) * np.sqrt(0.5) * 10 ** (-snr_db / 20)
    return np.stack([cos, sin, sin + noise], axis=-1).astype(np.float32)


def error_deg(estimates: np.ndarray, truth: np.ndarray, after: int) -> float:
    return float(
        phase_error_deg(estimates[..., 0], estimates[..., 1], truth[..., 0], truth[..., 1])[after:].mean()
    )


# Which scale


@pytest.mark.parametrize(
    ("cycle", "samples", "steps"),
    [
        (4, 1, 4), (6, 1, 3), (8, 1, 2), (11.9, 1, 2), (12, 1, 1), (25, 1, 1), (37, 1, 1), (50, 2, 1), (75, 3, 1),
        (100, 4, 1), (125, 5, 1), (250, 10, 1), (2500, 100, 1), (25 * 2**20, 2**20, 1),
    ],
)  # fmt: skip
def test_the_nominal_frequency_comes_to_a_number_of_steps_that_the_model_knows(
    cycle: float, samples: int, steps: int
) -> None:
    scale = time_scale(1000.0, 1000.0 / cycle)
    assert (scale.samples, scale.steps) == (samples, steps)
    assert scale.samples_per_step == samples / steps
    assert scale.nominal_turn == pytest.approx(2 * math.pi / cycle)


@given(cycle=st.floats(4, 1e6))
def test_no_scale_leaves_what_the_model_knows(cycle: float) -> None:
    scale = time_scale(cycle, 1.0)
    assert 12 <= cycle / scale.samples_per_step <= 50
    assert scale.samples % scale.hop_samples == 0
    assert 1 <= scale.samples // scale.hop_samples <= 5


@pytest.mark.parametrize(
    ("rate_hz", "nominal_hz", "says"),
    [
        (0.0, 10.0, "needs the rate"),
        (100.0, 25.1, r"at 100 samples/s must be 3\.81e-06 to 25, for at least 4 samples a cycle, got 25\.1"),
        (100.0, 1e-6, r"must be 3\.81e-06 to 25"),
    ],
)
def test_a_frequency_that_cannot_be_is_refused(rate_hz: float, nominal_hz: float, says: str) -> None:
    with pytest.raises(UsageError, match=f"^--nominal-hz: .*{says}"):
        time_scale(rate_hz, nominal_hz)


def test_a_signal_that_the_model_knows_is_stepped_by_the_engine_itself() -> None:
    plain = engine()
    assert time_scale(250.0, 10.0).stage(plain) is plain


# The same arithmetic however it comes


@examples(20, release=120)
@given(
    cuts=st.lists(st.integers(1, 59), max_size=6, unique=True),
    cycle=st.sampled_from([5.0, 9.0, 50.0, 75.0, 300.0, 500.0]),
    channels=st.integers(1, 3),
)
def test_chunking_does_not_change_a_bit(cuts: list[int], cycle: float, channels: int) -> None:
    stage = time_scale(cycle, 1.0).stage(engine())
    inputs = np.random.default_rng(1).standard_normal((60, channels)).astype(np.float32)
    whole, last = stage.run(inputs, stage.initial_state(channels))
    assert whole.shape == (60, channels, 2)
    assert (whole.dtype, last.dtype, last.shape) == (np.float32, np.float32, stage.initial_state(channels).shape)
    state, pieces = stage.initial_state(channels), []
    for piece in np.split(inputs, sorted(cuts)):
        before = state.copy()
        estimates, after = stage.run(piece, state)
        assert state.tobytes() == before.tobytes()
        pieces.append(estimates)
        state = after
    assert np.concatenate(pieces).tobytes() == whole.tobytes()
    assert state.tobytes() == last.tobytes()


# Against the plain engine


def test_between_samples_the_engine_walks_along_a_straight_line() -> None:
    plain = engine()
    inputs = np.random.default_rng(1).standard_normal((30, 2)).astype(np.float32)
    scale = time_scale(4.0, 1.0)
    steps = scale.steps
    assert steps == 4
    at = np.arange(1, 30 * steps + 1) / steps
    ends = np.concatenate([inputs[:1], inputs])
    line = np.stack([np.interp(at, np.arange(31), ends[:, c]) for c in range(2)], axis=1)
    expected, _ = plain.run(line.astype(np.float32), plain.initial_state(2))
    stage = Upsampled(plain, steps, scale.nominal_turn)
    estimates, _ = stage.run(inputs, stage.initial_state(2))
    cosine = np.exp(2j * np.pi * np.arange(64) / 16)  # the drawn sine's fundamental is that much smaller
    drawn = np.interp(np.arange(64) / 4, np.arange(17), np.cos(2 * np.pi * np.arange(17) / 4))
    smaller = abs(np.vdot(cosine, drawn)) / 32
    np.testing.assert_allclose(estimates * smaller, expected[steps - 1 :: steps], atol=1e-5)


def test_each_hidden_state_hears_the_mean_of_the_latest_samples_and_is_turned_to_now() -> None:
    """Magnitudes are those of the plain engine on a decimated stream; at the nominal turn, phases are too."""
    plain, scale = engine(DEFAULT), TimeScale(samples=8, nominal_turn=2 * math.pi / 200)
    assert scale.hop_samples == 2
    truth = tone(200, 20)
    stage = Decimated(plain, 8, scale.hop_samples, scale.nominal_turn)
    estimates, _ = stage.run(truth[..., 2], stage.initial_state(4))
    means = np.stack([truth[max(0, n - 7) : n + 1, :, 2].mean(axis=0) for n in range(len(truth))])
    gain = math.sin(math.pi * 8 / 200) / (8 * math.sin(math.pi / 200))
    lag = np.exp(2j * np.pi / 200 * 3.5)
    for first in range(0, 8, 2):
        raw, _ = plain.run(means[first::8], plain.initial_state(4))
        expected = (raw[..., 0] + 1j * raw[..., 1]) * lag / gain
        held = expected * np.exp(2j * np.pi / 200)
        for offset, wanted in ((0, expected), (1, held)):
            said = estimates[first + offset :: 8]
            settled = slice(100, None)
            np.testing.assert_allclose((said[..., 0] + 1j * said[..., 1])[settled], wanted[settled], atol=4e-3)


def test_the_first_samples_are_answered_at_once() -> None:
    stage = time_scale(1000.0, 1.0).stage(engine())
    inputs = np.full((3, 1), 2.0, np.float32)
    estimates, _ = stage.run(inputs, stage.initial_state(1))
    plain, _ = engine().run(inputs[:1], engine().initial_state(1))
    np.testing.assert_allclose(np.hypot(*estimates[:, 0].T), np.hypot(*plain[0, 0]), rtol=1e-5)


# Against the truth


@pytest.mark.parametrize(
    ("cycle", "octaves", "snr_db", "most_deg"),
    [
        (4.0, 0, None, 1.0), (5.0, 0.25, None, 1.0), (8.0, 0.25, None, 0.6), (8.0, 0, 20, 3.0),
        (75.0, 0, None, 0.3), (250.0, 0.9, None, 0.3), (250.0, -0.9, None, 0.3), (250.0, 0, 20, 1.0),
        (250.0, 0.5, 5, 3.0), (1000.0, 0, 5, 2.0),
    ],
)  # fmt: skip
def test_signals_that_the_model_does_not_know_are_followed_on_their_scale(
    cycle: float, octaves: float, snr_db: float | None, most_deg: float
) -> None:
    cycles = 40 if cycle * 2**octaves < 200 else 20 if snr_db is None else 30
    truth = tone(cycle * 2**octaves, cycles, snr_db=snr_db)
    stage = time_scale(cycle, 1.0).stage(engine(DEFAULT))
    estimates, _ = stage.run(truth[..., 2], stage.initial_state(4))
    after = round(15 * cycle * 2**octaves)
    assert error_deg(estimates, truth, after) < most_deg
    size = np.hypot(estimates[after:, :, 0], estimates[after:, :, 1]).mean()
    assert size == pytest.approx(1, abs=0.05)


def test_means_let_in_less_noise_than_every_tenth_sample_would() -> None:
    truth = tone(250, 30, snr_db=5)
    plain = engine(DEFAULT)
    tenth, _ = plain.run(truth[::10, :, 2], plain.initial_state(4))
    stage = time_scale(250.0, 1.0).stage(plain)
    estimates, _ = stage.run(truth[..., 2], stage.initial_state(4))
    assert error_deg(estimates, truth, 2500) < 0.5 * error_deg(tenth, truth[::10], 250)


def test_silence_and_the_largest_inputs_leave_everything_finite() -> None:
    for cycle in (5.0, 250.0):
        stage = time_scale(cycle, 1.0).stage(engine(DEFAULT))
        signal = np.repeat(np.float32([0, 1e30, -1e30, 0, 1e-30, 1]), 100)[:, None]
        estimates, state = stage.run(signal, stage.initial_state(1))
        assert np.isfinite(estimates).all()
        assert np.isfinite(state).all()
