"""What the benchmarks share: real processes on addresses of their own, tables and JSON."""

import argparse
import json
import platform
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from predictor.processes import Processes
from streamer.transport.addresses import replay_address, split_tcp


@dataclass(frozen=True)
class Pipeline:
    """Processes, and where the source and the predictor among them publish."""

    processes: Processes
    source: str
    predictor: str
    folder: Path


@contextmanager
def reserved() -> Iterator[str]:
    """Yield an address whose port, and the one for replays, nobody takes but who is told of it.

    A socket that never listens holds each port. It is given SO_REUSEADDR once it is bound, so that a process that
    sets it, too, as ours do, may listen there.
    """
    with ExitStack() as stack:
        while True:
            first, second = (stack.enter_context(socket.socket()) for _ in range(2))
            first.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{first.getsockname()[1]}"
            try:
                second.bind(("127.0.0.1", int(split_tcp(replay_address(address))[1])))
            except OSError:
                continue
            for holder in (first, second):
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            yield address
            return


@contextmanager
def pipeline() -> Iterator[Pipeline]:
    """Run commands that find each other on two free ports.

    TCP, not ipc: over ipc ZeroMQ may drop what the kernel holds when a fast source ends and closes.
    """
    with tempfile.TemporaryDirectory(prefix="sincos-") as name:
        folder = Path(name)
        with Processes(folder) as processes, reserved() as source, reserved() as predictor:
            yield Pipeline(processes, source, predictor, folder)


def arguments(description: str | None) -> argparse.Namespace:
    """Return --short and --json."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--short", action="store_true", help="a quick run, to see that it still works")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_args()


def machine() -> dict[str, str]:
    """Return what figures were measured with: the machine and the versions."""
    return {
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
        **{name: version(name) for name in ("numpy", "torch", "pyzmq")},
    }


def report(title: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows, with the machine and the versions they were measured with."""
    if as_json:
        json.dump({"title": title, "rows": list(rows), **machine()}, sys.stdout)
        print()
        return
    table = Table(title=title, caption=", ".join(f"{key} {value}" for key, value in machine().items()))
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)
