"""Addresses an operator may choose, checked before ZeroMQ takes them too literally.

ZeroMQ binds port 99999 as 34463, and on `ipc://PATH` deletes whatever lies at PATH: a stranger's live socket,
or a file.
"""

import ipaddress
import socket
from pathlib import Path

from streamer.errors import AddressError

MAX_PORTS = 65_536
REPLAY_PORTS_ON = 1_000
EXAMPLE = "give for example tcp://127.0.0.1:5555 or ipc:///tmp/sincos"


def check_address(verb: str, address: str) -> None:
    """Raise AddressError unless one can try to `verb` ("bind" or "connect") `address`.

    Parameters
    ----------
    verb : str
    address : str
        ``tcp://HOST:PORT``, to bind also with port ``*`` for a free one, or ``ipc://PATH``.
    """
    scheme, _, rest = address.partition("://")
    if scheme not in ("tcp", "ipc") or not rest or not address.isprintable():
        raise AddressError(f"cannot {verb} {address!r}: not tcp://HOST:PORT or ipc://PATH; {EXAMPLE}")
    if scheme == "tcp":
        _check_host(verb, address)
        _check_port(verb, address, rest.rpartition(":")[2])
    elif rest == "*":
        raise AddressError(f"cannot {verb} {address!r}: a path is needed; {EXAMPLE}")
    elif verb == "bind" and not rest.startswith("@"):  # @ names a socket that is in no file system
        _check_path(address, Path(rest))


def split_tcp(address: str) -> tuple[str, str]:
    """Return host, without the brackets of IPv6, and port of a tcp address."""
    host, _, port = address.partition("://")[2].rpartition(":")
    return host.removeprefix("[").removesuffix("]"), port


def is_ipv6(address: str) -> bool:
    """Return whether an address names an IPv6 address, as in ``tcp://[::1]:5555``."""
    return address.startswith("tcp:") and ":" in split_tcp(address)[0]


def replay_address(address: str) -> str:
    """Return where who publishes at `address` answers requests: 1,000 ports on (back, past the last), or beside.

    Parameters
    ----------
    address : str
        As `check_address` lets it pass, with a port.
    """
    if address.startswith("ipc:"):
        return f"{address}.replay"
    host, _, port = address.rpartition(":")
    on = int(port) + REPLAY_PORTS_ON
    return f"{host}:{on if on < MAX_PORTS else on - 2 * REPLAY_PORTS_ON}"


def check_private(verb: str, address: str) -> None:
    """Raise AddressError if `address`, already checked, leads beyond this machine."""
    if address.startswith("tcp:") and not _is_loopback(split_tcp(address)[0]):
        raise AddressError(
            f"cannot {verb} {address!r}: beyond this machine anybody could read or impersonate this process; "
            "give --keys DIR (see `sincos keys`), or --insecure where you trust the whole network"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, or an interface's


def _check_host(verb: str, address: str) -> None:
    """Refuse what could be taken for another host: an IPv6 address without its brackets."""
    host = address.partition("://")[2].rpartition(":")[0]
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise AddressError(
            f"cannot {verb} {address!r}: an IPv6 address stands in brackets, as in tcp://[::1]:5555; {EXAMPLE}"
        )
    if bracketed:
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise AddressError(f"cannot {verb} {address!r}: not an IPv6 address in brackets; {EXAMPLE}") from None


def _check_port(verb: str, address: str, port: str) -> None:
    if verb == "bind" and port == "*":
        return
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < MAX_PORTS):
        raise AddressError(f"cannot {verb} {address!r}: the port must be 0 to 65535, got {port!r}; {EXAMPLE}")


def _check_path(address: str, path: Path) -> None:
    if not path.exists():
        return
    if not path.is_socket():
        raise AddressError(f"cannot bind {address!r}: there is a file of that name; choose another path")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            pass  # somebody listens there, and has more to accept than fits
        except OSError:
            return  # left behind by a process that has gone
    raise in_use(address)


def in_use(address: str) -> AddressError:
    """Return what to say of an address that another process has bound."""
    return AddressError(
        f"cannot bind {address}: the address is in use; stop the other process or choose another port"
    )
