"""Who shows messages as they come calls a run that started again as its estimates do."""

from collections.abc import Iterable

import numpy as np
import pytest

from streamer.messages import Chunk, Info, Kind
from streamer.ordering.restarts import restarted_run
from streamer.ordering.run_names import RunNames

RUN, START_NS, HOUR_NS, STEP_NS = 7, 1_700_000_000_000_000_000, 3_600_000_000_000, 4_000_000


def chunk(kind: Kind, seq: int, start: int, run: int = RUN) -> Chunk:
    time_ns = START_NS + start * HOUR_NS + seq * STEP_NS
    return Chunk(kind, "demo", run, seq, time_ns, 250.0, np.zeros((1, 1, 1), np.float32))


def info(next_seq: int, start: int) -> Info:
    return Info("demo", RUN, next_seq, START_NS + start * HOUR_NS + next_seq * STEP_NS, 250.0, ("0",))


def shown(names: RunNames, messages: Iterable[Chunk | Info]) -> list[tuple[int, int]]:
    """Run and seq of all inputs that come out."""
    found = [one for message in messages for one in names.take(message)]
    return [(one.run, one.seq) for one in found if isinstance(one, Chunk) and one.kind is Kind.INPUT]


@pytest.mark.parametrize("infos", [False, True])
def test_each_start_has_the_run_of_its_estimates(infos: bool) -> None:
    names = RunNames()
    for start in range(3):
        run = restarted_run(RUN, START_NS + start * HOUR_NS) if start else RUN
        said: list[Chunk | Info] = [chunk(Kind.INPUT, seq, start) for seq in range(100)]
        said = [info(0, start), *said, info(100, start)] if infos else said
        assert shown(names, said) == [(run, seq) for seq in range(100)]
        assert [one.run for one in names.take(chunk(Kind.TARGET, 3, start))] == [run]
        assert [one.run for one in names.take(info(100, start))] == [run]


def test_who_begins_within_a_start_learns_its_run_from_the_estimates() -> None:
    names, run = RunNames(), restarted_run(RUN, START_NS)
    assert shown(names, [chunk(Kind.INPUT, 50, 0)]) == [(RUN, 50)]
    names.take(chunk(Kind.ESTIMATE, 50, 0, run))
    later = range(51, 99)
    assert shown(names, [chunk(Kind.INPUT, seq, 0) for seq in later]) == [(run, seq) for seq in later]


def test_who_missed_the_first_sample_learns_the_run_from_the_estimates() -> None:
    names, run = RunNames(), restarted_run(RUN, START_NS + HOUR_NS)
    shown(names, [chunk(Kind.INPUT, seq, 0) for seq in range(100)])
    shown(names, [chunk(Kind.INPUT, seq, 1) for seq in range(3, 10)])
    names.take(chunk(Kind.ESTIMATE, 10, 1, run))
    assert shown(names, [chunk(Kind.INPUT, 10, 1), chunk(Kind.INPUT, 11, 1)]) == [(run, 10), (run, 11)]


def test_another_run_is_no_restart() -> None:
    names = RunNames()
    shown(names, [chunk(Kind.INPUT, seq, 0) for seq in range(10)])
    for run in range(10_000, 20_000):
        names.take(chunk(Kind.ESTIMATE, 0, 0, restarted_run(1, run)))
    assert shown(names, [chunk(Kind.INPUT, 10, 0)]) == [(RUN, 10)]
