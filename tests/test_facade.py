"""`import sincos`: what it shows, how little it imports, and that its examples are true."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import predictor.api
import sincos

EXAMPLES = ["sincos", *(f"predictor.api.{module.name}" for module in pkgutil.iter_modules(predictor.api.__path__))]
HEAVY = {"typing", "numpy", "zmq", "click", "rich", "safetensors", "plotext", "torch", "matplotlib", "asyncio"}


def imported(code: str) -> set[str]:
    """Names of the modules that are there after some code."""
    probe = f"import sys; {code}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=120)
    return set(result.stdout.split())


def test_importing_it_imports_nothing_heavy() -> None:
    assert not imported("import sincos") & HEAVY


def test_nothing_in_it_needs_torch_or_the_command_line() -> None:
    there = imported("from sincos import *; Quadrature(250, learn='self', band_hz=(8, 12)).push([0.0, 1.0])")
    assert "zmq" in there
    assert not there & {"torch", "matplotlib", "click", "rich", "plotext", "asyncio"}


def test_who_has_the_samples_at_hand_needs_no_sockets_and_reads_no_files() -> None:
    there = imported("import sincos; sincos.Quadrature(250).push([0.0, 1.0])")
    assert "numpy" in there
    assert not there & {"zmq", "streamer.recordings", "streamer.transport.transport", "click"}


def test_names_are_said_three_times_and_the_same() -> None:
    tree = ast.parse(Path(sincos.__file__).read_text())
    shown = {
        (name.asname, node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
        for name in node.names
    }
    assert shown == set(sincos._HOMES.items())
    assert sincos.__all__ == sorted(sincos._HOMES) == dir(sincos)
    for name, home in sincos._HOMES.items():
        assert getattr(sincos, name) is getattr(importlib.import_module(home), name)


def test_a_name_that_is_not_there_is_an_error_that_says_which_are() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute .Quadratur.; it has .*Quadrature"):
        sincos.Quadratur  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_true(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert not failed


def test_examples_of_the_page_are_true() -> None:
    page = Path(__file__).parent.parent / "docs" / "howto" / "python.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried) == (0, 10)


def test_there_are_examples() -> None:
    parts = [getattr(sincos, name) for name in sincos.__all__]
    shown = {part.__name__ for part in parts if ">>>" in (part.__doc__ or "")}
    assert shown >= {"Quadrature", "apply", "listen", "publish"}
