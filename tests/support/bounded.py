"""ZeroMQ contexts whose sockets never wait for ever."""

import zmq

BOUND_MS = 60_000  # a call that takes longer raises zmq.Again


def bounded_context() -> zmq.Context[zmq.Socket[bytes]]:
    """Return a context whose sockets raise rather than wait for ever, and drop what is unsent when closed."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.sndtimeo = context.rcvtimeo = BOUND_MS
    context.linger = 0
    return context
