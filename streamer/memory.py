"""How the memory of a process, `--memory`, is shared out. Pure logic.

A sixteenth each: messages that wait to be published to readers, answers that wait for who asked, messages that
came in and are not read yet, messages that wait for a stream at work; and a sixteenth for the program itself. What
`--hold-mb` and `--retain-mb` keep comes out of the rest, and what is then left is for the states of streams.
"""

from streamer.errors import UsageError
from streamer.waveforms import check_range

MB = 2**20
DEFAULT_BYTES = 1024 * MB
MIN_BYTES = 16 * MB
QUEUE_PARTS = 16
QUEUES_AND_PROGRAM = 5


def queue_bytes(memory_bytes: int) -> int:
    """Return what may wait in one of the four queues."""
    return memory_bytes // QUEUE_PARTS


def state_bytes(memory_bytes: int, kept_bytes: int) -> int:
    """Return what the states of streams may take, beside messages that are kept or held."""
    return memory_bytes - QUEUES_AND_PROGRAM * queue_bytes(memory_bytes) - kept_bytes


def check(memory_bytes: int, kept_bytes: dict[str, int]) -> None:
    """Raise UsageError unless `--memory` has room for what the other flags want to keep: half of it.

    Parameters
    ----------
    memory_bytes : int
    kept_bytes : dict
        Flag -> bytes.
    """
    check_range("--memory", memory_bytes / MB, MIN_BYTES / MB, 1e9)
    wanted = sum(kept_bytes.values())
    if 2 * wanted <= memory_bytes:
        return
    flags = ", ".join(f"{flag} {size / MB:g}" for flag, size in kept_bytes.items())
    together = "together at most" if len(kept_bytes) > 1 else "at most"
    raise UsageError(
        f"{flags}: {together} half of --memory ({memory_bytes / MB:g} MB) may be kept; "
        f"give --memory {-(-2 * wanted // MB)} or more, or keep less"
    )
