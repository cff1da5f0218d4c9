"""Training signals: the lesson's one sine, and random ones, seeded."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.labels import Window

Float64Array = NDArray[np.float64]

LESSON_POINTS = 10  # a half-cycle of the lesson

# A margin around the 12 to 50 samples a cycle that the default model answers for.
SHORTEST_CYCLE_SAMPLES = 10.0
LONGEST_CYCLE_SAMPLES = 60.0

# Most signals are clean and steady, because that is where the error has to be smallest.
BENDING_SHARE = 0.15  # of signals, each: chirps, frequency steps, amplitude modulation, amplitude steps
NOISY_SHARE = 0.4
OFFSET_SHARE = 0.2

MOST_BEND_OCTAVES = 0.7
MODULATION_DEPTH = 0.5
MODULATION_CYCLES = (4.0, 20.0)  # of the signal in one of the envelope: slow enough for Bedrosian's theorem
AMPLITUDE_STEP_OCTAVES = 1.5
NOISE_SNR_DB = (10.0, 40.0)
LARGEST_OFFSET = 0.1


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


def episodes(seed: int, channels: int, window_samples: int, windows: int) -> Iterator[Window]:
    """Yield windows of random signals for ever; every `windows` windows new signals begin, at seq 0."""
    generator = np.random.default_rng(seed)
    while True:
        whole = draw(generator, window_samples * windows, channels)
        for seq in range(0, window_samples * windows, window_samples):
            part = slice(seq, seq + window_samples)
            yield Window(seq, whole.inputs[part], whole.targets[part])


def draw(generator: np.random.Generator, samples: int, channels: int) -> Window:
    """Return independent random signals of nominal amplitude 1, one a channel.

    Frequencies are log-uniform, phases uniform. Some signals bend (chirps, frequency steps, amplitude
    modulation, amplitude steps), some carry white noise or an offset.

    Returns
    -------
    window : Window
        Inputs [samples, channels] as heard; targets [samples, channels, 2] are the clean (cos, sin).
    """
    octaves = _frequency_octaves(generator, samples, channels)
    cycles = np.cumsum(2.0**octaves, axis=0) + generator.uniform(size=channels)
    envelope = _envelope(generator, samples, 2.0 ** octaves[0])
    angle = 2 * np.pi * cycles
    targets = envelope[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    heard = targets[..., 1] + _disturbance(generator, samples, channels)
    return Window(0, heard.astype(np.float32), targets.astype(np.float32))


def _share(generator: np.random.Generator, share: float, channels: int) -> Float64Array:
    """Return 1 for a random share of the channels, 0 for the others."""
    return (generator.uniform(size=channels) < share).astype(np.float64)


def _after_random_time(generator: np.random.Generator, samples: int, channels: int) -> Float64Array:
    """Return steps [samples, channels] from 0 to 1, each at a time of its own."""
    return (np.arange(samples)[:, None] >= generator.integers(0, samples, channels)).astype(np.float64)


def _frequency_octaves(generator: np.random.Generator, samples: int, channels: int) -> Float64Array:
    """Return frequencies [samples, channels], in octaves above one cycle a sample."""
    lowest, highest = -np.log2(LONGEST_CYCLE_SAMPLES), -np.log2(SHORTEST_CYCLE_SAMPLES)
    octaves = generator.uniform(lowest, highest, channels)
    ramp = np.linspace(0.0, 1.0, samples)[:, None]
    for course in (ramp, _after_random_time(generator, samples, channels)):
        bend = generator.uniform(-MOST_BEND_OCTAVES, MOST_BEND_OCTAVES, channels)
        octaves = octaves + course * bend * _share(generator, BENDING_SHARE, channels)
    return np.clip(octaves, lowest, highest)


def _envelope(generator: np.random.Generator, samples: int, frequency: Float64Array) -> Float64Array:
    """Return amplitudes [samples, channels] over time; `frequency` [channels] is in cycles a sample."""
    channels = len(frequency)
    depth = generator.uniform(0, MODULATION_DEPTH, channels) * _share(generator, BENDING_SHARE, channels)
    swings = frequency / generator.uniform(*MODULATION_CYCLES, channels)
    phase = generator.uniform(size=channels)
    swing = np.sin(2 * np.pi * (swings * np.arange(samples)[:, None] + phase))
    step_octaves = generator.uniform(-AMPLITUDE_STEP_OCTAVES, AMPLITUDE_STEP_OCTAVES, channels)
    step_octaves = step_octaves * _share(generator, BENDING_SHARE, channels)
    step_octaves = step_octaves * _after_random_time(generator, samples, channels)
    envelope: Float64Array = (1 + depth * swing) * np.exp2(step_octaves)
    return envelope


def _disturbance(generator: np.random.Generator, samples: int, channels: int) -> Float64Array:
    """Return the noise and offset [samples, channels] that come with a sine of amplitude 1."""
    sigma = np.sqrt(0.5) * 10.0 ** (-generator.uniform(*NOISE_SNR_DB, channels) / 20)
    noise = generator.standard_normal((samples, channels)) * sigma * _share(generator, NOISY_SHARE, channels)
    offset = generator.uniform(-LARGEST_OFFSET, LARGEST_OFFSET, channels)
    disturbance: Float64Array = noise + offset * _share(generator, OFFSET_SHARE, channels)
    return disturbance
