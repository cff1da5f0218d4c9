"""Model configurations, weights, and the level that frees them from amplitude."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import UsageError
from trainer import level
from trainer.model import GATES, Model, ModelConfig, new_model
from trainer.offline.network import GatedNetwork, Network


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("layers", [1, 2])
def test_shapes_and_order_of_weights_are_torchs(cell: str, layers: int) -> None:
    config = ModelConfig(cell, 5, layers)
    torchs = [(name, tuple(value.shape)) for name, value in Network(config).named_parameters()]
    assert list(config.weight_shapes().items()) == torchs


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gated_models_weights_are_its_networks(layers: int) -> None:
    config = ModelConfig("gated", 5, layers)
    networks = [(name, tuple(value.shape)) for name, value in GatedNetwork(config).named_parameters()]
    assert list(config.weight_shapes().items()) == networks


@pytest.mark.parametrize(
    "wrong",
    [
        {"cell": "elman"},
        {"hidden": 0},
        {"hidden": 4097},
        {"layers": 0},
        {"layers": 9},
        {"fields": ()},
        {"fields": ("sin",)},
        {"fields": ("cos", "sin", "tan")},
        {"level_samples": 0.5},
        {"level_samples": -1.0},
        {"level_samples": float("nan")},
        {"level_samples": float("inf")},
        {"level_samples": 16.0, "cell": "gated"},
        {"nominal_samples": 1.0},
        {"nominal_samples": float("nan")},
    ],
)
def test_config_refuses_what_is_out_of_range_and_names_it(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ModelConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "rows"),
    [
        (ModelConfig("rnn", 7, 2), 14),
        (ModelConfig("gru", 7, 1, level_samples=8), 9),
        (ModelConfig("lstm", 7, 2, level_samples=8), 30),
    ],
)
def test_state_holds_the_level_and_every_layer(config: ModelConfig, rows: int) -> None:
    state = new_model(config, seed=0).initial_state(3)
    assert config.state_rows == rows
    assert state.shape == (rows, 3)
    assert state.dtype == np.float32
    assert not state.any()


def test_new_weights_are_those_of_their_seed() -> None:
    config = ModelConfig("gru", 16)
    one, same, other = (new_model(config, seed).weights for seed in (3, 3, 4))
    for name in one:
        assert np.array_equal(one[name], same[name])
        assert not np.array_equal(one[name], other[name])
        assert 0.1 < np.abs(one[name]).max() <= 16**-0.5


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "dtype", "nan"])
def test_model_refuses_weights_that_do_not_fit(fault: str) -> None:
    config = ModelConfig("rnn", 4)
    weights = dict(new_model(config, seed=0).weights)
    match fault:
        case "missing":
            del weights["head.bias"]
        case "unknown":
            weights["head.scale"] = np.ones(1, np.float32)
        case "shape":
            weights["head.weight"] = weights["head.weight"].T.copy()
        case "dtype":
            weights["head.weight"] = weights["head.weight"].astype(np.float64)
        case "nan":
            weights["head.weight"][0, 0] = np.nan
    with pytest.raises(UsageError, match=r"weights: .*head\."):
        Model("odd", config, weights)


@pytest.mark.parametrize("amplitude", [1e-20, 1e-2, 1.0, 1e20])
def test_level_of_a_sine_becomes_its_amplitude(amplitude: float) -> None:
    sine = amplitude * np.sin(2 * np.pi * np.arange(2000) / 20)[:, None]
    levels, _ = level.follow(sine.astype(np.float32), np.zeros((2, 1), np.float32), 100.0)
    # From the first cycle on, not only once the average has filled: that is what bias correction is for.
    assert levels[:20].mean() == pytest.approx(amplitude, rel=0.2)
    assert levels[1000:].mean() == pytest.approx(amplitude, rel=0.02)


def test_level_of_a_constant_is_right_from_the_first_sample() -> None:
    levels, _ = level.follow(np.full((50, 1), -3, np.float32), np.zeros((2, 1), np.float32), 10.0)
    assert levels == pytest.approx(3 * np.pi / 2, rel=1e-5)


def test_silence_has_a_level_to_divide_by() -> None:
    levels, _ = level.follow(np.zeros((5, 1), np.float32), np.zeros((2, 1), np.float32), 10.0)
    assert (levels > 0).all()
    assert not (np.zeros((5, 1), np.float32) / levels).any()


@given(split=st.integers(0, 60), time_constant=st.floats(1, 1e6), seed=st.integers(0, 99))
def test_level_is_the_same_however_the_samples_are_chunked(split: int, time_constant: float, seed: int) -> None:
    inputs = np.random.default_rng(seed).standard_normal((60, 2)).astype(np.float32)
    start = np.zeros((2, 2), np.float32)
    whole, state = level.follow(inputs, start, time_constant)
    first, between = level.follow(inputs[:split], start, time_constant)
    second, after = level.follow(inputs[split:], between, time_constant)
    assert np.array_equal(np.concatenate([first, second]), whole)
    assert np.array_equal(after, state)
    assert not start.any()


@given(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=30),
    st.sampled_from([1.0, 7.0, 20.0, 1e6]),
)
def test_a_follower_has_the_bits_of_following_all_at_once(
    values: list[float], time_constant_samples: float
) -> None:
    inputs = np.array(values, np.float32)[:, None]
    levels, state = level.follow(inputs, np.zeros((2, 1), np.float32), time_constant_samples)
    follower = level.Follower(time_constant_samples)
    assert [follower.follow(sample) for sample in inputs[:, 0]] == levels[:, 0].tolist()
    assert [follower.average, follower.weight] == state[:, 0].tolist()
