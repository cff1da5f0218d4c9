"""Which streams have estimates that are cos alone, so that a phase needs the input besides."""

from predictor.listen.json_lines import has_phase
from streamer.messages import Chunk, Gone, Info, Kind, Status

MAX_STREAMS = 10_000  # remembered


class CosAlone:
    """Remembers, of each stream, whether its latest estimates were cos alone."""

    def __init__(self) -> None:
        self._streams: dict[str, bool] = {}

    def note(self, message: Chunk | Info | Status | Gone) -> None:
        """Take a message; only estimates tell anything."""
        if not isinstance(message, Chunk) or message.kind is not Kind.ESTIMATE:
            return
        if message.stream not in self._streams and len(self._streams) >= MAX_STREAMS:
            del self._streams[next(iter(self._streams))]
        self._streams[message.stream] = not has_phase(message)

    def is_known(self, stream: str) -> bool:
        """Return whether the stream's estimates are known to be cos alone."""
        return self._streams.get(stream, False)

    def concerns(self, message: Chunk | Info) -> bool:
        """Return whether a phase needs, or may come to need, what `message` says."""
        if isinstance(message, Chunk) and message.kind is Kind.TARGET:
            return False
        return self._streams.get(message.stream, True)
