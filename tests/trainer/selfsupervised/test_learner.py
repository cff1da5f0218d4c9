"""Learning on the signal itself, with champions whose errors are known."""

from collections.abc import Sequence

import numpy as np
import pytest

from streamer.errors import UsageError
from trainer.selfsupervised.band import Band
from trainer.selfsupervised.hilbert_labels import analytic
from trainer.selfsupervised.laguerre import Laguerre
from trainer.selfsupervised.learner import SelfConfig, SelfLearner
from trainer.selfsupervised.prior import assumed_moments
from trainer.selfsupervised.readout import Readout

RATE_HZ = 250.0
GIVEN = SelfConfig(band_hz=(8.0, 12.5))
FOUND = SelfConfig()
SAMPLES = 5000


def pairs(both: np.ndarray) -> np.ndarray:
    return np.stack([both.real, both.imag], axis=-1).astype(np.float32)


def rhythm(samples: int = SAMPLES, channels: int = 1, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian rhythm near 10 Hz in noise: inputs float32 and its true cos + i sin [samples, channels]."""
    generator = np.random.default_rng(seed)
    truth = 8 * analytic(generator.standard_normal((samples, channels)), Band(0.037, 0.043))
    noise = 0.2 * generator.standard_normal((samples, channels))
    return (truth.imag + noise).astype(np.float32), truth


def turned(truth: np.ndarray, degrees: float) -> np.ndarray:
    """A champion that is off by so much [samples, channels, 2]."""
    return pairs(truth * np.exp(1j * np.radians(degrees)))


def serve(learner: SelfLearner, inputs: np.ndarray, champion: np.ndarray, cuts: Sequence[int] = ()) -> np.ndarray:
    """Return what is published when the samples come in chunks that end at `cuts`."""
    published = []
    for first, end in zip([0, *cuts], [*cuts, len(inputs)], strict=True):
        while first < end:
            while learner.learn():
                pass
            last = min(end, first + learner.room)
            published.append(learner.answer(inputs[first:last], champion[first:last]))
            first = last
    return np.concatenate(published)


def started(config: SelfConfig = GIVEN, channels: int = 1) -> SelfLearner:
    learner = SelfLearner(config)
    learner.restart(channels, RATE_HZ, 0)
    return learner


def error_deg(published: np.ndarray, truth: np.ndarray) -> float:
    estimates = published[..., 0] + 1j * published[..., 1]
    return float(np.abs(np.angle(estimates * truth.conj(), deg=True)).mean())


def test_in_a_given_band_the_prior_serves_from_the_first_sample() -> None:
    """Better than a model at chance from the second cycle on, and never left for it."""
    inputs, truth = rhythm()
    champion = turned(truth, 90.0)
    learner = started(GIVEN)
    published = serve(learner, inputs, champion)
    early = slice(2 * 25, 10 * 25)
    assert error_deg(published[early], truth[early]) < 35
    assert error_deg(published[250:], truth[250:]) < 15
    assert (published != champion).any(axis=2).all()
    assert (learner.status()["switches"], learner.status()["serving_channels"]) == (0, 1)


def test_it_is_the_least_squares_filter_for_a_rhythm_on_1_f_noise_that_serves_first() -> None:
    inputs, truth = rhythm(300)
    published = serve(started(GIVEN), inputs, turned(truth, 60.0))
    band = Band(8.0 / RATE_HZ, 12.5 / RATE_HZ)
    readout, filters = Readout(1, assumed_moments(band)), Laguerre(1 / band.centre, 1)
    for n in range(100):  # before the first label
        outputs = filters.step(inputs[n] - inputs[0].astype(float))[:, 0]
        expected = readout.weights[0, :, 3:] @ outputs + readout.weights[0, :, 1:3] @ turned(truth, 60.0)[n, 0]
        np.testing.assert_allclose(published[n, 0], expected, atol=1e-5)


@pytest.mark.parametrize("size", [30.0, 1e3, 1e9])
def test_a_wild_sample_does_not_ring_in_what_is_learnt(size: float) -> None:
    inputs, truth = rhythm()
    champion = turned(truth, 90.0)
    clean = serve(started(GIVEN), inputs, champion)
    inputs[3000] += size
    published = serve(started(GIVEN), inputs, champion)
    assert error_deg(published[3003:], truth[3003:]) < error_deg(clean[3003:], truth[3003:]) + 0.5
    assert error_deg(published[3003:3100], truth[3003:3100]) < error_deg(clean[3003:3100], truth[3003:3100]) + 5


@pytest.mark.parametrize(("config", "from_sample"), [(FOUND, 3000)])
def test_what_is_learnt_replaces_a_worse_champion(config: SelfConfig, from_sample: int) -> None:
    inputs, truth = rhythm()
    champion = turned(truth, 60.0)
    learner = started(config)
    published = serve(learner, inputs, champion)
    changed = np.flatnonzero((published != champion).any(axis=(1, 2)))
    assert 200 < changed[0] < from_sample
    assert error_deg(published[from_sample:], truth[from_sample:]) < 15
    status = learner.status()
    assert status["serving_channels"] == 1
    assert status["champion_deg"] == pytest.approx(60, abs=5)
    assert status["band_hz"][0] < 10 < status["band_hz"][1]  # type: ignore[index]
    assert any("serves 1 of 1 channel" in line for line in learner.news())
    assert learner.news() == []


def test_a_better_champion_is_left_to_serve_bit_by_bit() -> None:
    truth = np.exp(2j * np.pi * 0.04 * np.arange(SAMPLES))[:, None]
    inputs = (truth.imag + 0.05 * np.random.default_rng(4).standard_normal(truth.shape)).astype(np.float32)
    champion = turned(truth, 1.0)
    learner = started(FOUND)
    np.testing.assert_array_equal(serve(learner, inputs, champion), champion)
    assert learner.status()["switches"] == 0
    given = started(GIVEN)  # it serves first, and not for long
    np.testing.assert_array_equal(serve(given, inputs, champion)[250:], champion[250:])
    assert (given.status()["switches"], given.status()["rollbacks"]) == (1, 1)
    assert given.refits > 150


@pytest.mark.parametrize("config", [GIVEN, FOUND])
def test_estimates_do_not_depend_on_how_samples_were_cut(config: SelfConfig) -> None:
    inputs, truth = rhythm(3000, channels=2)
    champion = turned(truth, 40.0)
    whole = serve(started(config, 2), inputs, champion)
    assert (whole != champion).any()
    for seed in range(3):
        generator = np.random.default_rng(seed)
        cuts = np.sort(generator.choice(np.arange(1, len(inputs)), 300, replace=False))
        np.testing.assert_array_equal(serve(started(config, 2), inputs, champion, cuts.tolist()), whole)
    singles = serve(started(config, 2), inputs, champion, list(range(1, len(inputs))))
    np.testing.assert_array_equal(singles, whole)


@pytest.mark.parametrize("config", [GIVEN, FOUND])
def test_estimates_do_not_depend_on_later_samples(config: SelfConfig) -> None:
    inputs, truth = rhythm(4000)
    champion = turned(truth, 40.0)
    whole = serve(started(config), inputs, champion)
    for end in (700, 2500, 3777):
        np.testing.assert_array_equal(serve(started(config), inputs[:end], champion[:end]), whole[:end])


def test_the_jump_at_a_switch_is_the_published_one() -> None:
    inputs, truth = rhythm()
    champion = turned(truth, 60.0)
    learner = started(FOUND)
    published = serve(learner, inputs, champion)
    first = int(np.flatnonzero((published != champion).any(axis=(1, 2)))[0])
    said, was = (array[first, 0, 0] + 1j * array[first, 0, 1] for array in (published, champion))
    assert learner.status()["jump_deg"] == pytest.approx(np.angle(said * np.conj(was), deg=True), abs=1e-3)


def test_a_challenger_that_is_not_a_number_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, truth = rhythm()
    champion = turned(truth, 60.0)
    learner = started()
    serve(learner, inputs[:3000], champion[:3000])
    assert learner.status()["serving_channels"] == 1
    monkeypatch.setattr("trainer.selfsupervised.readout._solve", lambda _, right: np.full_like(right, np.nan))
    serve(learner, inputs[3000:3050], champion[3000:3050])
    published = serve(learner, inputs[3050:4000], champion[3050:4000])
    np.testing.assert_array_equal(published, champion[3050:4000])
    assert learner.status()["serving_channels"] == 0
    assert learner.status()["rollbacks"] == 1


def test_a_signal_that_changes_is_noticed_and_the_champion_serves_at_once() -> None:
    samples = np.arange(6000)
    turns = np.where(samples < 3000, 0.034 * samples, 0.034 * 3000 + 0.049 * (samples - 3000))[:, None]
    truth = np.exp(2j * np.pi * turns)
    noise = 0.1 * np.random.default_rng(3).standard_normal(truth.shape)
    inputs, champion = (truth.imag + noise).astype(np.float32), turned(truth, 8.0)
    learner = started()
    published = serve(learner, inputs, champion)
    assert error_deg(published[2000:3000], truth[2000:3000]) < 4
    assert error_deg(published[3000:3100], truth[3000:3100]) < 13
    assert error_deg(published[5000:], truth[5000:]) < 4
    status = learner.status()
    assert status["drifts"] == 1
    assert 3000 < status["drift_seq"] < 3600  # type: ignore[operator]
    assert any("has changed" in line for line in learner.news())


def test_after_a_drift_a_band_that_was_found_is_found_again() -> None:
    samples = np.arange(12_000)
    turns = np.where(samples < 5000, 0.028 * samples, 0.028 * 5000 + 0.06 * (samples - 5000))[:, None]
    truth = np.exp(2j * np.pi * turns)
    noise = 0.2 * np.random.default_rng(2).standard_normal(truth.shape)
    learner = started(FOUND)
    published = serve(learner, (truth.imag + noise).astype(np.float32), turned(truth, 15.0))
    low_hz, high_hz = learner.status()["band_hz"]  # type: ignore[misc]
    assert low_hz < 0.06 * RATE_HZ < high_hz
    assert error_deg(published[5000:], truth[5000:]) < 15.3
    assert error_deg(published[-2000:], truth[-2000:]) < 10


def test_huge_inputs_do_no_lasting_harm() -> None:
    inputs, truth = rhythm(16_000)
    champion = turned(truth, 60.0)
    inputs[3000:3003] = 1e30
    learner = started()
    published = serve(learner, inputs, champion)
    assert np.isfinite(published).all()
    assert error_deg(published[-3000:], truth[-3000:]) < 15


def test_silence_and_steps_are_harmless() -> None:
    inputs = np.zeros((3000, 1), np.float32)
    inputs[1500:] = 5.0
    champion = np.zeros((3000, 1, 2), np.float32)
    np.testing.assert_array_equal(serve(started(FOUND), inputs, champion), champion)
    published = serve(started(GIVEN), inputs, champion)
    assert not published[:1500].any()
    assert np.abs(published).max() < 5
    np.testing.assert_array_equal(published[-1000:], champion[-1000:])


def test_a_new_run_starts_from_nothing() -> None:
    inputs, truth = rhythm(2000)
    champion = turned(truth, 60.0)
    used = started()
    serve(used, 1e3 * inputs, champion)
    updates = used.refits
    used.restart(1, RATE_HZ, 0)
    np.testing.assert_array_equal(serve(used, inputs, champion), serve(started(), inputs, champion))
    assert used.refits == 2 * updates


def test_a_gap_breaks_no_label() -> None:
    inputs, truth = rhythm(6000)
    champion = turned(truth, 60.0)
    for config in (GIVEN, FOUND):
        learner = started(config)
        serve(learner, inputs[:3000], champion[:3000])
        learner.resume(3333)
        published = serve(learner, inputs[3333:], champion[3333:])
        assert error_deg(published[1200:], truth[4533:]) < 15


def test_each_channel_learns_for_itself() -> None:
    inputs, truth = rhythm(3000, channels=3)
    inputs *= np.array([1e-6, 1.0, 1e6], np.float32)
    champion = turned(truth, 60.0) * np.array([1e-6, 1.0, 1e6], np.float32)[:, None]
    together = serve(started(channels=3), inputs, champion)
    for channel in range(3):
        alone = serve(
            started(), inputs[:, channel : channel + 1], np.ascontiguousarray(champion[:, channel : channel + 1])
        )
        scale = np.abs(alone).max()
        np.testing.assert_allclose(together[:, channel : channel + 1], alone, atol=1e-4 * scale)


def test_a_model_without_sin_lends_the_input_for_it() -> None:
    inputs, truth = rhythm()
    champion = turned(truth, 60.0)[..., :1].copy()
    published = serve(started(), inputs, champion)
    assert published.shape == champion.shape
    errors = [np.abs(cos[2000:, 0, 0] - truth.real[2000:, 0]).mean() for cos in (published, champion)]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize(
    ("config", "channels", "rate_hz", "trouble"),
    [
        (GIVEN, 1, 0.0, "does not state its sample rate"),
        (GIVEN, 1, 20.0, "--band"),
        (GIVEN, 20_000, 250.0, "too many channels"),
        (FOUND, 60_000, 250.0, "too many channels"),
        (SelfConfig(nominal_hz=0.0001), 1, 250.0, "give it with --band"),
    ],
)
def test_what_cannot_be_learnt_is_said_and_the_model_serves(
    config: SelfConfig, channels: int, rate_hz: float, trouble: str
) -> None:
    learner = SelfLearner(config)
    learner.restart(channels, rate_hz, 0)
    inputs = np.zeros((3, channels), np.float32)
    champion = np.zeros((3, channels, 2), np.float32)
    assert serve(learner, inputs, champion) is not None
    assert not learner.learn()
    assert trouble in str(learner.status()["trouble"])
    assert any(trouble in line for line in learner.news())


def test_a_band_that_does_not_rise_is_refused() -> None:
    for band_hz in ((12.0, 8.0), (0.0, 8.0), (8.0, float("inf")), (float("nan"), 8.0)):
        with pytest.raises(UsageError, match="--band"):
            SelfConfig(band_hz)
