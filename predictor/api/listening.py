"""Estimates that predictors publish, as they come: an iterator over them."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from predictor.api.arguments import number
from predictor.api.estimates import Estimates, estimates_of, last_of
from predictor.api.naming import log, naming_arguments
from predictor.api.security import security_of
from predictor.listen.estimate_reader import EstimateReader
from streamer.clock import SystemClock
from streamer.effects import Say
from streamer.errors import NothingHeard, UsageError
from streamer.messages import Chunk, FloatArray, Kind, Replay
from streamer.ordering.retry import RetryPolicy
from streamer.transport.transport import PREDICTOR_ADDRESS, Transport
from streamer.waveforms import check_range

GAP_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Published(Estimates):
    """Estimates of consecutive samples of a stream, as a predictor published them together.

    Their arrays have the shape (samples, channels). Of a model that estimates cos alone, what needs sin is NaN.

    Attributes
    ----------
    stream : str
    run : int
        Number of the source's run; (stream, run, seq) names a sample for ever.
    time_ns : int
        When the first sample was taken, by its source: nanoseconds since 1970.
    rate_hz : float or None
        Samples a second, as the source says.
    missing : int
        Samples right before the first one whose estimates could not be had.
    model_version : int
        Learning updates in the weights that made them.
    """

    stream: str
    run: int
    time_ns: int
    rate_hz: float | None
    missing: int
    model_version: int

    def __repr__(self) -> str:
        return f"<{self.stream}: estimates of samples {self.seq} to {self.seq + len(self) - 1}>"


class Subscription(Iterator[Published]):
    """Iterates over estimates as they come, until `close` or the end of its `with` block.

    Attributes
    ----------
    missing : int
        Samples so far whose estimates could not be had.
    """

    def __init__(self, reader: EstimateReader, transport: Transport, timeout_s: float | None, where: str) -> None:
        self._reader = reader
        self._transport: Transport | None = transport
        self._timeout_ns = None if timeout_s is None else round(timeout_s * 1e9)
        self._where = where
        self._clock = SystemClock()
        self._before: dict[str, tuple[int, int, FloatArray]] = {}  # stream -> run, next seq, last cos and sin

    @property
    def missing(self) -> int:
        """Return how many samples so far have no estimates that could be had."""
        return self._reader.missing

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Published:
        """Return the next estimates; wait for them if need be.

        Raises
        ------
        NothingHeard
            If none come within `timeout_s`. One may call again.
        """
        reader, transport = self._reader, self._transport
        until_ns = None if self._timeout_ns is None else self._clock.now().mono_ns + self._timeout_ns
        while not reader.ready:
            if reader.ended:
                self.close()
            if transport is None or self._transport is None:
                raise StopIteration
            self._step(transport, until_ns)
        return self._published(*reader.ready.popleft())

    def _step(self, transport: Transport, until_ns: int | None) -> None:
        """Take what has come, or wait until something does, or something is to be done."""
        messages = transport.receive()
        now, due_ns = self._clock.now(), self._reader.next_ns()
        if messages:
            self._perform(transport, self._reader.receive(messages, now))
        elif due_ns is not None and now.mono_ns >= due_ns:
            self._perform(transport, self._reader.look(now))
        elif until_ns is not None and now.mono_ns >= until_ns:
            seconds = (self._timeout_ns or 0) / 1e9
            raise NothingHeard(
                f"timeout_s: no estimates {self._where} within {seconds:g} s; is a predictor there?"
            )
        else:
            dues = [due for due in (due_ns, until_ns) if due is not None]
            transport.wait(-(-(min(dues) - now.mono_ns) // 1_000_000) if dues else None)

    @staticmethod
    def _perform(transport: Transport, effects: Iterable[Say | Replay]) -> None:
        for effect in effects:
            if isinstance(effect, Replay):
                transport.ask(effect)
            else:
                log.log(effect.level, "%s", effect.text)

    def _published(self, chunk: Chunk, missing: int) -> Published:
        values, rate_hz = chunk.values, chunk.rate_hz or None
        inputs = np.full(values.shape[:2], np.nan, np.float32)  # stand for sin where a model has none
        run, next_seq, last = self._before.get(chunk.stream, (None, 0, None))
        goes_on = (
            (run, next_seq) == (chunk.run, chunk.seq) and last is not None and last.shape[1] == values.shape[1]
        )
        found = estimates_of(chunk.seq, values, inputs, last if goes_on else None, rate_hz)
        self._before[chunk.stream] = chunk.run, chunk.end_seq, last_of(values, inputs)
        return Published(
            found.seq, found.cos, found.sin, found.phase_deg, found.amplitude, found.frequency_hz, chunk.stream,
            chunk.run, chunk.time_ns, rate_hz, missing, chunk.model_version,
        )  # fmt: skip

    def close(self) -> None:
        """Listen no more."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # of a half-made one, or at the interpreter's end
            self.close()


def listen(
    stream: str | None = None,
    *,
    address: str | Sequence[str] = PREDICTOR_ADDRESS,
    reliable: bool = True,
    follow: bool = False,
    timeout_s: float | None = None,
    gap_deadline_s: float = GAP_DEADLINE_S,
    keys: str | os.PathLike[str] | None = None,
    insecure: bool = False,
) -> Subscription:
    """Listen to the estimates of `sincos predict`: iterate over what is returned.

    Parameters
    ----------
    stream : str, optional
        Only this stream; else all.
    address : str or sequence of str
        Where predictors publish.
    reliable : bool
        Bring every estimate once and in order, those that the predictor still keeps from before included: ask
        again for what is missing, and count what cannot be had as `missing`. Else bring what comes.
    follow : bool
        Go on with the stream's next run once one has ended; else the iteration ends then. Of all streams it never
        ends.
    timeout_s : float, optional
        How long to wait for the next estimates; else as long as it takes, or until Ctrl-C.
    gap_deadline_s : float
        Give up missing estimates after so long without progress, while their predictor is heard.
    keys : path, optional
        Encrypt, with the keys in this folder (see `sincos keys`).
    insecure : bool
        Without keys, talk beyond this machine all the same.

    Returns
    -------
    Subscription

    Raises
    ------
    UsageError
        If an argument is out of range.
    AddressError
        If an address is malformed, or leads beyond this machine without keys.
    FileError
        If a key cannot be read.

    Examples
    --------
    >>> import sincos
    >>> with sincos.listen("cz", address="tcp://127.0.0.1:9", timeout_s=0.1) as estimates:
    ...     for r in estimates:
    ...         print(r.seq, r.phase_deg)
    Traceback (most recent call last):
    ...
    streamer.errors.NothingHeard: timeout_s: no estimates of cz at tcp://127.0.0.1:9 within 0.1 s; ...
    """
    addresses = (address,) if isinstance(address, str) else tuple(map(str, address))
    if not addresses:
        raise UsageError("address: must be at least one")
    if timeout_s is not None:
        check_range("timeout_s", number("timeout_s", timeout_s), 0, 1e9)
    deadline_s = number("gap_deadline_s", gap_deadline_s)
    where = f"of {'any stream' if stream is None else stream} at {', '.join(addresses)}"
    with naming_arguments():
        reader = EstimateReader(stream, RetryPolicy(deadline_s) if reliable else None, follow=follow)
        security = security_of(None if keys is None else Path(keys), insecure=insecure)
        transport = Transport(
            connect=addresses, topics=reader.topics, asks={Kind.ESTIMATE: addresses} if reliable else False,
            flags=dict.fromkeys(addresses, "address"), **security,
        )  # fmt: skip
    return Subscription(reader, transport, timeout_s, where)
