"""Estimates kept for who asks for them again, as part of a state: a restart must not lose what a reader missed."""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streamer.clock import Instant
from streamer.errors import FileError
from streamer.history import History, Kept
from streamer.messages import NO_GAP, Burst, Chunk, FloatArray, Kind
from trainer.state import Tree, array_of, trees, value_of

Ints = NDArray[np.int64]


class Retained:
    """A stream's part of a history, as segments of what was said between one state and the next.

    Parameters
    ----------
    history : History
    stream : str
    """

    def __init__(self, history: History, stream: str) -> None:
        self._history = history
        self._stream = stream
        self._segments: deque[Tree] = deque()
        self._next_seqs: dict[int, int] = {}  # run -> what no segment has yet

    def state(self) -> Tree:
        """Return all that is kept; what was returned before is not copied again."""
        runs = self._history.runs(Kind.ESTIMATE, self._stream)
        self._next_seqs = {run: seq for run, seq in self._next_seqs.items() if run in runs}
        for run in runs:
            kept = self._history.kept(Kind.ESTIMATE, self._stream, run, self._next_seqs.get(run, 0))
            for alike in _alike(kept):
                self._segments.append(_segment(run, alike))
                self._next_seqs[run] = alike[-1].end_seq
        while self._segments and self._forgotten(self._segments[0]):
            self._segments.popleft()
        return {"segments": list(self._segments)}

    def restore(self, tree: Tree, now: Instant) -> None:
        """Put what was kept into the history, as if it had been said now.

        Raises
        ------
        FileError
            If it cannot be a state.
        """
        for segment in trees(tree, "segments"):
            run = value_of(segment, "run", int)
            for said in _unpacked(segment, self._stream, run):
                self._history.add(said, now.mono_ns)
            self._segments.append(segment)
            self._next_seqs[run] = int(segment["ends"][-1])

    def _forgotten(self, segment: Tree) -> bool:
        oldest_seq = self._history.oldest_seq(Kind.ESTIMATE, self._stream, segment["run"])
        return oldest_seq is None or int(segment["ends"][-1]) <= oldest_seq


def _alike(kept: Sequence[Kept]) -> Iterator[Sequence[Kept]]:
    """Yield messages in one piece, or in two where a run's channels or fields are not the same throughout."""
    first = 0
    for place in range(1, len(kept) + 1):
        if place == len(kept) or kept[place].values.shape[1:] != kept[first].values.shape[1:]:
            yield kept[first:place]
            first = place


def _segment(run: int, kept: Sequence[Kept]) -> Tree:
    times = [[each.time_ns] if each.times_ns is None else each.times_ns for each in kept]
    return {
        "run": run,
        "seqs": np.array([each.seq for each in kept], np.int64),
        "ends": np.array([each.end_seq for each in kept], np.int64),
        "counts": np.array([len(each) for each in times], np.int64),
        "times_ns": np.concatenate(times).astype(np.int64),
        "rates_hz": np.array([each.rate_hz for each in kept], np.float64),
        "versions": np.array([each.model_version for each in kept], np.int64),
        "tallies": np.array([-1 if each.tally == NO_GAP else each.tally for each in kept], np.int64),
        "steps": np.array([each.tally_step for each in kept], np.int64),
        "values": np.concatenate([each.values for each in kept]),
    }


def _unpacked(segment: Tree, stream: str, run: int) -> Iterator[Chunk | Burst]:
    values: FloatArray = array_of(segment, "values", (None, None, None), np.float32)
    counts = _ints(segment, "counts")
    names = ("seqs", "ends", "versions", "tallies", "steps")
    columns = [_ints(segment, name, len(counts)) for name in names]
    rates = array_of(segment, "rates_hz", (len(counts),), np.float64)
    times_ns = _ints(segment, "times_ns", int(counts.sum()))
    lengths = columns[1] - columns[0]
    fits = len(counts) and (counts > 0).all() and (lengths > 0).all() and not (lengths % counts).any()
    if not fits or lengths.sum() != len(values) or (columns[0] < 0).any() or (np.diff(columns[1]) < 0).any():
        raise FileError("state: estimates that were kept must be messages in rising order")
    sample = message = 0
    rows = zip(counts.tolist(), rates.tolist(), *(column.tolist() for column in columns), strict=True)
    for count, rate_hz, seq, end, version, tally, step in rows:
        times = times_ns[message : message + count]
        own = values[sample : sample + end - seq]
        chunk = Chunk(
            Kind.ESTIMATE, stream, run, seq, int(times[0]), rate_hz, own, version, NO_GAP if tally < 0 else tally
        )
        yield chunk if count == 1 else Burst(chunk, times, step)
        sample, message = sample + end - seq, message + count


def _ints(segment: Tree, name: str, length: int | None = None) -> Ints:
    return array_of(segment, name, (length,), np.int64)
