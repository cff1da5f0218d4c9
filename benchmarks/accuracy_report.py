"""How the results of an accuracy run are shown: table, verdict, figure, comparison."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_results import ALLOWED_DEG, ALLOWED_RATIO, Results
from rich.table import Table
from scenarios import SCENARIOS

SMALLEST_DRAWN_DEG = 0.01
DOCS_BEGIN, DOCS_END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
IN_THE_README = {
    "sincos, the shipped model": "default",
    "the best classical method, picked for each scenario": "best classical",
    "a tuned bank of 12 Kalman filters, given the amplitude": "Kalman bank",
    "sliding maximum likelihood, 0.5 s": "ML 0.5 s",
    "a PLL (EPLL)": "EPLL",
}
"""Row of README's table -> column of the table."""


def cells(results: Results) -> list[list[str]]:
    """Return the table as text, header first: a row a scenario, mean absolute phase errors (deg)."""
    methods = [*results.ours, *results.classical]
    model = next(iter(results.ours))
    table = [["", *methods, "best classical", "limit", f"{model} / best"]]
    for scenario in results.trials:
        errors = (results.phase_deg(method, scenario) for method in methods)
        best_deg = results.best_deg(scenario)
        table.append(
            [
                scenario,
                *map(_degrees, errors),
                _degrees(best_deg),
                _degrees(results.limit_deg[scenario]),
                _ratio(results.phase_deg(model, scenario), best_deg) + " !" * results.is_beyond(model, scenario),
            ]
        )
    means = [results.mean_deg(method) for method in methods]
    best_deg = results.mean_of_best_deg()
    table.append(["mean", *map(_degrees, means), _degrees(best_deg), "", _ratio(means[0], best_deg)])
    return table


def _degrees(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _ratio(error_deg: float, best_deg: float) -> str:
    return f"{error_deg / best_deg:.2f}" if best_deg >= 0.1 else "-"  # a ratio to nothing says nothing


def verdicts(results: Results) -> list[str]:
    """Return a sentence a model of ours, and one on what was left out."""
    lines = []
    for model in results.ours:
        beyond = [scenario for scenario in results.trials if results.is_beyond(model, scenario)]
        lines.append(
            f"{model}: mean {results.mean_deg(model):.2f} deg over {len(results.trials)} scenarios"
            f" (best classical method picked for each: {results.mean_of_best_deg():.2f});"
            f" beyond {ALLOWED_RATIO:g} times the best classical or {ALLOWED_DEG:g} deg"
            f" in {len(beyond)}: {', '.join(beyond) or 'none'}."
        )
    if results.not_installed:
        lines.append(f"Not installed, left out: {', '.join(results.not_installed)} (pip install '.[bench]').")
    return lines


def caption(results: Results) -> str:
    """Return seeds, trials and versions."""
    seeds: dict[int, list[str]] = {}
    for scenario, trials in results.trials.items():
        seeds.setdefault(trials, []).append(scenario)
    most = max(seeds, key=lambda trials: len(seeds[trials]))
    others = "; ".join(f"{trials} for {', '.join(names)}" for trials, names in seeds.items() if trials != most)
    made_with = ", ".join(f"{key} {value}" for key, value in results.made_with.items())
    return f"{most} trials{f' ({others})' * bool(others)}, seeds from {results.first_seed} on; {made_with}"


def table_of(results: Results) -> Table:
    """Return the table for a terminal."""
    header, *rows = cells(results)
    table = Table(title="Mean absolute phase error (deg)", caption=caption(results), padding=(0, 0))
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows[:-1]:
        table.add_row(*row)
    table.add_section()
    table.add_row(*rows[-1])
    return table


def around_table(page: Path) -> tuple[str, str]:
    """Return what stands before and after the markers of a page.

    Raises
    ------
    ValueError
        If the page does not have the markers.
    """
    before, begin, rest = page.read_text().partition(DOCS_BEGIN)
    _, end, after = rest.partition(DOCS_END)
    if not begin or not end:
        raise ValueError(f"{page}: must have the lines {DOCS_BEGIN} and {DOCS_END}")
    return before, after


def figures(results: Results) -> dict[str, dict[str, str]]:
    """Return the figures that pages quote: scenario (and mean) -> column -> as it is written."""
    (_, *columns), *rows = cells(results)
    return {scenario: dict(zip(columns, row, strict=True)) for scenario, *row in rows}


def readme_table(quoted: dict[str, dict[str, str]]) -> str:
    """Return README's table of means."""
    rows = [f"| {name} | {quoted['mean'][column]} |" for name, column in IN_THE_README.items()]
    return "\n".join(["| method | mean phase error, degrees |", "|---|---:|", *rows])


def update_all_docs(results: Results, root: Path) -> None:
    """Write the figures into docs/figures/accuracy.json, and what is made from them into the pages and README."""
    quoted = figures(results)
    (root / "docs" / "figures" / "accuracy.json").write_text(json.dumps(quoted, indent=1) + "\n")
    before, after = around_table(root / "README.md")
    (root / "README.md").write_text(f"{before}{DOCS_BEGIN}\n{readme_table(quoted)}\n{DOCS_END}{after}")
    update_docs(results, root / "docs" / "explanation" / "accuracy.md")
    save_figure(results, root / "docs" / "figures" / "accuracy.svg")


def update_docs(results: Results, page: Path) -> None:
    """Replace what stands between the markers of a page by the table and its verdicts.

    Raises
    ------
    ValueError
        As `around_table`.
    """
    before, after = around_table(page)
    header, *rows = cells(results)
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    table = "\n".join(f"| {' | '.join(row)} |" for row in lines)
    sentences = "\n".join(f"- {line}" for line in verdicts(results))
    page.write_text(f"{before}{DOCS_BEGIN}\n{table}\n\n{caption(results)}.\n\n{sentences}\n{DOCS_END}{after}")


def save_figure(results: Results, file: Path) -> None:
    """Draw each scenario's errors: our models, the best classical method, the limit."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "accuracy"  # the same figure, the same file
    from matplotlib import pyplot

    names = list(results.trials)
    best_deg = [results.best_deg(name) for name in names]
    limits_deg = [results.limit_deg[name] or np.nan for name in names]  # a limit of 0 has no place on a log axis
    series = [
        ("best classical method, picked for each scenario", best_deg, "s", "0.6"),
        ("limit", limits_deg, "_", "black"),
    ]
    for number, model in enumerate(results.ours):
        series.append((model, [results.phase_deg(model, name) for name in names], "o", f"C{number}"))
    figure, axes = pyplot.subplots(figsize=(10, 4.5), layout="constrained")
    for label, errors, marker, color in series:
        axes.plot(names, np.maximum(errors, SMALLEST_DRAWN_DEG), marker, label=label, color=color, markersize=8)
    axes.set_yscale("log")
    axes.set_ylim(0.008, 120)
    axes.set_ylabel("mean absolute phase error (deg)")
    axes.set_xlabel(f"scenario; {SMALLEST_DRAWN_DEG:g} deg and less are drawn at {SMALLEST_DRAWN_DEG:g} deg")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def comparison(first: Mapping[str, Any], second: Mapping[str, Any]) -> Table:
    """Return how the errors of our models differ between two JSON files of this benchmark.

    Raises
    ------
    ValueError
        If they were not measured on the same trials, or have no model in common.
    """
    if (first["first_seed"], first["trials"]) != (second["first_seed"], second["trials"]):
        raise ValueError("the two files were not measured on the same trials: use the same --trials and --seed")
    models = [model for model in first["ours"] if model in second["ours"]]
    if not models:
        raise ValueError("the two files have no model in common")
    table = Table(title="Mean absolute phase error (deg), before and after")
    table.add_column("")
    for model in models:
        for column in (f"{model} before", "after", "difference"):
            table.add_column(column, justify="right")
    errors = {
        model: np.array([[run["ours"][model][name]["phase_deg"] for name in SCENARIOS] for run in (first, second)])
        for model in models
    }
    for number, scenario in enumerate(SCENARIOS):
        pairs = [pair for error in errors.values() for pair in _difference(*error[:, number])]
        table.add_row(scenario, *pairs)
    table.add_section()
    table.add_row("mean", *(pair for error in errors.values() for pair in _difference(*error.mean(axis=1))))
    return table


def _difference(before: float, after: float) -> tuple[str, str, str]:
    return _degrees(before), _degrees(after), f"{after - before:+.2f}"
