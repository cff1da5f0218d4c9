"""Writes states to disk beside the loop, one at a time, so that a slow disk delays no estimate."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from predictor.checkpoint import encode
from predictor.statefolder import StateFolder
from streamer.effects import Checkpoint
from streamer.messages import Written


class Keeper:
    """Takes a state while the last one has been reported as written, or not.

    Parameters
    ----------
    folder : StateFolder
        Held by this process.
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")
        self._writing: Future[Written] | None = None

    def write(self, state: Checkpoint) -> None:
        """Begin to write a state; after the one that is being written, if there is one."""
        self._writing = self._worker.submit(self._write, state)

    def _write(self, state: Checkpoint) -> Written:
        try:
            return Written(self._folder.write(encode(state.head, state.streams)))
        except Exception as error:
            return Written(None, f"{type(error).__name__}: {error}")

    def outcome(self) -> Written | None:
        """Return, once, what became of the last state; None while nothing is to be said."""
        if self._writing is None or not self._writing.done():
            return None
        written, self._writing = self._writing.result(), None
        return written

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is being written."""
        self._worker.shutdown(wait=True)
