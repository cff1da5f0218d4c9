"""`sincos keys`, and the options that use them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from predictor.commands import keys, source
from streamer.errors import AddressError, FileError, UsageError
from streamer.transport import keys as keyfiles


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(keys.command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_keys_are_made_and_listed(tmp_path: Path) -> None:
    folder, friend = tmp_path / "mine", keyfiles.make(tmp_path / "friend")
    said = invoke("make", "--keys", str(folder))
    own = keyfiles.load(folder).public.decode()
    assert said == f"{folder}/own.key: {own}\n"
    (folder / "authorised" / "ann.key").write_bytes((tmp_path / "friend" / "own.key").read_bytes())
    listed = json.loads(invoke("list", "--keys", str(folder), "--json"))
    assert listed == {"own": own, "authorised": {"ann": friend.public.decode()}, "servers": {}}
    lines = invoke("list", "--keys", str(folder)).splitlines()
    assert [line.split()[0] for line in lines] == ["own", "authorised", "servers"]
    assert lines[1].endswith("ann")
    assert lines[2].endswith("(nobody)")


def test_commands_refuse_keys_that_others_may_read(tmp_path: Path) -> None:
    keyfiles.make(tmp_path / "keys")
    (tmp_path / "keys" / "own.key_secret").chmod(0o644)
    with pytest.raises(FileError, match="others may use it"):
        CliRunner().invoke(source.command, ["--keys", str(tmp_path / "keys")], catch_exceptions=False)


@pytest.mark.parametrize(
    ("flags", "error", "said"),
    [
        (["--bind", "tcp://*:0"], AddressError, "give --keys DIR"),
        (["--insecure", "--keys", "/nonexistent"], UsageError, "give one of them"),
        (["--keys", "/nonexistent"], FileError, "make keys with"),
    ],
)
def test_commands_say_what_to_do(flags: list[str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        CliRunner().invoke(source.command, flags, catch_exceptions=False)
