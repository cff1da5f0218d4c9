"""A hidden state that stays where it is stepped: to the bit what the engine makes of the same samples."""

import numpy as np
import pytest

from predictor.engine.resident import ResidentRnn
from predictor.engine.stepper import Engine
from trainer.model import ModelConfig, new_model

CONFIGS = {
    "rnn": ModelConfig("rnn", 32),
    "rnn 7": ModelConfig("rnn", 7),
    "rnn with a level": ModelConfig("rnn", 16, level_samples=20.0),
    "lstm with a level": ModelConfig("lstm", 6, layers=2, level_samples=7.0),
    "two layers": ModelConfig("rnn", 16, layers=2),
    "gru": ModelConfig("gru", 16),
    "gru of three layers": ModelConfig("gru", 5, layers=3),
    "lstm": ModelConfig("lstm", 16),
    "lstm of two layers": ModelConfig("lstm", 6, layers=2),
    "gated": ModelConfig("gated", 6),
}


def engine(name: str) -> Engine:
    model = new_model(CONFIGS[name], seed=3)
    return Engine(model.config, model.weights)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_steps_to_the_bits_of_the_engine_from_any_sample_on(name: str) -> None:
    ours = engine(name)
    inputs = np.sin(np.arange(400, dtype=np.float32))[:, None]
    estimates, last = ours.run(inputs, ours.initial_state(1))
    _, state = ours.run(inputs[:150], ours.initial_state(1))
    before = state.copy()
    resident = ours.resident(state)
    told = [resident.step(sample.tobytes()) for sample in inputs[150:]]
    assert b"".join(told) == estimates[150:].tobytes()
    assert resident.state().tobytes() == last.tobytes()
    assert resident.state().shape == last.shape
    assert state.tobytes() == before.tobytes()


def test_the_tanh_rnn_has_a_way_of_its_own() -> None:
    ours = engine("rnn")
    assert isinstance(ours.resident(ours.initial_state(1)), ResidentRnn)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_goes_on_from_a_state_that_it_is_given(name: str) -> None:
    ours = engine(name)
    inputs = np.sin(np.arange(50, dtype=np.float32))[:, None]
    _, state = ours.run(inputs, ours.initial_state(1))
    resident = ours.resident(ours.initial_state(1))
    resident.copy_from(state[:, 0])
    payload = np.float32(0.5).tobytes()
    assert resident.step(payload) == ours.run(np.full((1, 1), 0.5, np.float32), state)[0].tobytes()


@pytest.mark.parametrize("channels", [1, 3, 30])
def test_where_a_signal_starts_anew_each_way_of_stepping_gives_the_same_bits(channels: int) -> None:
    """Another offset, a pop and the end of a rail, at another sample in each channel."""
    ours = engine("gated")
    inputs = np.sin(0.3 * np.arange(300, dtype=np.float32))[:, None] * np.ones(channels, np.float32)
    for channel in range(channels):
        inputs[100 + channel :, channel] += 1e3
        inputs[60 + channel, channel] += 1e6
        inputs[200 : 240 + channel, channel] = 7
    whole, last = ours.run(inputs, ours.initial_state(channels))
    state, pieces = ours.initial_state(channels), []
    for piece in np.split(inputs, [1, 7, 50, 105, 112, 113, 241, 250]):
        estimates, state = ours.run(piece, state)
        pieces.append(estimates)
    assert np.concatenate(pieces).tobytes() == whole.tobytes()
    assert state.tobytes() == last.tobytes()
    for channel in {0, channels - 1}:
        resident = ours.resident(ours.initial_state(1))
        told = b"".join(resident.step(sample.tobytes()) for sample in inputs[:, channel])
        alone, alone_last = ours.run(inputs[:, [channel]], ours.initial_state(1))
        assert told == alone.tobytes()
        assert resident.state().tobytes() == alone_last.tobytes()
        np.testing.assert_allclose(whole[:, channel], alone[:, 0], atol=1e-4)


def test_numbers_of_a_state_keep_bits_that_are_no_number_of_float32() -> None:
    """A float64 of conditioning lies in two rows; half of one may look like a NaN that signals."""
    ours = engine("gated")
    inputs = np.sin(np.arange(50, dtype=np.float32))[:, None]
    _, state = ours.run(inputs, ours.initial_state(1))
    mean = state[:2, 0].copy().view(np.uint64)
    mean[0] = (mean[0] >> np.uint64(32) << np.uint64(32)) | np.uint64(0x7F800001)
    state[:2, 0] = mean.view(np.float32)
    resident = ours.resident(ours.initial_state(1))
    resident.copy_from(state[:, 0])
    after = np.empty_like(state[:, 0])
    resident.copy_to(after)
    assert after.tobytes() == state[:, 0].tobytes()
    payload = np.float32(0.5).tobytes()
    expected, expected_state = ours.run(np.full((1, 1), 0.5, np.float32), state)
    assert resident.step(payload) == expected.tobytes()
    assert resident.state().tobytes() == expected_state.tobytes()


def test_a_state_that_was_handed_out_stays_as_it_is() -> None:
    ours = engine("rnn")
    resident = ours.resident(ours.initial_state(1))
    resident.step(np.float32(0.5).tobytes())
    state = resident.state()
    before = state.tobytes()
    resident.step(np.float32(0.7).tobytes())
    assert state.tobytes() == before


@pytest.mark.parametrize("name", CONFIGS)
def test_a_state_that_was_given_stays_as_it_is_and_may_be_changed(name: str) -> None:
    ours = engine(name)
    given = np.full(ours.config.state_rows, 0.25, np.float32)
    resident = ours.resident(ours.initial_state(1))
    resident.copy_from(given)
    expected = ours.run(np.full((1, 1), 0.5, np.float32), given[:, None].copy())[0].tobytes()
    given[:] = 7
    assert resident.step(np.float32(0.5).tobytes()) == expected
    assert (given == 7).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_those_who_take_turns_keep_their_bits_whatever_their_weights(name: str) -> None:
    engines = [engine(name)]
    engines += [engines[0].fork(), engines[0].fork()]
    for other, seed in zip(engines[1:], (4, 5), strict=True):
        other.load(new_model(CONFIGS[name], seed=seed).weights)
    inputs = np.sin(np.arange(60, dtype=np.float32)).reshape(20, 3)
    residents = [one.resident(one.initial_state(1)) for one in engines]
    told = [[r.step(sample.tobytes()) for r, sample in zip(residents, row, strict=True)] for row in inputs]
    for column, (one, resident) in enumerate(zip(engines, residents, strict=True)):
        estimates, last = one.run(inputs[:, column : column + 1], one.initial_state(1))
        assert b"".join(row[column] for row in told) == estimates.tobytes()
        assert resident.state().tobytes() == last.tobytes()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_state_given_in_the_middle_counts_whoever_stepped_last(name: str) -> None:
    ours = engine(name)
    sample = np.full((1, 1), 0.5, np.float32)
    _, given = ours.run(sample, ours.initial_state(1))
    first, second = (ours.resident(ours.initial_state(1)) for _ in range(2))
    for last in (first, second):
        first.step(np.float32(0.9).tobytes())
        last.step(np.float32(-0.3).tobytes())
        first.copy_from(given[:, 0])
        assert first.state().tobytes() == given.tobytes()
        written = np.empty(len(given), np.float32)
        first.copy_to(written)
        assert written.tobytes() == given.tobytes()
        assert first.step(sample.tobytes()) == ours.run(sample, given)[0].tobytes()
