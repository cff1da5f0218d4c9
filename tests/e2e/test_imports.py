"""What a command does not need, it does not import."""

import subprocess
import sys

import pytest

PROBE = "import sys; {}; print(' '.join(sorted(m for m in sys.modules if '.' not in m)))"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import predictor.cli", {"torch", "numpy", "zmq", "rich", "plotext", "matplotlib", "safetensors"}),
        ("import predictor.commands.source", {"torch", "rich", "plotext", "matplotlib", "safetensors"}),
        (
            "import predictor.commands.predict as p; from predictor.daemon.core import Predictor; "
            "m = p.choose_model; Predictor(m('tutorial', {}, None)); "
            "p.choose_learning('target').make_learner(m('new', {}, 1))",
            {"torch", "rich", "plotext", "matplotlib"},
        ),
        ("import predictor.commands.apply", {"torch", "rich", "plotext", "matplotlib"}),
        ("import predictor.commands.listen", {"torch", "rich", "plotext", "matplotlib", "asyncio"}),
        ("import predictor.commands.bench", {"torch", "plotext", "matplotlib"}),
        ("import predictor.commands.console", {"torch", "matplotlib"}),
        ("import predictor.commands.train", {"torch", "matplotlib"}),
    ],
)
def test_imports_stay_small(code: str, absent: set[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROBE.format(code)], capture_output=True, text=True, check=True, timeout=60
    )
    imported = set(result.stdout.split())
    assert "click" in imported
    assert not imported & absent
