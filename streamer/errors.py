"""Every error sincos raises on purpose, split by who can mend it.

    SincosError
    |-- OperatorError          a flag, file or address somebody chose; ends the command
    |   |-- UsageError         exit 2
    |   |-- FileError          exit 3
    |   |-- AddressError       exit 4
    |   |-- NothingHeard       exit 5
    |   `-- StateError         exit 6
    `-- PeerError              what another process sent; counted, never ends the command
        `-- WireError

Anything else that escapes is our own fault and exits 1.
"""


class SincosError(Exception):
    """Base of all deliberate errors. The message names the field, the rule, what came and what to do."""


class OperatorError(SincosError):
    """Something the operator chose cannot be used."""

    exit_code = 2


class UsageError(OperatorError):
    """A flag, or a combination of flags, that makes no sense."""


class FileError(OperatorError):
    """A file that cannot be read, written or understood."""

    exit_code = 3


class AddressError(OperatorError):
    """An address that cannot be bound or connected to."""

    exit_code = 4


class NothingHeard(OperatorError):  # noqa: N818 - it names what happened, like StopIteration
    """Nobody spoke within the time allowed."""

    exit_code = 5


class StateError(OperatorError):
    """A kept state that is in use, or that these flags do not go on from."""

    exit_code = 6


class PeerError(SincosError):
    """Another process broke the protocol."""


class WireError(PeerError):
    """Bytes that are not a sincos message."""
