"""A signal is a pure function of the sample index."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import UsageError
from streamer.messages import FloatArray
from streamer.source.signals import Signal
from streamer.waveforms import WAVEFORMS, Oscillation
from tests.support.dose import examples


@given(
    waveform=st.sampled_from(list(WAVEFORMS)),
    channels=st.sampled_from([1, 2, 3, 8]),
    start=st.integers(0, 5000) | st.integers(10**9, 10**9 + 5000),
    cuts=st.lists(st.integers(0, 2100), max_size=6),
)
@examples(30, release=180)
def test_any_chunking_gives_the_same_bits(waveform: str, channels: int, start: int, cuts: list[int]) -> None:
    signal = Signal(Oscillation(waveform, every_s=0.7), 100.0, channels, offset=0.3, noise=0.5, seed=7)
    edges = sorted({0, 2100, *cuts})
    whole = signal.samples(start, 2100)
    pieces = [signal.samples(start + first, last - first) for first, last in pairwise(edges)]
    for position in (0, 1):
        joined = np.concatenate([piece[position] for piece in pieces])
        assert joined.tobytes() == whole[position].tobytes()


def test_one_sample_at_a_time_gives_the_same_bits() -> None:
    signal = Signal(channels=2, noise=1.0)
    whole = signal.samples(1000, 100)
    for position in (0, 1):
        single = np.concatenate([signal.samples(seq, 1)[position] for seq in range(1000, 1100)])
        assert single.tobytes() == whole[position].tobytes()


def test_shapes_and_types() -> None:
    inputs, targets = Signal(channels=3).samples(5, 4)
    assert inputs.shape == (4, 3, 1)
    assert targets.shape == (4, 3, 2)
    assert inputs.dtype == targets.dtype == np.float32


def test_targets_are_quadrature_and_clean_in_phase_and_offset_and_noise_are_in_the_input_alone() -> None:
    oscillation = Oscillation(frequency_hz=3.0, amplitude=2.0)
    clean_inputs, clean_targets = Signal(oscillation).samples(0, 500)
    inputs, targets = Signal(oscillation, offset=10.0, noise=0.1).samples(0, 500)
    in_phase, quadrature = oscillation.at(np.arange(500) / 100.0)
    np.testing.assert_array_equal(targets[:, 0, 0], quadrature.astype(np.float32))
    np.testing.assert_array_equal(targets[:, 0, 1], in_phase.astype(np.float32))
    np.testing.assert_array_equal(targets, clean_targets)
    np.testing.assert_array_equal(clean_inputs[:, 0, 0], targets[:, 0, 1])
    difference = inputs - clean_inputs
    assert difference.mean() == pytest.approx(10.0, abs=0.02)
    assert difference.std() == pytest.approx(0.1, rel=0.15)


def test_channels_lead_by_equal_parts_of_a_cycle() -> None:
    inputs, _ = Signal(Oscillation(frequency_hz=1.0), rate_hz=100.0, channels=4).samples(0, 100)
    for channel in range(4):
        np.testing.assert_allclose(inputs[:, channel, 0], np.roll(inputs[:, 0, 0], -25 * channel), atol=1e-6)


def noise_of(seed: int, channels: int = 1, start: int = 0, count: int = 20_000) -> FloatArray:
    signal = Signal(Oscillation(amplitude=0.0), channels=channels, noise=2.0, seed=seed)
    return signal.samples(start, count)[0][..., 0]


@pytest.mark.parametrize("channels", [1, 3, 2000])
def test_noise_is_white_and_gaussian(channels: int) -> None:
    noise = noise_of(1, channels, count=20_000 if channels < 10 else 50).astype(np.float64) / 2.0
    error = 4 / np.sqrt(noise.size)
    assert noise.mean() == pytest.approx(0.0, abs=error)
    assert noise.std() == pytest.approx(1.0, abs=error)
    assert (np.abs(noise) > 1.96).mean() == pytest.approx(0.05, abs=error)
    flat = noise.ravel()
    for lag in (1, 2, channels, 1023, 1024):
        assert (flat[lag:] * flat[:-lag]).mean() == pytest.approx(0.0, abs=2 * error)


def test_noise_differs_by_seed_block_and_channel_and_repeats_by_seed() -> None:
    np.testing.assert_array_equal(noise_of(1), noise_of(1))
    rows = [noise_of(1), noise_of(2), noise_of(1, start=1024), noise_of(2**64 - 1), *noise_of(1, channels=2).T]
    flat = [row.ravel()[:1000].tobytes() for row in rows]
    assert len(set(flat)) == len(flat)


def test_noise_of_the_widest_signal_takes_one_samples_room() -> None:
    inputs, _ = Signal(channels=65_536, noise=1.0).samples(10**9, 2)
    assert np.isfinite(inputs).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("rate_hz", bad) for bad in (0.0, -1.0, np.nan, np.inf, 1e-300, 1e300)],
        *[("channels", bad) for bad in (0, -1, 65_537)],
        *[("offset", bad) for bad in (np.nan, np.inf, 1e39)],
        *[("noise", bad) for bad in (-0.1, np.nan, np.inf, 1e39)],
        *[("seed", bad) for bad in (-1, 2**64)],
    ],
)
def test_what_cannot_be_a_signal_is_named(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"^{name}: must be .*got "):
        Signal(**{name: value})  # type: ignore[arg-type]


def test_the_largest_values_stay_finite() -> None:
    inputs, targets = Signal(Oscillation("harmonics", amplitude=1e30), offset=1e30, noise=1e30).samples(0, 1000)
    assert np.isfinite(inputs).all()
    assert np.isfinite(targets).all()
