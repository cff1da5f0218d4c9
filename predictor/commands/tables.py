"""What may be said of a .csv file, where it cannot be told from it: options that commands share."""

import functools
from collections.abc import Callable
from typing import Any

import click

from streamer.recordings.csv_layout import TableOptions

_COLUMNS = click.option(
    "--columns",
    metavar="NAME,...",
    help="The columns of a .csv file that are channels, by name or number from 1 on.  [default: recognised]",
)
_TIME = click.option(
    "--time",
    metavar="NAME",
    help="The column of a .csv file that holds the time; none: use no times.  [default: recognised]",
)
_HEADER = click.option(
    "--header",
    type=click.Choice(["yes", "no"]),
    help="Whether the first line of a .csv file holds names.  [default: recognised]",
)
_DECIMAL = click.option(
    "--decimal",
    type=click.Choice([",", "."]),
    help="Decimal mark of a .csv file.  [default: recognised]",
)


def table_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a table; it gets them as one parameter, `table`."""

    @_COLUMNS
    @_TIME
    @_HEADER
    @_DECIMAL
    @functools.wraps(command)
    def with_table(
        columns: str | None, time: str | None, header: str | None, decimal: str | None, **options: Any
    ) -> None:
        names = tuple(name.strip() for name in columns.split(",")) if columns else ()
        table = TableOptions(names, time, None if header is None else header == "yes", decimal)
        command(table=table, **options)

    return with_table
