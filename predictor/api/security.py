"""Who may talk to a process, as a command and the Python API are told."""

from pathlib import Path
from typing import TypedDict

from streamer.errors import UsageError
from streamer.transport import keys as keyfiles
from streamer.transport.keys import Keys


class Security(TypedDict):
    """What a Transport is told of who may talk to it."""

    keys: Keys | None
    insecure: bool


def security_of(keys_folder: Path | None, *, insecure: bool) -> Security:
    """Return who may take part.

    Parameters
    ----------
    keys_folder : Path or None
        Encrypt, and let in only whose key is there.
    insecure : bool
        Without keys, talk beyond this machine all the same.

    Raises
    ------
    UsageError
        If both are said.
    FileError
        If a key cannot be read.
    """
    if insecure and keys_folder is not None:
        raise UsageError("--insecure, --keys: give one of them, not both")
    return Security(keys=None if keys_folder is None else keyfiles.load(keys_folder), insecure=insecure)
