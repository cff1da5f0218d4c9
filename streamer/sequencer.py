"""Where a message belongs in its stream: order, duplicates, gaps, runs. Pure logic."""

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from streamer.errors import FileError

REMEMBERED_RUNS = 8  # a source restarted more often than this between two late messages is past helping


class Place(enum.Enum):
    """What a chunk is to its stream."""

    NEXT = enum.auto()
    NEW_RUN = enum.auto()
    AFTER_GAP = enum.auto()
    DUPLICATE = enum.auto()
    STALE_RUN = enum.auto()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a chunk belongs.

    Parameters
    ----------
    place : Place
    skip : int
        Samples at its beginning that have been seen already.
    missing : int
        Samples between the last one seen and its first.
    """

    place: Place
    skip: int = 0
    missing: int = 0


NEXT = Placement(Place.NEXT)


class Sequencer:
    """Follows one stream through its runs.

    Attributes
    ----------
    run : int or None
        The run being followed; None before the first chunk.
    next_seq : int
        The sample that comes next.
    """

    def __init__(self) -> None:
        self.run: int | None = None
        self.next_seq = 0
        self._past_runs: deque[int] = deque(maxlen=REMEMBERED_RUNS)

    def state(self) -> dict[str, Any]:
        """Return the position, for `restore`."""
        return {"run": self.run, "next_seq": self.next_seq, "past_runs": list(self._past_runs)}

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on from a position.

        Raises
        ------
        FileError
            If it cannot be one.
        """
        run, next_seq, past_runs = position.get("run"), position.get("next_seq"), position.get("past_runs")
        if not _is_index(run) or not _is_index(next_seq):
            raise FileError(f"state: a position must be whole numbers, got {str(position)[:100]}")
        if not isinstance(past_runs, list) or not all(map(_is_index, past_runs)):
            raise FileError(f"state: a position must be whole numbers, got {str(position)[:100]}")
        self.run, self.next_seq = run, next_seq
        self._past_runs.extend(past_runs)

    def place(self, run: int, seq: int, count: int) -> Placement:
        """Say where samples `seq` to `seq + count` of `run` belong, and move on past them."""
        end = seq + count
        if run == self.run and seq == self.next_seq:
            self.next_seq = end
            return NEXT
        if run != self.run:
            return self._new_run(run, seq, count)
        if end <= self.next_seq:
            return Placement(Place.DUPLICATE)
        missing = max(0, seq - self.next_seq)
        skip = max(0, self.next_seq - seq)
        self.next_seq = end
        return Placement(Place.AFTER_GAP if missing else Place.NEXT, skip, missing)

    def _new_run(self, run: int, seq: int, count: int) -> Placement:
        if run in self._past_runs:
            return Placement(Place.STALE_RUN)
        if self.run is not None:
            self._past_runs.append(self.run)
        self.run, self.next_seq = run, seq + count
        return Placement(Place.NEW_RUN)

    def lost_tail(self, run: int, next_seq: int) -> int:
        """Return how many samples the source has said and we have not heard; move on past them.

        A source's messages arrive in the order it said them, so samples before the `next_seq` of an info
        that have not come by then will not come.
        """
        if run != self.run or next_seq <= self.next_seq:
            return 0
        missing = next_seq - self.next_seq
        self.next_seq = next_seq
        return missing


def _is_index(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**64
