"""What the operator hears of a stream: once a tick what changed."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from predictor.daemon.counters import Counters
from streamer.effects import WARNING, Effect, Say

COUNTED = (
    ("unusable", "sample(s) not finite or beyond 1e30 replaced by the channel's last value"),
    ("duplicates", "duplicate or stale sample(s) dropped"),
    ("refused", "message(s) refused: another run or number of channels, or a seq that nothing else confirms"),
)
MAX_RANGES = 20  # in one line


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
        self._holes: deque[str] = deque(maxlen=MAX_RANGES)
        self._gaps: dict[str, list[tuple[int, int]]] = {}  # what is missing: its ranges since the last tick

    def gap(self, what: str, seq: int, samples: int) -> None:
        """Note a gap among "samples" or "targets"."""
        ranges = self._gaps.setdefault(what, [])
        if len(ranges) < MAX_RANGES:
            ranges.append((seq, seq + samples - 1))

    def hole(self, seq: int, samples: int, published_to: int) -> None:
        """Note samples that a former life estimated, and that cannot be had again."""
        self._holes.append(
            f"samples {seq} to {seq + samples - 1} were estimated before the restart and cannot be had again: the "
            f"hidden state goes on without them; {_others(published_to)}"
        )

    def other_state(self, why: str, published_to: int) -> None:
        """Note that published estimates cannot be made again as they were."""
        self._holes.append(f"{why}; {_others(published_to)}")

    def caught_up(self) -> None:
        """Take what has been counted so far as said."""
        self._said = replace(self._counters)

    def changes(self) -> Iterator[Effect]:
        """Say what went wrong since the last call."""
        before, now = self._said, self._counters
        holes, self._holes = self._holes, deque(maxlen=MAX_RANGES)
        for text in holes:
            yield Say(f"stream {self._stream}: {text}", WARNING)
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


def _others(published_to: int) -> str:
    return (
        f"estimates up to sample {published_to - 1} were published and stay as they are, those from there on are "
        "not those of an undisturbed run"
    )


def _gap_line(what: str, ranges: list[tuple[int, int]], gaps: int, samples: int) -> str:
    text = f"GAP: {what} {', '.join(f'{first} to {last}' for first, last in ranges)} did not come"
    if gaps == len(ranges):
        return text
    return f"{text}, and {gaps - len(ranges)} more gap(s), {samples} {what} in all"
