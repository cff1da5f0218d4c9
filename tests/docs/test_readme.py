"""README.md, CONTRIBUTING.md and docs/: commands, links, names of files and members are what there is."""

import json
import re
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from predictor.commands.apply import command as apply_command

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


def test_every_member_of_applys_summary_is_explained(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.sin(np.arange(600) / 4, dtype=np.float32))
    arguments = [str(tmp_path / "in.npy"), str(tmp_path / "out.npy"), "--json", "--quiet", "--learn", "self"]
    run = CliRunner().invoke(apply_command, arguments, catch_exceptions=False)
    _, _, section = (ROOT / "docs" / "reference" / "files.md").read_text().partition("## Summary")
    explained = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert set(json.loads(run.stdout)) == explained
