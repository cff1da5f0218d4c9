"""Writes what a predictor goes on from: states, decisions, published ends."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from predictor.state.checkpoint import encode
from predictor.state.decision_log import DecisionLog
from predictor.state.folder import StateFolder
from predictor.state.parked_files import ParkedFiles
from predictor.state.published_ends import PublishedEnds
from streamer.effects import Checkpoint, Discard, Fetch, Park, Store
from streamer.files.fsync import FsyncThread
from streamer.messages import Fetched, Parked, Recorded, Stored, Written
from streamer.ordering.decisions import Decision, Memory

ENDS_EVERY_S = 1.0


class StateWriter:
    """Takes a state while the last one has been reported as written, or not, and decisions at any time.

    States are written beside the loop, one at a time, so that a slow disk delays no estimate; those of single
    streams beside these, in the order in which that was asked for. Decisions are forced to disk beside it at once,
    published ends each second, all of it at the end.

    Parameters
    ----------
    folder : StateFolder
        Held by this process.

    Raises
    ------
    FileError
        If there is something in the folder that is none of ours, under a name of ours.
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state-writer")
        self._writing: Future[Written] | None = None
        self._decisions = DecisionLog(folder.path, folder.next_number, folder.descriptor)
        self.ends = PublishedEnds(folder.path, folder.descriptor)
        self.parked = ParkedFiles(folder.path, folder.descriptor)
        self._store = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parked")
        self._storing: deque[Future[Parked | Fetched | None]] = deque()
        self._reported = Recorded(0)
        self._syncer = FsyncThread()
        self._ends_due_s = 0.0

    def memory(self) -> tuple[Memory, list[str]]:
        """Return what former lives decided and published, and what is to be said of the files.

        Raises
        ------
        FileError
            If one of them is not a regular file.
        """
        decisions, remarks = self._decisions.read()
        return Memory(decisions, self.ends.published), remarks

    def write(self, state: Checkpoint) -> None:
        """Begin to write a state; after the one that is being written, if there is one."""
        self._writing = self._worker.submit(self._write, state)

    def _write(self, state: Checkpoint) -> Written:
        try:
            number = self._folder.write(encode(state.head, state.streams))
            self._decisions.drop_before(self._folder.oldest_number())
            return Written(number)
        except Exception as error:
            return Written(None, f"{type(error).__name__}: {error}")

    def store(self, effect: Store) -> None:
        """Begin to write, read or remove a stream's state, after all that was begun before."""
        match effect:
            case Park():
                self._storing.append(self._store.submit(self._park, effect))
            case Fetch(stream):
                self._storing.append(self._store.submit(self._fetch, stream))
            case Discard(keys):
                self._store.submit(self.parked.drop, keys)
            case _:
                self.ends.forget(effect.stream)

    def _park(self, state: Park) -> Parked:
        try:
            return Parked(
                state.stream, self.parked.write(state.stream, state.head, state.packed, brief=state.brief)
            )
        except Exception as error:
            return Parked(state.stream, 0, f"{type(error).__name__}: {error}")

    def _fetch(self, stream: str) -> Fetched:
        try:
            return Fetched(stream, self.parked.read(stream))
        except Exception as error:
            return Fetched(stream, None, f"{type(error).__name__}: {error}")

    def decide(self, decision: Decision) -> None:
        """Write a decision down."""
        self._decisions.write(decision)
        self._force()

    def _force(self) -> None:
        """Have forced to disk what is to be, unless the disk is still busy with what was before."""
        if self._syncer.busy:
            return
        if self._decisions.unsynced:
            self._decisions.sync(self._syncer)
        if self.ends.unsynced and time.monotonic() >= self._ends_due_s:
            self._ends_due_s = time.monotonic() + ENDS_EVERY_S
            self.ends.sync(self._syncer)

    def outcome(self) -> Stored | None:
        """Return, once, what became of the last state, or of what is written beside; None if nothing is new."""
        self._force()
        if self._storing and self._storing[0].done():
            return self._storing.popleft().result()
        if self._writing is not None and self._writing.done():
            written, self._writing = self._writing.result(), None
            if written.number is not None:
                if self._decisions.unsynced:
                    self._decisions.sync(self._syncer)
                self._decisions.go_on(written.number + 1)
            return written
        if self._decisions.error is not None:
            self._decisions.try_again()
        unforced = self._syncer.error
        error = self._decisions.error or self.ends.error
        if error is None and unforced is not None:
            error = f"{self._folder.path}: cannot be forced to disk: {unforced.strerror}"
        failures = self._decisions.failures + self.ends.failures + self._syncer.failures
        if failures == self._reported.failures and error == self._reported.error:
            return None
        self._reported = Recorded(failures, error)
        return self._reported

    def finish(self) -> Written | None:
        """Wait for what is being written; return what became of the last state, if that was not said."""
        self._store.shutdown(wait=True)
        self._worker.shutdown(wait=True)
        return None if self._writing is None else self._writing.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is being written, and a while for what is being forced to disk."""
        self._store.shutdown(wait=True)
        self._worker.shutdown(wait=True)
        self.parked.close()
        self._decisions.sync(self._syncer)
        self.ends.sync(self._syncer)
        self._syncer.close()
        self._decisions.close()
        self.ends.close()
