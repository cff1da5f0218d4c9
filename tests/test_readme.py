"""README.md and .ci/run say the same test command; links lead somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text()
    (command,) = (line.strip() for line in readme.splitlines() if line.endswith("&& pytest"))
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_figures_of_the_readme_are_those_of_the_measured_table() -> None:
    """docs/explanation/accuracy.md has them from `benchmarks/accuracy.py --update-docs`."""
    readme, page = (ROOT / "README.md").read_text(), (ROOT / "docs" / "explanation" / "accuracy.md").read_text()
    (measured,) = re.findall(r"^- default: mean ([\d.]+) deg .*each: ([\d.]+)\)", page, re.MULTILINE)
    header, *rows = [line for line in page.splitlines() if line.startswith("| ")]
    mean = next(row for row in rows if row.startswith("| mean "))
    by_method = dict(zip(map(str.strip, header.split("|")), map(str.strip, mean.split("|")), strict=True))
    for said, figure in {
        "the shipped model": measured[0],
        "picked anew for each scenario": measured[1],
        "told the amplitude,": by_method["Kalman bank"],
        "sliding maximum likelihood": by_method["ML 0.5 s"],
        "a PLL": by_method["EPLL"],
    }.items():
        assert re.search(rf"{re.escape(said)}\s+{re.escape(figure)}\b", readme), (said, figure)
    assert f"errs by {measured[0]} degrees" in page
