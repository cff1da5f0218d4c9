"""What the commands share: options, logging, and addresses that find each other on one machine."""

import functools
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from predictor.api.security import Security as Security
from predictor.api.security import security_of
from predictor.log_queue import LogQueue
from streamer import memory as memory_shares
from streamer.errors import UsageError
from streamer.transport.address_clashes import clash
from streamer.transport.transport import PREDICTOR_ADDRESS, SOURCE_ADDRESS

quiet = click.option("-q", "--quiet", is_flag=True, help="Log only warnings and errors.")

source_addresses = click.option(
    "--source",
    "sources",
    multiple=True,
    default=(SOURCE_ADDRESS,),
    show_default=True,
    metavar="ADDRESS",
    help="Where a source publishes; may be given several times.",
)

predictor_addresses = click.option(
    "--predictor",
    "predictors",
    multiple=True,
    default=(PREDICTOR_ADDRESS,),
    show_default=True,
    metavar="ADDRESS",
    help="Where a predictor publishes; may be given several times.",
)

keys_folder = click.option(
    "--keys",
    "keys_folder",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="SINCOS_KEYS",
    metavar="DIR",
    help="Encrypt, and admit only peers whose key is in DIR (see `sincos keys`).  [env: SINCOS_KEYS]",
)
_insecure = click.option(
    "--insecure",
    is_flag=True,
    help="Publish or subscribe beyond this machine without --keys: no encryption, no authentication.",
)


def secured(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --keys and --insecure; it gets them as one parameter, `security`."""

    @keys_folder
    @_insecure
    @functools.wraps(command)
    def with_security(keys_folder: Path | None, insecure: bool, **options: Any) -> None:
        command(security=security_of(keys_folder, insecure=insecure), **options)

    return with_security


def flags(sources: Sequence[str] = (), predictors: Sequence[str] = ()) -> dict[str, str]:
    """Return the flag that each address to listen to was given with."""
    return dict.fromkeys(predictors, "--predictor") | dict.fromkeys(sources, "--source")


def check_apart(bind: str, sources: Sequence[str]) -> None:
    """Raise UsageError if a source's address is the one to publish on: one would hear oneself, and nobody else."""
    for source in sources:
        if clash(bind, source):
            raise UsageError(
                f"--source, --bind: must be two addresses whose ports, and the ports 1000 above them for "
                f"retransmission, differ; got {source} and {bind}"
            )


nominal_hz = click.option(
    "--nominal-hz",
    type=float,
    metavar="HZ",
    help="Scale the model's time to signals near this frequency, an octave around it; not with --learn target.",
)


memory = click.option(
    "--memory",
    "memory_mb",
    default=memory_shares.DEFAULT_BYTES // memory_shares.MB,
    show_default=True,
    metavar="MB",
    help="Memory for states, queues and retransmission; what does not fit is refused or dropped, and counted.",
)


def start_logging(name: str, *, quiet: bool = False) -> None:
    """Send the program's log to standard error, each line with the time and the command's name."""
    try:
        handler: logging.Handler = LogQueue(sys.stderr.fileno())
    except (OSError, AttributeError):  # no file: it never blocks
        handler = logging.StreamHandler(sys.stderr)
    logging.basicConfig(
        handlers=[handler],
        level=logging.WARNING if quiet else logging.INFO,
        format=f"%(asctime)s {name}: %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
