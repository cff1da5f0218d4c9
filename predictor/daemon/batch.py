"""Inputs of small streams that arrived together: stepped side by side, each stream once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from predictor.daemon.stream import Stream
from predictor.engine.stepper import FEW_CHANNELS, Engine
from streamer.clock import Instant
from streamer.effects import Effect
from streamer.messages import Burst, Chunk, Gone, Info

MAX_VALUES = 8192  # of streams stepped side by side
MAX_COLUMNS = 256  # in a call; more would bring nothing but delay


@dataclass(frozen=True, slots=True)
class _Job:
    """One stream's new samples, and what it heard after them."""

    stream: Stream
    message: Chunk | Burst
    chunk: Chunk
    heard: list[Chunk | Info | Gone] = field(default_factory=list)


class Batch:
    """Collects inputs and steps their streams in one call of the engine.

    Only what simply continues a small stream that does not learn is collected; estimates are bitwise those of
    streams stepped one by one.

    Parameters
    ----------
    engine : Engine
        Of all the streams.
    hear : callable
        Has a stream hear something by itself.
    """

    def __init__(
        self, engine: Engine, hear: Callable[[Stream, Chunk | Burst | Info | Gone, Instant], Iterator[Effect]]
    ) -> None:
        self._engine = engine
        self._hear = hear
        self._jobs: dict[str, _Job] = {}
        self._columns = 0

    def __contains__(self, stream: str) -> bool:
        return stream in self._jobs

    @property
    def full(self) -> bool:
        """Whether to answer before more is collected."""
        return self._columns >= MAX_COLUMNS

    def takes(self, stream: Stream, chunk: Chunk) -> bool:
        """Return whether `chunk` can be stepped beside others."""
        samples, channels, _ = chunk.values.shape
        small = channels <= FEW_CHANNELS and samples * MAX_COLUMNS <= MAX_VALUES
        return small and not stream.scaled and stream.continues(chunk)

    def add(self, stream: Stream, message: Chunk | Burst, chunk: Chunk) -> None:
        """Collect `chunk`, the samples of `message`."""
        self._jobs[stream.name] = _Job(stream, message, chunk)
        self._columns += chunk.values.shape[1]

    def hear(self, message: Chunk | Info | Gone) -> None:
        """Keep a target chunk, or what the source says, until the inputs before it are answered."""
        self._jobs[message.stream].heard.append(message)

    def run(self, now: Instant) -> Iterator[Effect]:
        """Answer what was collected."""
        jobs, self._jobs, self._columns = list(self._jobs.values()), {}, 0
        jobs.sort(key=_samples)
        for _, group in groupby(jobs, key=_samples):
            yield from self._step(list(group), now)
        for job in jobs:
            for message in job.heard:
                yield from self._hear(job.stream, message, now)

    def _step(self, jobs: list[_Job], now: Instant) -> Iterator[Effect]:
        """Answer chunks of equal length."""
        if len(jobs) == 1:
            yield from self._hear(jobs[0].stream, jobs[0].message, now)
            return
        inputs = [job.stream.accept(job.message) for job in jobs]
        # Transposed, a column's rows are neighbours in memory, as products of its own want them.
        states = np.concatenate([job.stream.state.T for job in jobs]).T
        estimates, after = self._engine.run_apart(np.concatenate(inputs, axis=1), states)
        ends = np.cumsum([heard.shape[1] for heard in inputs]).tolist()
        own = [slice(end - heard.shape[1], end) for heard, end in zip(inputs, ends, strict=True)]
        # Copies of the states, or one stream that falls silent would keep those of all. Answers right after one
        # another, or each would wake ZeroMQ's thread anew: that halves the messages a second.
        answers = [
            job.stream.answer(job.message, estimates[:, columns], after[:, columns].copy())
            for job, columns in zip(jobs, own, strict=True)
        ]
        said = 0
        try:
            for said, answer in enumerate(answers, 1):  # noqa: B007 - how far it came where a signal ends the batch
                yield answer
        finally:
            for job, heard, answer in zip(jobs[:said], inputs, answers, strict=False):
                job.stream.remember(job.message, heard, answer, now)


def _samples(job: _Job) -> int:
    return len(job.chunk.values)
