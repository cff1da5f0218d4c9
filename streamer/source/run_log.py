"""What a source has said of its run: every sample numbered, tallied, and kept in case it is asked for again."""

from collections.abc import Iterable
from typing import Protocol

from streamer.clock import Instant
from streamer.messages import Chunk, FloatArray, Kind
from streamer.replay.history import History


class Journal(Protocol):
    """Where chunks are written down before they are said."""

    def append(self, chunk: Chunk, now: Instant) -> None:
        """Write a chunk down, or count that it cannot be done."""
        ...

    def news(self) -> Iterable[str]:
        """Return what the operator should know of it, each thing once."""
        ...


class Record:
    """Makes the chunks of a run, and remembers them.

    Parameters
    ----------
    stream : str
    run : int
    rate_hz : float
    history : History
        Where they are kept.
    journal : Journal or None
        Where they are written down first.
    targets : bool
        Whether there will be any: for what it never publishes, nobody answers.

    Attributes
    ----------
    next_seq, next_target_seq : int
        The input and the target that come next.
    missing : int
        Inputs that do not exist.
    """

    def __init__(
        self, stream: str, run: int, rate_hz: float, history: History, journal: Journal | None = None, *,
        targets: bool = True,
    ) -> None:  # fmt: skip
        self.stream = stream
        self.run = run
        self.rate_hz = rate_hz
        self.next_seq = self.next_target_seq = 0
        self.missing = 0
        self._history = history
        self._journal = journal
        history.begin(Kind.INPUT, stream, run)
        if targets:
            history.begin(Kind.TARGET, stream, run)

    def resume(self, said: Iterable[Chunk], next_seq: int, next_target_seq: int, now: Instant) -> None:
        """Take up a run where it was left.

        Parameters
        ----------
        said : iterable of Chunk
            What is still known of it, in the order in which it was said.
        next_seq, next_target_seq : int
            The input and the target that come next.
        now : Instant
        """
        for chunk in said:
            self._history.add(chunk, now.mono_ns)
        self.next_seq, self.next_target_seq = next_seq, next_target_seq
        self._history.reach(Kind.INPUT, self.stream, self.run, next_seq)
        if next_target_seq:
            self._history.reach(Kind.TARGET, self.stream, self.run, next_target_seq)

    def skip_to(self, seq: int) -> None:
        """Go on at a later sample: who asks for those before it is told that they are gone."""
        self.missing += seq - self.next_seq
        self.next_seq = seq
        self._history.reach(Kind.INPUT, self.stream, self.run, seq)

    def inputs(self, values: FloatArray, time_ns: int, now: Instant) -> Chunk:
        """Return the next inputs as what is to be published."""
        seq, tally = self.next_seq, self.next_target_seq
        self.next_seq += len(values)
        return self._kept(
            Chunk(Kind.INPUT, self.stream, self.run, seq, time_ns, self.rate_hz, values, tally=tally), now
        )

    def targets(self, values: FloatArray, time_ns: int, now: Instant) -> Chunk:
        """Return the next targets as what is to be published."""
        seq, tally = self.next_target_seq, self.next_seq
        self.next_target_seq += len(values)
        return self._kept(
            Chunk(Kind.TARGET, self.stream, self.run, seq, time_ns, self.rate_hz, values, tally=tally), now
        )

    def _kept(self, chunk: Chunk, now: Instant) -> Chunk:
        if self._journal is not None:
            self._journal.append(chunk, now)
        self._history.add(chunk, now.mono_ns)
        return chunk
