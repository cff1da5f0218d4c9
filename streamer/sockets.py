"""ZeroMQ behind one Transport: messages in and out, never bytes."""

import errno
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import zmq

from streamer import bursts, wire
from streamer.addresses import EXAMPLE, check_address, check_private, in_use
from streamer.errors import AddressError
from streamer.keys import Keys
from streamer.messages import Burst, Incoming, Message, Rejected, Subscription

if TYPE_CHECKING:
    from streamer.curve import Guard

SOURCE_ADDRESS = "tcp://127.0.0.1:5555"
PREDICTOR_ADDRESS = "tcp://127.0.0.1:5556"

# Messages a slow subscriber may fall behind before it loses some: 20 s of one-sample messages at 1 kHz.
HIGH_WATER_MARK = 20_000
# ZeroMQ lets a full queue fill again only once half of it was taken. Where the sender waits for that, both
# sides' queues are short, or a reader of 4,000 messages a second would pass for stalled.
SHORT_HIGH_WATER_MARK = 1_000
# Frames past the protocol's limit are still read and counted; far past it the peer is cut off.
MAX_FRAME_BYTES = 2 * wire.MAX_PAYLOAD_BYTES
# A subscription is memory here, some 80 bytes for each of its own.
MAX_SUBSCRIPTION_BYTES = 512  # CURVE's handshake, which the limit holds for as well, needs half of it
MAX_SUBSCRIBED_BYTES = 2**20  # in all: 10,000 listeners to one stream each, or one to each of 10,000
LINGER_MS = 1_000
PATIENT_LINGER_MS = 60_000
STALL_MS = 1_000
RECONNECT_MS = 50
REBIND_TRIES, REBIND_MS = 100, 10
DRAIN_LIMIT = 1_000
KEPT_PARTS = 4  # of a message: one too many is enough to refuse it


class HasFileno(Protocol):
    """Anything a poller can watch."""

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...


class Transport:
    """One process's sockets: an XPUB where it binds, a SUB where it connects.

    Parameters
    ----------
    bind : str or None
        Address to publish on, for example ``tcp://127.0.0.1:5555``; port ``*`` takes a free one.
    connect : sequence of str
        Addresses to listen to.
    topics : sequence of bytes
        Topic prefixes to subscribe to.
    watch : sequence of objects with a file descriptor
        Further things whose readiness ends `wait`.
    back_pressure : bool
        Let `send` wait for slow subscribers rather than drop what they cannot take, until one stalls.
    together : bool
        Let `receive` hand over neighbouring chunks of a stream as a `Burst`.
    keys : Keys or None
        Encrypt, prove who this is, and let in only who is authorised.
    insecure : bool
        Without keys, talk beyond this machine all the same.

    Raises
    ------
    AddressError
        If an address is malformed or in use, or leads beyond this machine without keys.
    FileError
        If a peer's key is missing or cannot be read.
    """

    def __init__(
        self,
        bind: str | None = None,
        connect: Sequence[str] = (),
        topics: Sequence[bytes] = (),
        watch: Sequence[HasFileno] = (),
        *,
        back_pressure: bool = False,
        together: bool = False,
        keys: Keys | None = None,
        insecure: bool = False,
    ) -> None:
        self._decode = bursts.decode if together else bursts.decode_each
        self._context = zmq.Context()
        self._exposed = insecure or keys is not None
        self._back_pressure = back_pressure
        self._guard: Guard | None = None
        self._subscribed_bytes = 0
        self._poller = zmq.Poller()
        self._watched = zmq.Poller()
        self._pub: zmq.Socket[bytes] | None = None
        self._sub: zmq.Socket[bytes] | None = None
        self._heard_something = False
        self.address = bind
        try:
            if keys is not None:
                self._guard = _guard(self._context, keys)
            if bind is not None:
                self._pub = self._publisher(bind)
                self.address = self._pub.getsockopt_string(zmq.LAST_ENDPOINT)
                if self._guard is not None:
                    self._guard.prove(self.address)
            if connect:
                self.connect(connect, topics)
        except BaseException:
            self._destroy(linger=0)
            raise
        for item in watch:
            self._poller.register(item.fileno(), zmq.POLLIN)
            self._watched.register(item.fileno(), zmq.POLLIN)

    def _publisher(self, address: str) -> "zmq.Socket[bytes]":
        self._check("bind", address)
        back_pressure = self._back_pressure
        socket = self._context.socket(zmq.XPUB)
        socket.setsockopt(zmq.SNDHWM, SHORT_HIGH_WATER_MARK if back_pressure else HIGH_WATER_MARK)
        socket.setsockopt(zmq.LINGER, PATIENT_LINGER_MS if back_pressure else LINGER_MS)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)  # nothing else comes in here
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # every listener's coming and going, not only the first's
        socket.setsockopt(zmq.XPUB_NODROP, back_pressure)
        socket.setsockopt(zmq.SNDTIMEO, STALL_MS)
        if self._guard is not None:
            self._guard.serve(socket)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise _address_error("bind", address, error) from None
        self._poller.register(socket, zmq.POLLIN)
        return socket

    def _publisher_again(self, address: str) -> "zmq.Socket[bytes]":
        """Bind where this process's own socket was closed a moment ago: ZeroMQ closes in the background."""
        for _ in range(REBIND_TRIES):
            try:
                return self._publisher(address)
            except AddressError:
                zmq.zmq_poll([], REBIND_MS)
        return self._publisher(address)

    def _subscriber(self, addresses: Sequence[str], topics: Sequence[bytes]) -> "zmq.Socket[bytes]":
        socket = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, SHORT_HIGH_WATER_MARK)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        # In the order given: a source that waits for the last topic has then heard of the others.
        for prefix in topics:
            socket.setsockopt(zmq.SUBSCRIBE, prefix)
        for address in addresses:
            self._check("connect", address)
            if self._guard is not None:
                self._guard.join(socket, address)
            try:
                socket.connect(address)
            except zmq.ZMQError as error:
                raise _address_error("connect", address, error) from None
        self._poller.register(socket, zmq.POLLIN)
        return socket

    def _check(self, verb: str, address: str) -> None:
        check_address(verb, address)
        if not self._exposed:
            check_private(verb, address)

    def connect(self, addresses: Sequence[str], topics: Sequence[bytes]) -> None:
        """Listen to `addresses` from now on; once, here or at construction."""
        self._sub = self._subscriber(addresses, topics)

    def wait(self, timeout_ms: int | None) -> bool:
        """Wait until something is ready; return whether anything is. None waits without limit."""
        ready = self._poller.poll(timeout_ms)
        self._heard_something = any(socket is self._sub for socket, _ in ready)
        return bool(ready)

    def receive(self) -> list[Incoming]:
        """Return what is waiting, oldest first, up to a bound that keeps the shell responsive.

        The message that ended a wait comes alone, and at once: to ask for more costs two calls of the system when
        there is none, and is not put off for long.
        """
        if self._heard_something and self._sub is not None:
            self._heard_something = False
            return self._decode(_drain(self._sub, at_most=1))
        messages: list[Incoming] = []
        if self._pub is not None:
            messages += filter(None, map(self._subscription, _drain(self._pub)))
            if self._subscribed_bytes > MAX_SUBSCRIBED_BYTES:
                messages.append(Rejected(f"subscriptions: at most {MAX_SUBSCRIBED_BYTES} bytes; all were dropped"))
                self._rebuild()
        if self._sub is not None:
            messages += self._decode(_drain(self._sub))
        return messages

    def send(self, message: Message | Burst) -> None:
        """Publish. A subscriber that has fallen too far behind loses the message."""
        if self._pub is None:
            raise RuntimeError("this transport binds no address")
        if isinstance(message, Burst):
            for parts in bursts.encode(message):
                self._send(self._pub, *parts)
        else:
            self._send(self._pub, *wire.encode(message))

    def _send(self, pub: "zmq.Socket[bytes]", topic: bytes, header: bytes, payload: bytes) -> None:
        # send and not send_multipart, which looks at every part first: a third of the time.
        try:
            pub.send(topic, zmq.SNDMORE)
        except zmq.Again:
            # Under back pressure, somebody took nothing for STALL_MS: from here on nobody waits for anybody.
            pub.setsockopt(zmq.XPUB_NODROP, 0)
            pub.send(topic, zmq.SNDMORE)
        pub.send(header, zmq.SNDMORE)
        pub.send(payload)

    def reload(self) -> int | None:
        """Read the authorised keys again and turn away who is no longer among them; return how many there are.

        The publishing socket is closed and bound anew, since a connection is only asked for its key when it is
        made: listeners that are still welcome come back by themselves and may miss what is said meanwhile.

        Raises
        ------
        FileError
            If a key cannot be read; everything stays as it was.
        """
        if self._guard is None:
            return None
        count = self._guard.reload()
        self._rebuild()
        return count

    def _rebuild(self) -> None:
        """Close the publishing socket, with all connections to it, and bind it anew."""
        if self._pub is None or self.address is None:
            return
        self._poller.unregister(self._pub)
        self._pub.close()
        self._pub = None
        self._subscribed_bytes = 0
        self._pub = self._publisher_again(self.address)

    def _subscription(self, parts: list[bytes]) -> Subscription | None:
        frame = parts[0]
        if len(parts) != 1 or frame[:1] not in (b"\0", b"\1"):
            return None  # an XPUB also hands up whatever else a subscriber sends; nobody has to
        active = frame[:1] == b"\1"
        self._subscribed_bytes += len(frame) if active else -len(frame)
        return Subscription(frame[1:], active=active)

    def close(self) -> None:
        """Flush what was sent and close: within a second, or patiently under back pressure unless hurried.

        What `watch` holds hurries: before, by being readable, or meanwhile, by a signal.
        """
        hurried = self._watched.sockets and self._watched.poll(0)
        if hurried and self._pub is not None and not self._pub.closed:
            self._pub.setsockopt(zmq.LINGER, LINGER_MS)
        self._destroy()

    def _destroy(self, linger: int | None = None) -> None:
        if self._guard is not None:
            self._guard.close()
        self._context.destroy(linger)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _drain(socket: "zmq.Socket[bytes]", at_most: int = DRAIN_LIMIT) -> list[list[bytes]]:
    """Return what is waiting, each message as its parts."""
    said: list[list[bytes]] = []
    # Frames and not recv_multipart, which asks the socket after each part whether there is more: half of the time.
    receive = socket.recv
    try:
        while len(said) < at_most:
            frame = receive(zmq.NOBLOCK, copy=False)
            parts = [frame.bytes]
            while frame.more:
                frame = receive(copy=False)
                if len(parts) < KEPT_PARTS:
                    parts.append(frame.bytes)
            said.append(parts)
    except zmq.Again:
        pass
    return said


def _guard(context: "zmq.Context[zmq.Socket[bytes]]", keys: Keys) -> "Guard":
    # Here and not above: the authenticator brings asyncio, which nobody else needs.
    from streamer.curve import Guard

    return Guard(context, keys)


def _address_error(verb: str, address: str, error: zmq.ZMQError) -> AddressError:
    if error.errno == errno.EADDRINUSE:
        return in_use(address)
    reason = str(error.strerror or error).partition(" (addr=")[0]
    return AddressError(f"cannot {verb} {address!r}: {reason}; {EXAMPLE}")
