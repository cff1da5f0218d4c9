"""A bare pyzmq process in the predictor's place: what the sockets alone cost.

`python -m predictor.bench.echo BIND SOURCE...` forwards every message as it came; where it publishes, it
says on standard error.
"""

import sys

import zmq

from predictor.early_exit import leave_at_once_on_signals
from streamer.transport.transport import HIGH_WATER_MARK, SHORT_HIGH_WATER_MARK


def main(bind: str, sources: list[str]) -> None:
    """Forward messages until killed."""
    context = zmq.Context()
    receiver, sender = context.socket(zmq.SUB), context.socket(zmq.XPUB)
    receiver.setsockopt(zmq.RCVHWM, SHORT_HIGH_WATER_MARK)
    receiver.setsockopt(zmq.SUBSCRIBE, b"input/")
    sender.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
    sender.bind(bind)
    sys.stderr.write(f"publishing on {sender.getsockopt_string(zmq.LAST_ENDPOINT)}\n")
    sys.stderr.flush()
    for source in sources:
        receiver.connect(source)
    while True:
        sender.send_multipart(receiver.recv_multipart())


if __name__ == "__main__":
    leave_at_once_on_signals()
    main(sys.argv[1], sys.argv[2:])
