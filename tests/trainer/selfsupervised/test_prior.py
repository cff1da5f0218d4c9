"""What a read-out starts from, against the same moments measured on a long made-up signal."""

import numpy as np
import pytest

from trainer.selfsupervised.band import Band
from trainer.selfsupervised.hilbert_labels import analytic, zero_phase_gain
from trainer.selfsupervised.laguerre import FILTERS, Laguerre, responses
from trainer.selfsupervised.prior import BACKGROUND, FLAT_BELOW, assumed_moments


@pytest.mark.parametrize("centre", [0.04, 0.01])
def test_moments_are_those_of_a_rhythm_on_a_background(centre: float) -> None:
    band = Band(centre / 1.2, centre * 1.2)
    samples = round(200 / centre)
    frequencies = np.maximum(np.abs(np.fft.fftfreq(samples)), FLAT_BELOW * centre)
    density = zero_phase_gain(frequencies, band) + BACKGROUND * (centre / frequencies) ** 2
    signal = np.roll(np.fft.ifft(np.sqrt(density)).real, samples // 2)  # a pulse with that spectrum
    filters = Laguerre(1 / centre, 1)
    past = np.stack([filters.step(value)[:, 0].copy() for value in signal[:, None]])
    truth = analytic(signal, band)
    labels = np.stack([truth.real, truth.imag], axis=1)
    expected = past.T @ np.concatenate([past, labels], axis=1) / np.square(labels).sum()
    moments = assumed_moments(band)
    np.testing.assert_allclose(moments[2:, -2:], expected[:, -2:], atol=0.01)
    np.testing.assert_allclose(moments[2:, 2:-2], expected[:, :-2], atol=0.01 * expected.max())


def test_nothing_is_taken_as_known_of_the_model() -> None:
    moments = assumed_moments(Band(0.03, 0.05))
    assert moments.shape == (2 + FILTERS, 4 + FILTERS)
    np.testing.assert_array_equal(moments[:2, 2:], 0)
    np.testing.assert_array_equal(moments[2:, :2], 0)


def test_responses_are_those_of_the_filters() -> None:
    filters, impulse = Laguerre(25.0, 1), np.zeros((4096, 1))
    impulse[0] = 1
    past = np.stack([filters.step(value)[:, 0].copy() for value in impulse])
    spectrum = np.fft.rfft(past, axis=0).T
    np.testing.assert_allclose(responses(np.fft.rfftfreq(4096), 25.0), spectrum, atol=1e-9)
