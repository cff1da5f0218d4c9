import numpy as np
import pytest
import scenarios
from scenarios import RATE_HZ, SAMPLES, SCENARIOS, batch

SEEDS = [10_000, 10_001, 10_002]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_trial_depends_on_its_name_and_seed_alone(name: str) -> None:
    together, alone = batch(name, SEEDS), batch(name, SEEDS[1:2])
    np.testing.assert_array_equal(together.inputs[:, 1:2], alone.inputs)
    np.testing.assert_array_equal(together.phase[:, 1:2], alone.phase)
    assert not np.array_equal(together.inputs[:, 0], together.inputs[:, 1])
    assert together.inputs.dtype == np.float32
    assert together.inputs.shape == together.phase.shape == together.amplitude.shape == (SAMPLES, len(SEEDS))


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in ("hd", "g", "gz")])
def test_what_remains_of_the_input_is_white_noise_of_the_ratio_said(name: str) -> None:
    trials = batch(name, range(10_000, 10_020))
    noise = trials.inputs - trials.amplitude * np.sin(trials.phase)
    expected = 0.5 * 10 ** (-SCENARIOS[name].snr_db / 10)
    assert np.square(noise).mean() == pytest.approx(expected, rel=0.05, abs=1e-10)
    assert abs((noise[1:] * noise[:-1]).mean()) <= 0.05 * expected + 1e-10


@pytest.mark.parametrize(
    ("name", "lowest_hz", "highest_hz"),
    [("a", 10, 10), ("c5", 10, 10), ("d20", 7.07, 14.15), ("hd", 7.07, 14.15), ("b2", 5, 20)],
)
def test_frequencies_stay_within_their_octaves(name: str, lowest_hz: float, highest_hz: float) -> None:
    phase = batch(name, range(10_000, 10_050)).phase
    frequency_hz = np.diff(phase, axis=0) * RATE_HZ / (2 * np.pi)
    np.testing.assert_allclose(frequency_hz, np.broadcast_to(frequency_hz[0], frequency_hz.shape), rtol=1e-6)
    assert frequency_hz.min() >= lowest_hz - 1e-6
    assert frequency_hz.max() <= highest_hz + 1e-6
    assert np.ptp(frequency_hz[0]) >= 0.8 * (highest_hz - lowest_hz) - 1e-6


def test_chirps_step_and_jump_change_as_said() -> None:
    frequency_hz = np.diff(batch("ch", SEEDS).phase, axis=0) * RATE_HZ / (2 * np.pi)
    for ends_hz in frequency_hz[[0, -1]].T:
        np.testing.assert_allclose(sorted(ends_hz), (7.0, 14.0), atol=0.01)
    steps = np.diff(batch("st", SEEDS).phase, axis=0) * RATE_HZ / (2 * np.pi)
    np.testing.assert_allclose(np.sort(steps[[0, 749, 750, -1]], axis=0), [[8] * 3, [8] * 3, [12] * 3, [12] * 3])
    np.testing.assert_allclose(steps[0], steps[749])
    jumps = np.diff(batch("pj", SEEDS).phase, axis=0) - 2 * np.pi * 10 / RATE_HZ
    np.testing.assert_allclose(jumps[749], np.pi / 2)
    np.testing.assert_allclose(np.delete(jumps, 749, axis=0), 0, atol=1e-9)


def test_modulation_and_harmonics_are_as_large_as_said() -> None:
    amplitude = batch("am", SEEDS).amplitude
    np.testing.assert_allclose([amplitude.min(), amplitude.max()], (0.5, 1.5), atol=1e-3)
    np.testing.assert_allclose(amplitude[250:], amplitude[:-250])
    trials = batch("hd", SEEDS)
    for phase, heard in zip(trials.phase.T, trials.inputs.T, strict=True):
        basis = [trig(order * phase) for order in (0, 1, 2, 3) for trig in (np.cos, np.sin)]
        offset, _, *rest = np.linalg.lstsq(np.stack(basis, axis=1), heard)[0]
        assert offset == pytest.approx(0.3, abs=1e-5)
        np.testing.assert_allclose(np.hypot(rest[::2], rest[1::2]), (1.0, 0.2, 0.1), atol=1e-5)


def test_band_gain_is_half_at_the_edges_and_one_inside() -> None:
    gain = scenarios.band_gain(np.array([0.0, 8.0, 9.8, 12.0, 125.0]), (8.0, 12.0))
    np.testing.assert_allclose(gain, [0, 0.5, 1, 0.5, 0], atol=1e-3)


def test_rhythm_and_noise_have_the_variances_said() -> None:
    rhythm, noise = scenarios.rhythm_spectra()
    assert np.fft.irfft(rhythm)[0] == pytest.approx(1)
    assert np.fft.irfft(noise)[0] == pytest.approx(1 + scenarios.WHITE_VARIANCE)
    trials = batch("g", range(10_000, 10_060))
    assert np.square(trials.amplitude).mean() == pytest.approx(2, rel=0.15)
    assert trials.inputs.var() == pytest.approx(2, rel=0.15)


def test_the_label_is_the_band_passed_input_and_its_hilbert_transform() -> None:
    """The label's in-phase is what a zero-phase filter of the inputs gives, away from the record's ends."""
    trials = batch("gz", SEEDS)
    frequencies_hz = np.fft.rfftfreq(SAMPLES, 1 / RATE_HZ)
    gain = scenarios.band_gain(frequencies_hz, scenarios.LABEL_BAND_HZ)[:, None]
    filtered = np.fft.irfft(np.fft.rfft(trials.inputs, axis=0) * gain, axis=0)
    in_phase = trials.amplitude * np.sin(trials.phase)
    middle = slice(400, 1100)
    assert np.abs(filtered - in_phase)[middle].max() < 0.02
    rotation = np.diff(np.unwrap(trials.phase, axis=0), axis=0).mean() * RATE_HZ / (2 * np.pi)
    assert rotation == pytest.approx(10, abs=0.7)
