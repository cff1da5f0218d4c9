"""Large messages on their way: ZeroMQ tells when it has let go of each, so their bytes are known exactly."""

from collections import deque

import zmq

from streamer.transport.frames import AnySocket

LARGE_BYTES = 8_192  # from here on counted one by one


class InFlight:
    """What a socket's large messages take until all they are for have them.

    Parameters
    ----------
    limit_bytes : int
        One message always has room.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._held: deque[tuple[zmq.MessageTracker, int]] = deque()
        self.bytes = 0

    def pressed(self) -> bool:
        """Return whether three quarters of the limit were used when it was last looked; from any thread."""
        return 4 * self.bytes > 3 * self.limit_bytes

    def has_room(self, size: int) -> bool:
        """Return whether a message may be sent now."""
        if 2 * (self.bytes + size) > self.limit_bytes:
            self._settle()
        return not self.bytes or self.bytes + size <= self.limit_bytes

    def send(self, socket: AnySocket, payload: bytes) -> None:
        """Send the last part of a message."""
        tracker = socket.send(payload, copy=False, track=True)
        if tracker is not None:
            self._held.append((tracker, len(payload)))
            self.bytes += len(payload)

    def _settle(self) -> None:
        for _ in range(len(self._held)):
            tracker, size = self._held.popleft()
            if tracker.done:
                self.bytes -= size
            else:
                self._held.append((tracker, size))
