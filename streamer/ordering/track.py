"""One kind of samples of one run, put in order: what is next, what is missing, what is held. Pure logic."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from streamer.messages import Burst, Chunk, Kind
from streamer.ordering.events import Part
from streamer.ordering.plausibility import Plausibility
from streamer.ordering.reorder_buffer import Item, ReorderBuffer, Share, item
from streamer.ordering.restarts import Place
from streamer.ordering.retry import RetryPolicy, RetryTimer

PORTION_MESSAGES = 4_000  # asked for at once where one answer cannot bring everything: as much as one may bring
PORTION_BYTES = 2**20
LOOK_EVERY_NS = 1_000_000_000
OVERSLEPT_NS = 1_500_000_000  # since the last look: who looks was stopped meanwhile (SIGSTOP, a closed lid)
MAX_SLEEPS = 4
REMEMBERED_GAPS = 64
MAX_HOLES = 16  # that are asked for at a time, so that a long way to the source costs each of them less
NO_LIMIT = 2**64
MAX_SAMPLES = 2**31  # in one request; the field has 32 bits


@dataclass(slots=True)
class OrderCounts:
    """What has happened to the order of a stream's samples."""

    duplicates: int = 0
    """Samples dropped, for they had come already or belong to a run that was left."""
    refused: int = 0
    """Messages that do not fit the stream, or claim samples that nothing else tells of."""
    asked: int = 0
    """Requests."""
    recovered_samples: int = 0
    """Samples that came once they had been asked for."""
    overflowed: int = 0
    """Samples dropped because too much was held, to be asked for again."""


class Track:
    """Orders one kind of one run.

    Attributes
    ----------
    next_seq : int
        The sample that comes next.
    replays : bool or None
        Whether missing samples can be asked for; None while that is not known.
    plausibility : Plausibility
        How far the run is known to be.
    limit : int
        Nothing from this sample on is handed out or missed; `NO_LIMIT` as a rule.

    Parameters
    ----------
    kind : Kind
    retry_policy : RetryPolicy
    share : Share
        What the stream holds of what all may hold.
    counts : OrderCounts
        Of the stream.
    """

    __slots__ = (
        "_asking",
        "_counts",
        "_deadline_ns",
        "_dropped_end",
        "_given_up",
        "_held",
        "_looked_ns",
        "_needed_by",
        "_needed_end",
        "_portion_samples",
        "_share",
        "_since_ns",
        "_sleeps",
        "_told_end",
        "kind",
        "limit",
        "next_seq",
        "plausibility",
        "replays",
    )  # fmt: skip

    def __init__(self, kind: Kind, retry_policy: RetryPolicy, share: Share, counts: OrderCounts) -> None:
        self.kind = kind
        self.next_seq = 0
        self.limit = NO_LIMIT
        self.replays: bool | None = None
        self._held = ReorderBuffer(share)
        self._share = share
        self._counts = counts
        self._asking = RetryTimer(retry_policy)
        self._deadline_ns = retry_policy.deadline_ns
        self._told_end = 0  # what the latest info said
        self._needed_end = 0  # what a message of the other kind waits for
        self._needed_by = (0, -1)  # that message's time, and when it came
        self._dropped_end = 0  # what was held, and could not be any longer
        self._looked_ns = 0
        self._sleeps = 0  # looks in a row that came far too late
        self._given_up: deque[tuple[int, int]] = deque(maxlen=REMEMBERED_GAPS)  # from and to
        self._since_ns: int | None = None  # since when samples are missing after the last one held
        self.plausibility = Plausibility()
        self._portion_samples = 1

    # What comes in

    def add(self, message: Chunk | Burst, now_ns: int, arrival: int) -> None:
        """Take a message, the `arrival`th of the stream, to be handed out in its turn."""
        chunk = message if isinstance(message, Chunk) else message.chunk
        reached = self._held.last.end if self._held else self.next_seq
        live = chunk.seq >= max(reached, self._told_end, self._dropped_end)
        new = item(message, now_ns, arrival, live=live)
        if new.end <= self.next_seq:
            self._counts.duplicates += new.end - new.seq
            return
        self.plausibility.rate_hz = chunk.rate_hz
        fits = self.plausibility.fits(new.seq, chunk.time_ns)
        self.plausibility.hear(new.seq, new.end, self.next_seq, chunk.time_ns, now_ns, fits=fits)
        fills = new.seq <= self.next_seq and self.missing_end > self.next_seq
        if not self._held.insert(new):
            self._counts.duplicates += new.end - new.seq
            return
        if fills:
            self._progress(new, chunk, now_ns)
        self._share.make_room()

    def _progress(self, new: Item, chunk: Chunk, now_ns: int) -> None:
        samples = new.end - new.seq
        messages = 1 if isinstance(new.message, Chunk) else len(new.message.times_ns)
        most = min(PORTION_MESSAGES, messages * PORTION_BYTES // chunk.values.nbytes)
        self._portion_samples = max(1, most * samples // messages)
        if new.seq < self._asking.asked_to:
            self._counts.recovered_samples += new.end - max(new.seq, self.next_seq)
        self._sleeps = 0
        self._asking.progress(new.end, now_ns)

    @property
    def held_bytes(self) -> int:
        """Bytes that the messages held take."""
        return self._held.used_bytes

    def drop_newest(self) -> bool:
        """Drop what lies furthest beyond, to be asked for again; never what is next. Return whether it could."""
        if not self._held or self._held.last.seq <= self.next_seq:
            return False
        dropped = self._held.take_last()
        self._dropped_end = max(self._dropped_end, dropped.end)
        self._counts.overflowed += dropped.end - dropped.seq
        return True

    def tell(self, end: int, time_ns: int, now_ns: int) -> None:
        """Heed that the samples up to `end` have been said, by a message of that time."""
        self._told_end = end  # and not the highest so far: who was wrong once may be right again
        self.plausibility.announce(end, time_ns, now_ns)
        self.plausibility.hear(end, end, self.next_seq, time_ns, now_ns, fits=self.plausibility.fits(end, time_ns))
        self._drop_contradicted()

    def need(self, end: int, time_ns: int = 0, since_ns: int = -1) -> None:
        """Miss the samples up to `end`, for a message of that time, that came then, waits for them."""
        self._needed_end, self._needed_by = end, (time_ns, since_ns)

    def stop_at(self, limit: int) -> None:
        """Hand out nothing from a sample on that a former life has reached, or with `NO_LIMIT` whatever comes."""
        self.limit = limit
        if limit < NO_LIMIT:
            self.plausibility.end = max(self.plausibility.end, limit)

    def asked_just_to(self, end: int) -> bool:
        """Whether a request was for samples up to `end`."""
        return self._asking.asked_just_to(end)

    def learn_end(self, end: int) -> None:
        """Heed that samples up to `end` were said, by who answers requests."""
        self._told_end = max(self._told_end, end)
        self.plausibility.end = max(self.plausibility.end, end)

    def gone(self, seq: int, end: int, now_ns: int) -> int:
        """Heed that samples cannot be had; return how many of them are the next ones."""
        end = min(end, self.missing_end)
        if not seq <= self.next_seq < end:
            return 0
        self._asking.gone(end, now_ns)
        return end - self.next_seq

    # Whom to believe

    def observe(self, seq: int, end: int, time_ns: int, now_ns: int) -> None:
        """Note that a message of that time tells of samples `seq` to `end`, or only of where they end."""
        self.plausibility.hear(seq, end, self.next_seq, time_ns, now_ns)

    def credible(self, end: int, time_ns: int, since_ns: int) -> bool:
        """Whether samples up to `end` may exist on the word of one message of that time, that came then."""
        if end <= self._believed_end:
            return True
        allowed = self.plausibility.allows(end, self.next_seq)
        return allowed and not self.plausibility.contradicts(end, time_ns, since_ns)

    @property
    def _believed_end(self) -> int:
        return max(self.plausibility.end, self.next_seq)

    def _drop_contradicted(self) -> None:
        """Drop messages that alone tell of samples of which the source says that they do not exist yet."""
        believed = self._believed_end
        while self._held and (last := self._held.last).seq > believed:
            if not self.plausibility.contradicts(last.seq + 1, last.time_ns, last.since_ns):
                break
            self._held.take_last()
            self._counts.refused += 1

    def _settle_unconfirmed(self) -> None:
        """Nothing else spoke for what one message told of: believe it, unless it is absurd or contradicted."""
        self._drop_contradicted()
        furthest = self._furthest
        absurd = not self.plausibility.allows(furthest, self.next_seq)
        # As `credible` weighs it, or what waits would wait without end.
        by = self._needed_by if furthest == self._needed_end else (0, -1)
        if absurd or (not self._held and self.plausibility.contradicts(furthest, *by)):
            self._discard_unconfirmed()
        else:
            self.plausibility.end = max(self.plausibility.end, furthest)

    def _discard_unconfirmed(self) -> None:
        """Drop what one message alone told of."""
        believed = self._believed_end
        doubtful = max(self._told_end, self._dropped_end) > believed
        self._told_end, self._dropped_end = min(self._told_end, believed), min(self._dropped_end, believed)
        self._needed_end = min(self._needed_end, believed)
        while self._held and self._held.last.seq > believed:
            self._held.take_last()
            doubtful = True
        self._counts.refused += doubtful

    # What goes out

    @property
    def missing_end(self) -> int:
        """One past the first missing samples; `next_seq` if none is known to be missing."""
        if self._held:
            return max(self.next_seq, min(self._held.first.seq, self.limit))
        told = max(self._told_end, self._needed_end, self._dropped_end)
        return max(self.next_seq, min(told, self.limit))

    @property
    def undisturbed(self) -> bool:
        """Whether nothing is missing and nothing held."""
        return not self._held and self.missing_end == self.next_seq

    @property
    def head(self) -> Item | None:
        """The message that holds the next sample, if it has come."""
        while self._held and self._held.first.seq <= self.next_seq:
            if self._held.first.end > self.next_seq:
                return self._held.first if self.next_seq < self.limit else None
            past = self._held.take_first()
            self._counts.duplicates += past.end - past.seq
        return None

    def refuse_head(self) -> None:
        """Drop the message that holds the next sample: it does not fit."""
        self._held.take_first()
        self._counts.refused += 1

    def take_head(self) -> Iterator[Part]:
        """Hand out the message that holds the next sample, in one part or several."""
        if self._held.first.end > self.limit:
            yield from self._head_to_limit()
            return
        taken = self._held.take_first()
        if taken.seq == self.next_seq or isinstance(taken.message, Chunk):
            parts = [(taken.message, taken.seq, taken.end)]
        else:
            parts = [(chunk, chunk.seq, chunk.end_seq) for chunk in taken.message.chunks()]
        for message, seq, end in parts:
            skip = min(self.next_seq, end) - seq
            self._counts.duplicates += skip
            if end > self.next_seq:
                self.next_seq = end
                self.note(message)
                yield Part(message, skip, taken.live)

    def note(self, message: Chunk | Burst) -> None:
        """Note when a message that is handed out was said, by its source."""
        plausibility = self.plausibility
        if isinstance(message, Chunk):
            seq, time_ns = message.seq, message.time_ns
        else:
            place = int(message.times_ns.argmax())  # stamps jitter
            time_ns = int(message.times_ns[place])
            seq = message.chunk.seq + place * message.samples
        if time_ns > plausibility.last_ns:
            if plausibility.first_ns < 0:
                chunk = message if isinstance(message, Chunk) else message.chunk
                plausibility.first_ns, plausibility.first_seq = chunk.time_ns, chunk.seq
            plausibility.last_ns, plausibility.last_seq = time_ns, seq

    def _head_to_limit(self) -> Iterator[Part]:
        """Hand out what lies before the limit of the message that holds the next sample; the rest of it stays."""
        head = self._held.first
        for chunk in [head.message] if isinstance(head.message, Chunk) else head.message.chunks():
            end = min(chunk.end_seq, self.limit)
            if end > self.next_seq:
                skip, self.next_seq = self.next_seq - chunk.seq, end
                self.note(chunk)
                yield Part(replace(chunk, values=chunk.values[: end - chunk.seq]), skip, head.live)

    @property
    def place(self) -> Place:
        """How far it was handed out."""
        plausibility = self.plausibility
        if plausibility.last_ns <= 0:
            return Place(self.next_seq)
        end = self.next_seq
        for gap in reversed(self._given_up):
            end = gap[0] if gap[1] == end else end
        last_ns = plausibility.last_ns
        if end > plausibility.last_seq + 1 and plausibility.rate_hz:  # and half a sample, for times are rounded
            last_ns += round((end - plausibility.last_seq - 0.5) * 1e9 / plausibility.rate_hz)
        return Place(
            self.next_seq, plausibility.first_seq, max(0, plausibility.first_ns), last_ns, tuple(self._given_up)
        )

    def go_on(self, place: Place) -> None:
        """Go on where samples were handed out up to there."""
        self.next_seq = place.next_seq
        plausibility = self.plausibility
        plausibility.first_seq, plausibility.first_ns = place.first_seq, place.first_ns
        plausibility.last_seq, plausibility.last_ns = place.next_seq, place.last_ns or -1

    # What is missing

    def skip(self, samples: int) -> None:
        """Go on without the next samples, which are missing."""
        self._given_up.append((self.next_seq, self.next_seq + samples))
        self.next_seq += samples
        self._asking.given_up()
        if not self._held:
            self._since_ns = None

    def settle(self, now_ns: int) -> None:
        """Note since when samples are missing, after anything has changed."""
        if self.missing_end == self.next_seq:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = self._looked_ns = now_ns
            self._sleeps = 0
            self._asking.begin()

    def due_ns(self) -> int | None:
        """When to look again; None if nothing is missing."""
        if self._since_ns is None:
            return None
        dues = [self._give_up_ns()]
        if self.replays is not False:
            dues.append(self._asking.ask_ns())
        if self._unconfirmed:
            dues.append(self.plausibility.doubted_since_ns + self._deadline_ns)
        dues.append(self._looked_ns + LOOK_EVERY_NS)
        return min(due for due in dues if due is not None)

    @property
    def _unconfirmed(self) -> bool:
        return self._furthest > self._believed_end

    @property
    def _furthest(self) -> int:
        """How far anything tells that the run is."""
        if self._held:
            return self._held.last.seq
        return max(self._told_end, self._dropped_end, self._needed_end)

    def _give_up_ns(self) -> int | None:
        if self._since_ns is None:
            return None
        since_ns = self._held.first.since_ns if self._held else self._since_ns
        if self.replays is not False:
            return self._asking.give_up_ns(since_ns)
        return (
            self.plausibility.doubted_since_ns + self._deadline_ns
            if self.missing_end > self._believed_end
            else since_ns
        )

    def give_up(self, now_ns: int) -> int:
        """Return how many of the next samples are to be given up now."""
        if self._slept(now_ns):
            return 0
        if self._unconfirmed and now_ns >= self.plausibility.doubted_since_ns + self._deadline_ns:
            self._settle_unconfirmed()
        due_ns = self._give_up_ns() if self.missing_end > self.next_seq else None
        if due_ns is None or now_ns < due_ns:
            return 0
        if self.replays is None:
            self.replays = False  # until somebody says otherwise
        return self.lost()

    def lost(self) -> int:
        """Return how many of the next samples are missing, as far as that is to be believed."""
        if self.missing_end > self._believed_end:
            self._settle_unconfirmed()
        return self.missing_end - self.next_seq

    def _slept(self, now_ns: int) -> bool:
        """Whether who waits was itself stopped since the last look: what came meanwhile has not been read yet."""
        slept_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        if self._since_ns is None or slept_ns <= OVERSLEPT_NS or self._sleeps >= MAX_SLEEPS:
            return False
        if not self._deadline_ns or (self.replays is False and self.missing_end <= self._believed_end):
            return False  # what is not waited for
        self._sleeps += 1  # who is so busy that each look is late must give up in the end
        self._asking.again()
        self.plausibility.doubted_since_ns += slept_ns
        return True

    def asks(self, now_ns: int) -> list[tuple[int, int]]:
        """Return seq and number of the samples of each hole to ask for now: nothing that is held is said again."""
        if self.replays is False or self.missing_end == self.next_seq or now_ns < self._asking.ask_ns():
            return []
        # At first everything, so that the answer says all that is gone; then no more than one answer brings.
        most = self._portion_samples if self._asking.answered else MAX_SAMPLES
        wanted: list[tuple[int, int]] = []
        for seq, end in self._holes():
            end = min(end, seq + most)
            wanted.append((seq, end - seq))
            most -= end - seq
            if not most or len(wanted) == MAX_HOLES:
                break
        self._asking.asked([seq + samples for seq, samples in wanted], now_ns)
        return wanted

    def _holes(self) -> Iterator[tuple[int, int]]:
        """Yield where samples are missing: before what is held, and between it."""
        yield self.next_seq, self.missing_end
        reached = self.missing_end
        for held in self._held:
            if held.seq >= self.limit:
                return
            if held.seq > reached:
                yield reached, held.seq
            reached = max(reached, held.end)

    def clear(self) -> None:
        """Drop what is held."""
        self._held.clear()
