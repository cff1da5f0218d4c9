"""What the operator hears of a stream: once a tick what changed, and a line at the end."""

from collections.abc import Iterator
from dataclasses import replace

from predictor.counters import Counters
from streamer.effects import WARNING, Effect, Say

COUNTED = (
    ("unusable", "sample(s) not finite or beyond 1e30 replaced by the channel's last value"),
    ("duplicates", "duplicate or stale sample(s) dropped"),
    ("refused", "chunk(s) refused: another run, or another number of channels within a run"),
)


class StreamReport:
    """Compares a stream's counters with what was last said of them.

    Parameters
    ----------
    stream : str
        Name of the stream.
    counters : Counters
        The stream's.
    """

    def __init__(self, stream: str, counters: Counters) -> None:
        self._stream = stream
        self._counters = counters
        self._said = replace(counters)
        self._last_gap = (0, 0)  # first sample missing, and one past the last

    def gap(self, seq: int, samples: int) -> None:
        """Remember the latest gap."""
        self._last_gap = seq, seq + samples

    def caught_up(self) -> None:
        """Take what has been counted so far as said."""
        self._said = replace(self._counters)

    def changes(self) -> Iterator[Effect]:
        """Say what went wrong since the last call."""
        before, now = self._said, self._counters
        if now.gaps > before.gaps:
            yield Say(f"stream {self._stream}: {self._gaps(now.gaps - before.gaps)}", WARNING)
        for name, what in COUNTED:
            count = getattr(now, name) - getattr(before, name)
            if count:
                yield Say(f"stream {self._stream}: {count} {what}", WARNING)
        self.caught_up()

    def _gaps(self, count: int) -> str:
        first, end = self._last_gap
        text = f"GAP: samples {first} to {end - 1} did not come"
        if count == 1:
            return text
        samples = self._counters.gap_samples - self._said.gap_samples
        return f"{text}, and {count - 1} more gap(s), {samples} samples in all"
