"""Standard input, output and error, whatever state they were handed over in.

They may be closed (``>&-``), speak another encoding than UTF-8, or lose their reader (``| head``). No command may
end with a traceback for it, nor may a file that is opened later take the place of one that is closed.
"""

import codecs
import contextlib
import os
import stat
import sys
import unicodedata

PLAIN = "sincos.plain"  # name of the encoding error handler
BRAILLE = range(0x2801, 0x2900)
SPELLED = {
    "\N{BULLET}": "*",
    "\N{MIDDLE DOT}": ".",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{HORIZONTAL ELLIPSIS}": "...",
}


def make_usable() -> None:
    """Open what is closed, and let output say in plain letters what its encoding lacks.

    Call before anything else is opened.
    """
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest free one; output is refused, as if it were closed
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    codecs.register_error(PLAIN, _spell)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=PLAIN)


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(letter: str) -> str:
    """Return ASCII that looks or sounds like a letter."""
    if letter in SPELLED:
        return SPELLED[letter]
    if ord(letter) in BRAILLE:
        return "*"
    name = unicodedata.name(letter, "")
    if name.startswith("BOX DRAWINGS"):
        return "-" if name.endswith(" HORIZONTAL") else "|" if name.endswith(" VERTICAL") else "+"
    if name.startswith(("FULL BLOCK", "UPPER ", "LOWER ", "LEFT ", "RIGHT ")) and "BLOCK" in name:
        return "#"
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"


def is_device(descriptor: int) -> bool:
    """Return whether a stream is a character device, as terminals are, those that have gone among them."""
    try:
        return stat.S_ISCHR(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def discard_output() -> None:
    """Write no more to a reader that has gone (`| head`); without this the interpreter complains at exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def complain(line: str) -> None:
    """Write a line to standard error, if it can be written to."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
