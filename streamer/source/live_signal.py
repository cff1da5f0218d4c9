"""A signal that comes in while it is published: what one thread reads, another says."""

import contextlib
import socket
from collections import deque
from threading import Condition
from typing import Any

import numpy as np

from streamer.messages import FloatArray
from streamer.waveforms import check_range
from streamer.wire import codec

MAX_VALUES = 2**18  # that wait to be published; who reads more of them waits


class LiveSignal:
    """Samples in the order in which they came.

    Parameters
    ----------
    rate_hz : float
    channels : int
    labels : tuple of str
        Names of the channels; none where they have none.
    chunk : int
        So many are published together, fewer before a gap and at the end.

    Attributes
    ----------
    error : Exception or None
        What ended it.
    """

    def __init__(self, rate_hz: float, channels: int, labels: tuple[str, ...] = (), chunk: int = 1) -> None:
        check_range("rate_hz", rate_hz, codec.MIN_RATE_HZ, codec.MAX_RATE_HZ)
        check_range("channels", channels, 1, codec.MAX_CHANNELS)
        self.rate_hz = rate_hz
        self.channels = channels
        self.labels = labels
        self.error: Exception | None = None
        self._chunk = chunk
        self._blocks: deque[tuple[int, FloatArray]] = deque()
        self._next_seq = self._waiting = 0
        self._is_closed = self._is_left = False
        self._changed = Condition()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """Readable once something has come."""
        return self._reader.fileno()

    @property
    def is_left(self) -> bool:
        """Whether nobody publishes any more."""
        return self._is_left

    # Who reads

    def put(self, values: FloatArray, missing: int = 0) -> bool:
        """Add samples [samples, channels], so many missing before them; return whether anybody wants more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting < MAX_VALUES or self._is_left)
            self._next_seq += missing
            self._blocks.append((self._next_seq, values))
            self._next_seq += len(values)
            self._waiting += values.size
        self._wake()
        return not self._is_left

    def close(self, error: Exception | None = None) -> None:
        """Let nothing follow."""
        with self._changed:
            self.error = error
            self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake; closed: nobody listens
            self._writer.send(b"\0")

    # Who publishes

    def leave(self) -> None:
        """Want no more."""
        with self._changed:
            self._is_left = True
            self._changed.notify_all()
        self._reader.close()
        self._writer.close()

    def about(self) -> dict[str, Any]:
        """Return which signal it is: none that could be said again."""
        return {}

    def stretch(self, _seq: int) -> tuple[int, int] | None:
        """Return begin and end of the next samples that have come together; None until a message is full."""
        with contextlib.suppress(OSError):
            while self._reader.recv(4096):
                pass
        with self._changed:
            if not self._blocks:
                return None
            begin = end = self._blocks[0][0]
            for first, values in self._blocks:
                if first != end:
                    return begin, end
                end += len(values)
                if end - begin >= self._chunk:
                    return begin, end
            return (begin, end) if self._is_closed else None

    def ends(self, _seq: int) -> bool:
        """Whether nothing follows."""
        with self._changed:
            return self._is_closed and not self._blocks

    def samples(self, _seq: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Take the next samples as inputs [count, channels, 1], and targets without a field."""
        taken: list[FloatArray] = []
        with self._changed:
            while count:
                seq, values = self._blocks.popleft()
                if len(values) > count:
                    self._blocks.appendleft((seq + count, values[count:]))
                taken.append(values[:count])
                count -= len(taken[-1])
                self._waiting -= taken[-1].size
            self._changed.notify_all()
        inputs = np.concatenate(taken)[..., None]
        return inputs, inputs[..., :0]
