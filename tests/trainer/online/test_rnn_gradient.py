"""The written-out gradient against autograd, and Adam against torch's."""

import numpy as np
import pytest
import torch

from trainer.conditioning import condition, leads, numbers_of, rows_of
from trainer.filterbank.bank import bank_of
from trainer.model import ModelConfig, new_model
from trainer.offline.network import GatedNetwork, by_example, hidden_of, network_of, predict, state_of
from trainer.online.adam import Adam
from trainer.online.gated_gradient import GatedGradient
from trainer.online.rnn_gradient import Parameters, RnnGradient


@pytest.mark.parametrize("samples", [1, 10, 100])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_forward_and_gradient_equal_autograd(cell: str, layers: int, channels: int, samples: int) -> None:
    generator = np.random.default_rng(samples)
    model = new_model(ModelConfig(cell, 16, layers), seed=7)
    inputs = generator.standard_normal((samples, channels)).astype(np.float32)
    state = generator.uniform(-0.9, 0.9, (model.config.state_rows, channels)).astype(np.float32)
    d_outputs = generator.standard_normal((samples, channels, 2)).astype(np.float32) / samples

    gradient = Parameters(model.config)
    bptt = RnnGradient(model.config, Parameters(model.config, model.weights).named)
    outputs = bptt.forward(inputs, state)
    bptt.backward(d_outputs.copy(), gradient.named)

    network = network_of(model)
    expected, hidden = network(torch.from_numpy(inputs.T[..., None].copy()), hidden_of(model.config, state))
    expected.backward(torch.from_numpy(d_outputs.transpose(1, 0, 2).copy()))
    np.testing.assert_allclose(outputs, expected.detach().numpy().transpose(1, 0, 2), atol=1e-6)
    np.testing.assert_allclose(bptt.state_after(samples), state_of(state[:0], hidden), atol=1e-6)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        scale = max(1.0, float(parameter.grad.abs().max()))
        np.testing.assert_allclose(gradient.named[name], parameter.grad.numpy(), atol=1e-6 * scale)


@pytest.mark.parametrize("fields", [("cos",), ("cos", "sin")])
@pytest.mark.parametrize("samples", [1, 10])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_gated_models_forward_and_gradient_equal_autograd(
    layers: int, channels: int, samples: int, fields: tuple[str, ...]
) -> None:
    generator = np.random.default_rng(samples)
    model = new_model(ModelConfig("gated", 16, layers, fields), seed=7)
    bank = bank_of(model.config.nominal_samples)
    before = generator.standard_normal((50, channels)).astype(np.float32)
    inputs = generator.standard_normal((samples, channels)).astype(np.float32)
    _, state = predict(model, before)
    rows = model.config.conditioning_rows
    d_outputs = generator.standard_normal((samples, channels, len(fields))).astype(np.float32) / samples

    gradient = Parameters(model.config)
    mixing = GatedGradient(model.config, Parameters(model.config, model.weights).named)
    outputs, levels = mixing.forward(inputs, state)
    mixing.backward(d_outputs, gradient.named)

    network = GatedNetwork(model.config)
    network.load_weights(model.weights)
    conditioned = condition(inputs, numbers_of(state), 25.0) if rows else None
    block, after = bank.step_block(conditioned.inputs if conditioned else inputs, state[rows:])
    selected = [torch.from_numpy(by_example(array)) for array in (block.features, block.parts, block.turns)]
    expected = network(*selected).unflatten(0, (samples, channels))[..., : len(fields)]
    if conditioned:
        lead = torch.from_numpy(leads(expected.detach().numpy(), conditioned.numbers, 25.0)).float()
        cos, sin = expected.unbind(-1)
        expected = torch.stack([cos + lead * sin, sin - lead * cos], dim=-1)
        after = np.concatenate([rows_of(conditioned.numbers), after])
    expected.backward(torch.from_numpy(d_outputs))
    scale = max(1.0, float(expected.detach().abs().max()))
    np.testing.assert_allclose(outputs, expected.detach().numpy(), atol=1e-6 * scale)
    np.testing.assert_array_equal(levels, block.levels)
    np.testing.assert_array_equal(mixing.state_after(samples)[rows:], after[rows:])
    if conditioned:
        np.testing.assert_allclose(numbers_of(mixing.state_after(samples)), conditioned.numbers, atol=1e-5)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        scale = max(1.0, float(parameter.grad.abs().max()))
        np.testing.assert_allclose(gradient.named[name], parameter.grad.numpy(), atol=1e-6 * scale)


def test_the_state_after_fewer_samples_is_that_of_a_shorter_forward() -> None:
    model = new_model(ModelConfig("lstm", 8, 2), seed=7)
    bptt = RnnGradient(model.config, model.weights)
    inputs = np.sin(np.arange(20, dtype=np.float32))[:, None]
    bptt.forward(inputs, model.initial_state(1))
    part = bptt.state_after(7)
    bptt.forward(inputs[:7], model.initial_state(1))
    np.testing.assert_array_equal(part, bptt.state_after(7))


def test_a_gated_models_state_after_fewer_samples_is_that_of_a_shorter_forward() -> None:
    model = new_model(ModelConfig("gated", 8), seed=7)
    mixing = GatedGradient(model.config, model.weights)
    inputs = np.sin(np.arange(20, dtype=np.float32))[:, None]
    mixing.forward(inputs, model.initial_state(1))
    part = mixing.state_after(7)
    mixing.forward(inputs[:7], model.initial_state(1))
    np.testing.assert_array_equal(part, mixing.state_after(7))


def test_parameters_are_views_of_one_vector() -> None:
    config = ModelConfig("gru", 4, 2)
    model = new_model(config, seed=1)
    parameters = Parameters(config, model.weights)
    assert parameters.vector.size == sum(weight.size for weight in model.weights.values())
    parameters.vector[:] += 1
    for name, weight in model.weights.items():
        np.testing.assert_allclose(parameters.named[name], weight + 1, rtol=1e-6)


def test_adam_equals_torchs() -> None:
    generator = np.random.default_rng(0)
    start = generator.standard_normal(50).astype(np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = torch.optim.Adam([parameter], lr=0.03, amsgrad=True)
    ours, adam = start.copy(), Adam(50, 0.03)
    for update in range(100):
        gradient = (generator.standard_normal(50) * 10.0 ** -(update % 7)).astype(np.float32)
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        ours -= adam.step(gradient)
        np.testing.assert_allclose(ours, parameter.detach().numpy(), atol=1e-5)
