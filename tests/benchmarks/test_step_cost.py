import numpy as np
import pytest
import step_cost


def test_a_ratio_is_of_blocks_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that slows down all the time, and a step that costs three times the other's."""
    now_s = 0.0
    speed = 1.0

    def steps(cost_s: float) -> step_cost.Block:
        def run(inputs: np.ndarray) -> None:
            nonlocal now_s, speed
            now_s += len(inputs) * cost_s * speed
            speed *= 1.01

        return run

    monkeypatch.setattr(step_cost.time, "process_time", lambda: now_s)
    first_s, second_s, ratio = step_cost.interleaved(steps(1e-5), steps(3e-5), channels=2, rounds=9)
    assert ratio == pytest.approx(3, rel=1e-3)
    assert 1e-5 < first_s < 2e-5
    assert 3e-5 < second_s < 6e-5


def test_the_reference_is_a_tanh_rnn_step() -> None:
    run = step_cost.reference(channels=3)
    run(step_cost.noise(50, 3))
    assert step_cost.calibrated(run, 3) >= 20
