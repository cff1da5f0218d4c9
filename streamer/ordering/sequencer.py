"""A stream's samples in order, run after run: each delivered once, or reported missing. Pure logic.

Where inputs and targets are followed together, they are handed out in the order the source said them, which their
tallies tell, however they came.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

from streamer.errors import FileError
from streamer.messages import Burst, Chunk, Gone, Kind, Replay
from streamer.ordering.decisions import GapDecision
from streamer.ordering.events import Announcement, Event, Gap, NewRun, Repeated, Rivals, StartedAgain
from streamer.ordering.reorder_buffer import Item, MemoryBudget
from streamer.ordering.restarts import Found, Place, Restart, Restarts
from streamer.ordering.retry import ASK_AGAIN_NS, RetryPolicy
from streamer.ordering.run_tail import Tail
from streamer.ordering.runs import REMEMBERED_RUNS, SILENT_NS, CandidateRun, CandidateRuns, Message, Position
from streamer.ordering.track import NO_LIMIT, OrderCounts, Track

FAR_SAMPLES = 2**30  # only a request for whatever there is, or a large hole, goes so far
WARN_EVERY_NS = 60_000_000_000  # of two sources
MANY_REPEATS = 50  # messages with old numbers in a row
OUT_OF_ORDER = -1  # no message has this seq
ALL = 2**64


class Sequencer:
    """Follows one stream.

    Attributes
    ----------
    run : int or None
        The run being followed; None before the first.
    expected : int
        Seq of the next sample while nothing is amiss, else `OUT_OF_ORDER`.
    now_ns : int
        The present, where what is handed out took so long that what `receive` and the others were told is past.
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
    retry_policy : RetryPolicy
    budget : MemoryBudget
        Of what all streams hold.
    counts : OrderCounts
    """

    __slots__ = (
        "_arrivals",
        "_candidates",
        "_closing",
        "_contested_ns",
        "_decided",
        "_ended",
        "_foretold",
        "_joins_anywhere",
        "_latest_ns",
        "_left",
        "_main",
        "_news",
        "_pending",
        "_repeated_ns",
        "_repeats",
        "_restarts",
        "_retry_policy",
        "_second",
        "_share",
        "_spoke_ns",
        "_stood",
        "_tails",
        "_tracks",
        "_warned_ns",
        "_words",
        "channels",
        "circular_waits",
        "counts",
        "expected",
        "kinds",
        "now_ns",
        "run",
        "second_to",
        "stream",
    )  # fmt: skip

    def __init__(
        self,
        stream: str,
        kinds: Sequence[Kind],
        retry_policy: RetryPolicy | None = None,
        budget: MemoryBudget | None = None,
        counts: OrderCounts | None = None,
    ) -> None:
        self.stream = stream
        self.kinds = tuple(kinds)
        self._retry_policy = retry_policy or RetryPolicy()
        self.counts = counts if counts is not None else OrderCounts()
        self.run: int | None = None
        self.second_to = ALL
        self.now_ns = 0
        self._share = (budget or MemoryBudget(self._retry_policy.hold_bytes)).share(self._drop_newest)
        self._left: dict[int, Position] = {}  # runs that were followed, the one left last at the end
        self._candidates = CandidateRuns(self._share)
        self._closing: CandidateRun | None = None  # the next run, once the end of this one is known
        self._tails: list[Tail] = []  # of the run that is being left
        self._ended = False  # as the source said
        self._contested_ns = self._warned_ns = -WARN_EVERY_NS  # when two sources spoke; when that was said
        self._foretold: Announcement | None = None  # of a run that has not begun
        self._joins_anywhere = False
        self._latest_ns = 0  # source time, at the least
        self._words = 0
        self._arrivals = self._news = 0
        self._decided: dict[int, Sequence[GapDecision]] = {}  # by a former life, of runs that have not begun
        self._pending: deque[GapDecision] = deque()  # of the present run, still to be done again
        self._stood = (-1, -1, -1, -1)  # where the run was when it was last seen to move on ...
        self._spoke_ns = 0  # ... and when that was
        self._repeats = (0, 0, -1, 0, 0)  # run, from, to, the sample that came next, messages
        self._repeated_ns = -WARN_EVERY_NS  # when they were said
        self._restarts = Restarts(self._share, heeds_infos=self.kinds[0] is not Kind.ESTIMATE)
        self._begin_tracks()

    def _begin_tracks(self) -> None:
        tracks = [Track(kind, self._retry_policy, self._share, self.counts) for kind in self.kinds]
        self.channels: int | None = None
        self.expected = OUT_OF_ORDER  # until the first samples have been handed out
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
    def next_target_seq(self) -> int:
        """The sample of the second kind that comes next."""
        return self._second.next_seq if self._second is not None else 0

    # What it goes on from after a restart; what is held and what is missing is asked for again

    def state(self) -> dict[str, Any]:
        """Return the position, for `restore`."""
        return {
            "run": self.run,
            "next_seq": self.next_seq,
            "next_second_seq": self.next_target_seq,
            "left": [[run, *astuple(at)] for run, at in self._left.items()],
            "latest_ns": self._latest_ns,
            "times": [*astuple(self._main.place)[1:4]],
            "restarts": self._restarts.rows(),
        }

    def restore(self, position: Mapping[str, Any], channels: int) -> None:
        """Go on from a position, with samples of so many channels.

        Raises
        ------
        FileError
            If it cannot be one.
        """
        left: Any = position.get("left")
        numbers: list[Any] = [position.get(name) for name in ("run", "next_seq", "next_second_seq")]
        latest_ns = position.get("latest_ns")
        rows, restarts = _rows(left, 7), _rows(position.get("restarts"), 6)
        times = _rows([position.get("times")], 3)
        if rows is None or restarts is None or times is None or not all(map(_is_index, numbers)):
            raise FileError(f"state: a position must be whole numbers, got {str(position)[:200]}")
        if type(latest_ns) is not int:
            raise FileError(f"state: latest_ns must be a whole number, got {str(latest_ns)[:60]}")
        self.run, self._main.next_seq, second_seq = numbers
        self._latest_ns = latest_ns
        if self._second is not None:
            self.second_to = self._second.next_seq = second_seq
        self.expected = self._main.next_seq
        self.channels = channels
        self._left = {run: Position(*place) for run, *place in rows[-REMEMBERED_RUNS:]}
        self._restarts.add_before(Restart(*row) for row in restarts)
        self._main.go_on(Place(self._main.next_seq, *times[0]))
        self._take_up_decisions()
        if self._pending:
            self.expected = OUT_OF_ORDER
        self._guard()

    def left_at(self, run: int) -> Position:
        """Return where a run was left.

        Raises
        ------
        FileError
            If it was not, by what was restored.
        """
        place = self._left.get(run)
        if place is None:
            raise FileError(f"state: run {run:016x} must be among those that were left")
        return place

    # What a former life decided

    def recall(self, gaps: Mapping[int, Sequence[GapDecision]], restarts: Iterable[Sequence[int]] = ()) -> None:
        """Decide again what a former life decided; to be called before anything else.

        Nothing beyond such a gap is handed out, of either kind, until both are where they were at the decision.

        Parameters
        ----------
        gaps : mapping
            Run -> what was given up, in order.
        restarts : iterable of sequence of int
            The values of each `Restart`, in order.
        """
        self._decided = dict(gaps)
        self._restarts.add(Restart(*row) for row in restarts)

    def _take_up_decisions(self) -> None:
        """Look up what was decided of the run that is followed now, from where it is on."""
        decided = self._decided.pop(self.run, ()) if self.run is not None else ()
        here = self.next_seq, self.next_target_seq
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

    def _drop_newest(self) -> bool:
        """Drop the newest of what is held, where most is; return whether there was something that could be."""
        holders: list[Track | CandidateRuns] = [*self._tracks, self._candidates]
        holders.sort(key=lambda holder: holder.held_bytes, reverse=True)
        return any(holder.drop_newest() for holder in holders)

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

    def take_target(self, chunk: Chunk) -> bool:
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
        if not self._is_ambiguous(message):
            yield from self._receive(message, now_ns)
            return
        for chunk in (message,) if isinstance(message, Chunk) else message.chunks():
            yield from self._tell_apart(chunk, now_ns)

    def _receive(self, message: Chunk | Burst, now_ns: int) -> Iterator[Event]:
        chunk = message if isinstance(message, Chunk) else message.chunk
        if chunk.run != self.run:
            if self.run is not None:
                if self._is_past(chunk):
                    self.counts.duplicates += len(chunk.values)
                    yield from self._note_repeats(message, self._left[chunk.run].next_seq, now_ns)
                else:
                    yield from self._hear_other(message, chunk.run, chunk.time_ns, now_ns)
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
        # What is asked for of a run that is being left is no sign of life; its time says so, if it has one.
        if chunk.end_seq > track.next_seq and (self._closing is None or chunk.time_ns):
            self._news += 1
            if self._candidates:
                yield from self._note_speech(chunk.time_ns, now_ns)
        if self._candidates and self._closing is not None:
            self._tails[self._tracks.index(track)].answered(chunk.seq, chunk.end_seq, track.next_seq, now_ns)
        if chunk.end_seq <= track.next_seq and track.replays is not True:
            yield from self._note_repeats(message, track.next_seq, now_ns)
        track.add(message, now_ns, self._arrivals)
        yield from self._drain(now_ns)
        yield from self._leave_if_done(now_ns)

    def hear(self, word: Announcement, now_ns: int) -> Iterator[Event]:
        """Heed how far a run is said to be."""
        name = self._restarts.name_of_word(word)
        found = self._restarts.hear(word, self._place(name), needs_info=self._needs_info(name))
        if isinstance(found, Found):
            yield from self._start_again(found, now_ns)
        elif found:
            yield from self._heed_word(word if name == word.run else replace(word, run=name), now_ns)
        self._guard()

    def _heed_word(self, word: Announcement, now_ns: int) -> Iterator[Event]:
        if word.run != self.run:
            if self.run is not None:
                if not self._is_known(word):
                    yield from self._hear_other(word, word.run, word.time_ns, now_ns)
                return
            self._foretold = word
            if not word.replays or self._joins_anywhere_now:
                return
            yield from self._begin_run(word.run, word.time_ns)
        self._words += not word.ended
        self._ended = word.ended
        self._latest_ns = max(self._latest_ns, word.time_ns)
        if self._candidates and not word.ended:
            yield from self._note_speech(word.time_ns, now_ns)
        self._heed(word, now_ns)
        if self.expected == OUT_OF_ORDER or not all(track.undisturbed for track in self._tracks):
            yield from self._drain(now_ns)
        if self._candidates:
            yield from self._consider(now_ns)

    def lose(self, gone: Gone, now_ns: int) -> Iterator[Event]:
        """Heed that samples cannot be had any more."""
        track = self._track(gone.kind)
        if track is None or gone.run != self.source_run:
            return
        end = gone.seq + gone.samples
        whole = track.asked_just_to(end) or end >= track.next_seq + FAR_SAMPLES
        if whole and self._may_not_know(track, now_ns):
            return  # the deadline decides
        if self._closing is not None:
            told = self._tails[self._tracks.index(track)].gone(gone.seq, end, track.next_seq, now_ns)
            if told is not None and track.credible(told, 0, now_ns):
                track.learn_end(told)
        samples = track.gone(gone.seq, end, now_ns)
        if samples:
            yield self._gap(track, samples)
            yield from self._drain(now_ns)
        yield from self._leave_if_done(now_ns)

    def _heed(self, word: Announcement, now_ns: int) -> None:
        for track, end in zip(self._tracks, word.ends, strict=True):
            track.replays = word.replays
            track.tell(end, word.time_ns, now_ns)

    def _track(self, kind: Kind) -> Track | None:
        if kind is self._main.kind:
            return self._main
        return self._second if self._second is not None and kind is self._second.kind else None

    # Runs

    @property
    def source_run(self) -> int | None:
        """The run being followed as its source says it: another id where it has started again."""
        return self.run if self.run is None else self._restarts.said_as(self.run)

    @property
    def repeats(self) -> bool:
        """Whether the run's source says that a number used again names the same sample."""
        return self._restarts.repeats(self.source_run)

    def restart(self, run: int) -> Restart | None:
        """Return how a run started again; None if it did not."""
        return self._restarts.of(run)

    def adopt(self, name: int) -> bool:
        """Call the run that is followed as its estimates do, if it is theirs; return whether that is new."""
        if self.run is None or name == self.run or not self._restarts.adopt(name, self.run, self._main.place):
            return False
        self.run = name
        return True

    def named(self, chunk: Chunk) -> Chunk:
        """Return a message with the run that it is of."""
        if not self._restarts:
            return chunk
        name = self._restarts.name(chunk)
        return chunk if name == chunk.run else replace(chunk, run=name)

    def name_of(self, word: Announcement) -> int:
        """Return the run that an info is of."""
        return self._restarts.name_of_word(word)

    def _place(self, name: int) -> Place | None:
        """Return how far a run was handed out; None if nothing of it was."""
        if name == self.run:
            return self._main.place
        left = self._left.get(name)
        if left is not None:
            return Place(left.next_seq, left.first_seq, left.first_ns, left.last_ns)
        restart = self._restarts.of(name)
        return None if restart is None else restart.place

    def _needs_info(self, name: int) -> bool:
        """Whether samples alone do not tell that a run has started again."""
        return name == self.run and self._main.replays is True and self._main.kind is not Kind.ESTIMATE

    def _is_ambiguous(self, message: Chunk | Burst) -> bool:
        """Whether samples may be of a run that has started again."""
        chunk = message if isinstance(message, Chunk) else message.chunk
        if self._restarts.concerns(chunk.run):
            return True
        if chunk.run == self.run:
            track = self._main
            if chunk.seq >= track.next_seq or chunk.kind is not track.kind:
                return False
        elif chunk.run not in self._left:
            return False
        place = self._place(chunk.run)
        return place is not None and self._restarts.suspects(message, place)

    def _tell_apart(self, chunk: Chunk, now_ns: int) -> Iterator[Event]:
        """Take a message of a run that may have started again."""
        name, is_main = self._restarts.name(chunk), chunk.kind is self._main.kind
        found = self._restarts.take(
            chunk, name, self._place(name), is_main=is_main, needs_info=self._needs_info(name)
        )
        if isinstance(found, Chunk):
            yield from self._receive(found, now_ns)
        elif found is not None:
            yield from self._start_again(found, now_ns)
        self._guard()

    def _note_repeats(self, message: Chunk | Burst, next_seq: int, now_ns: int) -> Iterator[Event]:
        """Note old samples that nothing tells from copies: many in a row, and nothing new between, are odd."""
        chunk, count = (message, 1) if isinstance(message, Chunk) else (message.chunk, len(message.times_ns))
        if chunk.kind is not self._main.kind:
            return
        run, first, end, upto, messages = self._repeats
        if (run, end, upto) != (chunk.run, chunk.seq, next_seq):
            first, messages = chunk.seq, 0
        messages += count
        self._repeats = chunk.run, first, chunk.end_seq, next_seq, messages
        if messages >= MANY_REPEATS and now_ns - self._repeated_ns >= WARN_EVERY_NS:
            self._repeated_ns = now_ns
            yield Repeated(self._restarts.said_as(chunk.run), first, next_seq)

    def _guard(self) -> None:
        """Have what seems to come next looked at where it may be of another start of the run."""
        if self._restarts.guards(self.run, self.next_seq):
            self.expected = OUT_OF_ORDER

    def _start_again(self, found: Found, now_ns: int) -> Iterator[Event]:
        """Take up a run that has started again."""
        restart = found.restart
        if self.source_run == restart.run:  # which may have gone on since
            self._latest_ns = max(self._latest_ns, self._main.plausibility.last_ns)
        yield StartedAgain(restart.run, restart.seq, restart.name)
        if found.word is not None:
            yield from self._heed_word(found.word, now_ns)
        for chunk in found.chunks:
            yield from self._receive(chunk, now_ns)

    @property
    def _joins_anywhere_now(self) -> bool:
        return self.run is None and not self._retry_policy.from_start

    def knows(self, run: int) -> bool:
        """Whether a run was followed, or waits to be."""
        return run in (self.run, *self._left) or any(one.run == run for one in self._candidates)

    def _is_past(self, chunk: Chunk) -> bool:
        """Whether samples belong to a run that was left, and had come before or were given up then."""
        left = self._left.get(chunk.run)
        if left is None:
            return False
        return chunk.end_seq <= (left.next_seq if chunk.kind is self._main.kind else left.next_target_seq)

    def _is_known(self, word: Announcement) -> bool:
        """Whether a word of a run that was left tells nothing new."""
        left = self._left.get(word.run)
        if left is None:
            return False
        return all(end <= seq for end, seq in zip(word.ends, (left.next_seq, left.next_target_seq), strict=False))

    def _may_not_know(self, track: Track, now_ns: int) -> bool:
        """Whether all that was asked for may be said to be gone by a source that has another run."""
        if now_ns - self._contested_ns < WARN_EVERY_NS:
            return True
        chosen = self._closing
        if chosen is not None:  # as where a source has restarted, unless the old run's speaks at once
            return not track.undisturbed and now_ns - chosen.first_ns < ASK_AGAIN_NS
        return bool(self._candidates)

    def _hear_other(self, message: Message, run: int, time_ns: int, now_ns: int) -> Iterator[Event]:
        """Take what is said of a run that is not the one followed."""
        yield from self._note_progress(now_ns)
        self.counts.refused += self._candidates.hear(message, run, time_ns, now_ns)
        if self._candidates.rivals:
            self._contested_ns = now_ns
        if not self._ended and time_ns < self._latest_ns:
            self._candidates.contradict(run, now_ns)  # it claims to be older: it has to wait
        if self._candidates.undecided:
            self.expected = OUT_OF_ORDER  # what the followed run says next is to be looked at
        yield from self._consider(now_ns)

    def _note_progress(self, now_ns: int) -> Iterator[Event]:
        """See whether the followed run moved on by the short way, on which nobody looks at it."""
        second = self._second.next_seq if self._second is not None else 0
        stands = self._main.next_seq, second, self._words, self._news
        if stands != self._stood:
            self._stood, self._spoke_ns = stands, now_ns
            if self._candidates and (self._closing is None or self._main.plausibility.last_ns > 0):
                yield from self._note_speech(self._main.plausibility.last_ns, now_ns)

    def _note_speech(self, time_ns: int, now_ns: int) -> Iterator[Event]:
        """Note that the followed run said something at that time."""
        self._spoke_ns = now_ns
        rival = self._candidates.present_speaks(time_ns, now_ns)
        if self._closing is not None and self._closing.contradicted:
            self._closing.chosen = False
            self._closing, self._tails = None, []
        if rival is not None and self.run is not None:
            self._contested_ns = now_ns
            if now_ns - self._warned_ns >= WARN_EVERY_NS:
                self._warned_ns = now_ns
                yield Rivals(self.run, rival.run)

    def _consider(self, now_ns: int) -> Iterator[Event]:
        """Leave the run for another one, if there is reason to."""
        if self._closing is None:
            chosen = self._choose(now_ns)
            if chosen is None:
                return
            self._closing, chosen.chosen, chosen.contradicted = chosen, True, False
            self.expected = OUT_OF_ORDER
            known = self._main.replays is not True or not self._share.budget.limit_bytes
            self._tails = [Tail(known=known or self._ended, next_seq=track.next_seq) for track in self._tracks]
        yield from self._leave_if_done(now_ns)

    def _choose(self, now_ns: int) -> CandidateRun | None:
        """Return the run to be followed instead."""
        silent = now_ns - self._spoke_ns >= SILENT_NS
        candidates = [
            one for one in self._candidates
            if ((silent or self._ended) and (one.confirmed or one.has_samples))
            or (one.confirmed and not one.contradicted and one.run not in self._left)
        ]  # fmt: skip
        # Where several wait: one that is sure, and then the one heard last.
        return max(candidates, key=lambda one: (one.confirmed, one.heard_ns), default=None)

    def _leave_if_done(self, now_ns: int) -> Iterator[Event]:
        """Follow the next run once nothing of the present one is awaited any longer."""
        while (chosen := self._closing) is not None:
            pairs = zip(self._tracks, self._tails, strict=True)
            if self._main.replays is True and any(not t.undisturbed or not tail.known for t, tail in pairs):
                return
            self._closing, self._tails = None, []
            held = self._candidates.take(chosen)
            yield from self._begin_run(chosen.run, chosen.first_time_ns)
            for message in held:
                if isinstance(message, Announcement):
                    yield from self.hear(message, now_ns)
                else:
                    yield from self.receive(message, now_ns)

    def _begin_run(self, run: int, time_ns: int) -> Iterator[Event]:
        """Leave a run, with what is left of it, and begin another, or go on with it."""
        left_run, place = self.run, (0, 0)
        if self.run is not None:
            yield from self._flush()
            place = self.next_seq, self.next_target_seq
            self._left.pop(self.run, None)
            if any(place):
                self._left[self.run] = Position(*place, self.channels or 0, *astuple(self._main.place)[1:4])
            while len(self._left) > REMEMBERED_RUNS:
                del self._left[next(iter(self._left))]
            if self._pending:
                self._decided[self.run] = list(self._pending)
        self._joins_anywhere = self._joins_anywhere_now
        self._begin_tracks()
        left = self._left.pop(run, None)
        if left is not None:
            self._main.go_on(Place(left.next_seq, left.first_seq, left.first_ns, left.last_ns))
            self.channels = left.channels or None
            if self._second is not None:
                self._second.next_seq = left.next_target_seq
        self.run, self._latest_ns, self._ended = run, time_ns, False
        self._take_up_decisions()
        yield NewRun(run, left_run, place, left is not None)

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

    def close(self) -> None:
        """Let go of all that is held."""
        for track in self._tracks:
            track.clear()
        self._candidates.clear()
        self._restarts.clear()

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
            now_ns = max(now_ns, self.now_ns)
        for track in self._tracks:
            track.settle(now_ns)
        begun = self.channels is not None and self._closing is None and not self._candidates.undecided
        self.expected = (
            self._main.next_seq
            if begun and not self._pending and all(track.undisturbed for track in self._tracks)
            else OUT_OF_ORDER
        )
        self._guard()
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
            self._second.need(first.tally, first.time_ns, first.since_ns)
        if second is not None:
            self._main.need(second.tally, second.time_ns, second.since_ns)
        return None

    def _waits(self, item: Item, other: Track, now_ns: int) -> bool:
        """Return whether something of the other kind was said before `item` and has not been handed out."""
        if item.tally <= other.next_seq:
            return False
        other.observe(item.tally, item.tally, item.time_ns, now_ns)
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
        if self.expected != OUT_OF_ORDER and not self._candidates:
            return None
        dues = [due for track in self._tracks if (due := track.due_ns()) is not None]
        pairs = zip(self._tracks, self._tails, strict=False)
        dues += [tail.due_ns() for track, tail in pairs if track.undisturbed and not tail.known]
        if self._candidates and self._closing is None:
            dues.append(self._spoke_ns + SILENT_NS)
        return min(dues, default=None)

    def look(self, now_ns: int) -> Iterator[Event]:
        """Give up what is to be given up by now, and see whether to follow another run."""
        yield from self._drain(now_ns)
        yield from self._give_up(now_ns)
        if self._candidates:
            yield from self._look_at_runs(now_ns)
            yield from self._give_up(now_ns)  # of a run that was begun just now

    def _give_up(self, now_ns: int) -> Iterator[Event]:
        while True:
            lost = [(track, track.give_up(now_ns)) for track in self._tracks]
            for track, samples in lost:
                if samples:
                    yield self._gap(track, samples)
            yield from self._drain(now_ns)
            if not any(samples for _, samples in lost):
                break

    def _look_at_runs(self, now_ns: int) -> Iterator[Event]:
        yield from self._note_progress(now_ns)
        for tail in self._tails:
            tail.look(now_ns)
        yield from self._consider(now_ns)
        self.counts.refused += self._candidates.forget_silent(now_ns)
        yield from self._drain(now_ns)
        # Last, for a run that was closing may have ended by now: nothing may be due that was just looked at.
        if self._candidates and now_ns - self._spoke_ns >= SILENT_NS and self._closing is None:
            self._candidates.clear()

    def asks(self, now_ns: int) -> Iterator[Replay]:
        """Return what to ask for now."""
        for place, track in enumerate(self._tracks):
            wanted = track.asks(now_ns)
            if not wanted and self._closing is not None and track.undisturbed:
                tail = self._tails[place].ask(track.next_seq, now_ns)
                wanted = [] if tail is None else [tail]
            self.counts.asked += len(wanted)
            run = self.source_run
            if run is not None:
                for seq, samples in wanted:
                    yield Replay(track.kind, self.stream, run, seq, samples)

    def _gap(self, track: Track, samples: int, decided: GapDecision | None = None) -> Gap:
        assert self.run is not None
        other_seq = self.next_target_seq if track is self._main else self.next_seq
        gap = Gap(track.kind, self.run, track.next_seq, samples, other_seq, decided)
        track.skip(samples)
        return gap


def _is_index(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**64


def _rows(value: Any, width: int) -> list[Any] | None:
    """Return a list of rows of so many whole numbers; None if it is not one."""
    rows = value if isinstance(value, list) else [None]
    whole = all(isinstance(row, list) and len(row) == width and all(map(_is_index, row)) for row in rows)
    return rows if whole else None
