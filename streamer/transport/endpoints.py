"""Sockets, bound and connected with every limit in place: set later, a first peer would get by without."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import zmq

from streamer.errors import AddressError
from streamer.messages import Rejected, SlowReader
from streamer.transport.addresses import EXAMPLE, check_address, check_private, is_ipv6, replay_address
from streamer.transport.connection_guard import ConnectionGuard, Outgoing
from streamer.transport.connection_watch import ConnectionWatch, Lost
from streamer.transport.frames import AnySocket
from streamer.transport.inflow import InflowLimit
from streamer.transport.keys import Authorised, Keys
from streamer.transport.listening_socket import Listener, listen, listen_with_replay

if TYPE_CHECKING:
    from streamer.transport.curve import CurveAuth

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
        self._listeners: list[Listener] = []
        self._connection_states: ConnectionWatch | None = None
        self._connections: ConnectionGuard | None = None
        self._guard: CurveAuth | None = None
        if keys is not None:
            try:
                self._guard = _guard(self._context, keys)
            except BaseException:
                self._context.destroy(0)
                raise

    def listen(self, address: str) -> Listener:
        """Return a socket of the system that listens at `address`, until `close`.

        Raises
        ------
        AddressError
            If the address is malformed or in use, or leads beyond this machine without keys.
        """
        self._check("bind", address)
        listener = listen(address)
        self._listeners.append(listener)
        return listener

    def listen_with_replay(self, address: str) -> tuple[Listener, Listener]:
        """Return what listens at `address`, and what listens where samples are asked for again.

        Raises
        ------
        AddressError
            As `listen`, of either address.
        """
        self._check("bind", address)
        pair = listen_with_replay(address)
        self._listeners += pair
        return pair

    def serving(
        self, kind: int, listener: Listener, options: Options, limit: InflowLimit, outgoing: Outgoing
    ) -> AnySocket:
        """Return a ZeroMQ socket that takes the connections of a listener, like those before it.

        Who sends more than `limit` allows is cut off, and who takes too little, where the system tells (Linux).

        Raises
        ------
        AddressError
            If the system gives no more descriptors.
        """
        try:
            socket = self._socket(kind, options)
        except zmq.ZMQError as error:
            raise _address_error("bind", listener.address, error) from None
        if self._guard is not None:
            self._guard.serve(socket)
        if ConnectionGuard.available:
            self._connections = self._connections or ConnectionGuard(self._context)
            self._connections.watch(socket, listener, limit, outgoing)
        try:
            socket.setsockopt(zmq.USE_FD, listener.duplicate())
            socket.bind(listener.address)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise _address_error("bind", listener.address, error) from None
        except AddressError:
            socket.close(linger=0)
            raise
        return socket

    def watch(self, flags: Mapping[str, str] | None, heard: Callable[[], bool]) -> ConnectionWatch:
        """Return what watches the connections that are made from now on, once it is started.

        Parameters
        ----------
        flags : mapping or None
            The flag of each address that will be connected to; then the log says who is not there.
        heard : callable
            Return whether anything was heard.
        """
        self._connection_states = ConnectionWatch(self._context, flags, heard)
        return self._connection_states

    def connected_beside(self, kind: int, address: str, options: Options) -> AnySocket:
        """Return a socket that connects to where who publishes at `address` is asked for samples again.

        Raises
        ------
        AddressError, FileError
            As `connected`.
        """
        socket = self._connecting(kind, options)
        beside = replay_address(address)
        if self._connection_states is not None:
            self._connection_states.add_beside(socket, beside, address)
        self._connect(socket, beside, publishes_at=address)
        return socket

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
        socket = self._connecting(kind, options)
        for prefix in topics:
            socket.setsockopt(zmq.SUBSCRIBE, prefix)
        if self._connection_states is not None:
            self._connection_states.add(socket, addresses)
        for address in addresses:
            self._connect(socket, address, publishes_at=address)
        return socket

    def connect_again(self, lost: Lost) -> None:
        """Make a connection anew that ZeroMQ has given up; the peer's key is read again.

        Raises
        ------
        AddressError, FileError
            As `connected`.
        """
        with contextlib.suppress(zmq.ZMQError):  # it is not connected where this failed before
            lost.socket.disconnect(lost.address)
        self._connect(lost.socket, lost.address, publishes_at=lost.publishes_at)

    def _connecting(self, kind: int, options: Options) -> AnySocket:
        return self._socket(kind, {zmq.LINGER: 0, zmq.RECONNECT_IVL: RECONNECT_MS, **options})

    def _connect(self, socket: AnySocket, address: str, *, publishes_at: str) -> None:
        self._check("connect", address)
        if self._guard is not None:
            self._guard.join(socket, publishes_at)
        socket.setsockopt(zmq.IPV6, is_ipv6(address))  # a name or IPv4 address is none of IPv6
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            raise _address_error("connect", address, error) from None

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

    def self_test(self, endpoint: str, kind: int) -> None:
        """If there are keys, make sure that a stranger's socket of `kind` is turned away at `endpoint`.

        Raises
        ------
        AddressError
            If a stranger is not.
        """
        if self._guard is not None:
            self._guard.self_test(endpoint, kind)

    def look_out(self, held_s: float = 0.0) -> bool:
        """Have somebody look at what waits for readers; return whether there is anybody who can."""
        if self._connections is None:
            return False
        self._connections.look(held_s)
        return True

    def cut_off(self) -> list[Rejected | SlowReader]:
        """Return, once, which connections were cut off and why."""
        return self._connections.reports() if self._connections is not None else []

    @contextlib.contextmanager
    def reloaded(self) -> Iterator[Authorised | None]:
        """Read the authorised keys again; yield which there are, or None without keys.

        Where the block fails, the old keys are in force again.
        """
        if self._guard is None:
            yield None
            return
        before = self._guard.authorised
        try:
            yield self._guard.reload()
        except BaseException:
            self._guard.authorised = before
            raise

    def close(self, linger_ms: int | None = None) -> None:
        """Close every socket: at once after `linger_ms`, or each as it was made to."""
        if self._connection_states is not None:
            self._connection_states.close()
            self._connection_states = None
        for listener in self._listeners:  # first, so that nobody waits to be let in meanwhile
            listener.close()
        if self._guard is not None:
            self._guard.close()
        if self._connections is not None:
            self._connections.close()
            self._connections = None
        self._context.destroy(linger_ms)


def _guard(context: "zmq.Context[AnySocket]", keys: Keys) -> "CurveAuth":
    # Here and not above: the authenticator brings asyncio, which nobody else needs.
    from streamer.transport.curve import CurveAuth

    return CurveAuth(context, keys)


def _address_error(verb: str, address: str, error: zmq.ZMQError) -> AddressError:
    reason = str(error.strerror or error).partition(" (addr=")[0]
    return AddressError(f"cannot {verb} {address!r}: {reason}; {EXAMPLE}")
