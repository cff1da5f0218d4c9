"""`sincos source --file`: a recording, or what comes through a pipe, as the signal of a source."""

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import click
from click.core import ParameterSource

from streamer.errors import FileError, UsageError
from streamer.messages import FloatArray
from streamer.recordings.csv_layout import TableOptions
from streamer.recordings.live_frames import NPY_MAGIC, WAV_MAGICS, ByteStream, Frames, npy_frames, wav_frames
from streamer.recordings.live_table import LiveTable
from streamer.recordings.recording import read_recording
from streamer.shell import StopSignal, log
from streamer.source.live_signal import LiveSignal
from streamer.source.recorded_signal import RecordedSignal
from streamer.transport.transport import HasFileno
from streamer.waveforms import check_range
from streamer.wire import codec

PIPE = Path("-")
NAME = "standard input"
SYNTHETIC = (
    "waveform", "frequency_hz", "to_frequency_hz", "every_s", "amplitude", "phase_deg", "offset", "noise", "seed",
    "channels", "target_delay_samples",
)  # fmt: skip
OF_FILES = ("loops", "speed", "columns", "time", "header", "decimal")

Blocks = Iterator[tuple[FloatArray, int]]


def speed(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """Return a factor; infinity for `max`, None where nothing is said."""
    if text is None or text == "max":
        return None if text is None else math.inf
    try:
        factor = float(text)
    except ValueError:
        raise click.BadParameter(f"must be a factor or 'max', got {text!r}") from None
    check_range("--speed", factor, 1e-6, 1e6)
    return factor


def is_typed(context: click.Context, name: str) -> bool:
    """Whether an option was given."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def is_paced(file: Path, factor: float | None) -> bool:
    """Whether samples are published at their rate; a pipe's are as they come, unless somebody says a speed."""
    return (factor or 0.0) < math.inf and (file != PIPE or factor is not None)


def refuse_conflicts(context: click.Context, *, file: Path | None) -> None:
    """Refuse options that say nothing beside the others.

    Raises
    ------
    UsageError
        If there are any.
    """
    for option in context.command.params:
        name, flag = option.name, option.opts[0]
        if name is None or not is_typed(context, name):
            continue
        if file is None:
            if name in OF_FILES:
                raise UsageError(f"{flag}: needs --file")
        elif name in SYNTHETIC:
            raise UsageError(f"--file, {flag}: a file has its own signal; leave {flag} out")
        elif name == "targets" and context.params["targets"]:
            raise UsageError("--file, --targets: a file has no targets; leave --targets out")
        elif name == "rate_hz" and context.params["rate_hz"] is None:
            raise UsageError("--file, --rate max: give --speed max; --rate is the file's sample rate")
        elif file == PIPE and name in ("loops", "journal_file"):
            raise UsageError(f"--file -, {flag}: standard input cannot be read again; leave {flag} out")


def signal_of(
    file: Path, rate_hz: float | None, factor: float | None, table: TableOptions, *, loops: bool, chunk: int
) -> RecordedSignal | LiveSignal:
    """Return what a file, or standard input, says.

    Parameters
    ----------
    rate_hz : float or None
        Samples a second, where it does not say them.
    factor : float or None
        How much faster they are published.

    Raises
    ------
    FileError
        If it cannot be read.
    UsageError
        If nobody says its samples a second.
    """
    if rate_hz is not None:
        check_range("--rate", rate_hz, codec.MIN_RATE_HZ, codec.MAX_RATE_HZ)
    table = replace(table, rate_hz=rate_hz)
    factor = factor if factor is not None and factor < math.inf else 1.0
    if file == PIPE:
        return _piped(rate_hz, factor, table, chunk)
    recording = read_recording(file, table_options=table)
    own_hz = recording.rate(rate_hz)
    if own_hz is None:
        raise UsageError(f"--rate: {file} does not state its sample rate; give it")
    return RecordedSignal(recording, own_hz * factor, loops=loops)


def _piped(rate_hz: float | None, factor: float, options: TableOptions, chunk: int) -> LiveSignal:
    """Return what comes through standard input, read by a thread of its own."""
    log.info("waiting for the first samples on %s", NAME)
    stream = ByteStream(_read)
    begin = stream.peek(len(NPY_MAGIC))
    if begin.startswith((*WAV_MAGICS, NPY_MAGIC)):
        frames = (npy_frames if begin == NPY_MAGIC else wav_frames)(stream, NAME)
        signal = LiveSignal(_rate(frames, rate_hz) * factor, frames.channels, chunk=chunk)
        _start(signal, ((values, 0) for values in frames.blocks()))
    else:
        table = LiveTable(stream.lines(), NAME, options)
        signal = LiveSignal(table.rate_hz * factor, table.channels, table.names, chunk)
        _start(signal, table.samples())
    return signal


def _rate(frames: Frames, chosen_hz: float | None) -> float:
    own_hz = frames.rate_hz
    if chosen_hz is not None and own_hz not in (None, chosen_hz):
        raise UsageError(f"--rate: {NAME} states {own_hz:g} samples a second, got {chosen_hz:g}; leave it out")
    rate_hz = chosen_hz or own_hz
    if rate_hz is None:
        raise UsageError(f"--rate: {NAME} does not state its sample rate; give it")
    return rate_hz


def _read(count: int) -> bytes:
    # Not sys.stdin: a thread that waits in it for ever would hold its lock at exit.
    try:
        return os.read(0, count)
    except OSError as error:
        raise FileError(f"{NAME}: cannot be read: {error.strerror}") from None


def _start(signal: LiveSignal, blocks: Blocks) -> None:
    def pump() -> None:
        error: Exception | None = None
        try:
            for values, missing in blocks:
                if not signal.put(values, missing):
                    return
        except Exception as raised:  # the publisher's thread raises it, once it has said what came before
            error = raised
        signal.close(error)

    Thread(target=pump, name="reader", daemon=True).start()


@contextlib.contextmanager
def reading(signal: object, stop: StopSignal) -> Iterator[list[HasFileno]]:
    """Yield what wakes a source; let a reader's thread go afterwards.

    Raises
    ------
    FileError
        If what came in could not be read to its end.
    """
    if not isinstance(signal, LiveSignal):
        yield [stop]
        return
    try:
        yield [stop, signal]
    finally:
        signal.leave()
    if signal.error is not None:
        raise signal.error
