"""Forces files to disk beside the loop: that can take long, and nobody waits for it."""

import os
import queue
import threading

PATIENCE_S = 2.0


class Syncer:
    """A thread that calls fsync.

    Attributes
    ----------
    error : OSError or None
        The last call's.
    """

    def __init__(self) -> None:
        self.error: OSError | None = None
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="fsync", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a file still waits."""
        return not self._wanted.empty()

    def sync(self, descriptor: int) -> None:
        """Force a file, or a folder, to disk by and by. The caller may close it meanwhile."""
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
            else:
                self.error = None
            finally:
                os.close(descriptor)
