"""How far a stream may be taken to have got: a jump needs a second witness. Pure logic."""

LEAP_SAMPLES = 2**16  # a message may be so far ahead of all others before it takes a second one to believe it


class Credence:
    """Weighs what messages say of how far one kind of a run is.

    Attributes
    ----------
    end : int
        Samples up to here are taken to exist.
    doubted_since_ns : int
        When the latest message came that alone tells of something.
    """

    __slots__ = ("_doubted", "doubted_since_ns", "end")

    def __init__(self) -> None:
        self.end = 0
        self.doubted_since_ns = 0
        self._doubted = (0, 0, 0)  # samples that one message alone tells of, from and to, and that message's time

    def hear(self, seq: int, end: int, next_seq: int, time_ns: int, now_ns: int) -> None:
        """Take it that a message of that time tells of samples `seq` to `end`, while `next_seq` is expected."""
        first, last, doubted_ns = self._doubted
        if self.allows(seq, next_seq):
            self.end = max(self.end, end)
        elif first - LEAP_SAMPLES <= seq <= last + LEAP_SAMPLES and time_ns != doubted_ns:
            self.end = max(end, last)
        else:
            self._doubted = seq, end, time_ns
            self.doubted_since_ns = now_ns

    def allows(self, seq: int, next_seq: int) -> bool:
        """Whether the stream may have got to `seq` on the word of one message, while `next_seq` is expected."""
        return seq <= max(self.end, next_seq) + LEAP_SAMPLES
