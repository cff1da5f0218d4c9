"""Sliding maximum likelihood: the tone in white noise that fits the last half second or second best.

Rife, Boorstyn, "Single-tone parameter estimation from discrete-time observations", IEEE Trans. Inf. Theory 20,
1974; for a real tone the fit is least squares in cosine, sine and offset (Kay, "Fundamentals of statistical signal
processing: estimation theory", 1993, ch. 7), its power searched over a grid of frequencies and refined.
"""

import numpy as np
from numpy.typing import NDArray

RANGE_HZ = (4.5, 22.0)
GRID_POINTS_A_LOBE = 8
"""Grid points within 1 / window: parabolas through three of them start well inside the main lobe."""
REFINED = 8
"""The second parabola's spacing is so many times finer than the grid's."""

Float64Array = NDArray[np.float64]
Complex128Array = NDArray[np.complex128]


def estimate(inputs: NDArray[np.float32], rate_hz: float, *, window_s: float = 0.5) -> Complex128Array:
    """Return the analytic estimate [samples, trials] of inputs [samples, trials].

    Samples before the first count as zeros until the window is full.
    """
    window = round(window_s * rate_hz)
    return np.stack([_estimate_one(trial, window, rate_hz) for trial in inputs.T.astype(float)], axis=1)


def _estimate_one(inputs: Float64Array, window: int, rate_hz: float) -> Complex128Array:
    padded = np.concatenate([np.zeros(window - 1), inputs])
    newest_first = np.lib.stride_tricks.sliding_window_view(padded, window)[:, ::-1]
    spacing = 2 * np.pi / window / GRID_POINTS_A_LOBE
    lowest, highest = (2 * np.pi * frequency_hz / rate_hz for frequency_hz in RANGE_HZ)
    grid = np.arange(lowest, highest + spacing, spacing)
    cos, sin = _basis(grid, window)
    powers, _ = _fit(cos, sin, newest_first @ cos.T, newest_first @ sin.T)
    best = np.clip(powers.argmax(axis=1), 1, len(grid) - 2)
    rows = np.arange(len(inputs))
    omega = grid[best] + spacing * _vertex(*(powers[rows, best + side] for side in (-1, 0, 1)))
    spacing /= REFINED
    nearby = [_fit_rows(newest_first, omega + side * spacing)[0] for side in (-1, 0, 1)]
    return _fit_rows(newest_first, omega + spacing * _vertex(*nearby))[1]


def _basis(omega: Float64Array, window: int) -> tuple[Float64Array, Float64Array]:
    """Return cosine and sine over the lags, without their means: what an offset could say is left out."""
    angles = omega[:, None] * np.arange(window)
    cos, sin = np.cos(angles), np.sin(angles)
    return cos - cos.mean(axis=1, keepdims=True), sin - sin.mean(axis=1, keepdims=True)


def _fit(
    cos: Float64Array, sin: Float64Array, with_cos: Float64Array, with_sin: Float64Array
) -> tuple[Float64Array, Complex128Array]:
    """Return what the fit takes from the sum of squares, and its analytic value at lag 0."""
    cos_cos, cos_sin, sin_sin = ((one * other).sum(axis=1) for one, other in ((cos, cos), (cos, sin), (sin, sin)))
    determinant = cos_cos * sin_sin - cos_sin**2
    on_cos = (sin_sin * with_cos - cos_sin * with_sin) / determinant
    on_sin = (cos_cos * with_sin - cos_sin * with_cos) / determinant
    # A sin(phase - omega lag) = A sin(phase) cos(omega lag) - A cos(phase) sin(omega lag)
    return on_cos * with_cos + on_sin * with_sin, -on_sin + 1j * on_cos


def _fit_rows(newest_first: Float64Array, omega: Float64Array) -> tuple[Float64Array, Complex128Array]:
    """Fit each window at its own frequency."""
    cos, sin = _basis(omega, newest_first.shape[1])
    return _fit(cos, sin, (newest_first * cos).sum(axis=1), (newest_first * sin).sum(axis=1))


def _vertex(left: Float64Array, centre: Float64Array, right: Float64Array) -> Float64Array:
    """Return where the parabola through three equidistant points peaks, at most one spacing away."""
    curvature = left - 2 * centre + right
    offset = 0.5 * (left - right) / np.where(curvature < 0, curvature, -np.inf)
    return np.clip(offset, -1, 1)
