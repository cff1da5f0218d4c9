"""The command line: `sincos COMMAND`. Imports click alone; a command's module comes in when it runs."""

import errno
import importlib
import sys
from typing import Any

import click

from predictor.log_queue import flush_log
from predictor.standard_streams import complain, discard_output, is_device
from streamer.errors import FileError, OperatorError, UsageError

COMMANDS = {
    "source": "Publish a signal, a file or a pipe, sample by sample.",
    "predict": "Estimate the quadrature of every sample of every stream; --learn to learn online.",
    "apply": "Run a recording through a model, as `predict` would have answered it live.",
    "console": "Watch input, target, estimate and error live.",
    "listen": "Print estimates, inputs or status as JSON lines.",
    "keys": "Make and list keys, for publishing beyond this machine.",
    "train": "Train a model offline.",
    "bench": "Measure the capacity of this machine, beside a bare ZeroMQ echo.",
    "demo": "Source, learning predictor and console together in one terminal.",
}
"""Command name -> one line of help. `predictor/commands/NAME.py` holds the command as `command`."""


class _ReaderGone(Exception):  # noqa: N818 - no error: the reader has what it wanted
    """Somebody closed the pipe that a command writes to. Click would make it an exit code of 1."""


class _LazyGroup(click.Group):
    """Lists commands without importing them."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"predictor.commands.{name}").command
        return command

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError as error:  # of --help
            raise _ReaderGone from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone from error
        except UsageError as error:
            raise self._as_typed(error, ctx) from None
        finally:
            flush_log()  # before a last line says why it ended

    def _as_typed(self, error: UsageError, ctx: click.Context) -> UsageError:
        """Return an error about a field with the name of the option that sets it: --rate, and not rate_hz."""
        command = self.get_command(ctx, ctx.invoked_subcommand or "")
        field, colon, rule = str(error).partition(":")
        typed = {option.name: option.opts[0] for option in command.params} if command is not None else {}
        return UsageError(f"{typed[field]}{colon}{rule}") if field in typed else error

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


# What writing to standard output may fail with. Files that commands write are looked after where they are written.
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF}
# Needed by some commands only, and perhaps not installed: what to install.
OPTIONAL = dict.fromkeys(("torch", "matplotlib"), "'sincos[train]'") | {
    name: name for name in ("plotext", "rich", "safetensors")
}

EPILOG = """Exit codes: 0 done, or stopped by SIGINT, SIGTERM or SIGHUP; 1 internal error; 2 an option; 3 a file;
4 an address; 5 timed out; 6 a checkpoint that is in use, or of another model; 130, 143 apply
stopped by SIGINT, SIGTERM without an output."""


@click.group(cls=_LazyGroup, epilog=EPILOG)
@click.version_option(package_name="sincos")
def cli() -> None:
    """Phase and amplitude of a live oscillation, at every sample: its quadrature, estimated by a network."""


def main() -> None:
    """Run the command line; end with a line on standard error and a documented exit code if it cannot."""
    sys.exit(_written(_run()))


def _run() -> int:
    try:
        cli.main(prog_name="sincos", standalone_mode=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except _ReaderGone:
        discard_output()
    except OperatorError as error:
        complain(f"sincos: {error}")
        return error.exit_code
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in OPTIONAL:
            raise
        complain(
            f"sincos: {sys.argv[1]}: needs {missing}, which cannot be imported ({error}); type: "
            f"pip install {OPTIONAL[missing]}"
        )
        return UsageError.exit_code
    except OSError as error:
        return _unwritable(error)
    return 0


def _written(code: int) -> int:
    """Write what is left of standard output; return the exit code."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return _unwritable(error) or code
    except ValueError:  # closed
        pass
    return code


def _unwritable(error: OSError) -> int:
    """Return the exit code where standard output cannot be written; raises anything else."""
    terminal_has_gone = error.errno == errno.EIO and is_device(1)
    if error.errno == errno.EPIPE or terminal_has_gone:  # the reader has what it wanted, or has left
        discard_output()
        return 0
    if error.errno not in UNWRITABLE or error.filename is not None:
        raise error
    discard_output()
    complain(f"sincos: standard output cannot be written: {error.strerror}")
    return FileError.exit_code
