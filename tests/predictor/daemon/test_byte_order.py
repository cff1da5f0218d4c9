"""Floats with their bytes the other way round look absurd as they are, and like a signal turned round."""

import numpy as np
import pytest

from predictor.daemon.byte_order import looks_swapped

N = np.arange(256)
RANDOM = np.random.default_rng(0)
SIGNALS = {
    "sine": np.sin(2 * np.pi * 10 * N / 250),
    "noise": RANDOM.normal(size=256),
    "offset": 4200 + 10 * np.sin(N / 5),
    "huge": 1e20 * np.sin(N / 3),
    "tiny": 1e-20 * RANDOM.normal(size=256),
    "converter": np.round(2048 + 1500 * np.sin(N / 4)),
    "counts": np.round(3e5 * np.sin(N / 4)),
}


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_what_comes_the_wrong_way_round_is_noticed_and_the_right_way_is_not(signal: np.ndarray) -> None:
    values = signal.astype(np.float32)
    assert not looks_swapped(values)
    assert looks_swapped(values.byteswap())


@pytest.mark.parametrize(
    "values", [np.zeros(256), (N % 25 == 0) * 1.0, np.exp(N / 4.0), np.full(256, 1e-30), np.ones(8)]
)
def test_other_odd_signals_are_not(values: np.ndarray) -> None:
    assert not looks_swapped(values.astype(np.float32))
