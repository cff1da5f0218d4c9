"""How a command's model learns: the options, and what they amount to."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from predictor.stream import MakeLearner
from streamer.errors import UsageError
from trainer.online import OnlineConfig, OnlineLearner
from trainer.selflearner import SelfConfig

METHODS = ("target", "self")


@dataclass(frozen=True, slots=True)
class Learning:
    """What a core needs to learn, one of the two or neither.

    Parameters
    ----------
    make_learner : callable or None
        Makes what learns from targets.
    self_config : SelfConfig or None
        How to learn on the signal itself.
    """

    make_learner: MakeLearner | None = None
    self_config: SelfConfig | None = None

    def __str__(self) -> str:
        if self.make_learner is not None:
            return "learning from targets"
        return "learning on the signals themselves" if self.self_config is not None else "not learning"


def learning_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --learn, --band, --window, --stride and --learning-rate, for `choose_learning`."""
    options = (
        click.option(
            "--learn",
            is_flag=False,
            flag_value="target",
            type=click.Choice(METHODS),
            metavar="[target|self]",
            help="Learn online: from the targets that come with the signal, or on the signal itself.  "
            "[--learn alone: target]",
        ),
        click.option(
            "--band",
            metavar="LOW,HIGH",
            help="Where the rhythm is, in Hz, for --learn self.  [default: found in the signal's spectrum]",
        ),
        click.option(
            "--window",
            "window_samples",
            type=int,
            metavar="SAMPLES",
            help="Back-propagate through so many samples.  [default: 10]",
        ),
        click.option(
            "--stride",
            "stride_samples",
            type=int,
            metavar="SAMPLES",
            help="Samples from one update to the next.  [default: the window]",
        ),
        click.option("--learning-rate", type=float, help="Of Adam.  [default: 0.01; of a gated model 0.000002]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def choose_learning(
    learn: str | None,
    band: str | None = None,
    window_samples: int | None = None,
    stride_samples: int | None = None,
    learning_rate: float | None = None,
    nominal_hz: float | None = None,
) -> Learning:
    """Return what the options amount to.

    Raises
    ------
    UsageError
        If one is out of range, or does not go with --learn.
    """
    if learn != "target" and (window_samples, stride_samples, learning_rate) != (None, None, None):
        raise UsageError("--window, --stride, --learning-rate: these need --learn target")
    if learn != "self" and band is not None:
        raise UsageError("--band: needs --learn self")
    if learn == "self":
        return Learning(self_config=SelfConfig(_band_hz(band) if band is not None else None, nominal_hz))
    if learn is None:
        return Learning()
    window = 10 if window_samples is None else window_samples
    config = OnlineConfig(
        window_samples=window,
        stride_samples=window if stride_samples is None else stride_samples,
        learning_rate=learning_rate,
    )
    return Learning(make_learner=partial(OnlineLearner, config=config))


def _band_hz(text: str) -> tuple[float, float]:
    try:
        low, high = (float(edge) for edge in text.split(","))
    except ValueError:
        raise UsageError(f"--band: must be LOW,HIGH in Hz, such as 8,12, got {text!r}") from None
    return low, high
