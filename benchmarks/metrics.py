"""Figures of merit of a phase estimate against the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scenarios import CHANGE_S, NOMINAL_HZ, RATE_HZ, WARM_UP_SAMPLES, Batch

SETTLED_DEG = 5.0
CHANGING = ("st", "st20", "pj")
"""Scenarios that settle anew, after `CHANGE_S`."""


@dataclass(frozen=True)
class Figures:
    """Means over trials and samples after the warm-up.

    Parameters
    ----------
    phase_deg : float
        Mean absolute phase error: circular distance between estimate and truth.
    bias_deg : float
        Circular mean of the phase error; positive is early.
    quadrature_rmse : float
        Root mean square error of ``A cos(phase)`` over root mean square amplitude.
    settling_s : float or None
        Median over trials of the time from the start, or from the change, to the first sample from which the
        phase error is on average below 5 deg for one nominal cycle. None: half of the trials or more never do.
    """

    phase_deg: float
    bias_deg: float | None = None
    quadrature_rmse: float | None = None
    settling_s: float | None = None


def figures_of(name: str, batch: Batch, analytic: NDArray[np.complex128]) -> Figures:
    """Judge analytic estimates [samples, trials] ``A exp(i phase)`` of a scenario's batch."""
    error_deg = phase_error_deg(analytic, batch.phase)
    after = slice(WARM_UP_SAMPLES, None)
    squared = np.square(analytic.real - batch.quadrature)[after].mean()
    return Figures(
        float(np.abs(error_deg[after]).mean()),
        float(np.degrees(np.angle(np.exp(1j * np.radians(error_deg[after])).mean()))),
        float(np.sqrt(squared / np.square(batch.amplitude[after]).mean())),
        settling_s(error_deg, CHANGE_S if name in CHANGING else 0.0),
    )


def phase_error_deg(analytic: NDArray[np.complex128], phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return estimated minus true phase (deg), within -180 to 180."""
    errors_deg: NDArray[np.float64] = np.degrees(np.angle(analytic * np.exp(-1j * phase)))
    return errors_deg


def settling_s(error_deg: NDArray[np.float64], from_s: float) -> float | None:
    """Return the median settling time, as `Figures` says, of errors [samples, trials]."""
    cycle = round(RATE_HZ / NOMINAL_HZ)
    magnitudes = np.abs(error_deg[round(from_s * RATE_HZ) :])
    means = np.lib.stride_tricks.sliding_window_view(magnitudes, cycle, axis=0).mean(axis=-1)
    settled = means < SETTLED_DEG
    times_s = np.where(settled.any(axis=0), settled.argmax(axis=0) / RATE_HZ, np.inf)
    median = float(np.median(times_s))
    return median if np.isfinite(median) else None
