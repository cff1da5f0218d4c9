"""How well the phase is known at every sample: our models, classical estimators and the limit, on 19 scenarios.

Run as ``python benchmarks/accuracy.py [--model NAME|FILE]... [--short] [--json FILE] [--figure FILE]``. The table
holds mean absolute phase errors in degrees after one second of warm-up. The reported table uses trials from seed 0
on, which are kept for it: nothing is trained, tuned or chosen with seeds below 10,000. meegkit's estimators are
compared where it is installed (``pip install '.[bench]'``).
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
import torch
from accuracy_report import comparison, save_figure, table_of, update_all_docs, verdicts
from accuracy_results import Results, Row
from classical import meegkit_phase
from common import machine
from limits import cramer_rao_deg, wiener
from methods import CLASSICAL, MEEGKIT, Method, model
from metrics import figures_of
from rich.console import Console
from rich.progress import Progress
from scenarios import RATE_HZ, SCENARIOS, Batch, batch

from streamer.errors import FileError

TRIALS = 10
RHYTHM_TRIALS = 100
"""Of g and gz, which vary with their seeds more than the rest."""
RHYTHM = ("g", "gz")
SHORT_TRIALS = 2
ABREAST = 64
"""Trials in one call of a method."""
SHORT_METHODS = ("SOGI-FLL", "EPLL", "Kalman bank")


def classical_methods(*, short: bool) -> tuple[list[Method], list[str]]:
    """Return the classical estimators to run, and the names of those that are not installed."""
    if short:
        return [method for method in CLASSICAL if method.name in SHORT_METHODS], []
    if meegkit_phase.installed():
        return [*CLASSICAL, *MEEGKIT], []
    return list(CLASSICAL), [method.name for method in MEEGKIT]


def limit_deg(name: str, trials: Batch) -> float | None:
    """Return the least error there is: of the Wiener filter on these trials, or the Cramer-Rao bound."""
    if name in RHYTHM:
        return figures_of(name, trials, wiener(name, trials.inputs)).phase_deg
    return cramer_rao_deg(name)


def measure(methods: Sequence[Method], not_installed: Sequence[str], trials: dict[str, int], seed: int) -> Results:
    """Run every method on so many trials of every scenario, with a progress bar on standard error."""
    batches = {name: batch(name, range(seed, seed + count)) for name, count in trials.items()}
    ours: dict[str, Row] = {}
    classical: dict[str, Row] = {}
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(methods) * sum(trials.values()))
        for method in methods:
            progress.update(task, description=method.name)
            (ours if method.ours else classical)[method.name] = row_of(
                method, batches, lambda done: progress.advance(task, done)
            )
    limits = {name: limit_deg(name, trials) for name, trials in batches.items()}
    return Results(seed, trials, ours, classical, limits, not_installed, machine())


def row_of(method: Method, batches: Mapping[str, Batch], advance: Callable[[int], None]) -> Row:
    """Return a method's figures by scenario; trials of all scenarios run abreast."""
    inputs = np.concatenate([trials.inputs for trials in batches.values()], axis=1)
    parts = []
    for first in range(0, inputs.shape[1], ABREAST):
        part = inputs[:, first : first + ABREAST]
        parts.append(method.estimate(part, RATE_HZ))
        advance(part.shape[1])
    ends = np.cumsum([trials.inputs.shape[1] for trials in batches.values()])
    by_scenario = np.split(np.concatenate(parts, axis=1), ends[:-1], axis=1)
    return {
        name: asdict(figures_of(name, trials, analytic))
        for (name, trials), analytic in zip(batches.items(), by_scenario, strict=True)
    }


@click.command()
@click.option(
    "--model", "models", multiple=True, metavar="NAME|FILE", help="Repeatable.  [default: default, tutorial]"
)
@click.option(
    "--trials", type=click.IntRange(1), help=f"A scenario.  [default: {TRIALS}; {RHYTHM_TRIALS} for g, gz]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the first trial.")
@click.option("--short", is_flag=True, help=f"{SHORT_TRIALS} trials, few methods.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write all figures; - for standard output."
)
@click.option("--figure", type=click.Path(path_type=Path), help="Write a figure (.svg, .png).")
@click.option("--update-docs", is_flag=True, help="Write figures, tables and picture into docs/ and README.md.")
@click.option(
    "--compare", nargs=2, type=click.Path(path_type=Path, exists=True), help="Compare two JSON files only."
)
def main(
    models: tuple[str, ...],
    trials: int | None,
    seed: int,
    short: bool,
    json_file: Path | None,
    figure: Path | None,
    update_docs: bool,
    compare: tuple[Path, Path] | None,
) -> None:
    """Measure phase errors on 19 scenarios."""
    wide = Console() if sys.stdout.isatty() else Console(width=115)
    try:
        if compare:
            wide.print(comparison(*(json.loads(file.read_text()) for file in compare)))
            return
        ours = [model(name) for name in models or ("default", "tutorial")]
    except (ValueError, FileError) as error:
        raise click.ClickException(str(error)) from None
    if len({method.name for method in ours}) < len(ours):
        raise click.UsageError("--model: the files must differ in name, which is what the table calls them")
    torch.set_num_threads(1)  # steps this small lose by being shared out
    rhythm, other = (SHORT_TRIALS, SHORT_TRIALS) if short else (RHYTHM_TRIALS, TRIALS)
    counts = {name: trials or (rhythm if name in RHYTHM else other) for name in SCENARIOS}
    classical, not_installed = classical_methods(short=short)
    results = measure([*ours, *classical], not_installed, counts, seed)
    if figure:
        save_figure(results, figure)
    if update_docs:
        update_all_docs(results, Path(__file__).parents[1])
    if json_file:
        with click.open_file(json_file, "w") as file:
            file.write(json.dumps({"title": "accuracy", **asdict(results)}) + "\n")
    if str(json_file) != "-":
        wide.print(table_of(results))
        for line in verdicts(results):
            wide.print(line, highlight=False)


if __name__ == "__main__":
    main()
