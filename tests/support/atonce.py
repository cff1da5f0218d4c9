"""What a transport does with messages that come in: those are answered at once that can be."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from predictor.daemon.core import Predictor
from streamer.clock import Instant
from streamer.effects import Effect, Send
from streamer.messages import ANSWERED, Burst, Chunk, Incoming, Info, Kind
from streamer.wire import batch, codec
from streamer.wire.expected import Parts


def parts_of(messages: Sequence[Incoming]) -> list[Parts] | None:
    """The bytes of what sources publish; None if there is anything else."""
    said: list[Parts] = []
    for message in messages:
        match message:
            case Chunk() | Info():
                said.append(codec.encode(message))
            case Burst():
                said += batch.encode(message)
            case _:
                return None
    return said


def received(core: Predictor, messages: Sequence[Incoming], now: Instant) -> Iterator[Effect]:
    """Have `core` hear messages, by way of its fast paths where all were published by sources."""
    said = parts_of(messages)
    if said is None:
        yield from core.receive(messages, now)
        return
    if len(said) == 1:
        answer = core.fast_paths.answer(said[0])
        answers, left = ([answer], []) if answer is not None else ([], said)
    else:
        left = core.fast_paths.take(said)
        answers = list(core.fast_paths.answers())
    yield from [Send(codec.decode(answer)) for answer in answers]
    yield from core.receive([ANSWERED] * bool(answers) + batch.decode(left), now)


def received_alone(core: Predictor, messages: Sequence[Incoming], now: Instant) -> Iterable[Effect]:
    """As `received`, of one message, and without its bytes where no fast path could answer it."""
    message = messages[0]
    if isinstance(message, Chunk) and message.kind is Kind.INPUT:
        answer = core.fast_paths.answer(codec.encode(message))
        if answer is not None:
            return itertools.chain([Send(codec.decode(answer))], core.receive([ANSWERED], now))
    return core.receive(messages, now)
