"""A recording through the daemon's core: chunks in, estimates out, on the recording's own time."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictor.daemon.core import Predictor
from predictor.daemon.domain_check import ENTRIES
from streamer.clock import Instant
from streamer.effects import Effect, Send
from streamer.errors import FileError
from streamer.messages import Chunk, FloatArray, Gone, Incoming, Kind, Status
from streamer.recordings.recording import Recording
from streamer.wire.codec import MAX_CHANNELS

STREAM = "recording"
RUN = 1
BLOCK_VALUES = 8192  # read and answered at once: a signal or a progress bar waits no longer than for these
LEAST_LOOKS, MOST_LOOKS = 10, 100  # at the stream's status, evenly over the recording, if it is long enough


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples with their estimates.

    Parameters
    ----------
    seq : int
        Index of the first sample.
    inputs : float32 array, shape (samples, channels)
    estimates : float32 array, shape (samples, channels, fields)
    """

    seq: int
    inputs: FloatArray
    estimates: FloatArray


class Application:
    """Says a recording to a predictor, as a source would.

    Parameters
    ----------
    core : Predictor
    recording : Recording
        At most `MAX_CHANNELS` columns, each a channel.
    targets : Recording or None
        As many samples, and one or two columns a channel: cos, or cos and sin.
    rate_hz : float
        0 where it is not known.
    one_by_one : bool
        Say each sample alone and its target after it, as a source does by default. A core that learns says
        other things where many come at once; one that does not says the same, and sooner.

    Attributes
    ----------
    last_status : mapping
        The stream's last status, once all blocks are through.
    verdicts : list of bool
        Whether the signal was one that the model knows, at each look that could tell.
    unfamiliar : Counter
        Channel -> at how many of these looks it was out of the model's range.

    Raises
    ------
    FileError
        If the shapes do not fit.
    """

    def __init__(
        self, core: Predictor, recording: Recording, targets: Recording | None, rate_hz: float, *, one_by_one: bool
    ) -> None:
        check_channels(recording)
        self.last_status: dict[str, Any] = {}
        self.verdicts: list[bool] = []
        self.unfamiliar: Counter[int] = Counter()
        self._core = core
        self._recording = recording
        self._targets = targets
        self._target_fields = _target_fields(recording, targets) if targets else 0
        self._rate_hz = rate_hz
        self._one_by_one = one_by_one
        self._squares, self._scored = 0.0, 0
        self._next_seq = 0

    @property
    def channels(self) -> int:
        """Of the recording."""
        return self._recording.columns

    @property
    def rmse(self) -> float | None:
        """Root mean square error of every cos whose target is known; None where there is none."""
        return float(np.sqrt(self._squares / self._scored)) if self._scored else None

    def blocks(self) -> Iterator[Block]:
        """Yield the whole recording with its estimates, in order."""
        recording = self._recording
        step = max(1, min(BLOCK_VALUES // recording.columns, max(ENTRIES, recording.rows // LEAST_LOOKS)))
        look_every = max(1, recording.rows // step // MOST_LOOKS) * step
        for begin, part_end, part_seq in recording.parts():
            for first in range(begin, part_end, step):
                end = min(first + step, part_end)
                seq = part_seq + first - begin
                inputs = recording.block(first, end)
                targets = self._targets_of(first, end)
                estimates = np.concatenate(list(self._answers(seq, inputs, targets)))
                if targets is not None:
                    self._score(estimates, targets)
                if end % look_every == 0:
                    list(self._heed(self._core.tick(self._instant(seq + len(inputs)))))
                yield Block(seq, inputs, estimates)
        list(self._heed(self._core.stop(self._instant(recording.samples))))

    def _answers(self, seq: int, inputs: FloatArray, targets: FloatArray | None) -> Iterator[FloatArray]:
        """Yield the estimates [samples, channels, fields] of a block, piece by piece."""
        step = 1 if self._one_by_one else len(inputs)
        for first in range(0, len(inputs), step):
            piece = slice(first, first + step)
            messages: list[Incoming] = [self._chunk(Kind.INPUT, seq + first, inputs[piece, :, None])]
            if targets is not None:
                messages.append(self._chunk(Kind.TARGET, seq + first, targets[piece]))
            messages += self._gone(seq + first)
            self._next_seq = seq + first + len(inputs[piece])
            now = self._instant(seq + first + step - 1)
            yield from self._heed(self._core.receive(messages, now))
            yield from self._heed(self._core.catch_up(now))

    def _gone(self, seq: int) -> list[Gone]:
        """Return what a source would answer who asks for the samples that are missing before this one."""
        missing = seq - self._next_seq
        kinds = (Kind.INPUT, Kind.TARGET) if self._targets is not None else (Kind.INPUT,)
        return [Gone(kind, STREAM, RUN, self._next_seq, missing) for kind in kinds] if missing else []

    def _heed(self, effects: Iterable[Effect]) -> Iterator[FloatArray]:
        """Yield the estimates among effects; remember what the status says."""
        for effect in effects:
            match effect:
                case Send(Chunk(kind=Kind.ESTIMATE, values=values)):
                    yield values
                case Send(Status(stream=name, body=body)) if name == STREAM:
                    self.last_status = dict(body)
                    if body["familiar"] is not None:
                        self.verdicts.append(body["familiar"])
                        self.unfamiliar.update(body["unfamiliar_channels"])

    def _chunk(self, kind: Kind, seq: int, values: FloatArray) -> Chunk:
        return Chunk(kind, STREAM, RUN, seq, self._time_ns(seq), self._rate_hz, values)

    def _time_ns(self, seq: int) -> int:
        return round(seq * 1e9 / self._rate_hz) if self._rate_hz else 0

    def _instant(self, seq: int) -> Instant:
        return Instant(self._time_ns(seq), self._time_ns(seq))

    def _targets_of(self, first: int, end: int) -> FloatArray | None:
        if self._targets is None:
            return None
        return self._targets.block(first, end).reshape(end - first, -1, self._target_fields)

    def _score(self, estimates: FloatArray, targets: FloatArray) -> None:
        squares = (estimates[..., 0].astype(np.float64) - targets[..., 0]) ** 2
        known = np.isfinite(squares)
        self._squares += float(squares[known].sum())
        self._scored += int(known.sum())


def check_channels(recording: Recording) -> None:
    """Refuse more channels than a stream may have.

    Raises
    ------
    FileError
        If there are.
    """
    if recording.columns > MAX_CHANNELS:
        raise FileError(
            f"{recording.path}: must have 1 to {MAX_CHANNELS} channels, got {recording.columns} with "
            f"{recording.rows} sample(s): the shape is [samples, channels]; transpose it?"
        )


def _target_fields(recording: Recording, targets: Recording) -> int:
    """Return how many fields a channel's targets have."""
    fields, rest = divmod(targets.columns, recording.columns)
    if targets.rows != recording.rows or rest or fields not in (1, 2):
        raise FileError(
            f"--targets {targets.path}: must have {recording.rows} samples, as {recording.path} has, and cos, "
            f"or cos and sin, of each of its {recording.columns} channel(s); got {targets.rows} samples of "
            f"{targets.columns} value(s)"
        )
    if targets.gaps() not in ([], recording.gaps()):
        raise FileError(f"--targets {targets.path}: other samples are missing in it than in {recording.path}")
    return fields
