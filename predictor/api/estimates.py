"""Estimates of consecutive samples, with their phase, amplitude and frequency."""

from dataclasses import dataclass

import numpy as np

from predictor.phase import in_phase_of, phase_and_amplitude, turn_deg
from streamer.messages import FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Estimates:
    """Estimates of consecutive samples. All arrays are float32 and have the shape of the samples.

    Attributes
    ----------
    seq : int
        Index of the first sample.
    cos, sin : float32 array, shape (samples,) or (samples, channels)
        Quadrature and clean in-phase component, in the unit of the samples. A model that estimates cos alone has
        the samples themselves as sin.
    phase_deg : float32 array
        Phase of ``cos + i sin``, -180 to 180; 0 where the oscillation rises through zero.
    amplitude : float32 array
        In the unit of the samples.
    frequency_hz : float32 array
        How far the phase has gone on since the sample before, -180 to 180 degrees, times the samples a second:
        one step alone, not smoothed, so that its noise is that of the phase. NaN of a first sample, after missing
        ones, and where the rate is not known.
    """

    seq: int
    cos: FloatArray
    sin: FloatArray
    phase_deg: FloatArray
    amplitude: FloatArray
    frequency_hz: FloatArray

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.cos)

    def __repr__(self) -> str:
        return f"<Estimates of samples {self.seq} to {self.seq + len(self) - 1}, shape {list(self.cos.shape)}>"


def estimates_of(
    seq: int, values: FloatArray, inputs: FloatArray, before: FloatArray | None, rate_hz: float | None
) -> Estimates:
    """Return what a model's output says of consecutive samples.

    Parameters
    ----------
    seq : int
        Index of the first one.
    values : float32 array, shape (samples, channels, fields)
        What came out of the model.
    inputs : float32 array, shape (samples, channels)
        What went into it.
    before : float32 array, shape (2, channels), or None
        cos and sin of the sample before the first one, as `last_of` returned it.
    rate_hz : float or None
        Samples a second.
    """
    cos, sin = values[..., 0], in_phase_of(values, inputs)
    phase_deg, amplitude = phase_and_amplitude(cos, sin)
    steps_deg = turn_deg(cos, sin, before)
    frequency_hz = steps_deg * ((rate_hz or np.nan) / 360)
    return Estimates(seq, cos, sin, phase_deg, amplitude, frequency_hz.astype(np.float32))


def last_of(values: FloatArray, inputs: FloatArray) -> FloatArray:
    """Return cos and sin [2, channels] of the last sample, for the frequency of the next one."""
    return np.stack([values[-1, :, 0], in_phase_of(values, inputs)[-1]])


def shaped(estimates: Estimates, shape: tuple[int, ...]) -> Estimates:
    """Return estimates whose arrays have a shape with as many samples and channels."""
    each = (
        estimates.cos, estimates.sin, estimates.phase_deg, estimates.amplitude, estimates.frequency_hz,
    )  # fmt: skip
    return Estimates(estimates.seq, *(np.ascontiguousarray(one).reshape(shape) for one in each))
