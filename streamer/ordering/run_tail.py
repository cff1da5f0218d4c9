"""Whether a run that is being left has samples that nobody has told of: its end is asked for. Pure logic."""

from streamer.ordering.retry import ASK_AGAIN_NS, ASK_SPACING_NS

MAX_SAMPLES = 2**31  # asked for: an answer up to just there means that the run is not known
UNANSWERED = 3  # requests, and nothing is awaited any longer
BARREN = 2  # answers in a row that bring nothing new: one may have been cut short on its way


class Tail:
    """Asks one kind of a run for whatever may follow the last sample that came.

    The request begins with that sample, so that whoever knows the run has something to answer.

    Parameters
    ----------
    known : bool
        Nothing is asked: the end is known, or nobody answers.
    next_seq : int
        The sample that comes next.

    Attributes
    ----------
    known : bool
        Whether it is certain that nothing follows, or as certain as it can be made.
    """

    __slots__ = ("_asked_end", "_barren", "_interval_ns", "_next_ask_ns", "_unanswered", "known")

    def __init__(self, *, known: bool, next_seq: int) -> None:
        self.known = known
        self._asked_end = next_seq + MAX_SAMPLES
        self._interval_ns = ASK_AGAIN_NS
        self._next_ask_ns = 0
        self._unanswered = self._barren = 0

    def due_ns(self) -> int:
        """When to ask, or to give up."""
        return self._next_ask_ns

    def look(self, now_ns: int) -> None:
        """Await nothing any longer if it was asked for often enough."""
        self.known |= self._unanswered >= UNANSWERED and now_ns >= self._next_ask_ns

    def ask(self, next_seq: int, now_ns: int) -> tuple[int, int] | None:
        """Return seq and number of the samples to ask for now."""
        if self.known or now_ns < self._next_ask_ns:
            return None
        self._unanswered += 1
        self._next_ask_ns = now_ns + self._interval_ns
        self._interval_ns *= 2
        seq = max(0, next_seq - 1)
        self._asked_end = seq + MAX_SAMPLES
        return seq, MAX_SAMPLES

    def answered(self, seq: int, end: int, next_seq: int, now_ns: int) -> None:
        """Heed samples `seq` to `end`, before they are taken: an answer may bring nothing new."""
        if seq < next_seq <= end or end > next_seq:
            self._count(barren=end <= next_seq, now_ns=now_ns)

    def gone(self, seq: int, end: int, next_seq: int, now_ns: int) -> int | None:
        """Heed that samples cannot be had; return how far the run is known to have got, if it is."""
        if end >= self._asked_end:  # the run is not known
            self.known = True
            return None
        if seq <= next_seq <= end and end > seq:
            self._count(barren=end <= next_seq, now_ns=now_ns)
            return end if end > next_seq else None
        return None

    def _count(self, *, barren: bool, now_ns: int) -> None:
        self._barren = self._barren + 1 if barren else 0
        self._unanswered = 0
        self._interval_ns = ASK_AGAIN_NS
        self._next_ask_ns = now_ns + ASK_SPACING_NS
        self.known |= self._barren >= BARREN
