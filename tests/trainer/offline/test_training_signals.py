"""Training signals: their laws, and that what is told of them is what they are."""

from itertools import islice

import numpy as np
import pytest

from trainer.offline import training_signals
from trainer.offline.rhythms import draw_rhythms
from trainer.offline.training_signals import Signals, draw


def drawn(seed: int, samples: int = 300, channels: int = 400, change: int = 150) -> Signals:
    return draw(np.random.default_rng(seed), samples, channels, change)


@pytest.fixture(scope="module")
def signals() -> Signals:
    return drawn(0, samples=400, channels=2_000, change=200)


def tones(signals: Signals) -> np.ndarray:
    return ~np.isnan(signals.noise_variance)


def analytic(signals: Signals) -> np.ndarray:
    return signals.targets[..., 0] + 1j * signals.targets[..., 1].astype(complex)


class TestLesson:
    def test_windows_are_half_cycles_with_both_ends(self) -> None:
        windows = list(islice(training_signals.lesson(), 3))
        angle = np.linspace(2 * np.pi, 3 * np.pi, 10, dtype=np.float32)
        assert [window.seq for window in windows] == [0, 10, 20]
        assert np.array_equal(windows[2].inputs[:, 0], np.sin(angle))
        assert np.array_equal(windows[2].targets[:, 0, 0], np.cos(angle))


class TestTones:
    def test_draws_are_those_of_their_seed(self) -> None:
        one, same, other = (drawn(seed, 100, 8, 80) for seed in (1, 1, 2))
        assert np.array_equal(one.inputs, same.inputs)
        assert np.array_equal(one.targets, same.targets)
        assert not np.array_equal(one.inputs, other.inputs)

    def test_frequencies_cover_the_range_evenly_in_octaves(self, signals: Signals) -> None:
        steady = tones(signals) & signals.steady
        turned = np.angle(analytic(signals)[1] * analytic(signals)[0].conj())[steady]
        cycles_samples = 2 * np.pi / np.abs(turned)
        assert 9.99 < cycles_samples.min() < 10.2
        assert 58.5 < cycles_samples.max() < 60.1
        assert np.median(cycles_samples) == pytest.approx(np.sqrt(10 * 60), rel=0.07)

    def test_phases_are_uniform_and_targets_are_turned_a_quarter(self, signals: Signals) -> None:
        turns = np.mod(np.angle(analytic(signals)[0]) / (2 * np.pi), 1)
        counts = np.histogram(turns, bins=8, range=(0, 1))[0]
        assert counts == pytest.approx(len(turns) / 8, rel=0.25)

    def test_what_is_clean_and_undistorted_is_the_target(self, signals: Signals) -> None:
        residue = (signals.inputs - signals.targets[..., 1])[:, tones(signals)]
        clean = np.abs(residue).max(axis=0) < 1e-5
        share = (
            (1 - training_signals.NOISY_SHARE)
            * (1 - training_signals.HARMONIC_SHARE)
            * (1 - training_signals.OFFSET_SHARE)
        )
        assert clean.mean() == pytest.approx(share, abs=0.05)

    def test_noise_has_the_variance_that_is_told(self, signals: Signals) -> None:
        noisy = tones(signals) & (signals.noise_variance > 0.02)
        residue = (signals.inputs - signals.targets[..., 1])[:, noisy]
        # Successive differences, for what is not noise varies slowly.
        measured = np.square(np.diff(residue, axis=0)).mean(axis=0) / 2
        assert np.median(measured / signals.noise_variance[noisy]) == pytest.approx(1, abs=0.1)

    def test_steady_tones_turn_evenly_and_keep_their_amplitude(self, signals: Signals) -> None:
        steady = analytic(signals)[:, tones(signals) & signals.steady]
        turns = np.angle(steady[1:] * steady[:-1].conj())
        assert np.ptp(turns, axis=0).max() < 1e-4
        assert np.abs(np.abs(steady) - 1).max() < 1e-5

    def test_tones_that_change_do_so_in_every_way(self, signals: Signals) -> None:
        changing = analytic(signals)[:, tones(signals) & ~signals.steady]
        turns = np.angle(changing[1:] * changing[:-1].conj())
        sizes = np.abs(np.diff(np.abs(changing), axis=0))
        frequency_steps = (np.abs(np.diff(turns, axis=0)) > 0.01).any(axis=0)
        amplitude_steps = (sizes > 0.1).any(axis=0)
        bends = np.abs(turns[-1] - turns[0]) > 0.01
        assert 0.1 < frequency_steps.mean() < 0.7
        assert 0.03 < amplitude_steps.mean() < 0.4
        assert (bends & ~frequency_steps).mean() > 0.05

    def test_tones_that_change_are_as_noisy_as_steady_ones(self, signals: Signals) -> None:
        loudest = 0.5 * 10 ** (-training_signals.NOISE_SNR_DB[0] / 10)
        for kind in (signals.steady, ~signals.steady):
            assert 0.8 * loudest < signals.noise_variance[tones(signals) & kind].max() <= loudest * 1.0001


class TestRhythms:
    def test_the_last_of_the_signals_are_rhythms(self, signals: Signals) -> None:
        assert (~tones(signals)).mean() == pytest.approx(training_signals.RHYTHM_SHARE)
        assert not signals.steady[~tones(signals)].any()

    def test_the_spectrum_lies_in_the_band(self) -> None:
        cycles = np.full(40, 25.0)
        heard, rhythm = draw_rhythms(np.random.default_rng(0), 2_000, cycles)
        in_phase = rhythm.imag
        assert in_phase.var() == pytest.approx(1, rel=0.15)
        powers = np.square(np.abs(np.fft.rfft(in_phase * np.hanning(2_000)[:, None], axis=0))).mean(axis=1)
        frequencies = np.fft.rfftfreq(2_000)
        inside = np.abs(frequencies * 25 - 1) < 0.2
        assert powers[inside].sum() > 0.97 * powers.sum()
        assert heard.shape == (2_000, 40)

    def test_targets_are_analytic(self) -> None:
        """cos leads sin by a quarter: of one turning direction only."""
        samples = 8_192
        _, rhythm = draw_rhythms(np.random.default_rng(0), samples, np.full(4, 20.0))
        # Its ends do not meet: a window keeps them from leaking over the other half.
        powers = np.square(np.abs(np.fft.fft(rhythm * np.blackman(samples)[:, None], axis=0)))
        assert powers[samples // 2 :].sum() < 1e-9 * powers.sum()

    @pytest.mark.parametrize("samples", [2_048, 4_096, 8_000])
    def test_its_ends_do_not_meet(self, samples: int) -> None:
        _, rhythm = draw_rhythms(np.random.default_rng(0), samples, np.full(80, 20.0))
        assert rhythm.shape == (samples, 80)
        meeting, following = (
            np.abs((rhythm[:20] * later.conj()).mean()) for later in (rhythm[-20:], rhythm[20:40])
        )
        assert meeting < 0.5 < 1.0 < following

    def test_what_is_heard_beside_it_is_not_part_of_it(self) -> None:
        heard, rhythm = draw_rhythms(np.random.default_rng(0), 2_000, np.full(200, 25.0))
        noise = heard - rhythm.imag
        # Were the signs or the order of the parts wrong, what is left would hold the rhythm.
        assert np.abs(np.mean(noise * rhythm.imag)) < 0.05
        assert np.abs(np.mean(noise * rhythm.real)) < 0.05
