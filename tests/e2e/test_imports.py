"""What a command does not need, it does not import."""

import json
import subprocess
import sys

import pytest

PROBE = """
import json, sys
for name, code in json.load(sys.stdin).items():
    exec(code)
    print(json.dumps([name, [module for module in sys.modules if "." not in module]]))
"""
SERVES = (
    "import predictor.commands.predict as p; from predictor.daemon.core import Predictor; "
    "from predictor.api.settings import choose_learning, choose_model; "
    "Predictor(choose_model('tutorial', {}, None)); "
    "choose_learning('target').make_learner(choose_model('new', {}, 1))"
)
# In this order: what an earlier one may not import is not needed by it either.
STEPS = {
    "cli": ("import predictor.cli", {"torch", "numpy", "zmq", "rich", "plotext", "matplotlib", "safetensors"}),
    "source": ("import predictor.commands.source", {"torch", "rich", "plotext", "matplotlib", "safetensors"}),
    "listen": ("import predictor.commands.listen", {"torch", "rich", "plotext", "matplotlib", "asyncio"}),
    "predict": (SERVES, {"torch", "rich", "plotext", "matplotlib"}),
    "apply": ("import predictor.commands.apply", {"torch", "rich", "plotext", "matplotlib"}),
    "bench": ("import predictor.commands.bench", {"torch", "plotext", "matplotlib"}),
    "train": ("import predictor.commands.train", {"torch", "matplotlib"}),
    "console": ("import predictor.commands.console", {"torch", "matplotlib"}),
}


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """What is imported after each step, by one process that takes one after another."""
    steps = json.dumps({name: code for name, (code, _) in STEPS.items()})
    result = subprocess.run(
        [sys.executable, "-c", PROBE], input=steps, capture_output=True, text=True, check=True, timeout=120
    )
    return {name: set(modules) for name, modules in map(json.loads, result.stdout.splitlines())}


@pytest.mark.parametrize("name", STEPS)
def test_imports_stay_small(imported: dict[str, set[str]], name: str) -> None:
    assert "click" in imported[name]
    assert not imported[name] & STEPS[name][1]
