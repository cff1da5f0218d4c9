"""What one step of a model costs in the engine, as a ratio to the fused 32-unit tanh RNN step.

Run as ``python benchmarks/step_cost.py [--model NAME|FILE] [--short] [--json]``. The reference is
``tanh(W [x; h; 1])`` and a linear head in bare NumPy. Reference and engine alternate in blocks of equal duration
(A B A B ...); a ratio is the median over rounds of B over the mean of its two neighbours A.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: steps this small lose by being shared out

import time
from collections.abc import Callable

import click
import numpy as np
from common import report
from numpy.typing import NDArray

from predictor.engine.stepper import Engine
from trainer.model import Model
from trainer.model_file import load_model

HIDDEN = 32
CHANNELS = (1, 16, 256)
BLOCK_S = 0.02
"""Long against a timer's tick and an interrupt, short against the drift of a machine."""
ROUNDS = 101
SHORT_ROUNDS = 5

Block = Callable[[NDArray[np.float32]], object]
"""Steps over inputs [steps, channels]."""


def reference(channels: int) -> Block:
    """Return the fused step of a 32-unit tanh RNN with two outputs."""
    generator = np.random.default_rng(10_000)
    fused = generator.uniform(-0.2, 0.2, (HIDDEN, HIDDEN + 2)).astype(np.float32)
    head = generator.uniform(-0.2, 0.2, (2, HIDDEN + 1)).astype(np.float32)
    column = np.ones((HIDDEN + 2, channels), np.float32)
    gates = np.empty((HIDDEN, channels), np.float32)
    hidden, hidden_and_one = column[1:-1], column[1:]

    def run(inputs: NDArray[np.float32]) -> None:
        outputs = np.empty((len(inputs), 2, channels), np.float32)
        for sample, output in zip(inputs, outputs, strict=True):
            column[0] = sample
            np.dot(fused, column, out=gates)
            np.tanh(gates, out=hidden)
            np.dot(head, hidden_and_one, out=output)

    return run


def engine(model: Model, channels: int) -> Block:
    """Return the engine's steps over one chunk, level and output array included."""
    stepper, state = Engine(model.config, model.weights), model.initial_state(channels)
    return lambda inputs: stepper.run(inputs, state)


def engine_by_samples(model: Model, channels: int) -> Block:
    """Return the engine's steps where each sample comes alone, in a call of its own."""
    stepper, first = Engine(model.config, model.weights), model.initial_state(channels)

    def run(inputs: NDArray[np.float32]) -> None:
        state = first
        for sample in range(len(inputs)):
            _, state = stepper.run(inputs[sample : sample + 1], state)

    return run


def noise(steps: int, channels: int) -> NDArray[np.float32]:
    """Return inputs that are neither zero nor denormal."""
    return np.random.default_rng(10_000).standard_normal((steps, channels), np.float32)


def interleaved(first: Block, second: Block, channels: int, rounds: int) -> tuple[float, float, float]:
    """Return seconds a step of both (medians over rounds), and the median ratio of second to first."""
    inputs = [noise(calibrated(block, channels), channels) for block in (first, second)]
    costs = np.empty((rounds + 1, 2))
    for cost in costs:
        cost[:] = seconds(first, inputs[0]), seconds(second, inputs[1])
    around = (costs[:-1, 0] + costs[1:, 0]) / 2
    return *np.median(costs, axis=0).tolist(), float(np.median(costs[:-1, 1] / around))


def calibrated(block: Block, channels: int) -> int:
    """Return how many steps take about a block's duration."""
    inputs = noise(100, channels)
    block(inputs)  # the first call makes working arrays
    return max(20, round(BLOCK_S / min(seconds(block, inputs) for _ in range(3))))


def seconds(block: Block, inputs: NDArray[np.float32]) -> float:
    """Return what a step costs in processor time, which other work on the machine does not lengthen."""
    start = time.process_time()
    block(inputs)
    return (time.process_time() - start) / len(inputs)


def row(model: Model, channels: int, rounds: int, *, alone: bool) -> dict[str, object]:
    """Return a model's cost at a number of channels; `alone`: of samples that come one by one."""
    block = (engine_by_samples if alone else engine)(model, channels)
    reference_s, engine_s, ratio = interleaved(reference(channels), block, channels, rounds)
    return {
        "model": model.name,
        "channels": channels,
        "samples a call": "1" if alone else "many",
        "RNN-32 step (us)": reference_s * 1e6,
        "engine step (us)": engine_s * 1e6,
        "ratio": ratio,
        "a channel (us)": engine_s * 1e6 / channels,
    }


@click.command()
@click.option(
    "--model", "names", multiple=True, metavar="NAME|FILE", help="Repeatable.  [default: default, tutorial]"
)
@click.option("--short", is_flag=True, help=f"{SHORT_ROUNDS} rounds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def main(names: tuple[str, ...], short: bool, as_json: bool) -> None:
    """Measure the cost of a step."""
    models = [load_model(name) for name in names or ("default", "tutorial")]
    cases = [(1, True), *((channels, False) for channels in CHANNELS)]
    rounds = SHORT_ROUNDS if short else ROUNDS
    rows = [row(model, channels, rounds, alone=alone) for model in models for channels, alone in cases]
    report("One step of the engine against a fused 32-unit tanh RNN step", rows, as_json=as_json)


if __name__ == "__main__":
    main()
