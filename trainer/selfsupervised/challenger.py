"""A read-out beside the frozen model: answers each sample, and learns from late labels of its own making."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamer.errors import FileError
from streamer.messages import FloatArray
from trainer.conditioning import NUMBERS, are_sound, condition
from trainer.labels import LabelBuffer
from trainer.selfsupervised.band import Band
from trainer.selfsupervised.drift import PageHinkley
from trainer.selfsupervised.guard import Guard
from trainer.selfsupervised.hilbert_labels import HilbertLabels, reach_samples
from trainer.selfsupervised.laguerre import FILTERS, Laguerre
from trainer.selfsupervised.prior import assumed_moments
from trainer.selfsupervised.readout import Readout
from trainer.state import Kept, Tree, at_most

PARTS = 4  # of a block, after each of which champion and challenger are compared
FAINT = 1e-5  # of the features' power: labels so weak are what leaks into the band. An EEG's have 7e-4
AFTER_DRIFT = 0.3  # of what was learnt is kept when the signal has changed: a false alarm must not cost much

# A row of numbers that waits for its label; the frozen model's estimates are features too (stacking: Wolpert,
# "Stacked generalization", 1992), so that what it knows and the filters do not is not lost.
CHALLENGER, CHAMPION, FEATURES = slice(0, 2), slice(2, 4), slice(2, None)
FEATURE_COUNT = 2 + FILTERS

Array = NDArray[np.float64]


def waiting_bytes(band: Band, channels: int) -> int:
    """Return what the samples that wait for their labels take, about."""
    rows = 2 * (2 * reach_samples(band) + round(1 / band.centre))  # the buffer grows by doubling
    return rows * channels * np.dtype(np.float32).itemsize * (1 + 2 * (2 + FEATURE_COUNT))


class Challenger(Kept):
    """Learns a stream's rhythm in one band, under guard.

    Samples go through `answer`, at most `room` at a time; when there is no room, `learn` makes some. What is said
    of a sample depends on the samples up to it and not on how they came.

    Parameters
    ----------
    band : Band
    offset : float32 array, shape (channels,)
        Taken off the inputs: with the first sample's, the filters start without a jump.
    guard : Guard
        Decides who serves; of as many channels.

    Attributes
    ----------
    refits : int
        Times that the read-out was fitted.
    jump_deg : float or None
        By how much the published phase jumped at the last switch; where channels switched together, the largest.
    """

    kept: ClassVar = {
        "guard": Guard,
        "refits": int,
        "jump_deg": float | None,
        "_offset": np.ndarray,
        "_labels": HilbertLabels,
        "_filters": Laguerre,
        "_readout": Readout,
        "_waiting": LabelBuffer,
        "_labelled": int,
        "_drift": PageHinkley,
        "_switched": np.ndarray,
        "_apart_deg": np.ndarray,
        "_apart_samples": int,
        "_numbers": np.ndarray,
    }
    missing = frozenset({"_apart_deg"})

    def __init__(self, band: Band, offset: FloatArray, guard: Guard) -> None:
        channels = len(offset)
        self.guard = guard
        self.refits = 0
        self.jump_deg: float | None = None
        self._offset = offset.astype(np.float64)
        self._labels = HilbertLabels(band, channels)
        self._filters = Laguerre(1 / band.centre, channels)
        self._readout = Readout(channels, assumed_moments(band))
        waits = 2 * self._labels.reach_samples + self._labels.block_samples  # all of them: none lose their labels
        self._waiting = LabelBuffer(channels, 2 + FEATURE_COUNT, waits)
        self._labelled = self._labels.reach_samples  # samples that have a label, or will never have one
        self._drift = PageHinkley()
        self._switched = np.zeros(channels, bool)  # since the last sample answered
        self._apart_deg = np.zeros((max(1, self._labels.block_samples // PARTS), channels))
        self._apart_samples = 0
        self._cycle_samples = 1 / band.centre
        self._numbers = np.zeros((channels, NUMBERS))  # of what takes artefacts out

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        at_most(len(self._apart_deg), _apart_samples=self._apart_samples)
        if not are_sound(self._numbers):
            raise FileError("state: _numbers must be what a sample has left")
        waiting, ends = self._waiting, self._labelled + self._labels.block_samples + self._labels.reach_samples
        rises = waiting.first_seq <= self._labelled and waiting.complete_to <= self._labelled
        if not rises or waiting.next_seq + self._labels.missing_samples != ends:
            raise FileError("state: what waits must be what the next labels are for")

    @property
    def room(self) -> int:
        """Samples that can be answered before something is to be learnt."""
        return min(self._labels.missing_samples, len(self._apart_deg) - self._apart_samples)

    def resume(self) -> None:
        """Go on after missing samples: what waits for its label will not get it."""
        self._labels.restart()
        self._labelled = self._labels.reach_samples
        self._waiting.restart(0)
        self._apart_samples = 0

    def answer(self, inputs: FloatArray, champion: FloatArray) -> FloatArray:
        """Return what is to be published [samples, channels, 2].

        Parameters
        ----------
        inputs : float32 array, shape (samples, channels)
            At most `room` samples.
        champion : float32 array, shape (samples, channels, 2)
            What the frozen model says of them.
        """
        conditioned = condition(inputs, self._numbers, self._cycle_samples)
        self._numbers[:] = conditioned.numbers
        centred = conditioned.clean - self._offset
        rows = np.empty((*inputs.shape, 2 + FEATURE_COUNT), np.float32)
        rows[..., CHAMPION] = champion
        intercept, slopes = self._readout.weights[:, :, 0], self._readout.weights[:, :, 1:]
        with np.errstate(over="ignore", invalid="ignore"):  # where that happens the champion serves
            for sample, row in zip(centred, rows, strict=True):
                row[:, 4:] = self._filters.step(sample).T
                row[:, CHALLENGER] = (slopes @ row[:, FEATURES, None])[:, :, 0] + intercept
            self._compare(rows)
        self._labels.add(centred)
        self._waiting.add(inputs, rows)
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
        self._switched ^= before != self.guard.serving
        return drifted

    def _learn_block(self) -> bool:
        """Score and learn the block whose labels are complete; return True if it shows a drift."""
        labels = self._labels.take()
        joined, _ = self._waiting.label(self._labelled, labels.astype(np.float32))
        rows = joined.astype(np.float64)
        drifted = self._score(rows, labels)
        self._labelled += len(labels)
        self._waiting.drop_matured()
        if drifted:
            self._readout.discount(AFTER_DRIFT)
        self._fit(rows[..., FEATURES], labels)
        return drifted

    def _score(self, rows: Array, labels: Array) -> bool:
        faint = np.square(labels).sum(axis=2).mean(axis=0) <= FAINT * rows[..., FEATURES].var(axis=0).mean(axis=1)
        champion, challenger = (
            np.where(faint, np.nan, _error_deg(rows[..., who], labels)) for who in (CHAMPION, CHALLENGER)
        )
        self.guard.score(champion, challenger)
        known = challenger[np.isfinite(challenger)]
        return len(known) > 0 and self._drift.add(float(known.mean()))

    def _fit(self, features: Array, labels: Array) -> None:
        self._readout.learn(features, labels)
        finite = np.isfinite(self._readout.weights).reshape(len(labels[0]), -1)
        self._readout.forget(np.flatnonzero(~finite.all(axis=1)))
        self.refits += 1

    def _compare(self, rows: FloatArray) -> None:
        """Note how far apart champion and challenger are (NaN without a challenger), and the jump at a switch."""
        between = _complex(rows[..., CHALLENGER]) * _complex(rows[..., CHAMPION]).conj()
        apart_deg = np.angle(between, deg=True)
        first = self._apart_samples
        self._apart_samples += len(rows)
        self._apart_deg[first : self._apart_samples] = np.abs(apart_deg)
        if self._switched.any():
            jumps = np.where(self.guard.serving, apart_deg[0], -apart_deg[0])[self._switched]
            self._switched[:] = False
            largest = float(jumps[np.argmax(np.abs(jumps))])
            self.jump_deg = largest if np.isfinite(largest) else None


def _complex(pairs: NDArray[np.floating]) -> NDArray[np.complex128]:
    """Return cos + i sin of (cos, sin) pairs [..., 2]."""
    both: NDArray[np.complex128] = pairs[..., 0] + 1j * pairs[..., 1].astype(np.float64)
    return both


def _error_deg(estimates: Array, labels: Array) -> Array:
    """Return a block's mean absolute phase error [channels]; NaN where estimates are not numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        errors: Array = np.abs(np.angle(_complex(estimates) * _complex(labels).conj(), deg=True)).mean(axis=0)
    return errors
