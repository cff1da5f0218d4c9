"""What no causal estimator can beat on average: Cramer-Rao bounds for tones, Wiener filters for the rhythm.

A tone in white noise has a bound on the variance of the phase of its newest sample; what is unknown besides the
phase (frequency, chirp rate) costs a factor (Rife, Boorstyn 1974; Kay, "Fundamentals of statistical signal
processing: estimation theory", 1993). It holds for what stays the same over the trial: no limit is given where the
signal changes at an unknown moment (st, st20, pj). The amplitude's modulation is taken as known (am20).
"""

import numpy as np
from numpy.typing import NDArray
from scenarios import (
    LABEL_BAND_HZ,
    RATE_HZ,
    RECORD_SAMPLES,
    SAMPLES,
    SCENARIOS,
    WARM_UP_SAMPLES,
    band_gain,
    rhythm_spectra,
)

Float64Array = NDArray[np.float64]
Complex128Array = NDArray[np.complex128]

UNKNOWN_DEGREE = (
    {"a": 0, "c20": 0, "c10": 0, "c5": 0, "am": 0, "am20": 0}
    | dict.fromkeys(("b1", "b2", "d20", "d10", "d5", "hd"), 1)
    | dict.fromkeys(("ch", "ch20"), 2)
)
"""Degree of the polynomial that the unknown phase is: constant, unknown frequency, unknown chirp rate."""
MEAN_OF_MAGNITUDE = np.sqrt(2 / np.pi)
"""Mean absolute value of a Gaussian of unit variance."""


def newest_variance(samples: NDArray[np.int_], degree: int) -> Float64Array:
    """Return the least variance of the newest sample's phase, in units of 1 / eta, eta = A^2 / (2 sigma^2).

    Parameters
    ----------
    samples : int array
        N, heard so far.
    degree : int
        0: 1 / N; 1: 2 (2N - 1) / (N (N + 1)); 2: 3 (3 N^2 - 3 N + 2) / (N (N + 1) (N + 2)). It is the leverage
        of the last point in a polynomial fit.
    """
    n: Float64Array = samples.astype(float)
    if degree == 0:
        return 1 / n
    if degree == 1:
        return 2 * (2 * n - 1) / (n * (n + 1))
    if degree == 2:
        return 3 * (3 * n**2 - 3 * n + 2) / (n * (n + 1) * (n + 2))
    raise ValueError(f"degree: must be 0, 1 or 2, got {degree}")


def cramer_rao_deg(name: str) -> float | None:
    """Return the bound on a scenario's mean absolute phase error (deg) after the warm-up, if there is one."""
    if name not in UNKNOWN_DEGREE:
        return None
    eta = 10 ** (SCENARIOS[name].snr_db / 10)
    variance = newest_variance(np.arange(WARM_UP_SAMPLES + 1, SAMPLES + 1), UNKNOWN_DEGREE[name]) / eta
    return float(np.degrees(MEAN_OF_MAGNITUDE * np.sqrt(variance).mean()))


def wiener(name: str, inputs: NDArray[np.float32]) -> Complex128Array:
    """Return the best linear causal estimate [samples, trials] from all samples so far, the spectra being known.

    The growing-memory Wiener filter in its innovations form: whiten the inputs by the Cholesky factor of their
    covariance, then keep the causal part of the regression on the innovations (Kailath, "An innovations approach
    to least-squares estimation", IEEE Trans. Autom. Control 13, 1968).

    Parameters
    ----------
    name : str
        `g` (wanted: the rhythm) or `gz` (wanted: the label).
    inputs : float32 array, shape (samples, trials)
    """
    rhythm, noise = rhythm_spectra()
    heard = rhythm + noise
    wanted = (
        rhythm if name == "g" else heard * band_gain(np.fft.rfftfreq(RECORD_SAMPLES, 1 / RATE_HZ), LABEL_BAND_HZ)
    )
    lags = np.subtract.outer(np.arange(len(inputs)), np.arange(len(inputs)))
    whitening = np.linalg.inv(np.linalg.cholesky(np.fft.irfft(heard)[np.abs(lags)]))
    cross_spectrum = np.zeros(RECORD_SAMPLES, complex)
    cross_spectrum[1 : len(wanted) - 1] = 2j * wanted[1:-1]  # of A exp(i phase), as in scenarios
    cross = np.fft.ifft(cross_spectrum)[lags]
    estimates: Complex128Array = np.tril(cross @ whitening.T) @ (whitening @ inputs.astype(float))
    return estimates
