"""A reader that does not read costs a bounded number of bytes, whatever the size of messages."""

import numpy as np
import zmq

from streamer.messages import Chunk, Kind
from streamer.sockets import Transport

SENT = 1000
LOOPBACK_MESSAGES = 150  # what the system's own buffers may take: some 18 MiB


def test_large_messages_wait_for_a_reader_only_up_to_the_limit() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    reader = context.socket(zmq.SUB)
    reader.setsockopt(zmq.RCVHWM, 1)
    reader.setsockopt(zmq.RCVBUF, 2**16)
    reader.setsockopt(zmq.SUBSCRIBE, b"")
    try:
        with Transport(bind="tcp://127.0.0.1:*", queue_bytes=2**21) as transport:
            assert transport.address is not None
            reader.connect(transport.address)
            assert transport.wait(10_000)
            transport.receive()
            values = np.zeros((1, 2**14, 2), np.float32)  # 128 KiB
            for seq in range(SENT):
                transport.send(Chunk(Kind.ESTIMATE, "demo", 1, seq, 0, 100.0, values))
            came = 0
            while reader.poll(1000):
                reader.recv_multipart()
                came += 1
            assert 0 < came < 16 + LOOPBACK_MESSAGES
    finally:
        context.destroy(0)
