"""Learning on the signal itself: where a stream's rhythm is, and a guarded challenger beside the frozen model."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamer.errors import FileError, UsageError
from streamer.messages import FloatArray
from trainer.selfsupervised.band import NOMINAL, SEGMENT_SAMPLES, Band
from trainer.selfsupervised.band_tracker import BandEstimate, BandTracker
from trainer.selfsupervised.challenger import Challenger, waiting_bytes
from trainer.selfsupervised.guard import Guard
from trainer.state import Kept, Seq, Tree, subtree, value_of

MAX_BYTES = 64 * 2**20  # of a stream's samples that wait for labels, or for a look at their spectrum
FASTEST_NOMINAL = 0.2  # cycles a sample: an octave more is all that samples can say
NO_LIMIT = 2**31
MAX_NOTICES = 10
EARLIER = ("refits", "switches", "rollbacks")


@dataclass(frozen=True, slots=True)
class SelfConfig:
    """How to learn on the signal itself.

    Parameters
    ----------
    band_hz : (float, float) or None
        Where the rhythm is; None to find it.
    nominal_hz : float or None
        Where to look for it, within an octave; None for 25 samples a cycle.

    Raises
    ------
    UsageError
        If the band does not rise from above 0.
    """

    band_hz: tuple[float, float] | None = None
    nominal_hz: float | None = None

    def __post_init__(self) -> None:
        if self.band_hz is not None and not 0 < self.band_hz[0] < self.band_hz[1] < np.inf:
            low, high = self.band_hz
            raise UsageError(f"--band: must be LOW,HIGH in Hz with 0 < LOW < HIGH, got {low:.6g},{high:.6g}")


class LearningWarning(str):
    """News that is a warning."""


class SelfLearner(Kept):
    """One stream's. The frozen model serves until a band is found and the challenger has earned its place.

    In a band that is given the challenger serves from the first sample, until its labels say that it is worse.

    Parameters
    ----------
    config : SelfConfig
    make_guard : callable
        Number of channels -> guard.
    """

    kept: ClassVar = {
        "_channels": int,
        "_rate_hz": float,
        "_seq": Seq,
        "_trouble": str | None,
        "_drift_seq": Seq | None,
        "_drifts": int,
    }

    def __init__(self, config: SelfConfig, make_guard: Callable[[int], Guard] = Guard) -> None:
        self._config = config
        self._make_guard = make_guard
        self._news: deque[str] = deque(maxlen=MAX_NOTICES)
        self._challenger: Challenger | None = None
        self._earlier = (0, 0, 0)  # refits, switches and rollbacks of challengers that are gone
        self._drifts = 0
        self.restart(0, 0.0, 0)

    def restart(self, channels: int, rate_hz: float, seq: int) -> None:
        """Forget everything: a new run of so many channels, at so many samples a second (0: not known)."""
        self._channels = channels
        self._rate_hz = rate_hz
        self._seq = seq
        self._trouble: str | None = None
        self._drift_seq: int | None = None
        self._watch: BandTracker | None = None
        self._begin(None)
        if channels and self._config.band_hz is None:
            self._look_for_band()
        elif channels:
            self._begin(self._given_band())

    def state(self) -> Tree:
        """As `Kept.state`."""
        return super().state() | {
            "earlier": dict(zip(EARLIER, self._earlier, strict=True)),
            "band": self._band.edges() if self._band else None,
            "watch": self._watch.state() if self._watch else None,
            "challenger": self._challenger.state() if self._challenger else None,
        }

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        earlier = subtree(tree, "earlier")
        refits, switches, rollbacks = (value_of(earlier, name, int) for name in EARLIER)
        self._earlier = (refits, switches, rollbacks)
        self._challenger, self._watch, self._band = None, None, Band.of(tree.get("band"))
        if tree.get("watch") is not None:
            self._watch = self._new_watch()
            if self._watch is None:
                raise FileError("state: watch: there is no room to look for a band")
            self._watch.restore(subtree(tree, "watch"))
        if self._band is not None and waiting_bytes(self._band, self._channels) > MAX_BYTES:
            raise FileError("state: band: too much would wait for its labels")
        if tree.get("challenger") is not None and self._band is not None:
            self._challenger = self._new_challenger(self._band, np.zeros(self._channels, np.float32))
            self._challenger.restore(subtree(tree, "challenger"))
        self._news.clear()

    def resume(self, seq: int) -> None:
        """Go on after missing samples, at `seq`."""
        self._seq = seq
        if self._watch is not None:
            self._watch.restart()
        if self._challenger is not None:
            self._challenger.resume()

    @property
    def refits(self) -> int:
        """Times that a read-out was fitted."""
        return self._counts()[0]

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
        self._seq += len(inputs)
        if self._watch is not None:
            self._watch.add(inputs)
        if self._band is None:
            return estimates
        if self._challenger is None:
            self._challenger = self._new_challenger(self._band, inputs[0])
        fields = estimates.shape[2]
        champion = estimates if fields == 2 else np.stack([estimates[..., 0], inputs], axis=-1)
        return self._challenger.answer(inputs, champion)[..., :fields]

    def learn(self) -> bool:
        """Learn what is due; return whether anything was."""
        if self._challenger is not None and not self._challenger.room:
            self._learn(self._challenger)
            return True
        if self._watch is not None and not self._watch.room:
            self._look(self._watch)
            return True
        return False

    def news(self) -> list[str]:
        """Return what has happened since the last call, a line each; a `LearningWarning` is a warning."""
        news = list(self._news)
        self._news.clear()
        return news

    def status(self) -> dict[str, object]:
        """Return what docs/reference/status.md lists under `learning`."""
        challenger = self._challenger
        guard = challenger.guard if challenger else None
        refits, switches, rollbacks = self._counts()
        return {
            "method": "self",
            "updates": refits,
            "trouble": self._trouble,
            "band_hz": list(self._band.in_hz(self._rate_hz)) if self._band and self._rate_hz else None,
            "serving_channels": int(guard.serving.sum()) if guard else 0,
            "champion_deg": _mean(guard.champion_deg.value) if guard else None,
            "challenger_deg": _mean(guard.challenger_deg.value) if guard else None,
            "switches": switches,
            "rollbacks": rollbacks,
            "jump_deg": challenger.jump_deg if challenger else None,
            "drifts": self._drifts,
            "drift_seq": self._drift_seq,
        }

    # Within

    def _counts(self) -> tuple[int, int, int]:
        """Return refits, switches and rollbacks since the start."""
        refits, switches, rollbacks = self._earlier
        if self._challenger is None:
            return self._earlier
        guard = self._challenger.guard
        return refits + self._challenger.refits, switches + guard.switches, rollbacks + guard.rollbacks

    def _new_challenger(self, band: Band, offset: FloatArray) -> Challenger:
        guard = self._make_guard(self._channels)
        if self._config.band_hz is not None:  # then the prior knows more of the rhythm than the model does
            guard.serve_first()
        return Challenger(band, offset, guard)

    def _look_for_band(self) -> None:
        self._watch = self._new_watch()
        if self._watch is None:
            self._fail("too many channels, or too many samples a cycle, to look for a band; give it with --band")

    def _new_watch(self) -> BandTracker | None:
        """Return what looks for a band, None if it would take too much memory."""
        nominal_hz = self._config.nominal_hz
        nominal = NOMINAL if nominal_hz is None or not self._rate_hz else nominal_hz / self._rate_hz
        nominal = min(nominal, FASTEST_NOMINAL)
        if 4 * self._channels * SEGMENT_SAMPLES * NOMINAL / nominal > MAX_BYTES:
            return None
        return BandTracker(self._channels, nominal)

    def _given_band(self) -> Band | None:
        """Return the band that was given, in cycles a sample; None, and the trouble, if that cannot be."""
        if self._config.band_hz is None:
            return None
        if not self._rate_hz:
            self._fail("--band is in Hz, and the source does not state its sample rate")
            return None
        try:
            return Band(*(edge / self._rate_hz for edge in self._config.band_hz))
        except UsageError as error:
            self._fail(str(error))
            return None

    def _fail(self, trouble: str) -> None:
        self._trouble = trouble
        self._news.append(LearningWarning(f"not learning: {trouble}"))

    def _begin(self, band: Band | None) -> None:
        """Start anew in a band; None: with nothing to learn."""
        served = self._challenger is not None and int(self._challenger.guard.serving.sum())
        refits, switches, rollbacks = self._counts()
        self._earlier = (refits, switches + served, rollbacks)
        self._challenger = None
        self._band = None
        if band is None:
            return
        if waiting_bytes(band, self._channels) > MAX_BYTES:
            self._watch = None
            self._fail("too many channels, or too many samples a cycle: too much would wait for its labels")
            return
        self._band = band
        low, high = band.in_hz(self._rate_hz or 1.0)
        unit = "Hz" if self._rate_hz else "cycles a sample"
        first = "; what is learnt serves from the first sample" if self._config.band_hz is not None else ""
        self._news.append(f"learning on itself, from {low:.4g} to {high:.4g} {unit}{first}")

    def _learn(self, challenger: Challenger) -> None:
        guard = challenger.guard
        before = int(guard.serving.sum())
        drifted = challenger.learn()
        served = int(guard.serving.sum())
        if served != before:
            scores = [
                f"{_mean(score) or 0.0:.1f}" for score in (guard.challenger_deg.value, guard.champion_deg.value)
            ]
            self._news.append(
                f"what was learnt serves {served} of {len(guard.serving)} channel(s); "
                f"phase error {scores[0]} deg, the model's {scores[1]}"
            )
        if drifted:
            self._drifted()

    def _look(self, watch: BandTracker) -> None:
        sight = watch.look()
        if sight is BandEstimate.NEW_BAND:
            self._begin(watch.band)
        elif sight is BandEstimate.ELSEWHERE:
            self._drifted()

    def _drifted(self) -> None:
        """Where the band was found, look for it anew: labels of a band that the rhythm has left are wrong."""
        self._drifts += 1
        self._drift_seq = self._seq
        if self._watch is None:
            self._news.append("the signal has changed: most of what was learnt is forgotten")
            return
        self._news.append("the signal has changed: the model serves while its band is searched for again")
        self._begin(None)
        self._look_for_band()


def _mean(degrees: NDArray[np.float64]) -> float | None:
    """Return the mean over the channels that have a score."""
    known = degrees[np.isfinite(degrees)]
    return float(known.mean()) if len(known) else None
