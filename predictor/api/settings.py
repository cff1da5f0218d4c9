"""What is chosen before there is a stream: the model that serves, and how it learns."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.daemon.stream import MakeLearner
from predictor.engine.timescale import TimeScale, time_scale
from streamer.errors import UsageError
from trainer.model import Model, ModelConfig, new_model
from trainer.model_file import SHIPPED, load_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner
from trainer.selfsupervised.band import Band
from trainer.selfsupervised.learner import SelfConfig

METHODS = ("target", "self")
NEW = "new"
NEW_LEVEL_SAMPLES = 20.0  # one cycle at the default source's 5 Hz and 100 samples/s


def is_file(name: str) -> bool:
    """Return whether a name given as --model is that of a file."""
    return name != NEW and name not in SHIPPED


def choose_model(name: str, shape: Mapping[str, str | int | None], seed: int | None) -> Model:
    """Return a shipped model, the one in a file, or `new` with random weights.

    Parameters
    ----------
    name : str
    shape : mapping
        `cell`, `hidden`, `layers` of a new model; None where not chosen.
    seed : int or None
        Of a new model's weights.

    Raises
    ------
    UsageError
        If a shape or seed is chosen for a model that has its own, or cannot be.
    FileError
        If there is no such model.
    """
    chosen = {key: value for key, value in shape.items() if value is not None}
    if name == NEW:
        return new_model(ModelConfig(level_samples=NEW_LEVEL_SAMPLES, **chosen), seed or 0)  # type: ignore[arg-type]
    if chosen or seed is not None:
        raise UsageError(f"--cell, --hidden, --layers, --seed: these shape --model new; {name!r} is as it is")
    return load_model(name)


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


def choose_learning(
    learn: str | None,
    band_hz: tuple[float, float] | None = None,
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
    if learn != "self" and band_hz is not None:
        raise UsageError("--band: needs --learn self")
    if learn == "self":
        return Learning(self_config=SelfConfig(band_hz, nominal_hz))
    if learn is None:
        return Learning()
    window = 10 if window_samples is None else window_samples
    config = OnlineConfig(
        window_samples=window,
        stride_samples=window if stride_samples is None else stride_samples,
        learning_rate=learning_rate,
    )
    return Learning(make_learner=partial(OnlineLearner, config=config))


@dataclass(frozen=True, slots=True)
class Settings:
    """What is chosen for a signal whose samples are at hand, by `sincos apply` and by the Python API.

    Parameters
    ----------
    model : str
        A shipped model, `new`, or a file.
    seed : int or None
        Of the random weights of `new`.
    learn : str or None
        One of `METHODS`.
    band_hz : (float, float) or None
        Where the rhythm is, for `self`.
    nominal_hz : float or None
        Scale the model's time to signals of about that frequency.
    window_samples, stride_samples, learning_rate : int, int, float, or None
        Of `target`.
    reset_on_gap : bool
        After missing samples, start from the initial hidden state rather than go on with the present one.
    """

    model: str = "default"
    seed: int | None = None
    learn: str | None = None
    band_hz: tuple[float, float] | None = None
    nominal_hz: float | None = None
    window_samples: int | None = None
    stride_samples: int | None = None
    learning_rate: float | None = None
    reset_on_gap: bool = False

    def choose_model(self) -> Model:
        """Return the model.

        Raises
        ------
        FileError
            If there is no such model.
        """
        return choose_model(self.model, {}, self.seed)

    def time_scale(self, rate_hz: float | None) -> TimeScale | None:
        """Return what `nominal_hz` amounts to; None without it.

        Raises
        ------
        UsageError
            If samples at that rate do not show such a frequency.
        """
        return None if self.nominal_hz is None else time_scale(rate_hz or 0.0, self.nominal_hz)

    def core(self, model: Model, rate_hz: float | None) -> Predictor:
        """Return the daemon's core with these settings, which keeps no estimates for others.

        Raises
        ------
        UsageError
            If a setting is out of range, or does not go with another one or with the rate.
        """
        learning = choose_learning(
            self.learn, self.band_hz, self.window_samples, self.stride_samples, self.learning_rate,
            self.nominal_hz,
        )  # fmt: skip
        config = PredictorConfig(self.reset_on_gap, nominal_hz=self.nominal_hz, retain_s=0.0, retain_bytes=0)
        core = Predictor(model, config, learning.make_learner, learning.self_config)
        self.time_scale(rate_hz)
        if self.band_hz is not None and rate_hz:
            Band(*(edge / rate_hz for edge in self.band_hz))
        return core
