"""When the states of all streams are taken and written, and what became of it. Pure logic on the monotonic clock.

Streams do not depend on each other, so a state may hold each at a moment of its own: a few streams are taken at a
time, and answers wait for no more than these.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from predictor.state.checkpoint import Packed, pack
from streamer.clock import Instant
from streamer.effects import WARNING, Checkpoint, Effect, Say
from streamer.messages import Recorded, Written
from trainer.state import Tree

STREAMS_AT_ONCE = 20  # 0.1 ms each where they do not learn
SLICE_EVERY_NS = 20_000_000
FIRST_LOOK_EVERY_NS = 100_000_000  # until there is something to keep


class Checkpointed(Protocol):
    """A stream, as far as it matters here."""

    @property
    def name(self) -> str: ...
    @property
    def stand(self) -> tuple[object, ...]: ...
    def snapshot(self) -> Tree | None: ...


class CheckpointSchedule:
    """Collects the states of streams, round by round.

    Parameters
    ----------
    every_s : float
        From one round to the next.
    settle : callable
        Told of a stream by name before its state is taken, in case something is still to be done for it.
    """

    def __init__(self, every_s: float, settle: Callable[[str], None]) -> None:
        self._settle = settle
        self._every_ns = round(every_s * 1e9)
        self._taken: dict[str, tuple[tuple[object, ...], Packed]] = {}  # stream -> where it stood, and its state
        self._round: list[Checkpointed] | None = None  # those still to be taken, the next one last
        self._changed = False  # since the last state that was written
        self._writing = False
        self._due_ns = 0
        self._written_ns: int | None = None
        self._number: int | None = None
        self._failures = 0
        self._error: str | None = None
        self._record_failures = 0
        self._record_error: str | None = None

    def tick(self, streams: Mapping[str, Checkpointed], identity: Tree, now: Instant) -> Iterator[Effect]:
        """Take a few streams' states if a round is due or going on, and have them written at its end."""
        if self._writing or now.mono_ns < self._due_ns:
            return
        if self._round is None:
            self._round = list(streams.values())[::-1]
        last = max(0, len(self._round) - STREAMS_AT_ONCE)
        self._take(reversed(self._round[last:]))
        del self._round[last:]
        self._due_ns = now.mono_ns + SLICE_EVERY_NS
        if not self._round:
            self._round = None
            self._due_ns = now.mono_ns + (self._every_ns if self._taken else FIRST_LOOK_EVERY_NS)
            if self._changed:
                yield self._checkpoint(identity)

    def last(self, streams: Mapping[str, Checkpointed], identity: Tree) -> Iterator[Effect]:
        """Have everything written that changed, at the end."""
        self._take(streams.values())
        if self._changed or self._writing:
            yield self._checkpoint(identity)

    def renew(self) -> None:
        """Begin a round as soon as may be, and take every stream anew: all of them have changed."""
        self._taken.clear()
        self._round = None
        self._changed = True
        self._due_ns = 0

    def forget(self, name: str) -> None:
        """Keep nothing of a stream any more."""
        self._changed |= self._taken.pop(name, None) is not None
        if self._round is not None:
            self._round = [stream for stream in self._round if stream.name != name]

    @property
    def names(self) -> Iterable[str]:
        """The streams of the checkpoint that is written next, or was begun last."""
        return self._taken

    def adopt(self, names: Iterable[Checkpointed]) -> None:
        """Take the states of these, which have just been restored, as written."""
        self._take(names)
        self._changed = False

    def _take(self, streams: Iterable[Checkpointed]) -> None:
        for stream in streams:
            self._settle(stream.name)
            stand = stream.stand
            before = self._taken.get(stream.name)
            if before is not None and before[0] == stand:
                continue
            tree = stream.snapshot()
            if tree is not None:
                self._taken[stream.name] = stand, pack(tree, stream.name)
                self._changed = True

    def _checkpoint(self, identity: Tree) -> Checkpoint:
        self._writing, self._changed = True, False
        return Checkpoint({"identity": identity}, [packed for _, packed in self._taken.values()])

    def heed(self, written: Written | Recorded, now: Instant) -> Iterator[Effect]:
        """Take note of what became of a state, or of what is written between states."""
        if isinstance(written, Recorded):
            yield from self._heed_record(written)
            return
        self._writing = False
        if written.error is None:
            if self._error is not None:
                yield Say(f"checkpoints are written again: number {written.number}")
            self._number, self._written_ns = written.number, now.mono_ns
        else:
            self._failures += 1
            self._changed = True
            if written.error != self._error:
                text = "the checkpoint cannot be written; estimates go on, and it is tried again"
                yield Say(f"{text}: {written.error}", WARNING)
        self._error = written.error

    def _heed_record(self, recorded: Recorded) -> Iterator[Effect]:
        if recorded.error is None and self._record_error is not None:
            yield Say("decisions and published ends are written again")
        if recorded.error not in (None, self._record_error):
            yield Say(
                "decisions and published ends cannot be written; estimates go on, and it is tried again; "
                f"after a crash now, gaps may be decided otherwise than they were: {recorded.error}",
                WARNING,
            )
        self._record_failures, self._record_error = recorded.failures, recorded.error

    def next_deadline_ns(self) -> int | None:
        """When to call `tick` next; None while a state is being written."""
        return None if self._writing else self._due_ns

    def status(self, now: Instant) -> dict[str, Any]:
        """Return the member `checkpoint` of the daemon's status."""
        return {
            "seq": self._number,
            "age_s": None if self._written_ns is None else (now.mono_ns - self._written_ns) / 1e9,
            "failures": self._failures,
            "last_error": self._error,
            "record_failures": self._record_failures,
            "last_record_error": self._record_error,
        }
