"""CURVE keys in a folder: a process's own pair, whom it lets in, and whom it connects to.

    FOLDER/                    0700
        own.key_secret         0600, the pair; never leaves the machine
        own.key                its public half, to hand to others
        authorised/NAME.key    public keys that may connect here
        servers/HOST.key       public keys of the machines to connect to; local.key for ipc
        servers/HOST:PORT.key  of one process there, where it has another key than the rest of its machine

The files are ZeroMQ certificates, as pyzmq and czmq read and write them. pyzmq writes them readable by everybody,
and reads whatever stands there, a FIFO too, so both is done here.
"""

import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from streamer.errors import FileError
from streamer.files.regular_files import read_regular
from streamer.files.replacement import make_folder, sync_folder

SECRET, PUBLIC = "own.key_secret", "own.key"
AUTHORISED, SERVERS = "authorised", "servers"
KEY_BYTES = 32  # of a public or secret key; 40 letters in Z85
MAX_FILE_BYTES = 65_536
_KEY = re.compile(rb'^\s*(public|secret)-key\s*=\s*"([^"\n]*)"\s*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A public key and the file it came from."""

    name: str
    public: bytes


@dataclass(frozen=True, slots=True)
class Authorised:
    """Who may connect: public keys, in Z85, and why others in the folder cannot be read."""

    keys: frozenset[bytes]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Keys:
    """A folder of keys that has been read and found safe.

    Parameters
    ----------
    folder : Path
    public, secret : bytes
        The own pair, in Z85.
    """

    folder: Path
    public: bytes
    secret: bytes

    def authorised(self) -> Authorised:
        """Return the public keys that may connect, as they lie in the folder now."""
        keys, unreadable = set(), []
        for path in _key_files(self.folder / AUTHORISED):
            try:
                keys.add(_read_public(path))
            except FileError as error:
                unreadable.append(str(error))
        return Authorised(frozenset(keys), tuple(unreadable))

    def server_key(self, address: str) -> bytes:
        """Return the public key expected of who publishes at `address`: that of the port, else of the host.

        Raises
        ------
        FileError
            If there is none, or it cannot be read.
        """
        scheme, _, rest = address.partition("://")
        host = "local" if scheme == "ipc" else rest.rpartition(":")[0].strip("[]")
        path = self.folder / SERVERS / f"{host}.key"
        of_port = self.folder / SERVERS / f"{rest}.key"
        if scheme == "tcp" and os.path.lexists(of_port):
            return _read_public(of_port)
        if not os.path.lexists(path):
            raise FileError(
                f"{path}: no key for {address}; copy that machine's {PUBLIC} there, over a channel you trust"
            )
        return _read_public(path)


def make(folder: Path) -> NamedKey:
    """Make the folder and a new pair of own keys; return the public one.

    Raises
    ------
    FileError
        If there is a pair already, or the folder cannot be written.
    """
    public, secret = zmq.curve_keypair()
    try:
        for each in (folder, folder / AUTHORISED, folder / SERVERS):
            make_folder(each)
        _check_private(folder, 0o700)
        _write(folder / SECRET, 0o600, public, secret)
        (folder / PUBLIC).unlink(missing_ok=True)  # of a pair whose secret half is gone
        _write(folder / PUBLIC, 0o644, public)
        sync_folder(folder)
    except FileExistsError:
        raise FileError(f"{folder / SECRET}: there are keys already; move them away to make new ones") from None
    except OSError as error:
        raise FileError(f"{folder}: cannot be written: {error.strerror}") from None
    return NamedKey(PUBLIC, public)


def load(folder: Path) -> Keys:
    """Read the own pair.

    Raises
    ------
    FileError
        If it is missing or damaged, or if others may read it.
    """
    path = folder / SECRET
    if not os.path.lexists(path):
        raise FileError(f"{path}: no such file; make keys with `sincos keys make --keys {folder}`")
    _check_private(folder, 0o700)
    public, secret = _read(path)
    _check_private(path, 0o600)
    if secret is None or zmq.curve_public(secret) != public:
        raise FileError(f"{path}: not a key pair; restore it, or move it away and make new keys")
    return Keys(folder, public, secret)


def listed(folder: Path) -> Iterator[NamedKey]:
    """Yield the public keys in a folder, by name.

    Raises
    ------
    FileError
        If one cannot be read.
    """
    for path in _key_files(folder):
        yield NamedKey(path.stem, _read_public(path))


def _key_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.key"))


def _check_private(path: Path, widest: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~widest:
        raise FileError(f"{path}: others may use it (mode {mode:04o}); type `chmod {widest:04o} {path}`")


def _read_public(path: Path) -> bytes:
    public, secret = _read(path)
    if secret is not None:
        raise FileError(f"{path}: holds a secret key; delete it, and copy its owner's {PUBLIC} there instead")
    return public


def _read(path: Path) -> tuple[bytes, bytes | None]:
    """Return the public and, if the file has it, the secret key."""
    found = dict(_KEY.findall(read_regular(path, MAX_FILE_BYTES)))
    public, secret = found.get(b"public", b""), found.get(b"secret")
    try:
        if any(len(z85.decode(key)) != KEY_BYTES for key in (public, secret) if key is not None):
            raise ValueError
    except (ValueError, KeyError, IndexError, struct.error):
        raise FileError(f"{path}: cannot be read as a ZeroMQ certificate; copy it anew") from None
    return public, secret


def _write(path: Path, mode: int, public: bytes, secret: bytes | None = None) -> None:
    lines = ["metadata", "curve", f'    public-key = "{public.decode()}"']
    if secret is not None:
        lines.append(f'    secret-key = "{secret.decode()}"')
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, mode)  # whatever the umask took away
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(descriptor)
