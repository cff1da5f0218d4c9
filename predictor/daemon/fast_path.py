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
from streamer.ordering.sequencer import AMISS
from streamer.wire import codec, expected
from streamer.wire.expected import Parts, Succession

MOST_OF_A_STREAM = 500  # samples unsettled: the rest takes half a millisecond
MOST_OF_ALL, MOST_EACH = 8_192, 32  # in all, or on average of many streams: 0.3 kB each
MOST_AT_ONCE = 16  # messages of a stream that come together; more are quicker decoded as a burst
MOST_COLUMNS = 256  # stepped together: more would bring nothing but delay
VALUE_BYTES = 4
FEW = 8  # streams; so few are stepped as quickly one by one


class Reflex:
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
        self.succession: Succession
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
        if stream.muted or order.run is None or order.expected == AMISS or order.expected >= codec.MAX_SEQ:
            return
        if order.run != order.source_run:  # its messages have another run than its estimates
            return
        self._samples_left = stream.lessons.slack
        if stream.state.shape[1] != 1 or self._samples_left <= 0:
            return
        updates = stream.counters.updates
        if stream.state is not self._state or updates != self._updates:
            self.resident = stream.resident()
            self._state, self._updates = stream.state, updates
        self.succession = Succession(
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


class Reflexes:
    """Those of all streams.

    Parameters
    ----------
    engine : Engine or None
        That steps all of them, where they can be stepped together.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine
        self._by_topic: dict[bytes, Reflex] = {}
        self._by_name: dict[str, Reflex] = {}
        self._unready: dict[str, Reflex] = {}
        self._lone: Reflex | None = None  # its answer is on its way
        self._taken: list[list[tuple[Reflex, Parts]]] = []  # and so are these, round by round
        self._left: list[Parts] = []
        self._unsettled: dict[str, Reflex] = {}  # by stream, the longest waiting first
        self._samples = 0

    def add(self, stream: Stream) -> None:
        """Answer this stream's samples from now on."""
        reflex = self._by_name[stream.name] = self._unready[stream.name] = Reflex(stream)
        self._by_topic[reflex.topic] = reflex

    def remove(self, name: str) -> None:
        """Answer no samples of a stream any more; to be called after `close`."""
        reflex = self._by_name.pop(name, None)
        if reflex is not None:
            self._unready.pop(name, None)
            del self._by_topic[reflex.topic]

    def forget(self, engine: Engine | None) -> None:
        """Be ready for none: the model is another one."""
        self._engine = engine
        for reflex in self._by_topic.values():
            reflex.forget()

    # Before the core hears of anything. Once answers are out, `note` must be called before anything else is.

    def answer(self, parts: Parts) -> Parts | None:
        """Return the answer to a message that came alone, its three parts; None if the core is to hear it."""
        reflex = self._by_topic.get(parts[0])
        if reflex is None or len(parts) != 3:
            return None
        if not reflex.ready or not reflex.succession.expects(parts):
            self._miss(reflex, parts)
            return None
        self._lone = reflex
        return reflex.answer(parts, reflex.resident.step(parts[2]))

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
            reflex = self._by_topic.get(messages[0][0])
            if reflex is not None and reflex.ready and len(messages) <= MOST_AT_ONCE:
                self._plan(reflex, messages)
                continue
            if reflex is not None:
                self._miss(reflex, messages[0])
            self._left += messages
        return self._left

    def _miss(self, reflex: Reflex, parts: Parts) -> None:
        """See whether to be ready next time: messages of several values are never answered here."""
        if len(parts) == 3 and len(parts[2]) == VALUE_BYTES:
            self._unready[reflex.stream.name] = reflex

    def _plan(self, reflex: Reflex, messages: Sequence[Parts]) -> None:
        """Have a stream's messages answered, one a round."""
        while len(self._taken) < len(messages):
            self._taken.append([])
        for turn, parts in zip(self._taken, messages, strict=False):
            turn.append((reflex, parts))

    def answers(self) -> Iterator[Parts]:
        """Return the answers to the messages that were taken."""
        refused: dict[Reflex, list[Parts]] = {}
        for number, turn in enumerate(self._taken):
            answered = []
            for reflex, parts in turn:
                fits = reflex.ready and parts[0] == reflex.topic and len(parts) == 3
                if fits and reflex not in refused and reflex.succession.expects(parts):
                    answered.append((reflex, parts))
                else:
                    refused.setdefault(reflex, []).append(parts)
            for first in range(0, len(answered), MOST_COLUMNS):
                group = answered[first : first + MOST_COLUMNS]
                said = self._step(group)
                yield from [reflex.answer(parts, one) for (reflex, parts), one in zip(group, said, strict=True)]
            for reflex, _ in answered:
                reflex.advance()
            self._taken[number] = answered
        for messages in refused.values():
            self._left += messages

    def _step(self, group: Sequence[tuple[Reflex, Parts]]) -> list[bytes]:
        """Return the payloads of estimates, each stream stepped once."""
        engine = self._engine
        if engine is None or len(group) < FEW:
            return [reflex.resident.step(parts[2]) for reflex, parts in group]
        inputs: FloatArray = np.frombuffer(b"".join([parts[2] for _, parts in group]), "<f4").reshape(1, -1)
        states = np.empty((len(group), engine.config.state_rows), np.float32)
        for state, (reflex, _) in zip(states, group, strict=True):
            reflex.resident.copy_to(state)
        # Transposed, a column's rows are neighbours in memory, as products of its own want them.
        estimates, after = engine.run_apart(inputs, states.T)
        for state, (reflex, _) in zip(after.T, group, strict=True):
            reflex.resident.copy_from(state)
        said, size = estimates.tobytes(), 4 * estimates.shape[2]
        return [said[place : place + size] for place in range(0, len(said), size)]

    def note(self, now: Instant) -> list[Stream]:
        """Note that the answers are out; do the rest of streams of which much has gathered, and return these."""
        noted: dict[Reflex, int] = {}
        settled: list[Stream] = []
        if self._lone is not None:
            self._lone.advance()
            noted[self._lone] = self._lone.note(now)
            self._lone = None
            self._samples += 1
        for turn in self._taken:
            for reflex, _ in turn:
                noted[reflex] = reflex.note(now)
            self._samples += len(turn)
        self._taken = []
        for reflex, count in noted.items():
            self._unsettled.setdefault(reflex.stream.name, reflex)
            if count >= MOST_OF_A_STREAM or not reflex.ready:
                settled.append(self._settle(reflex))
        while self._samples > max(MOST_OF_ALL, MOST_EACH * len(self._by_name)):
            settled.append(self._settle(next(iter(self._unsettled.values()))))
        return settled

    # Later

    def close(self, name: str) -> Stream | None:
        """Answer nothing of a stream until prepared, and do the rest for what was answered.

        To be called before anything else happens to the stream. Returns it if there was anything to do.
        """
        reflex = self._by_name.get(name)
        if reflex is None:
            return None
        if reflex.ready:
            reflex.ready = False
            self._unready[name] = reflex
        return self._settle(reflex) if len(reflex) else None

    def close_all(self) -> list[Stream]:
        """As `close`, of all streams."""
        return [stream for stream in map(self.close, self._by_name) if stream is not None]

    def _settle(self, reflex: Reflex) -> Stream:
        del self._unsettled[reflex.stream.name]
        self._samples -= len(reflex)
        reflex.settle()
        return reflex.stream

    def wake(self, name: str) -> None:
        """See whether a stream's can be made ready."""
        reflex = self._by_name.get(name)
        if reflex is not None and not reflex.ready:
            self._unready[name] = reflex

    def prepare(self, most: int = 1) -> bool:
        """Make some ready that were closed; return whether there were any."""
        made = 0
        while self._unready and made < most:
            _, reflex = self._unready.popitem()
            reflex.prepare()
            made += 1
        return made > 0
