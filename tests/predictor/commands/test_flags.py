"""Every number that every command takes, out of range: the flag as it is typed, exit code 2, and no traceback."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from predictor import cli

NUMBERS = click.types.FloatParamType | click.types.IntParamType
HUGE = "9" * 23
ANYTHING = ["-1", "nan", "inf", "-inf", "1e300", "0", HUGE]
FINE = {  # of those, what is in range
    "--rounds": [], "--seed": ["0"], "--count": ["0"], "--offset": ["-1", "0", HUGE], "--noise": ["0", HUGE],
    "--amplitude": ["0", HUGE], "--phase": ["-1", "0"], "--frequency": ["0"], "--to-frequency": ["0"],
    "--linger": ["0"],
    "--retain": ["0"], "--retain-mb": ["0"], "--hold-mb": ["0"], "--gap-deadline": ["0"], "--target-delay": ["0"],
    "--channel": ["0", HUGE], "--after": ["0", "1e300", HUGE], "--timeout": ["1e300"],
    "--duration": ["0"], "--wait": ["0", "-1", "-inf"],  # click takes what begins with a dash for an option
}  # fmt: skip
FINE_OF = {
    ("console", "--timeout"): ["0", "1e300", HUGE],
    ("demo", "--duration"): ["inf", "1e300", HUGE],
    ("listen", "--count"): ["0", HUGE],
}
NEEDS = {
    "--window": ["--learn"], "--stride": ["--learn"], "--learning-rate": ["--learn"],
    "--to-frequency": ["--waveform", "chirp"], "--every": ["--waveform", "am"],
    "--checkpoint-every": ["--state-dir", "state"],
}  # fmt: skip
DOERS = ["Transport", "Processes", "measure", "_fit", "Application", "StateFolder", "JournalFile"]


class Accepted(Exception):  # noqa: N818 - it names what happened
    """Every flag was taken, and something was about to be done."""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def bad_values() -> Iterator[tuple[tuple[str, ...], str, str]]:
    for path, command in commands(cli.cli):
        for option in command.params:
            flag = option.opts[0]
            if isinstance(option, click.Option) and (isinstance(option.type, NUMBERS) or flag == "--rate"):
                if option.is_flag or option.count:
                    continue
                fine = FINE_OF.get((path[0], flag), FINE.get(flag, []))
                yield from ((path, flag, value) for value in ANYTHING if value not in fine)


ALL = list(bad_values())


def run(
    path: tuple[str, ...], flags: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> int | str | None:
    """Run a command as the shell would, until it has taken its flags; return its exit code."""

    def accept(*_arguments: object, **_named: object) -> None:
        raise Accepted

    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"predictor.commands.{path[0]}")
    for name in DOERS:
        if hasattr(module, name):
            monkeypatch.setattr(module, name, accept)
    np.save("in.npy", np.zeros((100, 1), np.float32))
    files = ["in.npy", "out.npy", "--targets", "in.npy"] if path == ("apply",) else []
    monkeypatch.setattr(sys, "argv", ["sincos", *path, *files, *flags])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


@pytest.mark.parametrize(
    ("path", "flag", "value"), ALL, ids=["-".join([*path, flag, value]) for path, flag, value in ALL]
)
def test_a_number_out_of_range_is_named_by_its_flag(
    path: tuple[str, ...], flag: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    model = ["--model", "new"] if flag in ("--hidden", "--layers", "--seed") and path != ("train",) else []
    code = run(path, [*NEEDS.get(flag, []), *(model if path[0] in ("predict", "apply") else []),
                      f"{flag}={value}"], monkeypatch, tmp_path)  # fmt: skip
    out, err = capsys.readouterr()
    assert code == 2
    assert flag in err
    assert "Traceback" not in err
    assert out == ""
    for name in ("_hz", "_s:", "_samples:", "_deg", "_bytes", "[A-Z", "\\d", "{0,"):
        assert name not in err


def test_every_command_with_numbers_is_tried() -> None:
    assert {path[0] for path, _, _ in ALL} == set(cli.COMMANDS) - {"keys"}
    assert len({(path, flag) for path, flag, _ in ALL}) > 40


@pytest.mark.parametrize("command", ["source", "listen", "console"])
@pytest.mark.parametrize("name", ["", "a/b", "-a", "\N{LATIN SMALL LETTER E WITH ACUTE}", "a" * 65])
def test_a_streams_name_is_refused_in_words(
    command: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run((command,), [f"--stream={name}"], monkeypatch, tmp_path) == 2
    err = capsys.readouterr().err
    assert err.startswith("sincos: --stream: must be 1 to 64 letters")
    assert "[A-Z" not in err


ALIASED = {
    "at half the rate": (["--frequency", "50"], "--frequency"),
    "beyond": (["--frequency", "60"], "--frequency"),
    "of slow samples": (["--frequency", "5", "--rate", "10"], "--frequency"),
    "a chirp that ends beyond": (["--waveform", "chirp", "--to-frequency", "60"], "--to-frequency"),
    "a step's double": (["--waveform", "step", "--frequency", "30"], "--to-frequency"),
    "harmonics": (["--waveform", "harmonics", "--frequency", "20"], "--frequency"),
    "a modulation": (["--waveform", "am", "--every", "0.02"], "--every"),
    "jumps": (["--waveform", "jump", "--every", "0.004"], "--every"),
    "as fast as can be": (["--rate", "max", "--frequency", "60"], "--frequency"),
}


@pytest.mark.parametrize(("flags", "flag"), ALIASED.values(), ids=ALIASED)
def test_what_samples_cannot_show_is_refused(
    flags: list[str],
    flag: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(("source",), flags, monkeypatch, tmp_path) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"sincos: {flag}: ")
    assert "must stay below half of the " in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--frequency", "0"], "a frequency of 0 Hz is a constant"),
        (["--waveform", "am", "--every", "0.1"], "not the true quadrature"),
    ],
)
def test_what_may_not_be_meant_is_a_warning(
    flags: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(Accepted):
        run(("source",), flags, monkeypatch, tmp_path)
    assert words in capsys.readouterr().err


def test_an_ordinary_source_is_not_doubted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for waveform in ("sine", "chirp", "step", "jump", "am", "harmonics"):
        with pytest.raises(Accepted):
            run(("source",), ["--waveform", waveform], monkeypatch, tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("source", "bind"),
    [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        ("tcp://localhost:5555", "tcp://0.0.0.0:5555"),
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:6555"),
        ("ipc:///tmp/s", "ipc:///tmp/../tmp/s"),
    ],
)
def test_a_predictor_that_would_hear_itself_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str, bind: str
) -> None:
    other = "tcp://127.0.0.1:5557"
    monkeypatch.setattr(
        sys, "argv", ["sincos", "predict", "--insecure", "--source", other, "--source", source, "--bind", bind]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2
    assert said.startswith("sincos: --source, --bind: ")
    assert source in said
    assert bind in said
