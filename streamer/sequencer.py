"""A stream's samples in order, run after run: each delivered once, or reported missing. Pure logic.

Where inputs and targets are followed together, they are handed out in the order the source said them, which their
tallies tell, however they came.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamer.decisions import GapDecision
from streamer.errors import FileError
from streamer.events import Event, Gap, NewRun, Word
from streamer.holding import Budget, Item
from streamer.messages import Burst, Chunk, Gone, Kind, Replay
from streamer.ordering import NO_LIMIT, OrderCounts, Track
from streamer.patience import Patience

REMEMBERED_RUNS = 8  # a source restarted more often than this between two late messages is past helping
SILENT_NS = 3_000_000_000  # after which a run is left even for one that claims to be older
AMISS = -1  # no message has this seq
ALL = 2**64


class Sequencer:
    """Follows one stream.

    Attributes
    ----------
    run : int or None
        The run being followed; None before the first.
    expected : int
        Seq of the next sample while nothing is amiss, else `AMISS`.
    circular_waits : int
        Times that an input and a target of the run were each to come after the other.
    second_to : int
        One past the last sample of the second kind; where that is not followed, more than there can be. A message
        of the first kind continues the stream if its run and seq are those expected and its tally is no higher.

    Parameters
    ----------
    stream : str
    kinds : sequence of Kind
        The kind that is followed, or INPUT and TARGET to follow both in the order in which they were said.
    patience : Patience
    budget : Budget
        Of what all streams hold.
    counts : OrderCounts
    """

    __slots__ = (
        "_arrivals", "_budget", "_decided", "_foretold", "_joins_anywhere", "_latest_ns", "_main", "_past_runs",
        "_patience", "_pending", "_probe", "_second", "_tracks", "_words", "channels", "circular_waits", "counts",
        "expected", "kinds", "run", "second_to", "stream",
    )  # fmt: skip

    def __init__(
        self,
        stream: str,
        kinds: Sequence[Kind],
        patience: Patience | None = None,
        budget: Budget | None = None,
        counts: OrderCounts | None = None,
    ) -> None:
        self.stream = stream
        self.kinds = tuple(kinds)
        self._patience = patience or Patience()
        self.counts = counts if counts is not None else OrderCounts()
        self.run: int | None = None
        self.second_to = ALL
        self._budget = budget or Budget(self._patience.hold_bytes)
        self._past_runs: tuple[int, ...] = ()
        self._foretold: Word | None = None  # of a run that has not begun
        self._joins_anywhere = False
        self._latest_ns = 0  # source time, at the least
        self._words = 0
        self._arrivals = 0
        self._decided: dict[int, Sequence[GapDecision]] = {}  # by a former life, of runs that have not begun
        self._pending: deque[GapDecision] = deque()  # of the present run, still to be done again
        self._probe = (-1, -1, 0)  # where the run was when an older one was heard, and when that was
        self._begin_tracks()

    def _begin_tracks(self) -> None:
        tracks = [Track(kind, self._patience, self._budget, self.counts) for kind in self.kinds]
        self.channels: int | None = None
        self.expected = AMISS  # until the first samples have been handed out
        self.circular_waits = 0
        self._main = tracks[0]
        self.second_to = 0 if len(tracks) > 1 else ALL
        self._second: Track | None = tracks[1] if len(tracks) > 1 else None
        self._tracks = tracks

    @property
    def next_seq(self) -> int:
        """The sample of the first kind that comes next."""
        return self._main.next_seq

    @property
    def next_second_seq(self) -> int:
        """The sample of the second kind that comes next."""
        return self._second.next_seq if self._second is not None else 0

    # What it goes on from after a restart; what is held and what is missing is asked for again

    def state(self) -> dict[str, Any]:
        """Return the position, for `restore`."""
        return {
            "run": self.run,
            "next_seq": self.next_seq,
            "next_second_seq": self.next_second_seq,
            "past_runs": list(self._past_runs),
            "latest_ns": self._latest_ns,
        }

    def restore(self, position: Mapping[str, Any], channels: int) -> None:
        """Go on from a position, with samples of so many channels.

        Raises
        ------
        FileError
            If it cannot be one.
        """
        past_runs = position.get("past_runs")
        numbers: list[Any] = [position.get(name) for name in ("run", "next_seq", "next_second_seq")]
        latest_ns = position.get("latest_ns")
        if not isinstance(past_runs, list) or not all(map(_is_index, [*numbers, *past_runs])):
            raise FileError(f"state: a position must be whole numbers, got {str(position)[:200]}")
        if type(latest_ns) is not int:
            raise FileError(f"state: latest_ns must be a whole number, got {str(latest_ns)[:60]}")
        self.run, self._main.next_seq, second_seq = numbers
        self._latest_ns = latest_ns
        if self._second is not None:
            self.second_to = self._second.next_seq = second_seq
        self.expected = self._main.next_seq
        self.channels = channels
        self._past_runs = tuple(past_runs[-REMEMBERED_RUNS:])
        self._take_up_decisions()
        if self._pending:
            self.expected = AMISS

    # What a former life decided

    def recall(self, gaps: Mapping[int, Sequence[GapDecision]]) -> None:
        """Give up again, of each run, what a former life gave up, in order; to be called before anything else.

        Nothing beyond such a gap is handed out, of either kind, until both are where they were at the decision.
        """
        self._decided = dict(gaps)

    def _take_up_decisions(self) -> None:
        """Look up what was decided of the run that is followed now, from where it is on."""
        decided = self._decided.pop(self.run, ()) if self.run is not None else ()
        here = self.next_seq, self.next_second_seq
        self._pending = deque(
            gap for gap in decided
            if gap.kind in self.kinds and gap.place[0] >= here[0] and gap.place[1] >= here[1]
        )  # fmt: skip
        self._limit()

    def _limit(self) -> None:
        """Hand out nothing beyond the next gap that is to be decided again."""
        place = self._pending[0].place if self._pending else (NO_LIMIT, NO_LIMIT)
        for track, limit in zip(self._tracks, place, strict=False):
            track.stop_at(limit)

    def _decide_again(self) -> Gap | None:
        """Return the next gap that was decided, if both kinds are where they were then."""
        if not self._pending or any(track.next_seq < track.limit for track in self._tracks):
            return None
        decided = self._pending.popleft()
        track = self._track(decided.kind)
        assert track is not None
        gap = self._gap(track, decided.samples, decided)
        self._limit()
        return gap

    # The usual case

    def continues(self, chunk: Chunk) -> bool:
        """Return whether a chunk of the first kind is simply what comes next."""
        if chunk.seq != self.expected or chunk.run != self.run or chunk.tally > self.second_to:
            return False
        return bool(chunk.values.shape[1] == self.channels)

    def advance(self, message: Chunk | Burst) -> None:
        """Move on past a message that continues the stream."""
        main = self._main
        main.next_seq = self.expected = (message if isinstance(message, Chunk) else message.chunk).end_seq
        main.note(message)

    def take_second(self, chunk: Chunk) -> bool:
        """Move on past a chunk of the second kind if it is simply what comes next; return whether it is."""
        if chunk.seq != self.second_to or chunk.run != self.run or chunk.tally > self.expected:
            return False
        second = self._second
        if second is None or chunk.values.shape[1] != self.channels:
            return False
        self.second_to = second.next_seq = chunk.end_seq
        second.note(chunk)
        return True

    # What comes in

    def receive(self, message: Chunk | Burst, now_ns: int) -> Iterator[Event]:
        """Take samples; return what can be handed out."""
        chunk = message if isinstance(message, Chunk) else message.chunk
        if chunk.run != self.run:
            if self._stale(chunk.run, chunk.time_ns, now_ns):
                self.counts.duplicates += len(chunk.values)
                return
            if self._joins_anywhere_now and chunk.kind is not self._main.kind:
                return
            yield from self._begin_run(chunk.run, chunk.time_ns)
            self._join(chunk, now_ns)
        track = self._track(chunk.kind)
        if track is None:
            return
        if self.channels not in (None, chunk.values.shape[1]):
            self.counts.refused += 1
            return
        self._arrivals += 1
        track.add(message, now_ns, self._arrivals)
        yield from self._drain(now_ns)

    def hear(self, word: Word, now_ns: int) -> Iterator[Event]:
        """Heed how far a run is said to be."""
        if word.run != self.run:
            if self._stale(word.run, word.time_ns, now_ns):
                return
            self._foretold = word
            if not word.replays or self._joins_anywhere_now:
                return
            yield from self._begin_run(word.run, word.time_ns)
        self._words += 1
        self._latest_ns = max(self._latest_ns, word.time_ns)
        self._heed(word, now_ns)
        if self.expected == AMISS or not all(track.undisturbed for track in self._tracks):
            yield from self._drain(now_ns)

    def lose(self, gone: Gone, now_ns: int) -> Iterator[Event]:
        """Heed that samples cannot be had any more."""
        track = self._track(gone.kind)
        if track is None or gone.run != self.run:
            return
        samples = track.gone(gone.seq, gone.seq + gone.samples, now_ns)
        if samples:
            yield self._gap(track, samples)
            yield from self._drain(now_ns)

    def _heed(self, word: Word, now_ns: int) -> None:
        for track, end in zip(self._tracks, word.ends, strict=True):
            track.replays = word.replays
            track.tell(end, word.time_ns, now_ns)

    def _track(self, kind: Kind) -> Track | None:
        if kind is self._main.kind:
            return self._main
        return self._second if self._second is not None and kind is self._second.kind else None

    # Runs

    @property
    def _joins_anywhere_now(self) -> bool:
        return self.run is None and not self._patience.from_start

    def _stale(self, run: int, time_ns: int, now_ns: int) -> bool:
        """Return whether a run was left, or began before the one that is followed and still speaks."""
        if run in self._past_runs:
            return True
        if self._foretold is not None and run == self._foretold.run:
            return False
        if self.run is None or time_ns >= self._latest_ns:
            return False
        if self._probe[:2] != (self.next_seq, self._words):
            self._probe = self.next_seq, self._words, now_ns
        return now_ns < self._probe[2] + SILENT_NS

    def _begin_run(self, run: int, time_ns: int) -> Iterator[Event]:
        """Leave a run, with what is left of it, and begin another."""
        left, place = self.run, (0, 0)
        if self.run is not None:
            yield from self._flush()
            place = self.next_seq, self.next_second_seq
            self._past_runs = (*self._past_runs, self.run)[-REMEMBERED_RUNS:]
        self._joins_anywhere = self._joins_anywhere_now
        self._begin_tracks()
        self.run, self._latest_ns = run, time_ns
        self._take_up_decisions()
        yield NewRun(run, left, place)

    def _join(self, chunk: Chunk, now_ns: int) -> None:
        """Begin a run with the first chunk of it that came."""
        if self._joins_anywhere and not self._pending:  # or where a former life joined it
            self._main.next_seq = chunk.seq
            if self._second is not None:
                self._second.next_seq = chunk.tally
        word, self._foretold = self._foretold, None
        if word is not None and word.run == self.run:
            self._heed(word, now_ns)

    def _flush(self) -> Iterator[Event]:
        """Hand out everything that is held, and give up what is missing in between and after it."""
        yield from self._drain(0)
        while True:
            gaps = [(track, track.lost()) for track in self._tracks]
            for track, samples in gaps:
                if samples:
                    yield self._gap(track, samples)
            if not any(samples for _, samples in gaps):
                break
            yield from self._drain(0)
        for track in self._tracks:
            track.clear()

    # Order

    def _drain(self, now_ns: int) -> Iterator[Event]:
        """Hand out what is next, as long as it has come."""
        while True:
            gap = self._decide_again()
            if gap is not None:
                yield gap
                continue
            track = self._turn(now_ns)
            if track is None:
                break
            yield from track.take_head()
        for track in self._tracks:
            track.settle(now_ns)
        begun = self.channels is not None
        self.expected = (
            self._main.next_seq
            if begun and not self._pending and all(track.undisturbed for track in self._tracks)
            else AMISS
        )
        if self._second is not None:
            self.second_to = self._second.next_seq

    def _turn(self, now_ns: int) -> Track | None:
        """Return the track whose next message was said next, if it has come."""
        first = self._fitting_head(self._main)
        for track in self._tracks:
            track.need(track.limit if self._pending else 0)
        if self._second is None:
            return self._main if first else None
        second = self._fitting_head(self._second)
        first_waits = first is not None and self._waits(first, self._second, now_ns)
        second_waits = second is not None and self._waits(second, self._main, now_ns)
        if first is not None and second is not None and first_waits == second_waits:
            # Without tallies, as they came; where each waits for the other, the tallies are wrong.
            self.circular_waits += first_waits
            return self._main if first.arrival < second.arrival else self._second
        if first is not None and not first_waits:
            return self._main
        if second is not None and not second_waits:
            return self._second
        if first is not None:
            self._second.need(first.tally)
        if second is not None:
            self._main.need(second.tally)
        return None

    def _waits(self, item: Item, other: Track, now_ns: int) -> bool:
        """Return whether something of the other kind was said before `item` and has not been handed out."""
        if item.tally <= other.next_seq:
            return False
        other.witness(item.tally, item.tally, item.time_ns, now_ns)
        return other.credible(item.tally, item.time_ns, item.since_ns)

    def _fitting_head(self, track: Track) -> Item | None:
        while (head := track.head) is not None:
            if self.channels is None:
                self.channels = head.channels
            if head.channels == self.channels:
                return head
            track.refuse_head()
        return None

    # What is missing

    def due_ns(self) -> int | None:
        """When to call `look`; None if nothing is missing."""
        if self.expected != AMISS:
            return None
        dues = [due for track in self._tracks if (due := track.due_ns()) is not None]
        return min(dues, default=None)

    def look(self, now_ns: int) -> Iterator[Event]:
        """Give up what is to be given up by now."""
        yield from self._drain(now_ns)
        while True:
            lost = [(track, track.give_up(now_ns)) for track in self._tracks]
            for track, samples in lost:
                if samples:
                    yield self._gap(track, samples)
            yield from self._drain(now_ns)
            if not any(samples for _, samples in lost):
                break

    def asks(self, now_ns: int) -> Iterator[Replay]:
        """Return what to ask for now."""
        for track in self._tracks:
            wanted = track.ask(now_ns)
            if wanted is not None and self.run is not None:
                yield Replay(track.kind, self.stream, self.run, *wanted)

    def _gap(self, track: Track, samples: int, decided: GapDecision | None = None) -> Gap:
        assert self.run is not None
        other_seq = self.next_second_seq if track is self._main else self.next_seq
        gap = Gap(track.kind, self.run, track.next_seq, samples, other_seq, decided)
        track.skip(samples)
        return gap


def _is_index(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**64
