"""`sincos keys`: make and list the keys of who may listen."""

import json
from pathlib import Path

import click

from streamer.transport import keys as keyfiles
from streamer.transport.keys import AUTHORISED, SERVERS, NamedKey

DEFAULT_FOLDER = "~/.config/sincos/keys"

folder_option = click.option(
    "--keys",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_FOLDER,
    show_default=True,
    envvar="SINCOS_KEYS",
    metavar="DIR",
    help="Folder of the keys.  [env: SINCOS_KEYS]",
)


@click.group()
def command() -> None:
    """Make and list keys, which authenticate publishers and readers.

    DIR/own.key is yours to hand out. Put the keys of those who may connect into DIR/authorised/NAME.key, and
    the keys of the machines you connect to into DIR/servers/HOST.key (local.key for ipc; HOST:PORT.key for one
    process with a key of its own). Then give `--keys DIR` to source, predict, listen and console. SIGHUP makes a
    running source or predictor read DIR/authorised again and disconnect peers whose key is no longer there.
    """


@command.command()
@folder_option
def make(folder: Path) -> None:
    """Make a key pair that only you can read."""
    key = keyfiles.make(folder.expanduser())
    click.echo(f"{folder.expanduser() / key.name}: {key.public.decode()}")


@command.command("list")
@folder_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_keys(folder: Path, as_json: bool) -> None:
    """List your key, who may connect, and whom you connect to."""
    folder = folder.expanduser()
    own = keyfiles.load(folder)
    groups = {name: list(keyfiles.listed(folder / name)) for name in (AUTHORISED, SERVERS)}
    if as_json:
        named = {name: {key.name: key.public.decode() for key in keys} for name, keys in groups.items()}
        click.echo(json.dumps({"own": own.public.decode(), **named}))
        return
    click.echo(f"own         {own.public.decode()}")
    for name, keys in groups.items():
        for key in keys or [NamedKey("(nobody)", b"")]:
            click.echo(f"{name:<11} {key.public.decode():<41}{key.name}".rstrip())
