"""What was decided about a stream's order, so that a restart decides the same again. Values, and their bytes.

A record is framed as in a journal: its length, a checksum of length and body, and the body, here JSON.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from streamer.files.records import FRAME, framed
from streamer.messages import Kind

MAX_BODY_BYTES = 1_024
MOST = 2**64 - 1
RESTART_VALUES = 6
_KINDS = {"input": Kind.INPUT, "target": Kind.TARGET}
_NAMES = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class GapDecision:
    """Samples of a run are given up.

    Parameters
    ----------
    stream : str
    run : int
    kind : Kind
    seq, samples : int
        Which.
    other_seq : int
        The next sample of the other kind at that moment; 0 where only one is followed.
    reset : bool
        The hidden state starts anew after them.
    published_to : int
        Where that lies above, a former life has published the estimates of all samples below it. They are not
        published again, since they would be others, and their samples are not called missing.
    """

    stream: str
    run: int
    kind: Kind
    seq: int
    samples: int
    other_seq: int = 0
    reset: bool = False
    published_to: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """The next input and the next target at that moment."""
        return (self.seq, self.other_seq) if self.kind is Kind.INPUT else (self.other_seq, self.seq)


@dataclass(frozen=True, slots=True)
class RunDecision:
    """A run is begun.

    Parameters
    ----------
    stream : str
    run : int
    left_run : int or None
        The run before it.
    left_place : tuple of int
        How far that was followed: the next input and the next target.
    left_published : int
        How far its estimates are published.
    again : tuple of int
        Where the source says it under an id that it had used before, how it started again: the values of a
        `Restart`.
    """

    stream: str
    run: int
    left_run: int | None = None
    left_place: tuple[int, int] = (0, 0)
    left_published: int = 0
    again: tuple[int, ...] = ()


Decision = GapDecision | RunDecision


@dataclass(slots=True)
class Former:
    """What former lives decided and published of one stream.

    Parameters
    ----------
    gaps : dict
        Run -> samples given up, in order.
    runs : dict
        Run -> how it was begun, the last time.
    restarts : list of tuple of int
        The values of each `Restart`, in order.
    published : dict
        Run that was left -> one past the last sample with a published estimate.
    last_published : callable
        The same of a run that was not left, as far as that is known.
    """

    gaps: dict[int, list[GapDecision]] = field(default_factory=dict)
    runs: dict[int, RunDecision] = field(default_factory=dict)
    restarts: list[tuple[int, ...]] = field(default_factory=list)
    published: dict[int, int] = field(default_factory=dict)
    last_published: Callable[[int], int] = lambda _run: 0

    def published_to(self, run: int) -> int:
        """Return one past the last sample of a run with a published estimate; 0 if none is known of."""
        return max(self.published.get(run, 0), self.last_published(run))


class Memory:
    """What former lives decided and published, stream by stream.

    Parameters
    ----------
    decisions : sequence of Decision
        In the order in which they were written down.
    published : callable
        Stream, run -> one past the last sample with a published estimate; 0 if none is known of.
    """

    def __init__(self, decisions: Sequence[Decision], published: Callable[[str, int], int]) -> None:
        self._published = published
        self._streams: dict[str, Former] = {}
        for decision in decisions:
            former = self._streams.setdefault(decision.stream, Former())
            if isinstance(decision, GapDecision):
                former.gaps.setdefault(decision.run, []).append(decision)
                continue
            if decision.again and decision.run not in former.runs:
                former.restarts.append(decision.again)
            former.runs[decision.run] = decision
            if decision.left_run is not None:
                before = former.published.get(decision.left_run, 0)
                former.published[decision.left_run] = max(before, decision.left_published)
        for former in self._streams.values():
            for gaps in former.gaps.values():
                gaps.sort(key=lambda gap: gap.place)  # a later life may have decided something earlier

    def take(self, stream: str) -> Former:
        """Return what is known of a stream, once."""
        former = self._streams.pop(stream, None) or Former()
        former.last_published = partial(self._published, stream)
        return former


# As bytes


def encode(decision: Decision) -> bytes:
    """Return a decision's record."""
    if isinstance(decision, GapDecision):
        content: dict[str, Any] = {
            "gap": _NAMES[decision.kind], "stream": decision.stream, "run": decision.run, "seq": decision.seq,
            "samples": decision.samples, "other": decision.other_seq, "reset": decision.reset,
            "published": decision.published_to,
        }  # fmt: skip
    else:
        content = {
            "begin": decision.run, "stream": decision.stream, "left": decision.left_run,
            "place": list(decision.left_place), "published": decision.left_published,
        }  # fmt: skip
        if decision.again:
            content["again"] = list(decision.again)
    return framed(json.dumps(content).encode())


def decode(data: bytes) -> tuple[list[Decision], int]:
    """Return the decisions of all whole records, and how many bytes belong to none."""
    found: list[Decision] = []
    at = damaged = 0
    while at < len(data):
        body = _body(data, at)
        decision = None if body is None else _decision(body)
        if body is None or decision is None:
            at, damaged = at + 1, damaged + 1  # the next one may begin anywhere
            continue
        found.append(decision)
        at += FRAME.size + len(body)
    return found, damaged


def _body(data: bytes, at: int) -> bytes | None:
    if at + FRAME.size > len(data):
        return None
    length, checksum = FRAME.unpack_from(data, at)
    if not 0 < length <= min(MAX_BODY_BYTES, len(data) - at - FRAME.size):
        return None
    body = data[at + FRAME.size : at + FRAME.size + length]
    return body if zlib.crc32(body, zlib.crc32(data[at : at + 4])) == checksum else None


def _decision(body: bytes) -> Decision | None:
    try:
        content = json.loads(body)
        stream = content["stream"]
        if not isinstance(stream, str):
            return None
        if "gap" in content:
            seq, samples, other, published = (
                _index(content[name]) for name in ("seq", "samples", "other", "published")
            )
            if not samples or seq + samples > MOST:
                return None
            kind, run, reset = _KINDS[content["gap"]], _index(content["run"]), content["reset"] is True
            return GapDecision(stream, run, kind, seq, samples, other, reset, published)
        left, (first, second) = content["left"], content["place"]
        again = tuple(map(_index, content.get("again", ())))
        if len(again) not in (0, RESTART_VALUES):
            return None
        return RunDecision(
            stream, _index(content["begin"]), None if left is None else _index(left),
            (_index(first), _index(second)), _index(content["published"]), again,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _index(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST:
        raise ValueError
    return value
