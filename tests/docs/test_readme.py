"""README.md and .ci/run say the same test command; links lead somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text()
    (command,) = (line.strip() for line in readme.splitlines() if line.endswith("&& pytest"))
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_files_of_the_code_that_pages_name_exist() -> None:
    place = re.compile(r"\b(?:streamer|trainer|predictor|sincos|tests|benchmarks)/[\w/]+\.\w+")
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for named in place.findall(page.read_text()):
            assert (ROOT / named).exists(), f"{page.name}: {named}"
