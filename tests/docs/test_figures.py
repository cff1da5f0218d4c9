"""What pages quote is what `benchmarks/accuracy.py --update-docs` wrote into docs/figures/accuracy.json."""

import json
import re
from pathlib import Path

import accuracy_report
import pytest

ROOT = Path(__file__).parents[2]
QUOTED: dict[str, dict[str, str]] = json.loads((ROOT / "docs" / "figures" / "accuracy.json").read_text())
README = (ROOT / "README.md").read_text()
PAGE = " ".join((ROOT / "docs" / "explanation" / "accuracy.md").read_text().split())


def ratio(scenario: str) -> str:
    return QUOTED[scenario]["default / best"].removesuffix(" !")


def best(scenario: str) -> str:
    return QUOTED[scenario]["best classical"]


def test_readmes_table_is_made_from_them() -> None:
    begin, end = README.index(accuracy_report.DOCS_BEGIN), README.index(accuracy_report.DOCS_END)
    shown = README[begin + len(accuracy_report.DOCS_BEGIN) : end].strip()
    assert shown == accuracy_report.readme_table(QUOTED)


def test_the_pages_table_has_them() -> None:
    lines = (ROOT / "docs" / "explanation" / "accuracy.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    (_, *columns), _, *rows = rows[: len(QUOTED) + 2]
    assert {scenario: dict(zip(columns, row, strict=True)) for scenario, *row in rows} == QUOTED


MEAN = QUOTED["mean"]
STEADY = [float(ratio(name)) for name in ("c20", "c10", "c5", "d20", "d10", "d5", "am20")]
ML_1_S = {name: QUOTED[name]["ML 1 s"] for name in ("c5", "d5", "c20", "d20")}


@pytest.mark.parametrize(
    "sentence",
    [
        f"- default: mean {MEAN['default']} deg over 19 scenarios",
        f"(best classical method picked for each: {best('mean')});",
        f"without prior information, errs by {MEAN['default']} degrees",
        f"is given the amplitude, errs by {MEAN['Kalman bank']};",
        f"picks the best method for each scenario has {best('mean')}.",
        f"noisy chirps and steps ({ratio('ch20')}, {ratio('st20')} of the best), phase jumps ({ratio('pj')}),",
        f"clean amplitude modulation ({ratio('am')}), rhythms in coloured noise ({ratio('g')}, {ratio('gz')};",
        f"(c, d, am20): {min(STEADY):.1f} to {max(STEADY):.1f} times the best.",
        f"is the best ({', '.join(f'{name} {error}' for name, error in ML_1_S.items())})",
        f"(ch, st): {QUOTED['ch']['default']} and {QUOTED['st']['default']} against",
        f"against {best('ch')} and {best('st')} degrees",
    ],
)
def test_sentences_quote_them(sentence: str) -> None:
    assert sentence in PAGE


def test_the_limits_distance_is_theirs() -> None:
    (stated,) = re.findall(r"in d it comes within (\d+) to (\d+) %", PAGE)
    above = [
        100 * (float(QUOTED[name]["Kalman bank"]) / float(QUOTED[name]["limit"]) - 1)
        for name in ("d20", "d10", "d5")
    ]
    assert [round(min(above)), round(max(above))] == [int(number) for number in stated]
