"""Arguments of the Python API as their callers gave them: checked, and of the types that everything else takes."""

import math
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from predictor.api.settings import METHODS, Settings
from streamer.errors import UsageError
from streamer.messages import FloatArray
from streamer.waveforms import check_range
from streamer.wire import codec

SHAPES = "[samples] or [samples, channels]"


def samples_of(name: str, values: ArrayLike, *, dims: tuple[int, ...] = (1, 2)) -> FloatArray:
    """Return numbers as float32 in the shape in which they came, in an array of their own.

    Parameters
    ----------
    name : str
        What the caller calls them.
    values : array_like
        Real numbers; what is masked becomes NaN.
    dims : tuple of int
        How many dimensions they may have.

    Raises
    ------
    UsageError
        If they are no real numbers, or of another shape.
    """
    try:
        array: np.ndarray[Any, Any] = np.asanyarray(values)
    except ValueError:
        raise UsageError(f"{name}: must be {SHAPES}, got rows of different lengths") from None
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name}: must be real numbers, got {_kind(array)}")
    if array.ndim not in dims:
        shape = "a single number: give a list of it" if array.ndim == 0 else f"shape {list(array.shape)}"
        raise UsageError(f"{name}: must be {SHAPES}, got {shape}")
    with np.errstate(over="ignore"):  # becomes infinite, which the core replaces and counts
        if isinstance(array, np.ma.MaskedArray):
            return np.array(np.ma.filled(array.astype(np.float32), np.nan))
        return np.array(array, np.float32, subok=False)


def _kind(array: "np.ndarray[Any, Any]") -> str:
    """Return what was given instead of real numbers."""
    if array.dtype.kind == "c":
        return f"{array.dtype}: give its real part"
    if array.dtype.kind != "O":
        return "text" if array.dtype.kind in "US" else str(array.dtype)
    odd = next((one for one in array.flat if not isinstance(one, int | float)), None)
    among = " among them" if array.ndim else ""
    return f"{type(odd).__name__}{among}{': give NaN where a sample is missing' if odd is None and among else ''}"


def check_channels(name: str, channels: int) -> None:
    """Raise UsageError unless a stream may have so many channels."""
    if not 1 <= channels <= codec.MAX_CHANNELS:
        raise UsageError(f"{name}: must have 1 to {codec.MAX_CHANNELS} channels, got {channels}")


def number(name: str, value: object, *, whole: bool = False) -> float:
    """Return a finite number, or a whole one.

    Raises
    ------
    UsageError
        If it is none.
    """
    try:
        given = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        given = math.nan
    if isinstance(value, str | bytes) or not math.isfinite(given) or (whole and not given.is_integer()):
        raise UsageError(f"{name}: must be a {'whole ' if whole else ''}number, got {value!r}")
    return given


def settings_of(
    *, model: object, seed: object, learn: object, band_hz: object, nominal_hz: object, window_samples: object,
    stride_samples: object, learning_rate: object, reset_on_gap: object = False,
) -> Settings:  # fmt: skip
    """Return settings of which each has its type.

    Raises
    ------
    UsageError
        If one has not.
    """
    if not isinstance(model, str | os.PathLike):
        raise UsageError(f"model: must be the name of a model or a file, got {model!r}")
    if learn not in (None, *METHODS):
        raise UsageError(f"learn: must be 'self', 'target' or None, got {learn!r}")
    band = None
    if band_hz is not None:
        if not isinstance(band_hz, tuple | list | np.ndarray) or len(band_hz) != 2:
            raise UsageError(f"band_hz: must be two numbers, (low, high), got {band_hz!r}")
        band = (number("band_hz", band_hz[0]), number("band_hz", band_hz[1]))
    return Settings(
        model=os.fspath(model),
        seed=_whole("seed", seed),
        learn=None if learn is None else str(learn),
        band_hz=band,
        nominal_hz=None if nominal_hz is None else number("nominal_hz", nominal_hz),
        window_samples=_whole("window_samples", window_samples),
        stride_samples=_whole("stride_samples", stride_samples),
        learning_rate=None if learning_rate is None else number("learning_rate", learning_rate),
        reset_on_gap=reset_on_gap is True,
    )


def checked_rate(rate_hz: object) -> float:
    """Return samples a second.

    Raises
    ------
    UsageError
        If the number is none, or out of range.
    """
    rate = number("rate_hz", rate_hz)
    check_range("rate_hz", rate, codec.MIN_RATE_HZ, codec.MAX_RATE_HZ)
    return rate


def _whole(name: str, value: object) -> int | None:
    return None if value is None else int(number(name, value, whole=True))


def width(channels: object) -> int:
    count = int(number("channels", channels, whole=True))
    check_range("channels", count, 1, codec.MAX_CHANNELS)
    return count
