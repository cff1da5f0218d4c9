"""A recording through the daemon's core: chunks in, estimates out, on the recording's own time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictor.apply.feed import BLOCK_VALUES, Feed
from predictor.daemon.core import Predictor
from predictor.daemon.domain_check import ENTRIES
from predictor.engine.timescale import LONGEST_CYCLE, SHORTEST_CYCLE
from streamer.errors import FileError
from streamer.messages import FloatArray
from streamer.recordings.recording import Recording
from streamer.wire.codec import MAX_CHANNELS

STREAM = "recording"
MIN_LOOKS, MAX_LOOKS = 10, 100  # at the stream's status, evenly over the recording, if it is long enough


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
        As of a `Feed`.

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
        self.last_status: Mapping[str, Any] = {}
        self.verdicts: list[bool] = []
        self.unfamiliar: Counter[int] = Counter()
        self._recording = recording
        self._targets = targets
        self._target_fields = _target_fields(recording, targets) if targets else 0
        self._feed = Feed(core, STREAM, rate_hz, has_targets=targets is not None, one_by_one=one_by_one)
        self._squares, self._scored = 0.0, 0

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
        step = max(1, min(BLOCK_VALUES // recording.columns, max(ENTRIES, recording.rows // MIN_LOOKS)))
        look_every = max(1, recording.rows // step // MAX_LOOKS) * step
        feed = self._feed
        for begin, part_end, part_seq in recording.parts():
            feed.skip(part_seq - feed.next_seq)
            for first in range(begin, part_end, step):
                end = min(first + step, part_end)
                seq, inputs, targets = feed.next_seq, recording.block(first, end), self._targets_of(first, end)
                estimates = feed.answer(inputs, targets)
                if targets is not None:
                    self._score(estimates, targets)
                if end % look_every == 0:
                    self._note(feed.look())
                yield Block(seq, inputs, estimates)
        self._note(feed.stop())

    def _note(self, status: Mapping[str, Any]) -> None:
        """Remember what a status says."""
        self._feed.remarks.clear()  # `warnings` sums up
        if status:
            self.last_status = status
            if status["familiar"] is not None:
                self.verdicts.append(status["familiar"])
                self.unfamiliar.update(status["unfamiliar_channels"])

    @property
    def familiar_share(self) -> float | None:
        """Share of the looks that could tell at which the signal was one that the model knows."""
        return sum(self.verdicts) / len(self.verdicts) if self.verdicts else None

    def unfamiliar_shares(self) -> dict[int, float]:
        """Return the channels that were out of the model's range, each with the share of checks that found it."""
        checks = len(self.verdicts)
        return {channel: count / checks for channel, count in sorted(self.unfamiliar.items())}

    def warnings(self) -> Iterator[str]:
        """Yield what is to be said of the estimates, once all blocks are through."""
        status, share = self.last_status, self.familiar_share
        if status["unusable"]:
            yield (
                f"{status['unusable']} sample(s) not finite or beyond 1e30 replaced by the channel's last value"
            )
        trouble = (status["learning"] or {}).get("trouble")
        if trouble is not None:
            yield f"learning did nothing: {trouble}"
        if share is not None and share < 1:
            cycle, step = status["cycle_samples"], status["samples_per_step"]
            is_slow_or_fast = cycle is None or not SHORTEST_CYCLE <= cycle / step <= LONGEST_CYCLE
            remedy = "; --nominal-hz may help" if is_slow_or_fast else ""
            yield f"out of the model's range in {100 * (1 - share):.0f} % of checks{remedy}"
        yield from self._channel_warnings()

    def _channel_warnings(self) -> Iterator[str]:
        shares = self.unfamiliar_shares()
        if shares and self.channels > 1:
            few = ", ".join(f"{channel} ({100 * share:.0f} %)" for channel, share in list(shares.items())[:10])
            more = f" and {len(shares) - 10} more" if len(shares) > 10 else ""
            yield (
                f"{len(shares)} of {self.channels} channels out of the model's range, in so many of the checks: "
                f"{few}{more}; their estimates are not to be trusted"
            )

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
