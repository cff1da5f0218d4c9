"""Where samples are asked for again: a ROUTER that answers, a DEALER to everyone who may be asked."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence

import zmq

from streamer.errors import WireError
from streamer.messages import Burst, Chunk, Gone, Incoming, Kind, Message, Rejected, Replay, Request
from streamer.transport.agreement import Agreement
from streamer.transport.endpoints import NEVER_FULL
from streamer.transport.frames import AnySocket, drain
from streamer.transport.in_flight import LARGE_BYTES, InFlight
from streamer.transport.inflow import InflowLimit
from streamer.transport.outflow import SentCount, wire_bytes
from streamer.wire import batch, codec

MAX_REQUEST_BYTES = 512  # of a frame; CURVE's handshake, which the limit holds for as well, needs half of it
REQUESTS_AT_ONCE = 16
REQUEST_LIMIT = InflowLimit(
    burst_bytes=2**21,  # a predictor of 10,000 streams, each of which misses something
    leak_bytes_s=2**19,
    total_burst_bytes=2**22,  # as much waits at most; in memory, some 40 times as much if it comes in small pieces
    total_leak_bytes_s=2**20,
    little_bytes=2**16,
    connection_burst=1_000,
    connections_s=100.0,
)
# Messages a peer may leave untaken before it loses some, which it then asks for again: twice an answer.
ANSWERS_HIGH_WATER_MARK = 8_192
LINGER_MS = 1_000

ROUTER_OPTIONS = {
    zmq.SNDHWM: ANSWERS_HIGH_WATER_MARK,
    **NEVER_FULL,
    zmq.MAXMSGSIZE: MAX_REQUEST_BYTES,
    zmq.LINGER: LINGER_MS,
    zmq.ROUTER_HANDOVER: 0,  # who takes another's identity is turned away
}
# Never with IMMEDIATE: when a connection ends, ZeroMQ then drops its pipe although half of a message may have been
# read from it, and fails an assertion that ends the process, or waits for the other half for ever (libzmq 4.3.5).
# So a few requests wait for who is not there; of several for the same samples, the last is answered.
DEALER_OPTIONS = {zmq.SNDHWM: 16, zmq.RCVHWM: 1_000}


class RetransmitServer:
    """The side that is asked. Never waits: what a peer does not take is dropped.

    Parameters
    ----------
    socket : zmq.Socket
        A bound ROUTER.
    sent : SentCount
    in_flight : InFlight
    """

    def __init__(self, socket: AnySocket, sent: SentCount, in_flight: InFlight) -> None:
        self.socket = socket
        self._sent = sent
        self._in_flight = in_flight
        socket.copy_threshold = LARGE_BYTES

    def receive(self) -> list[Incoming]:
        """Return what is asked, or some of it."""
        return [_request(parts) for parts in drain(self.socket, REQUESTS_AT_ONCE)]

    def reply(self, peer: bytes, message: Message | Burst | Gone) -> None:
        """Answer one peer."""
        for topic, header, payload in _said(message):
            large = len(payload) >= LARGE_BYTES
            if large and not self._in_flight.has_room(len(payload)):
                return
            self._sent.note(wire_bytes(topic, header, payload))
            self.socket.send(peer, zmq.SNDMORE)
            self.socket.send(topic, zmq.SNDMORE)
            self.socket.send(header, zmq.SNDMORE)
            if large:
                self._in_flight.send(self.socket, payload)
            else:
                self.socket.send(payload)


class RetransmitClient:
    """The side that asks: for each kind, everybody who may publish it.

    Parameters
    ----------
    sockets : sequence of zmq.Socket
        A DEALER for each who may be asked.
    asked : mapping
        Kind -> which of them, by number.
    together : bool
        Hand over neighbouring chunks of a stream as a `Burst`.
    """

    def __init__(
        self, sockets: Sequence[AnySocket], asked: Mapping[Kind, Sequence[int]], *, together: bool
    ) -> None:
        self.sockets = sockets
        self._asked = asked
        self._agreement = Agreement(asked)
        self._decode = batch.decode if together else batch.decode_each

    def ask(self, replay: Replay) -> None:
        """Send a request to all who may have published it and are not yet full of requests."""
        parts = codec.encode(replay)
        self._agreement.asked(replay)
        for peer in self._asked.get(replay.kind, ()):
            with contextlib.suppress(zmq.Again):
                self.sockets[peer].send_multipart(parts, zmq.NOBLOCK)

    def receive(self, socket: AnySocket) -> list[Incoming]:
        """Return what one has answered; that something is gone, once all say so who could have it."""
        answers = self._decode(drain(socket), codec.decode_answer)
        if len(self.sockets) < 2:
            return answers
        heard = (self._weigh(self.sockets.index(socket), answer) for answer in answers)
        return [answer for answer in heard if answer is not None]

    def _weigh(self, peer: int, answer: Incoming) -> Incoming | None:
        match answer:
            case Gone():
                return self._agreement.gone(peer, answer)
            case Chunk(kind, stream) | Burst(Chunk(kind, stream)):
                self._agreement.answered(peer, kind, stream)
        return answer


def _said(message: Message | Burst | Gone) -> Iterable[Sequence[bytes]]:
    return batch.encode(message) if isinstance(message, Burst) else [codec.encode(message)]


def _request(parts: list[bytes]) -> Incoming:
    peer, *asked = parts
    try:
        return Request(peer, codec.decode_request(asked))
    except WireError as error:
        return Rejected(str(error))
