"""What the operator hears of a stream: once a tick what changed."""

from collections.abc import Iterator
from dataclasses import replace

from predictor.counters import Counters
from streamer.effects import WARNING, Effect, Say

COUNTED = (
    ("unusable", "sample(s) not finite or beyond 1e30 replaced by the channel's last value"),
    ("duplicates", "duplicate or stale sample(s) dropped"),
    ("refused", "message(s) refused: another run or number of channels, or a seq that nothing else speaks for"),
)
MOST_RANGES = 20  # in one line


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
        self._gaps: dict[str, list[tuple[int, int]]] = {}  # what is missing: its ranges since the last tick

    def gap(self, what: str, seq: int, samples: int) -> None:
        """Note a gap among "samples" or "targets"."""
        ranges = self._gaps.setdefault(what, [])
        if len(ranges) < MOST_RANGES:
            ranges.append((seq, seq + samples - 1))

    def caught_up(self) -> None:
        """Take what has been counted so far as said."""
        self._said = replace(self._counters)

    def changes(self) -> Iterator[Effect]:
        """Say what went wrong since the last call."""
        before, now = self._said, self._counters
        gaps, self._gaps = self._gaps, {}
        for what, ranges in gaps.items():
            names = ("target_gaps", "target_gap_samples") if what == "targets" else ("gaps", "gap_samples")
            count, samples = (getattr(now, name) - getattr(before, name) for name in names)
            yield Say(f"stream {self._stream}: {_gap_line(what, ranges, count, samples)}", WARNING)
        for name, what in COUNTED:
            count = getattr(now, name) - getattr(before, name)
            if count:
                yield Say(f"stream {self._stream}: {count} {what}", WARNING)
        self.caught_up()


def _gap_line(what: str, ranges: list[tuple[int, int]], gaps: int, samples: int) -> str:
    text = f"GAP: {what} {', '.join(f'{first} to {last}' for first, last in ranges)} did not come"
    if gaps == len(ranges):
        return text
    return f"{text}, and {gaps - len(ranges)} more gap(s), {samples} {what} in all"
