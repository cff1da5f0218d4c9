"""What a sans-IO core asks its shell to do."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from streamer.clock import Instant
from streamer.messages import Burst, Gone, Incoming, Message, Replay
from streamer.ordering.decisions import Decision

INFO = logging.INFO
WARNING = logging.WARNING
ERROR = logging.ERROR


@dataclass(slots=True, eq=False)  # Final and not frozen, for the same reason as Chunk
class Send:
    """Publish a message, or each chunk of a burst."""

    message: Final[Message | Burst]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask everybody who is listened to for samples again."""

    replay: Replay


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """Answer one peer's request."""

    peer: bytes
    message: Message | Burst | Gone


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the operator, on standard error."""

    text: str
    level: int = INFO


@dataclass(frozen=True, slots=True)
class Print:
    """Write a line to standard output."""

    line: str


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Write a state to disk while the loop goes on; a `Written` comes back.

    `streams` are in whatever form who writes them takes.
    """

    head: dict[str, Any]
    streams: Sequence[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Park:
    """Write one stream's state to a file of its own while the loop goes on; a `Parked` comes back.

    `packed` is in whatever form who writes it takes.
    """

    stream: str
    head: dict[str, Any]
    packed: Any
    brief: bool


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read the state of a stream that was parked while the loop goes on; a `Fetched` comes back."""

    stream: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove the files of parked streams, by their keys."""

    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class Forget:
    """Keep no record any longer of how far a stream's estimates are published: it is not in memory any more."""

    stream: str


Store = Park | Fetch | Discard | Forget
"""What is done with one stream's state."""


@dataclass(frozen=True, slots=True)
class Decide:
    """Write a decision down, before anything that follows from it is performed."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Pause:
    """Let others have a turn before the next effect. No shell sees it: who runs several streams heeds it."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do: leave the loop."""


Effect = Send | Ask | Reply | Say | Print | Checkpoint | Store | Decide | Pause | Finish


class Core(Protocol):
    """A component that decides everything and performs nothing."""

    def receive(self, messages: Sequence[Incoming], now: Instant) -> Iterable[Effect]:
        """Take what came in, in order."""
        ...

    def tick(self, now: Instant) -> Iterable[Effect]:
        """Do what is due by the clock."""
        ...

    def next_deadline_ns(self) -> int | None:
        """When to call `tick` next, on the monotonic clock; None to wait for messages alone."""
        ...

    def work(self) -> Iterable[Effect] | None:
        """Do one slice of work that can wait, while nothing has come in; None if there is none."""
        ...

    def stop(self, now: Instant) -> Iterable[Effect]:
        """Say the last words."""
        ...
