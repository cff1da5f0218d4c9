"""Messages that came before their turn, within a budget of memory that all streams share. Pure logic."""

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streamer.messages import Burst, Chunk

MESSAGE_BYTES = 700  # of memory that a message of one sample takes, held; most of it objects
COMPACT_AT = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A message held: its samples are `seq` to `end`, and it came at `since_ns`, the `arrival`th of its stream.

    `live` tells whether nothing later had been heard of when it came.
    """

    seq: int
    end: int
    tally: int
    time_ns: int
    channels: int
    cost_bytes: int
    since_ns: int
    arrival: int
    message: Chunk | Burst
    live: bool


class MemoryBudget:
    """Bytes that held messages may take together, in fair shares of those streams that hold any.

    Attributes
    ----------
    used_bytes : int

    Parameters
    ----------
    limit_bytes : int
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._shares: set[Share] = set()  # of those that hold something
        self._to_drop: list[Share] = []  # were above their share when they were last looked for, the largest last

    def share(self, drop_newest: Callable[[], bool]) -> "Share":
        """Return what a stream holds of it.

        Parameters
        ----------
        drop_newest : callable
            Drop the newest of what the stream holds, if it can, and return whether it did.
        """
        return Share(self, drop_newest)

    def take(self, share: "Share", cost_bytes: int) -> None:
        """Note that more is held of a share, or less."""
        self.used_bytes += cost_bytes
        share.used_bytes += cost_bytes
        if share.used_bytes:
            self._shares.add(share)
        else:
            self._shares.discard(share)

    def make_room(self, share: "Share") -> None:
        """Drop what is too much, after more is held of a share; nothing of who does not exceed its own."""
        stuck: set[Share] = set()
        while self.used_bytes > self.limit_bytes:
            dropped = share if self._above(share) and share not in stuck else self._largest(stuck)
            if dropped is None:
                return
            if not dropped.drop_newest():
                stuck.add(dropped)

    def _above(self, share: "Share") -> bool:
        return share.used_bytes * len(self._shares) > self.limit_bytes

    def _largest(self, stuck: "set[Share]") -> "Share | None":
        """Return a stream that is above its share, of the largest."""
        for _ in range(2):
            while self._to_drop:
                if self._above(self._to_drop[-1]) and self._to_drop[-1] not in stuck:
                    return self._to_drop[-1]
                self._to_drop.pop()
            above = [share for share in self._shares if self._above(share)]
            self._to_drop = sorted(above, key=lambda share: share.used_bytes)
        return None


class Share:
    """What one stream holds of a budget; see `MemoryBudget.share`."""

    __slots__ = ("budget", "drop_newest", "used_bytes")

    def __init__(self, budget: MemoryBudget, drop_newest: Callable[[], bool]) -> None:
        self.budget = budget
        self.drop_newest = drop_newest
        self.used_bytes = 0

    def take(self, cost_bytes: int) -> None:
        """Note that so much more is held, or less."""
        self.budget.take(self, cost_bytes)

    def make_room(self) -> None:
        """Drop what is too much, here or elsewhere."""
        if self.budget.used_bytes > self.budget.limit_bytes:
            self.budget.make_room(self)


def cost_bytes(message: Chunk | Burst) -> int:
    """Return what a message takes of memory while it waits."""
    chunk, count = (message, 1) if isinstance(message, Chunk) else (message.chunk, len(message.times_ns))
    return MESSAGE_BYTES + chunk.values.nbytes + 8 * count


def item(message: Chunk | Burst, now_ns: int, arrival: int, *, live: bool) -> Item:
    """Return a message as it is held."""
    chunk, cost = message if isinstance(message, Chunk) else message.chunk, cost_bytes(message)
    channels = chunk.values.shape[1]
    return Item(
        chunk.seq, chunk.end_seq, chunk.tally, chunk.time_ns, channels, cost, now_ns, arrival, message, live
    )  # fmt: skip


class ReorderBuffer:
    """Messages of one kind of one run, by seq. They may overlap."""

    __slots__ = ("_begin", "_items", "_seqs", "_share", "used_bytes")

    def __init__(self, share: Share) -> None:
        self._share = share
        self.used_bytes = 0
        self._seqs: list[int] = []
        self._items: list[Item] = []
        self._begin = 0  # what lies before it has been taken: to shift the lists each time would be quadratic

    def _take(self, cost_bytes: int) -> None:
        self.used_bytes += cost_bytes
        self._share.take(cost_bytes)

    def __len__(self) -> int:
        return len(self._items) - self._begin

    def __iter__(self) -> Iterator[Item]:
        return itertools.islice(self._items, self._begin, None)

    @property
    def first(self) -> Item:
        """The one with the lowest seq."""
        return self._items[self._begin]

    @property
    def last(self) -> Item:
        """The one with the highest seq."""
        return self._items[-1]

    def insert(self, new: Item) -> bool:
        """Take an item; return False, and do not, if its samples are in one that began at the same seq."""
        place = bisect_left(self._seqs, new.seq, self._begin)
        if place < len(self._seqs) and self._seqs[place] == new.seq and self._items[place].end >= new.end:
            return False
        self._seqs.insert(place, new.seq)
        self._items.insert(place, new)
        self._take(new.cost_bytes)
        return True

    def take_first(self) -> Item:
        """Remove and return the one with the lowest seq."""
        taken = self.first
        self._begin += 1
        self._take(-taken.cost_bytes)
        if self._begin == len(self._items) or self._begin >= max(COMPACT_AT, len(self._items) // 2):
            del self._seqs[: self._begin], self._items[: self._begin]
            self._begin = 0
        return taken

    def take_last(self) -> Item:
        """Remove and return the one with the highest seq."""
        taken = self._items.pop()
        self._seqs.pop()
        self._take(-taken.cost_bytes)
        return taken

    def clear(self) -> None:
        """Drop everything."""
        while len(self):
            self.take_last()
