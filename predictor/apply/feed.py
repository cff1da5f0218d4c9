"""One stream said to a predictor's core without sockets, on the signal's own time: samples in, estimates out."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from predictor.daemon.core import Predictor
from predictor.engine.blas import one_thread
from streamer.clock import Instant
from streamer.effects import Effect, Say, Send
from streamer.messages import Chunk, FloatArray, Gone, Incoming, Kind, Status

RUN = 1
BLOCK_VALUES = 8_192  # answered at once: a signal or a progress bar waits no longer than for these


@contextmanager
def daemon_arithmetic() -> Iterator[None]:
    """Calculate with the bits of the daemon, which multiplies on one thread, and without floating-point warnings.

    Values are checked, and OpenBLAS raises flags for what lies past its operands, too.
    """
    with np.errstate(all="ignore"), one_thread():
        yield


class Feed:
    """Publishes samples to a core as a source would, and takes its estimates.

    Parameters
    ----------
    core : Predictor
    stream : str
        Name of the stream.
    rate_hz : float
        Samples a second; 0 where that is not known.
    has_targets : bool
        Whether targets come with the samples.
    one_by_one : bool
        Send each sample alone and its target after it, as a source does by default. A core that learns from
        targets estimates otherwise where many come at once; any other estimates the same, and sooner.

    Attributes
    ----------
    next_seq : int
        Index of the next sample.
    remarks : list of Say
        What the core has said to its operator and nobody has taken out of here yet.
    """

    def __init__(
        self, core: Predictor, stream: str, rate_hz: float, *, has_targets: bool, one_by_one: bool
    ) -> None:
        self.next_seq = 0
        self.remarks: list[Say] = []
        self._core = core
        self._stream = stream
        self._rate_hz = rate_hz
        self._kinds = (Kind.INPUT, Kind.TARGET) if has_targets else (Kind.INPUT,)
        self._one_by_one = one_by_one
        self._sent_to = 0  # one past the last sample that was sent, or said to be gone

    def go_on(self, sent_to: int, next_seq: int) -> None:
        """Go on where an earlier feed was, which had sent samples up to `sent_to`."""
        self._sent_to, self.next_seq = sent_to, next_seq

    def skip(self, samples: int) -> None:
        """Leave out so many samples: they are missing."""
        self.next_seq += samples

    def answer(self, inputs: FloatArray, targets: FloatArray | None = None) -> FloatArray:
        """Return the estimates [samples, channels, fields] of the next samples.

        Parameters
        ----------
        inputs : float32 array, shape (samples, channels)
            At least one sample. It must not change afterwards.
        targets : float32 array, shape (samples, channels, fields), or None
            NaN where they are not known.
        """
        return np.concatenate(list(self._answers(inputs, targets)))

    def _answers(self, inputs: FloatArray, targets: FloatArray | None) -> Iterator[FloatArray]:
        step = 1 if self._one_by_one else len(inputs)
        for first in range(0, len(inputs), step):
            piece = slice(first, first + step)
            messages: list[Incoming] = [self._chunk(Kind.INPUT, inputs[piece, :, None])]
            if targets is not None:
                messages.append(self._chunk(Kind.TARGET, targets[piece]))
            messages += self._gone()
            self.next_seq = self._sent_to = self.next_seq + len(inputs[piece])
            now = self._instant(self.next_seq - 1)
            yield from self._estimates(self._core.receive(messages, now))
            yield from self._estimates(self._core.catch_up(now))

    def look(self) -> Mapping[str, Any]:
        """Let the core look at what is due by now; return the body of the stream's status, empty without one."""
        return self._status(self._core.tick(self._instant(self.next_seq)))

    def stop(self) -> Mapping[str, Any]:
        """End; return the body of the stream's last status."""
        return self._status(self._core.stop(self._instant(self.next_seq)))

    def _gone(self) -> list[Gone]:
        """Return what a source would answer who asks for the samples that are missing before the next one."""
        missing = self.next_seq - self._sent_to
        return [Gone(kind, self._stream, RUN, self._sent_to, missing) for kind in self._kinds] if missing else []

    def _status(self, effects: Iterable[Effect]) -> Mapping[str, Any]:
        body: Mapping[str, Any] = {}
        for effect in self._heeded(effects):
            match effect:
                case Send(Status(stream=name, body=said)) if name == self._stream:
                    body = said
        return body

    def _estimates(self, effects: Iterable[Effect]) -> Iterator[FloatArray]:
        for effect in self._heeded(effects):
            match effect:
                case Send(Chunk(kind=Kind.ESTIMATE, values=values)):
                    yield values

    def _heeded(self, effects: Iterable[Effect]) -> Iterator[Effect]:
        for effect in effects:
            if isinstance(effect, Say):
                self.remarks.append(effect)
            else:
                yield effect

    def _chunk(self, kind: Kind, values: FloatArray) -> Chunk:
        seq = self.next_seq
        return Chunk(kind, self._stream, RUN, seq, self._time_ns(seq), self._rate_hz, values)

    def _time_ns(self, seq: int) -> int:
        return round(seq * 1e9 / self._rate_hz) if self._rate_hz else 0

    def _instant(self, seq: int) -> Instant:
        return Instant(self._time_ns(seq), self._time_ns(seq))
