"""What all tests share: one thread each for torch and NumPy, and how much of what is expensive is run.

The tests' arrays are tiny, and machines that run tests are busy.
"""

import os
import secrets
import sys

# Of this process and of those that it starts; torch itself is imported by the tests that need it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
import pytest

from tests.support import dose

# Some 400 commands are started, and each worker imports all tests: what they import is compiled once for all.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the dose and of tests/faults."""
    parser.addoption("--dose", choices=dose.NAMES, default="quick", help="how much of what is expensive is run")
    group = parser.getgroup("faults", "the fault matrix of tests/faults")
    group.addoption("--fault-seed", type=int, metavar="N", help="of every random choice; drawn when not given")
    group.addoption("--fault-report", metavar="FILE", help="write what was run: as JSON, or as a table to FILE.md")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the dose before tests are imported; draw the seed once, so that all tests of a run share it."""
    if config.option.fault_report and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--fault-report: is written by one process; give -n 0 too")
    if config.option.fault_seed is None:
        config.option.fault_seed = secrets.randbelow(2**31)
    dose.choose(config.option.dose)
    config.addinivalue_line("markers", "release: left out of the quick dose")


def pytest_report_header(config: pytest.Config) -> str:
    """Say with what the fault matrix is run."""
    return f"faults: --dose {config.option.dose} --fault-seed {config.option.fault_seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out of the quick dose what is only for a release."""
    if config.option.dose == "release":
        return
    left_out = [item for item in items if item.get_closest_marker("release")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
