"""What the commands share: options, logging, and addresses that find each other on one machine."""

import logging
import sys

import click

from streamer.sockets import PREDICTOR_ADDRESS, SOURCE_ADDRESS

quiet = click.option("-q", "--quiet", is_flag=True, help="Say only warnings and errors.")

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


nominal_hz = click.option(
    "--nominal-hz",
    type=float,
    metavar="HZ",
    help="Scale the model's time to signals near this frequency, an octave around it; not with --learn target.",
)


def start_logging(name: str, *, quiet: bool = False) -> None:
    """Send the program's log to standard error, each line with the time and the command's name."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING if quiet else logging.INFO,
        format=f"%(asctime)s {name}: %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
