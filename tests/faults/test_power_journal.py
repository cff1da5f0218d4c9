"""Power cuts of a source with a journal: the next life goes on at a moment of the one before, with its samples.

As in `test_power`; besides, some runs of the journal's files are so short that the file is begun anew many times.
"""

import os
import random
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from streamer.effects import Finish, Send
from streamer.messages import Chunk, Kind
from streamer.replay import journal as journal_module
from streamer.replay.journal import JournalFile
from streamer.source.publisher import Publisher, SourceConfig
from streamer.source.signals import Signal
from tests.support.fixtures import Dose, Inject
from tests.support.powercut import Recorder, cuts
from tests.support.simulation import at, sent

SIGNAL = Signal(rate_hz=100.0, noise=0.1, seed=3)
SAMPLES = 400
LIVES = 3
Said = tuple[Kind, int, int, bytes]


class Moment(NamedTuple):
    """What had been published, and what of it was forced to disk, in messages."""

    run: int
    published: int
    durable: int


class LateSyncer:
    """Forces to disk when it is told to, in the order in which it was asked to."""

    error: OSError | None = None
    failures = 0
    newest: "LateSyncer"

    def __init__(self) -> None:
        self._wanted: deque[tuple[int, int]] = deque()
        self.journal: JournalFile | None = None
        self.published = self.durable = 0  # messages
        LateSyncer.newest = self

    @property
    def busy(self) -> bool:
        return bool(self._wanted)

    def sync(self, descriptor: int) -> None:
        is_journal = self.journal is not None and descriptor == self.journal._descriptor
        self._wanted.append((os.dup(descriptor), self.published if is_journal else 0))

    def step(self) -> None:
        """Force the next one to disk."""
        if self._wanted:
            descriptor, published = self._wanted.popleft()
            os.fsync(descriptor)
            os.close(descriptor)
            self.durable = max(self.durable, published)

    def close(self) -> None:
        while self._wanted:
            self.step()


@pytest.fixture(params=[True, False], ids=["one file", "short files"])
def is_long(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(autouse=True)
def late_syncer(monkeypatch: pytest.MonkeyPatch, is_long: bool) -> None:
    monkeypatch.setattr(journal_module, "FsyncThread", LateSyncer)
    if not is_long:
        monkeypatch.setattr(journal_module, "MIN_BYTES", 30_000)


@pytest.fixture(params=[(1, 0), (3, 5)], ids=["single", "chunks, late targets"])
def config(request: pytest.FixtureRequest) -> SourceConfig:
    chunk, delay = request.param
    return SourceConfig(chunk=chunk, target_delay_samples=delay, count=SAMPLES, retain_s=1e6, linger_s=0)


def said(chunk: Chunk) -> Said:
    """What must be the same of a chunk whenever it is published."""
    return chunk.kind, chunk.seq, chunk.tally, chunk.values.tobytes()


def opened(path: Path, config: SourceConfig, run: int = 7) -> JournalFile:
    return JournalFile(path, {"stream": config.stream, "signal": SIGNAL.about()}, run, retain_bytes=0)


def lived(config: SourceConfig, journal: JournalFile | None, begin_s: float) -> Iterator[Said]:
    """What a source publishes in one life, as it publishes it."""
    source = Publisher(config, SIGNAL, 7 if journal is None else journal.run, journal)
    now = at(begin_s)
    if journal is not None and journal.resumed:
        source.record.resume(journal.chunks(), journal.next_seq, journal.next_target_seq, now)
    is_over = False
    while not is_over:
        for effect in source.tick(now):  # one at a time: who dies has not written down what comes next
            is_over |= isinstance(effect, Finish)
            if isinstance(effect, Send) and isinstance(effect.message, Chunk):
                yield said(effect.message)
        deadline_ns = source.next_deadline_ns()
        assert deadline_ns is not None
        now = at(deadline_ns / 1e9)
    yield from (said(one) for one in sent(source.stop(now)) if isinstance(one, Chunk))


def record(work: Path, config: SourceConfig, undisturbed: Sequence[Said], rng: random.Random) -> Recorder:
    """Lives of a source, ended by kill -9 where one begins before the one before it is through."""
    published = durable = 0
    with Recorder(work) as recorder:
        for life in range(LIVES):
            journal = opened(work / "journal", config)
            disk = LateSyncer.newest
            disk.journal, disk.published, disk.durable = journal, published, durable
            lasts = rng.randint(1, len(undisturbed) // 2)
            for count, one in enumerate(lived(config, journal, 100.0 * life)):
                assert one == undisturbed[published]
                published += 1
                disk.published = published
                recorder.see(Moment(journal.run, published, disk.durable))
                if rng.random() < 0.1:
                    disk.step()
                while disk.busy and journal._weight > 1.7 * journal._most_bytes:
                    disk.step()  # for one that hangs, no file waits that is twice as long as it should be
                if rng.random() < 0.1:
                    journal.news()
                durable = disk.durable
                if count == lasts and life < LIVES - 1:
                    break
            if life == LIVES - 1:
                journal.close()
                recorder.see(Moment(journal.run, published, published))
            else:
                os.close(journal._lock)
    assert published == len(undisturbed)
    return recorder


def test_a_source_goes_on_at_a_moment_that_was_with_the_same_samples_under_the_same_numbers(
    tmp_path: Path, config: SourceConfig, is_long: bool, dose: Dose, rng: np.random.Generator, injected: Inject
) -> None:
    undisturbed = list(lived(config, None, 0.0))
    drawn = random.Random(int(rng.integers(2**31)))
    count, back = 0, 0
    for _ in range(dose.pick(quick=1, release=5)):
        (work := tmp_path / "work").mkdir()
        recorder, seed = record(work, config, undisturbed, drawn), drawn.getrandbits(31)
        for number, image, seen in cuts(recorder, dose.pick(quick=60, release=60), seed):
            image.put(tmp_path / "cut")
            moment = seen[-1] if seen else Moment(0, 0, 0)
            try:
                went_on = must_go_on(tmp_path / "cut" / "journal", config, moment, undisturbed)
            except BaseException as error:
                error.add_note(f"cut ({seed}, {number}), {moment}")
                raise
            back = max(back, moment.published - went_on)
            count += 1
        shutil.rmtree(work)
    injected(f"power cut of a source with a journal, {'one file' if is_long else 'short files'}", count,
             farthest_back=back)  # fmt: skip


def must_go_on(path: Path, config: SourceConfig, moment: Moment, undisturbed: Sequence[Said]) -> int:
    """Start a source on what is left; return how many messages the run had by what it knows."""
    with closing(opened(path, config, run=8)) as journal:
        kept = [said(chunk) for chunk in journal.chunks()]
        again = list(lived(config, journal, 1000.0))
    went_on = len(undisturbed) - len(again)
    assert again == undisturbed[went_on:]
    assert kept == undisturbed[went_on - len(kept) : went_on], "a hole in what it can publish again"
    assert journal.run == 7 or not moment.published
    assert went_on >= moment.durable
    with closing(opened(path, config)) as journal:
        assert list(lived(config, journal, 2000.0)) == []
    return went_on
