"""Training signals: the lesson's one sine, and random ones of many kinds, seeded."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.messages import FloatArray
from trainer.labels import Window
from trainer.offline.rhythms import draw_rhythms

Float64Array = NDArray[np.float64]

LESSON_POINTS = 10  # a half-cycle of the lesson

# A margin around the 12 to 50 samples a cycle that the default model answers for.
SHORTEST_CYCLE_SAMPLES = 10.0
LONGEST_CYCLE_SAMPLES = 60.0
RHYTHM_CYCLE_SAMPLES = (12.0, 50.0)

RHYTHM_SHARE = 0.25  # of all signals; the rest are tones
CHIRP_SHARE, STEP_SHARE, JUMP_SHARE = 0.15, 0.12, 0.13  # of tones; no tone has two of these
MODULATED_SHARE, AMPLITUDE_STEP_SHARE = 0.12, 0.06
HARMONIC_SHARE, OFFSET_SHARE, NOISY_SHARE = 0.2, 0.25, 0.72

CHIRP_OCTAVES = 1.3  # over CHIRP_SAMPLES
CHIRP_SAMPLES = (1_000.0, 2_000.0)
MODULATION_DEPTH = (0.2, 0.6)
MODULATION_CYCLES = (5.0, 20.0)  # of the tone in one of the envelope: slow enough for Bedrosian's theorem
AMPLITUDE_STEP_OCTAVES = 1.7
LARGEST_SECOND, LARGEST_THIRD = 0.3, 0.15  # harmonics
LARGEST_OFFSET = 0.4
NOISE_SNR_DB = (0.0, 40.0)

TOGETHER_SHARE = 0.6  # of sudden changes that come near one moment of the batch, where more samples are learnt
TOGETHER_SAMPLES = 8
FIRST_CHANGE_SAMPLES = 60


def lesson() -> Iterator[Window]:
    """Yield the lesson's windows for ever: ten points a half-cycle, both ends among them.

    Inputs are sin [10, 1], targets cos [10, 1, 1]; consecutive windows share an instant, as in the lesson.
    """
    half_cycle = 0
    while True:
        ends = half_cycle * np.pi, (half_cycle + 1) * np.pi
        angle = np.linspace(*ends, LESSON_POINTS, dtype=np.float32)[:, None]
        yield Window(half_cycle * LESSON_POINTS, np.sin(angle), np.cos(angle)[..., None])
        half_cycle += 1


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Random signals, one a channel.

    Parameters
    ----------
    inputs : float32 array, shape (samples, channels)
        As heard.
    targets : float32 array, shape (samples, channels, 2)
        (cos, sin) of the tone or rhythm alone.
    noise_variance : float64 array, shape (channels,)
        Of white noise on a tone of amplitude 1; NaN for rhythms.
    steady : bool array, shape (channels,)
        Whether frequency, phase and amplitude stay as they are.
    """

    inputs: FloatArray
    targets: FloatArray
    noise_variance: Float64Array
    steady: NDArray[np.bool_]


def draw(generator: np.random.Generator, samples: int, channels: int, change_sample: int) -> Signals:
    """Return independent random signals of nominal amplitude 1: first the tones, then the rhythms.

    Parameters
    ----------
    generator : numpy Generator
    samples : int
    channels : int
    change_sample : int
        Where many of the sudden changes are.
    """
    rhythms = round(RHYTHM_SHARE * channels)
    tones = _draw_tones(generator, samples, channels - rhythms, change_sample)
    cycles = _log_uniform(generator, RHYTHM_CYCLE_SAMPLES, rhythms)
    heard, analytic = draw_rhythms(generator, samples, cycles)
    targets = np.stack([analytic.real, analytic.imag], axis=-1).astype(np.float32)
    return Signals(
        np.concatenate([tones.inputs, heard.astype(np.float32)], axis=1),
        np.concatenate([tones.targets, targets], axis=1),
        np.concatenate([tones.noise_variance, np.full(rhythms, np.nan)]),
        np.concatenate([tones.steady, np.zeros(rhythms, bool)]),
    )


def _draw_tones(generator: np.random.Generator, samples: int, channels: int, change_sample: int) -> Signals:
    """Return tones: frequencies log-uniform, phases uniform, some bent, distorted or in white noise."""
    kind = generator.uniform(size=channels)
    chirps = kind < CHIRP_SHARE
    steps = ~chirps & (kind < CHIRP_SHARE + STEP_SHARE)
    jumps = ~chirps & ~steps & (kind < CHIRP_SHARE + STEP_SHARE + JUMP_SHARE)
    changed = _changed(generator, samples, channels, change_sample)
    omega = _frequency(generator, chirps, steps, changed)
    phase = np.cumsum(omega, axis=0) + generator.uniform(0, 2 * np.pi, channels)
    phase += np.where(jumps & changed, generator.uniform(-np.pi, np.pi, channels), 0.0)
    modulated, stepped = (
        _some(generator, MODULATED_SHARE, channels),
        _some(generator, AMPLITUDE_STEP_SHARE, channels),
    )
    envelope = _envelope(generator, omega[0], modulated, stepped, changed)
    targets = envelope[..., None] * np.stack([np.cos(phase), np.sin(phase)], axis=-1)
    steady = ~(chirps | steps | jumps | modulated | stepped)
    variance = 0.5 * 10.0 ** (-generator.uniform(*NOISE_SNR_DB, channels) / 10)
    variance = np.where(_some(generator, NOISY_SHARE, channels), variance, 0.0)
    heard = targets[..., 1] + envelope * _harmonics(generator, phase)
    heard += np.where(
        _some(generator, OFFSET_SHARE, channels), generator.uniform(-LARGEST_OFFSET, LARGEST_OFFSET, channels), 0.0
    )
    heard += np.sqrt(variance) * generator.standard_normal((samples, channels))
    return Signals(heard.astype(np.float32), targets.astype(np.float32), variance, steady)


def _some(generator: np.random.Generator, share: float, channels: int) -> NDArray[np.bool_]:
    return generator.uniform(size=channels) < share


def _log_uniform(generator: np.random.Generator, ends: tuple[float, float], channels: int) -> Float64Array:
    logarithms: Float64Array = generator.uniform(math.log(ends[0]), math.log(ends[1]), channels)
    return np.exp(logarithms)


def _changed(generator: np.random.Generator, samples: int, channels: int, change_sample: int) -> NDArray[np.bool_]:
    """Return [samples, channels]: false before each signal's sudden change, true from it on."""
    anywhere = generator.integers(FIRST_CHANGE_SAMPLES, samples, channels)
    near = change_sample + generator.integers(-TOGETHER_SAMPLES, TOGETHER_SAMPLES + 1, channels)
    change = np.where(_some(generator, TOGETHER_SHARE, channels), near, anywhere)
    after: NDArray[np.bool_] = np.arange(samples)[:, None] >= change
    return after


def _frequency(
    generator: np.random.Generator,
    chirps: NDArray[np.bool_],
    steps: NDArray[np.bool_],
    changed: NDArray[np.bool_],
) -> Float64Array:
    """Return frequencies [samples, channels], in radians a sample."""
    samples, channels = changed.shape
    lowest, highest = 2 * np.pi / LONGEST_CYCLE_SAMPLES, 2 * np.pi / SHORTEST_CYCLE_SAMPLES
    first = _log_uniform(generator, (lowest, highest), channels)
    last = np.clip(first * 2 ** generator.uniform(-CHIRP_OCTAVES, CHIRP_OCTAVES, channels), lowest, highest)
    course = np.minimum(np.arange(samples)[:, None] / generator.uniform(*CHIRP_SAMPLES, channels), 1.0)
    stepped = np.clip(first * 2 ** generator.uniform(-1, 1, channels), lowest, highest)
    omega = first + np.where(chirps, (last - first) * course, 0.0)
    return np.where(steps & changed, stepped, omega)


def _envelope(
    generator: np.random.Generator,
    omega: Float64Array,
    modulated: NDArray[np.bool_],
    stepped: NDArray[np.bool_],
    changed: NDArray[np.bool_],
) -> Float64Array:
    """Return amplitudes [samples, channels]."""
    samples, channels = changed.shape
    depth = np.where(modulated, generator.uniform(*MODULATION_DEPTH, channels), 0.0)
    swings = omega / _log_uniform(generator, MODULATION_CYCLES, channels)
    swing = np.sin(swings * np.arange(samples)[:, None] + generator.uniform(0, 2 * np.pi, channels))
    octaves = generator.uniform(-AMPLITUDE_STEP_OCTAVES, AMPLITUDE_STEP_OCTAVES, channels)
    envelope: Float64Array = (1 + depth * swing) * 2 ** np.where(stepped & changed, octaves, 0.0)
    return envelope


def _harmonics(generator: np.random.Generator, phase: Float64Array) -> Float64Array:
    """Return second and third harmonics [samples, channels] of random phases, over the amplitude, of some."""
    channels = phase.shape[1]
    some = _some(generator, HARMONIC_SHARE, channels)
    second = np.where(some, generator.uniform(0, LARGEST_SECOND, channels), 0.0)
    third = np.where(some, generator.uniform(0, LARGEST_THIRD, channels), 0.0)
    turns = generator.uniform(0, 2 * np.pi, (2, channels))
    harmonics: Float64Array = second * np.sin(2 * phase + turns[0]) + third * np.sin(3 * phase + turns[1])
    return harmonics
