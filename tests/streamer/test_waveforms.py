"""Each waveform against an independent oracle of its quadrature, frequency, jumps and envelope."""

import numpy as np
import pytest

from streamer.errors import UsageError
from streamer.waveforms import JUMP_CYCLES, MODULATION_DEPTH, WAVEFORMS, Float64Array, Oscillation

RATE_HZ = 1000.0


def times_s(seconds: float, start_s: float = 0.0) -> Float64Array:
    return start_s + np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def hilbert(signal: Float64Array) -> Float64Array:
    """The Hilbert transform of whole periods, by FFT: -cos for sin."""
    spectrum = np.fft.rfft(signal)
    spectrum[0] = 0
    if len(signal) % 2 == 0:
        spectrum[-1] = 0
    return np.fft.irfft(-1j * spectrum, len(signal))


def phase_cycles(wave: Oscillation, time_s: Float64Array) -> Float64Array:
    """The instantaneous phase that in-phase and quadrature claim, unwrapped."""
    in_phase, quadrature = wave.at(time_s)
    return np.unwrap(np.arctan2(in_phase, quadrature)) / (2 * np.pi)


@pytest.mark.parametrize("phase_deg", [0.0, 33.0, -100.0])
@pytest.mark.parametrize("waveform", ["sine", "harmonics", "am"])
def test_quadrature_is_the_hilbert_transform_over_whole_periods(waveform: str, phase_deg: float) -> None:
    wave = Oscillation(waveform, frequency_hz=5.0, every_s=2.0, amplitude=3.0, phase_deg=phase_deg)
    in_phase, quadrature = wave.at(times_s(4.0))
    # Hilbert(sin) = -cos, and sin leads to cos by a quarter of a cycle.
    np.testing.assert_allclose(quadrature, -hilbert(in_phase), atol=1e-9)
    assert np.abs(in_phase).max() > 1.5


def test_a_sine_is_numpys() -> None:
    time_s = times_s(1.0)
    in_phase, quadrature = Oscillation(frequency_hz=7.0, amplitude=2.0, phase_deg=90.0).at(time_s)
    np.testing.assert_allclose(in_phase, 2 * np.cos(2 * np.pi * 7 * time_s), atol=1e-12)
    np.testing.assert_allclose(quadrature, -2 * np.sin(2 * np.pi * 7 * time_s), atol=1e-12)


@pytest.mark.parametrize("waveform", ["sine", "chirp", "step", "jump"])
def test_the_circle_is_kept(waveform: str) -> None:
    in_phase, quadrature = Oscillation(waveform, amplitude=2.0, every_s=0.7).at(times_s(3.0))
    np.testing.assert_allclose(np.hypot(in_phase, quadrature), 2.0, atol=1e-12)


def test_a_chirps_frequency_goes_up_and_down_linearly() -> None:
    wave = Oscillation("chirp", frequency_hz=5.0, to_frequency_hz=20.0, every_s=2.0)
    time_s = times_s(8.0)
    frequency_hz = np.diff(phase_cycles(wave, time_s)) * RATE_HZ
    middle_s = time_s[:-1] + 0.5 / RATE_HZ
    expected_hz = np.interp(middle_s % 4.0, [0.0, 2.0, 4.0], [5.0, 20.0, 5.0])
    np.testing.assert_allclose(frequency_hz, expected_hz, atol=0.01)


def test_a_step_alternates_between_two_frequencies_without_a_jump_of_phase() -> None:
    wave = Oscillation("step", frequency_hz=5.0, to_frequency_hz=8.0, every_s=0.55)
    time_s = times_s(4.0)
    frequency_hz = np.diff(phase_cycles(wave, time_s)) * RATE_HZ
    expected_hz = np.where((time_s[:-1] + 0.5 / RATE_HZ) % 1.1 < 0.55, 5.0, 8.0)
    np.testing.assert_allclose(frequency_hz, expected_hz, atol=1e-6)


def test_the_other_frequency_is_by_default_the_double() -> None:
    default, given = Oscillation("step", frequency_hz=3.0), Oscillation("step", 3.0, to_frequency_hz=6.0)
    np.testing.assert_array_equal(default.at(times_s(12.0)), given.at(times_s(12.0)))
    falling = phase_cycles(Oscillation("chirp", 9.0, to_frequency_hz=0.0, every_s=1.0), times_s(1.0))
    assert falling[-1] - falling[0] == pytest.approx(4.5, abs=1e-4)


def test_a_jump_is_a_quarter_of_a_cycle_at_once() -> None:
    wave = Oscillation("jump", frequency_hz=5.0, every_s=0.75)
    steps = np.diff(phase_cycles(wave, times_s(3.0)))
    jumps = np.flatnonzero(steps > 0.01)
    np.testing.assert_array_equal(jumps, [749, 1499, 2249])
    np.testing.assert_allclose(steps[jumps], JUMP_CYCLES + 5.0 / RATE_HZ, atol=1e-9)
    np.testing.assert_allclose(np.delete(steps, jumps), 5.0 / RATE_HZ, atol=1e-9)


def test_the_amplitude_swings_by_half() -> None:
    in_phase, quadrature = Oscillation("am", amplitude=4.0, every_s=2.0).at(times_s(2.0))
    envelope = np.hypot(in_phase, quadrature)
    np.testing.assert_allclose(envelope, 4 * (1 + MODULATION_DEPTH * np.sin(np.pi * times_s(2.0))), atol=1e-12)
    assert (envelope.min(), envelope.max()) == (pytest.approx(2.0), pytest.approx(6.0))


def test_harmonics_have_the_stated_amplitudes() -> None:
    in_phase, _ = Oscillation("harmonics", frequency_hz=5.0).at(times_s(1.0))
    amplitudes = np.abs(np.fft.rfft(in_phase)) * 2 / RATE_HZ
    np.testing.assert_allclose(amplitudes[[5, 10, 15]], [1.0, 0.2, 0.1], atol=1e-12)
    assert np.delete(amplitudes, [5, 10, 15]).max() < 1e-12


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_phase_stays_precise_after_a_thousand_million_samples(waveform: str) -> None:
    # All of these repeat themselves every 4 s, so the 1e9th sample has a twin near the start.
    wave = Oscillation(waveform, frequency_hz=5.0, to_frequency_hz=10.0, every_s=1.0)
    late = wave.at(times_s(4.0, start_s=1e6))
    np.testing.assert_allclose(late, wave.at(times_s(4.0)), atol=1e-7)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_a_shift_leads(waveform: str) -> None:
    wave = Oscillation(waveform)
    ahead = Oscillation(waveform, phase_deg=90.0)
    np.testing.assert_allclose(wave.at(times_s(1.0), 0.25), ahead.at(times_s(1.0)), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("waveform", "square"),
        *[("frequency_hz", bad) for bad in (-1.0, np.nan, np.inf, 1e300)],
        *[("to_frequency_hz", bad) for bad in (-1.0, np.nan, np.inf)],
        *[("every_s", bad) for bad in (0.0, -1.0, np.nan, np.inf, 1e-300)],
        *[("amplitude", bad) for bad in (-1.0, np.nan, np.inf, 1e39)],
        *[("phase_deg", bad) for bad in (np.nan, np.inf)],
    ],
)
def test_what_cannot_be_an_oscillation_is_named(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"^{name}: must be .*got "):
        Oscillation(**{name: value})  # type: ignore[arg-type]
