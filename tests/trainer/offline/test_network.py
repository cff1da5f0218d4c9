"""The torch network against plain torch, and streamed against whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from streamer.messages import FloatArray
from tests.support.dose import examples
from trainer.model import GATES, ModelConfig, new_model
from trainer.offline.network import Network, hidden_of, network_of, predict, state_of

CONFIGS = [
    ModelConfig(cell, 6, layers, level_samples=level_samples)
    for cell in GATES
    for layers, level_samples in ((1, 0.0), (2, 12.0))
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def signals(samples: int, channels: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).standard_normal((samples, channels)).astype(np.float32)


def test_a_seed_gives_the_weights_of_plain_torch() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        cell, head = nn.RNN(1, 32, 1, batch_first=True), nn.Linear(32, 1)
        torch.manual_seed(1)
        network = Network(ModelConfig("rnn", 32, 1, ("cos",)))
    plain = [*cell.parameters(), *head.parameters()]
    assert all(torch.equal(*pair) for pair in zip(network.parameters(), plain, strict=True))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_head_step_by_step_equals_head_at_once(config: ModelConfig) -> None:
    network = network_of(new_model(config, seed=0))
    inputs = torch.from_numpy(signals(40, 3).T[..., None].copy())
    with torch.no_grad():
        at_once, _ = network(inputs)
        stepwise, _ = network(inputs, stepwise_head=True)
    assert at_once.shape == (3, 40, 2)
    np.testing.assert_allclose(stepwise, at_once, atol=1e-6)


@pytest.mark.parametrize("cell", GATES)
def test_predict_equals_plain_torch(cell: str) -> None:
    model = new_model(ModelConfig(cell, 6, 2), seed=0)
    plain = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell](1, 6, 2)
    plain.load_state_dict(
        {name[5:]: torch.from_numpy(value) for name, value in model.weights.items() if name[:5] == "cell."}
    )
    inputs = signals(50, 3)
    with torch.no_grad():
        states, _ = plain(torch.from_numpy(inputs)[..., None])
    expected = states.numpy() @ model.weights["head.weight"].T + model.weights["head.bias"]
    np.testing.assert_allclose(predict(model, inputs)[0], expected, atol=1e-6)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@examples(10, release=40)
@given(cuts=st.lists(st.integers(1, 59), max_size=5, unique=True).map(sorted))
def test_chunks_through_predict_equal_the_whole(config: ModelConfig, cuts: list[int]) -> None:
    model, inputs = new_model(config, seed=1), signals(60, 2)
    whole, last = predict(model, inputs)
    state, parts = model.initial_state(2), []
    for chunk in np.split(inputs, cuts):
        estimates, state = predict(model, chunk, state)
        parts.append(estimates)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-6)
    np.testing.assert_allclose(state, last, atol=2e-6)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_channels_do_not_touch_each_other(config: ModelConfig) -> None:
    model, inputs = new_model(config, seed=1), signals(60, 3)
    together, state = predict(model, inputs)
    for channel in range(3):
        alone, alone_state = predict(model, inputs[:, [channel]])
        np.testing.assert_allclose(alone[:, 0], together[:, channel], atol=2e-6)
        np.testing.assert_allclose(alone_state[:, 0], state[:, channel], atol=2e-6)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_state_survives_the_way_through_torch(config: ModelConfig) -> None:
    state = signals(config.state_rows, 3)
    assert np.array_equal(state_of(state[: config.level_rows], hidden_of(config, state)), state)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("exponent", [-60, -7, 7, 60])
def test_a_model_with_a_level_scales_with_its_input(cell: str, exponent: int) -> None:
    model, inputs = new_model(ModelConfig(cell, 6, level_samples=12.0), seed=1), signals(200, 2)
    scale = np.float32(2.0**exponent)  # a power of two, so that every product is exact
    assert np.array_equal(predict(model, scale * inputs)[0], scale * predict(model, inputs)[0])


def test_weights_are_copied_out_and_in() -> None:
    model = new_model(ModelConfig("gru", 4), seed=1)
    network = network_of(model)
    before = {name: value.copy() for name, value in model.weights.items()}
    taken = network.weights()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    for name, value in before.items():
        assert np.array_equal(taken[name], value)
        assert np.array_equal(model.weights[name], value)


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        Network(ModelConfig("gru", 4)).load_weights(new_model(ModelConfig("gru", 5), seed=1).weights)
