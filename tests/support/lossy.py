"""A network that loses, doubles, delays and reorders, between a source's script and a reader, on a fake clock."""

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from streamer.messages import Chunk, Gone, Incoming, Info, Kind, Replay

MS = 1_000_000
SECOND = 1000 * MS
WALL_NS = 1_700_000_000_000_000_000

Script = list[tuple[int, Chunk | Info]]


@dataclass(frozen=True)
class Faults:
    """Probabilities for each message, of what is said live and of what is asked and answered alike."""

    loss: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    late_ms: int = 30


class Reader(Protocol):
    """Who listens: takes messages, asks for some again, says when to be woken."""

    def receive(self, messages: Sequence[Incoming], now_ns: int) -> Iterable[Replay]: ...
    def due_ns(self) -> int | None: ...


class Server:
    """A source's history: answers a request with the very messages, or says what is gone."""

    def __init__(self, chunks: Sequence[Chunk], kept: int | None = None) -> None:
        self.kept = kept
        self.requests = 0
        self._chunks = chunks

    def answer(self, request: Replay, now_ns: int) -> list[Incoming]:
        """Return the answers at a moment: a chunk counts as said from its time on."""
        self.requests += 1
        said = [c for c in self._chunks if c.kind is request.kind and c.time_ns - WALL_NS <= now_ns]
        held = said if self.kept is None else said[max(0, len(said) - self.kept) :]
        end = request.seq + request.samples
        oldest = held[0].seq if held else (said[-1].end_seq if said else 0)
        answers: list[Incoming] = []
        if request.seq < oldest:
            gone = min(end, oldest) - request.seq
            answers.append(Gone(request.kind, request.stream, request.run, request.seq, gone))
        return answers + [c for c in held if c.seq < end and c.end_seq > request.seq]


def script(count: int, *, chunk: int = 1, delay: int = 0, targets: bool = True, run: int = 1, start_ms: int = 0,
           every_ms: int = 1, stream: str = "demo", replays: bool = True, wave: float = 0.3,
           ) -> list[tuple[int, Chunk | Info]]:  # fmt: skip
    """Everything a source says, each with the moment it does: inputs, targets `delay` samples later, infos."""
    said: list[tuple[int, Chunk | Info]] = []
    inputs = taught = 0
    now = start_ms * MS

    def say(kind: Kind, seq: int, end: int, tally: int) -> None:
        turns = wave * np.arange(seq, end)
        values = (
            np.sin(turns)[:, None, None] if kind is Kind.INPUT else np.stack([-np.cos(turns), np.sin(turns)], -1)
        )
        shaped = values.astype(np.float32).reshape(end - seq, 1, -1)
        said.append((now, Chunk(kind, stream, run, seq, WALL_NS + now, 1000.0, shaped, tally=tally)))

    def info(*, ended: bool = False) -> None:
        fields = ("cos", "sin") if targets else ()
        said.append((now, Info(stream, run, inputs, WALL_NS + now, 1000.0, ("0",), fields, delay, ended,
                               next_target_seq=taught, replays=replays)))  # fmt: skip

    next_info = now
    while inputs < count:
        if now >= next_info:
            info()
            next_info += SECOND
        end = min(count, inputs + chunk)
        say(Kind.INPUT, inputs, end, taught)
        inputs = end
        due = inputs - delay if inputs < count else count
        if targets and due > taught:
            say(Kind.TARGET, taught, due, inputs)
            taught = due
        now += every_ms * MS
    for _ in range(60):
        info(ended=True)
        now += SECOND
    return said


def chunks_of(said: Iterable[tuple[int, Chunk | Info]]) -> list[Chunk]:
    """The samples of a script, in the order in which they are said."""
    return [message for _, message in said if isinstance(message, Chunk)]


def play(said: Sequence[tuple[int, Incoming]], server: Server | None, reader: Reader, faults: Faults, seed: int,
         *, until_ns: int, from_ns: int = 0, watch: Callable[[], None] = lambda: None) -> None:  # fmt: skip
    """Let the reader hear the script through the network, from a moment on, until another."""
    rng = random.Random(seed)
    tick = iter(range(10**9))
    queue: list[tuple[int, int, bool, Incoming | Replay]] = []

    def carry(message: Incoming | Replay, now: int, *, asking: bool = False) -> None:
        if rng.random() < faults.loss:
            return
        for _ in range(1 + (rng.random() < faults.twice)):
            late = rng.randrange(faults.late_ms * MS) if rng.random() < faults.late else 0
            heapq.heappush(queue, (now + MS // 10 + late, next(tick), asking, message))

    coming = [entry for entry in said if entry[0] >= from_ns]
    coming.reverse()
    now = from_ns
    while True:
        moments = [coming[-1][0]] if coming else []
        moments += [queue[0][0]] if queue else []
        due = reader.due_ns()
        moments += [max(now, due)] if due is not None else []
        if not moments or min(moments) > until_ns:
            return
        now = max(now, min(moments))
        while coming and coming[-1][0] <= now:
            carry(coming.pop()[1], now)
        heard: list[Incoming] = []
        while queue and queue[0][0] <= now:
            _, _, asking, message = heapq.heappop(queue)
            if not asking:
                heard.append(message)  # type: ignore[arg-type]
            elif server is not None:
                for answer in server.answer(message, now):  # type: ignore[arg-type]
                    carry(answer, now)
        if heard or (due is not None and due <= now):
            for wish in reader.receive(heard, now):
                carry(wish, now, asking=True)
        watch()


def merged(*scripts: Script) -> Script:
    """Several scripts as one, by time."""
    return list(heapq.merge(*scripts, key=lambda entry: entry[0]))
