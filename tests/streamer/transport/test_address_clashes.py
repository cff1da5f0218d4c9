"""Addresses that are one and the same, however they are written."""

import os
import socket
from pathlib import Path

import pytest

from streamer.transport.address_clashes import clash


@pytest.mark.parametrize(
    ("bind", "connect"),
    [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        ("tcp://127.0.0.1:5555", "tcp://localhost:5555"),
        ("tcp://localhost:5555", "tcp://127.0.0.1:5555"),
        ("tcp://*:5555", "tcp://127.0.0.1:5555"),
        ("tcp://0.0.0.0:5555", "tcp://localhost:5555"),
        ("tcp://0.0.0.0:5555", "tcp://127.0.0.2:5555"),
        ("tcp://127.0.0.1:5555", "tcp://0.0.0.0:5555"),
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:6555"),  # where the other is asked for samples again
        ("tcp://127.0.0.1:6555", "tcp://127.0.0.1:5555"),
        ("tcp://127.0.0.1:63000", "tcp://127.0.0.1:65000"),  # both answer at 64000
        ("tcp://[::1]:5555", "tcp://[0:0:0:0:0:0:0:1]:5555"),
        ("tcp://127.0.0.1:5555", "tcp://[::ffff:127.0.0.1]:5555"),
        ("tcp://127.0.0.1:05555", "tcp://127.0.0.1:5555"),
        ("tcp://[::]:5555", "tcp://127.0.0.1:5555"),
        ("ipc://@name", "ipc://@name"),
        ("ipc:///tmp/x", "ipc:///tmp/../tmp/x"),
        ("ipc:///tmp/x.replay", "ipc:///tmp/x"),
    ],
)
def test_the_same(bind: str, connect: str) -> None:
    assert clash(bind, connect)


@pytest.mark.parametrize(
    ("bind", "connect"),
    [
        ("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5555"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:5555"),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:1000"),
        ("tcp://0.0.0.0:5555", "tcp://192.0.2.1:5555"),  # of another machine
        ("tcp://127.0.0.1:5555", "tcp://192.0.2.1:5555"),
        ("tcp://127.0.0.1:5555", "tcp://nosuch.invalid:5555"),
        ("tcp://127.0.0.1:5555", "tcp://[::1]:5555"),
        ("ipc:///tmp/x", "ipc:///tmp/y"),
        ("ipc:///tmp/x", "tcp://127.0.0.1:5555"),
        ("rubbish", "rubbish"),
        ("tcp://127.0.0.1:http", "tcp://127.0.0.1:http"),
        ("tcp://", "tcp://"),
    ],
)
def test_not_the_same(bind: str, connect: str) -> None:
    assert not clash(bind, connect)


def test_paths_are_compared_by_what_they_mean(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert clash(f"ipc://{tmp_path}/s", f"ipc://{tmp_path}/link/s")
    assert clash(f"ipc://{os.path.relpath(tmp_path)}/s", f"ipc://{tmp_path}/s")


def test_a_name_is_asked_for_only_where_ports_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "getaddrinfo")
    assert not clash("tcp://here:5555", "tcp://there:5556")
