"""Whether learning on the signal itself ever does harm: the 19 scenarios, mean phase error in deg.

Alone: each trial of 6 s is a stream, its band given, for none would be found in time. In a row: the trials follow
each other in one stream, so that its nature changes each 6 s; the band is found.
"""

import numpy as np
from common import arguments, report
from numpy.typing import NDArray
from scenarios import RATE_HZ, SAMPLES, SCENARIOS, WARM_UP_SAMPLES, batch
from selflearning import frozen, served

from streamer.messages import FloatArray
from trainer.metrics import phase_error_deg
from trainer.model import Model
from trainer.model_file import load_model
from trainer.selfsupervised.learner import SelfConfig, SelfLearner

GIVEN = SelfConfig(band_hz=(7.0, 14.0))
SEEDS = range(60, 70)  # 0 to 9, 20 to 29 and 40 to 49 were looked at while the guard was built


def _learnt(inputs: FloatArray, champion: FloatArray, config: SelfConfig) -> tuple[FloatArray, int]:
    """Return what a self-learning stream of one channel publishes, and how often it switched."""
    learner = SelfLearner(config)
    published = served(inputs, RATE_HZ, champion, learner)
    switches = learner.status()["switches"]
    assert isinstance(switches, int)
    return published, switches


def error_deg(estimates: FloatArray, phase: NDArray[np.float64]) -> float:
    """Return the mean error of trials [samples, trials, 2] after each one's warm-up."""
    errors = phase_error_deg(estimates[..., 0], estimates[..., 1], np.cos(phase), np.sin(phase))
    return float(errors[WARM_UP_SAMPLES:].mean())


def rows(model: Model, name: str) -> list[dict[str, object]]:
    """Measure one scenario both ways."""
    trials = batch(name, SEEDS)
    count = trials.inputs.shape[1]
    alone = frozen(model, trials.inputs)
    learnt = [_learnt(trials.inputs[:, [k]], alone[:, [k]], GIVEN) for k in range(count)]
    stream = np.ascontiguousarray(trials.inputs.T).reshape(-1, 1)
    row = frozen(model, stream)
    row_learnt, row_switches = _learnt(stream, row, SelfConfig())
    pairs = {
        "alone": (alone, np.concatenate([estimates for estimates, _ in learnt], axis=1)),
        "in a row": tuple(values.reshape(count, SAMPLES, 2).transpose(1, 0, 2) for values in (row, row_learnt)),
    }
    switches = {"alone": sum(number for _, number in learnt), "in a row": row_switches}
    table: list[dict[str, object]] = []
    for how, (before, after) in pairs.items():
        errors = error_deg(before, trials.phase), error_deg(after, trials.phase)
        table.append(
            {"scenario": name, "trials": how, "frozen": errors[0], "guarded": errors[1],
             "ratio": errors[1] / errors[0], "switches": switches[how]}
        )  # fmt: skip
    return table


def main() -> None:
    """Print the table."""
    options = arguments(__doc__)
    model = load_model("default")
    names = ["c5", "st20", "gz"] if options.short else list(SCENARIOS)
    table = [row for name in names for row in rows(model, name)]
    report("Guarded learning on the scenarios, default model, seeds 60 to 69", table, as_json=options.json)


if __name__ == "__main__":
    main()
