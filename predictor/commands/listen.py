"""`sincos listen`: print what passes as JSON lines."""

import click

from predictor.commands.common import (
    Security,
    flags,
    predictor_addresses,
    quiet,
    secured,
    source_addresses,
    start_logging,
)
from predictor.listen.listener import Listener, ListenerConfig
from streamer.clock import SystemClock
from streamer.errors import UsageError
from streamer.messages import PUBLISHED, Kind
from streamer.ordering.retry import RetryPolicy
from streamer.shell import StopSignal, log, run
from streamer.transport.transport import Transport

SAID_BY_SOURCES = {Kind.INPUT, Kind.TARGET, Kind.INFO}
SAID_BY_PREDICTORS = {Kind.ESTIMATE, Kind.STATUS}


@click.command()
@click.option(
    "--kind",
    "words",
    type=click.Choice([kind.word for kind in PUBLISHED]),
    multiple=True,
    help="What to print; may be given several times.  [default: estimate]",
)
@click.option(
    "--joined", is_flag=True, help="One line a sample with its input, target and estimate; null for what was lost."
)
@click.option("--stream", metavar="NAME", help="Print only this stream.")
@click.option("--count", type=int, metavar="LINES", help="Stop after this many lines.")
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    metavar="SECONDS",
    help="End with exit code 5 when nothing is received for this long.",
)
@click.option(
    "--reliable",
    is_flag=True,
    help='In order and complete: request what is missing. What cannot be had is a line {"gap": ...}.',
)
@click.option(
    "--gap-deadline",
    "gap_deadline_s",
    type=float,
    metavar="SECONDS",
    help="Declare missing samples lost after this long without progress, while their publisher is heard; "
    "with --reliable.  [default: 5.0]",
)
@click.option(
    "--phase",
    is_flag=True,
    help="Add the phase in degrees (0 where the signal rises through zero) and the amplitude of each estimate.",
)
@source_addresses
@predictor_addresses
@secured
@quiet
def command(
    words: tuple[str, ...], joined: bool, stream: str | None, count: int | None, timeout_s: float | None,
    reliable: bool, gap_deadline_s: float | None, phase: bool, sources: tuple[str, ...],
    predictors: tuple[str, ...], security: Security, quiet: bool,
) -> None:  # fmt: skip
    """Print what passes as JSON lines on standard output, one line a sample.

    {"stream": "demo", "run": "00c0ffee00c0ffee", "seq": 0, "time_ns": 1754000000000000000,
    "estimate": [0.98], "sin": [0.02], "model_version": 0}: one number a channel, null where it is not finite.

    With --phase also "phase_deg": [1.2], "amplitude": [0.98]. Of a model that says cos alone they are made with
    the input, so that sources are listened to as well; null where the input did not come.
    """
    start_logging("listen", quiet=quiet)
    if joined and words:
        raise UsageError("--kind, --joined: give one of them; --joined prints input, target and estimate")
    if gap_deadline_s is not None and not reliable:
        raise UsageError("--gap-deadline: is for --reliable; without it nothing is requested again")
    kinds = tuple(Kind[word.upper()] for word in words) or (Kind.ESTIMATE,)
    retry_policy = RetryPolicy() if gap_deadline_s is None else RetryPolicy(gap_deadline_s)
    config = ListenerConfig(kinds, stream, count, joined, timeout_s, reliable, retry_policy, phase)
    addresses = _addresses(config, sources, predictors)
    asks = {Kind.INPUT: sources, Kind.TARGET: sources, Kind.ESTIMATE: predictors} if reliable else False
    said_with = {address: flag for address, flag in flags(sources, predictors).items() if address in addresses}
    with (
        StopSignal(reloads=True) as stop,
        Transport(
            connect=addresses, topics=config.topics, watch=[stop], asks=asks, flags=said_with, **security
        ) as transport,
    ):
        log.info("listening to %s", ", ".join(addresses))
        run(Listener(config), transport, SystemClock(), stop)


def _addresses(config: ListenerConfig, sources: tuple[str, ...], predictors: tuple[str, ...]) -> tuple[str, ...]:
    """Return where what `config` wants is said."""
    kinds = set(config.heard_kinds)
    return (sources if kinds & SAID_BY_SOURCES else ()) + (predictors if kinds & SAID_BY_PREDICTORS else ())
