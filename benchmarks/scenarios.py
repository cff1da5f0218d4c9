"""The 19 accuracy scenarios: signals whose phase and amplitude are known at every sample.

The in-phase input is ``A sin(phase)`` (plus noise, harmonics, offset), the quadrature to be said ``A cos(phase)``.
A trial is drawn from its scenario's name and its own seed alone, so it is the same in whatever batch it stands.
Seeds 0 to 99 are for reporting; whoever trains or tunes uses others (10,000 and up).

Known signals last 6 s at 250 Hz: 10 Hz is nominal, 25 samples a cycle. The Gaussian rhythm (g, gz) is cut from the
middle of a circular record of 18 s, so that its acausal filters have no edges.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 250.0
SAMPLES = 1_500
WARM_UP_SAMPLES = 250
CHANGE_S = 3.0
"""When the steps and the jump happen."""
NOMINAL_HZ = 10.0

RHYTHM_BAND_HZ = (9.0, 11.0)
LABEL_BAND_HZ = (8.0, 12.0)
BUTTERWORTH_ORDER = 2
PINK_FROM_HZ = 1 / 6.0
"""1/f noise has no finite variance down to 0 Hz: it begins at one cycle a trial, whatever the record."""
WHITE_VARIANCE = 0.01
RECORD_SAMPLES = 4_500

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Complex128Array = NDArray[np.complex128]
Trial = tuple[Float64Array, Float64Array, Float64Array]
"""Inputs without white noise, true phase (rad), true amplitude, each [samples]."""


@dataclass(frozen=True)
class Batch:
    """Trials of one scenario, each array [samples, trials]."""

    inputs: Float32Array
    phase: Float64Array
    """True phase (rad) of the in-phase ``A sin(phase)``."""
    amplitude: Float64Array

    @property
    def quadrature(self) -> Float64Array:
        """What is to be said: ``A cos(phase)``."""
        return self.amplitude * np.cos(self.phase)


@dataclass(frozen=True)
class Scenario:
    """One row of the list below.

    Parameters
    ----------
    about : str
    draw : callable
        Generator -> Trial.
    snr_db : float
        A^2 / (2 sigma^2) of white noise over the full band, A = 1; infinite for none.
    """

    about: str
    draw: Callable[[np.random.Generator], Trial]
    snr_db: float = np.inf


def batch(name: str, seeds: Sequence[int]) -> Batch:
    """Return one trial a seed of a scenario.

    Parameters
    ----------
    name : str
        A key of `SCENARIOS`.
    seeds : sequence of int
        Not negative.

    Raises
    ------
    KeyError
        If there is no such scenario.
    """
    scenario = SCENARIOS[name]
    trials = []
    for seed in seeds:
        generator = np.random.default_rng(np.random.SeedSequence([int.from_bytes(name.encode()), seed]))
        inputs, phase, amplitude = scenario.draw(generator)
        noise = np.sqrt(0.5) * 10 ** (-scenario.snr_db / 20) * generator.standard_normal(SAMPLES)
        trials.append((inputs + noise, phase, amplitude))
    inputs, phase, amplitude = (np.stack(rows, axis=1) for rows in zip(*trials, strict=True))
    return Batch(inputs.astype(np.float32), phase, amplitude)


# --- signals with a known phase ---


def _time_s() -> Float64Array:
    return np.arange(SAMPLES) / RATE_HZ


def _phase_of(frequency_hz: Float64Array, generator: np.random.Generator) -> Float64Array:
    """Integrate a frequency [samples] from a random start phase."""
    turns = np.concatenate([[0.0], np.cumsum(frequency_hz[:-1])]) / RATE_HZ
    phase: Float64Array = 2 * np.pi * (turns + generator.uniform())
    return phase


def _sine(phase: Float64Array, amplitude: Float64Array | float = 1.0) -> Trial:
    amplitudes = np.broadcast_to(np.asarray(amplitude, float), phase.shape)
    return amplitudes * np.sin(phase), phase, amplitudes


def _tone(octaves: float) -> Callable[[np.random.Generator], Trial]:
    """Constant frequency, log-uniform over so many octaves around 10 Hz."""

    def draw(generator: np.random.Generator) -> Trial:
        frequency_hz = NOMINAL_HZ * 2 ** generator.uniform(-octaves / 2, octaves / 2)
        return _sine(_phase_of(np.full(SAMPLES, frequency_hz), generator))

    return draw


def _chirp(generator: np.random.Generator) -> Trial:
    """Linear, 7 to 14 Hz or 14 to 7 Hz over the trial."""
    first, last = generator.permutation([7.0, 14.0])
    turns = first * _time_s() + (last - first) * _time_s() ** 2 / (2 * SAMPLES / RATE_HZ)
    return _sine(2 * np.pi * (turns + generator.uniform()))


def _step(generator: np.random.Generator) -> Trial:
    """8 to 12 Hz or 12 to 8 Hz at 3 s, phase continuous."""
    before, after = generator.permutation([8.0, 12.0])
    return _sine(_phase_of(np.where(_time_s() < CHANGE_S, before, after), generator))


def _jump(generator: np.random.Generator) -> Trial:
    """10 Hz, its phase advanced by 90 deg at 3 s."""
    phase = _phase_of(np.full(SAMPLES, NOMINAL_HZ), generator)
    return _sine(phase + np.where(_time_s() < CHANGE_S, 0.0, np.pi / 2))


def _modulated(generator: np.random.Generator) -> Trial:
    """10 Hz, amplitude 1 +- 0.5 at 1 Hz, of random modulation phase."""
    phase = _phase_of(np.full(SAMPLES, NOMINAL_HZ), generator)
    return _sine(phase, 1 + 0.5 * np.sin(2 * np.pi * (_time_s() + generator.uniform())))


def _harmonic(generator: np.random.Generator) -> Trial:
    """Frequency within 1 octave, 2nd harmonic 0.2 and 3rd 0.1 of random phases, offset 0.3."""
    inputs, phase, amplitude = _tone(1)(generator)
    second, third = 2 * np.pi * generator.uniform(size=2)
    return inputs + 0.2 * np.sin(2 * phase + second) + 0.1 * np.sin(3 * phase + third) + 0.3, phase, amplitude


# --- the Gaussian rhythm ---


def band_gain(frequencies_hz: NDArray[np.floating], band_hz: tuple[float, float]) -> Float64Array:
    """Return the zero-phase gain of a digital Butterworth band-pass applied there and back, |H|^2.

    Bilinear transform; `BUTTERWORTH_ORDER` is the order of the low-pass prototype, as in scipy's ``butter``.
    """
    warped = np.tan(np.pi * frequencies_hz / RATE_HZ)
    low, high = np.tan(np.pi * np.asarray(band_hz) / RATE_HZ)
    offset = np.square(warped) - low * high
    width = (warped * (high - low)) ** (2 * BUTTERWORTH_ORDER)
    gain: Float64Array = width / (width + offset ** (2 * BUTTERWORTH_ORDER))
    return gain


def rhythm_spectra() -> tuple[Float64Array, Float64Array]:
    """Return the power spectra of rhythm and noise [RECORD_SAMPLES / 2 + 1], which sum to variances.

    Rhythm: 9 to 11 Hz, unit variance. Noise: 1/f of unit variance and white of variance 0.01.
    The variance of a spectrum is ``numpy.fft.irfft(spectrum)[0]``.
    """
    frequencies_hz = np.fft.rfftfreq(RECORD_SAMPLES, 1 / RATE_HZ)
    rhythm = band_gain(frequencies_hz, RHYTHM_BAND_HZ) ** 2
    pink = np.where(frequencies_hz >= PINK_FROM_HZ, 1 / np.maximum(frequencies_hz, PINK_FROM_HZ), 0.0)
    rhythm, pink = (spectrum / np.fft.irfft(spectrum)[0] for spectrum in (rhythm, pink))
    return rhythm, pink + WHITE_VARIANCE


def _gaussian(spectrum: Float64Array, generator: np.random.Generator) -> Complex128Array:
    """Return the half spectrum of a Gaussian record whose power spectrum is given."""
    white = np.fft.rfft(generator.standard_normal(RECORD_SAMPLES))
    return white * np.sqrt(spectrum)


def _middle(half_spectrum: Complex128Array) -> Complex128Array:
    """Return the middle of the analytic signal ``A exp(i phase)``, whose imaginary part is the in-phase."""
    both = np.zeros(RECORD_SAMPLES, complex)
    both[1 : len(half_spectrum) - 1] = 2 * half_spectrum[1:-1]
    first = (RECORD_SAMPLES - SAMPLES) // 2
    # x + i H[x] runs as exp(i (phase - pi/2)) when x = A sin(phase).
    analytic: Complex128Array = 1j * np.fft.ifft(both)[first : first + SAMPLES]
    return analytic


def _rhythm(generator: np.random.Generator) -> Trial:
    """Truth: the analytic signal of the rhythm alone."""
    inputs, rhythm, _ = _rhythm_in_noise(generator)
    return inputs, np.unwrap(np.angle(rhythm)), np.abs(rhythm)


def _labelled_rhythm(generator: np.random.Generator) -> Trial:
    """Truth: the zero-phase 8 to 12 Hz Hilbert transform of what is heard, rhythm and noise."""
    inputs, _, label = _rhythm_in_noise(generator)
    return inputs, np.unwrap(np.angle(label)), np.abs(label)


def _rhythm_in_noise(
    generator: np.random.Generator,
) -> tuple[Float64Array, Complex128Array, Complex128Array]:
    """Return inputs, the rhythm's analytic signal and the label's."""
    rhythm, noise = (_gaussian(spectrum, generator) for spectrum in rhythm_spectra())
    heard = rhythm + noise
    label = heard * band_gain(np.fft.rfftfreq(RECORD_SAMPLES, 1 / RATE_HZ), LABEL_BAND_HZ)
    first = (RECORD_SAMPLES - SAMPLES) // 2
    return np.fft.irfft(heard)[first : first + SAMPLES], _middle(rhythm), _middle(label)


SCENARIOS: dict[str, Scenario] = {
    "a": Scenario("clean 10 Hz", _tone(0)),
    "b1": Scenario("unknown frequency within 1 octave, clean", _tone(1)),
    "b2": Scenario("unknown frequency within 2 octaves, clean", _tone(2)),
    "c20": Scenario("10 Hz in noise, 20 dB", _tone(0), 20),
    "c10": Scenario("10 Hz in noise, 10 dB", _tone(0), 10),
    "c5": Scenario("10 Hz in noise, 5 dB", _tone(0), 5),
    "d20": Scenario("unknown frequency (1 octave) in noise, 20 dB", _tone(1), 20),
    "d10": Scenario("unknown frequency (1 octave) in noise, 10 dB", _tone(1), 10),
    "d5": Scenario("unknown frequency (1 octave) in noise, 5 dB", _tone(1), 5),
    "ch": Scenario("linear chirp between 7 and 14 Hz, clean", _chirp),
    "ch20": Scenario("linear chirp in noise, 20 dB", _chirp, 20),
    "st": Scenario("step between 8 and 12 Hz at 3 s, clean", _step),
    "st20": Scenario("step in noise, 20 dB", _step, 20),
    "pj": Scenario("10 Hz, phase jump of 90 deg at 3 s, clean", _jump),
    "am": Scenario("10 Hz, amplitude modulated by 50 % at 1 Hz, clean", _modulated),
    "am20": Scenario("amplitude modulated, 20 dB", _modulated, 20),
    "hd": Scenario("unknown frequency (1 octave), harmonics 0.2 and 0.1, offset 0.3", _harmonic),
    "g": Scenario("Gaussian rhythm 9 to 11 Hz in 1/f noise; truth: the rhythm alone", _rhythm),
    "gz": Scenario("the same; truth: zero-phase 8 to 12 Hz Hilbert label", _labelled_rhythm),
}
