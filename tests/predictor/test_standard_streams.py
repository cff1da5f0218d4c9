"""Every command with standard streams that are closed, full, cut off or of another encoding: never a traceback."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

BOUND_S = 120
SINCOS = f"{shlex.quote(sys.executable)} -m predictor"
NOWHERE = "--source ipc:///tmp/sincos-nobody --predictor ipc:///tmp/sincos-nobody-else"
SILENT = {  # commands that write nothing to standard output
    "source": "source --bind ipc://{folder}/s --rate max --count 3 --linger 0",
    "apply": "apply {folder}/in.npy {folder}/out.npy --rate 100 --model tutorial",
}
TALKING = {
    "help": "--help",
    "version": "--version",
    "help of a command": "listen --help",
    "apply --json": "apply {folder}/in.npy {folder}/out.npy --rate 100 --model tutorial --json",
    "keys make": "keys make --keys {folder}/new",
    "keys list": "keys list --keys {folder}/keys",
    "console --once": f"console --once --timeout 0.1 {NOWHERE}",
    "demo": "demo --no-learn --model tutorial --duration 1.5",
    "train": "train --recipe tutorial --updates 2 --json",
}
QUICK = ["help", "keys list", "apply --json"]
ENDS_WITH_5 = {"console --once"}  # there is nobody to be heard


def run(command: str, redirected: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command in a shell; `redirected` has it as {command}."""
    np.save(folder / "in.npy", np.sin(0.25 * np.arange(500)).astype(np.float32))
    if "keys list" in command:
        shell(f"{SINCOS} keys make --keys {folder}/keys")
        (folder / "keys" / "authorised" / "J\u00f6rg.key").write_bytes((folder / "keys" / "own.key").read_bytes())
    return shell(redirected.format(command=f"{SINCOS} {command.format(folder=folder)}"), **environment)


def shell(line: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, timeout=BOUND_S, env={**os.environ, **environment}, check=False
    )


def lines(text: bytes) -> Sequence[str]:
    return text.decode(errors="replace").splitlines()


def assert_clean(said: bytes) -> None:
    for word in (b"Traceback", b"Exception", b"Error:", b"rror in "):
        assert word not in said, said.decode(errors="replace")


@pytest.mark.parametrize("name", SILENT)
@pytest.mark.parametrize("redirected", ["{command} >&-", "{command} >&- 2>&- <&-", "{command} >/dev/full"])
def test_who_writes_nothing_there_does_not_mind(tmp_path: Path, name: str, redirected: str) -> None:
    result = run(SILENT[name], redirected, tmp_path)
    assert result.returncode == 0, result.stderr
    assert_clean(result.stderr)
    if name == "apply":
        assert len(np.load(tmp_path / "out.npy")) == 500


@pytest.mark.parametrize(
    ("name", "redirected", "reason"),
    [
        *((name, "{command} >&-", "Bad file descriptor") for name in TALKING),
        *((name, "{command} >/dev/full", "No space left") for name in QUICK),
    ],
)
def test_output_that_cannot_be_written_is_said_in_a_line(
    tmp_path: Path, name: str, redirected: str, reason: str
) -> None:
    result = run(TALKING[name], redirected, tmp_path)
    assert_clean(result.stderr)
    if name in ENDS_WITH_5:
        assert result.returncode == 5
    else:
        assert result.returncode == 3
        assert lines(result.stderr)[-1].startswith(f"sincos: standard output cannot be written: {reason}")


@pytest.mark.parametrize("name", QUICK)
def test_nobody_to_complain_to(tmp_path: Path, name: str) -> None:
    result = run(TALKING[name], "{command} 2>&-", tmp_path)
    assert result.returncode == (5 if name in ENDS_WITH_5 else 0)
    assert bool(result.stdout) == (name not in ENDS_WITH_5)
    assert run(TALKING[name], "{command} >&- 2>&- <&-", tmp_path).returncode in (3, 5)


@pytest.mark.parametrize(
    ("name", "redirected"),
    [
        *((name, "{command} | true") for name in QUICK),
        *((name, "{command} 2>&1 | true") for name in TALKING if name != "train"),
    ],
)
def test_a_reader_that_has_gone_is_no_error(tmp_path: Path, name: str, redirected: str) -> None:
    result = run(TALKING[name], "set -o pipefail; " + redirected, tmp_path)
    assert_clean(result.stderr)
    assert result.returncode == (5 if name in ENDS_WITH_5 else 0)


def test_a_reader_of_little_ends_who_listens_for_ever(tmp_path: Path) -> None:
    line = (
        "set -o pipefail; {command} & sincos=$!; "
        f"{SINCOS} listen -q --kind input --source ipc://{tmp_path}/s | head -2; code=$?; kill $sincos; exit $code"
    )
    result = run("source -q --bind ipc://{folder}/s", line, tmp_path)
    assert result.returncode == 0
    assert len(lines(result.stdout)) == 2
    assert_clean(result.stderr)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *(("keys list", encoding) for encoding in ("ascii", "latin-1", "cp1252", "utf-8")),
        *(("console", encoding) for encoding in ("ascii", "cp1252")),
        ("demo", "latin-1"),
    ],
)
def test_an_encoding_that_lacks_letters(tmp_path: Path, name: str, encoding: str) -> None:
    if name == "console":  # with a picture
        at_source, at_predictor = f"ipc://{tmp_path}/s", f"ipc://{tmp_path}/p"
        line = (
            "{command} >/dev/null 2>&1 & source=$!; "
            f"{SINCOS} predict --source {at_source} --bind {at_predictor} >/dev/null 2>&1 & predict=$!; "
            f"{SINCOS} console --once --timeout 60 --source {at_source} --predictor {at_predictor}; "
            "code=$?; kill $source $predict; exit $code"
        )
        result = run("source -q --bind ipc://{folder}/s", line, tmp_path, PYTHONIOENCODING=encoding)
    else:
        result = run(TALKING[name], "{command}", tmp_path, PYTHONIOENCODING=encoding)
    assert result.returncode == (5 if name in ENDS_WITH_5 else 0), result.stderr
    assert_clean(result.stderr)
    if name == "keys list":
        assert "J\u00f6rg".encode("utf-8" if encoding == "ascii" else encoding) in result.stdout  # click's choice
    else:
        result.stdout.decode(encoding)


def test_a_closed_stream_is_not_taken_for_a_file_that_is_opened_later(tmp_path: Path) -> None:
    """Who writes to descriptor 1 or 2 must not write into a journal."""
    result = run("source --bind ipc://{folder}/s --rate max --count 3 --linger 0 --journal {folder}/j",
                 "{command} >&- 2>&- <&-", tmp_path)  # fmt: skip
    assert result.returncode == 0
    assert b"publishing" not in (tmp_path / "j").read_bytes()


@pytest.mark.parametrize("module", ["sincos", "predictor"])
def test_it_runs_as_a_module(module: str) -> None:
    result = shell(f"{shlex.quote(sys.executable)} -m {module} --version")
    assert result.returncode == 0
    assert lines(result.stdout)[0].startswith("sincos, version ")
