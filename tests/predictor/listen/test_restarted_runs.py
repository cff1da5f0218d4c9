"""Inputs and estimates of a run that its source starts again are joined, also by who begins to listen later."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from predictor.listen.listener import Listener, ListenerConfig
from streamer.clock import Instant
from streamer.effects import Print
from streamer.messages import Chunk, Info, Kind, Message, Status
from streamer.ordering.restarts import restarted_run

RUN, COUNT = 7, 60
START_NS, HOUR_NS, STEP_NS = 1_700_000_000_000_000_000, 3_600_000_000_000, 4_000_000


def spoken(start: int) -> Iterator[Message]:
    """What a source says that starts a run again, and its predictor: all of one value."""
    began_ns = START_NS + start * HOUR_NS
    run = restarted_run(RUN, began_ns) if start else RUN
    for seq in range(COUNT + 1):
        time_ns = began_ns + seq * STEP_NS
        if seq % 20 == 0:
            yield Info("demo", RUN, seq, time_ns, 250.0, ("0",), ("cos",), next_target_seq=seq, ended=seq == COUNT)
            yield Status("demo", run, seq, time_ns, {"health": "LIVE"})
        if seq < COUNT:
            values = np.full((1, 1, 1), 100 * start + seq, np.float32)
            yield Chunk(Kind.INPUT, "demo", RUN, seq, time_ns, 250.0, values, tally=seq)
            yield Chunk(Kind.TARGET, "demo", RUN, seq, time_ns, 250.0, values, tally=seq + 1)
            yield Chunk(Kind.ESTIMATE, "demo", run, seq, time_ns, 250.0, values)


def rows(messages: list[Message], *, reliable: bool) -> list[tuple[int, int, float, float, float]]:
    """Run, seq and values of all lines that a joined listener prints; None where a part is missing."""
    listener = Listener(ListenerConfig(joined=True, reliable=reliable))
    lines: list[str] = []
    now_ns = 0
    list(listener.tick(Instant(0, 0)))
    for message in messages:
        if isinstance(message, Status) and not reliable:
            continue
        now_ns += STEP_NS
        now = Instant(now_ns, now_ns)
        due_ns = listener.next_deadline_ns()
        effects = [*listener.receive([message], now)]
        if due_ns is not None and due_ns <= now_ns:
            effects += listener.tick(now)
        lines += [effect.line for effect in effects if isinstance(effect, Print)]
    lines += [e.line for e in listener.stop(Instant(now_ns, 0)) if isinstance(e, Print)]
    found = [json.loads(line) for line in lines]
    values = [[row[part][0] if row[part] else None for part in ("input", "target", "estimate")] for row in found]
    return [(int(row["run"], 16), row["seq"], *parts) for row, parts in zip(found, values, strict=True)]


def wanted(start: int) -> list[tuple[int, int, float, float, float]]:
    run = restarted_run(RUN, START_NS + start * HOUR_NS) if start else RUN
    return [(run, seq, *[100.0 * start + seq] * 3) for seq in range(COUNT)]


@pytest.mark.parametrize("reliable", [False, True])
def test_each_start_is_joined_with_its_estimates(reliable: bool) -> None:
    said = [message for start in range(3) for message in spoken(start)]
    assert rows(said, reliable=reliable) == [*wanted(0), *wanted(1), *wanted(2)]


@pytest.mark.parametrize("reliable", [False, True])
def test_who_begins_to_listen_within_a_start_joins_it_too(reliable: bool) -> None:
    said = [*spoken(1), *spoken(2)]
    assert rows(said, reliable=reliable) == [*wanted(1), *wanted(2)]


def taken_back() -> list[Message]:
    """What is said before and after a power cut took the latest 20 of 60 samples from a source's journal."""
    said: list[Message] = []
    for seqs, began_ns in ((range(COUNT), START_NS), (range(COUNT - 20, COUNT + 20), START_NS + HOUR_NS)):
        for seq in seqs:
            time_ns = began_ns + seq * STEP_NS
            values = np.full((1, 1, 1), seq, np.float32)
            if seq % 20 == 0:
                said.append(Info("demo", RUN, seq, time_ns, 250.0, ("0",), ("cos",), repeats=True))
                said.append(Status("demo", RUN, seq, time_ns, {"health": "LIVE", "repeats": True}))
            said += [
                Chunk(kind, "demo", RUN, seq, time_ns, 250.0, values)
                for kind in (Kind.INPUT, Kind.TARGET, Kind.ESTIMATE)
            ]
    return said


@pytest.mark.parametrize("reliable", [False, True])
def test_what_a_journal_says_again_after_a_power_cut_is_no_other_run(reliable: bool) -> None:
    told = rows(taken_back(), reliable=reliable)
    assert {run for run, *_ in told} == {RUN}
    if reliable:
        assert told == [(RUN, seq, *[float(seq)] * 3) for seq in range(COUNT + 20)]
