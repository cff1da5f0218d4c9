"""A predictor's core on a faulty network that is killed at any moment, and starts again from its last state."""

from collections.abc import Callable, Iterable, Sequence

from predictor.daemon.core import Predictor
from predictor.state import checkpoint
from streamer.clock import Instant
from streamer.effects import Ask, Checkpoint, Effect, Send
from streamer.messages import Burst, Chunk, Incoming, Replay, Written
from tests.support.atonce import received
from tests.support.lossy import WALL_NS

Said = tuple[bytes, int, int, int]  # values, source time, model version, tally


class Mortal:
    """Keeps every estimate; one that is said again must be the same.

    Parameters
    ----------
    make : callable
        Makes a core.
    kills_ns : sequence of int
        When it dies, ascending.
    write_ns : int
        How long the disk takes for a state.
    """

    def __init__(self, make: Callable[[], Predictor], kills_ns: Sequence[int], write_ns: int) -> None:
        self.core = make()
        self.said: dict[tuple[str, int, int], Said] = {}
        self.again = 0
        self.restored = 0
        self.killed = 0
        self._make = make
        self._kills_ns = list(kills_ns)
        self._write_ns = write_ns
        self._disk: bytes | None = None
        self._writing: tuple[int, bytes] | None = None
        self._number = 0

    def receive(self, messages: Sequence[Incoming], now_ns: int) -> Iterable[Replay]:
        if self._kills_ns and now_ns >= self._kills_ns[0]:
            self._die(Instant(now_ns, WALL_NS + now_ns))
            return []  # what had come is lost with it
        if self._writing is not None and now_ns >= self._writing[0]:
            _, self._disk = self._writing
            self._writing = None
            self._number += 1
            messages = [*messages, Written(self._number)]
        now = Instant(now_ns, WALL_NS + now_ns)
        wishes = list(self._perform(received(self.core, messages, now), now_ns)) if messages else []
        if now_ns >= self.core.next_deadline_ns():
            wishes += self._perform(self.core.tick(now), now_ns)
        self.core.work()
        return wishes

    def _die(self, now: Instant) -> None:
        self._kills_ns.pop(0)
        self.killed += 1
        self.core, self._writing = self._make(), None
        if self._disk is not None:
            self.core.restore(checkpoint.decode(self._disk), now)
            self.restored += 1

    def _perform(self, effects: Iterable[Effect], now_ns: int) -> Iterable[Replay]:
        for effect in effects:
            match effect:
                case Ask(replay):
                    yield replay
                case Checkpoint(head, streams):
                    self._writing = now_ns + self._write_ns, b"".join(checkpoint.encode(head, streams))
                case Send(Chunk() as chunk):
                    self._keep(chunk)
                case Send(Burst() as burst):
                    for chunk in burst.chunks():
                        self._keep(chunk)

    def _keep(self, chunk: Chunk) -> None:
        for k, values in enumerate(chunk.values):
            key = chunk.stream, chunk.run, chunk.seq + k
            estimate = values.tobytes(), chunk.sample_time_ns(k), chunk.model_version, chunk.tally
            if key in self.said:
                assert self.said[key] == estimate, key
                self.again += 1
            self.said[key] = estimate

    def due_ns(self) -> int | None:
        dues = [self.core.next_deadline_ns(), *self._kills_ns[:1]]
        if self._writing is not None:
            dues.append(self._writing[0])
        return min(dues)
