"""How long to wait for samples that are missing, and how often to ask for them. Pure logic."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from streamer.errors import UsageError

SECOND_NS = 1_000_000_000
ASK_AGAIN_NS = 100_000_000  # without progress, and twice as long each time ...
ASK_SLOWEST_NS = SECOND_NS  # ... up to this
REMEMBERED_REQUESTS = 512
ASK_SPACING_NS = 5_000_000  # with progress: what is lost meanwhile is asked for together


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What a reader does about missing samples.

    Parameters
    ----------
    deadline_s : float
        Without progress, after which samples that were asked for are given up.
    from_start : bool
        Ask for the whole of a run that is under way when it is first heard; otherwise begin with what comes.
    hold_bytes : int
        What may be held of chunks beyond missing ones, all streams together.

    Raises
    ------
    UsageError
        If a parameter is out of range.
    """

    deadline_s: float = 5.0
    from_start: bool = True
    hold_bytes: int = 8 * 2**20

    def __post_init__(self) -> None:
        if not 0 <= self.deadline_s <= 1e6:
            raise UsageError(f"--gap-deadline: must be 0 to 1e6 seconds, got {self.deadline_s}")
        if not 0 <= self.hold_bytes <= 2**50:
            raise UsageError(f"--hold-mb: must be 0 to 1e9 MB, got {self.hold_bytes / 2**20:g}")

    @property
    def deadline_ns(self) -> int:
        """The deadline in nanoseconds."""
        return round(self.deadline_s * SECOND_NS)

    @property
    def least_asks(self) -> int:
        """Requests to be made in vain before samples are given up: a reader that was itself stopped asks anew."""
        return min(4, math.ceil(self.deadline_s * SECOND_NS / ASK_AGAIN_NS))


class RetryTimer:
    """When to ask for the first missing samples of one kind of a run, and when to give them up.

    Parameters
    ----------
    retry_policy : RetryPolicy
    """

    __slots__ = (
        "_deadline_ns", "_ends", "_in_vain", "_interval_ns", "_last_ask_ns", "_least_asks", "_next_ask_ns",
        "_progress_ns", "answered", "asked_to",
    )  # fmt: skip

    def __init__(self, retry_policy: RetryPolicy) -> None:
        self._deadline_ns = retry_policy.deadline_ns
        self._least_asks = retry_policy.least_asks
        self._interval_ns = ASK_AGAIN_NS
        self._next_ask_ns = 0
        self._last_ask_ns = -ASK_SPACING_NS
        self._progress_ns = -SECOND_NS
        self._in_vain = 0
        self._ends: deque[int] = deque(maxlen=REMEMBERED_REQUESTS)
        self.asked_to = 0
        """One past the last sample of the latest request."""
        self.answered = False
        """Whether the latest that was heard of missing samples was a sample."""

    def begin(self) -> None:
        """Samples are missing from now on: ask at once."""
        self._interval_ns = ASK_AGAIN_NS
        self._next_ask_ns = 0
        self._in_vain = 0
        self.answered = False

    def progress(self, next_seq: int, now_ns: int) -> None:
        """Some of what is missing came; `next_seq` is missing now."""
        self._progress_ns = now_ns
        self._interval_ns = ASK_AGAIN_NS
        self._in_vain = 0
        self.answered = True
        self._next_ask_ns = 0 if next_seq >= self.asked_to else now_ns + ASK_AGAIN_NS

    def gone(self, next_seq: int, now_ns: int) -> None:
        """Some of what is missing cannot be had; `next_seq` is missing now."""
        self.progress(next_seq, now_ns)
        self.answered = False

    def again(self) -> None:
        """Ask as if samples were missing from now on: nothing that came has been read for a while."""
        self._interval_ns = ASK_AGAIN_NS
        self._next_ask_ns = 0
        self._in_vain = 0

    def given_up(self) -> None:
        """What was missing is given up; if more is, it is asked for at once."""
        self._next_ask_ns = 0

    def asked(self, ends: Sequence[int], now_ns: int) -> None:
        """Requests were made for samples up to each of `ends`, the last one furthest."""
        self.asked_to = ends[-1]
        self._ends.extend(ends)
        self._last_ask_ns = now_ns
        self._next_ask_ns = now_ns + self._interval_ns
        self._interval_ns = min(2 * self._interval_ns, ASK_SLOWEST_NS)
        self._in_vain += 1

    def asked_just_to(self, end: int) -> bool:
        """Whether a request, one of the latest, was for samples up to `end`."""
        return end in self._ends

    def ask_ns(self) -> int:
        """When to ask."""
        return max(self._next_ask_ns, self._last_ask_ns + ASK_SPACING_NS)

    def give_up_ns(self, since_ns: int) -> int | None:
        """When to give up what has been missing since then; None if it has not been asked for often enough."""
        if self._in_vain < self._least_asks:
            return None
        answered_by_ns = self._last_ask_ns + ASK_AGAIN_NS if self._in_vain else since_ns
        return max(since_ns + self._deadline_ns, self._progress_ns + self._deadline_ns, answered_by_ns)
