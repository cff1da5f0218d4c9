"""Runs of one stream as a predictor calls them, for who shows messages as they come. Pure logic."""

from dataclasses import replace

from streamer.messages import Chunk, Info, Kind
from streamer.ordering.events import Announcement
from streamer.ordering.reorder_buffer import MemoryBudget
from streamer.ordering.restarts import Found, Place, Restarts

HELD_BYTES = 2**20  # until it is certain that a run has started again
MAX_RUNS = 64


class RunNames:
    """Names the runs of a stream: where its source starts one again at old numbers, that is another run.

    Attributes
    ----------
    renamed : tuple of int or None
        What was named otherwise before its latest estimate came: the run that it had, and the one that it has.
    """

    def __init__(self) -> None:
        self.renamed: tuple[int, int] | None = None
        self._restarts = Restarts(MemoryBudget(HELD_BYTES).share(lambda: False))
        self._places: dict[int, Place] = {}  # of inputs

    def take(self, message: Chunk | Info) -> list[Chunk | Info]:
        """Take a message; return what is certain now, with the runs that estimates have."""
        if isinstance(message, Info):
            return self._hear(message)
        if message.kind is Kind.ESTIMATE:
            self._learn(message.run)
            return [message]
        name = self._restarts.name(message)
        is_input = message.kind is Kind.INPUT
        found = self._restarts.take(message, name, self._places.get(name), is_main=is_input, needs_info=False)
        if found is None:
            return []
        return [self._noted(chunk) for chunk in ([found] if isinstance(found, Chunk) else found.chunks)]

    def _hear(self, info: Info) -> list[Chunk | Info]:
        word = Announcement(info.run, (info.next_seq,), info.time_ns, info.replays, info.ended, info.repeats)
        name = self._restarts.name_of_word(word)
        found = self._restarts.hear(word, self._places.get(name), needs_info=False)
        if isinstance(found, Found):
            chunks = [self._noted(chunk) for chunk in found.chunks]
            return [replace(info, run=found.restart.name), *chunks]
        return [replace(info, run=name) if name != info.run else info] if found else []

    def _learn(self, run: int) -> None:
        """Call a run as its estimates do."""
        if run in self._places:
            return
        for name, place in list(self._places.items()):
            if self._restarts.adopt(run, name, place):
                self._places[run] = self._places.pop(name)
                self.renamed = name, run
                return

    def _noted(self, chunk: Chunk) -> Chunk:
        if chunk.kind is Kind.INPUT:
            place = self._places.pop(chunk.run, None) or Place(0, chunk.seq, chunk.time_ns)
            self._places[chunk.run] = place.after(chunk)
            if len(self._places) > MAX_RUNS:
                del self._places[next(iter(self._places))]
        return chunk
