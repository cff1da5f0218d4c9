"""Answers samples that simply continue their streams, before anything else is done about them.

What else there is to do for a sample touches far more memory than its answer does, and the next sample would find
the caches cold: it is done later, for many samples at once, and always before anything else happens to the stream.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from predictor.daemon.stream import Stream
from predictor.engine.resident import Resident
from predictor.engine.stepper import Engine
from streamer.clock import Instant
from streamer.messages import FloatArray, Kind
from streamer.ordering.sequencer import OUT_OF_ORDER
from streamer.wire import codec, expected
from streamer.wire.expected import ExpectedMessage, Parts

MAX_OF_A_STREAM = 500  # samples unsettled: the rest takes half a millisecond
MAX_OF_ALL, MAX_EACH = 8_192, 32  # in all, or on average of many streams: 0.3 kB each
MAX_AT_ONCE = 16  # messages of a stream that come together; more are quicker decoded as a burst
MAX_COLUMNS = 256  # stepped together: more would bring nothing but delay
VALUE_BYTES = 4
FEW = 8  # streams; so few are stepped as quickly one by one


class FastPath:
    """One stream's. Once prepared it is ready until it is closed.

    Parameters
    ----------
    stream : Stream
        That does not learn on its signal itself.
    """

    __slots__ = (
        "_answers", "_headers", "_last", "_out_ns", "_payloads", "_samples_left", "_state", "_updates", "ready",
        "resident", "stream", "succession", "topic",
    )  # fmt: skip

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.topic = codec.topic(Kind.INPUT, stream.name)
        self.ready = False
        self.resident: Resident
        self.succession: ExpectedMessage
        self._state: FloatArray | None = None  # of the stream, that the resident went on from
        self._updates = 0
        self._samples_left = 0  # samples until something may be to be learnt
        # Bytes, and no tuples or lists of them, which the garbage collector would look at again and again.
        self._headers: list[bytes] = []
        self._payloads: list[bytes] = []
        self._answers: list[bytes] = []
        self._out_ns: list[int] = []  # when each answer was out, on the wall clock
        self._last: Instant

    def __len__(self) -> int:
        """Samples whose rest is still to be done."""
        return len(self._out_ns)

    def forget(self) -> None:
        """Be not ready: the model is another one."""
        self._state, self.ready = None, False

    def prepare(self) -> None:
        """Be ready for the next sample, if it is known, nothing is to be learnt before it and all is settled."""
        stream, order = self.stream, self.stream.order
        if self.ready or stream.at_work:
            return
        if stream.muted or order.run is None or order.expected == OUT_OF_ORDER or order.expected >= codec.MAX_SEQ:
            return
        if order.run != order.source_run:  # its messages have another run than its estimates
            return
        self._samples_left = stream.scheduler.slack
        if stream.state.shape[1] != 1 or self._samples_left <= 0:
            return
        updates = stream.counters.updates
        if stream.state is not self._state or updates != self._updates:
            self.resident = stream.resident()
            self._state, self._updates = stream.state, updates
        self.succession = ExpectedMessage(
            stream.name, order.run, order.expected, stream.rate_hz, order.second_to, len(stream.fields), updates,
            stream.tally,
        )  # fmt: skip
        self.ready = True

    def answer(self, parts: Parts, said: bytes) -> Parts:
        """Return the answer to the message that was expected, given the payload of its estimate."""
        _, header, payload = parts
        self._headers.append(header)
        self._payloads.append(payload)
        self._answers.append(said)
        return self.succession.answer(header, said)

    def advance(self) -> None:
        """Expect the next sample."""
        self._samples_left -= 1
        self.ready = self.succession.advance() and self._samples_left > 0

    def note(self, now: Instant) -> int:
        """Note that an answer is out; return how many are unsettled."""
        self._last = now
        self._out_ns.append(now.wall_ns)
        return len(self._out_ns)

    def settle(self) -> None:
        """Have the stream do the rest for what was answered."""
        stream = self.stream
        answers, out_ns = self._answers, self._out_ns
        message = expected.decode(self.topic, self._headers, self._payloads)
        self._headers, self._payloads, self._answers, self._out_ns = [], [], [], []
        values: FloatArray = np.array(np.frombuffer(b"".join(answers), "<f4").reshape(len(answers), 1, -1))
        inputs = stream.accept(message)
        answer = stream.answer(message, values, self.resident.state())
        stream.remember(message, inputs, answer, self._last, np.array(out_ns))
        self._state = stream.state


class FastPaths:
    """Those of all streams.

    Parameters
    ----------
    engine : Engine or None
        That steps all of them, where they can be stepped together.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine
        self._by_topic: dict[bytes, FastPath] = {}
        self._by_name: dict[str, FastPath] = {}
        self._unready: dict[str, FastPath] = {}
        self._lone: FastPath | None = None  # its answer is on its way
        self._taken: list[list[tuple[FastPath, Parts]]] = []  # and so are these, round by round
        self._left: list[Parts] = []
        self._unsettled: dict[str, FastPath] = {}  # by stream, the longest waiting first
        self._samples = 0

    def add(self, stream: Stream) -> None:
        """Answer this stream's samples from now on."""
        fast_path = self._by_name[stream.name] = self._unready[stream.name] = FastPath(stream)
        self._by_topic[fast_path.topic] = fast_path

    def remove(self, name: str) -> None:
        """Answer no samples of a stream any more; to be called after `close`."""
        fast_path = self._by_name.pop(name, None)
        if fast_path is not None:
            self._unready.pop(name, None)
            del self._by_topic[fast_path.topic]

    def forget(self, engine: Engine | None) -> None:
        """Be ready for none: the model is another one."""
        self._engine = engine
        for fast_path in self._by_topic.values():
            fast_path.forget()

    # Before the core hears of anything. Once answers are out, `note` must be called before anything else is.

    def answer(self, parts: Parts) -> Parts | None:
        """Return the answer to a message that came alone, its three parts; None if the core is to hear it."""
        fast_path = self._by_topic.get(parts[0])
        if fast_path is None or len(parts) != 3:
            return None
        if not fast_path.ready or not fast_path.succession.expects(parts):
            self._miss(fast_path, parts)
            return None
        self._lone = fast_path
        return fast_path.answer(parts, fast_path.resident.step(parts[2]))

    def take(self, said: Sequence[Parts]) -> list[Parts]:
        """Take the messages that may be answered; return the others, for the core to hear after the answers.

        Until all answers are made, more may be found that the core is to hear. They come stream by stream, each in
        its order: streams do not depend on each other.
        """
        by_stream: dict[bytes, list[Parts]] = {}
        for parts in said:
            by_stream.setdefault(parts[0].partition(b"/")[2], []).append(parts)
        self._taken, self._left = [[]], []
        for messages in by_stream.values():
            fast_path = self._by_topic.get(messages[0][0])
            if fast_path is not None and fast_path.ready and len(messages) <= MAX_AT_ONCE:
                self._plan(fast_path, messages)
                continue
            if fast_path is not None:
                self._miss(fast_path, messages[0])
            self._left += messages
        return self._left

    def _miss(self, fast_path: FastPath, parts: Parts) -> None:
        """See whether to be ready next time: messages of several values are never answered here."""
        if len(parts) == 3 and len(parts[2]) == VALUE_BYTES:
            self._unready[fast_path.stream.name] = fast_path

    def _plan(self, fast_path: FastPath, messages: Sequence[Parts]) -> None:
        """Have a stream's messages answered, one a round."""
        while len(self._taken) < len(messages):
            self._taken.append([])
        for turn, parts in zip(self._taken, messages, strict=False):
            turn.append((fast_path, parts))

    def answers(self) -> Iterator[Parts]:
        """Return the answers to the messages that were taken."""
        refused: dict[FastPath, list[Parts]] = {}
        for number, turn in enumerate(self._taken):
            answered = []
            for fast_path, parts in turn:
                fits = fast_path.ready and parts[0] == fast_path.topic and len(parts) == 3
                if fits and fast_path not in refused and fast_path.succession.expects(parts):
                    answered.append((fast_path, parts))
                else:
                    refused.setdefault(fast_path, []).append(parts)
            for first in range(0, len(answered), MAX_COLUMNS):
                group = answered[first : first + MAX_COLUMNS]
                said = self._step(group)
                yield from [
                    fast_path.answer(parts, one) for (fast_path, parts), one in zip(group, said, strict=True)
                ]
            for fast_path, _ in answered:
                fast_path.advance()
            self._taken[number] = answered
        for messages in refused.values():
            self._left += messages

    def _step(self, group: Sequence[tuple[FastPath, Parts]]) -> list[bytes]:
        """Return the payloads of estimates, each stream stepped once."""
        engine = self._engine
        if engine is None or len(group) < FEW:
            return [fast_path.resident.step(parts[2]) for fast_path, parts in group]
        inputs: FloatArray = np.frombuffer(b"".join([parts[2] for _, parts in group]), "<f4").reshape(1, -1)
        states = np.empty((len(group), engine.config.state_rows), np.float32)
        for state, (fast_path, _) in zip(states, group, strict=True):
            fast_path.resident.copy_to(state)
        # Transposed, a column's rows are neighbours in memory, as products of its own want them.
        estimates, after = engine.run_apart(inputs, states.T)
        for state, (fast_path, _) in zip(after.T, group, strict=True):
            fast_path.resident.copy_from(state)
        said, size = estimates.tobytes(), 4 * estimates.shape[2]
        return [said[place : place + size] for place in range(0, len(said), size)]

    def note(self, now: Instant) -> list[Stream]:
        """Note that the answers are out; do the rest of streams of which much has gathered, and return these."""
        noted: dict[FastPath, int] = {}
        settled: list[Stream] = []
        if self._lone is not None:
            self._lone.advance()
            noted[self._lone] = self._lone.note(now)
            self._lone = None
            self._samples += 1
        for turn in self._taken:
            for fast_path, _ in turn:
                noted[fast_path] = fast_path.note(now)
            self._samples += len(turn)
        self._taken = []
        for fast_path, count in noted.items():
            self._unsettled.setdefault(fast_path.stream.name, fast_path)
            if count >= MAX_OF_A_STREAM or not fast_path.ready:
                settled.append(self._settle(fast_path))
        while self._samples > max(MAX_OF_ALL, MAX_EACH * len(self._by_name)):
            settled.append(self._settle(next(iter(self._unsettled.values()))))
        return settled

    # Later

    def close(self, name: str) -> Stream | None:
        """Answer nothing of a stream until prepared, and do the rest for what was answered.

        To be called before anything else happens to the stream. Returns it if there was anything to do.
        """
        fast_path = self._by_name.get(name)
        if fast_path is None:
            return None
        if fast_path.ready:
            fast_path.ready = False
            self._unready[name] = fast_path
        return self._settle(fast_path) if len(fast_path) else None

    def close_all(self) -> list[Stream]:
        """As `close`, of all streams."""
        return [stream for stream in map(self.close, self._by_name) if stream is not None]

    def _settle(self, fast_path: FastPath) -> Stream:
        del self._unsettled[fast_path.stream.name]
        self._samples -= len(fast_path)
        fast_path.settle()
        return fast_path.stream

    def wake(self, name: str) -> None:
        """See whether a stream's can be made ready."""
        fast_path = self._by_name.get(name)
        if fast_path is not None and not fast_path.ready:
            self._unready[name] = fast_path

    def prepare(self, most: int = 1) -> bool:
        """Make some ready that were closed; return whether there were any."""
        made = 0
        while self._unready and made < most:
            _, fast_path = self._unready.popitem()
            fast_path.prepare()
            made += 1
        return made > 0
