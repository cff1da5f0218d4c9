"""Labels made from a stream's own past, against the transform of the whole record."""

import numpy as np
import pytest

from trainer.selfsupervised.band import Band
from trainer.selfsupervised.hilbert_labels import HilbertLabels, analytic, zero_phase_gain

BAND = Band(0.032, 0.048)


def labels_of(signal: np.ndarray, band: Band) -> tuple[int, np.ndarray]:
    """Label a record [samples, channels] block by block; return the first one's index and all, complex."""
    labels = HilbertLabels(band, signal.shape[1])
    blocks, done = [], 0
    while done + labels.missing_samples <= len(signal):
        count = labels.missing_samples
        labels.add(signal[done : done + count])
        done += count
        blocks.append(labels.take())
    pairs = np.concatenate(blocks)
    return labels.reach_samples, pairs[..., 0] + 1j * pairs[..., 1]


def rhythm(samples: int, seed: int = 3) -> np.ndarray:
    """Gaussian noise in a band around 0.04 cycles a sample, and white noise [samples, 2]."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((samples, 2))
    return analytic(noise, Band(0.036, 0.044)).imag * 3 + 0.1 * generator.standard_normal((samples, 2))


def test_the_gain_is_one_at_the_centre_half_at_the_edges_and_zero_far_away() -> None:
    edges = zero_phase_gain(np.array([BAND.low, BAND.high]), BAND)
    np.testing.assert_allclose(edges, 0.5, rtol=1e-9)
    warped_centre = np.arctan(np.sqrt(np.tan(np.pi * BAND.low) * np.tan(np.pi * BAND.high))) / np.pi
    np.testing.assert_allclose(zero_phase_gain(np.array([warped_centre, 0.0, 0.5]), BAND), [1, 0, 0], atol=1e-6)


def test_the_whole_records_transform_says_cos_of_a_sine() -> None:
    phase = 2 * np.pi * 0.04 * np.arange(1000)
    both = analytic(3 * np.sin(phase), BAND)
    gain = zero_phase_gain(np.array([0.04]), BAND)[0]
    np.testing.assert_allclose(both, 3 * gain * (np.cos(phase) + 1j * np.sin(phase)), atol=1e-9)


def test_labels_are_the_whole_records_transform_but_for_its_far_ends() -> None:
    signal = rhythm(6000)
    first, labels = labels_of(signal, BAND)
    truth = analytic(signal, BAND)[first : first + len(labels)]
    errors = np.abs(np.angle(labels * truth.conj(), deg=True))
    assert errors[100:-100].mean() < 5
    one_sided = np.abs(np.angle(np.roll(labels, 3, axis=0) * truth.conj(), deg=True))
    assert one_sided[100:-100].mean() > 30  # three samples late would be seen


@pytest.mark.parametrize("frequency", [0.033, 0.04, 0.047])
def test_labels_of_a_tone_are_exact_whatever_its_offset(frequency: float) -> None:
    phase = 2 * np.pi * frequency * np.arange(1200)[:, None]
    first, labels = labels_of(1e6 + np.sin(phase), BAND)
    errors = np.angle(labels * np.exp(-1j * phase[first : first + len(labels)]), deg=True)
    assert np.abs(errors).max() < 1.0


def test_a_label_needs_as_many_samples_after_its_own_as_before_it() -> None:
    signal = rhythm(2000)
    first, labels = labels_of(signal, BAND)
    changed = signal.copy()
    changed[1000:] = 7.0
    _, others = labels_of(changed, BAND)
    assert first > 2 / BAND.high
    np.testing.assert_allclose(labels[: 1000 - 2 * first], others[: 1000 - 2 * first], atol=1e-9)
    assert np.abs(labels - others)[1000 - first].max() > 0.1


def test_a_narrower_band_is_waited_for_longer() -> None:
    reaches = [HilbertLabels(Band(0.04 / w, 0.04 * w), 1).reach_samples for w in (2.0, 1.25, 1.05, 1.0001)]
    assert reaches == sorted(reaches)
    assert reaches[-1] == 20 / 0.04


def test_after_a_restart_nothing_of_before_is_left() -> None:
    signal = rhythm(1000)
    fresh = HilbertLabels(BAND, 2)
    used = HilbertLabels(BAND, 2)
    used.add(1e6 * signal[:50])
    used.restart()
    for labels in (fresh, used):
        labels.add(signal[: labels.missing_samples])
    np.testing.assert_array_equal(fresh.take(), used.take())
