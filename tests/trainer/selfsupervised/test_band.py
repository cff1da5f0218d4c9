"""Where a rhythm lies: found in noise, followed when it moves, and not where there is none."""

import numpy as np
import pytest

from streamer.errors import UsageError
from trainer.selfsupervised.band import NOMINAL, SEGMENT_SAMPLES, Band, around, find_peak, segment_power
from trainer.selfsupervised.band_tracker import ENOUGH_SEGMENTS, OUTSIDE_LOOKS, BandEstimate, BandTracker


def rhythm(frequency: float, samples: int, *, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A sine in 1/f^2 noise [samples, 1]."""
    generator = np.random.default_rng(seed)
    walk = np.cumsum(generator.standard_normal(samples))
    return (np.sin(2 * np.pi * frequency * np.arange(samples)) + noise * walk).astype(np.float32)[:, None]


def looks(watch: BandTracker, signal: np.ndarray) -> list[tuple[int, BandEstimate]]:
    """Feed a signal; return what was seen after how many samples."""
    changes: list[tuple[int, BandEstimate]] = []
    done = 0
    while done + watch.room <= len(signal):
        count = watch.room
        watch.add(signal[done : done + count])
        done += count
        sight = watch.look()
        if sight is not BandEstimate.SAME:
            changes.append((done, sight))
    return changes


@pytest.mark.parametrize("frequency", [1 / 45, 1 / 25, 1 / 14])
def test_a_rhythm_is_found_in_noise_that_is_stronger_at_low_frequencies(frequency: float) -> None:
    signal = rhythm(frequency, 40 * SEGMENT_SAMPLES, noise=0.3)
    power = sum(segment_power(segment) for segment in signal.reshape(40, SEGMENT_SAMPLES, 1))
    peak = find_peak(np.asarray(power))
    assert peak == pytest.approx(frequency, rel=0.06)


def test_a_slope_is_no_peak_and_silence_has_none() -> None:
    assert find_peak(1.0 / np.arange(1, SEGMENT_SAMPLES // 2 + 2)) is None
    assert find_peak(segment_power(np.zeros((SEGMENT_SAMPLES, 2)))) is None


def test_channels_count_alike_whatever_their_amplitude() -> None:
    loud, quiet = rhythm(1 / 40, SEGMENT_SAMPLES) * 1e20, rhythm(1 / 15, SEGMENT_SAMPLES) * 1e-20
    power = segment_power(np.concatenate([loud, quiet], axis=1))
    alone = (segment_power(loud) + segment_power(quiet)) / 2
    np.testing.assert_allclose(power, alone, rtol=1e-9, atol=1e-15)
    assert np.isfinite(power).all()


def noisy(samples: int, frequency: float) -> np.ndarray:
    """A sine as strong as the white noise it stands in."""
    noise = np.random.default_rng(9).standard_normal((samples, 1)).astype(np.float32)
    return rhythm(frequency, samples) + 0.7 * noise


def test_the_watch_waits_for_enough_and_moves_only_when_a_rhythm_has_left_for_good() -> None:
    half = SEGMENT_SAMPLES // 2
    watch = BandTracker(1)
    assert looks(watch, noisy(60 * half, 1 / 30)) == [((ENOUGH_SEGMENTS + 1) * half, BandEstimate.NEW_BAND)]
    assert watch.band is not None
    assert watch.band.low < 1 / 30 < watch.band.high
    both = noisy(400 * half, 1 / 30) + 1.5 * rhythm(1 / 16, 400 * half)
    assert looks(watch, both[: (OUTSIDE_LOOKS - 2) * half]) == []
    changes = looks(watch, both)
    assert [sight for _, sight in changes] == [BandEstimate.NEW_BAND]
    assert watch.band.low < 1 / 16 < watch.band.high


def test_a_rhythm_that_is_suddenly_elsewhere_is_seen_at_the_next_looks() -> None:
    half = SEGMENT_SAMPLES // 2
    watch = BandTracker(1)
    looks(watch, noisy(60 * half, 1 / 30))
    seen = looks(watch, noisy(6 * half, 1 / 16))
    assert seen[0][1] is BandEstimate.ELSEWHERE
    assert seen[0][0] <= 3 * half  # the first segments are half of the old rhythm still


@pytest.mark.parametrize("scale", [0.25, 4, 24])
def test_a_nominal_frequency_says_where_to_look(scale: float) -> None:
    frequency = NOMINAL / scale * 1.2
    watch = BandTracker(1, NOMINAL / scale)
    looks(watch, rhythm(frequency, int(20 * SEGMENT_SAMPLES * max(1, scale))))
    assert watch.band is not None
    assert watch.band.centre == pytest.approx(frequency, rel=0.06)


def test_a_band_must_rise_within_what_samples_can_say() -> None:
    assert around(0.04).centre == pytest.approx(0.04)
    for low, high in ((0.1, 0.1), (0.2, 0.1), (0.0, 0.1), (0.3, 0.5), (float("nan"), 0.1)):
        with pytest.raises(UsageError, match="--band"):
            Band(low, high)
