"""Tables as other programs write them: each is read right, or refused, or what is not certain is said."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import FileError, UsageError
from streamer.recordings.csv_layout import TableOptions
from streamer.recordings.recording import Recording, read_recording
from tests.support.dose import examples

ROWS = 300
T = np.arange(ROWS) / 250
WAVE = np.stack([np.sin(2 * np.pi * 10 * T + channel) for channel in range(3)], axis=1)
Line = Callable[[int], str]


def table(line: Line, *, head: str = "", rows: Sequence[int] = range(ROWS), end: str = "\n") -> str:
    return head + "".join(line(n) + end for n in rows)


def fixed(n: int, channels: int = 1, *, comma: str = ",", point: str = ".") -> str:
    return comma.join(f"{WAVE[n, channel]:.5f}".replace(".", point) for channel in range(channels))


def read(folder: Path, content: str | bytes, **options: object) -> Recording:
    path = folder / "in.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_recording(path, table_options=TableOptions(**options))  # type: ignore[arg-type]


def check(recording: Recording, channels: int = 1, rows: Sequence[int] = range(ROWS)) -> None:
    np.testing.assert_allclose(recording.block(0, recording.rows), WAVE[list(rows), :channels], atol=1e-5)


# What is read

READ: dict[str, tuple[str | bytes, int]] = {
    "no names": (table(fixed), 1),
    "names": (table(lambda n: fixed(n, 2), head="left,right\n"), 2),
    "names that are numbers": (table(lambda n: fixed(n, 3), head="0,1,2\n"), 3),
    "names from 1 on": (table(lambda n: fixed(n, 2), head="1,2\n"), 2),
    "names of electrodes": (table(lambda n: fixed(n, 3), head="17,4,31\n"), 3),
    "a name that is 0": (table(fixed, head="0\n"), 1),
    "names that are numbers, quoted": (table(lambda n: fixed(n, 2), head='"0","1"\n'), 2),
    "an index without a name": (table(lambda n: f"{n},{fixed(n, 2)}", head=",a,b\n"), 2),
    "an index and numbers as names": (table(lambda n: f"{n},{fixed(n, 2)}", head=",0,1\n"), 2),
    "an index with a name": (table(lambda n: f"{n},{fixed(n)}", head="Sample Index,a\n"), 1),
    "an index from 1 on": (table(lambda n: f"{n + 1},{fixed(n)}", head="sample,a\n"), 1),
    "an index that wraps": (table(lambda n: f"{n % 256}.0,{fixed(n)}", head="Sample Index,a\n"), 1),
    "a name that is 0, before numbers as pandas writes them": (
        table(lambda n: repr(round(float(WAVE[n, 0]), 5)), head="0\n"), 1
    ),
    "two columns of whole numbers": (table(lambda n: f"{n * 7 % 9 - 4},0{n % 5}", head="a,b\n"), 0),
    "two times": (table(lambda n: f"{n / 250},{n / 250 + 9},{fixed(n)}", head="time,lsl_time,a\n"), -1),
    "two indices": (table(lambda n: f"{n},{n + 1},{fixed(n)}", head=",seq,a\n"), 1),
    "row names of R": (table(lambda n: f'"{n + 1}",{fixed(n, 2)}', head='"a","b"\n'), 2),
    "a bare index": (table(lambda n: f"{n},{fixed(n)}"), 1),
    "a trailing comma": (table(lambda n: fixed(n) + ","), 1),
    "trailing commas": (table(lambda n: fixed(n, 2) + ",,,"), 2),
    "a trailing comma, a name before": (table(lambda n: fixed(n) + ",", head="a\n"), 1),
    "a trailing comma after names, too": (table(lambda n: fixed(n, 2) + ",", head="a,b,\n"), 2),
    "a trailing semicolon": (table(lambda n: fixed(n) + ";"), 1),
    "semicolons": (table(lambda n: fixed(n, 2, comma=";"), head="a;b\n"), 2),
    "semicolons and decimal commas": (table(lambda n: fixed(n, 2, comma=";", point=","), head="a;b\n"), 2),
    "one column, semicolon, decimal comma": (table(lambda n: fixed(n, point=",") + ";", head="a;\n"), 1),
    "quoted decimal commas": (table(lambda n: f'"{fixed(n, point=",")}","{fixed(n, point=",")}"'), 0),
    "tabs": (table(lambda n: fixed(n, 3, comma="\t"), head="a\tb\tc\n"), 3),
    "tabs and decimal commas": (table(lambda n: fixed(n, 2, comma="\t", point=",")), 2),
    "blanks": (table(lambda n: "  " + fixed(n, 2, comma="   ")), 2),
    "bars": (table(lambda n: fixed(n, 2, comma="|")), 2),
    "blanks after commas": (table(lambda n: fixed(n, 2, comma=", "), head="a, b\n"), 2),
    "quotes": (table(lambda n: '"' + fixed(n, 2, comma='","') + '"', head='"a","b"\n'), 2),
    "a mark of byte order": ("\ufeff" + table(fixed, head="a\n"), 1),
    "UTF-16": (table(fixed, head="a\r\n", end="\r\n").encode("utf-16"), 1),
    "names in Latin-1": (table(fixed, head="µV\n").encode("latin-1"), 1),
    "old line ends": (table(fixed, end="\r"), 1),
    "line ends written twice": (table(fixed, head="a\r\r\n", end="\r\r\n"), 1),
    "line ends written twice, two columns": (table(lambda n: fixed(n, 2), end="\r\r\n"), 2),
    "comments": (table(fixed, head="# rate 250\n% made by hand\n// more\n\n"), 1),
    "comments between": (table(lambda n: fixed(n) + ("\n# marker" if n % 50 == 9 else "")), 1),
    "names in a comment": (table(lambda n: fixed(n, 2), head="# a,b\n"), 2),
    "units": (table(lambda n: fixed(n, 2), head="a,b\nuV,uV\n"), 2),
    "units in brackets": (table(lambda n: fixed(n, 2), head="a,b\n(mV),(mV)\n"), 2),
    "a preamble": (table(lambda n: fixed(n, 2), head="Device: X\nRate: 250 Hz\n\na,b\n"), 2),
    "sep=;": (table(lambda n: fixed(n, 2, comma=";"), head="sep=;\na;b\n"), 2),
    "a column of text": (table(lambda n: f"{fixed(n)},rest", head="a,state\n"), 1),
    "zeros at the end": (table(fixed) + "\0" * 100, 1),
    "empty lines at the end": (table(fixed) + "\n\n\n", 1),
    "no line end at the end": (table(fixed).rstrip("\n"), 1),
    "blanks and decimal commas": (table(lambda n: fixed(n, 3, comma=" ", point=","), head="Fp1 Cz Oz\n"), 3),
    "blanks and decimal commas, no names": (table(lambda n: " " + fixed(n, 2, comma="  ", point=",")), 2),
    "bars and decimal commas": (table(lambda n: fixed(n, 2, comma="|", point=","), head="a|b\n"), 2),
    "a scope's lines before": (
        table(lambda n: f"{n / 250:.3E},{fixed(n)}", head="Model,M1\nInterval,4E-3\nSource,1\n\nTIME,CH1\n"), -1
    ),
    "minus signs of print": (table(lambda n: fixed(n).replace("-", "\N{MINUS SIGN}"), head="a\n"), 1),
    "two times called ts": (table(lambda n: f"{n / 250},{n / 250 + 9},{fixed(n)}", head="ts,lsl_ts,a\n"), -1),
    "exponents": (table(lambda n: f"{WAVE[n, 0]:.17e}"), 1),
}  # fmt: skip


@pytest.mark.parametrize(("content", "channels"), READ.values(), ids=READ)
def test_it_is_read_with_every_sample_and_no_other(tmp_path: Path, content: str | bytes, channels: int) -> None:
    recording = read(tmp_path, content)
    assert (recording.rows, recording.samples, recording.rate_hz) == (ROWS, ROWS, 250 if channels < 0 else None)
    if channels:
        assert recording.columns == abs(channels)
        check(recording, abs(channels))
    else:
        assert recording.columns == 2


def test_a_time_behind_empty_columns_is_no_channel(tmp_path: Path) -> None:
    begin = {0: "Record Length,3e2,", 1: "Source,CH1,"}
    recording = read(tmp_path, table(lambda n: f"{begin.get(n, ',,')},{n / 250 - 1:.3f},{fixed(n)}"))
    assert (recording.columns, recording.rate_hz) == (1, 250)
    check(recording)


def test_names_stand_right_before_the_numbers(tmp_path: Path) -> None:
    head = "Model,M1\nVersion,1.28\nSource,X\n"
    assert read(tmp_path, table(lambda n: fixed(n, 2), head=head + "left,right\n")).names == ("left", "right")
    assert read(tmp_path, table(lambda n: fixed(n, 2), head=head + "a,b\n(mV),(mV)\n")).names == ("a", "b")
    assert read(tmp_path, table(lambda n: fixed(n, 2), head="a,b,Comment\n")).names == ("a", "b")


def test_dates_that_are_misread_are_an_error_and_no_wrong_time(tmp_path: Path) -> None:
    def line(n: int) -> str:
        moment = "05/03/2024 23:59:59" if n < 250 else "06/03/2024 00:00:00"
        return f"{moment}.{n % 250 * 4:03d},{fixed(n)}"

    with pytest.raises(FileError, match="leaps over"):
        read(tmp_path, table(line, head="Time,a\n"))


def test_decimal_commas_in_quotes_are_numbers(tmp_path: Path) -> None:
    recording = read(tmp_path, table(lambda n: f'"{fixed(n, point=",")}","{fixed(n, point=",")}"'))
    np.testing.assert_allclose(recording.block(0, ROWS), WAVE[:, [0, 0]], atol=1e-5)


TIMED: dict[str, tuple[Line, str]] = {
    "seconds": (lambda n: f"{n / 250:.3f},{fixed(n)}", "time,a\n"),
    "seconds, with a unit": (lambda n: f"{n / 250:.3f},{fixed(n)}", "Time (s),a\n"),
    "milliseconds": (lambda n: f"{n * 4},{fixed(n)}", "time_ms,a\n"),
    "milliseconds in brackets": (lambda n: f"{n * 4},{fixed(n)}", "Time [ms],a\n"),
    "milliseconds by a row of units": (lambda n: f"{n * 4},{fixed(n)}", "time,a\nms,mV\n"),
    "microseconds": (lambda n: f"{n * 4000},{fixed(n)}", "timestamp_us,a\n"),
    "since 1970, seconds": (lambda n: f"{1.6e9 + n / 250:.4f},{fixed(n)}", "Timestamp,a\n"),
    "since 1970, milliseconds": (lambda n: f"{1_600_000_000_000 + n * 4},{fixed(n)}", "Timestamp,a\n"),
    "since 1970, nanoseconds": (lambda n: f"{1_600_000_000_000_000_000 + n * 4_000_000},{fixed(n)}", "t,a\n"),
    "without names": (lambda n: f"{n / 250:.3f},{fixed(n)}", ""),
    "in the last column": (lambda n: f"{fixed(n)},{n / 250:.3f}", "a,time\n"),
    "an index beside it": (lambda n: f"{n % 256},{fixed(n)},{n / 250:.3f}", "Sample Index,a,Timestamp\n"),
    "a date": (lambda n: f"2024-01-01T00:00:0{n // 250}.{n % 250 * 4:03d},{fixed(n)}", "date,a\n"),
    "a time of day": (lambda n: f"23:59:0{n // 250}.{n % 250 * 4:03d},{fixed(n)}", "clock,a\n"),
    "decimal commas": (lambda n: f"{n / 250:.3f};{fixed(n)}".replace(".", ","), "time;a\n"),
    "late by up to 1 ms": (lambda n: f"{n / 250 + (n * 7 % 11) / 11e3:.6f},{fixed(n)}", "time,a\n"),
    "one row late": (lambda n: f"{n / 250 + 0.0039 * (n == 50):.6f},{fixed(n)}", "time,a\n"),
    "in blocks of ten": (lambda n: f"{n // 10 * 10 / 250:.6f},{fixed(n)}", "time,a\n"),
    "since 1970, in a last column without a name": (lambda n: f"{fixed(n)}\t{1.6e9 + n / 250:.6f}", ""),
    "month/day/year": (lambda n: f"03/14/2024 11:59:5{n // 250}.{n % 250 * 4:03d} PM,{fixed(n)}", "Time,a\n"),
    "day.month.year, decimal commas": (
        lambda n: f"14.03.2024 23:59:5{n // 250},{n % 250 * 4:03d};{fixed(n, point=',')}", "Datum;a\n"
    ),
    "days since 1900": (lambda n: f"{45356.5 + n / 250 / 86400:.10f},{fixed(n)}", "Time,a\n"),
    "days of MATLAB": (lambda n: f"{739316.5 + n / 250 / 86400:.9f},{fixed(n)}", "Time,a\n"),
    "a time of day past midnight": (
        lambda n: f"{'23:59:59' if n < 250 else '00:00:00'}.{n % 250 * 4:03d},{fixed(n)}", "Time,a\n"
    ),
    "a date, and a time of day past midnight": (
        lambda n: (
            f"2024-01-0{n // 250 + 1},{'23:59:59' if n < 250 else '00:00:00'}.{n % 250 * 4:03d},{fixed(n)}"
        ), "Date,Time,a\n"
    ),
    "pandas' dates": (lambda n: f"2024-01-01 00:00:0{n // 250}.{n % 250 * 4000:06d},{fixed(n)}", ",a\n"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "head"), TIMED.values(), ids=TIMED)
def test_a_time_is_no_channel_and_says_the_rate_and_where_samples_are_missing(
    tmp_path: Path, line: Line, head: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    recording = read(tmp_path, table(line, head=head))
    assert recording.columns == 1
    assert recording.rate_hz == pytest.approx(250, rel=2e-3)
    assert recording.gaps() == []
    check(recording)
    assert "is a time" in caplog.text
    rows = [n for n in range(ROWS) if not 100 <= n < 120]
    recording = read(tmp_path, table(line, head=head, rows=rows))
    assert recording.gaps() == [(100, 20)]
    assert (recording.rows, recording.samples) == (ROWS - 20, ROWS)
    assert recording.rate_hz == pytest.approx(250, rel=5e-3)
    check(recording, rows=rows)
    assert "20 samples are missing, from 100 on" in caplog.text
    assert "line 1" in caplog.text


def test_each_of_many_gaps_is_where_it_was(tmp_path: Path) -> None:
    rows = [n for n in range(ROWS) if n % 20 not in (3, 7, 8)]
    recording = read(tmp_path, table(lambda n: f"{n / 250:.3f},{fixed(n)}", head="time,a\n", rows=rows))
    seqs = [seq + row - first for first, end, seq in recording.parts() for row in range(first, end)]
    assert seqs == rows
    check(recording, rows=rows)


@examples(50, release=300)
@given(
    missing=st.sets(st.integers(5, ROWS - 5), max_size=12),
    jitter=st.floats(0, 0.2),
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from([1.0, 10.0, 100.0, 333.0, 512.0, 1000.0, 30000.0]),
)
def test_gaps_are_told_from_jitter(
    tmp_path_factory: pytest.TempPathFactory, missing: set[int], jitter: float, seed: int, rate: float
) -> None:
    rows = [n for n in range(ROWS) if n not in missing]
    noise = np.random.default_rng(seed).uniform(-jitter, jitter, ROWS) if jitter < 0.09 else np.zeros(ROWS)
    content = table(lambda n: f"{(n + noise[n]) / rate:.7f},{fixed(n)}", head="time_s,a\n", rows=rows)
    recording = read(tmp_path_factory.mktemp("gaps"), content)
    assert recording.rate_hz == pytest.approx(rate, rel=1e-2)
    seqs = [seq + row - first for first, end, seq in recording.parts() for row in range(first, end)]
    assert seqs == [n - rows[0] for n in rows]


def test_an_index_that_leaps_leaves_out_samples(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [n for n in range(ROWS) if not 40 <= n < 47]
    recording = read(tmp_path, table(lambda n: f"{n},{fixed(n)}", head=",a\n", rows=rows))
    assert recording.gaps() == [(40, 7)]
    assert "line 42: 7 samples are missing, from 40 on" in caplog.text
    rows = [n for n in range(ROWS) if n not in (40, 41, 255, 256, 257)]
    recording = read(tmp_path, table(lambda n: f"{n % 128},{fixed(n)}", head="Sample Index,a\n", rows=rows))
    assert recording.gaps() == [(40, 2), (255, 3)]
    check(recording, rows=rows)


def test_an_empty_line_of_one_column_is_a_missing_sample_and_of_several_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = read(tmp_path, table(lambda n: "" if n == 60 else fixed(n)))
    assert np.flatnonzero(np.isnan(recording.block(0, ROWS))).tolist() == [60]
    assert "1 empty line(s) before line 62 are missing samples" in caplog.text
    recording = read(tmp_path, table(lambda n: fixed(n, 2) + ("\n" if n == 60 else "")))
    assert recording.rows == ROWS
    assert "1 empty line(s) left out, line 62 first" in caplog.text


@pytest.mark.parametrize("cell", ["", "#N/A", "#DIV/0!", "NaN", "nan", "NA", "N/A", "null", "None"])
def test_a_cell_that_is_missing_is_nan(tmp_path: Path, cell: str) -> None:
    recording = read(tmp_path, table(lambda n: f"{cell if n == 9 else fixed(n)},{fixed(n)}"))
    assert np.argwhere(np.isnan(recording.block(0, ROWS))).tolist() == [[9, 0]]


def test_names_are_labels(tmp_path: Path) -> None:
    head = f"µV,{'long' * 30},\x07\n"
    recording = read(tmp_path, table(lambda n: fixed(n, 3), head=head))
    assert recording.names == ("µV", ("long" * 30)[:64], "?")


def test_a_last_line_that_was_cut_short_is_left_out_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = read(tmp_path, table(lambda n: fixed(n, 2)) + "0.125")
    assert recording.rows == ROWS
    assert f"line {ROWS + 1}: the last line is cut short" in caplog.text


# What is not certain is said

DOUBTS: dict[str, tuple[str, str]] = {
    "numbers as names": (table(lambda n: fixed(n, 3), head="0,1,2\n"), "taken for names"),
    "a bare index": (table(lambda n: f"{n},{fixed(n)}"), r"column 1 is an index and no channel, for it counts"),
    "a bare time": (table(lambda n: f"{n / 250},{fixed(n)}"), "for it rises evenly; --time none and --columns"),
    "text": (table(lambda n: f"{fixed(n)},on", head="a,state\n"), r"column 2 \(state\) holds text"),
    "a preamble": (table(lambda n: fixed(n, 2), head="Device: X\n"), r"line\(s\) 1 before the first number"),
    "a time is missing": (
        table(lambda n: f"{'' if n == 9 else n / 250},{fixed(n)}", head="time,a\n"), r"lacks 1 time\(s\)"
    ),
    "a time twice": (table(lambda n: f"{(n - (n > 9)) / 250},{fixed(n)}", head="time,a\n"), "are they doubled"),
    "a time too coarse": (
        table(lambda n: f"2024-01-01 10:00:0{n // 250},{fixed(n)}", head="time,a\n"), "neither a rate nor missing"
    ),
    "an empty column": (table(lambda n: f"{fixed(n)},,{fixed(n)}"), "column 2 is empty"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "says"), DOUBTS.values(), ids=DOUBTS)
def test_what_is_not_certain_is_a_warning(
    tmp_path: Path, content: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert read(tmp_path, content).rows == ROWS
    assert re.search(says, caplog.text)


REFUSED: dict[str, tuple[str, str]] = {
    "one column of decimal commas": (table(lambda n: fixed(n, point=",")), "decimal comma: give --decimal ,"),
    "under a name": (table(lambda n: fixed(n, point=","), head="a\n"), "decimal comma: give --decimal ,"),
    "short ones": (table(lambda n: f"{WAVE[n, 0]:.3g}".replace(".", ",")), "--decimal ,"),
    "two columns of them": (table(lambda n: fixed(n, 2, point=","), head="a,b\n"), "--decimal ,"),
    "an index beside them": (table(lambda n: f"{n},{fixed(n, point=',')}"), "--decimal ,"),
    "a comma or thousands": (table(lambda n: f"{n + 1},125;2,250"), "may be a decimal comma or a thousand"),
    "thousands of Germany": (
        table(lambda n: f"{'1.234,56' if n % 3 else '2,50'};{fixed(n, point=',')}", head="a;b\n"),
        r"column 1 \(a\) holds numbers whose thousands are set apart, such as '1.234,56'"
    ),
    "thousands of France": (
        table(lambda n: f"1 234,56;{fixed(n, point=',')}", head="a;b\n"), "thousands are set apart"
    ),
    "names that rise evenly, or a sample": (
        table(lambda n: fixed(n, 3), head="0.5,1.0,1.5\n"), "line 1: .*--header yes or no"
    ),
    "a row for each sample and channel": (
        table(lambda n: f"{n // 2 / 250:.3f},{('Cz', 'Pz')[n % 2]},{fixed(n)}", head="time,channel,value\n"),
        r"column 2 \(channel\) takes turns while the time stays: give it a column for each of the 2 channels"
    ),
    "times that go back": (
        table(lambda n: f"{(n if n != 70 else 60) / 250},{fixed(n)}", head="time,a\n"), "line 72: .* goes back"
    ),
    "times that stand still": (table(lambda n: f"7,{fixed(n)}", head="time,a\n"), "stands still"),
    "a time in what": (table(lambda n: f"{n * 4},{fixed(n)}", head="time,a\n"), "in no unit .* give --rate"),
    "an index that does not count": (table(lambda n: f"{n // 2},{fixed(n)}", head="seq,a\n"), "--columns"),
    "an index that goes astray": (
        table(lambda n: f"{n if n != 70 else 9},{fixed(n)}", head="index,a\n"), "line 72: .*--columns"
    ),
    "a name or a sample": (table(lambda n: f"{WAVE[n, 0]}", rows=range(1, 99), head="0\n"), "--header yes or no"),
    "whole numbers as names": (table(lambda n: f"{n * 7},{n * 3}", head="0,1\n"), "--header yes or no"),
    "a first number that is damaged": (table(fixed, head="0.1x\n"), "line 1: a cell must be a number.*0.1x"),
    "underscores": (table(fixed) + "1_0\n", f"line {ROWS + 1}: a cell must be a number"),
    "a row too short": (table(lambda n: fixed(n, 2)) + "0.5\n", f"line {ROWS + 1}: every row must have 2"),
    "a row too long": (table(lambda n: fixed(n, 2)) + "0.5,1,2\n", f"line {ROWS + 1}: every row must have 2"),
    "a first row too short": (table(lambda n: fixed(n, 2), head="0.5\n"), "line 1: every row must have 2"),
    "only text": ("a,b\nc,d\n", "no samples"),
    "only comments": ("# a\n# b\n", "no samples"),
    "times that leap": (
        table(lambda n: f"{n / 250 if n < 99 else 1e9 + n / 250},{fixed(n)}", head="time_s,a\n"), "leaps over"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_told_is_refused_with_the_option_that_says_it(
    tmp_path: Path, content: str, says: str
) -> None:
    with pytest.raises(FileError, match=says) as error:
        read(tmp_path, content)
    assert "\n" not in str(error.value)
    assert "in.csv" in str(error.value)


# What is said of it


def test_options_say_what_is_what(tmp_path: Path) -> None:
    check(read(tmp_path, table(lambda n: fixed(n, point=",")), decimal=","))
    check(read(tmp_path, table(lambda n: f"{n},{fixed(n)},{n / 250}", head="x,a,time\n"), columns=("a",)))
    assert read(tmp_path, table(lambda n: f"{n / 250},{fixed(n)}", head="time,a\n"), time="none").columns == 1
    named = read(tmp_path, table(lambda n: f"{n / 250:.3f},{fixed(n)}", head="x,a\n"), time="x")
    assert (named.columns, named.rate_hz) == (1, 250)
    assert read(tmp_path, table(lambda n: fixed(n, 3), head="0,1,2\n"), header=False).rows == ROWS + 1
    assert read(tmp_path, table(lambda n: f"{n * 7 % 50},{n * 3 % 40}", head="0,1\n"), header=True).names == (
        "0",
        "1",
    )
    assert read(tmp_path, table(lambda n: f"{n},{n * 2}"), columns=("1", "2"), time="none").columns == 2
    whole = read(tmp_path, table(lambda n: f"{n * 3 % 7},{n % 5:02d}"), decimal=".")
    assert whole.columns == 2


def test_a_rate_tells_the_unit_and_is_held_against_the_times(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = table(lambda n: f"{n * 4},{fixed(n)}", head="time,a\n")
    recording = read(tmp_path, content, rate_hz=250)
    assert recording.rate_hz == 250
    assert recording.rate(250.0) == 250
    assert recording.rate(248.0) == 248
    assert "its times amount to 250 samples/s; taken to be 248" in caplog.text
    with pytest.raises(UsageError, match=r"--rate: .*in\.csv: its times amount to 250 .* got 500; leave it out"):
        recording.rate(500.0)


@pytest.mark.parametrize("columns", [("b",), ("2", "3"), ("a", "b")])
def test_columns_that_are_named_leave_an_index_what_it_is(tmp_path: Path, columns: tuple[str, ...]) -> None:
    rows = [n for n in range(ROWS) if not 100 <= n < 120]
    content = table(lambda n: f"{n + 1},{fixed(n, 2)}", head=",a,b\n", rows=rows)
    recording = read(tmp_path, content, columns=columns, rate_hz=250.0)
    assert recording.columns == len(columns)
    assert recording.gaps() == [(100, 20)]
    bare = table(lambda n: f"{n * 4},{fixed(n, 2)}")
    recording = read(tmp_path, bare, columns=("3",))
    assert (recording.columns, recording.rate_hz) == (1, None)
    assert read(tmp_path, bare, columns=("3",), rate_hz=250.0).rate_hz == 250


def test_a_rate_that_fits_a_time_in_no_unit_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="--rate 77 fits it in none: leave it out with --time none"):
        read(tmp_path, table(lambda n: f"{n * 4},{fixed(n)}", head="time,a\n"), rate_hz=77.0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"columns": ("b",)}, r"--columns: .*in\.csv has no column 'b'; it has time, a"),
        ({"columns": ("3",)}, "--columns: .* no column '3'"),
        ({"time": "clock"}, "--time: .* no column 'clock'"),
    ],
)
def test_a_column_that_is_not_there_is_refused(tmp_path: Path, options: dict[str, object], says: str) -> None:
    with pytest.raises(FileError, match=says):
        read(tmp_path, table(lambda n: f"{n / 250},{fixed(n)}", head="time,a\n"), **options)


@examples(50, release=400)
@given(content=st.text(alphabet='0123456789.,;-+e# \t\n"abtime:x', max_size=200))
def test_any_text_is_read_or_refused_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    try:
        recording = read(tmp_path_factory.mktemp("any"), content)
    except FileError:
        return
    assert recording.block(0, recording.rows).shape == (recording.rows, recording.columns)
