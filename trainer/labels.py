"""Samples waiting for their targets: joined by sequence number, handed out as windows to learn from."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamer.errors import FileError
from streamer.messages import FloatArray
from trainer.state import Kept, Seq, Tree, array_of

DEFAULT_CAPACITY = 10_000  # samples; 10 s of late targets at 1 kHz
ARRAYS = ("_inputs", "_estimates", "_targets")


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Consecutive samples to learn from.

    Parameters
    ----------
    seq : int
        Index of the first sample.
    inputs : float32 array, shape (samples, channels)
    targets : float32 array, shape (samples, channels, fields)
        NaN where a target is not known.
    """

    seq: int
    inputs: FloatArray
    targets: FloatArray


class LabelBuffer(Kept):
    """A bounded queue of samples, each with the estimate made for it and, once it has come, its target.

    Targets come in order: when one has come, an earlier one that has not is lost.

    Parameters
    ----------
    channels : int
    fields : int
        Fields of an estimate.
    capacity : int
        Samples that wait at most; beyond it the oldest are taken to have lost their targets.
    """

    kept: ClassVar = {"first_seq": Seq, "_labelled_to": Seq, "unmatched": int}

    def __init__(self, channels: int, fields: int, capacity: int = DEFAULT_CAPACITY) -> None:
        self.capacity = capacity
        self._inputs = np.empty((0, channels), np.float32)
        self._estimates = np.empty((0, channels, fields), np.float32)
        self._targets = np.empty((0, channels, fields), np.float32)
        self._begin = self._end = 0  # the occupied part of the arrays
        self.first_seq = 0  # of the oldest sample
        self._labelled_to = 0
        self.unmatched = 0

    def state(self) -> Tree:
        """As `Kept.state`: the samples that wait, with what is known of them."""
        place = slice(self._begin, self._end)
        return super().state() | {name: getattr(self, name)[place].copy() for name in ARRAYS}

    def restore(self, tree: Tree) -> None:
        """As `Kept.restore`."""
        super().restore(tree)
        for name in ARRAYS:
            shape = getattr(self, name).shape[1:]
            largest = math.nan if name == "_estimates" else math.inf  # a read-out's may be anything
            kept = array_of(tree, name, (None, *shape), np.float32, missing=name == "_targets", largest=largest)
            setattr(self, name, kept.copy())
        self._begin, self._end = 0, len(self._inputs)
        if not len(self._inputs) == len(self._estimates) == len(self._targets):
            raise FileError("state: inputs, estimates and targets that wait must be equally many")

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def next_seq(self) -> int:
        """Index of the sample that `add` takes next."""
        return self.first_seq + len(self)

    @property
    def stand(self) -> tuple[int, int, int, int]:
        """What differs whenever anything was added, labelled or dropped."""
        return self.first_seq, self.next_seq, self._labelled_to, self.unmatched

    def restart(self, seq: int) -> None:
        """Forget everything and go on at `seq`."""
        self._begin = self._end = 0
        self.first_seq = self._labelled_to = seq

    def add(self, inputs: FloatArray, estimates: FloatArray) -> None:
        """Append samples [samples, channels] with their estimates [samples, channels, fields]."""
        count = len(inputs)
        self._make_room(count)
        fresh = slice(self._end, self._end + count)
        self._inputs[fresh] = inputs
        self._estimates[fresh] = estimates
        self._targets[fresh] = np.nan
        self._end += count
        # From here on, not from when somebody looks: what is learnt must not depend on that.
        self._labelled_to = max(self._labelled_to, self.next_seq - self.capacity)

    def label(self, seq: int, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Attach targets [samples, channels, fields] from `seq` on; return what was joined.

        Targets of samples that are not here, or no longer, or that have been passed, count as unmatched.
        Targets may have fewer fields than estimates, or more; each field that both have is joined.

        Returns
        -------
        estimates, targets : float32 arrays, shape (joined samples, channels, fields)
        """
        first, last = max(seq, self.first_seq, self._labelled_to), min(seq + len(targets), self.next_seq)
        joined = max(0, last - first)
        self.unmatched += len(targets) - joined
        if not joined:
            return self._estimates[:0], self._targets[:0]
        place = slice(self._begin + first - self.first_seq, self._begin + last - self.first_seq)
        fields = min(targets.shape[2], self._targets.shape[2])
        known, waiting = targets[first - seq : last - seq, :, :fields], self._targets[place]
        waiting[:, :, :fields] = known
        if not _all_finite(known):  # fields that are not joined are NaN already
            waiting[~np.isfinite(waiting)] = np.nan
        self._labelled_to = max(self._labelled_to, last)
        return self._estimates[place], waiting

    @property
    def complete_to(self) -> int:
        """One past the last sample whose target has come or is lost; it is lost `capacity` samples later."""
        return self._labelled_to

    def window(self, length: int) -> Window:
        """Return the oldest `length` samples, with what is known of their targets."""
        place = slice(self._begin, self._begin + length)
        return Window(self.first_seq, self._inputs[place].copy(), self._targets[place].copy())

    def advance(self, count: int) -> None:
        """Drop the oldest `count` samples."""
        self._begin += count
        self.first_seq += count

    def drop_matured(self) -> None:
        """Drop samples whose targets have come, and those beyond capacity: for who only scores."""
        matured = max(self._labelled_to - self.first_seq, len(self) - self.capacity)
        if matured > 0:
            self.advance(min(matured, len(self)))

    def _make_room(self, count: int) -> None:
        if self._end + count <= len(self._inputs):
            return
        size = max(256, 2 * (len(self) + count))
        for name in ARRAYS:
            old = getattr(self, name)
            new = np.empty((size, *old.shape[1:]), np.float32)
            new[: len(self)] = old[self._begin : self._end]
            setattr(self, name, new)
        self._begin, self._end = 0, len(self)


def _all_finite(values: FloatArray) -> bool:
    if values.size == 1:  # the usual case, at a fifth of the time
        return math.isfinite(values.item())
    return bool(np.isfinite(values).all())
