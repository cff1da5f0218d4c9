"""ZeroMQ behind one Transport: messages in and out, never bytes."""

import contextlib
import itertools
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

import zmq

from streamer.clock import SystemClock
from streamer.errors import AddressError, OperatorError
from streamer.memory import DEFAULT_BYTES, queue_bytes
from streamer.messages import ANSWERED, Burst, Gone, Incoming, Kind, Message, Rejected, Replay, SlowReader
from streamer.transport.connection_guard import Outgoing
from streamer.transport.connection_watch import ConnectionWatch, Lost
from streamer.transport.endpoints import NEVER_FULL, Endpoints
from streamer.transport.frames import AnySocket, drain
from streamer.transport.in_flight import LARGE_BYTES, InFlight
from streamer.transport.keys import Authorised, Keys
from streamer.transport.listening_socket import Listener
from streamer.transport.outflow import LOOK_BYTES, MIN_LOOKS, SentCount, wire_bytes
from streamer.transport.retransmit_sockets import (
    ANSWERS_HIGH_WATER_MARK,
    DEALER_OPTIONS,
    REQUEST_LIMIT,
    ROUTER_OPTIONS,
    RetransmitClient,
    RetransmitServer,
)
from streamer.transport.subscriptions import MAX_SUBSCRIPTION_BYTES, SUBSCRIPTION_LIMIT, subscription
from streamer.wire import batch, codec
from streamer.wire.expected import Parts

SOURCE_ADDRESS = "tcp://127.0.0.1:5555"
PREDICTOR_ADDRESS = "tcp://127.0.0.1:5556"

# Messages a slow subscriber may fall behind before it loses some: 20 s of one-sample messages at 1 kHz.
HIGH_WATER_MARK = 20_000
# ZeroMQ lets a full queue fill again only once half of it was taken. Where the sender waits for that, both
# sides' queues are short, or a reader of 4,000 messages a second would pass for stalled.
SHORT_HIGH_WATER_MARK = 1_000
# Frames past the protocol's limit are still read and counted; far past it the peer is cut off.
MAX_FRAME_BYTES = 2 * codec.MAX_PAYLOAD_BYTES
LINGER_MS = 1_000
PATIENT_LINGER_MS = 60_000
STALL_MS = 50  # under back pressure, between two looks whether somebody takes nothing
MAX_STALLS = 20  # after which nobody waits for anybody, where the system does not tell who takes nothing
ROOM_S = 0.002  # between two looks whether large messages are on their way
MOMENT_S = 0.1  # not under back pressure
MAX_LOST = 100  # reports
MAX_SLEEP_MS = 2**31 - 1  # what the system's poll takes


give_way: Callable[[], None] = getattr(os, "sched_yield", lambda: None)


class HasFileno(Protocol):
    """Anything a poller can watch."""

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...


class FastPath(Protocol):
    """Who answers messages by their bytes."""

    def answer(self, parts: Parts) -> Parts | None:
        """Return the parts of the answer to a message that came alone; None to have it decoded."""
        ...

    def take(self, said: Sequence[Parts]) -> list[Parts]:
        """Take messages that may be answered; return the others, to be decoded once all answers are made."""
        ...

    def answers(self) -> Iterator[Parts]:
        """Return the answers to those taken."""
        ...


class Ends(Protocol):
    """Who notes how far estimates are published."""

    def note(self, topic: bytes, header: bytes) -> None:
        """Note that a message is about to be published."""
        ...


class Transport:
    """One process's sockets: an XPUB where it binds, a SUB where it connects, and beside them those for replays.

    Parameters
    ----------
    bind : str or None
        Address to publish on, for example ``tcp://127.0.0.1:5555``; port ``*`` takes a free one.
    connect : sequence of str
        Addresses to listen to.
    topics : sequence of bytes
        Topic prefixes to subscribe to.
    watch : sequence of objects with a file descriptor
        Further things whose readiness ends `wait`.
    back_pressure : bool
        Let `send` wait for slow subscribers rather than drop what they cannot take, until one stalls.
    together : bool
        Let `receive` hand over neighbouring chunks of a stream as a `Burst`.
    answers : bool
        Where it binds, be asked for samples again, at `replay_address`.
    asks : bool or mapping
        Where it connects, be able to ask for them: everybody, or for each kind those at these addresses.
    fast_path : FastPath or None
        Offered every message that comes in where this listens; its answers are published before anything else is
        done, and `receive` says `ANSWERED` first if there were any.
    full : callable or None
        Whether nothing more that was published is to be read for now.
    ends : Ends or None
        Told of every estimate before it is published.
    keys : Keys or None
        Encrypt, prove who this is, and let in only who is authorised.
    insecure : bool
        Without keys, talk beyond this machine all the same.
    flags : mapping or None
        The flag that each address to listen to was given with; then the log says where nobody is.
    memory_bytes : int
        Of the whole process; queues take their parts of it.

    Raises
    ------
    AddressError
        If an address is malformed or in use, or leads beyond this machine without keys.
    FileError
        If a peer's key is missing or cannot be read.
    """

    def __init__(
        self,
        bind: str | None = None,
        connect: Sequence[str] = (),
        topics: Sequence[bytes] = (),
        watch: Sequence[HasFileno] = (),
        *,
        back_pressure: bool = False,
        together: bool = False,
        answers: bool = False,
        asks: bool | Mapping[Kind, Sequence[str]] = False,
        fast_path: FastPath | None = None,
        full: Callable[[], bool] | None = None,
        ends: Ends | None = None,
        keys: Keys | None = None,
        insecure: bool = False,
        flags: Mapping[str, str] | None = None,
        memory_bytes: int = DEFAULT_BYTES,
    ) -> None:
        self._flags = flags
        self._queue_bytes = queue_bytes(memory_bytes)
        look_bytes = min(LOOK_BYTES, self._queue_bytes // MIN_LOOKS)
        self._sent = SentCount(self._look_out, look_bytes)
        self._answers_sent = SentCount(self._look_out, look_bytes)
        # Twice what may wait for a reader: who is too far behind is cut off before anybody else loses anything.
        self._in_flight = InFlight(2 * self._queue_bytes)
        self._answers_in_flight = InFlight(self._queue_bytes)
        self._next_moment_s = 0.0
        self._lost: list[Incoming] = []  # of what was to be published
        self._heard = False  # anything that somebody published
        self._together = together
        self._decode = batch.decode if together else batch.decode_each
        self._back_pressure = back_pressure
        self._asks = asks
        self._fast_path = fast_path
        self._full = full
        self._ends = ends
        self._poller = zmq.Poller()
        self._watched = zmq.Poller()
        self._wakes = select.poll()  # the same, by the file descriptors
        self._way = zmq.Poller()  # of a message that comes alone, and of its answer
        self._ready: dict[object, int] = {}
        self._came: list[list[bytes]] = []  # what ended a wait
        self._idle = False  # nothing was ready when it was last looked, and nothing was done since
        self._passed = False  # but for one message and its answer
        self._lone = False  # a message that came alone is being answered
        self._clock = SystemClock()
        self._pub: AnySocket | None = None
        self._pub_listener: Listener | None = None
        self._answerer_listener: Listener | None = None
        self._sub: AnySocket | None = None
        self._sub_fd = -1
        self._answerer: RetransmitServer | None = None
        self._asker: RetransmitClient | None = None
        self._connection_states: ConnectionWatch | None = None
        self.address = bind
        self._endpoints = Endpoints(keys, insecure=insecure)
        try:
            if bind is not None:
                self._bind(bind, answers)
            if connect:
                self.connect(connect, topics)
        except BaseException:
            self._endpoints.close(linger_ms=0)
            raise
        for item in watch:
            self._poller.register(item.fileno(), zmq.POLLIN)
            self._wakes.register(item.fileno(), select.POLLIN)
            self._watched.register(item.fileno(), zmq.POLLIN)

    def _bind(self, address: str, answers: bool) -> None:
        if answers:
            self._pub_listener, self._answerer_listener = self._endpoints.listen_with_replay(address)
        else:
            self._pub_listener = self._endpoints.listen(address)
        self.address = self._pub_listener.address
        self._serve_anew()
        if self._answerer_listener is not None:
            self._endpoints.self_test(self._answerer_listener.address, zmq.DEALER)
        self._endpoints.self_test(self.address, zmq.SUB)

    def _serve_anew(self) -> None:
        """Serve what listens by new sockets; the old are closed, with all connections, once the new ones stand."""
        made: list[AnySocket] = []
        try:
            if self._pub_listener is not None:
                options = self._pub_options()
                goes_out = self._outgoing(
                    self._sent, self._in_flight, options[zmq.SNDHWM], waits=self._back_pressure
                )
                made.append(
                    self._endpoints.serving(zmq.XPUB, self._pub_listener, options, SUBSCRIPTION_LIMIT, goes_out)
                )
            if self._answerer_listener is not None:
                beside = self._answerer_listener
                goes_out = self._outgoing(
                    self._answers_sent, self._answers_in_flight, ANSWERS_HIGH_WATER_MARK, waits=False
                )
                made.append(self._endpoints.serving(zmq.ROUTER, beside, ROUTER_OPTIONS, REQUEST_LIMIT, goes_out))
        except AddressError:
            for socket in made:
                socket.close(linger=0)
            raise
        for socket in made:
            if socket.type == zmq.XPUB:
                self._replace_pub(socket)
            else:
                self._replace_answerer(socket)

    def _outgoing(self, sent: SentCount, in_flight: InFlight, most_messages: int, *, waits: bool) -> Outgoing:
        return Outgoing(sent.now, in_flight.pressed, self._queue_bytes, most_messages, waits)

    def _look_out(self) -> None:
        self._endpoints.look_out()

    def _replace_pub(self, pub: AnySocket) -> None:
        if self._pub is not None:
            self._disregard(self._pub)
            self._way.unregister(self._pub)
            self._pub.close(LINGER_MS)
        self._pub = pub
        pub.copy_threshold = LARGE_BYTES
        self._way.register(pub, zmq.POLLIN)
        self._heed(pub)

    def _replace_answerer(self, router: AnySocket) -> None:
        if self._answerer is not None:
            self._disregard(self._answerer.socket)
            self._answerer.socket.close(linger=0)
        self._answerer = RetransmitServer(router, self._answers_sent, self._answers_in_flight)
        self._heed(router)

    def _pub_options(self) -> dict[zmq.SocketOption, int]:
        patient = self._back_pressure
        return {
            zmq.SNDHWM: SHORT_HIGH_WATER_MARK if patient else HIGH_WATER_MARK,
            zmq.LINGER: PATIENT_LINGER_MS if patient else LINGER_MS,
            zmq.MAXMSGSIZE: MAX_SUBSCRIPTION_BYTES,  # nothing else comes in here
            **NEVER_FULL,
            zmq.XPUB_VERBOSER: 1,  # every listener's coming and going, not only the first's
            zmq.XPUB_NODROP: patient,
            zmq.SNDTIMEO: STALL_MS,
        }

    def connect(self, addresses: Sequence[str], topics: Sequence[bytes]) -> None:
        """Listen to `addresses` from now on; once, here or at construction."""
        heard = {zmq.RCVHWM: SHORT_HIGH_WATER_MARK, zmq.MAXMSGSIZE: MAX_FRAME_BYTES}
        # In the order given: a source that waits for the last topic has then heard of the others.
        self._connection_states = self._endpoints.watch(self._flags, lambda: self._heard)
        self._sub = self._endpoints.connected(zmq.SUB, addresses, heard, topics)
        self._heed(self._sub)
        self._sub_fd = self._sub.FD
        self._way.register(self._sub, zmq.POLLIN)
        if self._asks:
            self._connect_beside(addresses)
        self._connection_states.start()
        self._poller.register(self._connection_states.fileno(), zmq.POLLIN)
        self._wakes.register(self._connection_states.fileno(), select.POLLIN)

    def _connect_beside(self, addresses: Sequence[str]) -> None:
        asked = DEALER_OPTIONS | {zmq.MAXMSGSIZE: MAX_FRAME_BYTES}
        dealers = [self._endpoints.connected_beside(zmq.DEALER, one, asked) for one in addresses]
        self._asker = RetransmitClient(dealers, self._asked(addresses), together=self._together)
        for dealer in dealers:
            self._heed(dealer)

    def _asked(self, addresses: Sequence[str]) -> Mapping[Kind, Sequence[int]]:
        """Return whom to ask for each kind, as places in `addresses`."""
        asks = self._asks
        return {
            kind: [
                place for place, one in enumerate(addresses) if isinstance(asks, bool) or one in asks.get(kind, ())
            ]
            for kind in (Kind.INPUT, Kind.TARGET, Kind.ESTIMATE)
        }

    def _heed(self, socket: AnySocket) -> None:
        self._poller.register(socket, zmq.POLLIN)
        self._wakes.register(socket.FD, select.POLLIN)
        self._idle = self._passed = False

    def _disregard(self, socket: AnySocket) -> None:
        self._poller.unregister(socket)
        self._wakes.unregister(socket.FD)
        self._idle = self._passed = False

    def wait(self, timeout_ms: int | None) -> bool:
        """Wait until something is ready; return whether anything is. None waits without limit."""
        if self._came:
            return True
        if self._idle and timeout_ms != 0:
            started_ns = self._clock.now().mono_ns
            if not self._sleep(timeout_ms):
                return False
            if self._came:
                return True
            if timeout_ms is not None:
                timeout_ms = max(0, timeout_ms - (self._clock.now().mono_ns - started_ns) // 1_000_000)
        self._ready = dict(self._poller.poll(timeout_ms))
        return bool(self._ready)

    def _sleep(self, timeout_ms: int | None) -> bool:
        """Sleep until something may be ready, and take a message that came; return whether anything may be.

        ZeroMQ's own poll looks at every socket before and after. Once a socket was found to have nothing, its file
        descriptor becomes readable when there is something new, which may turn out to be no message.
        """
        woken = self._wakes.poll(None if timeout_ms is None else min(timeout_ms, MAX_SLEEP_MS))
        if not woken:
            return False
        self._idle = False
        if self._sub is not None and woken[0][0] == self._sub_fd:
            self._came = drain(self._sub, at_most=1)
            self._passed = len(woken) == 1 and bool(self._came)
        return True

    def receive(self) -> list[Incoming]:
        """Return what is waiting, oldest first, up to a bound that keeps the shell responsive.

        The message that ended a wait comes alone, and at once: to ask for more costs calls of the system when
        there is none, and is not put off for long.
        """
        if self._came:
            came, self._came = self._came, []
            return self._take(came)
        if self._passed:
            self._passed = False
            self._idle = not self._way.poll(0)
            if self._idle:
                return []
        ready, self._ready = self._ready, {}
        full = self._full is not None and self._full()
        if not full and self._sub in ready and self._sub is not None:
            said = drain(self._sub, at_most=1)
            return self._take(said)
        # To look which are ready is quicker than to try one that is not.
        ready = ready or dict(self._poller.poll(0))
        self._idle = not ready
        messages: list[Incoming] = []
        if self._pub in ready:
            messages += self._hear_subscribers()
        if not full and self._sub in ready and self._sub is not None:
            said = drain(self._sub)
            self._heard |= bool(said)
            messages += self._decode(said) if messages else self._take(said)
        if self._answerer is not None and self._answerer.socket in ready:
            messages += self._answerer.receive()
        if self._asker is not None:
            for socket in self._asker.sockets:
                if socket in ready:
                    messages += self._asker.receive(socket)
        messages += self._endpoints.cut_off()
        if self._lost:
            messages += self._lost
            self._lost = []
        if self._connection_states is not None and self._connection_states.fileno() in ready:
            messages += self._connect_again(self._connection_states.lost())
        return messages

    def _connect_again(self, lost: Sequence[Lost]) -> Iterator[Rejected]:
        """Make connections anew that ZeroMQ has given up; return what ended them."""
        self._idle = self._passed = False
        for one in lost:
            if one.reason is not None:
                yield Rejected(one.reason)
            try:
                self._endpoints.connect_again(one)
            except OperatorError as error:  # for example its key is gone; tried again later
                yield Rejected(f"cannot connect again to {one.publishes_at}: {error}")

    def _take(self, said: list[list[bytes]]) -> list[Incoming]:
        """Answer what the fast path can answer, and publish that at once; decode the rest."""
        self._heard = True
        if self._fast_path is None or self._pub is None:
            return self._decode(said)
        self._lone = len(said) == 1
        if self._lone:
            answer = self._fast_path.answer(said[0])
            if answer is None:
                return self._decode(said)
            if self._ends is not None:
                self._ends.note(answer[0], answer[1])
            self._publish(self._pub, *answer)
            return [ANSWERED]
        left = self._fast_path.take(said)
        for answer in self._fast_path.answers():
            if self._ends is not None:
                self._ends.note(answer[0], answer[1])
            self._send(self._pub, *answer)
        messages = self._decode(left)  # with what could not be answered after all
        return [ANSWERED, *messages] if len(left) < len(said) else messages

    def _hear_subscribers(self) -> list[Incoming]:
        assert self._pub is not None
        return [message for parts in drain(self._pub) if (message := subscription(parts)) is not None]

    def send(self, message: Message | Burst) -> None:
        """Publish. A subscriber that has fallen too far behind loses the message."""
        if self._pub is None:
            raise RuntimeError("this transport binds no address")
        self._idle = False
        if isinstance(message, Burst):
            said = list(batch.encode(message))
            self._note(said[-1])
            for parts in said:
                self._send(self._pub, *parts)
        else:
            one = codec.encode(message)
            self._note(one)
            self._publish(self._pub, *one)

    def _note(self, parts: Parts) -> None:
        if self._ends is not None:
            self._ends.note(parts[0], parts[1])

    def _publish(self, pub: AnySocket, topic: bytes, header: bytes, payload: bytes) -> None:
        self._send(pub, topic, header, payload)
        if self._lone:
            # ZeroMQ's thread was woken on this processor, and would wait for what we still do about the message.
            self._lone = False
            give_way()

    def _send(self, pub: AnySocket, topic: bytes, header: bytes, payload: bytes) -> None:
        large = len(payload) >= LARGE_BYTES
        if large and not self._has_room(pub, len(payload)):
            self._lose(topic)
            return
        self._sent.note(wire_bytes(topic, header, payload))
        # send and not send_multipart, which looks at every part first: a third of the time.
        try:
            pub.send(topic, zmq.SNDMORE)
        except zmq.Again:
            self._send_late(pub, topic)
        pub.send(header, zmq.SNDMORE)
        if large:
            self._in_flight.send(pub, payload)
        else:
            pub.send(payload)

    def _send_late(self, pub: AnySocket, topic: bytes) -> None:
        """Under back pressure, send once there is room in all queues; who takes nothing meanwhile is cut off."""
        began_s = time.monotonic()
        for stalls in itertools.count(1):
            told = self._endpoints.look_out(time.monotonic() - began_s + STALL_MS / 1e3)
            if self._hurried() or not (told or stalls < MAX_STALLS):
                break
            with contextlib.suppress(zmq.Again):
                pub.send(topic, zmq.SNDMORE)
                return
        pub.setsockopt(zmq.XPUB_NODROP, 0)  # from here on nobody waits for anybody
        pub.send(topic, zmq.SNDMORE)

    def _has_room(self, pub: AnySocket, size: int) -> bool:
        """Return whether a large message may be sent: at once or, under back pressure, after a while.

        Otherwise after a moment, once a second: in which who is too far behind can be cut off.
        """
        if self._in_flight.has_room(size):
            return True
        began_s = look_s = time.monotonic()
        waiting_bytes = self._in_flight.bytes
        until_s = began_s + (MOMENT_S if began_s >= self._next_moment_s else 0)
        self._next_moment_s = began_s + 1.0
        while not self._in_flight.has_room(size):
            now_s = time.monotonic()
            if self._hurried() or not (self._back_pressure or now_s < until_s):
                return False
            if self._in_flight.bytes != waiting_bytes:
                waiting_bytes, began_s = self._in_flight.bytes, now_s
            if now_s >= look_s:
                look_s = now_s + STALL_MS / 1e3
                if not self._endpoints.look_out(now_s - began_s) and now_s - began_s > MAX_STALLS * STALL_MS / 1e3:
                    return False
            pub.getsockopt(zmq.EVENTS)  # has ZeroMQ let go of what waited for who was cut off
            time.sleep(ROOM_S)
        return True

    def _lose(self, topic: bytes) -> None:
        mb = self._in_flight.limit_bytes / 2**20
        text = f"{self.address}: a message on {topic.decode()} was dropped, for {mb:.0f} MB are on their way"
        self._lost = [SlowReader(text)] if len(self._lost) >= MAX_LOST else [*self._lost, SlowReader(text)]

    def _hurried(self) -> bool:
        """Return whether what is watched is readable: a signal has come."""
        return bool(self._watched.sockets and self._watched.poll(0))

    def ask(self, replay: Replay) -> None:
        """Ask for samples again; `receive` returns what is answered."""
        if self._asker is None:
            raise RuntimeError("this transport asks nobody")
        self._idle = self._passed = False
        self._asker.ask(replay)

    def reply(self, peer: bytes, message: Message | Burst | Gone) -> None:
        """Answer a `Request`. A peer that does not take its answers loses some."""
        if self._answerer is None:
            raise RuntimeError("this transport answers nobody")
        self._idle = self._passed = False
        self._answerer.reply(peer, message)

    def reload(self) -> Authorised | None:
        """Read the authorised keys again and turn away who is no longer among them; return which there are.

        A key that cannot be read is none: its owner is turned away, too. A connection is asked for its key only
        when it is made, so all are ended. The ports stay in use, by this process: listeners that are still welcome
        come back by themselves and may miss what is said meanwhile.

        Raises
        ------
        AddressError
            If the system gives no further sockets; everything stays as it was.
        """
        with self._endpoints.reloaded() as authorised:
            if authorised is not None:
                self._serve_anew()
        return authorised

    def close(self) -> None:
        """Flush what was sent and close: within a second, or patiently under back pressure unless hurried.

        What `watch` holds hurries: before, by being readable, or meanwhile, by a signal.
        """
        if self._hurried() and self._pub is not None and not self._pub.closed:
            self._pub.setsockopt(zmq.LINGER, LINGER_MS)
        self._endpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
