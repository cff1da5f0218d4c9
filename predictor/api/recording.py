"""A recording through a model at once: a file or an array in, all its estimates out."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from predictor.api.arguments import checked_rate, samples_of, settings_of
from predictor.api.estimates import Estimates, estimates_of, shaped
from predictor.api.naming import log, naming_arguments
from predictor.api.settings import Settings
from predictor.apply.application import Application
from predictor.apply.feed import daemon_arithmetic
from streamer.errors import UsageError
from streamer.messages import FloatArray
from streamer.recordings.csv_layout import TableOptions
from streamer.recordings.recording import Recording, read_recording, shape_doubt
from trainer.model import Model


def apply(
    recording: str | os.PathLike[str] | ArrayLike,
    *,
    rate_hz: float | None = None,
    band_hz: tuple[float, float] | None = None,
    model: str | os.PathLike[str] = "default",
    learn: Literal["self", "target"] | None = None,
    targets: str | os.PathLike[str] | ArrayLike | None = None,
    nominal_hz: float | None = None,
    seed: int | None = None,
    window_samples: int | None = None,
    stride_samples: int | None = None,
    learning_rate: float | None = None,
    columns: Sequence[str] = (),
    time: str | None = None,
    header: bool | None = None,
    decimal: Literal[",", "."] | None = None,
) -> Estimates:
    """Return the estimates of a whole recording, as `sincos apply` writes them.

    They are causal: the estimate of a sample depends on that sample and earlier ones alone.

    Parameters
    ----------
    recording : path or array_like
        A .npy, .csv, .tsv, .txt or .wav file; or real numbers, (samples,) or (samples, channels).
    rate_hz : float, optional
        Samples a second, where the file does not say them. Without it there is no `frequency_hz`.
    targets : path or array_like, optional
        With ``learn="target"``, the true cos, or cos and sin side by side, of each channel.
    band_hz, model, learn, nominal_hz, seed, window_samples, stride_samples, learning_rate
        As of `Quadrature`.
    columns, time, header, decimal : optional
        What cannot be told from a table: the names of its channels and of its time (``"none"`` to use none),
        whether its first line holds names, and what stands before its decimals.

    Returns
    -------
    Estimates
        In the shape of an array; of a file, (samples,) where there is one channel. Samples that are missing by a
        table's times are NaN.

    Raises
    ------
    UsageError
        If an argument is out of range, or does not go with another one or with the recording.
    FileError
        If a file cannot be read, or there is no such model.

    Examples
    --------
    >>> import numpy as np, sincos
    >>> x = np.cos(2 * np.pi * 10 * np.arange(500) / 250)
    >>> float(sincos.apply(x, rate_hz=250).phase_deg[250].round())
    90.0
    """
    settings = settings_of(
        model=model, seed=seed, learn=learn, band_hz=band_hz, nominal_hz=nominal_hz, window_samples=window_samples,
        stride_samples=stride_samples, learning_rate=learning_rate,
    )  # fmt: skip
    rate = None if rate_hz is None else checked_rate(rate_hz)
    names = (columns,) if isinstance(columns, str) else tuple(map(str, columns))
    table = TableOptions(names, time, header, decimal, rate)
    with naming_arguments(), daemon_arithmetic():
        read, shape = _recording("recording", recording, (1, 2), table)
        wanted = None if targets is None else _recording("targets", targets, (1, 2, 3), None)[0]
        rate = read.rate(rate)
        chosen = settings.choose_model()
        application = prepare(settings, chosen, read, wanted, rate)
        values = _run(application, read, len(chosen.config.fields))
        for text in application.warnings():
            log.warning("%s", text)
    return shaped(estimates_of(0, *values, None, rate), shape)


def _recording(
    name: str, given: str | os.PathLike[str] | ArrayLike, dims: tuple[int, ...], table: TableOptions | None
) -> tuple[Recording, tuple[int, ...]]:
    """Return a file or an array as a recording, and the shape of its estimates."""
    if isinstance(given, str | os.PathLike):
        recording = read_recording(Path(given), dims, table)
        one_channel = recording.columns == 1
        return recording, (recording.samples,) if one_channel else (recording.samples, recording.columns)
    array = samples_of(name, given, dims=dims)
    if not array.size:
        raise UsageError(f"{name}: must hold at least one sample, got shape {list(array.shape)}")
    if array.ndim == 2 and (doubt := shape_doubt(array.shape)):
        log.warning("%s: %s", name, doubt)
    called = Path("array" if name == "targets" else name)  # in errors: targets array
    return Recording(called, array.reshape(len(array), -1), lambda raw: raw), array.shape


def _run(application: Application, recording: Recording, fields: int) -> tuple[FloatArray, FloatArray]:
    """Return what came out of the model and what went in, NaN where samples are missing."""
    values = np.full((recording.samples, recording.columns, fields), np.nan, np.float32)
    inputs = np.full((recording.samples, recording.columns), np.nan, np.float32)
    for block in application.blocks():
        place = slice(block.seq, block.seq + len(block.inputs))
        values[place], inputs[place] = block.estimates, block.inputs
    return values, inputs


def prepare(
    settings: Settings, model: Model, recording: Recording, targets: Recording | None, rate_hz: float | None
) -> Application:
    """Return what runs a recording through a model.

    Raises
    ------
    UsageError
        If a setting needs targets or a rate, and there are none; or as `Settings.core`.
    FileError
        If the shapes do not fit.
    """
    if settings.learn == "target" and targets is None:
        raise UsageError("--learn target: needs --targets FILE, for a recording publishes none")
    if settings.band_hz is not None and rate_hz is None:
        raise UsageError(f"--band: is in Hz, and {recording.path} does not state its sample rate; give --rate")
    core = settings.core(model, rate_hz)
    return Application(core, recording, targets, rate_hz or 0.0, one_by_one=settings.learn == "target")
