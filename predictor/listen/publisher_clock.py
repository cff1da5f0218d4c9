"""Time as it counts against a publisher: none of it passes while nobody who could answer is heard. Pure logic."""

SILENT_NS = 1_500_000_000  # infos and statuses come each second


class PublisherClock:
    """A monotonic clock that stands still while a publisher is silent or has yet to catch up.

    So requests and the deadline wait for a publisher that was killed until it is back and as far as it was. One
    that said that it ends will not be back: its silence counts.
    """

    __slots__ = ("_at_ns", "_behind", "_counted_ns", "_ended", "_heard_ns")

    def __init__(self) -> None:
        self._at_ns = 0
        self._counted_ns = 0
        self._heard_ns: int | None = None
        self._behind = self._ended = False

    def hear(self, now_ns: int, *, ended: bool | None = None) -> None:
        """Note a message of the publisher, and whether it ends or goes on if that says so."""
        if self._heard_ns is None:
            self._at_ns = self._counted_ns = self._heard_ns = now_ns
        self._advance(now_ns)
        self._heard_ns = max(self._heard_ns, now_ns)
        if ended is not None:
            self._ended = ended

    def fall_behind(self, now_ns: int, *, behind: bool) -> None:
        """Note whether the publisher has not said yet what is missing: it starts again, and will."""
        if behind is not self._behind:
            self._advance(now_ns)
            self._behind = behind

    @property
    def is_behind(self) -> bool:
        """Whether it stands still for a publisher that has yet to catch up."""
        return self._behind

    @property
    def silent_ns(self) -> int:
        """When it will stand still if nothing more is heard."""
        return (self._heard_ns or 0) + SILENT_NS

    def is_silent(self, now_ns: int) -> bool:
        """Whether it stands still for a publisher that is not heard."""
        return not self._behind and not self._ended and now_ns >= self.silent_ns

    def counted_ns(self, now_ns: int) -> int:
        """Return how late it is on this clock."""
        self._advance(now_ns)
        return self._counted_ns

    def reaches_ns(self, counted_ns: int) -> int | None:
        """Return the moment at which this clock shows a time; None if it stands still before that."""
        due_ns = self._at_ns + max(0, counted_ns - self._counted_ns)
        return None if due_ns > self._goes_until_ns(due_ns) else due_ns

    def _goes_until_ns(self, now_ns: int) -> int:
        """Return when it stood still before now, or will; now if not before."""
        if self._behind:
            return self._at_ns - 1
        return now_ns if self._ended else min(now_ns, self.silent_ns)

    def _advance(self, now_ns: int) -> None:
        self._counted_ns += max(0, self._goes_until_ns(now_ns) - self._at_ns)
        self._at_ns = max(self._at_ns, now_ns)
