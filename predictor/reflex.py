"""Answers samples that simply continue their streams, before anything else is done about them.

What else there is to do for a sample touches far more memory than its answer does, and the next sample would find
the caches cold: it is done later, for many samples at once, and always before anything else happens to the stream.
"""

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from predictor.engine import Engine
from predictor.resident import Resident
from predictor.stream import Stream
from predictor.usable import LARGEST
from streamer import singles, wire
from streamer.clock import Instant
from streamer.messages import Chunk, FloatArray, Kind
from streamer.sequencer import AMISS
from streamer.singles import Parts, Succession

MOST_OF_A_STREAM = 250  # samples unsettled: the rest takes a third of a millisecond
MOST_OF_ALL = 8_192  # some 4 MB
MOST_COLUMNS = 256  # stepped together: more would bring nothing but delay
FEW = 8  # streams; so few are stepped as quickly one by one
NOT_READY = -2  # no sample has this seq, nor does a sequencer expect it

_FLOAT = struct.Struct("<f")


class Reflex:
    """One stream's. Once prepared it is ready until anything else happens to the stream.

    Parameters
    ----------
    stream : Stream
        That does not learn on its signal itself.
    """

    __slots__ = (
        "_answers", "_expected", "_last", "_lessons", "_messages", "_order", "_out_ns", "_state", "_succession",
        "_taught", "_updates", "resident", "stream",
    )  # fmt: skip

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.resident: Resident
        self._order, self._lessons = stream.order, stream.lessons
        self._messages: list[Parts] = []
        self._answers: list[bytes] = []
        self._out_ns: list[int] = []  # when each answer was out, on the wall clock
        self._last: Instant
        self._succession: Succession
        self._state: FloatArray | None = None  # of the stream, that the resident went on from
        self._expected = NOT_READY
        self._taught = self._updates = 0

    def __len__(self) -> int:
        """Samples whose rest is still to be done."""
        return len(self._out_ns)

    def forget(self) -> None:
        """Be not ready: the model is another one."""
        self._state, self._expected = None, NOT_READY

    def prepare(self) -> None:
        """Be ready for the next sample, if it is known. Nothing may be left to be learnt before it."""
        stream, order = self.stream, self._order
        if self._out_ns:
            return  # it is
        self._expected = NOT_READY
        if order.run is None or order.expected == AMISS or order.expected >= wire.MAX_SEQ:
            return
        if stream.state.shape[1] != 1:
            return
        updates = stream.counters.updates
        if stream.state is not self._state or updates != self._updates:
            self.resident = stream.resident()
            self._state, self._updates = stream.state, updates
        self._succession = Succession(
            stream.name, order.run, order.expected, stream.rate_hz, order.second_to, len(stream.fields), updates,
            stream.tally,
        )  # fmt: skip
        self._expected, self._taught = order.expected, self._lessons.taught

    def expects(self, parts: Parts) -> bool:
        """Whether it can answer a message of the stream's inputs. If not, the stream itself is to hear it."""
        return (
            self._expected == self._order.expected
            and self._state is self.stream.state
            and self._taught == self._lessons.taught
            and self._succession.expects(parts)
            and abs(_FLOAT.unpack(parts[2])[0]) <= LARGEST  # false for NaN
        )

    def answer(self, parts: Parts, said: bytes) -> Parts:
        """Return the answer to the message that was expected, given the payload of its estimate."""
        self._messages.append(parts)
        self._answers.append(said)
        return self._succession.answer(parts[1], said)

    def note(self, now: Instant) -> int:
        """Note that the answer is out; return how many are unsettled."""
        self._last = now
        self._out_ns.append(now.wall_ns)
        if not self._succession.advance():
            self._expected = NOT_READY
        return len(self._out_ns)

    def settle(self) -> None:
        """Have the stream do the rest for what was answered."""
        stream = self.stream
        messages, answers, out_ns = self._messages, self._answers, self._out_ns
        self._messages, self._answers, self._out_ns = [], [], []
        message = singles.decode(messages)
        chunk = message if isinstance(message, Chunk) else message.chunk
        values: FloatArray = np.frombuffer(b"".join(answers), "<f4").reshape(len(answers), 1, -1)
        inputs = stream.accept(chunk)
        answer = stream.answer(message, values, self.resident.state())
        stream.remember(message, inputs, answer, self._last, np.array(out_ns))
        if self._expected == NOT_READY:
            return
        if self._lessons.learns:
            self._expected = NOT_READY  # what came may be to be learnt from
        else:
            self._state, self._expected = stream.state, self._order.expected


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
        self._unready: dict[str, Reflex] = {}
        self._taken: list[tuple[Reflex, Parts]] = []  # answers to these are on their way
        self._unsettled: dict[str, Reflex] = {}  # by stream, the longest waiting first
        self._samples = 0

    def add(self, stream: Stream) -> None:
        """Answer this stream's samples from now on."""
        self._by_topic[wire.topic(Kind.INPUT, stream.name)] = self._unready[stream.name] = Reflex(stream)

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
        if not reflex.expects(parts):
            self._unready[reflex.stream.name] = reflex
            return None
        self._taken = [(reflex, parts)]
        return reflex.answer(parts, reflex.resident.step(parts[2]))

    def take(self, said: Sequence[Parts]) -> list[Parts]:
        """Take the messages that can be answered; return the others, for the core to hear after the answers.

        Only messages that are all there is of their streams: several are dealt with together more quickly, and
        come out as neighbours, in their order. Streams do not depend on each other.
        """
        by_stream: dict[bytes, list[Parts]] = {}
        for parts in said:
            stream = parts[0].partition(b"/")[2]
            if stream in by_stream:
                by_stream[stream].append(parts)
            else:
                by_stream[stream] = [parts]
        self._taken = []
        left: list[Parts] = []
        for messages in by_stream.values():
            parts = messages[0]
            reflex = self._by_topic.get(parts[0]) if len(messages) == 1 and len(parts) == 3 else None
            if reflex is None:
                left += messages
            elif reflex.expects(parts):
                self._taken.append((reflex, parts))
            else:
                self._unready[reflex.stream.name] = reflex
                left.append(parts)
        return left

    def answers(self) -> Iterator[Parts]:
        """Return the answers to the messages that were taken."""
        for first in range(0, len(self._taken), MOST_COLUMNS):
            group = self._taken[first : first + MOST_COLUMNS]
            said = self._step(group)
            yield from [reflex.answer(parts, one) for (reflex, parts), one in zip(group, said, strict=True)]

    def _step(self, group: Sequence[tuple[Reflex, Parts]]) -> list[bytes]:
        """Return the payloads of estimates, each stream stepped once."""
        engine = self._engine
        if engine is None or len(group) < FEW:
            return [reflex.resident.step(parts[2]) for reflex, parts in group]
        inputs: FloatArray = np.frombuffer(b"".join([parts[2] for _, parts in group]), "<f4").reshape(1, -1)
        # Transposed, a column's rows are neighbours in memory, as products of its own want them.
        states = np.concatenate([reflex.resident.state().T for reflex, _ in group]).T
        estimates, after = engine.run_apart(inputs, states)
        for column, (reflex, _) in enumerate(group):
            # A copy, or one stream that falls silent would keep the states of all.
            reflex.resident.load(after[:, column : column + 1].copy())
        said, size = estimates.tobytes(), 4 * estimates.shape[2]
        return [said[place : place + size] for place in range(0, len(said), size)]

    def note(self, now: Instant) -> Iterator[Stream]:
        """Note that the answers are out; do the rest of a stream if much has gathered, and return which."""
        taken, self._taken = self._taken, []
        self._samples += len(taken)
        for reflex, _ in taken:
            count = reflex.note(now)
            if count == 1:
                self._unsettled[reflex.stream.name] = reflex
            elif count >= MOST_OF_A_STREAM:
                yield from self.settle(reflex.stream.name)
        while self._samples > MOST_OF_ALL:
            yield from self.settle(next(iter(self._unsettled)))

    # Later

    def settle(self, name: str) -> Iterator[Stream]:
        """Do the rest for what was answered of a stream; return the stream if there was anything."""
        reflex = self._unsettled.pop(name, None)
        if reflex is not None:
            self._samples -= len(reflex)
            reflex.settle()
            yield reflex.stream

    def settle_all(self) -> Iterator[Stream]:
        """Do the rest for all streams; return those that there was anything of."""
        for name in list(self._unsettled):
            yield from self.settle(name)

    def wake(self, stream: Stream) -> None:
        """Make this stream's ready when there is time."""
        reflex = self._by_topic.get(wire.topic(Kind.INPUT, stream.name))
        if reflex is not None:
            self._unready[stream.name] = reflex

    def prepare(self, most: int = 1) -> bool:
        """Make some ready that lately were not; return whether there were any.

        Nothing may be left to be learnt.
        """
        made = 0
        while self._unready and made < most:
            _, reflex = self._unready.popitem()
            reflex.prepare()
            made += 1
        return made > 0
