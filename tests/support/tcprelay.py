"""A cable between two ports that can be cut, and a cable that can be pulled and put back."""

import contextlib
import selectors
import socket
import threading
import time


class TcpRelay:
    """Passes bytes from one port to another in a thread of its own.

    Attributes
    ----------
    severed : int
        Connections ended by `cut`.
    """

    def __init__(self, *ways: tuple[int, int]) -> None:
        self.severed = 0
        self._ways = ways
        self._selector = selectors.DefaultSelector()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._wanted = threading.Event()
        self._wanted.set()
        self._frozen = threading.Event()
        self._closing = threading.Event()
        self._down = threading.Event()
        self._listeners: list[socket.socket] = []
        self._listen()
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """End all connections and refuse new ones until `mend`."""
        self._wanted.clear()
        assert self._down.wait(10)

    def mend(self) -> None:
        """Let connections through again."""
        self._frozen.clear()
        self._down.clear()
        self._wanted.set()

    def freeze(self) -> None:
        """Pass nothing on, and end nothing, until `mend`: nobody is told."""
        self._frozen.set()

    def close(self) -> None:
        """Leave nothing behind."""
        self._closing.set()
        self._thread.join(60)

    def __enter__(self) -> "TcpRelay":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The thread

    def _listen(self) -> None:
        for port, upstream in self._ways:
            listener = socket.create_server(("127.0.0.1", port), backlog=100)
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, upstream)
            self._listeners.append(listener)

    def _pass_on(self) -> None:
        while not self._closing.is_set():
            if not self._wanted.is_set():
                self._sever()
                self._down.set()
                self._wanted.wait(0.01)
                continue
            if not self._listeners:
                self._listen()
            if self._frozen.is_set():
                time.sleep(0.01)
                continue
            for key, _ in self._selector.select(0.01):
                self._take(key)
        self._sever()
        self._selector.close()

    def _take(self, key: selectors.SelectorKey) -> None:
        one = key.fileobj
        assert isinstance(one, socket.socket)
        if key.data is not None:
            with contextlib.suppress(OSError):
                self._open(one.accept()[0], key.data)
            return
        if one not in self._pairs:
            return  # its other end has just gone
        other = self._pairs[one]
        try:
            said = one.recv(2**16)
            if said:
                other.sendall(said)
                return
        except OSError:
            pass
        self._end(one)

    def _open(self, near: socket.socket, upstream: int) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", upstream), timeout=10)
        except OSError:
            near.close()
            return
        self._pairs[near], self._pairs[far] = far, near
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(10)
            self._selector.register(one, selectors.EVENT_READ)

    def _end(self, one: socket.socket) -> None:
        other = self._pairs[one]
        for each in (one, other):
            self._selector.unregister(each)
            del self._pairs[each]
            each.close()

    def _sever(self) -> None:
        self.severed += len(self._pairs) // 2
        while self._pairs:
            self._end(next(iter(self._pairs)))
        while self._listeners:
            listener = self._listeners.pop()
            self._selector.unregister(listener)
            listener.close()
