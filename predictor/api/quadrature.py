"""A signal's quadrature, sample by sample: the daemon's own estimator for who has the samples at hand."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike

from predictor.api.arguments import check_channels, checked_rate, number, samples_of, settings_of, width
from predictor.api.estimates import Estimates, estimates_of, last_of, shaped
from predictor.api.naming import as_arguments, log, naming_arguments
from predictor.api.settings import Settings, is_file
from predictor.apply.feed import BLOCK_VALUES, Feed, daemon_arithmetic
from predictor.daemon.domain_check import ENTRIES
from predictor.state.checkpoint import encode
from predictor.state.folder import read
from streamer.clock import Instant
from streamer.errors import FileError, StateError, UsageError
from streamer.files.replacement import replacing
from streamer.messages import FloatArray
from streamer.waveforms import check_range
from trainer.state import Seq, Tree, array_of, subtree, value_of

STREAM = "quadrature"
HEAD = "quadrature"  # in a state: what stands here beside the core


class Quadrature:
    """Turns samples into their quadrature: phase, amplitude and frequency of an oscillation now.

    The estimate of a sample depends on that sample and earlier ones alone. It has the same bits however the
    samples are cut into calls of `push`: those that `sincos apply` writes and `sincos predict` publishes.

    Parameters
    ----------
    rate_hz : float
        Samples a second.
    band_hz : (float, float), optional
        Where the rhythm is, in Hz; with ``learn="self"``.
    model : str or path
        ``default``, ``tutorial``, ``new`` (random weights), or a file of `sincos train`.
    learn : "self" or "target", optional
        Learn on the signal itself, or from the targets given to `push`.
    nominal_hz : float, optional
        Scale the model's time to signals within an octave of this frequency.
    channels : int, optional
        How many there are; else the first `push` says it.
    on_gap : "hold" or "reset"
        After missing samples, go on with the hidden state, or start it anew.
    seed : int, optional
        Of the random weights of ``new``.
    window_samples, stride_samples, learning_rate : int, int, float, optional
        Of ``learn="target"``.

    Raises
    ------
    UsageError
        If an argument is out of range, or does not go with another one.
    FileError
        If there is no such model.

    Examples
    --------
    >>> import numpy as np, sincos
    >>> x = np.sin(2 * np.pi * 10 * np.arange(500) / 250)
    >>> q = sincos.Quadrature(rate_hz=250)
    >>> r = q.push(x)
    >>> r.phase_deg.shape, bool(abs(r.amplitude[-1] - 1) < 0.01), round(float(r.frequency_hz[-50:].mean()), 1)
    ((500,), True, 10.0)
    """

    def __init__(
        self,
        rate_hz: float,
        *,
        band_hz: tuple[float, float] | None = None,
        model: str | os.PathLike[str] = "default",
        learn: Literal["self", "target"] | None = None,
        nominal_hz: float | None = None,
        channels: int | None = None,
        on_gap: Literal["hold", "reset"] = "hold",
        seed: int | None = None,
        window_samples: int | None = None,
        stride_samples: int | None = None,
        learning_rate: float | None = None,
    ) -> None:
        if on_gap not in ("hold", "reset"):
            raise UsageError(f"on_gap: must be 'hold' or 'reset', got {on_gap!r}")
        settings = settings_of(
            model=model, seed=seed, learn=learn, band_hz=band_hz, nominal_hz=nominal_hz,
            window_samples=window_samples, stride_samples=stride_samples, learning_rate=learning_rate,
            reset_on_gap=on_gap == "reset",
        )  # fmt: skip
        self._begin(settings, checked_rate(rate_hz), None if channels is None else width(channels))

    def _begin(self, settings: Settings, rate_hz: float, channels: int | None) -> None:
        self._settings = settings
        self._rate_hz = rate_hz
        self._channels = channels
        with naming_arguments(), daemon_arithmetic():
            model = settings.choose_model()
            self._core = settings.core(model, rate_hz)
        self._fields = len(model.config.fields)
        learns_from_targets = settings.learn == "target"
        self._feed = Feed(
            self._core, STREAM, rate_hz, has_targets=learns_from_targets, one_by_one=learns_from_targets
        )
        self._before: FloatArray | None = None  # cos and sin of the last sample
        self._looked_seq = 0
        self._interrupted = False

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled or copied: arrays that share memory would not share it in the copy."""
        raise UsageError("a Quadrature cannot be copied or pickled: save it, and load the copy")

    @property
    def rate_hz(self) -> float:
        """Samples a second."""
        return self._rate_hz

    @property
    def channels(self) -> int | None:
        """How many channels there are; None before that is known."""
        return self._channels

    @property
    def samples(self) -> int:
        """How many samples there have been, missing ones included, which is the index of the next one."""
        return self._feed.next_seq

    def push(self, x: ArrayLike, targets: ArrayLike | None = None) -> Estimates:
        """Take the next samples and return their estimates.

        Parameters
        ----------
        x : array_like, shape (samples,) or (samples, channels)
            Real numbers, in any unit. One that is not finite, or beyond 1e30, is replaced by the channel's last.
        targets : array_like, optional
            With ``learn="target"``, the true cos, in the shape of `x`; or cos and sin, (samples, channels, 2). NaN
            where they are not known.

        Returns
        -------
        Estimates
            In the shape of `x`.

        Raises
        ------
        UsageError
            If `x` holds no real numbers, or another number of channels than before; nothing is changed by it.
        StateError
            If an earlier call was interrupted between two samples.
        """
        given = samples_of("x", x)
        inputs = given if given.ndim == 2 else given[:, None]
        self._check_width(inputs)
        wanted = None if targets is None else self._targets(targets, inputs)
        if not len(inputs):
            return shaped(
                self._estimates(np.empty((0, inputs.shape[1], self._fields), np.float32), inputs), given.shape
            )
        with self._uninterrupted():
            self._channels = inputs.shape[1]
            values = np.concatenate(list(self._answers(inputs, wanted)))
        return shaped(self._estimates(values, inputs), given.shape)

    def skip(self, samples: int) -> None:
        """Note that so many samples are missing: a gap before the next one, as the daemon would report it.

        Raises
        ------
        UsageError
            If it is no whole number of samples.
        """
        count = number("samples", samples, whole=True)
        check_range("samples", count, 0, 2**53)
        if count:
            self._feed.skip(int(count))
            self._before = None

    def status(self) -> Mapping[str, Any]:
        """Return what the daemon's status says of the stream (docs/reference/status.md); empty before samples."""
        with daemon_arithmetic():
            status = self._feed.look()
        self._log()
        return status

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that later estimates depend on: `load` goes on from there, bit for bit.

        The file is whole or not there at all, and holds no code: it is a state as the daemon writes it.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        self._check_whole()
        place = Path(path)
        with daemon_arithmetic():
            state = self._core.checkpoint()
        settings = self._settings
        if is_file(settings.model):
            settings = replace(settings, model=str(Path(settings.model).absolute()))
        own: Tree = asdict(settings) | {
            "rate_hz": self._rate_hz,
            "channels": self._channels,
            "next_seq": self._feed.next_seq,
            "looked_seq": self._looked_seq,
            "before": self._before,
        }
        try:
            with replacing(place) as file:
                for piece in encode(state.head | {HEAD: own}, state.streams):
                    file.write(piece)
        except OSError as error:
            raise FileError(f"{place}: cannot be written: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, model: str | os.PathLike[str] | None = None) -> Self:
        """Return what goes on where a saved one was.

        Parameters
        ----------
        path : path
            What `save` wrote.
        model : str or path, optional
            Where its model is now, if that is a file which was moved.

        Raises
        ------
        FileError
            If it cannot be read, is damaged, or was not written by `save`; or if there is no such model.
        StateError
            If it is of another model, or another version wrote it.
        """
        place = Path(path)
        if not place.is_file():
            raise FileError(f"{place}: {'must be a regular file' if place.exists() else 'no such file'}")
        tree = read(place)
        made = cls.__new__(cls)
        try:
            made._restore(tree, model)
        except (FileError, StateError) as error:
            raise type(error)(f"{place}: {as_arguments(str(error))}") from None
        except UsageError as error:
            raise FileError(f"{place}: {error}") from None
        return made

    def _restore(self, tree: Tree, model: str | os.PathLike[str] | None) -> None:
        if HEAD not in tree:
            raise FileError("not written by Quadrature.save")
        own = subtree(tree, HEAD)
        chosen = {field.name: own.get(field.name) for field in fields(Settings)}
        if model is not None:
            chosen["model"] = model
        settings = settings_of(**chosen)
        channels = value_of(own, "channels", int | None)
        self._begin(settings, checked_rate(own.get("rate_hz")), channels)
        with daemon_arithmetic():
            self._core.restore({name: part for name, part in tree.items() if name != HEAD}, Instant(0, 0))
        stream = self._core.streams.pop(STREAM, None)
        if self._core.streams or (stream is not None and stream.channels != channels):
            raise FileError("not written by Quadrature.save")
        sent_to = 0
        if stream is not None:
            self._core.streams[STREAM] = stream
            sent_to = stream.order.next_seq
        next_seq = value_of(own, "next_seq", Seq)
        if next_seq < sent_to:
            raise FileError(f"state: next_seq must be at least {sent_to}, got {next_seq}")
        self._feed.go_on(sent_to, next_seq)
        self._looked_seq = value_of(own, "looked_seq", Seq)
        if own.get("before") is not None:
            self._before = array_of(own, "before", (2, channels), np.float32, missing=True)

    # Within

    def _check_width(self, inputs: FloatArray) -> None:
        channels = inputs.shape[1]
        if self._channels is None:
            check_channels("x", channels)
        elif channels != self._channels:
            shape = "samples" if self._channels == 1 else f"samples, {self._channels}"
            raise UsageError(
                f"x: must be [{shape}], for there are {self._channels} channel(s), got shape "
                f"{list(inputs.shape)}, {channels} channel(s)"
            )

    def _targets(self, targets: ArrayLike, inputs: FloatArray) -> FloatArray:
        """Return targets [samples, channels, fields]."""
        if self._settings.learn != "target":
            raise UsageError("targets: are for learn='target'")
        given = samples_of("targets", targets, dims=(1, 2, 3))
        shape = inputs.shape
        if given.shape in (shape, shape[:1] if shape[1] == 1 else shape):
            return given.reshape(*shape, 1)
        if given.shape == (*shape, 2):
            return given
        raise UsageError(
            f"targets: must be cos in the shape of x, {list(shape)}, or cos and sin, {[*shape, 2]}, got shape "
            f"{list(given.shape)}"
        )

    def _answers(self, inputs: FloatArray, targets: FloatArray | None) -> Iterator[FloatArray]:
        """Yield the estimates of a few samples at a time, and let the core look around once a second."""
        step = max(1, BLOCK_VALUES // inputs.shape[1])
        for first in range(0, len(inputs), step):
            piece = slice(first, first + step)
            yield self._feed.answer(inputs[piece], None if targets is None else targets[piece])
            if self._feed.next_seq - self._looked_seq >= max(ENTRIES, self._rate_hz):
                self._looked_seq = self._feed.next_seq
                self._feed.look()
                self._log()

    def _estimates(self, values: FloatArray, inputs: FloatArray) -> Estimates:
        seq = self._feed.next_seq - len(values)
        estimates = estimates_of(seq, values, inputs, self._before, self._rate_hz)
        if len(values):
            self._before = last_of(values, inputs)
        return estimates

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """Take samples; who is interrupted meanwhile stands between two samples, and cannot go on."""
        self._check_whole()
        self._interrupted = True
        with daemon_arithmetic():
            yield
        self._interrupted = False

    def _check_whole(self) -> None:
        if self._interrupted:
            raise StateError(
                "push: an earlier call was interrupted (or runs in another thread), so that some samples may be "
                "lost: go on from a saved state, or begin anew"
            )

    def _log(self) -> None:
        with naming_arguments():
            for remark in self._feed.remarks:
                log.log(remark.level, "%s", remark.text)
        self._feed.remarks.clear()
