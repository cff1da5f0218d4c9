"""`sincos bench`: how fast this machine is."""

import os

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # as in `sincos predict`, so that what is measured is what serves

import json
import platform
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version

import click
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from predictor.bench.measure import Figures, Row, measure, steps, table, verdict
from predictor.commands.common import quiet, start_logging
from predictor.console.terminal import Output, progress
from streamer.shell import StopSignal
from trainer.model_file import load_model


@click.command()
@click.option(
    "--model",
    "model_name",
    default="default",
    show_default=True,
    metavar="NAME|FILE",
    help="See `sincos predict`.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=7,
    show_default=True,
    help="Number of rounds to take the median of.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output, not a table.")
@quiet
def command(model_name: str, rounds: int, as_json: bool, quiet: bool) -> None:
    """Measure what this machine carries, beside a bare ZeroMQ echo, in half a minute.

    Every figure is the median of rounds that take turns with its reference.
    """
    start_logging("bench", quiet=quiet)
    model = load_model(model_name)
    figures = Figures()
    columns = TextColumn("{task.description:22}"), BarColumn(), TimeElapsedColumn()
    with (
        StopSignal() as stop,  # before the first process starts, so that none can outlive the benchmark
        progress(*columns, hidden=quiet, transient=True) as bar,
        closing(measure(model_name, model, rounds, figures)) as measuring,
    ):
        task = bar.add_task("bench", total=steps(rounds))
        for doing in measuring:
            bar.update(task, advance=1, description=doing)
            if stop.requested:
                return
    rows = table(figures)
    if as_json:
        shown = {
            "model": model.name,
            **_machine(),
            "rows": [asdict(row) for row in rows],
            "verdict": verdict(figures),
        }
        click.echo(json.dumps(shown | {"rounds": asdict(figures)}))
        return
    Output().print(_rich(rows, f"model {model.name}; " + ", ".join(f"{k} {v}" for k, v in _machine().items())))
    click.echo(verdict(figures))


def _machine() -> dict[str, str]:
    return {
        "machine": f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "pyzmq")},
    }


def _rich(rows: list[Row], caption: str) -> Table:
    shown = Table(title=caption, title_justify="left")
    for name, side in (
        ("", "left"),
        ("here", "right"),
        ("", "left"),
        ("ratio", "right"),
        ("to", "left"),
        ("", "right"),
    ):
        shown.add_column(name, justify=side)  # type: ignore[arg-type]
    for row in rows:
        figures = f"{row.ours:,.0f}", row.unit, f"{row.ratio:.2f}", row.against, f"{row.reference:,.0f}"
        shown.add_row(row.measure, *figures)
    return shown
