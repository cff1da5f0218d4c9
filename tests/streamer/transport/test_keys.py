"""Keys in files: only their owner can read them, any ZeroMQ tool can, and damage is named."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth

from streamer.errors import FileError
from streamer.transport import keys


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys.make(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("no_umask")
def test_only_the_owner_can_read_the_secret_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys.make(folder)
    assert mode(folder) == 0o700
    assert mode(folder / "own.key_secret") == 0o600


def test_other_tools_read_the_files(folder: Path) -> None:
    public, secret = zmq.auth.load_certificate(folder / "own.key_secret")
    assert secret is not None
    assert zmq.curve_public(secret) == public
    assert zmq.auth.load_certificate(folder / "own.key") == (public, None)
    assert keys.load(folder) == keys.Keys(folder, public, secret)


def test_keys_that_exist_are_not_overwritten(folder: Path) -> None:
    before = keys.load(folder)
    with pytest.raises(FileError, match="there are keys already"):
        keys.make(folder)
    assert keys.load(folder) == before


@pytest.mark.parametrize(("name", "too_wide"), [(".", 0o750), (".", 0o701), ("own.key_secret", 0o640)])
def test_permissions_that_are_too_wide_are_refused_with_the_remedy(folder: Path, name: str, too_wide: int) -> None:
    (folder / name).chmod(too_wide)
    with pytest.raises(FileError, match=r"others may use it \(mode .*type `chmod 0[67]00 "):
        keys.load(folder)


def link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def remove(path: Path) -> None:
    path.unlink()


def replace(old: str, new: str) -> Callable[[Path], None]:
    return lambda path: (path.write_text(path.read_text().replace(old, new)), None)[1]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove, "make keys with `sincos keys make"),
        (replace("public-key", "x"), "cannot be read as a ZeroMQ certificate"),
        (replace("secret-key", "x"), "not a key pair"),
        (replace('secret-key = "', 'secret-key = "00'), "cannot be read"),
        (replace('public-key = "', 'public-key = "\\x7f\\xff'), "cannot be read"),
        (lambda path: (path.write_bytes(b"\xff" * 100), None)[1], "cannot be read"),
    ],
)
def test_damage_is_named(folder: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(folder / "own.key_secret")
    with pytest.raises(FileError, match=said):
        keys.load(folder)


def use(own: keys.Keys) -> None:
    for problem in own.authorised().unreadable:
        raise FileError(problem)
    own.server_key("tcp://127.0.0.1:5555")


@pytest.mark.parametrize("name", ["own.key_secret", "authorised/x.key", "servers/127.0.0.1.key"])
@pytest.mark.parametrize(
    ("put", "said"), [(os.mkfifo, "FIFO"), (link_to_zeros, "symbolic link"), (os.mkdir, "directory")]
)
def test_what_is_no_file_is_refused_and_nobody_waits_for_it(
    folder: Path, name: str, put: Callable[[Path], None], said: str
) -> None:
    own = keys.load(folder)
    path = folder / name
    path.unlink(missing_ok=True)
    put(path)
    with pytest.raises(FileError, match=f"must be a regular file, got a {said}"):
        use(keys.load(folder) if name == "own.key_secret" else own)


def test_a_pair_whose_halves_do_not_belong_together_is_refused(folder: Path, tmp_path: Path) -> None:
    other = keys.make(tmp_path / "other")
    own = keys.load(folder)
    replace(own.public.decode(), other.public.decode())(folder / "own.key_secret")
    with pytest.raises(FileError, match="not a key pair"):
        keys.load(folder)


def test_who_may_connect_is_read_anew_each_time(folder: Path, tmp_path: Path) -> None:
    own = keys.load(folder)
    assert own.authorised() == keys.Authorised(frozenset())
    peer = keys.make(tmp_path / "peer")
    (folder / "authorised" / "peer.key").write_bytes((tmp_path / "peer" / "own.key").read_bytes())
    assert own.authorised().keys == {peer.public}
    (folder / "authorised" / "peer.key").unlink()
    assert own.authorised() == keys.Authorised(frozenset())


def test_a_secret_among_the_public_keys_is_refused(folder: Path) -> None:
    (folder / "authorised" / "x.key").write_bytes((folder / "own.key_secret").read_bytes())
    (problem,) = keys.load(folder).authorised().unreadable
    assert "holds a secret key; delete it" in problem


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("tcp://127.0.0.1:5555", "127.0.0.1"),
        ("tcp://[::1]:5", "::1"),
        ("tcp://a.b:5", "a.b"),
        ("ipc:///x", "local"),
    ],
)
def test_a_server_is_known_by_its_host(folder: Path, address: str, name: str) -> None:
    own = keys.load(folder)
    with pytest.raises(FileError, match=f"no key for {address[:6]}"):
        own.server_key(address)
    (folder / "servers" / f"{name}.key").write_bytes((folder / "own.key").read_bytes())
    assert own.server_key(address) == own.public


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 5556), ("[::1]", 5556), ("a.b", 1)])
def test_a_process_with_a_key_of_its_own_is_known_by_host_and_port(
    folder: Path, tmp_path: Path, host: str, port: int
) -> None:
    own, other = keys.load(folder), keys.make(tmp_path / "other")
    servers = folder / "servers"
    (servers / f"{host.strip('[]')}.key").write_bytes((folder / "own.key").read_bytes())
    (servers / f"{host}:{port}.key").write_bytes((tmp_path / "other" / "own.key").read_bytes())
    assert own.server_key(f"tcp://{host}:{port}") == other.public
    assert own.server_key(f"tcp://{host}:{port + 1000}") == own.public
