"""Whether samples look like numbers with their bytes the other way round."""

import numpy as np

from streamer.messages import FloatArray
from streamer.quantiles import quantiles

MIN_VALUES = 32  # other than 0
WILD_DECADES, TAME_DECADES = 12.0, 6.0
ABSURD, DENORMAL = 1e9, 1e-30  # whole numbers are next to nothing, the wrong way round
HINT = "values look like big-endian float32: a payload is little-endian"


def looks_swapped(values: FloatArray) -> bool:
    """Return whether values span an absurd range as they are, and a common one with their bytes turned round."""
    if DENORMAL < float(np.abs(values).max(initial=0.0)) < ABSURD:
        return False  # the usual case
    told = values[values != 0].astype("<f4")
    if len(told) < MIN_VALUES:
        return False
    absurd = _decades(told) > WILD_DECADES or quantiles(np.abs(told), 0.5)[0] < DENORMAL
    return absurd and _decades(told.view(">f4")) < TAME_DECADES


def _decades(values: FloatArray) -> float:
    """Return over how many powers of ten the middle 80 % of the magnitudes spread."""
    with np.errstate(all="ignore"):
        magnitudes = np.abs(values.astype(np.float64))
    magnitudes = np.sort(np.where(np.isfinite(magnitudes) & (magnitudes > 0), magnitudes, 1e60))
    low, high = magnitudes[len(magnitudes) // 10], magnitudes[-1 - len(magnitudes) // 10]
    return float(np.log10(high / low))
