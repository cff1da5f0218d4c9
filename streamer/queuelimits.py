"""How many messages may wait in a ZeroMQ queue, so that they take no more than so many bytes. Pure logic."""

QUEUE_BYTES = 32 * 2**20  # of each reader, or of each source
LEAST_MESSAGES = 2
WINDOW_MESSAGES = 20_000  # after so many, those that were large before are forgotten


class QueueLimit:
    """ZeroMQ bounds queues in messages; so their number has to follow from how large they are.

    Parameters
    ----------
    most_messages : int
        However small they are.
    queue_bytes : int
    """

    def __init__(self, most_messages: int, queue_bytes: int = QUEUE_BYTES) -> None:
        self._most_messages = most_messages
        self._queue_bytes = queue_bytes
        self.messages = most_messages
        self._largest = self._largest_now = 0
        self._count = 0

    def note(self, size_bytes: int) -> bool:
        """Note a message; return whether `messages`, how many may wait, is another number now."""
        self._count += 1
        if size_bytes > self._largest_now:
            self._largest_now = size_bytes
            if size_bytes > self._largest:
                self._largest = size_bytes
                return self._change()
        if self._count >= WINDOW_MESSAGES:
            self._largest, self._largest_now, self._count = self._largest_now, 0, 0
            return self._change()
        return False

    def _change(self) -> bool:
        before = self.messages
        fit = self._queue_bytes // max(self._largest, 1)
        self.messages = max(LEAST_MESSAGES, min(self._most_messages, fit))
        return self.messages != before
