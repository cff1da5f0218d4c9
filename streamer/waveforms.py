"""Oscillations as pure functions of time, each with its exact quadrature.

An oscillation is a sum of partials ``a_k sin(2 pi k c)``: `c` counts cycles of the fundamental and may bend
(chirp), kink (frequency step) or jump; amplitudes may swing (amplitude modulation). Its quadrature is the
sum of ``a_k cos(2 pi k c)``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.errors import UsageError

Float64Array = NDArray[np.float64]

HARMONICS = (1.0, 0.2, 0.1)  # relative amplitudes of the fundamental, 2nd and 3rd partial
MODULATION_DEPTH = 0.5
JUMP_CYCLES = 0.25
LARGEST_VALUE = 1e30  # of an amplitude or offset: far inside float32, whatever is added or multiplied


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Raise UsageError unless `value` is a number from `least` to `most`."""
    if not least <= value <= most:
        raise UsageError(f"{name}: must be {least:g} to {most:g}, got {value}")


@dataclass(frozen=True, slots=True)
class Oscillation:
    """A waveform with its parameters.

    Parameters
    ----------
    waveform : str
        One of `WAVEFORMS`.
    frequency_hz : float
        Of the fundamental, not negative.
    to_frequency_hz : float or None
        The other frequency of `chirp` and `step`; None is twice `frequency_hz`.
    every_s : float
        Length of a sweep or of the time between steps or jumps; the period of amplitude modulation.
    amplitude : float
        Of the fundamental.
    phase_deg : float
        At time 0.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    waveform: str = "sine"
    frequency_hz: float = 5.0
    to_frequency_hz: float | None = None
    every_s: float = 5.0
    amplitude: float = 1.0
    phase_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.waveform not in WAVEFORMS:
            raise UsageError(f"waveform: must be one of {', '.join(WAVEFORMS)}, got {self.waveform!r}")
        check_range("frequency_hz", self.frequency_hz, 0, 1e9)
        check_range("to_frequency_hz", self.other_hz, 0, 2e9)
        check_range("amplitude", self.amplitude, 0, LARGEST_VALUE)
        check_range("every_s", self.every_s, 1e-6, 1e9)
        check_range("phase_deg", self.phase_deg, -1e9, 1e9)

    @property
    def other_hz(self) -> float:
        """The frequency `chirp` and `step` go to."""
        return 2 * self.frequency_hz if self.to_frequency_hz is None else self.to_frequency_hz

    def reaches(self) -> Iterator[tuple[str, str, float]]:
        """Return how high it goes: the parameter that decides it, what it is, and its frequency in Hz."""
        yield "frequency_hz", "the frequency", self.frequency_hz
        match self.waveform:
            case "chirp" | "step":
                default = "" if self.to_frequency_hz is not None else ", by default the double,"
                yield "to_frequency_hz", f"the other frequency{default}", self.other_hz
            case "harmonics":
                yield "frequency_hz", f"{len(HARMONICS)} times the frequency", len(HARMONICS) * self.frequency_hz
            case "am":
                yield "every_s", "the frequency plus that of its modulation", self.frequency_hz + 1 / self.every_s
            case "jump":
                jumps_hz = JUMP_CYCLES / self.every_s
                yield "every_s", "the mean frequency with all its jumps", self.frequency_hz + jumps_hz

    def doubts(self) -> Iterator[str]:
        """Return what an operator may not have meant, in words."""
        if max(hz for _, _, hz in self.reaches()) == 0:
            yield "a frequency of 0 Hz is a constant: it has no phase, and its target is a constant too"
        if self.waveform == "am" and self.every_s * self.frequency_hz <= 1:
            swing_hz = 1 / self.every_s
            yield (
                f"the amplitude swings at {swing_hz:g} Hz, as fast as the wave, {self.frequency_hz:g} Hz: "
                "the target is not the true quadrature any more"
            )

    def at(
        self, time_s: Float64Array, shift_cycles: Float64Array | float = 0.0
    ) -> tuple[Float64Array, Float64Array]:
        """Return the in-phase (sin) and quadrature (cos) components.

        Parameters
        ----------
        time_s : float64 array
            Seconds since the start.
        shift_cycles : float64 array that broadcasts with `time_s`
            Added to the phase, for example to set channels apart.
        """
        cycles, envelope = WAVEFORMS[self.waveform](self, time_s)
        cycles = cycles + self.phase_deg / 360 + shift_cycles
        partials = HARMONICS if self.waveform == "harmonics" else (1.0,)
        in_phase = quadrature = np.zeros(())
        for order, relative in enumerate(partials, start=1):
            angle = 2 * np.pi * np.mod(order * cycles, 1.0)
            in_phase = in_phase + relative * np.sin(angle)
            quadrature = quadrature + relative * np.cos(angle)
        scale = self.amplitude * envelope
        return scale * in_phase, scale * quadrature


def _steady(wave: Oscillation, time_s: Float64Array) -> tuple[Float64Array, Float64Array]:
    return wave.frequency_hz * time_s, np.ones_like(time_s)


def _chirp(wave: Oscillation, time_s: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Sweep linearly to the other frequency and back, for ever."""
    f0, f1, length_s = wave.frequency_hz, wave.other_hz, wave.every_s
    rounds, within_s = np.divmod(time_s, 2 * length_s)
    up_s, down_s = np.minimum(within_s, length_s), np.maximum(within_s - length_s, 0.0)
    bend = (f1 - f0) / (2 * length_s)
    cycles = f0 * up_s + bend * up_s**2 + f1 * down_s - bend * down_s**2
    return rounds * (f0 + f1) * length_s + cycles, np.ones_like(time_s)


def _step(wave: Oscillation, time_s: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Alternate between the two frequencies, the phase continuous."""
    f0, f1, length_s = wave.frequency_hz, wave.other_hz, wave.every_s
    rounds, within_s = np.divmod(time_s, 2 * length_s)
    cycles = f0 * np.minimum(within_s, length_s) + f1 * np.maximum(within_s - length_s, 0.0)
    return rounds * (f0 + f1) * length_s + cycles, np.ones_like(time_s)


def _jump(wave: Oscillation, time_s: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Advance the phase by 90 degrees at once, again and again."""
    return wave.frequency_hz * time_s + JUMP_CYCLES * np.floor(time_s / wave.every_s), np.ones_like(time_s)


def _am(wave: Oscillation, time_s: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Swing the amplitude by 50 %; exact by Bedrosian's theorem while 1/every_s is below the frequency."""
    swing = np.sin(2 * np.pi * np.mod(time_s / wave.every_s, 1.0))
    return wave.frequency_hz * time_s, 1 + MODULATION_DEPTH * swing


WAVEFORMS: dict[str, Callable[[Oscillation, Float64Array], tuple[Float64Array, Float64Array]]] = {
    "sine": _steady,
    "chirp": _chirp,
    "step": _step,
    "jump": _jump,
    "am": _am,
    "harmonics": _steady,
}
"""Waveform name -> (cycles of the fundamental, envelope) at given times."""
