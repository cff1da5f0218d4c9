"""Which of the addresses connected to an event is about: ZeroMQ may tell a host of a name as a number."""

import socket
from collections.abc import Callable, Sequence

from streamer.transport.addresses import split_tcp

MAX_KNOWN = 1_000

Resolve = Callable[[str], set[str]]


def resolved(host: str) -> set[str]:
    """Return the numbers of a host of a name, as far as they can be found."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {str(address[0]) for *_, address in found}


class EndpointNames:
    """The addresses a socket is connected to.

    Parameters
    ----------
    addresses : sequence of str
    resolve : callable
        Return the numbers of a host. Asked only where several hosts have the same port.
    """

    def __init__(self, addresses: Sequence[str], resolve: Resolve = resolved) -> None:
        self._addresses = addresses
        self._resolve = resolve
        self._known: dict[str, list[str]] = {address: [address] for address in addresses}

    def __getitem__(self, endpoint: str) -> list[str]:
        """Return the addresses that an endpoint may be: several where that cannot be told."""
        known = self._known.get(endpoint)
        if known is not None:
            return known
        if not endpoint.startswith("tcp:"):
            return []
        host, port = split_tcp(endpoint)
        tcp = [address for address in self._addresses if address.startswith("tcp:")]
        named = [address for address in tcp if split_tcp(address)[1] == port]
        if len(named) < 2:
            return named
        found = [address for address in named if host in self._resolve(split_tcp(address)[0])]
        if found and len(self._known) < MAX_KNOWN:
            self._known[endpoint] = found
        return found or named
