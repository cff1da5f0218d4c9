"""`sincos source`: publish a signal."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import click

from predictor.commands import source_file
from predictor.commands.common import Security, memory, quiet, secured, start_logging
from predictor.commands.tables import table_options
from streamer.clock import SystemClock
from streamer.errors import UsageError
from streamer.messages import Kind
from streamer.recordings.csv_layout import TableOptions
from streamer.replay.journal import JournalFile
from streamer.shell import StopSignal, log, run
from streamer.source.publisher import Publisher, SourceConfig
from streamer.source.signals import Samples, Signal
from streamer.transport.transport import SOURCE_ADDRESS, Transport
from streamer.waveforms import WAVEFORMS, Oscillation, check_range
from streamer.wire import codec

NOMINAL_RATE_HZ = 100.0
MAX_DURATION_S = 1e9


def _rate_hz(_context: click.Context, _option: click.Parameter, text: str) -> float | None:
    if text == "max":
        return None
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"must be a number of Hz or 'max', got {text!r}") from None


@click.command()
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Publish a recording (.npy, .csv, .wav) at its own rate, or a pipe (-) as its samples arrive.",
)
@click.option("--loop", "loops", is_flag=True, help="Repeat the file after its last sample.")
@click.option(
    "--speed",
    callback=source_file.speed,
    metavar="FACTOR|max",
    help="Publish the file this many times faster; max: as fast as its subscribers take it.  [default: 1]",
)
@click.option(
    "--waveform",
    type=click.Choice(list(WAVEFORMS)),
    default="sine",
    show_default=True,
    help="Waveform of the signal.",
)
@click.option(
    "--frequency", "frequency_hz", default=5.0, show_default=True, metavar="HZ", help="Frequency of the signal."
)
@click.option(
    "--to-frequency",
    "to_frequency_hz",
    type=float,
    metavar="HZ",
    help="Second frequency of chirp and step.  [default: twice --frequency]",
)
@click.option(
    "--every",
    "every_s",
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Length of a sweep, time between steps or jumps, period of the modulation.",
)
@click.option("--amplitude", default=1.0, show_default=True, help="Amplitude of the signal.")
@click.option(
    "--phase", "phase_deg", default=0.0, show_default=True, metavar="DEGREES", help="Phase at the first sample."
)
@click.option("--offset", default=0.0, show_default=True, help="Constant added to the input, not to the target.")
@click.option(
    "--noise",
    default=0.0,
    show_default=True,
    metavar="SIGMA",
    help="Standard deviation of white noise on the input.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the noise.")
@click.option(
    "--rate",
    "rate_hz",
    default=f"{NOMINAL_RATE_HZ:g}",
    show_default=True,
    callback=_rate_hz,
    metavar="HZ|max",
    help="Sample rate; max sends the 100 Hz signal as fast as its subscribers take it.",
)
@click.option("--chunk", default=1, show_default=True, metavar="SAMPLES", help="Number of samples in a message.")
@click.option(
    "--channels",
    default=1,
    show_default=True,
    help="Number of channels; channel k leads by k / channels of a cycle.",
)
@click.option("--count", type=int, metavar="SAMPLES", help="Stop after this many samples.")
@click.option(
    "--duration", "duration_s", type=float, metavar="SECONDS", help="Stop after this many seconds of signal."
)
@click.option("--targets/--no-targets", default=True, help="Publish the true quadrature too.  [default: targets]")
@click.option(
    "--target-delay",
    "target_delay_samples",
    default=0,
    show_default=True,
    metavar="SAMPLES",
    help="Publish each target this many samples later than its input.",
)
@click.option("--stream", default="demo", show_default=True, metavar="NAME", help="Name of the stream.")
@click.option("--bind", default=SOURCE_ADDRESS, show_default=True, metavar="ADDRESS", help="Where to publish.")
@click.option(
    "--wait",
    "wait_for",
    is_flag=False,
    flag_value=1,
    default=0,
    metavar="[SUBSCRIBERS]",
    help="Wait for a subscriber, or that many, before the first sample.",
)
@click.option(
    "--retain",
    "retain_s",
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Retransmission buffer, in seconds.",
)
@click.option(
    "--retain-mb", default=64, show_default=True, metavar="MB", help="Limit of the retransmission buffer."
)
@memory
@click.option(
    "--linger",
    "linger_s",
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Keep running this long after the last sample so that readers can catch up.",
)
@click.option(
    "--journal",
    "journal_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write-ahead log of published samples: after a crash, the same command continues the run.",
)
@secured
@table_options
@quiet
@click.pass_context
def command(
    context: click.Context, /, file: Path | None, loops: bool, speed: float | None, table: TableOptions,
    waveform: str, frequency_hz: float, to_frequency_hz: float | None, every_s: float, amplitude: float,
    phase_deg: float, offset: float, noise: float, seed: int, rate_hz: float | None, chunk: int, channels: int,
    count: int | None, duration_s: float | None, targets: bool, target_delay_samples: int, stream: str,
    bind: str, wait_for: int, retain_s: float, retain_mb: int, memory_mb: int, linger_s: float,
    journal_file: Path | None, security: Security, quiet: bool,
) -> None:  # fmt: skip
    """Publish a signal, sample by sample, with its true quadrature; with --file, a file or a pipe."""
    start_logging("source", quiet=quiet)
    source_file.refuse_conflicts(context, file=file)
    if file is None:
        signal: Samples = _synthetic(
            Oscillation(waveform, frequency_hz, to_frequency_hz, every_s, amplitude, phase_deg),
            NOMINAL_RATE_HZ if rate_hz is None else rate_hz, channels, offset, noise, seed,
        )  # fmt: skip
        paced = rate_hz is not None
    else:
        chosen_hz = rate_hz if source_file.is_typed(context, "rate_hz") else None
        signal = source_file.signal_of(file, chosen_hz, speed, table, loops=loops, chunk=chunk)
        paced, targets = source_file.is_paced(file, speed), False
    if duration_s is not None:
        if count is not None:
            raise UsageError("--count, --duration: give one of them, not both")
        check_range("duration_s", duration_s, 0, MAX_DURATION_S)
        count = round(duration_s * signal.rate_hz)
    config = SourceConfig(
        stream, chunk, count, paced, targets, target_delay_samples, wait_for, retain_s,
        retain_mb * 2**20, linger_s, memory_mb * 2**20,
    )  # fmt: skip
    patient = not config.paced
    with (
        StopSignal(reloads=True) as stop,
        source_file.reading(signal, stop) as watched,
        Transport(
            bind=bind,
            watch=watched,
            back_pressure=patient,
            answers=True,
            memory_bytes=config.memory_bytes,
            **security,
        ) as transport,
        _journal(journal_file, config, signal) as journal,  # last: whoever cannot start leaves none behind
    ):
        core = Publisher(config, signal, secrets.randbits(64) if journal is None else journal.run, journal)
        log.info("publishing %s on %s", codec.topic(Kind.INPUT, stream).decode(), transport.address)
        if journal is not None and journal.resumed:
            core.record.resume(journal.chunks(), journal.next_seq, journal.next_target_seq, SystemClock().now())
            log.info("continuing run %016x at sample %d, as in %s", journal.run, journal.next_seq, journal_file)
        if wait_for:
            log.info("waiting for %d subscriber(s)", wait_for)
        run(core, transport, SystemClock(), stop, precise=True)


def _synthetic(
    oscillation: Oscillation, rate_hz: float, channels: int, offset: float, noise: float, seed: int
) -> Signal:
    signal = Signal(oscillation, rate_hz, channels, offset, noise, seed)
    for doubt in oscillation.doubts():
        log.warning("%s", doubt)
    return signal


@contextlib.contextmanager
def _journal(path: Path | None, config: SourceConfig, signal: Samples) -> Iterator[JournalFile | None]:
    if path is None:
        yield None
        return
    about = {
        "stream": config.stream,
        "targets": config.targets,
        "target_delay_samples": config.target_delay_samples,
        "signal": signal.about(),
    }
    with contextlib.closing(JournalFile(path, about, secrets.randbits(64), config.retain_bytes)) as journal:
        yield journal
