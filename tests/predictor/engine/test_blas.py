"""NumPy's OpenBLAS is told to use one thread, and how many it had comes back."""

import subprocess
import sys

import pytest

CODE = """
import numpy as np
from ctypes import c_int
from predictor.engine.blas import _function, kernel, one_thread

ask = _function("get_num_threads", c_int)
if ask is None or ask() < 2:
    print("no threads")
    raise SystemExit
before = ask()
with one_thread():
    inside = [ask()]
    with one_thread():
        inside.append(ask())
    inside.append(ask())
try:
    with one_thread():
        raise KeyError
except KeyError:
    pass
print(inside, ask() == before, kernel() != "unknown")
"""


def test_one_thread_inside_and_as_many_as_before_outside() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.environ['OPENBLAS_NUM_THREADS'] = '2'\n{CODE}"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    if done.stdout == "no threads\n":
        pytest.skip("no OpenBLAS here with more than one thread")
    assert done.stdout == "[1, 1, 1] True True\n"
