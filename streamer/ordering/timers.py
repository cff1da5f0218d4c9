"""When somebody is to be woken, of many: whoever waits for nothing costs nothing. Pure logic."""

import heapq
from collections.abc import Iterator


class TimerQueue:
    """The earliest moment at which each of those who wait is to be looked at."""

    def __init__(self) -> None:
        self._due_ns: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def set(self, name: str, due_ns: int) -> None:
        """Wake `name` at that moment, or before."""
        if due_ns < self._due_ns.get(name, due_ns + 1):
            self._due_ns[name] = due_ns
            heapq.heappush(self._heap, (due_ns, name))

    def forget(self, name: str) -> None:
        """Wake `name` for nothing."""
        self._due_ns.pop(name, None)

    def next_ns(self) -> int | None:
        """The next moment; None if nobody waits."""
        while self._heap and self._due_ns.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # it was set to an earlier moment later
        return self._heap[0][0] if self._heap else None

    def take(self, now_ns: int) -> Iterator[str]:
        """Return, and forget, whoever is due."""
        while (due_ns := self.next_ns()) is not None and due_ns <= now_ns:
            name = heapq.heappop(self._heap)[1]
            del self._due_ns[name]
            yield name
