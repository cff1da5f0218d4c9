"""How fast a stream is learnt: prequential RMSE of the first minute, through the real processes."""

import json
from collections.abc import Sequence

import numpy as np
from common import arguments, pipeline, report
from numpy.typing import NDArray

SAMPLES = 3000
SCORED = 200
CASES = {
    "--model new --learn --window 10": ["--model", "new", "--learn", "--window", "10"],
    "--model default": ["--model", "default"],
}


def errors(predict: Sequence[str], samples: int, rate: str) -> NDArray[np.float64]:
    """Return estimate minus target of every sample, in order, as `sincos listen --joined` prints them."""
    with pipeline() as run:
        source, predictor = run.source, run.predictor
        listen = run.processes.start(
            "listen",
            ["--joined", "--count", str(samples), "--timeout", "30", "--source", source, "--predictor", predictor],
        )
        run.processes.start("predict", ["--source", source, "--bind", predictor, "--wait", *predict])
        run.processes.start("source", ["--bind", source, "--count", str(samples), "--rate", rate, "--wait", "2"])
        listen.wait()
        lines = [line for line in (run.folder / "listen.log").read_text().splitlines() if line.startswith("{")]
    told = [json.loads(line) for line in lines]
    assert [line["seq"] for line in told] == list(range(samples)), "a sample is missing"
    return np.array([line["estimate"][0] - line["target"][0] for line in told])


def rmse(values: NDArray[np.float64]) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def main() -> None:
    """Print the table."""
    options = arguments(__doc__)
    samples, rate = (1000, "max") if options.short else (SAMPLES, "100")
    rows = []
    for name, flags in CASES.items():
        error = errors(flags, samples, rate)
        ends = [end for end in (200, 500, 1000, 2000, 3000) if end <= samples]
        row: dict[str, object] = {"predict": name}
        row |= {f"RMSE {end - SCORED}..{end}": rmse(error[end - SCORED : end]) for end in ends}
        windows = [rmse(error[start : start + SCORED]) for start in range(100, samples - SCORED + 1, 50)]
        rows.append({**row, "worst 200 from 100 on": max(windows), "samples": samples})
    report("Prequential RMSE of cos, 5 Hz sine of amplitude 1 at 100 samples/s", rows, as_json=options.json)


if __name__ == "__main__":
    main()
