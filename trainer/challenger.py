"""A read-out beside the frozen model: answers each sample, learns from late labels of its own making, under guard."""

import numpy as np
from numpy.typing import NDArray

from streamer.messages import FloatArray
from trainer.band import Band
from trainer.drift import PageHinkley
from trainer.guard import Guard
from trainer.labels import LabelBuffer
from trainer.laguerre import FILTERS, Laguerre
from trainer.readout import Readout
from trainer.selflabels import SelfLabels

PARTS = 4  # of a block, after each of which champion and challenger are compared
AFTER_DRIFT = 0.1  # of what was learnt is kept when the signal has changed
CHALLENGER, CHAMPION, FEATURES = slice(0, 2), slice(2, 4), slice(2, None)  # of a row that waits for its label

Estimates = NDArray[np.float64]


class Challenger:
    """Learns a stream's rhythm in one band.

    Samples go through `answer`, at most `room` at a time; when there is no room, `learn` makes some. What `answer` says
    of a sample depends on the samples before it alone.

    Parameters
    ----------
    band : Band
    offset : float32 array [channels]
        Taken off the inputs: with the first sample's, the filters start without a jump.

    Attributes
    ----------
    guard : Guard
    drift : PageHinkley
        On the challenger's errors.
    refits : int
        Times that the read-out was fitted.
    jump_deg : float or None
        By how much the published phase jumped at the last switch; where channels switched together, the largest.
    """

    def __init__(self, band: Band, offset: FloatArray) -> None:
        channels = len(offset)
        self.band = band
        self.guard = Guard(channels)
        self.drift = PageHinkley()
        self.refits = 0
        self.jump_deg: float | None = None
        self._offset = offset.astype(np.float64)
        self._labels = SelfLabels(band, channels)
        self._filters = Laguerre(1 / band.centre, channels)
        self._readout = Readout(channels, 2 + FILTERS)
        self._weights = np.full((channels, 2, 3 + FILTERS), np.nan)
        self._waiting = LabelBuffer(channels, 4 + FILTERS)
        self._labelled = self._labels.reach_samples  # samples that have, or will never have, a label
        self._fitted_at = 0  # the first sample answered with weights
        self._switched = np.zeros(channels, bool)  # since the last sample answered
        self._apart_deg = np.zeros((max(1, self._labels.block_samples // PARTS), channels))  # of the newest samples
        self._apart_samples = 0

    @property
    def room(self) -> int:
        """Samples that can be answered before something is to be learnt."""
        return min(self._labels.missing_samples, len(self._apart_deg) - self._apart_samples)

    def resume(self) -> None:
        """Go on after missing samples: what waits for its label will not get it."""
        self._labels.restart()
        self._fitted_at = 0 if self.refits else self._fitted_at
        self._waiting.restart(0)
        self._apart_samples = 0
        self._labelled = self._labels.reach_samples

    def answer(self, inputs: FloatArray, champion: FloatArray) -> FloatArray:
        """Return what is to be published [samples, channels, 2].

        Parameters
        ----------
        inputs : float32 array, shape (samples, channels)
            At most `room` samples.
        champion : float32 array, shape (samples, channels, 2)
            What the frozen model says of them.
        """
        centred = inputs - self._offset
        rows = np.empty((*inputs.shape, 4 + FILTERS), np.float32)
        rows[..., CHAMPION] = champion
        bias, slopes = self._weights[:, :, 0], self._weights[:, :, 1:]
        with np.errstate(over="ignore"):  # then the champion serves
            for sample, row in zip(centred, rows, strict=True):
                row[:, 4:] = self._filters.step(sample).T
                row[:, CHALLENGER] = (slopes @ row[:, FEATURES, None])[:, :, 0] + bias
        self._labels.add(centred)
        self._waiting.add(inputs, rows)
        self._note_jump(rows[0])
        self._note_apart(rows)
        challenger = rows[..., CHALLENGER]
        serves = self.guard.serving[:, None] & np.isfinite(challenger).all(axis=2, keepdims=True)
        return np.where(serves, challenger, champion)

    def learn(self) -> bool:
        """Do what is due when there is no room; return True if the signal has changed its nature."""
        before = self.guard.serving.copy()
        if self._apart_samples == len(self._apart_deg):
            self._apart_samples = 0
            self.guard.compare(self._apart_deg.mean(axis=0))
        drifted = not self._labels.missing_samples and self._learn_block()
        self._switched |= before != self.guard.serving
        return drifted

    def _learn_block(self) -> bool:
        labels = self._labels.take()
        rows, _ = self._waiting.label(self._labelled, labels.astype(np.float32))
        rows = rows.astype(np.float64)
        scored = self._labelled >= self._fitted_at and self.refits > 0
        drifted = scored and self._score(rows, labels)
        self._labelled += len(labels)
        self._waiting.drop_matured()
        if drifted:
            self._readout.discount(AFTER_DRIFT)
        self._fit(rows[..., FEATURES], labels)
        return drifted

    def _score(self, rows: Estimates, labels: Estimates) -> bool:
        champion, challenger = (_error_deg(rows[..., who], labels) for who in (CHAMPION, CHALLENGER))
        self.guard.score(champion, challenger)
        known = challenger[np.isfinite(challenger)]
        return len(known) > 0 and self.drift.add(float(known.mean()))

    def _fit(self, features: Estimates, labels: Estimates) -> None:
        self._readout.learn(features, labels)
        self._weights = self._readout.weights()
        broken = ~np.isfinite(self._weights).all(axis=(1, 2))
        self._readout.forget(broken)
        if not self.refits:
            self._fitted_at = self._waiting.next_seq
        self.refits += 1

    def _note_apart(self, rows: FloatArray) -> None:
        """Note how far apart champion and challenger are; NaN where there is no challenger yet."""
        first = self._apart_samples
        self._apart_samples += len(rows)
        with np.errstate(invalid="ignore"):
            apart = np.angle(_complex(rows[..., CHALLENGER]) * _complex(rows[..., CHAMPION]).conj(), deg=True)
        self._apart_deg[first : self._apart_samples] = np.abs(apart)

    def _note_jump(self, row: FloatArray) -> None:
        """Measure the switch, if one has just happened, at the first sample [channels, ...] after it."""
        if not self._switched.any():
            return
        champion, challenger = (_complex(row[self._switched][:, who]) for who in (CHAMPION, CHALLENGER))
        jumps = np.angle(challenger * champion.conj(), deg=True) * np.where(
            self.guard.serving[self._switched], 1, -1
        )
        largest = float(jumps[np.argmax(np.abs(jumps))])
        self.jump_deg = largest if np.isfinite(largest) else None
        self._switched[:] = False


def _complex(pairs: NDArray[np.floating]) -> NDArray[np.complex128]:
    """Return cos + i sin of (cos, sin) pairs [..., 2]."""
    both: NDArray[np.complex128] = pairs[..., 0] + 1j * pairs[..., 1]
    return both


def _error_deg(estimates: Estimates, labels: Estimates) -> NDArray[np.float64]:
    """Return the mean absolute phase error [channels] of a block; NaN where labels or estimates are not numbers."""
    truth = _complex(labels)
    with np.errstate(invalid="ignore"):
        errors = np.abs(np.angle(_complex(estimates) * truth.conj(), deg=True))
    means: NDArray[np.float64] = np.where(np.abs(truth).min(axis=0) > 0, errors.mean(axis=0), np.nan)
    return means
