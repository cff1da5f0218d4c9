"""What `sincos source` and `sincos listen` say to flags that make no sense: one clear line and exit code 2."""

import sys

import pytest
from click.testing import CliRunner

from predictor import cli
from streamer.errors import AddressError, UsageError

SOURCE = ["source", "--bind", "tcp://127.0.0.1:*"]

BAD = {
    "rate 0": (["--rate", "0"], r"--rate: must be 1e-06 to 1e\+09, got 0.0"),
    "rate nan": (["--rate", "nan"], "--rate: .* got nan"),
    "rate infinite": (["--rate", "inf"], "--rate: .* got inf"),
    "rate negative": (["--rate", "-5"], "--rate: .* got -5"),
    "rate tiny": (["--rate", "1e-300"], "--rate: .* got 1e-300"),
    "frequency nan": (["--frequency", "nan"], "--frequency: .* got nan"),
    "frequency negative": (["--frequency", "-1"], "--frequency: .* got -1"),
    "to-frequency negative": (["--to-frequency", "-1"], "--to-frequency: .* got -1"),
    "every 0": (["--every", "0"], "--every: .* got 0"),
    "amplitude past float32": (["--amplitude", "1e39"], "--amplitude: .* got 1e.39"),
    "phase infinite": (["--phase", "inf"], "--phase: .* got inf"),
    "offset nan": (["--offset", "nan"], "--offset: .* got nan"),
    "noise negative": (["--noise", "-1"], "--noise: .* got -1"),
    "seed negative": (["--seed", "-1"], "--seed: .* got -1"),
    "seed past 64 bits": (["--seed", "18446744073709551616"], "--seed: .* got 1844674407"),
    "count negative": (["--count", "-1"], "--count: must be at least 0 .* got -1"),
    "count past 63 bits": (["--count", "9223372036854775808"], "--count: .* below 2.63"),
    "duration negative": (["--duration", "-1"], "--duration: .* got -1"),
    "duration nan": (["--duration", "nan"], "--duration: .* got nan"),
    "count and duration": (["--count", "1", "--duration", "1"], "--count, --duration: give one of them"),
    "chunk 0": (["--chunk", "0"], "--chunk: must be at least 1 .* got 0"),
    "chunk too big": (["--chunk", "3000000"], "--chunk: .* at most 2097152 samples, got 3000000"),
    "channels 0": (["--channels", "0"], "--channels: .* got 0"),
    "too many channels": (["--channels", "65537"], "--channels: .* got 65537"),
    "stream with a separator": (["--stream", "a/b"], "--stream: must be 1 to 64 letters .* got 'a/b'"),
    "stream empty": (["--stream", ""], "--stream: must be 1 to 64 letters .* got ''"),
    "retain negative": (["--retain", "-1"], "--retain: must be 0 to 1e.06, got -1"),
    "retain nan": (["--retain", "nan"], "--retain: .* got nan"),
    "retain too much": (["--retain-mb", "2000000"], "--retain-mb: .* got 2000000"),
    "linger infinite": (["--linger", "inf"], "--linger: .* got inf"),
    "target delay negative": (["--target-delay", "-1"], "--target-delay: .* got -1"),
}


@pytest.mark.parametrize(("flags", "words"), BAD.values(), ids=BAD)
def test_a_flag_out_of_range_is_a_usage_error(flags: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=f"^{words}") as error:
        CliRunner().invoke(cli.cli, [*SOURCE, *flags], catch_exceptions=False)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--rate", "fast"], "must be a number of Hz or 'max', got 'fast'"),
        (["--waveform", "square"], "'square' is not one of"),
        (["--count", "1.5"], "'1.5' is not a valid integer"),
        (["--frequency"], "requires an argument"),
        (["--volume", "11"], "No such option"),
        (["--wait=-1"], "No such option '-1'"),
    ],
)
def test_a_flag_that_cannot_be_read_is_shown_with_the_usage(flags: list[str], words: str) -> None:
    result = CliRunner().invoke(cli.cli, [*SOURCE, *flags])
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_an_address_that_is_none_is_an_address_error() -> None:
    with pytest.raises(AddressError, match="the port must be") as error:
        CliRunner().invoke(cli.cli, ["source", "--bind", "tcp://127.0.0.1:99999"], catch_exceptions=False)
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["source", "--rate", "0"], 2, "sincos: --rate: must be 1e-06 to 1e+09, got 0.0\n"),
        (["source", "--bind", "nowhere"], 4, "sincos: cannot bind 'nowhere': "),
        (["listen", "--joined", "--kind", "input"], 2, "sincos: --kind, --joined: give one of them"),
        (["listen", "--stream", "a/b"], 2, "sincos: --stream: must be 1 to 64 letters"),
        (["listen", "--timeout", "0"], 2, "sincos: --timeout: must be above 0"),
        (["listen", "--predictor", "nowhere"], 4, "sincos: cannot connect 'nowhere': "),
    ],
)
def test_main_ends_in_one_line_and_the_documented_code(
    flags: list[str], code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sincos", *flags])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    assert end.value.code == code
    assert err.startswith(words)
    assert err.count("\n") == 1
    assert out == ""


def test_a_short_run_says_where_it_publishes_and_how_it_went() -> None:
    result = CliRunner().invoke(cli.cli, [*SOURCE, "--rate", "max", "--count", "100", "--chunk", "8"])
    assert result.exit_code == 0
    assert "publishing input/demo/ on tcp://127.0.0.1:" in result.stderr
    assert "stream demo: published 100 samples of run " in result.stderr


def test_quiet_says_nothing() -> None:
    result = CliRunner().invoke(cli.cli, [*SOURCE, "--rate", "max", "--count", "1", "-q"])
    assert (result.exit_code, result.output) == (0, "")


def test_a_duration_is_a_count_of_samples() -> None:
    result = CliRunner().invoke(cli.cli, [*SOURCE, "--rate", "1000", "--duration", "0.05"])
    assert "published 50 samples" in result.stderr
