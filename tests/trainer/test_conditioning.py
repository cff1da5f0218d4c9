"""A DC block, a clamp and the block's phase undone: against the filter's formula, and scalar against arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.dose import examples
from trainer.conditioning import (
    CONDITIONING_ROWS,
    FEW_CHANNELS,
    NUMBERS,
    Conditioner,
    condition,
    leads,
    numbers_of,
    rows_of,
    undo,
)

NOMINAL = 25.0


def heard(signal: np.ndarray, nominal: float = NOMINAL) -> np.ndarray:
    """What a model hears of one channel."""
    inputs = np.float32(signal)[:, None]
    return condition(inputs, np.zeros((1, NUMBERS)), nominal).inputs[:, 0]


def begins(signal: np.ndarray) -> list[int]:
    """Where everything starts anew after the first sample."""
    found = condition(np.float32(signal)[:, None], np.zeros((1, NUMBERS)), NOMINAL).begins
    return np.flatnonzero(found[1:, 0] + 0).tolist()


def tone(cycle: float = 25.0, samples: int = 1000) -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(samples) / cycle + 0.3)


# The block, and what undoes it


def test_it_is_a_first_order_high_pass_at_a_tenth_of_the_nominal_frequency() -> None:
    """The textbook's bilinear recursion, once the mean has the samples that it averages over."""
    noise = np.random.default_rng(0).standard_normal(2000)
    corner = np.tan(np.pi / 250)
    pole = (1 - corner) / (1 + corner)
    expected, last = np.zeros(2000), 0.0
    for n in range(1, 2000):
        last = pole * last + (1 + pole) / 2 * (noise[n] - noise[n - 1])
        expected[n] = last
    np.testing.assert_allclose(heard(noise)[700:], expected[700:], atol=1e-4)


@pytest.mark.parametrize("cycle", [12.0, 25.0, 37.0, 50.0])
@pytest.mark.parametrize("nominal", [25.0, 40.0])
def test_an_estimate_of_what_is_heard_becomes_one_of_the_signal(cycle: float, nominal: float) -> None:
    """The perfect estimate of what is heard is its analytic signal: the formula H(w) times the tone's."""
    samples = np.arange(3000)
    turn = 2 * np.pi / cycle
    truth = 3 * np.exp(1j * turn * samples)
    passes = 1 / (1 - 1j * np.tan(np.pi / (10 * nominal)) / np.tan(turn / 2))
    np.testing.assert_allclose(heard(truth.imag + 7, nominal)[1500:], (truth * passes).imag[1500:], atol=1e-3)
    estimates = np.stack([(truth * passes).real, (truth * passes).imag], axis=-1).astype(np.float32)[:, None]
    undo(estimates, leads(estimates, np.zeros((1, NUMBERS)), nominal))
    beyond = 2.5 * cycle < nominal  # of the turns that are undone exactly
    np.testing.assert_allclose(estimates[500:, 0] @ [1, 1j], truth[500:], rtol=2e-2 if beyond else 1e-4)


@pytest.mark.parametrize("offset", [0.1, 10.0, 420.0, 1e4])
def test_an_offset_costs_no_time_whatever_its_size(offset: float) -> None:
    np.testing.assert_allclose(heard(tone() + offset)[50:], heard(tone())[50:], atol=2e-3 + 2e-7 * offset)


# Artefacts


@pytest.mark.parametrize("size", [10.0, 1e3, 1e9, -1e30])
@pytest.mark.parametrize("at", [15, 300, 433])
def test_a_wild_sample_is_heard_as_two_mean_deviations(size: float, at: int) -> None:
    signal = tone()
    signal[at] += size
    clean, clamped = heard(tone()), heard(signal)
    np.testing.assert_array_equal(clamped[:at], clean[:at])
    assert 0.8 < clamped[at] * np.sign(size) < 1.6
    np.testing.assert_allclose(clamped[at + 1 :], clean[at + 1 :], atol=0.1)


def test_only_artefacts_are_cleaned() -> None:
    signal = np.float32(tone() + 5)[:, None]
    signal[[300, 500, 501], 0] = 1e6, -1e6, 1e6
    clean = condition(signal, np.zeros((1, NUMBERS)), NOMINAL).clean
    changed = np.flatnonzero(clean[:, 0] != signal[:, 0])
    assert changed.tolist() == [300, 500, 501]
    assert (np.abs(clean[changed] - 5) < 3).all()


def test_a_sine_and_noise_are_never_clamped() -> None:
    signal = tone() + 0.5 * np.random.default_rng(1).standard_normal(1000)
    mean = np.cumsum(signal)[:40] / np.arange(1, 41)
    np.testing.assert_allclose(heard(signal)[20:40], (signal[20:40] - mean[20:40]), rtol=2e-2, atol=1e-3)
    assert begins(signal) == []
    assert begins(tone(50.0)) == []


@pytest.mark.parametrize("at", [0, 1, 2, 3, 7])
def test_a_wild_sample_among_the_first_is_left_behind(at: int) -> None:
    signal = tone()
    signal[at] = 1e4
    np.testing.assert_allclose(heard(signal)[60:], heard(tone())[60:], atol=0.6)
    np.testing.assert_allclose(heard(signal)[300:], heard(tone())[300:], atol=1e-3)


@pytest.mark.parametrize(
    "change", [lambda s: s + 1e3, lambda s: s - 50, lambda s: 1e3 * s, lambda s: s * 50 + 1e6]
)
@pytest.mark.parametrize("cycle", [12.0, 25.0, 50.0])
def test_another_offset_or_size_is_taken_for_one_within_a_cycle(cycle: float, change: object) -> None:
    signal = tone(cycle)
    signal[500:] = change(signal[500:])  # type: ignore[operator]
    (anew,) = begins(signal)
    assert 500 < anew + 1 <= 550
    np.testing.assert_array_equal(heard(signal)[anew + 1 :], heard(signal[anew + 1 :]))


@pytest.mark.parametrize("samples", [5, 30, 1500])
def test_a_rail_at_the_beginning_leaves_nothing_behind(samples: int) -> None:
    signal = np.concatenate([np.full(samples, -187500.0), tone() - 63000])
    assert begins(signal) == [samples - 1]
    np.testing.assert_array_equal(heard(signal)[samples:], heard(tone() - 63000))
    assert not heard(signal)[:samples].any()


def test_a_rail_in_between_is_silence() -> None:
    signal = tone(samples=2000)
    signal[800:1200] = 50
    assert not heard(signal)[815:1200].any()
    np.testing.assert_array_equal(heard(signal)[1200:], heard(signal[1200:]))


@pytest.mark.parametrize("half", [6, 12, 13, 24, 25])
def test_a_square_wave_is_no_row_of_rails(half: int) -> None:
    signal = np.tile(np.repeat([1.0, -1.0], half), 40)
    assert len(begins(signal)) <= 1
    assert np.abs(heard(signal)[100:]).mean() > 0.6


def test_samples_that_are_held_are_no_row_of_rails() -> None:
    assert len(begins(np.repeat(tone(6.25), 4))) <= 1


def test_what_recurs_is_no_artefact() -> None:
    pulses = np.where(np.arange(3000) % 25 < 2, 10.0, 0.05 * np.sin(np.arange(3000)))
    assert np.sort(np.abs(heard(pulses)[2000:]))[-40] > 3
    assert not any(begin > 100 for begin in begins(pulses))


# The same bits however it comes


def wild(samples: int, channels: int, seed: int) -> np.ndarray:
    """Signals with all that goes wrong."""
    generator = np.random.default_rng(seed)
    signals = tone(20, samples)[:, None] * generator.lognormal(0, 2, channels)
    signals += generator.choice([0, 0.1], channels) * generator.standard_normal((samples, channels))
    steps = generator.random((samples, channels)) < 0.01
    signals += np.cumsum(steps * generator.standard_normal((samples, channels)) * 1e3, axis=0)
    signals += (generator.random((samples, channels)) < 0.02) * 1e6
    held = np.cumsum(generator.random((samples, channels)) < 0.02, axis=0) % 3 == 0
    for n in range(1, samples):
        signals[n, held[n]] = signals[n - 1, held[n]]
    signals[:, 0] = 0
    return signals.astype(np.float32)


@examples(10, release=40)
@given(seed=st.integers(0, 999), cuts=st.lists(st.integers(1, 299), max_size=5, unique=True))
def test_many_channels_one_channel_and_one_sample_give_the_same_bits(seed: int, cuts: list[int]) -> None:
    channels = FEW_CHANNELS + 2
    inputs = wild(300, channels, seed)
    estimates = np.random.default_rng(seed).standard_normal((300, channels, 2)).astype(np.float32)
    estimates[::7, ::3] = 0
    numbers = np.zeros((channels, NUMBERS))
    whole = condition(inputs, numbers, NOMINAL)
    lead = leads(estimates, whole.numbers, NOMINAL)
    assert whole.begins[1:].any()

    pieces = []
    for piece in np.split(np.arange(300), sorted(cuts)):
        part = condition(inputs[piece], numbers, NOMINAL)
        pieces.append((part.inputs, part.clean, part.begins, leads(estimates[piece], part.numbers, NOMINAL)))
        numbers = numbers_of(rows_of(part.numbers))
    together = (whole.inputs, whole.clean, whole.begins, lead)
    for joined, one in zip(zip(*pieces, strict=True), together, strict=True):
        np.testing.assert_array_equal(np.concatenate(joined), one)
    np.testing.assert_array_equal(numbers, whole.numbers)

    for channel in (0, 1, channels - 1):
        few = condition(inputs[:, [channel]], np.zeros((1, NUMBERS)), NOMINAL)
        np.testing.assert_array_equal(few.clean[:, 0], whole.clean[:, channel])
        alone = Conditioner(NOMINAL)
        for n in range(300):
            assert np.float32(alone.condition(float(inputs[n, channel]))) == whole.inputs[n, channel]
            assert alone.begins == whole.begins[n, channel]
            assert alone.lead(*estimates[n, channel].tolist()) == lead[n, channel]
        np.testing.assert_array_equal(alone.save(), whole.numbers[channel])


def test_a_wild_sample_right_after_a_flat_line_is_the_first_one_clamped_on_arrays_too() -> None:
    signal = np.float32([0] * 5 + [1.0, 1.5, 1e6, 1.4, 1.2, 0.9] + [1e6] * 2 + [0.5, 0.2])[:, None]
    many = FEW_CHANNELS + 1
    for end in (8, len(signal)):
        one = condition(signal[:end], np.zeros((1, NUMBERS)), NOMINAL)
        together = condition(np.repeat(signal[:end], many, axis=1), np.zeros((many, NUMBERS)), NOMINAL)
        for name in ("inputs", "clean", "begins"):
            assert (getattr(together, name) == getattr(one, name)).all(), name
        np.testing.assert_array_equal(together.numbers[-1], one.numbers[0])
        assert one.clean.max() < 1e3


def test_numbers_survive_a_state_bit_by_bit() -> None:
    numbers = np.random.default_rng(0).standard_normal((5, NUMBERS)) * 10.0 ** np.arange(-200, 200, 50)
    rows = rows_of(numbers)
    assert rows.shape == (CONDITIONING_ROWS, 5)
    state = np.concatenate([rows, np.zeros((3, 5), np.float32)])
    assert numbers_of(np.asfortranarray(state)).tobytes() == numbers.tobytes()
