"""What all tests share: one thread each for torch and NumPy, and how much of the fault matrix is run.

The tests' arrays are tiny, and machines that run tests are busy.
"""

import os
import secrets

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("busy", deadline=None)  # an example may take long where others run beside it
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of tests/faults."""
    group = parser.getgroup("faults", "the fault matrix of tests/faults")
    group.addoption("--dose", choices=("quick", "release"), default="quick", help="how much of each fault")
    group.addoption("--fault-seed", type=int, metavar="N", help="of every random choice; drawn when not given")
    group.addoption("--fault-report", metavar="FILE", help="write what was run: as JSON, or as a table to FILE.md")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the seed once, so that all tests of a run share it."""
    if config.option.fault_report and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--fault-report: is written by one process; give -n 0 too")
    if config.option.fault_seed is None:
        config.option.fault_seed = secrets.randbelow(2**31)
    config.addinivalue_line("markers", "release: left out of the quick dose of the fault matrix")


def pytest_report_header(config: pytest.Config) -> str:
    """Say with what the fault matrix is run."""
    return f"faults: --dose {config.option.dose} --fault-seed {config.option.fault_seed}"
