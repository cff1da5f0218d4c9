"""The options that say how a command's model learns."""

from collections.abc import Callable
from typing import Any

import click

from predictor.api.settings import METHODS
from streamer.errors import UsageError


def learning_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --learn, --band, --window, --stride and --learning-rate, for `choose_learning`."""
    options = (
        click.option(
            "--learn",
            is_flag=False,
            flag_value="target",
            type=click.Choice(METHODS),
            metavar="[target|self]",
            help="Learn online: from published targets, or from the signal itself.  [--learn alone: target]",
        ),
        click.option(
            "--band",
            "band_hz",
            callback=_band_hz,
            metavar="LOW,HIGH",
            help="Band of the rhythm, in Hz, for --learn self.  [default: found in the signal's spectrum]",
        ),
        click.option(
            "--window",
            "window_samples",
            type=int,
            metavar="SAMPLES",
            help="Back-propagate through this many samples.  [default: 10]",
        ),
        click.option(
            "--stride",
            "stride_samples",
            type=int,
            metavar="SAMPLES",
            help="Samples from one update to the next.  [default: the window]",
        ),
        click.option(
            "--learning-rate",
            type=float,
            help="Learning rate of Adam.  [default: 0.01; of a gated model 0.000002]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _band_hz(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[float, float] | None:
    """Return the two edges of a band."""
    if text is None:
        return None
    try:
        low, high = (float(edge) for edge in text.split(","))
    except ValueError:
        raise UsageError(f"--band: must be LOW,HIGH in Hz, such as 8,12, got {text!r}") from None
    return low, high
