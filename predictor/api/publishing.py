"""A source: samples that a program pushes, published as a stream, with retransmission, by a thread of its own."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from predictor.api.arguments import checked_rate, number, samples_of, width
from predictor.api.naming import naming_arguments
from predictor.api.security import Security, security_of
from streamer.clock import SystemClock
from streamer.errors import NothingHeard, UsageError
from streamer.messages import FIELDS
from streamer.shell import StopRequest, run
from streamer.source.live_signal import LiveSignal
from streamer.source.publisher import Publisher, SourceConfig
from streamer.transport.transport import SOURCE_ADDRESS, Transport
from streamer.waveforms import check_range
from streamer.wire import codec

CHUNK_VALUES = 8_192  # of a push, in one message
POLL_S = 0.02
GRACE_S = 5.0  # for what was pushed to be sent, beyond the time in which readers may ask again


class Publication:
    """A stream that is being published. It ends with `close`, or with its `with` block.

    Attributes
    ----------
    stream : str
    run : int
        Random number of this run.
    address : str
        Where it is published, with the port that was taken.
    """

    def __init__(
        self, stream: str, rate_hz: float, labels: tuple[str, ...], channels: int, address: str, retain_s: float,
        linger_s: float, security: Security,
    ) -> None:  # fmt: skip
        self.stream = stream
        self.run = secrets.randbits(64)
        self.address = address
        self._channels = channels
        self._linger_s = linger_s
        most = codec.MAX_PAYLOAD_BYTES // (4 * channels * len(FIELDS))
        config = SourceConfig(
            stream, max(1, min(most, CHUNK_VALUES // channels)), paced=False, targets=False, retain_s=retain_s,
            linger_s=linger_s,
        )  # fmt: skip
        self._signal = LiveSignal(rate_hz, channels, labels)
        try:
            self._core = Publisher(config, self._signal, self.run)
        except BaseException:
            self._signal.leave()
            raise
        self._security = security
        self._stop = StopRequest()
        self._ready = Event()
        self._error: BaseException | None = None
        self._closed = False
        self._thread = Thread(target=self._serve, name=f"sincos-publish-{stream}", daemon=True)
        self._thread.start()
        self._ready.wait()
        if not self._thread.is_alive() or self._signal.is_left:
            self.close()

    @property
    def listeners(self) -> int:
        """How many predictors and readers take its samples now."""
        return self._core.listeners

    @property
    def samples(self) -> int:
        """How many samples have been published, missing ones included."""
        return self._core.record.next_seq

    def push(self, x: ArrayLike, missing: int = 0) -> None:
        """Publish the next samples, as having happened until now.

        It returns at once, but waits where samples are pushed faster than readers take them.

        Parameters
        ----------
        x : array_like, shape (samples,) or (samples, channels)
            Real numbers.
        missing : int
            Samples that are missing before them: readers are told of the gap.

        Raises
        ------
        UsageError
            If `x` holds no such numbers, or it is closed.
        """
        given = samples_of("x", x)
        values = given if given.ndim == 2 else given[:, None]
        if values.shape[1] != self._channels:
            raise UsageError(
                f"x: must have the {self._channels} channel(s) of publish(channels=...), got shape "
                f"{list(given.shape)}, {values.shape[1]} channel(s)"
            )
        gone = int(number("missing", missing, whole=True))
        check_range("missing", gone, 0, 2**53)
        if self._closed:
            raise UsageError(f"push: stream {self.stream} is closed; publish it again")
        if (len(values) or gone) and not self._signal.put(values, gone):
            self.close()
            raise UsageError(f"push: stream {self.stream} has ended")

    def wait_for(self, listeners: int, timeout_s: float) -> None:
        """Wait until so many take its samples.

        Raises
        ------
        NothingHeard
            If there are fewer after `timeout_s` seconds.
        """
        clock = SystemClock()
        until_ns = clock.now().mono_ns + round(timeout_s * 1e9)
        while self.listeners < listeners and self._thread.is_alive():
            if clock.now().mono_ns >= until_ns:
                raise NothingHeard(
                    f"wait_for: {self.listeners} of {listeners} listeners of {self.stream} at {self.address} "
                    f"within {timeout_s:g} s"
                )
            self._thread.join(POLL_S)

    def close(self) -> None:
        """End the run: publish what was pushed, and stay for `linger_s` in case some of it is asked for again.

        Raises
        ------
        AddressError, OSError
            What ended it before.
        """
        if not self._closed:
            self._closed = True
            self._signal.close()
        try:
            self._thread.join(self._linger_s + GRACE_S)
        finally:  # also where a second Ctrl-C ends the wait
            self._stop.request()
            self._thread.join(GRACE_S)
            if not self._thread.is_alive():
                self._stop.close()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        try:
            with Transport(
                bind=self.address, watch=[self._stop, self._signal], back_pressure=True, answers=True,
                **self._security,
            ) as transport:  # fmt: skip
                self.address = transport.address or self.address
                self._ready.set()
                run(self._core, transport, SystemClock(), self._stop)
        except BaseException as error:  # raised where somebody waits for this thread
            self._error = error
        finally:
            self._signal.leave()
            self._ready.set()


def publish(
    stream: str,
    rate_hz: float,
    *,
    channels: int | Sequence[str] = 1,
    address: str = SOURCE_ADDRESS,
    wait_for: int = 0,
    timeout_s: float = 60.0,
    retain_s: float = 60.0,
    linger_s: float = 1.0,
    keys: str | os.PathLike[str] | None = None,
    insecure: bool = False,
) -> Publication:
    """Publish a stream of samples that a program pushes: a source for `sincos predict`.

    What was published is kept for a while and sent again to readers that missed some, by a thread of its own. The
    stream ends with the `with` block.

    Parameters
    ----------
    stream : str
        Name of the stream.
    rate_hz : float
        Samples a second.
    channels : int or sequence of str
        How many channels there are, or their names.
    address : str
        Where to publish: ``tcp://HOST:PORT`` or ``ipc://PATH``; port ``*`` takes a free one.
    wait_for : int
        Predictors and readers to wait for before it returns.
    timeout_s : float
        How long to wait for them.
    retain_s, linger_s : float
        How long samples are kept to be sent again, and how long to stay for that after the last one.
    keys : path, optional
        Encrypt, and let in only whose key is in this folder (see `sincos keys`).
    insecure : bool
        Without keys, talk beyond this machine all the same.

    Returns
    -------
    Publication

    Raises
    ------
    UsageError
        If an argument is out of range.
    AddressError
        If the address is malformed or in use, or leads beyond this machine without keys.
    FileError
        If a key cannot be read.
    NothingHeard
        If too few listen within `timeout_s`.

    Examples
    --------
    >>> import sincos
    >>> with sincos.publish("cz", rate_hz=250, channels=["Cz"], address="tcp://127.0.0.1:*") as out:
    ...     out.push([0.0, 0.2, 0.5])
    >>> out.samples
    3
    """
    labels: tuple[str, ...] = ()
    if isinstance(channels, str):
        raise UsageError(f"channels: must be a number or a list of names, got {channels!r}: give [{channels!r}]")
    if isinstance(channels, Sequence | np.ndarray):
        labels = tuple(map(str, channels))
        count = width(len(labels))
    else:
        count = width(channels)
    listeners = int(number("wait_for", wait_for, whole=True))
    check_range("wait_for", listeners, 0, 1_000_000)
    seconds = number("timeout_s", timeout_s)
    check_range("timeout_s", seconds, 0, 1e9)
    kept_s, stays_s = number("retain_s", retain_s), number("linger_s", linger_s)
    with naming_arguments():
        security = security_of(None if keys is None else Path(keys), insecure=insecure)
        made = Publication(
            str(stream), checked_rate(rate_hz), labels, count, str(address), kept_s, stays_s, security
        )
        try:
            made.wait_for(listeners, seconds)
        except BaseException:
            made.close()
            raise
    return made
