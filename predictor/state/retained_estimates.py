"""Estimates kept for who asks for them again, as part of a state: a restart must not lose what a reader missed."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from streamer.clock import Instant
from streamer.errors import FileError
from streamer.messages import Burst, Chunk, FloatArray, Kind
from streamer.replay.history import History, Kept
from trainer.state import Run, Tree, array_of, trees, value_of

GATHERED_MESSAGES = 500  # half a millisecond
MERGED_MESSAGES = 2_000


class RetainedEstimates:
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
        self._gather(least=1)
        self._segments = deque(_merged(self._segments))
        return {"segments": list(self._segments)}

    def gather(self) -> None:
        """Make a segment of what is new if that is enough, so that the next state takes less time."""
        if self._segments:  # or nobody asks for states
            self._gather(GATHERED_MESSAGES)

    def _gather(self, least: int) -> None:
        runs = self._history.runs(Kind.ESTIMATE, self._stream)
        self._next_seqs = {run: seq for run, seq in self._next_seqs.items() if run in runs}
        for run in runs:
            kept = self._history.kept(Kind.ESTIMATE, self._stream, run, self._next_seqs.get(run, 0))
            for alike in _alike(kept) if len(kept) >= least else ():
                self._segments.append(_segment(run, alike))
                self._next_seqs[run] = alike[-1].end_seq
        while self._segments and self._forgotten(self._segments[0]):
            self._segments.popleft()

    def restore(self, tree: Tree, now: Instant) -> None:
        """Put what was kept into the history, as if it had been said now.

        Raises
        ------
        FileError
            If it cannot be a state.
        """
        for segment in trees(tree, "segments"):
            run = value_of(segment, "run", Run)
            next_seq = self._next_seqs.get(run, 0)
            for said in _unpacked(segment, self._stream, run, next_seq):
                self._history.add(said, now.mono_ns)
            self._segments.append(segment)
            self._next_seqs[run] = _end_seq(segment)

    def _forgotten(self, segment: Tree) -> bool:
        oldest_seq = self._history.oldest_seq(Kind.ESTIMATE, self._stream, segment["run"])
        return oldest_seq is None or _end_seq(segment) <= oldest_seq


def _alike(kept: Sequence[Kept]) -> Iterator[Sequence[Kept]]:
    """Yield messages in one piece, or in two where a run's channels or fields are not the same throughout."""
    first = 0
    for place in range(1, len(kept) + 1):
        if place == len(kept) or kept[place].values.shape[1:] != kept[first].values.shape[1:]:
            yield kept[first:place]
            first = place


def _segment(run: int, kept: Sequence[Kept]) -> Tree:
    columns = Kept(*zip(*kept, strict=True))  # type: ignore[arg-type]
    several = any(times is not None for times in columns.times_ns)  # type: ignore[union-attr]
    times = [np.atleast_1d(each.time_ns if each.times_ns is None else each.times_ns) for each in kept if several]
    return {
        "run": run,
        "messages": np.stack(
            [
                np.array(columns.seq, np.int64),
                (np.array(columns.end_seq, np.uint64) - np.array(columns.seq, np.uint64)).view(np.int64),
                np.array([len(each) for each in times] or [1] * len(kept), np.int64),
                np.array(columns.rate_hz, np.float64).view(np.int64),
                np.array(columns.model_version, np.int64),
                np.array(columns.tally, np.uint64).view(np.int64),
                np.array(columns.tally_step, np.int64),
            ]
        ),
        "times_ns": np.concatenate(times).astype(np.int64) if several else np.array(columns.time_ns, np.int64),
        "values": np.concatenate(columns.values),
    }


def _merged(segments: Iterable[Tree]) -> Iterator[Tree]:
    """Yield neighbours that are small as one: a file with many streams must not have many arrays of each."""
    last: Tree | None = None
    for segment in segments:
        if last is not None and _size(last) + _size(segment) <= MERGED_MESSAGES and _fit(last, segment):
            last = {
                "run": last["run"],
                "messages": np.concatenate([last["messages"], segment["messages"]], axis=1),
                "times_ns": np.concatenate([last["times_ns"], segment["times_ns"]]),
                "values": np.concatenate([last["values"], segment["values"]]),
            }
            continue
        if last is not None:
            yield last
        last = segment
    if last is not None:
        yield last


def _size(segment: Tree) -> int:
    size: int = segment["messages"].shape[1]
    return size


def _fit(one: Tree, other: Tree) -> bool:
    fits: bool = one["run"] == other["run"] and one["values"].shape[1:] == other["values"].shape[1:]
    return fits


def _end_seq(segment: Tree) -> int:
    return int(segment["messages"][0, -1]) + int(segment["messages"][1, -1])  # up to 2^63


def _unpacked(segment: Tree, stream: str, run: int, next_seq: int) -> Iterator[Chunk | Burst]:
    values: FloatArray = array_of(segment, "values", (None, None, None), np.float32)
    messages = array_of(segment, "messages", (7, None), np.int64)
    seqs, lengths, counts, rates, *_ = messages
    times_ns = array_of(segment, "times_ns", (int(counts.sum()),), np.int64)
    fits = counts.size and (counts > 0).all() and (lengths > 0).all() and not (lengths % counts).any()
    if not fits or lengths.sum() != len(values) or seqs[0] < next_seq or (np.diff(seqs) < 0).any():
        raise FileError("state: estimates that were kept must be messages in rising order")
    tallies = np.ascontiguousarray(messages[5]).view(np.uint64).tolist()
    rates_hz = np.ascontiguousarray(rates).view(np.float64).tolist()
    sample = message = 0
    rows = zip(seqs.tolist(), lengths.tolist(), counts.tolist(), messages[4].tolist(), messages[6].tolist(),
               tallies, rates_hz, strict=True)  # fmt: skip
    for seq, length, count, version, step, tally, rate_hz in rows:
        times = times_ns[message : message + count]
        own = values[sample : sample + length]
        chunk = Chunk(Kind.ESTIMATE, stream, run, seq, int(times[0]), rate_hz, own, version, tally)
        yield chunk if count == 1 else Burst(chunk, times, step)
        sample, message = sample + length, message + count
