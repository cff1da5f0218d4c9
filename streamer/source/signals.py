"""A signal: what a synthetic source says at every sample index, the same however it is asked."""

from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from streamer.errors import UsageError
from streamer.messages import FloatArray
from streamer.waveforms import LARGEST_VALUE, Float64Array, Oscillation, check_range
from streamer.wire import codec

_NOISE_BLOCK = 1024  # values made from one counter of the generator, at most one sample's if those are more


class Samples(Protocol):
    """What a source publishes.

    Attributes
    ----------
    rate_hz : float
    channels : int
    labels : tuple of str
        Names of the channels; none where they have none.
    """

    @property
    def rate_hz(self) -> float: ...
    @property
    def channels(self) -> int: ...
    @property
    def labels(self) -> tuple[str, ...]: ...

    def about(self) -> dict[str, Any]:
        """Return which signal it is, for a journal."""
        ...

    def stretch(self, seq: int) -> tuple[int, int] | None:
        """Return begin and end of the next samples from `seq` on that no gap parts; None while there are none."""
        ...

    def ends(self, seq: int) -> bool:
        """Whether nothing follows from `seq` on."""
        ...

    def samples(self, seq: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Return inputs [count, channels, 1] and targets [count, channels, fields], of one stretch."""
        ...


@dataclass(frozen=True, slots=True)
class Signal:
    """An oscillation sampled on several channels, with offset and noise.

    Parameters
    ----------
    oscillation : Oscillation
        The clean signal.
    rate_hz : float
        Samples a second.
    channels : int
        Channel k leads channel 0 by k / channels of a cycle.
    offset : float
        Added to the input, not to the target.
    noise : float
        Standard deviation of white Gaussian noise added to the input.
    seed : int
        Of the noise.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    oscillation: Oscillation = field(default_factory=Oscillation)
    rate_hz: float = 100.0
    channels: int = 1
    offset: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("rate_hz", self.rate_hz, codec.MIN_RATE_HZ, codec.MAX_RATE_HZ)
        check_range("channels", self.channels, 1, codec.MAX_CHANNELS)
        check_range("offset", self.offset, -LARGEST_VALUE, LARGEST_VALUE)
        check_range("noise", self.noise, 0, LARGEST_VALUE)
        check_range("seed", self.seed, 0, 2**64 - 1)
        self._check_not_aliased()

    def _check_not_aliased(self) -> None:
        """Refuse an oscillation that these samples would show at another frequency."""
        limit_hz = self.rate_hz / 2
        for name, what, reaches_hz in self.oscillation.reaches():
            if reaches_hz >= limit_hz:
                raise UsageError(
                    f"{name}: {what} must stay below half of the {self.rate_hz:g} samples a second, "
                    f"{limit_hz:g} Hz, got {reaches_hz:g} Hz: the samples would show another frequency"
                )

    def about(self) -> dict[str, Any]:
        """Return which signal it is, for a journal."""
        return asdict(self)

    @property
    def labels(self) -> tuple[str, ...]:
        """Its channels have no names."""
        return ()

    def stretch(self, seq: int) -> tuple[int, int]:
        """Nothing is ever missing."""
        return seq, codec.MAX_SEQ

    def ends(self, _seq: int) -> bool:
        """It goes on for ever."""
        return False

    def samples(self, seq: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Return inputs [count, channels, 1] and targets [count, channels, 2] (cos, sin) from `seq` on."""
        time_s = np.arange(seq, seq + count, dtype=np.float64)[:, None] / self.rate_hz
        shift_cycles = np.arange(self.channels) / self.channels
        in_phase, quadrature = self.oscillation.at(time_s, shift_cycles)
        target = np.stack([quadrature, in_phase], axis=-1).astype(np.float32)
        heard = in_phase + self.offset
        if self.noise:
            heard = heard + self.noise * self._noise(seq, count)
        return heard[..., None].astype(np.float32), target

    def _noise(self, seq: int, count: int) -> Float64Array:
        """White noise [count, channels]."""
        size = _noise_block_samples(self.channels)
        first, last = seq // size, (seq + count - 1) // size
        blocks = [_noise_block(self.seed, block, self.channels) for block in range(first, last + 1)]
        start = seq - first * size
        return np.concatenate(blocks)[start : start + count]


def _noise_block_samples(channels: int) -> int:
    return max(1, _NOISE_BLOCK // channels)


@lru_cache(maxsize=4)  # one-sample requests would otherwise make each block anew for every sample
def _noise_block(seed: int, block: int, channels: int) -> Float64Array:
    """Samples [size, channels]: a counter-based generator makes noise a function of the index."""
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, block]))
    return generator.standard_normal((_noise_block_samples(channels), channels))
