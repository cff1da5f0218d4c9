"""Without torch and matplotlib everything but training works, and training says what to install."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

BOUND_S = 120


def run(folder: Path, missing: Sequence[str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command, and what it starts, where importing a library fails as if it were not installed."""
    for name in missing:
        package = folder / "missing" / name
        package.mkdir(parents=True, exist_ok=True)
        reason = f"ModuleNotFoundError(\"No module named '{name}'\", name='{name}')"
        (package / "__init__.py").write_text(f"raise {reason}\n")
    path = os.pathsep.join([str(folder / "missing"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "predictor", *arguments], env={**os.environ, "PYTHONPATH": path}, text=True,
        capture_output=True, timeout=BOUND_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("missing", "options"), [("torch", []), ("matplotlib", ["--recipe", "tutorial", "--updates", "2", "--plot"])]
)
def test_training_says_what_to_install(tmp_path: Path, missing: str, options: list[str]) -> None:
    plot = [str(tmp_path / "plot.png")] if options else []
    result = run(tmp_path, [missing], "train", *options, *plot)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"sincos: train: needs {missing}, which cannot be imported")
    assert result.stderr.rstrip().endswith("type: pip install 'sincos[train]'")
    assert not result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["apply", "in.npy", "out.npy", "--rate", "100"],
        ["apply", "in.npy", "out.npy", "--rate", "100", "--learn", "self", "--band", "4,8"],
        ["apply", "in.npy", "out.npy", "--rate", "100", "--learn", "target", "--targets", "in.npy"],
        ["demo", "--duration", "1.5", "--learn"],
        ["demo", "--duration", "1.5", "--model", "default", "--no-learn"],
        ["console", "--once", "--timeout", "0"],
        ["listen", "--timeout", "0.1"],
    ],
)
def test_everything_else_works_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    folder = Path.cwd()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", np.sin(0.25 * np.arange(500)).astype(np.float32))
    if arguments[0] in ("console", "listen"):
        nobody = f"ipc://{os.path.relpath(tmp_path / 'nobody')}"
        arguments = [*arguments, "--source", nobody, "--predictor", nobody]
    result = run(tmp_path, ["torch", "matplotlib"], *arguments)
    assert result.returncode == (5 if arguments[0] in ("console", "listen") else 0), result.stderr
    assert "Traceback" not in result.stderr
