"""Whole messages in and out of a ZeroMQ socket, as their parts."""

import zmq

DRAIN_LIMIT = 1_000
DRAIN_BYTES = 2**22  # at once, and one message more
KEPT_PARTS = 5  # of a message: one too many is enough to refuse it

AnySocket = zmq.Socket[bytes]


def drain(socket: AnySocket, at_most: int = DRAIN_LIMIT) -> list[list[bytes]]:
    """Return what is waiting, each message as its parts."""
    said: list[list[bytes]] = []
    size_bytes = 0
    # Frames and not recv_multipart, which asks the socket after each part whether there is more: half of the time.
    receive = socket.recv
    try:
        while len(said) < at_most and size_bytes < DRAIN_BYTES:
            frame = receive(zmq.NOBLOCK, copy=False)
            parts = [frame.bytes]
            while frame.more:
                frame = receive(copy=False)
                if len(parts) < KEPT_PARTS:
                    parts.append(frame.bytes)
            said.append(parts)
            size_bytes += len(parts[-1])
    except zmq.Again:
        pass
    return said
