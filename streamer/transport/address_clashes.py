"""Whether two addresses, one to bind and one to connect to, would be one and the same socket."""

import ipaddress
import os
import socket

from streamer.transport.addresses import is_ipv6, replay_address, split_tcp

ANY_IPV4, ANY_IPV6 = "0.0.0.0", "::"
LOOPBACK = {ANY_IPV4: "127.0.0.1", ANY_IPV6: "::1", "*": "127.0.0.1"}  # where one who connects there gets


def clash(bind: str, connect: str) -> bool:
    """Return whether who binds `bind` takes what who connects to `connect` means, or the replay address of either.

    Parameters
    ----------
    bind, connect : str
        Addresses; one that is malformed clashes with none.
    """
    if bind.startswith("ipc://") and connect.startswith("ipc://"):
        return not _paths(bind).isdisjoint(_paths(connect))
    if not (bind.startswith("tcp://") and connect.startswith("tcp://")):
        return False
    try:
        ports = _ports(bind), _ports(connect)
    except ValueError:  # any free port, or none at all
        return False
    return not ports[0].isdisjoint(ports[1]) and _share_host(bind, split_tcp(connect)[0])


def _paths(address: str) -> set[str]:
    both = (one.removeprefix("ipc://") for one in (address, replay_address(address)))
    return {one if one.startswith("@") else os.path.realpath(one) for one in both}


def _ports(address: str) -> set[int]:
    both = {int(split_tcp(address)[1]), int(split_tcp(replay_address(address))[1])}
    if int(split_tcp(address)[1]) == 0:
        raise ValueError
    return both


def _share_host(bind: str, connects_to: str) -> bool:
    host = split_tcp(bind)[0]
    meant = _numbers(LOOPBACK.get(connects_to, connects_to))
    if host in ("*", ANY_IPV4):
        return any(":" not in one and _is_here(one) for one in meant)
    if host == ANY_IPV6 and is_ipv6(bind):
        return any(map(_is_here, meant))
    return not _numbers(host).isdisjoint(meant)


def _numbers(host: str) -> set[str]:
    """Return a host's addresses; asks for them only where it has a name."""
    try:
        found = {host} if ipaddress.ip_address(host) else set()
    except ValueError:
        try:
            found = {str(place[0]) for *_, place in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        except OSError:
            return {host.lower()}
    return {_plain(one) for one in found}


def _plain(host: str) -> str:
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_here(host: str) -> bool:
    """Return whether an address is one of this machine's."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
