"""Everything the console can show of one moment, as a value."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from predictor.console.error_curve import CurvePoint
from predictor.console.sample_ring import Curves


class Health(enum.StrEnum):
    """How a stream does, in the words of a predictor, or of the console where there is none."""

    LIVE = "LIVE"
    UNANSWERED = "NO ESTIMATES"  # samples come, and estimates have ceased to
    STALE = "STALE"
    LOST = "LOST"
    ENDED = "ENDED"
    WAITING = "WAITING"  # known by its info, no sample yet


@dataclass(frozen=True, slots=True)
class Learning:
    """How far online learning has come, in the words of the predictor."""

    updates: int | None
    loss: float | None
    skipped: int | None
    waiting_samples: int | None
    challenger_deg: float | None = None  # where the signal itself is learnt from
    champion_deg: float | None = None


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """One stream in numbers. None stands for what nobody has said or what cannot be measured yet.

    What was scored is of the present run alone. A number whose messages have ceased to come is the last one that
    was known; how long ago that was stands in the matching member that ends in `stale_s`, None while it is fresh.

    Parameters
    ----------
    input_stale_s, estimate_stale_s : float or None
        Of what comes in.
    score_stale_s : float or None
        Of RMSE and phase error.
    status_stale_s : float or None
        Of what the predictor says of the stream. While samples have ceased to come, of its lag too: `lag_stale_s`.
    rmse : float or None
        Error of cos over the last samples scored, all channels, in the signal's unit; not across a silence.
    phase_deg : float or None
        Mean circular distance of the phases over the same samples.
    start_rmse, start_phase_deg : float or None
        The same over the first samples scored.
    input_hz, estimate_hz : float or None
        Samples a second as they come in here.
    age_s : float or None
        Time since the source time of the newest estimate.
    lag_p50_s, lag_p99_s : float or None
        From source time to estimate, as the predictor measures it.
    has_targets : bool
        Whether the source publishes targets, or a target was heard.
    warnings : sequence of str
        What is odd about the stream now, in the words of the predictor.
    familiar : bool or None
        Whether the signal is one that the model knows, as the predictor says.
    unfamiliar_channels : frozenset of int
        Those whose signal is not, as far as the predictor looks and says.
    """

    name: str
    health: Health
    run: int | None
    channels: int
    input_samples: int
    estimate_samples: int
    scored_samples: int
    restarts: int
    has_targets: bool
    rmse: float | None
    phase_deg: float | None
    start_rmse: float | None
    start_phase_deg: float | None
    nominal_hz: float | None
    input_hz: float | None
    estimate_hz: float | None
    age_s: float | None
    lag_p50_s: float | None
    lag_p99_s: float | None
    model: str | None
    model_version: int | None
    familiar: bool | None
    learning: Learning | None
    gaps: int | None
    gap_samples: int | None
    recovered_samples: int | None
    unusable: int | None
    input_stale_s: float | None = None
    estimate_stale_s: float | None = None
    score_stale_s: float | None = None
    status_stale_s: float | None = None
    lag_stale_s: float | None = None
    warnings: Sequence[str] = ()
    unfamiliar_channels: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Shown:
    """The stream and channel that is drawn, with phase and amplitude of the channel's newest estimate."""

    summary: StreamSummary
    channel: int
    curves: Curves
    rate_hz: float | None
    error: tuple[CurvePoint, ...]
    phase_now_deg: float | None = None
    amplitude_now: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, and how long ago."""

    text: str
    age_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The console's picture of one moment.

    Parameters
    ----------
    sources, predictors : sequence of str
        Addresses listened to.
    rejected : int
        Messages that could not be understood here.
    predictor_rejected : int or None
        The same at the predictor, as it says.
    predictor_rejected_stale_s : float or None
        How old that is, where it is not fresh.
    predictor_silent_s : float or None
        Time since a predictor's last message; None if none was ever heard.
    wanted : str or None
        Name of the stream the operator asked for.
    """

    elapsed_s: float
    sources: Sequence[str]
    predictors: Sequence[str]
    streams: Sequence[StreamSummary]
    shown: Shown | None
    events: Sequence[Event]
    rejected: int
    predictor_rejected: int | None
    predictor_silent_s: float | None
    wanted: str | None
    predictor_rejected_stale_s: float | None = None
