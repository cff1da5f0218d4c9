"""Input, target and estimate of one run side by side, joined by sample index, in bounded room."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictor.console.scoring import Scores, score
from streamer.messages import Chunk, FloatArray, Kind

MAX_SAMPLES = 16_384  # how late a target may come and still be scored: 16 s at 1 kHz
MIN_SAMPLES = 64
CHUNKS = 4  # of the first one's length are kept at least, so that an estimate meets its input
MAX_CHUNKED_SAMPLES = 2**18
MAX_VALUES = 2**20  # a field, so that many channels keep fewer samples

Index = NDArray[np.int64]
_KINDS = (Kind.INPUT, Kind.TARGET, Kind.ESTIMATE)


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Consecutive samples of one channel.

    Parameters
    ----------
    seq : int64 array, shape (samples,)
        Sample indices.
    inputs, targets, estimates : float32 array, shape (samples,)
        NaN where a sample is missing.
    """

    seq: Index
    inputs: FloatArray
    targets: FloatArray
    estimates: FloatArray


class JoinedSamples:
    """The newest samples of a run.

    Parameters
    ----------
    channels : int
    chunk_samples : int
        How many come at once.
    """

    def __init__(self, channels: int, chunk_samples: int = 1) -> None:
        self.channels = channels
        wanted = max(MAX_SAMPLES, min(CHUNKS * chunk_samples, MAX_CHUNKED_SAMPLES))
        self._capacity = max(MIN_SAMPLES, min(wanted, MAX_VALUES // channels))
        self._seq = {kind: np.full(self._capacity, -1, dtype=np.int64) for kind in _KINDS}
        self._scored_seq = np.full(self._capacity, -1, dtype=np.int64)
        self._values = {
            kind: np.zeros((self._capacity, channels, 1 if kind is Kind.INPUT else 2), dtype=np.float32)
            for kind in _KINDS
        }
        self._newest = dict.fromkeys(_KINDS, -1)

    def put(self, chunk: Chunk) -> Index:
        """Keep a chunk; return the indices of its samples, without those that came too late to be kept."""
        values = chunk.values[-self._capacity :]
        seq = chunk.end_seq - len(values) + np.arange(len(values), dtype=np.int64)
        slots = seq % self._capacity
        kept = seq >= self._seq[chunk.kind][slots]
        if not kept.all():
            seq, slots, values = seq[kept], slots[kept], values[kept]
        fields = min(values.shape[2], 1 if chunk.kind is Kind.INPUT else 2)
        ring = self._values[chunk.kind]
        ring[slots, :, :fields] = values[:, :, :fields]
        ring[slots, :, fields:] = np.nan
        self._seq[chunk.kind][slots] = seq
        self._newest[chunk.kind] = max(self._newest[chunk.kind], chunk.end_seq - 1)
        return seq

    def score(self, candidates: Sequence[Index]) -> tuple[Scores, Scores]:
        """Score, once each, those candidates whose target and estimate are both here.

        Returns
        -------
        squares, degrees : float64 array, shape (samples,)
            As of `scoring.score`, without samples that have no finite error.
        """
        seq = np.unique(np.concatenate(candidates)) if candidates else np.empty(0, dtype=np.int64)
        slots = seq % self._capacity
        ready = (
            (self._seq[Kind.TARGET][slots] == seq)
            & (self._seq[Kind.ESTIMATE][slots] == seq)
            & (self._scored_seq[slots] != seq)
        )
        seq, slots = seq[ready], slots[ready]
        self._scored_seq[slots] = seq
        with np.errstate(all="ignore"):  # a peer may send any float
            squares, degrees = score(
                self._of(Kind.INPUT, seq)[..., 0], self._of(Kind.TARGET, seq), self._of(Kind.ESTIMATE, seq)
            )
        usable = np.isfinite(squares)
        return squares[usable], degrees[usable]

    def latest(self, channel: int, samples: int, *, answered: bool = False) -> Curves:
        """Return the newest `samples` of a channel, oldest first.

        They end with the newest input, or where `answered` with the newest estimate, which may be a chunk behind.
        """
        newest = self._newest[Kind.INPUT]
        if newest < 0:
            newest = max(self._newest.values())
        elif answered and self._has(Kind.INPUT, self._newest[Kind.ESTIMATE]):
            newest = self._newest[Kind.ESTIMATE]
        seq = np.arange(max(0, newest - min(samples, self._capacity) + 1), newest + 1, dtype=np.int64)
        inputs, targets, estimates = (self._of(kind, seq)[:, channel, 0] for kind in _KINDS)
        return Curves(seq, inputs, targets, estimates)

    def newest_estimate(self, channel: int) -> tuple[FloatArray, FloatArray] | None:
        """Return cos and in-phase component of a channel's newest estimate; NaN where one is not known."""
        if self._newest[Kind.ESTIMATE] < 0:
            return None
        seq = np.array([self._newest[Kind.ESTIMATE]])
        estimate = self._of(Kind.ESTIMATE, seq)[0, channel]
        sin = self._of(Kind.INPUT, seq)[0, channel, 0] if np.isnan(estimate[1]) else estimate[1]
        return estimate[0], sin

    def _has(self, kind: Kind, seq: int) -> bool:
        return seq >= 0 and bool(self._seq[kind][seq % self._capacity] == seq)

    def _of(self, kind: Kind, seq: Index) -> FloatArray:
        """Values [samples, channels, fields] at `seq`; NaN where they are not here."""
        slots = seq % self._capacity
        here = self._seq[kind][slots] == seq
        return np.where(here[:, None, None], self._values[kind][slots], np.float32(np.nan))
