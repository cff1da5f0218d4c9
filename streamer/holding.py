"""Messages that came before their turn, within a budget of memory that all streams share. Pure logic."""

import itertools
from bisect import bisect_left
from collections.abc import Iterator
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


class Budget:
    """Bytes that held messages may take together.

    Parameters
    ----------
    limit_bytes : int
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    @property
    def exceeded(self) -> bool:
        """Whether something is to be dropped."""
        return self.used_bytes > self.limit_bytes


def item(message: Chunk | Burst, now_ns: int, arrival: int, *, live: bool) -> Item:
    """Return a message as it is held."""
    chunk, count = (message, 1) if isinstance(message, Chunk) else (message.chunk, len(message.times_ns))
    cost = MESSAGE_BYTES + chunk.values.nbytes + 8 * count
    channels = chunk.values.shape[1]
    return Item(
        chunk.seq, chunk.end_seq, chunk.tally, chunk.time_ns, channels, cost, now_ns, arrival, message, live
    )  # fmt: skip


class Held:
    """Messages of one kind of one run, by seq. They may overlap."""

    __slots__ = ("_begin", "_budget", "_items", "_seqs")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._seqs: list[int] = []
        self._items: list[Item] = []
        self._begin = 0  # what lies before it has been taken: to shift the lists each time would be quadratic

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
        self._budget.used_bytes += new.cost_bytes
        return True

    def take_first(self) -> Item:
        """Remove and return the one with the lowest seq."""
        taken = self.first
        self._begin += 1
        self._budget.used_bytes -= taken.cost_bytes
        if self._begin == len(self._items) or self._begin >= max(COMPACT_AT, len(self._items) // 2):
            del self._seqs[: self._begin], self._items[: self._begin]
            self._begin = 0
        return taken

    def take_last(self) -> Item:
        """Remove and return the one with the highest seq."""
        taken = self._items.pop()
        self._seqs.pop()
        self._budget.used_bytes -= taken.cost_bytes
        return taken

    def clear(self) -> None:
        """Drop everything."""
        while len(self):
            self.take_last()
