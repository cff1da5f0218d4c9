"""Forces files to disk beside the loop: that can take long, and nobody waits for it."""

import os
import queue
import threading

PATIENCE_S = 2.0


class FsyncThread:
    """A thread that calls fsync, in the order in which it is asked to.

    Attributes
    ----------
    error : OSError or None
        The last call's.
    failures : int
        Calls that failed. What was to be forced to disk by them may be lost even if later ones succeed.
    """

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.failures = 0
        self._asked = self._done = 0
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="fsync", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether something is not on disk yet that was asked for."""
        return self._done < self._asked

    def sync(self, descriptor: int) -> None:
        """Force a file, or a folder, to disk by and by. The caller may close it meanwhile."""
        self._asked += 1
        self._wanted.put(os.dup(descriptor))

    def close(self) -> None:
        """Wait a while for what is still wanted."""
        self._wanted.put(None)
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        while (descriptor := self._wanted.get()) is not None:
            try:
                os.fsync(descriptor)
            except OSError as error:
                self.error = error
                self.failures += 1
            else:
                self.error = None
            finally:
                os.close(descriptor)
                self._done += 1
