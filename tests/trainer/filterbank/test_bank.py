"""The bank of resonators: its filters against their closed form, and what it keeps from mattering."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import FloatArray
from tests.support.dose import examples
from trainer.filterbank import bank
from trainer.filterbank.bank import FilterBank
from trainer.filterbank.features import (
    ANCHORS,
    CENTRES,
    CENTRES_EACH_SIDE,
    FEATURES,
    LONG,
    MOMENT_CYCLES,
    MOMENTS,
    READ,
    SPECTRUM_DISTANCES,
    Features,
)
from trainer.filterbank.single_channel import SingleChannelBank

BANK = FilterBank(25.0)


def start(channels: int, of: FilterBank = BANK) -> FloatArray:
    return np.zeros((of.state_rows, channels), np.float32)


def stepped_in_blocks(inputs: FloatArray, of: FilterBank = BANK, samples: int = 50) -> tuple[Features, FloatArray]:
    """Return the features of the last samples, and the state after them."""
    state = start(inputs.shape[1], of)
    for first in range(0, len(inputs), samples):
        block, state = of.step_block(inputs[first : first + samples], state)
    return block, state


def sines(cycles_samples: FloatArray, samples: int = 1_500, phase: float = 0.3) -> FloatArray:
    return np.sin(2 * np.pi * np.arange(samples)[:, None] / cycles_samples + phase).astype(np.float32)


def test_resonators_are_one_pole_filters() -> None:
    inputs = np.random.default_rng(0).standard_normal((200, 1)).astype(np.float32)
    _, state = stepped_in_blocks(inputs)
    middle = CENTRES_EACH_SIDE  # the first group's centres begin the rows
    pole = np.exp(-1 / (bank.PEAK_WEIGHTS[0][0] * 25) + 2j * np.pi / 25)
    powers = pole ** np.arange(199, -1, -1)
    expected = (1 - abs(pole)) * (powers @ inputs[:, 0].astype(float))
    assert state[2 * middle, 0] == pytest.approx(expected.real, abs=1e-5)
    assert state[2 * middle + 1, 0] == pytest.approx(expected.imag, abs=1e-5)


@pytest.mark.parametrize("cycle_samples", [10.0, 12.0, 18.0, 25.0, 37.0, 50.0, 60.0])
def test_the_nearest_centre_is_the_peak(cycle_samples: float) -> None:
    inputs = sines(np.array([cycle_samples]))
    state = start(1)
    _, state = BANK.step_block(inputs, state)
    quick = state[2 * BANK.resonators :][:CENTRES, 0]
    centres = 25 * np.exp(-bank.SPACING * (np.arange(CENTRES) - CENTRES_EACH_SIDE))
    assert abs(np.log(centres[quick.argmax()] / cycle_samples)) < 1.5 * bank.SPACING


@examples(30, release=120)
@given(cuts=st.lists(st.integers(1, 79), max_size=6, unique=True).map(sorted), channels=st.integers(1, 3))
def test_every_chunking_gives_the_same_bits(cuts: list[int], channels: int) -> None:
    inputs = np.random.default_rng(1).standard_normal((80, channels)).astype(np.float32)
    whole, final = BANK.step_block(inputs, start(channels))
    state, pieces = start(channels), []
    for piece in np.split(inputs, cuts):
        block, state = BANK.step_block(piece, state)
        pieces.append(block)
    assert state.tobytes() == final.tobytes()
    for name in ("features", "parts", "turns", "levels"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        assert joined.tobytes() == getattr(whole, name).tobytes()


@pytest.mark.parametrize("channels", [1, 4])
def test_selected_samples_have_the_features_that_they_have_among_all(channels: int) -> None:
    inputs = np.random.default_rng(1).standard_normal((30, channels)).astype(np.float32)
    everything, final = BANK.step_block(inputs, start(channels))
    for selected in ([], [7], [0, 3, 29]):
        some, state = BANK.step_block(inputs, start(channels), selected)
        assert state.tobytes() == final.tobytes()
        for name in ("features", "parts", "turns", "levels"):
            assert getattr(some, name).tobytes() == getattr(everything, name)[selected].tobytes()


def test_one_sample_alone_gives_the_same_bits() -> None:
    inputs = np.random.default_rng(4).standard_normal((90, 1)).astype(np.float32)
    inputs[:5], inputs[30:60], inputs[70:] = 0, 1e-25, 3e38
    raw_features, after = BANK.raw_features(inputs, start(1))
    single = SingleChannelBank(BANK)
    single.state[...] = 0
    for sample, rows, read in zip(
        inputs[:, 0].tolist(), raw_features.rows[:, 0], raw_features.read[:, 0], strict=True
    ):
        single.step(sample)
        assert single.column.tobytes() == np.append(rows, np.float32(1)).tobytes()
        assert single.read.tobytes() == read.tobytes()
    assert single.state.tobytes() == after[:, 0].tobytes()


def test_features_are_what_they_are_said_to_be() -> None:
    """Parts, logarithms of powers, peak, spectrum, and means and spreads of the anchors; in doubles."""
    inputs = np.random.default_rng(5).standard_normal((300, 1)).astype(np.float32)
    inputs[:, 0] += np.sin(np.arange(300) * np.linspace(0.2, 0.5, 300))
    block, state = BANK.step_block(inputs, start(1))
    features, (real, imaginary) = (
        block.features[..., 0],
        np.moveaxis(block.parts[:, :, :-1, 0].astype(float), 1, 0),
    )
    logarithms = 0.15 * np.log(real**2 + imaginary**2 + 1e-6)
    count, anchors = READ - 1, slice(len(ANCHORS))
    peak = features[:, 3 * count]
    expected = [real, imaginary, logarithms, peak[:, None]]
    np.testing.assert_allclose(features[:, : 3 * count + 1], np.concatenate(expected, axis=1), atol=2e-5)
    peaks = np.rint((peak + 1) * CENTRES / 2).astype(int)

    averages = state[2 * BANK.resonators :, 0].astype(float)[: 2 * CENTRES].reshape(2, CENTRES)
    assert averages[0].argmax() == peaks[-1]
    near = averages[:, np.clip(peaks[-1] + np.array(SPECTRUM_DISTANCES), 0, CENTRES - 1)]
    spectrum = 0.15 * np.log(near / averages.max(axis=1, keepdims=True) + 1e-5) + 0.3
    first = 3 * count + 1
    np.testing.assert_allclose(features[-1, first : first + spectrum.size], spectrum.ravel(), atol=1e-5)

    moments = np.concatenate(
        [real[:, anchors], imaginary[:, anchors], logarithms[:, anchors], peak[:, None]], axis=1
    )
    cycles = 25 * np.exp(-bank.SPACING * (peaks - CENTRES_EACH_SIDE))
    expected = []
    for memory in MOMENT_CYCLES:
        mean, square = np.zeros(MOMENTS), np.zeros(MOMENTS)
        for values, cycle in zip(moments, cycles, strict=True):
            share = 1 - np.exp(-1 / (memory * cycle))
            mean, square = mean + share * (values - mean), square + share * (values**2 - square)
        expected += [mean, 0.3 * np.log(np.sqrt(square - mean**2) + 3e-3) + 0.5]
    selected = features[-1, first + spectrum.size :]
    assert len(selected) == 4 * MOMENTS == FEATURES - first - spectrum.size
    np.testing.assert_allclose(selected, np.concatenate(expected), atol=1e-3)


def test_channels_do_not_touch_each_other() -> None:
    inputs = np.random.default_rng(2).standard_normal((40, 9)).astype(np.float32)
    together, _ = BANK.step_block(inputs, start(9))
    for channel in (0, 5):
        alone, _ = BANK.step_block(inputs[:, [channel]], start(1))
        np.testing.assert_array_equal(alone.features[..., 0], together.features[..., channel])


def test_the_given_state_is_left_alone() -> None:
    _, state = BANK.step_block(sines(np.array([25.0]), 30), start(1))
    before = state.copy()
    block, _ = BANK.step_block(sines(np.array([25.0]), 30), state)
    kept = block.features.copy()
    BANK.step_block(sines(np.array([13.0]), 30), state)
    assert np.array_equal(state, before)
    assert np.array_equal(block.features, kept)  # no view of a working array


def test_the_phase_of_a_steady_tone_does_not_matter_to_resonators() -> None:
    """What is turned is nearly constant; what is left is each resonator's answer to the conjugate tone."""
    block, _ = stepped_in_blocks(sines(np.array([25.0]), 2_000))
    parts = block.parts[:, :, ANCHORS.index((LONG, 0)), 0]
    assert parts.std(axis=0).max() < 0.05 * np.abs(parts).max()


@pytest.mark.parametrize("exponent", [-40, -7, 7, 40])
def test_amplitude_does_not_matter(exponent: int) -> None:
    inputs = sines(np.array([14.0, 31.0]), 300)
    scale = np.float32(2.0**exponent)  # a power of two, so that every product is exact
    plain, loud = (stepped_in_blocks(inputs * factor)[0] for factor in (np.float32(1), scale))
    np.testing.assert_array_equal(plain.features, loud.features)
    np.testing.assert_array_equal(plain.parts, loud.parts)
    np.testing.assert_array_equal(scale * plain.levels, loud.levels)


@pytest.mark.parametrize("amplitude", [0.0, 1e-38, 1e-30, 1e30, 3e38])
@pytest.mark.parametrize("kind", ["sine", "constant", "impulse", "loud once"])
def test_nothing_finite_leads_to_what_is_not(amplitude: float, kind: str) -> None:
    inputs = sines(np.array([20.0]), 400)
    if kind == "constant":
        inputs[:] = 1
    elif kind == "impulse":
        inputs[1:] = 0
    inputs *= np.float32(amplitude)
    if kind == "loud once":
        inputs[200] = 3e38
    block, state = stepped_in_blocks(inputs)
    for array in (block.features, block.parts, block.turns, block.levels, state):
        assert np.isfinite(array).all()


def test_silence_has_empty_features() -> None:
    block, _ = BANK.step_block(np.zeros((10, 1), np.float32), start(1))
    assert not block.parts[:, :, :-1].any()
    assert not block.turns.any()


@pytest.mark.parametrize("nominal_samples", [100.0, 250.0])
def test_a_bank_for_slower_signals_treats_them_as_this_one_treats_its_own(nominal_samples: float) -> None:
    scale = nominal_samples / 25
    slow = FilterBank(nominal_samples)
    here, _ = stepped_in_blocks(sines(np.array([25.0]), 1_000))
    there, _ = stepped_in_blocks(sines(np.array([nominal_samples]), round(1_000 * scale)), slow)
    count = len(ANCHORS)
    ours, theirs = (block.parts[-1, :, :count, 0] for block in (here, there))
    np.testing.assert_allclose(np.hypot(*ours), np.hypot(*theirs), rtol=0.15)


def test_sums_are_sums() -> None:
    terms = np.random.default_rng(0).standard_normal((3, 4, 36))
    for count in (1, 2, 5, 8, 9, 36):
        np.testing.assert_allclose(bank._summed(terms[..., :count]), terms[..., :count].sum(axis=-1), atol=1e-12)
