"""Phase and amplitude of an oscillation from its quadrature: the one convention that all commands share."""

import numpy as np
from numpy.typing import NDArray

from streamer.messages import FloatArray


def phase_and_amplitude(cos: FloatArray, in_phase: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return phase and amplitude of ``cos + i in_phase``.

    Parameters
    ----------
    cos, in_phase : float32 array
        Quadrature and in-phase component; of a model that says cos alone, the input is the in-phase component.

    Returns
    -------
    phase_deg, amplitude : float32 array
        Degrees from -180 to 180, 0 where the oscillation rises through zero; amplitude in the input's unit.
        NaN where one of the two is.
    """
    # In float64, so that the float32 results do not depend on how many samples came at once.
    wide_cos, wide_in_phase = cos.astype(np.float64), in_phase.astype(np.float64)
    with np.errstate(all="ignore"):  # a peer may send any float
        phase_deg = np.degrees(np.arctan2(wide_in_phase, wide_cos)).astype(np.float32)
        return phase_deg, np.hypot(wide_cos, wide_in_phase).astype(np.float32)


def in_phase_of(estimates: FloatArray, inputs: FloatArray) -> FloatArray:
    """Return the in-phase component [samples, channels] of estimates [samples, channels, fields].

    It is the second field; where there is none, the input.
    """
    return estimates[..., 1] if estimates.shape[-1] > 1 else inputs


def turn_deg(cos: FloatArray, in_phase: FloatArray, before: FloatArray | None) -> NDArray[np.float64]:
    """Return how far ``cos + i in_phase`` has turned since the sample before.

    Parameters
    ----------
    cos, in_phase : float32 array, shape (samples, ...)
    before : float32 array, shape (2, ...), or None
        cos and in-phase component of the sample before the first one.

    Returns
    -------
    float64 array, shape (samples, ...)
        Degrees from -180 to 180. NaN where there is no sample before, or one of the two has no phase.
    """
    first = np.full((2, 1, *cos.shape[1:]), np.nan) if before is None else before[:, None]
    here = np.concatenate([first, np.stack([cos, in_phase])], axis=1).astype(np.float64)
    with np.errstate(all="ignore"):
        amplitude = np.hypot(*here)
        x, y = here / amplitude  # NaN where it is 0
        turn = np.arctan2(y[1:] * x[:-1] - x[1:] * y[:-1], x[1:] * x[:-1] + y[1:] * y[:-1])
        return np.asarray(np.degrees(turn), np.float64)
