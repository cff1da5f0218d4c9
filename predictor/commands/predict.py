"""`sincos predict`: one estimate for every sample of every stream."""

import gc
import os
from functools import partial
from pathlib import Path

# Before NumPy: a step's products are far too small to be worth a second thread, and one thread keeps them exact.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
import numpy as np

from predictor.api.settings import choose_learning, choose_model, is_file
from predictor.commands.common import (
    Security,
    check_apart,
    flags,
    memory,
    nominal_hz,
    quiet,
    secured,
    source_addresses,
    start_logging,
)
from predictor.commands.learning import learning_options
from predictor.commands.state import checkpoint_every, keeping, reloader, state_options
from predictor.daemon.core import Predictor, PredictorConfig
from streamer.clock import SystemClock
from streamer.messages import Kind
from streamer.ordering.retry import RetryPolicy
from streamer.shell import StopSignal, log, run
from streamer.source.wait_for_subscribers import WaitForSubscribers
from streamer.transport.transport import PREDICTOR_ADDRESS, Transport
from streamer.waveforms import check_range
from streamer.wire import codec
from trainer.model import GATES

# Inputs last: a source that waits for a listener has then heard of the other two.
TOPICS = [codec.topic(Kind.INFO), codec.topic(Kind.TARGET), codec.topic(Kind.INPUT)]

MAX_LISTENERS = 1_000_000


@click.command()
@source_addresses
@click.option("--bind", default=PREDICTOR_ADDRESS, show_default=True, metavar="ADDRESS", help="Where to publish.")
@nominal_hz
@click.option(
    "--model",
    "model_name",
    default="default",
    show_default=True,
    metavar="NAME|FILE",
    help="default, tutorial, new (random weights), or a file from sincos train.",
)
@click.option("--cell", type=click.Choice(list(GATES)), help="Cell of --model new.  [default: rnn]")
@click.option("--hidden", type=int, help="Units a layer of --model new.  [default: 32]")
@click.option("--layers", type=int, help="Layers of --model new.  [default: 1]")
@click.option("--seed", type=int, help="Seed of the random weights of --model new.  [default: 0]")
@learning_options
@click.option(
    "--on-gap",
    type=click.Choice(["hold", "reset"]),
    default="hold",
    show_default=True,
    help="After a gap, keep the hidden state or reset it.",
)
@state_options
@click.option(
    "--gap-deadline",
    "gap_deadline_s",
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Declare missing samples lost after this long without progress.",
)
@click.option(
    "--join",
    type=click.Choice(["start", "live"]),
    default="start",
    show_default=True,
    help="Where to start in a running stream: at its earliest sample, or with the next one.",
)
@click.option(
    "--hold-mb",
    default=8,
    show_default=True,
    metavar="MB",
    help="Limit of the reorder buffer; what exceeds it is dropped and requested again.",
)
@click.option(
    "--retain",
    "retain_s",
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Retransmission buffer for estimates, in seconds.",
)
@click.option(
    "--retain-mb", default=16, show_default=True, metavar="MB", help="Limit of the retransmission buffer."
)
@memory
@click.option(
    "--wait",
    "wait_for",
    is_flag=False,
    flag_value=1,
    default=0,
    metavar="[SUBSCRIBERS]",
    help="Wait for a subscriber, or that many, before subscribing to any source.",
)
@secured
@quiet
def command(
    sources: tuple[str, ...], bind: str, model_name: str, cell: str | None, hidden: int | None, layers: int | None,
    seed: int | None, learn: str | None, band_hz: tuple[float, float] | None, window_samples: int | None,
    stride_samples: int | None, learning_rate: float | None, on_gap: str, gap_deadline_s: float, join: str,
    hold_mb: int, retain_s: float, retain_mb: int, memory_mb: int, wait_for: int, nominal_hz: float | None,
    state_folder: Path | None, every_s: float | None, security: Security, quiet: bool,
) -> None:  # fmt: skip
    """Estimate the quadrature of every sample of every stream."""
    start_logging("predict", quiet=quiet)
    check_apart(bind, sources)
    np.seterr(all="ignore")  # values are checked; OpenBLAS raises flags for what lies past its operands, too
    choose = partial(choose_model, model_name, {"cell": cell, "hidden": hidden, "layers": layers}, seed)
    model = choose()
    check_range("--wait", wait_for, 0, MAX_LISTENERS)
    learning = choose_learning(learn, band_hz, window_samples, stride_samples, learning_rate, nominal_hz)
    retry_policy = RetryPolicy(gap_deadline_s, join == "start", hold_mb * 2**20)
    config = PredictorConfig(
        reset_on_gap=on_gap == "reset", nominal_hz=nominal_hz, retry_policy=retry_policy, retain_s=retain_s,
        retain_bytes=retain_mb * 2**20, memory_bytes=memory_mb * 2**20,
        checkpoint_every_s=checkpoint_every(state_folder, every_s),
    )  # fmt: skip
    core = Predictor(model, config, learning.make_learner, learning.self_config)
    reload = reloader(core, choose) if is_file(model_name) else None
    with (
        keeping(core, state_folder) as keeper,
        StopSignal(reloads=True) as stop,
        Transport(
            bind=bind,
            watch=[stop],
            together=True,
            answers=True,
            asks=True,
            fast_path=core.fast_paths,
            full=core.full,
            flags=flags(sources),
            ends=None if keeper is None else keeper.ends,
            memory_bytes=config.memory_bytes,
            **security,
        ) as transport,
    ):
        log.info(
            "model %s (%s, %d units), %s; listening to %s, publishing on %s", model.name, model.config.cell,
            model.config.hidden, learning, ", ".join(sources), transport.address,
        )  # fmt: skip
        if wait_for:
            log.info("waiting for %d subscriber(s)", wait_for)
            run(
                WaitForSubscribers(codec.topic(Kind.ESTIMATE), wait_for),
                transport,
                SystemClock(),
                stop,
                reload=reload,
            )
        if not stop.requested:
            transport.connect(sources, TOPICS)
            gc.freeze()  # what is here stays: the collector need not look through it again while samples wait
            run(core, transport, SystemClock(), stop, keeper=keeper, reload=reload)
