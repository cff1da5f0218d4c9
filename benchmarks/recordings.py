"""How well the running predictor teaches itself on recordings: mean phase error in degrees.

Strictly causal and prequential: what is said of a sample was learnt from labels that had come by then. Truth: the
zero-phase band-pass Hilbert transform of the whole record.
"""

from collections.abc import Iterator

import numpy as np
from common import arguments, report
from numpy.typing import NDArray
from recorded import Recorded, downloaded, synthetic
from selflearning import frozen, served

from streamer.messages import FloatArray
from trainer.metrics import phase_error_deg
from trainer.model_file import load_model
from trainer.selfsupervised.band import Band
from trainer.selfsupervised.guard import Guard
from trainer.selfsupervised.hilbert_labels import HilbertLabels, analytic
from trainer.selfsupervised.laguerre import Laguerre
from trainer.selfsupervised.learner import SelfConfig, SelfLearner

TITLE = "Mean phase error in degrees on recordings, default model"
WARM_UP_CYCLES = 10
EARLY_CYCLES = (2, 10)  # from the second cycle on: what somebody gets who has just begun
REFIT_CYCLES = 5  # of the linear baseline: half a second at 10 Hz
TAPS_CYCLES = 10  # of the linear baseline: a second at 10 Hz
RIDGE = 1e-4  # of the baseline, as a share of its features' mean power; 1e-6 and 1e-2 are no better

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


class NoGuard(Guard):
    """Lets the challenger serve, whatever its score."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.serving[:] = True

    def _withdraw(self, channels: NDArray[np.bool_], remains: float) -> None:
        """Never."""


def as_complex(values: FloatArray) -> Complex:
    """Return cos + i sin of [samples, 2]."""
    both: Complex = values[:, 0].astype(float) + 1j * values[:, 1]
    return both


def taps(inputs: Array, length: int) -> Array:
    """Return the latest `length` inputs of each sample."""
    padded = np.concatenate([np.full(length - 1, inputs[0]), inputs])
    return np.lib.stride_tricks.sliding_window_view(padded, length)


def labels(inputs: Array, band: Band) -> Iterator[tuple[int, int, Complex]]:
    """Yield (samples heard by then, first sample labelled, labels) of each block of self-made labels."""
    maker, heard = HilbertLabels(band, 1), 0
    first = maker.reach_samples
    while heard + maker.missing_samples <= len(inputs):
        count = maker.missing_samples
        maker.add(inputs[heard : heard + count, None])
        heard += count
        block = maker.take()[:, 0]
        yield heard, first, block[:, 0] + 1j * block[:, 1]
        first += len(block)


def linear_online(inputs: Array, band: Band) -> Complex:
    """Return what a linear filter says that is refitted by ridge regression to all labels that have come."""
    features = taps(inputs, round(TAPS_CYCLES / band.centre))
    size = features.shape[1]
    gram, right = np.zeros((size, size)), np.zeros((size, 2))
    weights = np.zeros((size, 2))
    estimates = np.zeros((len(inputs), 2))
    for number, (heard, first, block) in enumerate(labels(inputs, band)):
        rows = features[first : first + len(block)]
        gram += rows.T @ rows
        right += rows.T @ np.stack([block.real, block.imag], axis=1)
        if number % REFIT_CYCLES == 0:
            weights = np.linalg.solve(gram + RIDGE * np.trace(gram) / size * np.eye(size), right)
        estimates[heard:] = 0
        ahead = slice(heard, heard + len(block) + 2)  # until the next block, or the end
        estimates[ahead] = features[ahead] @ weights
    return estimates[:, 0] + 1j * estimates[:, 1]


def offline_best(
    inputs: Array, band: Band, champion: FloatArray, truth: Complex, warm_up: int
) -> tuple[float, str]:
    """Return the least error of linear fits to all labels, on the very samples they are fitted to."""
    filters = Laguerre(1 / band.centre, 1)
    past = np.stack([filters.step(sample)[:, 0].copy() for sample in inputs[:, None]])
    families = {
        "10 cycles of taps": taps(inputs, round(10 / band.centre)),
        "3 cycles of taps": taps(inputs, round(3 / band.centre)),
        "filters and model": np.concatenate([past, champion[:, 0]], axis=1),
    }
    found = {}
    cycle = round(1 / band.centre)
    power = np.convolve(np.abs(truth) ** 2, np.ones(cycle) / cycle, mode="same")
    for name, features in families.items():
        for how, weights in (("", np.ones(len(truth))), (", quiet cycles up", 1 / (power + 0.3 * power.mean()))):
            rows = np.column_stack([np.ones(len(features)), features])
            gram = (rows * weights[:, None]).T @ rows
            right = (rows * weights[:, None]).T @ np.stack([truth.real, truth.imag], axis=1)
            fit = np.linalg.solve(gram + 1e-9 * np.trace(gram) / len(gram) * np.eye(len(gram)), right)
            found[name + how] = error_deg((rows @ fit) @ np.array([1, 1j]), truth, warm_up)
    best = min(found, key=lambda name: found[name])
    return found[best], best


def error_deg(estimates: Complex, truth: Complex, warm_up: int) -> float:
    """Return the mean absolute phase error after the warm-up."""
    pairs = (estimates.real, estimates.imag, truth.real, truth.imag)
    return float(phase_error_deg(*pairs)[warm_up:].mean())


def row(recorded: Recorded) -> dict[str, object]:
    """Measure one recording."""
    champion = frozen(load_model("default"), recorded.inputs[:, None])
    band = Band(*(edge / recorded.rate_hz for edge in recorded.band_hz))
    inputs = recorded.inputs.astype(np.float64)
    inputs -= inputs[0]
    truth = analytic(inputs - inputs.mean(), band)
    warm_up = round(WARM_UP_CYCLES / band.centre)
    given = SelfConfig(recorded.band_hz)
    guarded = SelfLearner(given)
    learners = {
        "unguarded": SelfLearner(given, NoGuard),
        "guarded": guarded,
        "found": SelfLearner(SelfConfig()),
    }
    errors = {"frozen": as_complex(champion[:, 0])}
    for name, learner in learners.items():
        published = served(recorded.inputs[:, None], recorded.rate_hz, champion, learner)
        errors[name] = as_complex(published[:, 0])
    errors["linear"] = linear_online(inputs, band)
    degrees = {name: error_deg(estimates, truth, warm_up) for name, estimates in errors.items()}
    first, last = (round(cycles / band.centre) for cycles in EARLY_CYCLES)
    early = {name: error_deg(errors[name][:last], truth[:last], first) for name in ("frozen", "guarded", "linear")}
    best, how = offline_best(inputs, band, champion, truth, warm_up)
    status = guarded.status()
    return {
        "recording": recorded.name,
        "cycles": round(len(inputs) * band.centre),
        **degrees,
        "offline": best,
        "guarded / offline": degrees["guarded"] / best,
        "guarded / frozen": degrees["guarded"] / degrees["frozen"],
        "offline by": how,
        **{f"early {name}": value for name, value in early.items()},
        "switches": status["switches"],
        "drifts": status["drifts"],
        "source": recorded.about,
    }


def print_readably(rows: list[dict[str, object]]) -> None:
    """Print rows as tables of at most 80 columns, and what is long as lines."""
    errors = ("recording", "frozen", "unguarded", "guarded", "found", "linear", "offline")
    others = ("recording", "cycles", "guarded / offline", "guarded / frozen", "switches", "drifts")
    early = ("recording", "early frozen", "early guarded", "early linear")
    titles = (TITLE, "Cycles 2 to 10", "The same as ratios")
    for title, names in zip(titles, (errors, early, others), strict=True):
        report(title, [{name: row[name] for name in names} for row in rows], as_json=False)
    print("found: guarded, where the band is to be found")
    for row in rows:
        print(f"{row['recording']}: {row['source']}", f"    best offline: {row['offline by']}", sep="\n")


def main() -> None:
    """Print the tables."""
    options = arguments(__doc__)
    rows = [row(recorded) for recorded in ([synthetic()] if options.short else downloaded())]
    if options.json:
        report(TITLE, rows, as_json=True)
    else:
        print_readably(rows)


if __name__ == "__main__":
    main()
