"""How well a model turns a sine into its quadrature: RMSE over amplitude, on a grid of signals.

Run as ``python benchmarks/default_model.py [--model NAME|FILE] [--short] [--json]``. Exits with 1 if the
shipped model's requirement is not met: RMSE/amplitude below 0.1 after 250 samples, for amplitudes 0.01 to 100
and 12 to 50 samples a cycle, and, at 20 samples a cycle, from sample 100 on.
"""

import json
import sys

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from trainer.model import Model
from trainer.model_file import load_model
from trainer.offline.network import predict

CYCLES_SAMPLES = (12.0, 13.5, 15.0, 17.0, 20.0, 24.0, 28.0, 33.0, 38.0, 44.0, 50.0)
AMPLITUDES = (0.01, 0.3, 1.0, 10.0, 100.0)
PHASES_CYCLES = (0.0, 0.1, 0.35, 0.5, 0.8)
SNRS_DB = (40.0, 30.0, 20.0, 10.0)
SETTLING_SAMPLES = 250
NOISY_SAMPLES = 3_000
REQUIRED = 0.1

Float64Array = NDArray[np.float64]
Row = dict[str, float]


def errors(model: Model, cycles: tuple[float, ...], samples: int, snr_db: float = np.inf) -> Float64Array:
    """Return errors over amplitude [samples, frequencies, amplitudes]; each amplitude has its own phase."""
    turns = np.arange(samples)[:, None, None] / np.array(cycles)[:, None] + np.array(PHASES_CYCLES)
    noise = np.random.default_rng(0).standard_normal(turns.shape) * np.sqrt(0.5) * 10 ** (-snr_db / 20)
    amplitude = np.array(AMPLITUDES)
    heard = amplitude * (np.sin(2 * np.pi * turns) + noise)
    estimates, _ = predict(model, heard.reshape(samples, -1).astype(np.float32))
    error: Float64Array = estimates[..., 0].reshape(turns.shape) / amplitude - np.cos(2 * np.pi * turns)
    return error


def worst_rmse(errors: Float64Array) -> list[float]:
    """Return, of each frequency, the largest root mean square among its amplitudes."""
    return [float(rmse) for rmse in np.sqrt(np.square(errors).mean(axis=0)).max(axis=-1)]


def measure(model: Model, cycles: tuple[float, ...], samples: int) -> list[Row]:
    """Return one row of figures a frequency, each figure the worst over amplitudes."""
    clean = errors(model, cycles, samples)
    columns = {
        "samples_a_cycle": list(cycles),
        "from_100": worst_rmse(clean[100:]),
        "after_250": worst_rmse(clean[SETTLING_SAMPLES:]),
        "last_1000": worst_rmse(clean[-1000:]),
    }
    for snr_db in SNRS_DB:
        noisy = errors(model, cycles, min(samples, NOISY_SAMPLES), snr_db)
        columns[f"snr_{snr_db:g}_db"] = worst_rmse(noisy[SETTLING_SAMPLES:])
    return [dict(zip(columns, figures, strict=True)) for figures in zip(*columns.values(), strict=True)]


def table_of(rows: list[Row], title: str) -> Table:
    """Return the rows as a table."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        cycle_samples, *figures = row.values()
        table.add_row(f"{cycle_samples:g}", *(f"{figure:.4f}" for figure in figures))
    return table


def met(rows: list[Row]) -> bool:
    """Return whether the requirement is met."""
    at_20 = [row["from_100"] for row in rows if row["samples_a_cycle"] == 20.0]
    return max(at_20 + [row["after_250"] for row in rows] + [row["last_1000"] for row in rows]) < REQUIRED


@click.command()
@click.option("--model", "name", default="default", show_default=True, metavar="NAME|FILE")
@click.option("--short", is_flag=True, help="Three frequencies, 2,000 samples.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def main(name: str, short: bool, as_json: bool) -> None:
    """Measure a model's RMSE over amplitude on a grid of frequencies and amplitudes."""
    cycles, samples = ((12.0, 20.0, 50.0), 2_000) if short else (CYCLES_SAMPLES, 20_000)
    torch.set_num_threads(1)  # steps this small lose by being shared out
    model = load_model(name)
    rows = measure(model, cycles, samples)
    if as_json:
        print(json.dumps({"model": name, "samples": samples, "met": met(rows), "rows": rows}))
    else:
        title = f"{name}: RMSE/amplitude of cos, worst over amplitudes, {samples} samples"
        Console().print(table_of(rows, title))
        print("requirement met" if met(rows) else "requirement not met")
    sys.exit(0 if met(rows) else 1)


if __name__ == "__main__":
    main()
