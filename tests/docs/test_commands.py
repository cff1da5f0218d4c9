"""Commands, options and defaults in README.md and docs/ are the program's."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from predictor.cli import COMMANDS
from streamer import errors

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
FOREIGN_OPTIONS = {"--", "--short", "--json-file", "--rows", "--minutes", "--update-docs", "--figure", "--compare"}
"""Of benchmarks/; those of pytest and of the fault matrix are in pages of the lab alone."""


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words after `sincos` name, and what is left of them."""
    command: click.Command = importlib.import_module(f"predictor.commands.{words[0]}").command
    words = words[1:]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


def typed_commands(text: str) -> Iterator[list[str]]:
    """Yield the words behind `sincos` in blocks of code."""
    blocks = re.findall(r"^ *```(?:console|ini)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [line for line in text.splitlines() if re.match(r"    (?:\w+=\S+ )*sincos ", line)]
    for line in lines:
        for part in re.split(r"\||&&|>", line.partition("  #")[0]):
            found = re.search(r"(?:^|[ /])sincos (?=[a-z])(.*)", part)
            if found:
                yield shlex.split(found[1])


TYPED = sorted({(page, shlex.join(words)) for page, text in TEXTS.items() for words in typed_commands(text)})


@pytest.mark.parametrize("line", [pytest.param(line, id=f"{page}: {line}") for page, line in TYPED])
def test_every_command_shown_is_understood(line: str) -> None:
    command, words = command_of(shlex.split(line))
    context = click.Context(command, info_name=line.split()[0])
    values, _, _ = command.make_parser(context).parse_args(list(words))
    for parameter in command.params:
        value = values.get(parameter.name or "")
        for one in value if isinstance(value, list) else [value]:
            if isinstance(parameter.type, click.Choice) and isinstance(one, str):
                parameter.type.convert(one, parameter, context)


def test_commands_are_found() -> None:
    assert len(TYPED) > 60
    assert {line.split()[0] for _, line in TYPED} == set(COMMANDS)


def options() -> dict[str, dict[str, click.Option]]:
    """Return each command's options by the name as typed."""
    found: dict[str, dict[str, click.Option]] = {}
    for name in COMMANDS:
        command, _ = command_of([name])
        below = command.commands.values() if isinstance(command, click.Group) else ()
        parameters = [parameter for one in (command, *below) for parameter in one.params]
        found[name] = {
            typed: one
            for one in parameters
            if isinstance(one, click.Option)
            for typed in (*one.opts, *one.secondary_opts)
        }
    return found


OPTIONS = options()


@pytest.mark.parametrize("page", [page for page in TEXTS if not page.startswith(("docs/lab/", "CONTRIBUTING"))])
def test_every_option_named_exists(page: str) -> None:
    known = {typed for of_command in OPTIONS.values() for typed in of_command} | {"--help", "--version"}
    named = set(re.findall(r"`[^`\n]*?(--[a-z][\w-]*)[^`\n]*`", TEXTS[page]))
    assert named - known - FOREIGN_OPTIONS == set()


def test_defaults_quoted_are_true() -> None:
    """`--retain` (60 s), or `source --retain` (60 s) where commands differ."""
    quoted = [
        (page, *found)
        for page, text in TEXTS.items()
        for found in re.findall(
            r"`(?:sincos )?(?:([a-z]+) )?(--[a-z-]+)` \((?:default )?(\d[\d,.]*)(?: (?:s|MB))?\)", text
        )
    ]
    assert len(quoted) >= 8
    for page, command, option, value in quoted:
        there = [OPTIONS[command][option]] if command else [o[option] for o in OPTIONS.values() if option in o]
        defaults = {f"{one.default:g}" for one in there if isinstance(one.default, int | float)}
        in_help = [re.search(r"\[default: ([\d.]+)", one.help or "") for one in there]
        defaults |= {f"{float(found[1]):g}" for found in in_help if found}
        assert f"{float(value.replace(',', '')):g}" in defaults, (page, option)


def test_every_option_has_a_sentence_of_help() -> None:
    for command, by_name in OPTIONS.items():
        for typed, option in by_name.items():
            sentence = re.split(r"\s*\[", option.help or "")[0]
            assert re.fullmatch(r"\w.*[\w)`}][.]", sentence, re.DOTALL), f"{command} {typed}: {option.help}"


def test_exit_codes_are_the_programs() -> None:
    page = TEXTS["docs/reference/exit-codes.md"]
    kinds = [errors.UsageError, errors.FileError, errors.AddressError, errors.NothingHeard, errors.StateError]
    rows = re.findall(r"^\| (\d) \|", page, re.MULTILINE)
    assert rows == ["0", "1", *(str(kind.exit_code) for kind in kinds)]
    assert "| 130, 143 |" in page
