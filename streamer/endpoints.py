"""Sockets, bound and connected with every limit in place: set later, a first peer would get by without."""

import errno
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import zmq

from streamer.addresses import EXAMPLE, check_address, check_private, in_use
from streamer.errors import AddressError
from streamer.frames import AnySocket
from streamer.keys import Keys

if TYPE_CHECKING:
    from streamer.curve import Guard

RECONNECT_MS = 50
HANDSHAKE_MS = 5_000  # for a peer to say who it is
# A machine that has gone is noticed within 11 s. ZeroMQ's own heartbeats would be dangerous: where a full queue
# has stopped a socket's input and the peer hangs up, the next one, of either side, fails an assertion that ends
# the process (libzmq 4.3.5, issues 4364 and 4767).
KEEP_ALIVE = {
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 5,
    zmq.TCP_KEEPALIVE_INTVL: 2,
    zmq.TCP_KEEPALIVE_CNT: 3,
}
REBIND_TRIES, REBIND_MS = 100, 10

# For the same reason nobody whom we did not choose may be able to fill a queue.
NEVER_FULL = {zmq.RCVHWM: 0}

Options = Mapping[zmq.SocketOption, int]


class Endpoints:
    """A process's ZeroMQ context, and the sockets it makes in it.

    Parameters
    ----------
    keys : Keys or None
        Encrypt, prove who this is, and let in only who is authorised.
    insecure : bool
        Without keys, talk beyond this machine all the same.

    Raises
    ------
    FileError
        If an authorised key cannot be read.
    """

    def __init__(self, keys: Keys | None, *, insecure: bool) -> None:
        self._context = zmq.Context()
        self._exposed = insecure or keys is not None
        self._guard: Guard | None = None
        if keys is not None:
            try:
                self._guard = _guard(self._context, keys)
            except BaseException:
                self._context.destroy(0)
                raise

    def bound(self, kind: int, address: str, options: Options) -> AnySocket:
        """Return a socket that is bound to `address`.

        Raises
        ------
        AddressError
            If the address is malformed or in use, or leads beyond this machine without keys.
        """
        self._check("bind", address)
        socket = self._socket(kind, options)
        if self._guard is not None:
            self._guard.serve(socket)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise _address_error("bind", address, error) from None
        return socket

    def bound_again(self, kind: int, address: str, options: Options) -> AnySocket:
        """Bind where this process's own socket was closed a moment ago: ZeroMQ closes in the background."""
        for _ in range(REBIND_TRIES):
            try:
                return self.bound(kind, address, options)
            except AddressError:
                zmq.zmq_poll([], REBIND_MS)
        return self.bound(kind, address, options)

    def connected(
        self, kind: int, addresses: Sequence[str], options: Options, topics: Sequence[bytes] = ()
    ) -> AnySocket:
        """Return a socket that connects to `addresses`, and subscribes to `topics` in the order given.

        Raises
        ------
        AddressError
            If an address is malformed, or leads beyond this machine without keys.
        FileError
            If a peer's key is missing or cannot be read.
        """
        socket = self._socket(kind, {zmq.LINGER: 0, zmq.RECONNECT_IVL: RECONNECT_MS, **options})
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
        return socket

    def _socket(self, kind: int, options: Options) -> AnySocket:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        for option, value in {**KEEP_ALIVE, **options}.items():
            socket.setsockopt(option, value)
        return socket

    def _check(self, verb: str, address: str) -> None:
        check_address(verb, address)
        if not self._exposed:
            check_private(verb, address)

    def prove(self, endpoint: str, kind: int) -> None:
        """If there are keys, make sure that a stranger's socket of `kind` is turned away at `endpoint`.

        Raises
        ------
        AddressError
            If a stranger is not.
        """
        if self._guard is not None:
            self._guard.prove(endpoint, kind)

    def reload(self) -> int | None:
        """Read the authorised keys again; return how many there are, or None without keys.

        Raises
        ------
        FileError
            If a key cannot be read; the old ones stay.
        """
        return None if self._guard is None else self._guard.reload()

    def close(self, linger_ms: int | None = None) -> None:
        """Close every socket: at once after `linger_ms`, or each as it was made to."""
        if self._guard is not None:
            self._guard.close()
        self._context.destroy(linger_ms)


def endpoint(socket: AnySocket) -> str:
    """Return where a socket is bound, its port chosen."""
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def _guard(context: "zmq.Context[AnySocket]", keys: Keys) -> "Guard":
    # Here and not above: the authenticator brings asyncio, which nobody else needs.
    from streamer.curve import Guard

    return Guard(context, keys)


def _address_error(verb: str, address: str, error: zmq.ZMQError) -> AddressError:
    if error.errno == errno.EADDRINUSE:
        return in_use(address)
    reason = str(error.strerror or error).partition(" (addr=")[0]
    return AddressError(f"cannot {verb} {address!r}: {reason}; {EXAMPLE}")
