"""CurveZMQ: who may connect is decided before a byte of theirs is looked at.

ZeroMQ lets any key in where nobody answers its authentication protocol (ZAP), and asks nobody where the domain is
empty or not enforced. So the authenticator runs before anything is bound, the domain is set and enforced, and
before the first message a random key has to be turned away.
"""

import logging

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from streamer.errors import AddressError, FileError
from streamer.transport.addresses import is_ipv6
from streamer.transport.keys import Authorised, Keys

DOMAIN = b"sincos"
SELF_TEST_MS = 2_000

_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH
_LET_IN = zmq.EVENT_HANDSHAKE_SUCCEEDED

AnySocket = zmq.Socket[bytes]


class CurveAuth:
    """Sets a context's sockets up for CURVE, and answers who may connect to them.

    Parameters
    ----------
    context : zmq.Context
    keys : Keys

    Raises
    ------
    FileError
        If an authorised key cannot be read.
    """

    def __init__(self, context: "zmq.Context[AnySocket]", keys: Keys) -> None:
        self._keys = keys
        found = keys.authorised()
        if found.unreadable:
            raise FileError(found.unreadable[0])
        self.authorised = found.keys  # who may connect from now on
        quiet = logging.getLogger(__name__)
        quiet.setLevel(logging.CRITICAL)  # a stranger must not be able to fill the log
        self._authenticator = ThreadAuthenticator(context, log=quiet)
        self._authenticator.configure_curve_callback(DOMAIN.decode(), self)
        self._authenticator.start()

    def callback(self, domain: str, key: bytes) -> bool:  # noqa: ARG002 - as the authenticator calls it
        """Return whether a public key, in Z85, may connect."""
        return key in self.authorised

    def reload(self) -> Authorised:
        """Read the authorised keys again; return which there are. A key that cannot be read is none.

        Connections that exist are not asked again: rebuild the socket to be rid of who was removed.
        """
        found = self._keys.authorised()
        self.authorised = found.keys
        return found

    def serve(self, socket: AnySocket) -> None:
        """Make a socket, before it binds, demand authorised keys."""
        socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)

    def join(self, socket: AnySocket, address: str) -> None:
        """Make a socket, before it connects to who publishes at `address`, prove itself and demand proof.

        Raises
        ------
        FileError
            If the key of who has bound `address` is not known.
        """
        socket.setsockopt(zmq.CURVE_SERVERKEY, self._keys.server_key(address))
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)

    def self_test(self, endpoint: str, kind: int) -> None:
        """Knock at what was bound with a key that nobody knows.

        Parameters
        ----------
        endpoint : str
        kind : int
            Of a socket that may connect there: another is turned away whatever its key.

        Raises
        ------
        AddressError
            If it is not turned away in time.
        """
        if _probe(endpoint, self._keys.public, kind) != _REFUSED:
            raise AddressError(f"cannot guard {endpoint}: a random key was not turned away; nothing was published")

    def close(self) -> None:
        """Stop answering: nobody gets in any more."""
        self._authenticator.stop()


def _probe(endpoint: str, server_key: bytes, kind: int = zmq.SUB) -> int | None:
    """Try to connect as a stranger; return the event that ends the attempt, or None if nothing does in time."""
    public, secret = zmq.curve_keypair()
    reachable = _reachable(endpoint)
    with zmq.Context() as stranger, stranger.socket(kind) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, is_ipv6(reachable))
        socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
        monitor = socket.get_monitor_socket(_REFUSED | _LET_IN)
        socket.connect(reachable)
        event = int(recv_monitor_message(monitor)["event"]) if monitor.poll(SELF_TEST_MS) else None
        socket.disable_monitor()
        monitor.close(linger=0)
    return event


def _reachable(endpoint: str) -> str:
    """Return where an endpoint bound to all interfaces is reached from here."""
    return endpoint.replace("://0.0.0.0:", "://127.0.0.1:").replace("://[::]:", "://[::1]:")
