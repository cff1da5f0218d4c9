"""Compare two JSON files of `all_speed.py` or of a single row: `compare.py BEFORE.json AFTER.json`."""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def figures(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return a file's figures by row and measure."""
    told = json.loads(path.read_text())
    rows = told.get("rows", [told])
    return {(row["row"], one["measure"]): one for row in rows for one in row["figures"]}


def main() -> None:
    """Print what changed: ratios to each file's own reference, which a slower hour leaves alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    before, after = figures(options.before), figures(options.after)
    table = Table(title=f"{options.before} -> {options.after}")
    for column in ("row", "measure", "ratio before", "ratio after", "change", "goal", "met"):
        table.add_column(
            column, justify="right" if column in ("ratio before", "ratio after", "change") else "left"
        )
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = (told.get(key) for told in (before, after))
        change = f"{new['ratio'] / old['ratio'] - 1:+.0%}" if old and new and old["ratio"] else "-"
        shown = [f"{one['ratio']:.3g}" if one else "-" for one in (old, new)]
        latest = new or old or {}
        met = {True: "yes", False: "no", None: ""}[latest["met"]]
        table.add_row(*key, *shown, change, latest["goal"], met)
    Console().print(table)


if __name__ == "__main__":
    main()
