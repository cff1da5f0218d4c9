"""The fault matrix: how much of it, from what seed, and what was run."""

import json
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.support.dose import Dose, chosen
from tests.support.ear import Ear
from tests.support.ports import Ports
from tests.support.processes import Starter, commands

RECORD = "fault"


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault of the matrix as a test has injected it.

    Parameters
    ----------
    fault : str
        In plain words; a row of the table.
    number : int
        How often.
    measured : dict
        Whatever else the table should say of it.
    """

    fault: str
    number: int
    measured: dict[str, object] = field(default_factory=dict)


@pytest.fixture
def dose() -> Dose:
    return chosen()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Of this test alone: the same whichever others run beside it."""
    return np.random.default_rng([request.config.option.fault_seed, zlib.crc32(request.node.name.encode())])


@pytest.fixture
def injected(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Note for the report what was injected."""

    def note(fault: str, number: int, **measured: object) -> None:
        record_property(RECORD, asdict(Injected(fault, number, measured)))

    return note


@pytest.fixture
def start() -> Iterator[Starter]:
    with commands() as starter:
        yield starter


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def listen(start: Starter) -> Iterator[Callable[..., Ear]]:
    """Open ears that are closed afterwards, and that wait for nobody who has died."""
    ears: list[Ear] = []

    def look() -> None:
        for command in start.started:
            if command.has_died():
                command.collect()
                raise AssertionError(
                    f"{command.process.args} ended with {command.process.returncode}: {command.log}"
                )

    def open_ear(address: str, **options: object) -> Ear:
        ears.append(Ear(address, look, **options))  # type: ignore[arg-type]
        return ears[-1]

    yield open_ear
    for ear in ears:
        ear.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say how to repeat what failed; keep what was run."""
    report = yield
    options = item.config.option
    if report.failed:
        command = f"pytest '{item.nodeid}' --dose {options.dose} --fault-seed {options.fault_seed}"
        report.sections.append(("Repeat it with", command))
    if call.when == "call" or (call.when == "setup" and not report.passed):
        _ran(item.config).append(report)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report."""
    if session.config.option.fault_report:
        path = Path(session.config.option.fault_report)
        rows = [row for report in _ran(session.config) for row in _rows(report, session.config)]
        path.write_text(_table(rows) if path.suffix == ".md" else json.dumps(rows, indent=1) + "\n")


_REPORTS = pytest.StashKey[list[pytest.TestReport]]()


def _ran(config: pytest.Config) -> list[pytest.TestReport]:
    return config.stash.setdefault(_REPORTS, [])


def _rows(report: pytest.TestReport, config: pytest.Config) -> list[dict[str, object]]:
    notes = [value for name, value in report.user_properties if name == RECORD]
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else None
    return [
        {
            **(note if isinstance(note, dict) else {}),
            "dose": config.option.dose,
            "seed": config.option.fault_seed,
            "result": report.outcome,
            "reason": reason,
            "seconds": round(report.duration, 1),
            "test": report.nodeid,
        }
        for note in notes or [{"fault": report.nodeid.rpartition("::")[2], "number": 0, "measured": {}}]
    ]


def _table(rows: list[dict[str, object]]) -> str:
    lines = ["| fault | number | dose | seed | result | measured |", "|---|---:|---|---:|---|---|"]
    for row in rows:
        measured = row["measured"]
        assert isinstance(measured, dict)
        said = "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in measured.items())
        result = row["result"] if row["reason"] is None else f"{row['result']}: {row['reason']}"
        lines.append(f"| {row['fault']} | {row['number']} | {row['dose']} | {row['seed']} | {result} | {said} |")
    return "\n".join(lines) + "\n"
