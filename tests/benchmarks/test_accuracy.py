import json
from dataclasses import replace
from pathlib import Path

import accuracy
import accuracy_report
import pytest
from accuracy_results import Results
from click.testing import CliRunner
from metrics import Figures


def row(errors_deg: dict[str, float]) -> dict[str, dict[str, float | None]]:
    return {name: vars(Figures(error_deg)) for name, error_deg in errors_deg.items()}


@pytest.fixture
def results() -> Results:
    return Results(
        first_seed=0,
        trials={"a": 10, "c20": 10, "g": 100},
        ours={"net": row({"a": 0.29, "c20": 0.89, "g": 31.0})},
        classical={"one": row({"a": 0.1, "c20": 0.6, "g": 40.0}), "other": row({"a": 0.0, "c20": 2.0, "g": 20.0})},
        limit_deg={"a": 0.0, "c20": 0.17, "g": None},
        not_installed=["ECHT"],
        made_with={"numpy": "2"},
    )


def test_the_best_classical_method_is_picked_for_each_scenario(results: Results) -> None:
    assert [results.best_classical(name) for name in results.trials] == ["other", "one", "other"]
    assert results.mean_of_best_deg() == pytest.approx((0.0 + 0.6 + 20) / 3)
    assert results.mean_deg("net") == pytest.approx((0.29 + 0.89 + 31) / 3)


def test_a_model_may_err_half_as_much_again_or_three_tenths(results: Results) -> None:
    assert [results.is_beyond("net", name) for name in results.trials] == [False, False, True]
    (sentence, missing) = accuracy_report.verdicts(results)
    assert sentence.endswith("in 1: g.")
    assert "ECHT" in missing


def test_the_table_says_it_in_cells(results: Results) -> None:
    header, *rows = accuracy_report.cells(results)
    assert header == ["", "net", "one", "other", "best classical", "limit", "net / best"]
    assert rows == [
        ["a", "0.29", "0.10", "0.00", "0.00", "0.00", "-"],
        ["c20", "0.89", "0.60", "2.00", "0.60", "0.17", "1.48"],
        ["g", "31.0", "40.0", "20.0", "20.0", "", "1.55 !"],
        ["mean", "10.7", "13.6", "7.33", "6.87", "", "1.56"],
    ]


def test_a_page_is_changed_between_its_markers_only(results: Results, tmp_path: Path) -> None:
    page = tmp_path / "accuracy.md"
    page.write_text(f"before\n{accuracy_report.DOCS_BEGIN}\nold\n{accuracy_report.DOCS_END}\nafter\n")
    accuracy_report.update_docs(results, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| g | 31.0 | 40.0 | 20.0 | 20.0 |  | 1.55 ! |" in text
    accuracy_report.update_docs(results, page)
    assert page.read_text() == text
    page.write_text("no markers")
    with pytest.raises(ValueError, match="must have the lines"):
        accuracy_report.update_docs(results, page)


def test_a_short_run_measures_every_scenario_and_compares_with_itself(tmp_path: Path) -> None:
    file, figure = tmp_path / "a.json", tmp_path / "a.svg"
    flags = ["--short", "--model", "default", "--json", str(file), "--figure", str(figure)]
    run = CliRunner().invoke(accuracy.main, flags, catch_exceptions=False)
    assert "beyond 1.5 times" in run.output
    assert figure.stat().st_size > 1000
    found = json.loads(file.read_text())
    assert found["ours"].keys() == {"default"}
    assert found["ours"]["default"].keys() == found["limit_deg"].keys() == set(accuracy.SCENARIOS)
    assert found["ours"]["default"]["c20"]["phase_deg"] < 2.5
    assert found["classical"]["Kalman bank"]["a"]["phase_deg"] < 0.1
    assert found["limit_deg"]["g"] < found["classical"]["Kalman bank"]["g"]["phase_deg"]
    run = CliRunner().invoke(accuracy.main, ["--compare", str(file), str(file)], catch_exceptions=False)
    assert "+0.00" in run.output


def test_runs_on_other_trials_are_not_compared() -> None:
    first = {"first_seed": 0, "trials": {"a": 1}, "ours": {"net": {}}}
    with pytest.raises(ValueError, match="same trials"):
        accuracy_report.comparison(first, {**first, "first_seed": 1})
    with pytest.raises(ValueError, match="no model"):
        accuracy_report.comparison(first, {**first, "ours": {"other": {}}})


def test_mistakes_end_in_one_line(tmp_path: Path) -> None:
    for flags, said in (
        (["--model", str(tmp_path / "no.safetensors")], "no.safetensors"),
        (["--model", "default", "--model", "default"], "must differ in name"),
    ):
        run = CliRunner().invoke(accuracy.main, flags)
        assert isinstance(run.exception, SystemExit)
        assert said in run.output


def test_a_package_that_is_missing_costs_its_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy.meegkit_phase, "installed", lambda: False)
    methods, not_installed = accuracy.classical_methods(short=False)
    assert not_installed == ["ECHT", "ResOsc"]
    assert [method.name for method in methods] == ["SOGI-FLL", "EPLL", "Kalman bank", "ML 0.5 s", "ML 1 s"]
    monkeypatch.setattr(accuracy.meegkit_phase, "installed", lambda: True)
    methods, not_installed = accuracy.classical_methods(short=False)
    assert [method.name for method in methods][-2:] == ["ECHT", "ResOsc"]
    assert not not_installed


def test_all_places_of_the_docs_are_written_at_once(results: Results, tmp_path: Path) -> None:
    places = tmp_path / "README.md", tmp_path / "docs" / "explanation" / "accuracy.md"
    for page in places:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"before\n{accuracy_report.DOCS_BEGIN}\nold\n{accuracy_report.DOCS_END}\nafter\n")
    (tmp_path / "docs" / "figures").mkdir()
    row_of = {"default": results.ours["net"], "tutorial": results.ours["net"]}
    methods = dict.fromkeys(("Kalman bank", "ML 0.5 s", "EPLL"), results.classical["one"])
    accuracy_report.update_all_docs(replace(results, ours=row_of, classical=methods), tmp_path)
    quoted = json.loads((tmp_path / "docs" / "figures" / "accuracy.json").read_text())
    assert quoted["mean"]["default"] == "10.7"
    assert (tmp_path / "docs" / "figures" / "accuracy.svg").exists()
    readme, page_text = (page.read_text() for page in places)
    assert "| sincos, the shipped model | 10.7 |" in readme
    assert "| c20 | 0.89 |" in page_text
    for text in (readme, page_text):
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "old" not in text
