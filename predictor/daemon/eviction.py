"""Which stream has been silent for the longest, and so makes room for another. Pure logic."""

from collections.abc import Callable, Collection, Iterable

from predictor.daemon.stream import Stream

SILENT_NS = 2_000_000_000  # a source that is there says something each second
FOUND_AT_ONCE = 256  # to look at all streams for each that goes would take milliseconds


class LongestSilent:
    """Finds them, many at a time.

    Parameters
    ----------
    is_leaving : callable
        Whether a stream is on its way already.
    """

    def __init__(self, is_leaving: Callable[[Stream], bool] = lambda _: False) -> None:
        self._is_leaving = is_leaving
        self._found: list[tuple[int, Stream]] = []  # when each was last heard; the longest silent last

    def longest(self, streams: Iterable[Stream], now_ns: int) -> Stream | None:
        """Return the one of a few that is to go; None as `take`."""
        silent = [one for one in streams if self._may_go(one, now_ns)]
        return min(silent, key=Stream.heard_ns, default=None)

    def take(self, streams: Collection[Stream], now_ns: int) -> Stream | None:
        """Return the stream that is to go, None if all have been heard lately or have something left to do."""
        for _ in range(2):
            while self._found:
                heard_ns, stream = self._found.pop()
                if stream.heard_ns() == heard_ns and self._may_go(stream, now_ns):
                    return stream
            silent = [
                (heard_ns, stream) for stream in streams
                if now_ns - (heard_ns := stream.heard_ns()) >= SILENT_NS and not stream.at_work
                and not self._is_leaving(stream)
            ]  # fmt: skip
            silent.sort(key=lambda one: one[0], reverse=True)
            self._found = silent[-FOUND_AT_ONCE:]
        return None

    def _may_go(self, stream: Stream, now_ns: int) -> bool:
        silent = now_ns - stream.heard_ns() >= SILENT_NS
        return silent and not stream.at_work and not self._is_leaving(stream)
