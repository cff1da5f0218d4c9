"""The directive `command-reference`: every command with its options, made from click's own tables."""

import importlib
from collections.abc import Iterator

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from predictor.cli import COMMANDS


def described(parameter: click.Option, context: click.Context) -> tuple[str, str]:
    """Return an option as it is typed, and its help with the default."""
    record = parameter.get_help_record(context)
    if record is None:
        raise ValueError(f"{context.command_path}: {parameter.name} is hidden")
    return record


def escaped(text: str) -> str:
    """Return text for a cell of a Markdown table."""
    return (
        text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("<", "\\<").replace("[", "\\[")
    )


def options_of(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the rows of a command's table of options."""
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if not options:
        return
    yield "| option | meaning |"
    yield "|---|---|"
    for option in options:
        typed, meaning = described(option, context)
        shown = typed.replace("|", "\\|")
        yield f"| `{shown}` | {escaped(' '.join(meaning.split()))} |"
    yield ""


def section(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the Markdown of one command and of those below it."""
    yield f"## {context.command_path}"
    yield ""
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"`{context.command_path} {usage}`"
    yield ""
    for paragraph in (command.help or "").split("\n\n"):
        text = " ".join(paragraph.replace("\b", "").split())
        yield f"```text\n{text}\n```" if text.startswith("{") else escaped(text)
        yield ""
    yield from options_of(command, context)
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from section(below, click.Context(below, info_name=name, parent=context))


class CommandReference(SphinxDirective):
    """All commands, in the order of `sincos --help`."""

    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        root = click.Context(click.Group("sincos"), info_name="sincos")
        for name in COMMANDS:
            module = importlib.import_module(f"predictor.commands.{name}")
            self.env.note_dependency(module.__file__ or "")
            context = click.Context(module.command, info_name=name, parent=root)
            lines += section(module.command, context)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True}
