"""Whether anybody is at the addresses that are connected to, and what to tell the operator if not.

ZeroMQ connects to nobody for ever without a word: to a host of a mistyped name, to a port where nobody listens, to
a program of another kind. Each address is looked at once a second; one that does not answer is spoken of at the
fifth look and then every minute. Looks count and not time: who was itself stopped looks first.
"""

import enum
import ipaddress
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from streamer.effects import INFO, WARNING, Say
from streamer.transport.addresses import split_tcp

LOOK_S = 1.0
FIRST_LOOKS, AGAIN_LOOKS = 5, 60
PROGRAMS = {"--source": "sincos source", "--predictor": "sincos predict"}


class Event(enum.Enum):
    """What becomes of a connection."""

    TRIED = enum.auto()  # the host's address is known
    WAITS = enum.auto()  # until it is tried again
    REFUSED = enum.auto()
    ACCEPTED = enum.auto()  # by somebody; what they speak is not known yet
    STANDS = enum.auto()
    WRONG_KEY = enum.auto()
    GONE = enum.auto()


@dataclass(slots=True)
class _Contact:
    """One address: what has happened since it last stood."""

    address: str
    flag: str
    stands: bool = False
    told: bool = False
    tried: bool = False
    refused: bool = False
    accepted: bool = False
    wrong_key: bool = False
    looks: int = 0

    def take(self, event: Event) -> None:
        match event:
            case Event.TRIED:
                self.tried = True
            case Event.REFUSED:
                self.refused = True
            case Event.ACCEPTED:
                self.accepted = True
            case Event.WRONG_KEY:
                self.wrong_key = True
            case Event.STANDS:
                self.stands = True
            case Event.GONE:
                if self.stands:  # what was known of the attempts before says nothing of those to come
                    self.stands = self.tried = self.refused = self.accepted = self.wrong_key = False
                    self.looks = 0

    @property
    def trouble(self) -> str:
        """Why nobody is reached, as far as it shows."""
        program = PROGRAMS.get(self.flag, "the other process")
        if self.wrong_key:
            return "the key of this process is refused there; its own.key belongs into authorised/ of their keys"
        if self.accepted:
            return "what answers there does not use this protocol: wrong port, or --keys on one side only?"
        if self.address.startswith("ipc:"):
            return f"there is no such socket; is `{program}` running, with this path?"
        if self.tried or self.refused:
            return f"nobody answers there; is `{program}` running at this address?"
        if _is_literal(split_tcp(self.address)[0]):
            return f"it cannot be reached from this machine; is `{program}` running at this address?"
        return "its host cannot be found; check the name"


class ConnectionStates:
    """Those who are connected to.

    Parameters
    ----------
    flags : mapping
        The flag that each address was given with.
    """

    def __init__(self, flags: Mapping[str, str]) -> None:
        self._connection_states = {address: _Contact(address, flag) for address, flag in flags.items()}
        self._looks = 0  # at who stands and is silent
        self._heard = False

    def event(self, address: str, event: Event) -> None:
        """Take what happened to the connection to an address."""
        self._connection_states[address].take(event)

    def look(self, *, heard: bool) -> list[Say]:
        """Return what is to be said now.

        Parameters
        ----------
        heard : bool
            Whether anything has been heard from anybody so far.
        """
        said: list[Say] = []
        for contact in self._connection_states.values():
            if contact.stands:
                if contact.told:
                    said.append(Say(f"{contact.flag} {contact.address}: connected", INFO))
                contact.told, contact.looks = False, 0
                continue
            contact.looks += 1
            if _due(contact.looks):
                contact.told = True
                silent = f"nothing received for {_long(contact.looks)}"
                said.append(Say(f"{contact.flag} {contact.address}: {silent}; {contact.trouble}", WARNING))
        return said + self._look_at_silence(heard=heard)

    def _look_at_silence(self, *, heard: bool) -> list[Say]:
        """Speak of a connection where the wrong things are published, so that nothing is ever heard."""
        standing = [contact for contact in self._connection_states.values() if contact.stands]
        self._looks = 0 if heard or not standing else self._looks + 1
        if not _due(self._looks):
            return []
        groups = itertools.groupby(standing, lambda contact: contact.flag)
        return [
            Say(
                f"{flag} {', '.join(contact.address for contact in group)}: connected, but nothing received for "
                f"{_long(self._looks)}; is this where `{PROGRAMS.get(flag, 'the other process')}` publishes?",
                WARNING,
            )
            for flag, group in groups
        ]


def _due(looks: int) -> bool:
    return looks == FIRST_LOOKS or (looks > 0 and looks % AGAIN_LOOKS == 0)


def _long(looks: int) -> str:
    minutes, seconds = divmod(round(looks * LOOK_S), 60)
    return f"{minutes} min" if minutes else f"{seconds} s"


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
