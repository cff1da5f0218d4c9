"""How far a stream may be taken to have got: a leap needs a second message, or a time that fits. Pure logic."""

LEAP_SAMPLES = 2**16  # a message further ahead of all others is dropped in the end if nothing else speaks for it
FIT_NS = 20_000_000  # a leap of as many samples as have passed, give or take this and an eighth of it


class Plausibility:
    """Weighs what messages say of how far one kind of a run is.

    Attributes
    ----------
    end : int
        Samples up to here are taken to exist.
    doubted_since_ns : int
        When the latest message came that alone tells of something.
    last_ns, last_seq : int
        The latest source time among the messages handed out, and the seq of that message; -1 before the first.
    first_ns, first_seq : int
        The same of the first of them.
    rate_hz : float
        Of the samples; 0 while that is not known.
    """

    __slots__ = (
        "_announcements", "_doubted", "doubted_since_ns", "end", "first_ns", "first_seq", "last_ns", "last_seq",
        "rate_hz",
    )  # fmt: skip

    def __init__(self) -> None:
        self.end = 0
        self.doubted_since_ns = 0
        self.last_ns, self.last_seq = -1, 0
        self.first_ns, self.first_seq = -1, 0
        self.rate_hz = 0.0
        self._doubted = (0, 0, 0)  # samples that one message alone tells of, from and to, and that message's time
        self._announcements = (_NEVER, _NEVER)  # the latest two: end, source time, when it came

    def hear(self, seq: int, end: int, next_seq: int, time_ns: int, now_ns: int, *, fits: bool = False) -> None:
        """Take it that a message of that time tells of samples `seq` to `end`, while `next_seq` is expected.

        Parameters
        ----------
        fits : bool
            Its time is that of its seq, by those handed out before.
        """
        known_end = max(self.end, next_seq)
        first, last, _ = self._doubted
        if seq <= known_end or (fits and self.allows(seq, next_seq)):
            self.end = max(self.end, end)
        elif (seq, end, time_ns) == self._doubted:
            return
        elif last > known_end and first - LEAP_SAMPLES <= seq <= last + LEAP_SAMPLES:
            self.end = max(end, last)
        else:
            self._doubted = seq, end, time_ns
            self.doubted_since_ns = now_ns

    def allows(self, seq: int, next_seq: int) -> bool:
        """Whether the stream may have got to `seq`, where time passes and nothing contradicts it."""
        return seq <= max(self.end, next_seq) + LEAP_SAMPLES

    def fits(self, seq: int, time_ns: int) -> bool:
        """Whether a message's time is about what its seq says, counted on from what was handed out."""
        if self.last_ns <= 0 or not self.rate_hz:
            return False
        passed_ns = (seq - self.last_seq) * 1e9 / self.rate_hz
        return abs(time_ns - self.last_ns - passed_ns) <= FIT_NS + passed_ns / 8

    def announce(self, end: int, time_ns: int, now_ns: int) -> None:
        """Note that the source says how far it is."""
        if self._announcements[1][:2] != (end, time_ns) or time_ns == 0:
            self._announcements = self._announcements[1], (end, time_ns, now_ns)

    def contradicts(self, end: int, time_ns: int, since_ns: int) -> bool:
        """Whether the source said twice since a message of that time came that it is not as far as `end`."""
        return all(
            told < end and told_ns >= time_ns and came_ns > since_ns
            for told, told_ns, came_ns in self._announcements
        )


_NEVER = (2**64, 0, 0)
