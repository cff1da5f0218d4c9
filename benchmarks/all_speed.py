"""Run every row P1 to P10 and write docs/explanation/performance.md's table between its markers.

`--json-file FILE` also keeps the figures, row by row as they come, for `compare.py`. `--rows P1,P4` runs some; the
page is written where FILE has all the others. `--short` leaves the page alone.
"""

import argparse
import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "explanation" / "performance.md"
LONGEST_S = 1800
ROWS = 10
FIGURES, WAY = "figures", "way"
"""Names of the marked places of the page."""


def measured(script: Path, *, short: bool) -> dict[str, Any]:
    """Return what a row's script says."""
    command = [sys.executable, str(script), "--json", *(["--short"] if short else [])]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=LONGEST_S).stdout
    row: dict[str, Any] = json.loads(told)
    return row


def machine() -> str:
    """Return what it was measured on."""
    processor = platform.processor() or platform.machine()
    try:
        told = Path("/proc/cpuinfo").read_text()
        processor = next(line.split(":")[1].strip() for line in told.splitlines() if line.startswith("model name"))
        cores = told.count("\nprocessor") + told.startswith("processor")
    except (OSError, StopIteration):
        cores = 0
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pyzmq", "torch"))
    return f"{processor}, {cores} cores, {platform.system()}; Python {platform.python_version()}, {versions}"


def number(value: float) -> str:
    """Return a figure to three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = [
        f"Measured on {machine()}.",
        "",
        "| | measure | here | unit | reference | ratio | goal | met |",
        "|---|---|---:|---|---:|---:|---|---|",
    ]
    for row in rows:
        lines.append(f"| **{row['row']}** | **{row['title']}** | | | | | | |")
        for one in row["figures"]:
            met = {True: "yes", False: "**no**", None: ""}[one["met"]]
            goal = f"{one['goal']} {one['unit']}" if one["of_ours"] else one["goal"]
            reference, ratio = ("", "") if one["of_ours"] else (number(one["reference"]), f"{one['ratio']:.2f}")
            shown = number(one["ours"]), one["unit"], reference, ratio, goal, met
            lines.append(f"| | {one['measure']} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def replaced(page: str, name: str, text: str) -> str:
    """Return a page with what stands between a pair of markers replaced."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def kept_rows(path: Path | None) -> dict[str, dict[str, Any]]:
    """Return the rows in a file that an earlier run kept."""
    if path is None or not path.exists():
        return {}
    return {row["row"]: row for row in json.loads(path.read_text())["rows"]}


def main() -> None:
    """Run, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--rows", help="for example P1,P4")
    parser.add_argument("--json-file", type=Path)
    options = parser.parse_args()
    wanted = options.rows.split(",") if options.rows else None
    rows = kept_rows(options.json_file)
    for script in sorted(HERE.glob("p[0-9][0-9]_*.py")):
        name = f"P{int(script.name[1:3])}"
        if wanted is None or name in wanted:
            sys.stderr.write(f"{name}: {script.name}\n")
            rows[name] = measured(script, short=options.short)
            if options.json_file:
                kept = {"machine": machine(), "rows": list(rows.values())}
                options.json_file.write_text(json.dumps(kept, indent=1) + "\n")
    in_order = sorted(rows.values(), key=lambda row: int(row["row"][1:]))
    if len(rows) == ROWS and not options.short:
        page = replaced(PAGE.read_text(), FIGURES, markdown(in_order))
        told = subprocess.run(
            [sys.executable, str(HERE / "way.py")], check=True, stdout=subprocess.PIPE, text=True
        )
        PAGE.write_text(replaced(page, WAY, told.stdout.strip()))
    else:
        sys.stdout.write(markdown(in_order) + "\n")


if __name__ == "__main__":
    main()
