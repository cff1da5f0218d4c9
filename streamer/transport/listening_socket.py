"""Listening sockets of the system: bound once, and never closed while the process publishes.

ZeroMQ can drop the connections to a socket in one way only: the socket is closed. Were its port closed with it,
anybody could take that before it is bound again. So the port is ours, and each ZeroMQ socket in turn is handed a
duplicate of its file descriptor.
"""

import contextlib
import ctypes
import errno
import os
import socket
import stat
import struct
import sys
from pathlib import Path

import zmq

from streamer.errors import AddressError
from streamer.transport.addresses import EXAMPLE, check_address, in_use, replay_address, split_tcp

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
_DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # as a filter of packets: return 0
RECEIVE_BYTES = 8_192  # what the system takes of a connection before we look at it; readers send little
BACKLOG = 256  # connections that wait to be accepted
PORT_TRIES = 50  # for two free ports at the right distance


class Listener:
    """A socket of the system that listens at an address.

    Parameters
    ----------
    address : str
        ``tcp://HOST:PORT``, with port ``*`` for a free one, or ``ipc://PATH``.

    Raises
    ------
    AddressError
        If the address is malformed, in use, or not one of this machine.
    """

    def __init__(self, address: str) -> None:
        check_address("bind", address)
        self._file: tuple[Path, int] | None = None
        if address.startswith("ipc:"):
            self._socket = self._listen_at_path(address)
            self.address = address
        else:
            self._socket = _listen_at_port(address)
            self.address = _address_of(self._socket)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)  # connections inherit it
        self._socket.setblocking(False)

    def _listen_at_path(self, address: str) -> socket.socket:
        path = address.removeprefix("ipc://")
        listening = socket.socket(socket.AF_UNIX)
        try:
            if path.startswith("@"):  # a name that is in no file system
                listening.bind("\0" + path[1:])
            else:
                Path(path).unlink(missing_ok=True)  # left behind: `check_address` lets nothing else pass
                listening.bind(path)
                self._file = Path(path), Path(path).lstat().st_ino
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise _cannot_bind(address, error) from None
        return listening

    def duplicate(self) -> int:
        """Return a further descriptor of the socket, for a ZeroMQ socket to own.

        Raises
        ------
        AddressError
            If this process has too many open files.
        """
        try:
            return os.dup(self._socket.fileno())
        except OSError as error:
            raise _cannot_bind(self.address, error) from None

    def pause(self, paused: bool) -> None:
        """Let new connections over tcp wait, or let them in again; those that there are go on (Linux).

        The system drops what asks for a connection, and who asked does so again after a second.
        """
        if self._file is not None or not sys.platform.startswith("linux"):
            return
        if paused:
            program = struct.pack("HL", 1, ctypes.addressof(_DROP_ALL))
            self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        else:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    def accepted(self, connection: socket.socket) -> bool:
        """Return whether a connection was made to this address.

        Raises
        ------
        OSError
            If it is no socket.
        """
        if connection.family != self._socket.family:
            return False
        own, its = self._socket.getsockname(), connection.getsockname()
        return bool(own == its if connection.family == socket.AF_UNIX else own[1] == its[1])

    def close(self) -> None:
        """Listen no more, and remove the file that an ipc address made."""
        self._socket.close()
        file, self._file = self._file, None
        if file is None:
            return
        path, inode = file
        with contextlib.suppress(OSError):
            found = path.lstat()
            if found.st_ino == inode and stat.S_ISSOCK(found.st_mode):
                path.unlink()


def listen(address: str) -> Listener:
    """Return what listens at `address`."""
    return Listener(address)


def listen_with_replay(address: str) -> tuple[Listener, Listener]:
    """Return what listens at `address` and at the address for replays beside it.

    Where any port will do, pairs are tried until both ports are free.

    Raises
    ------
    AddressError
        If one of them cannot be bound.
    """
    tries = PORT_TRIES if address.endswith((":*", ":0")) else 1
    while True:
        tries -= 1
        listener = Listener(address)
        try:
            return listener, Listener(replay_address(listener.address))
        except AddressError as error:
            listener.close()
            if not tries:
                raise AddressError(f"{error}; who publishes at {listener.address} answers replays there") from None


def _listen_at_port(address: str) -> socket.socket:
    host, port = split_tcp(address)
    try:
        family, place = _place(host, 0 if port == "*" else int(port))
        listening = socket.socket(family)
    except OSError as error:
        raise _cannot_bind(address, error) from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        listening.bind(place)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _cannot_bind(address, error) from None
    return listening


def _place(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """Return where to bind: of an interface its IPv4 address, of a name IPv4 before IPv6."""
    if host == "*":
        host = "0.0.0.0"
    elif any(host == name for _, name in socket.if_nameindex()):
        host = _host_of_interface(host)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, place = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, place


def _host_of_interface(name: str) -> str:
    """Ask ZeroMQ, which knows them, for an interface's address."""
    with zmq.Context() as context, context.socket(zmq.PUB) as probe:
        try:
            probe.bind(f"tcp://{name}:0")
        except zmq.ZMQError as error:
            raise OSError(error.errno, str(error.strerror)) from None
        return split_tcp(probe.getsockopt_string(zmq.LAST_ENDPOINT))[0]


def _address_of(listening: socket.socket) -> str:
    host, port, *_ = listening.getsockname()
    return f"tcp://[{host}]:{port}" if listening.family == socket.AF_INET6 else f"tcp://{host}:{port}"


def _cannot_bind(address: str, error: OSError) -> AddressError:
    if error.errno == errno.EADDRINUSE:
        return in_use(address)
    return AddressError(f"cannot bind {address!r}: {error.strerror or error}; {EXAMPLE}")
