"""P9: cost per estimate for channels 1 to 65,536, and for streams 1 to 10,000, each with its own state."""

from pathlib import Path
from statistics import median

import numpy as np
from speed import Figure, run, tanh_rnn

from predictor.bench.stopwatch import per_call_s
from predictor.bench.work import Work, steps
from predictor.daemon.core import Predictor
from streamer.clock import Instant
from streamer.messages import ANSWERED, Kind
from streamer.transport.frames import DRAIN_LIMIT
from streamer.wire import batch, codec

CHANNELS = (1, 10, 100, 1_000, 10_000, 65_536)
STREAMS = (1, 10, 100, 1_000, 10_000)
FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "scale.svg"


def streams(count: int) -> Work:
    """Return what takes one sample of each of `count` streams, its bytes in and those of its estimate out."""
    core = Predictor(tanh_rnn())
    now = Instant(0, 0)
    payload = np.float32(0.5).tobytes()
    seq = 0

    def step() -> None:
        nonlocal seq
        header = codec.HEADER.pack(codec.MAGIC, codec.VERSION, Kind.INPUT, 1, 1, 1, 1, seq, 0, 100.0, 0, 0)
        said = [[topic, header, payload] for topic in topics]
        for first in range(0, count, DRAIN_LIMIT):
            left = core.fast_paths.take(said[first : first + DRAIN_LIMIT])
            answers = list(core.fast_paths.answers())
            for _ in core.receive([ANSWERED] * bool(answers) + batch.decode(left), now):
                pass
        seq += 1

    topics = [codec.topic(Kind.INPUT, f"s{number}") for number in range(count)]
    for _ in range(20):  # until all are known
        step()
    return step


def costs_us(rounds: int) -> tuple[list[float], list[float]]:
    """Return microseconds an estimate, by number of channels and of streams."""
    by_channels = per_call_s({f"{n}": steps(tanh_rnn(), n) for n in CHANNELS}, rounds)
    by_streams = per_call_s({f"{n}": streams(n) for n in STREAMS}, rounds)
    return tuple(  # type: ignore[return-value]
        [1e6 * median(seconds) / int(n) for n, seconds in taken.items()] for taken in (by_channels, by_streams)
    )


def measure(short: bool) -> list[Figure]:
    """Step; each figure's reference is the cheapest so far on the way up."""
    channels, many = costs_us(2 if short else 9)
    figures = []
    for name, numbers, costs in (("channels", CHANNELS, channels), ("streams", STREAMS, many)):
        for place, (number, cost_us) in enumerate(zip(numbers, costs, strict=True)):
            before = min(costs[: place + 1] if not place else costs[:place])
            figures.append(Figure(f"{number:,} {name}", cost_us, "us an estimate", before, cost_us / before))
    if not short:
        draw(channels, many)
    return figures


def draw(channels: list[float], many: list[float]) -> None:
    """Draw both curves."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "sincos"
    picture, axes = pyplot.subplots(figsize=(7, 4))
    axes.loglog(CHANNELS, channels, "o-", label="channels of one stream (engine)")
    axes.loglog(STREAMS, many, "s-", label="streams of one channel (predictor without sockets)")
    axes.set(
        xlabel="how many at once",
        ylabel="microseconds an estimate",
        title="Cost per estimate, tanh RNN of 32 units",
    )
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    picture.tight_layout()
    picture.savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    run("P9", "cost per estimate as numbers grow; reference: the least cost at any smaller number", measure)
