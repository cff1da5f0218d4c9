"""Truncated back-propagation through time, against the textbook loop in plain torch."""

import numpy as np
import pytest
import torch
from torch import nn

from streamer.errors import UsageError
from trainer.conditioning import condition, leads, numbers_of, rows_of
from trainer.filterbank.bank import bank_of
from trainer.labels import Window
from trainer.model import Model, ModelConfig, new_model
from trainer.model_file import load_model
from trainer.offline.network import GatedNetwork, by_example, network_of, predict
from trainer.online.tbptt import OnlineConfig, OnlineLearner


def windows(count: int, length: int, stride: int, channels: int = 2) -> list[Window]:
    samples = np.arange(count * stride + length)[:, None] * 0.3 + np.arange(channels)
    inputs = np.sin(samples).astype(np.float32)
    targets = np.stack([np.cos(samples), np.sin(samples)], axis=-1).astype(np.float32)
    starts = [index * stride for index in range(count)]
    return [Window(s, inputs[s : s + length], targets[s : s + length]) for s in starts]


@pytest.mark.parametrize(("length", "stride"), [(10, 10), (10, 4)])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_equals_the_textbook_loop(cell: str, length: int, stride: int) -> None:
    model = new_model(ModelConfig(cell, 8), seed=4)
    learner = OnlineLearner(model, OnlineConfig(length, stride, learning_rate=0.02, clip_norm=0.5))
    learner.restart(model.initial_state(2))

    network = network_of(model)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02, amsgrad=True)
    hidden = None
    for window in windows(15, length, stride):
        weights = learner.learn(window)

        inputs = torch.from_numpy(window.inputs.T[..., None].copy())
        targets = torch.from_numpy(window.targets.transpose(1, 0, 2).copy())
        with torch.no_grad():
            _, after_stride = network.cell(inputs[:, :stride], hidden)
        states, _ = network.cell(inputs, hidden)
        loss = nn.functional.mse_loss(network.head(states), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        hidden = after_stride

        assert learner.loss == pytest.approx(loss.item(), abs=1e-5)
        assert weights is not None
        for name, value in network.named_parameters():
            np.testing.assert_allclose(weights[name], value.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(("length", "stride"), [(10, 10), (10, 4)])
def test_a_gated_model_learns_as_plain_torch_would(length: int, stride: int) -> None:
    model = new_model(ModelConfig("gated", 8), seed=4)
    bank = bank_of(model.config.nominal_samples)
    # From a state that has heard something: what is 0 at the first sample has no level to be measured in.
    _, state = predict(model, np.sin(np.arange(-40, 0)[:, None] * 0.3 + np.arange(2)).astype(np.float32))
    learner = OnlineLearner(model, OnlineConfig(length, stride, learning_rate=0.02, clip_norm=0.5))
    learner.restart(state)

    network = GatedNetwork(model.config)
    network.load_weights(model.weights)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02, amsgrad=True)
    for window in windows(15, length, stride):
        weights = learner.learn(window)

        numbers, bank_state = numbers_of(state), state[model.config.conditioning_rows :]
        conditioned, carried = (condition(window.inputs[:end], numbers, 25.0) for end in (length, stride))
        block, _ = bank.step_block(conditioned.inputs, bank_state)
        _, bank_state = bank.step_block(carried.inputs, bank_state)
        selected = (torch.from_numpy(by_example(array)) for array in (block.features, block.parts, block.turns))
        scaled = torch.from_numpy((window.targets / block.levels[..., None]).reshape(-1, 2))
        cos, sin = network(*selected).unbind(-1)
        said = torch.stack([cos, sin], dim=-1).detach().numpy().reshape(length, 2, 2)
        lead = torch.from_numpy(leads(said, conditioned.numbers, 25.0).reshape(-1)).float()
        leads(said[:stride], carried.numbers, 25.0)
        state = np.concatenate([rows_of(carried.numbers), bank_state])
        loss = nn.functional.mse_loss(torch.stack([cos + lead * sin, sin - lead * cos], dim=-1), scaled)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()

        assert learner.loss == pytest.approx(loss.item(), rel=1e-4)
        assert weights is not None
        for name, value in network.named_parameters():
            np.testing.assert_allclose(weights[name], value.detach().numpy(), atol=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_what_the_default_model_learns_does_not_cost_what_it_knew(seed: int) -> None:
    """Left to itself, the learning rate is one that a trained gated model bears."""
    model = load_model("default")
    angle = 2 * np.pi * np.arange(2_000) / 23
    noise = 0.2 * np.random.default_rng(seed).standard_normal(2_000)
    inputs = (np.sin(angle) + noise).astype(np.float32)[:, None]
    targets = np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)[:, None]
    learner = OnlineLearner(model, OnlineConfig())
    learner.restart(model.initial_state(1))
    for start in range(0, 1_500, 10):
        weights = learner.learn(Window(start, inputs[start : start + 10], targets[start : start + 10]))
    assert weights is not None
    frozen, taught = (
        np.square(predict(each, inputs)[0] - targets)[1_500:].mean()
        for each in (model, Model("taught", model.config, weights))
    )
    assert taught < 1.3 * frozen


def test_unknown_targets_do_not_count() -> None:
    model = new_model(ModelConfig("gru", 8), seed=4)
    full, part = (OnlineLearner(model, OnlineConfig()) for _ in range(2))
    (window,) = windows(1, 10, 10)
    holed = window.targets.copy()
    holed[3:] = np.nan
    for learner in (full, part):
        learner.restart(model.initial_state(2))
    part.learn(Window(0, window.inputs, holed))
    full.learn(window)
    network = network_of(model)
    with torch.no_grad():
        outputs, _ = network(torch.from_numpy(window.inputs.T[..., None].copy()))
    error = (outputs.numpy().transpose(1, 0, 2) - window.targets) ** 2
    assert part.loss == pytest.approx(error[:3].mean(), rel=1e-5)
    assert full.loss == pytest.approx(error.mean(), rel=1e-5)


def test_a_window_without_targets_still_carries_the_state() -> None:
    model = new_model(ModelConfig("lstm", 8), seed=4)
    taught, untaught = (OnlineLearner(model, OnlineConfig(learning_rate=1e-12)) for _ in range(2))
    first, second = windows(2, 10, 10)
    for learner in (taught, untaught):
        learner.restart(model.initial_state(2))
    taught.learn(first)
    assert untaught.learn(Window(0, first.inputs, np.full_like(first.targets, np.nan))) is None
    assert untaught.skipped == 1
    taught.learn(second)
    untaught.learn(second)
    assert untaught.loss == pytest.approx(taught.loss, rel=1e-5)


@pytest.mark.parametrize("what", ["loss", "gradient", "weight"])
def test_what_is_not_finite_leaves_no_trace(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model(ModelConfig("rnn", 8), seed=4)
    learner = OnlineLearner(model, OnlineConfig())
    learner.restart(model.initial_state(2))
    one, two, three = windows(3, 10, 10)
    before = learner.learn(one)
    assert before is not None
    with monkeypatch.context() as patch:
        if what == "loss":
            two = Window(two.seq, two.inputs, np.full_like(two.targets, 3e38))
        elif what == "gradient":
            patch.setattr(learner._bptt, "backward", lambda *_: learner._gradient.vector.fill(np.nan))
        else:
            step = learner._adam.step
            patch.setattr(learner._adam, "step", lambda gradient: step(np.full_like(gradient, np.inf)))
        assert learner.learn(two) is None
    assert learner.skipped == 1
    for name, value in learner._parameters.named.items():
        np.testing.assert_array_equal(value, before[name])
    after = learner.learn(three)
    assert after is not None
    assert all(np.isfinite(value).all() for value in after.values())


@pytest.mark.parametrize(
    ("config", "flag"),
    [
        ({"window_samples": 0}, "--window"),
        ({"window_samples": 5, "stride_samples": 6}, "--stride"),
        ({"stride_samples": 0}, "--stride"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
        ({"learning_rate": 0.0}, "--learning-rate"),
    ],
)
def test_a_bad_config_names_the_flag(config: dict[str, float], flag: str) -> None:
    with pytest.raises(UsageError, match=flag):
        OnlineConfig(**config)  # type: ignore[arg-type]
