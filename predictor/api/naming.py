"""Errors as a caller of the Python API typed it: band_hz and not --band."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from streamer.errors import OperatorError

log = logging.getLogger("sincos")

_NAMES = {
    "--cell, --hidden, --layers, --seed": "seed",
    "--band": "band_hz",
    "--bind": "address",
    "--columns": "columns",
    "--decimal": "decimal",
    "--gap-deadline": "gap_deadline_s",
    "--header": "header",
    "--insecure": "insecure=True",
    "--keys": "keys",
    "--learn": "learn",
    "--learning-rate": "learning_rate",
    "--model": "model",
    "--nominal-hz": "nominal_hz",
    "--predictor": "address",
    "--rate": "rate_hz",
    "--retain": "retain_s",
    "--seed": "seed",
    "--stream": "stream",
    "--stride": "stride_samples",
    "--targets": "targets",
    "--time": "time",
    "--timeout": "timeout_s",
    "--window": "window_samples",
}
_TRUE = {"yes": "True", "no": "False"}
_FLAG = re.compile(
    r"`[^`]*`|(--cell, --hidden, --layers, --seed|--[a-z]+(?:-[a-z]+)*)"  # a command in backticks stays
    r"(?: ((?:self|target|none|new|yes|no)\b|[,.](?= |$)))?(?: (?:FILE|DIR)\b)?"
)


def as_arguments(text: str) -> str:
    """Return a text with the arguments of the API in place of the flags of the command line."""

    def argument(found: "re.Match[str]") -> str:
        flag, value = found.groups()
        name = _NAMES.get(flag or "")
        if name is None:
            return found[0]
        return name if value is None else f"{name}={_TRUE.get(value, repr(value))}"

    return _FLAG.sub(argument, text)


@contextmanager
def naming_arguments() -> Iterator[None]:
    """Raise and log what is about a flag as being about the argument that it is in the API."""
    here = _Naming()
    log.addFilter(here)
    try:
        yield
    except OperatorError as error:
        text = as_arguments(str(error))
        if text == str(error):
            raise
        raise type(error)(text) from None
    finally:
        log.removeFilter(here)


class _Naming(logging.Filter):
    """Changes what this thread logs, in the logger's place, before any handler sees it."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread == self._thread:
            record.msg, record.args = as_arguments(record.getMessage()), None
        return True
