"""Phase and amplitude of an oscillation from its quadrature: the one convention that all commands share."""

import numpy as np

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
