"""What was said lately, in case somebody missed it: bounded by time and by bytes."""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from operator import itemgetter
from typing import Final, NamedTuple, cast

from streamer.messages import Burst, Chunk, FloatArray, Gone, Kind, TimeArray

REMEMBERED_RUNS = 8  # of a stream and kind
REMEMBERED_LEFT = 64  # of those before, their names
SIFTED_AT_ONCE = 64  # places of messages
MESSAGE_BYTES = 600  # what keeping a message takes besides its values

Key = tuple[Kind, str, int]
Found = Chunk | Burst | Gone
SEQ: Final = 0  # places in a `Row`
END_SEQ: Final = 1
SAID_NS: Final = 2


class Kept(NamedTuple):
    """A message that is kept, as plain values."""

    seq: int
    end_seq: int
    said_ns: int
    time_ns: int
    rate_hz: float
    values: FloatArray
    model_version: int
    tally: int
    times_ns: TimeArray | None
    tally_step: int

    @property
    def bytes(self) -> int:
        return MESSAGE_BYTES + self.values.nbytes + (0 if self.times_ns is None else self.times_ns.nbytes)


Row = tuple[int, int, int, int, float, FloatArray, int, int, TimeArray | None, int]
"""The values of a `Kept` as they are stored: the garbage collector leaves plain tuples of plain values alone, and
going through 100,000 messages again and again would take it many milliseconds at a time."""


@dataclass(slots=True)
class _Track:
    """What is kept of one kind of one run, and how far it was said."""

    key: Key
    next_seq: int
    kept: deque[Row] = field(default_factory=deque)


class History:
    """Keeps messages for as long as it may, and finds them again.

    Parameters
    ----------
    retain_s : float
        How long.
    retain_bytes : int
        How much of them, in memory.
    all_begun : bool
        Whether no run will begin that has not: of what it has begun to say, any other run is then gone. Otherwise
        an unknown run may still come.
    """

    def __init__(self, retain_s: float, retain_bytes: int, *, all_begun: bool = False) -> None:
        self._retain_ns = round(retain_s * 1e9)
        self._retain_bytes = retain_bytes
        self._tracks: dict[Key, _Track] = {}
        self._runs: dict[tuple[Kind, str], deque[int]] = {}
        self._left: dict[tuple[Kind, str], deque[int]] = {}  # runs of which nothing is kept any more
        self._all_begun = all_begun
        self._order: deque[_Track] = deque()  # of each message kept, the oldest first
        self._sifted: deque[_Track] = deque()  # the front of it, while places of dropped messages are taken out
        self._dropped = 0  # messages that still have a place there
        self.kept_bytes = 0

    @property
    def keeps(self) -> bool:
        """Whether anything can be kept at all."""
        return self._retain_ns > 0 and self._retain_bytes > 0

    def begin(self, kind: Kind, stream: str, run: int, seq: int = 0) -> None:
        """Make known that a run is said from `seq` on: what comes is not said yet, what was before is gone."""
        if (kind, stream, run) in self._tracks:
            return
        runs = self._runs.setdefault((kind, stream), deque())
        if len(runs) == REMEMBERED_RUNS:
            left = runs.popleft()
            self._left.setdefault((kind, stream), deque(maxlen=REMEMBERED_LEFT)).append(left)
            self._drop(self._tracks.pop((kind, stream, left)))
        runs.append(run)
        self._tracks[kind, stream, run] = _Track((kind, stream, run), seq)

    def reach(self, kind: Kind, stream: str, run: int, seq: int) -> None:
        """Make known that a run was said up to `seq`, whatever is kept of it."""
        track = self._tracks[kind, stream, run]
        track.next_seq = max(track.next_seq, seq)

    def add(self, message: Chunk | Burst, now_ns: int) -> None:
        """Keep what was just said.

        Parameters
        ----------
        message : Chunk or Burst
            Of each run and kind, in rising order.
        now_ns : int
            On the monotonic clock.
        """
        chunk = message.chunk if isinstance(message, Burst) else message
        key = chunk.kind, chunk.stream, chunk.run
        track = self._tracks.get(key)
        if track is None:
            self.begin(*key, chunk.seq)
            track = self._tracks[key]
        kept = _packed(message, chunk, now_ns)
        track.next_seq = kept.end_seq
        track.kept.append(cast(Row, tuple(kept)))
        self._order.append(track)
        self.kept_bytes += kept.bytes
        self._forget(now_ns)

    def forget(self, kind: Kind, stream: str) -> None:
        """Let go of a stream: nothing is known of it any more."""
        for run in self._runs.pop((kind, stream), ()):
            self._drop(self._tracks.pop((kind, stream, run)))
        self._left.pop((kind, stream), None)

    def runs(self, kind: Kind, stream: str) -> list[int]:
        """Return the runs of which something may be kept, the oldest first."""
        return list(self._runs.get((kind, stream), ()))

    def kept(self, kind: Kind, stream: str, run: int, seq: int) -> list[Kept]:
        """Return the messages of a run that are kept, from the one on that holds sample `seq` or a later one."""
        track = self._tracks.get((kind, stream, run))
        if track is None:
            return []
        rows = list(takewhile(lambda row: row[END_SEQ] > seq, reversed(track.kept)))
        return [Kept(*row) for row in reversed(rows)]

    def oldest_seq(self, kind: Kind, stream: str, run: int) -> int | None:
        """Return the first sample of a run that is kept; None if nothing is."""
        track = self._tracks.get((kind, stream, run))
        return track.kept[0][SEQ] if track is not None and track.kept else None

    def find(self, kind: Kind, stream: str, run: int, seq: int, end: int, most: int) -> list[Found]:
        """Return what comes first of samples `seq` to `end`, in order: messages, or how many samples are gone.

        At most `most` messages or chunks of a burst. Nothing is returned where nothing can be said: nothing of the
        kind is said of the stream, the run may still begin, or sample `seq` was not said yet.
        """
        track = self._tracks.get((kind, stream, run))
        if track is None:
            return [Gone(kind, stream, run, seq, end - seq)] if self._is_past(kind, stream, run) else []
        end = min(end, track.next_seq)
        place = bisect_right(track.kept, seq, key=itemgetter(END_SEQ))
        found: list[Found] = []
        while seq < end and most > 0:
            begins = track.kept[place][SEQ] if place < len(track.kept) else end
            if seq < begins:
                found.append(Gone(kind, stream, run, seq, min(begins, end) - seq))
                seq, most = begins, most - 1
                continue
            said = _unpacked(track.key, Kept(*track.kept[place]), seq, end, most)
            found.append(said)
            seq = said.chunk.end_seq if isinstance(said, Burst) else said.end_seq
            most -= len(said.times_ns) if isinstance(said, Burst) else 1
            place += 1
        return found

    def _is_past(self, kind: Kind, stream: str, run: int) -> bool:
        """Return whether a run that is not known cannot come either."""
        return run in self._left.get((kind, stream), ()) or (self._all_begun and (kind, stream) in self._runs)

    def _forget(self, now_ns: int) -> None:
        """Drop the oldest until the rest may be kept."""
        before_ns = now_ns - self._retain_ns
        while order := self._sifted or self._order:
            track = order[0]
            if track.kept and self.kept_bytes <= self._retain_bytes and track.kept[0][SAID_NS] > before_ns:
                return
            order.popleft()
            if track.kept:
                self.kept_bytes -= Kept(*track.kept.popleft()).bytes
            else:
                self._dropped -= 1

    def _drop(self, track: _Track) -> None:
        """Drop all messages of a run, and now and then the places of those that were dropped before.

        Whatever is kept for long stands before them, so these places would otherwise add up, each with its run.
        """
        count = len(track.kept)
        self.kept_bytes -= sum(Kept(*row).bytes for row in track.kept)
        track.kept.clear()
        self._dropped += count
        if self._sifted or 2 * self._dropped > len(self._order):
            self._sift(SIFTED_AT_ONCE + 4 * count)

    def _sift(self, count: int) -> None:
        """Take the places of dropped messages out of so many, from where this stopped the last time."""
        order, sifted = self._order, self._sifted
        for _ in range(min(count, len(order))):
            track = order.popleft()
            if track.kept:
                sifted.append(track)
            else:
                self._dropped -= 1
        if not order:
            self._order, self._sifted = sifted, order


def _packed(message: Chunk | Burst, chunk: Chunk, now_ns: int) -> Kept:
    times_ns, step = (message.times_ns, message.tally_step) if isinstance(message, Burst) else (None, 0)
    return Kept(
        chunk.seq, chunk.end_seq, now_ns, chunk.time_ns, chunk.rate_hz, chunk.values, chunk.model_version,
        chunk.tally, times_ns, step,
    )  # fmt: skip


def _unpacked(key: Key, kept: Kept, seq: int, end: int, most: int) -> Chunk | Burst:
    chunk = Chunk(
        *key, kept.seq, kept.time_ns, kept.rate_hz, kept.values, kept.model_version, kept.tally
    )  # fmt: skip
    if kept.times_ns is None:
        return chunk
    burst = Burst(chunk, kept.times_ns, kept.tally_step)
    first = (seq - kept.seq) // burst.samples
    last = min(len(kept.times_ns), -(-(end - kept.seq) // burst.samples))
    return burst.part(first, min(most, last - first))
