"""Learning on the signal itself: where a stream's rhythm is, and a guarded challenger beside the frozen model."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from streamer.errors import UsageError
from streamer.messages import FloatArray
from trainer.band import Band
from trainer.bandwatch import BandWatch
from trainer.challenger import Challenger
from trainer.laguerre import FILTERS

MAX_WAITING_BYTES = 64 * 2**20  # a stream's samples that wait for labels take no more
NO_LIMIT = 2**31
NEWS_LINES = 10


@dataclass(frozen=True, slots=True)
class SelfConfig:
    """How to learn on the signal itself.

    Parameters
    ----------
    band_hz : (float, float) or None
        Where the rhythm is; None to find it.

    Raises
    ------
    UsageError
        If the band does not rise from above 0.
    """

    band_hz: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.band_hz is not None and not 0 < self.band_hz[0] < self.band_hz[1] < np.inf:
            low, high = self.band_hz
            raise UsageError(f"--band: must be LOW,HIGH in Hz with 0 < LOW < HIGH, got {low:.6g},{high:.6g}")


class SelfLearner:
    """One stream's. The frozen model serves until a band is known and the challenger has earned its place.

    Parameters
    ----------
    config : SelfConfig

    Attributes
    ----------
    trouble : str or None
        Why this stream is not learnt from.
    """

    def __init__(self, config: SelfConfig) -> None:
        self._config = config
        self._news: deque[str] = deque(maxlen=NEWS_LINES)
        self._challenger: Challenger | None = None
        self._earlier = 0  # refits of challengers that are gone
        self._drifts = 0
        self.restart(0, 0.0)

    def restart(self, channels: int, rate_hz: float) -> None:
        """Forget everything: a new run of so many channels, at so many samples a second (0: not known)."""
        self.trouble: str | None = None
        self._rate_hz = rate_hz
        self._watch: BandWatch | None = None
        self._begin(None)
        if not channels:
            return
        if self._config.band_hz is None:
            self._watch = BandWatch(channels)
        else:
            self._begin(self._given(self._config.band_hz))

    def resume(self) -> None:
        """Go on after missing samples."""
        if self._watch is not None:
            self._watch.restart()
        if self._challenger is not None:
            self._challenger.resume()

    @property
    def refits(self) -> int:
        """Times that the read-out was fitted."""
        return self._earlier + (self._challenger.refits if self._challenger else 0)

    @property
    def room(self) -> int:
        """Samples that can be answered before something is to be learnt."""
        to_look = self._watch.room if self._watch else NO_LIMIT
        if self._challenger is not None:
            return min(to_look, self._challenger.room)
        return to_look if self._band is None else 1

    def answer(self, inputs: FloatArray, estimates: FloatArray) -> FloatArray:
        """Return what is to be published of at most `room` samples.

        Parameters
        ----------
        inputs : float32 array, shape (samples, channels)
        estimates : float32 array, shape (samples, channels, fields)
            Of the frozen model: (cos, sin), or cos alone; then the input is its in-phase.
        """
        if self._watch is not None:
            self._watch.add(inputs)
        if self._band is None:
            return estimates
        if self._challenger is None:
            self._challenger = Challenger(self._band, inputs[0])
        fields = estimates.shape[2]
        champion = estimates if fields == 2 else np.stack([estimates[..., 0], inputs], axis=-1)
        return self._challenger.answer(inputs, champion)[..., :fields]

    def learn(self) -> bool:
        """Learn what is due; return whether anything was."""
        if self._challenger is not None and not self._challenger.room:
            self._learn(self._challenger)
            return True
        if self._watch is not None and not self._watch.room:
            if self._watch.look():
                self._begin(self._watch.band)
            return True
        return False

    def news(self) -> list[str]:
        """Return the latest of what has happened since the last call, a line each."""
        news = list(self._news)
        self._news.clear()
        return news

    def status(self) -> dict[str, object]:
        """Return what docs/protocol.md lists under `learning`."""
        challenger = self._challenger
        guard = challenger.guard if challenger else None
        return {
            "method": "self",
            "updates": self.refits,
            "trouble": self.trouble,
            "band_hz": list(self._band.in_hz(self._rate_hz)) if self._band and self._rate_hz else None,
            "serving_channels": int(guard.serving.sum()) if guard else 0,
            "champion_deg": _mean(guard.champion_deg) if guard else None,
            "challenger_deg": _mean(guard.challenger_deg) if guard else None,
            "switches": guard.switches if guard else 0,
            "rollbacks": guard.rollbacks if guard else 0,
            "jump_deg": challenger.jump_deg if challenger else None,
            "drifts": self._drifts,
        }

    def _given(self, band_hz: tuple[float, float]) -> Band | None:
        """Return the band that was given, in cycles a sample; None, and the trouble, if that cannot be."""
        if not self._rate_hz:
            self.trouble = "--band is in Hz, and the source does not say its rate"
            return None
        try:
            return Band(*(edge / self._rate_hz for edge in band_hz))
        except UsageError as error:
            self.trouble = str(error)
            return None

    def _begin(self, band: Band | None) -> None:
        """Start anew in a band; None: with nothing to learn."""
        if self._challenger is not None:
            self._earlier += self._challenger.refits
        self._challenger = None
        self._band = band
        if band is not None:
            rate_hz = self._rate_hz or 1.0
            unit = "Hz" if self._rate_hz else "cycles a sample"
            self._news.append("learning on itself from {:.4g} to {:.4g} {}".format(*band.in_hz(rate_hz), unit))

    def _learn(self, challenger: Challenger) -> None:
        guard = challenger.guard
        before = int(guard.serving.sum())
        drifted = challenger.learn()
        served = int(guard.serving.sum())
        if served != before:
            self._news.append(
                f"what was learnt serves {served} of {len(guard.serving)} channel(s): phase error "
                f"{_mean(guard.challenger_deg):.1f} deg against the model's {_mean(guard.champion_deg):.1f}"
            )
        if drifted:
            self._drifted()

    def _drifted(self) -> None:
        """Forget most of what was learnt; where the band was found, look for it anew, for labels of a band that the
        rhythm has left are wrong."""
        self._drifts += 1
        if self._watch is None:
            self._news.append("the signal has changed: most of what was learnt is forgotten")
            return
        self._news.append("the signal has changed: the model serves while its band is looked for anew")
        self._watch = BandWatch(self._watch.channels)
        self._begin(None)


def _mean(degrees: FloatArray | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    """Return the mean over the channels that have a score."""
    known = degrees[np.isfinite(degrees)]
    return float(known.mean()) if len(known) else None
