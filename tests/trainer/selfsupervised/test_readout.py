"""The read-out against least squares over the same rows."""

import numpy as np
import pytest

from trainer.selfsupervised import readout as module
from trainer.selfsupervised.readout import Readout

FEATURES = 5
NO_PRIOR = np.zeros((FEATURES, FEATURES + 2))


def blocks(count: int, seed: int = 0, samples: int = 20, channels: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features and labels that depend on them, on an offset and on noise; power differs from block to block."""
    generator = np.random.default_rng(seed)
    truth = generator.standard_normal((channels, FEATURES, 2))
    made = []
    for _ in range(count):
        features = generator.standard_normal((samples, channels, FEATURES)) * generator.uniform(0.9, 1.1) + 3.0
        labels = np.einsum("scf,cfk->sck", features - 3.0, truth) + 0.3 * generator.standard_normal(
            (samples, channels, 2)
        )
        made.append((features, labels))
    return made


def fitted(made: list[tuple[np.ndarray, np.ndarray]], prior: np.ndarray = NO_PRIOR) -> Readout:
    readout = Readout(made[0][1].shape[1], prior)
    for features, labels in made:
        readout.learn(features, labels)
    return readout


def test_weights_are_those_of_weighted_ridge_regression_over_all_rows() -> None:
    made = blocks(30)
    weights = fitted(made).weights
    keep = np.exp(-1 / module.MEMORY_BLOCKS)
    for channel in range(2):
        rows, targets = [], []
        for age, (features, labels) in enumerate(reversed(made)):
            power = np.square(labels[:, channel]).sum(axis=1).mean()
            weight = np.sqrt(keep**age / power / len(labels))
            rows.append(weight * np.column_stack([np.ones(len(labels)), features[:, channel]]))
            targets.append(weight * labels[:, channel])
        penalty = np.sqrt(module.RIDGE_BLOCKS) * np.eye(1 + FEATURES)[1:]  # none on the intercept
        stacked = np.concatenate([*rows, penalty])
        wanted = np.concatenate([*targets, np.zeros((FEATURES, 2))])
        expected = np.linalg.lstsq(stacked, wanted, rcond=None)[0].T
        np.testing.assert_allclose(weights[channel], expected, rtol=1e-6, atol=1e-8)


def test_old_blocks_are_forgotten() -> None:
    before, after = blocks(50, seed=1), blocks(8 * module.MEMORY_BLOCKS, seed=2)
    np.testing.assert_allclose(fitted(before + after).weights, fitted(after).weights, atol=0.02)
    assert np.abs(fitted(before).weights - fitted(after).weights).max() > 0.5


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_amplitude_makes_no_difference(scale: float) -> None:
    made = blocks(10)
    plain = fitted(made).weights
    scaled = fitted([(features * scale, labels * scale) for features, labels in made]).weights
    np.testing.assert_allclose(scaled[:, :, 1:], plain[:, :, 1:], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scaled[:, :, 0] / scale, plain[:, :, 0], rtol=1e-5, atol=1e-7)


def test_an_outlier_counts_as_one_block_and_does_not_deafen() -> None:
    made = blocks(60)
    readout = fitted(made[:20])
    readout.learn(3.0 + (made[20][0] - 3.0) * 1e12, made[20][1] * 1e12)
    for features, labels in made[21:]:
        readout.learn(features, labels)
    np.testing.assert_allclose(readout.weights[:, :, 1:], fitted(made).weights[:, :, 1:], atol=0.1)


def test_what_cannot_be_fitted_is_nan_and_can_be_forgotten() -> None:
    readout = Readout(2, NO_PRIOR)
    features, labels = blocks(1)[0]
    features[0, 1, 0] = np.inf
    readout.learn(features, labels)
    weights = readout.weights
    assert np.isfinite(weights[0]).all()
    assert np.isnan(weights[1]).any()
    readout.forget(np.array([1]))
    for features, labels in blocks(10):
        readout.learn(features, labels)
    assert np.isfinite(readout.weights).all()


def test_silence_teaches_nothing() -> None:
    made = blocks(10)
    readout = fitted(made)
    before = readout.weights
    readout.learn(np.full((20, 2, FEATURES), 3.0), np.zeros((20, 2, 2)))
    np.testing.assert_allclose(readout.weights, before, atol=0.05)
    first = Readout(1, assumed(2))
    before = first.weights
    first.learn(np.zeros((20, 1, FEATURES)), np.zeros((20, 1, 2)))
    np.testing.assert_allclose(first.weights, before, atol=1e-3)


def test_a_discount_lets_the_new_outweigh_the_old() -> None:
    old, new = blocks(100, seed=1), blocks(10, seed=2)
    plain, discounted = fitted(old), fitted(old)
    discounted.discount(0.01)
    for features, labels in new:
        plain.learn(features, labels)
        discounted.learn(features, labels)
    target = fitted(new).weights
    assert np.abs(discounted.weights - target).max() < 0.3 * np.abs(plain.weights - target).max()


def assumed(seed: int) -> np.ndarray:
    """Moments of some signal whose labels have power 1."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((400, FEATURES))
    labels = features @ generator.standard_normal((FEATURES, 2)) + generator.standard_normal((400, 2))
    return features.T @ np.concatenate([features, labels], axis=1) / np.square(labels).sum()


def test_it_begins_as_the_least_squares_filter_of_its_prior() -> None:
    prior = assumed(1)
    weights = Readout(1, prior).weights[0]
    np.testing.assert_allclose(
        weights[:, 1:], np.linalg.solve(prior[:, :FEATURES], prior[:, FEATURES:]).T, rtol=1e-3
    )
    np.testing.assert_array_equal(weights[:, 0], 0)


def test_labels_outweigh_the_prior_the_sooner_the_less_noise_they_hold() -> None:
    prior, clean = assumed(1), blocks(60)
    generator = np.random.default_rng(3)
    noisy = [(features, labels + 4 * generator.standard_normal(labels.shape)) for features, labels in clean]
    shares = []
    for made in (clean, noisy):
        plain, with_prior = fitted(made).weights, fitted(made, prior).weights
        first = Readout(2, prior).weights
        shares.append(np.linalg.norm((with_prior - plain)[..., 1:]) / np.linalg.norm((first - plain)[..., 1:]))
    assert shares[0] < 0.02
    assert shares[1] > 10 * shares[0]


def test_a_full_memory_has_no_room_for_the_prior() -> None:
    made = blocks(10 * module.MEMORY_BLOCKS, samples=5)
    np.testing.assert_allclose(fitted(made, 100 * assumed(1)).weights, fitted(made).weights, atol=2e-3)
