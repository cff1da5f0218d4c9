"""The array engine against torch's whole-sequence forward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.engine import stepper as engine_module
from predictor.engine.stepper import FEW_CHANNELS, TILE, Engine
from tests.support.dose import examples, pick
from trainer.conditioning import numbers_of
from trainer.model import Model, ModelConfig, new_model
from trainer.offline.network import predict

CELLS = ("rnn", "gru", "lstm", "gated")


def config_of(cell: str, hidden: int, layers: int = 1, level_samples: float = 0.0) -> ModelConfig:
    """A configuration that the cell allows: a gated model has levels of its own."""
    return ModelConfig(cell, hidden, layers, level_samples=0.0 if cell == "gated" else level_samples)


def signal(samples: int, channels: int, seed: int = 0) -> np.ndarray:
    noise = 0.1 * np.random.default_rng(seed).standard_normal((samples, channels))
    return (2 * np.sin(0.3 * np.arange(samples)[:, None] + np.arange(channels)) + noise).astype(np.float32)


def engine_of(model: Model) -> Engine:
    return Engine(model.config, model.weights)


def assert_alike(model: Model, state: np.ndarray, expected: np.ndarray) -> None:
    rows = model.config.conditioning_rows
    np.testing.assert_allclose(state[rows:], expected[rows:], rtol=0, atol=1e-5)
    if rows:
        np.testing.assert_allclose(numbers_of(state), numbers_of(expected), rtol=0, atol=1e-4)


def heard_state(model: Model, channels: int, seed: int) -> np.ndarray:
    """A state that is not the initial one."""
    if not model.config.conditioning_rows:
        return np.abs(signal(model.config.state_rows, channels, seed))
    return engine_of(model).run(signal(9 * seed + 1, channels, seed), model.initial_state(channels))[1]


LEVELS = [(cell, level) for cell in CELLS for level in (0.0, 20.0) if (cell, level) != ("gated", 20.0)]
SIZES = [(layers, channels) for layers in (1, 2) for channels in (1, 3, 20)]


@pytest.mark.parametrize("cell", LEVELS, ids=str)
@pytest.mark.parametrize(
    ("layers", "channels", "samples"),
    [(1, 3, 10_000), *((*size, pick(quick=500, release=10_000)) for size in SIZES)],
)
def test_equals_the_whole_sequence_forward_however_many_steps(
    cell: tuple[str, float], layers: int, channels: int, samples: int
) -> None:
    model = new_model(config_of(cell[0], 32, layers, cell[1]), seed=3)
    inputs = signal(samples, channels)
    expected, expected_state = predict(model, inputs)
    estimates, state = engine_of(model).run(inputs, model.initial_state(channels))
    # Of a gated model with random weights: its estimates pass near 0, where their turn is ill-conditioned.
    np.testing.assert_allclose(estimates, expected, rtol=0, atol=5e-5 if cell[0] == "gated" else 1e-5)
    assert_alike(model, state, expected_state)


@examples(30, release=180)
@given(
    cell=st.sampled_from(CELLS),
    layers=st.integers(1, 2),
    channels=st.integers(1, 20),
    level_samples=st.sampled_from([0.0, 7.0]),
    cuts=st.lists(st.integers(1, 59), max_size=8),
)
def test_every_chunking_gives_the_same_bits(
    cell: str, layers: int, channels: int, level_samples: float, cuts: list[int]
) -> None:
    model = new_model(config_of(cell, 8, layers, level_samples), seed=5)
    inputs = signal(60, channels)
    whole, final = engine_of(model).run(inputs, model.initial_state(channels))
    engine, state, pieces = engine_of(model), model.initial_state(channels), []
    for piece in np.split(inputs, sorted(set(cuts))):
        estimates, state = engine.run(piece, state)
        pieces.append(estimates)
    assert np.concatenate(pieces).tobytes() == whole.tobytes()
    assert state.tobytes() == final.tobytes()


@pytest.mark.parametrize("channels", [TILE - 1, TILE + 1, 2 * TILE + 40])
@pytest.mark.parametrize("cell", CELLS)
def test_more_channels_than_a_tile_holds(cell: str, channels: int) -> None:
    model = new_model(config_of(cell, 8, level_samples=7.0), seed=5)
    inputs = signal(30, channels)
    expected, expected_state = predict(model, inputs)
    engine = engine_of(model)
    whole, final = engine.run(inputs, model.initial_state(channels))
    np.testing.assert_allclose(whole, expected, rtol=0, atol=1e-5)
    assert_alike(model, final, expected_state)
    first, state = engine.run(inputs[:13], model.initial_state(channels))
    rest, state = engine.run(inputs[13:], state)
    assert np.concatenate([first, rest]).tobytes() == whole.tobytes()
    assert state.tobytes() == final.tobytes()


@examples(30, release=180)
@given(
    cell=st.sampled_from(CELLS),
    layers=st.integers(1, 2),
    hidden=st.sampled_from([3, 8, 32]),
    level_samples=st.sampled_from([0.0, 7.0]),
    streams=st.lists(st.integers(1, FEW_CHANNELS), min_size=2, max_size=12),
    samples=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_whoever_comes_along_each_stream_gets_the_bits_it_gets_alone(
    cell: str, layers: int, hidden: int, level_samples: float, streams: list[int], samples: int, seed: int
) -> None:
    model = new_model(config_of(cell, hidden, layers, level_samples), seed=5)
    inputs = [signal(samples, channels, seed + k) for k, channels in enumerate(streams)]
    states = [heard_state(model, channels, k) for k, channels in enumerate(streams)]
    engine = engine_of(model)
    together, after = engine.run_apart(np.concatenate(inputs, axis=1), np.concatenate(states, axis=1))
    start = 0
    for heard, state in zip(inputs, states, strict=True):
        own = slice(start, start + heard.shape[1])
        start = own.stop
        alone, alone_after = engine_of(model).run(heard, state)
        assert together[:, own].tobytes() == alone.tobytes()
        assert after[:, own].tobytes() == alone_after.tobytes()


@pytest.mark.parametrize("streams", [10, 700])
def test_where_a_column_stands_does_not_matter(streams: int) -> None:
    model = new_model(ModelConfig("lstm", 32, level_samples=7.0), seed=5)
    column, state = signal(3, 1), np.abs(signal(model.config.state_rows, 1))
    alone, _ = engine_of(model).run(column, state)
    repeated, _ = engine_of(model).run_apart(np.repeat(column, streams, axis=1), np.repeat(state, streams, axis=1))
    assert (repeated == alone).all()


def test_a_machine_whose_stacked_products_differ_steps_columns_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model(ModelConfig("gru", 8), seed=5)
    inputs, state = signal(20, 3), model.initial_state(3)
    expected, expected_state = engine_of(model).run(inputs, state)

    def stacked_with_other_bits(matrix: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
        np.multiply(np.matmul(matrix, columns), np.float32(1 + 1e-6), out)

    monkeypatch.setattr("predictor.engine.products._stacked", stacked_with_other_bits)
    engine_module.batching_is_exact.cache_clear()
    try:
        assert not engine_module.batching_is_exact(model.config)
        estimates, after = engine_of(model).run(inputs, state)
    finally:
        engine_module.batching_is_exact.cache_clear()
    assert estimates.tobytes() == expected.tobytes()
    assert after.tobytes() == expected_state.tobytes()


def test_engines_that_share_working_arrays_keep_their_weights_apart() -> None:
    config = ModelConfig("gru", 8)
    one, other = new_model(config, seed=1), new_model(config, seed=2)
    engine = engine_of(one)
    fork = engine.fork()
    fork.load(other.weights)
    inputs, state = signal(10, 2), one.initial_state(2)
    assert engine.run(inputs, state)[0].tobytes() == engine_of(one).run(inputs, state)[0].tobytes()
    assert fork.run(inputs, state)[0].tobytes() == engine_of(other).run(inputs, state)[0].tobytes()


def test_streams_that_share_an_engine_do_not_meet() -> None:
    model = new_model(ModelConfig("lstm", 8), seed=1)
    shared = engine_of(model)
    first, second = signal(20, 2, seed=1), signal(20, 2, seed=2)
    states = [model.initial_state(2), model.initial_state(2)]
    told: list[list[np.ndarray]] = [[], []]
    for sample in range(20):
        for which, inputs in enumerate((first, second)):
            estimates, states[which] = shared.run(inputs[sample : sample + 1], states[which])
            told[which].append(estimates)
    for which, inputs in enumerate((first, second)):
        alone, _ = engine_of(model).run(inputs, model.initial_state(2))
        assert np.concatenate(told[which]).tobytes() == alone.tobytes()


def test_leaves_the_given_state_alone() -> None:
    model = new_model(ModelConfig("gru", 8, level_samples=5.0), seed=1)
    _, state = engine_of(model).run(signal(5, 1), model.initial_state(1))
    before = state.copy()
    engine_of(model).run(signal(5, 1), state)
    assert (state == before).all()


def test_loaded_weights_serve_from_the_next_step_on() -> None:
    config = ModelConfig("gru", 8)
    one, other = new_model(config, seed=1), new_model(config, seed=2)
    engine = engine_of(one)
    inputs = signal(30, 1)
    _, state = engine.run(inputs[:10], one.initial_state(1))
    engine.load(other.weights)
    estimates, _ = engine.run(inputs[10:], state)
    expected, _ = engine_of(other).run(inputs[10:], state)
    assert estimates.tobytes() == expected.tobytes()


@pytest.mark.parametrize("amplitude", [1e-25, 1e-3, 1e3, 1e29])
def test_a_level_makes_amplitude_irrelevant(amplitude: float) -> None:
    model = new_model(ModelConfig("gru", 8, level_samples=20.0), seed=1)
    inputs = signal(100, 1)[10:]  # from a sample that is not zero
    expected, _ = engine_of(model).run(inputs, model.initial_state(1))
    scaled, state = engine_of(model).run(inputs * np.float32(amplitude), model.initial_state(1))
    assert np.isfinite(state).all()
    np.testing.assert_allclose(scaled / np.float32(amplitude), expected, rtol=1e-3, atol=1e-4)
