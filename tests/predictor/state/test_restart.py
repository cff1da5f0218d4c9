"""Stopped at any message and gone on from the file: bitwise what an undisturbed run would have said."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from predictor.daemon.core import Predictor
from predictor.state import checkpoint
from streamer.errors import FileError
from streamer.messages import Chunk, Info
from tests.support.dose import examples
from tests.support.restarting import (
    SAMPLES,
    SELF_SAMPLES,
    Said,
    core_of,
    kept,
    messages_of,
    said_of,
)
from tests.support.sameness import attributes, differences, parts
from tests.support.simulation import at, chunk, said
from trainer.state import Kept


def counted(core: Predictor) -> dict[str, dict[str, object]]:
    """What is counted of each stream once there is nothing left to learn."""
    while core.work() is not None:
        pass
    on_the_clock = {
        "health", "rate_hz", "lag_p50_s", "lag_p99_s", "familiar", "unfamiliar_channels", "cycle_samples",
    }  # fmt: skip
    return {
        name: {key: value for key, value in stream.status(at(0)).body.items() if key not in on_the_clock}
        for name, stream in core.streams.items()
    }


@dataclass(frozen=True)
class Case:
    cell: str
    learning: str
    nominal_hz: float | None = None

    @property
    def messages(self) -> list[Chunk | Info]:
        return messages_of(SELF_SAMPLES if self.learning == "self" else SAMPLES)

    @property
    def first(self) -> int:
        """A message before which there is little to see."""
        return len(self.messages) * 3 // 5 if self.learning in ("self", "band") else 1

    @property
    def make(self) -> Callable[[], Predictor]:
        return partial(core_of, self.cell, self.learning, self.nominal_hz)


CASES = [
    *(Case(cell, learning) for cell in ("rnn", "lstm", "gated") for learning in ("none", "target", "band")),
    Case("gru", "target"),
    Case("rnn", "self"),
    Case("lstm", "none", 0.25),  # averages of 16 samples
    Case("rnn", "none", 20.0),  # several steps a sample
    Case("gated", "band", 4.0),
]


@cache
def undisturbed(case: Case) -> tuple[list[int], Said, dict[str, dict[str, object]]]:
    """How many estimates had been said after each message, all of them, and the last counters."""
    core = case.make()
    after: list[int] = []
    told: Said = []
    for message in case.messages:
        told += said_of(core, [message])
        after.append(len(told))
    return after, told, counted(core)


# What follows from the constructor's arguments, is working memory, or goes through a `restore` of its own.
ACCOUNTED_FOR = {
    "Adam": {"_learning_rate", "_step"},
    "BandTracker": {"_nominal", "_samples", "band"},
    "Challenger": {"_cycle_samples"},
    "FadingMean": {"_keep"},
    "DomainCheck": {"_entries", "_filled", "_knows", "_named", "_scale", "_stride", "swapped"},
    "Guard": {"config"},
    "LabelBuffer": {"_begin", "_end", "_estimates", "_inputs", "_targets", "capacity"},
    "Laguerre": {"_after", "_step"},
    "UpdateScheduler": {
        "_counters", "_dues", "_engine", "_fields", "_labels", "_learnt_to_seq", "_update", "learner", "learns",
        "rmse", "self_learner",
    },
    "OnlineLearner": {"_bptt", "_gradient", "_model", "_parameters", "_state", "config"},
    "PageHinkley": set(),
    "PrequentialRmse": set(),
    "Readout": {"_keep", "_prior"},
    "RetainedEstimates": {"_history", "_next_seqs", "_segments", "_stream"},
    "HilbertLabels": {"_filter", "block_samples", "reach_samples"},
    "SelfLearner": {"_band", "_challenger", "_config", "_earlier", "_make_guard", "_news", "_watch"},
    "Sequencer": {
        "_arrivals", "_closing", "_candidates", "_contested_ns", "_decided", "_ended", "_foretold",
        "_joins_anywhere", "_latest_ns", "_left", "_main", "_news", "_retry_policy", "_pending", "_repeated_ns",
        "_repeats", "_restarts", "_second", "_share",
        "_spoke_ns", "_stood", "_tails", "_tracks", "_warned_ns", "_words", "channels", "circular_waits", "counts",
        "expected", "kinds", "now_ns", "run", "second_to", "stream",
    },
    "Stream": {
        "_answering", "_begun", "_course", "_diagnosis", "_ends", "_engine", "_familiarity", "_first_seq",
        "_former", "_given_up_to", "_history", "_left", "_model", "_muted_to", "_nominal_hz", "_paced",
        "_published_to",
        "_rate_hz", "_report", "_reset_on_gap", "_retained", "_run", "_scale", "_sequencer", "_since_gap",
        "_since_reset", "_spent", "_stepper", "_tallies", "_time", "_turn_began", "_usable_inputs", "at_work",
        "counters", "scheduler", "name", "reserved_channels", "slice_values", "state", "touched_ns",
    },
    "TypicalPower": {"_keep"},
    "Sanitizer": {"replaced"},
}  # fmt: skip


def test_every_attribute_is_kept_or_accounted_for() -> None:
    """Who adds one has to say here which; what estimates depend on belongs to `kept` or to `restore`."""
    seen: set[str] = set()
    for case in (Case("rnn", "target"), Case("rnn", "self")):
        core = case.make()
        said_of(core, case.messages)
        for part in (part for stream in core.streams.values() for part in parts(stream, set())):
            name = type(part).__name__
            if isinstance(part, Kept) or name in ACCOUNTED_FOR:
                assert attributes(part) - set(getattr(part, "kept", ())) == ACCOUNTED_FOR[name], name
                seen.add(name)
    assert seen == ACCOUNTED_FOR.keys()


def restored(case: Case, content: bytes) -> Predictor:
    core = case.make()
    core.restore(checkpoint.decode(content), at(0))
    return core


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_restart_changes_no_bit(case: Case) -> None:
    after, expected, counters = undisturbed(case)
    assert all((body["model_version"] > 0) is (case.learning != "none") for body in counters.values())  # type: ignore[operator]

    @examples(2, release=8, database=None)
    @given(place=st.integers(case.first, len(case.messages) - 1), idle=st.booleans())
    def stopped(place: int, idle: bool) -> None:
        first = case.make()
        before = said_of(first, case.messages[:place], idle=idle)
        assume(
            not any(stream.disturbed for stream in first.streams.values())
        )  # what is held, nobody says again here
        second = restored(case, kept(first))
        left_out = [f"{name}: {path}" for name in first.streams
                    for path in differences(first.streams[name], second.streams[name])]  # fmt: skip
        assert left_out == []
        rest = said_of(second, case.messages[place:], idle=idle)
        assert len(before) == after[place - 1]
        assert before + rest == expected
        assert counted(second) == counters

    stopped()


def test_a_stream_that_is_gone_on_with_is_not_called_lost_at_once() -> None:
    first = core_of("rnn", "none", None)
    said_of(first, messages_of(SAMPLES)[:50])
    later = at(3600)
    second = core_of("rnn", "none", None)
    second.restore(checkpoint.decode(kept(first)), later)
    assert [text for text in said(second.tick(later)) if "LOST" in text] == []
    assert [text for text in said(second.tick(at(3610))) if "LOST" in text] != []


BAD_LESSONS = {
    "no pair": {"dues": [[1, 2, 3]]},
    "no number": {"dues": [["7", 13]]},
    "far": {"dues": [[2**62, 0]]},
    "far in time": {"dues": [[7, 2**63]]},
    "not of the stride": {"dues": [[6, 13]]},
    "falling": {"dues": [[14, 13], [7, 13]]},
    "not complete": {"dues": [[70, 13]]},
    "targets to come": {"_labelled_to": 2**62},
    "targets gone by": {"_labelled_to": -1},
}


@pytest.mark.parametrize("bad", BAD_LESSONS.values(), ids=BAD_LESSONS)
@pytest.mark.parametrize("learning", ["target", "none"])
def test_a_state_with_windows_that_cannot_be_is_refused(learning: str, bad: dict[str, object]) -> None:
    core = core_of("rnn", learning, None)
    said_of(core, [replace(chunk(0, np.zeros(12), stream="a"), tally=0)])
    tree = checkpoint.decode(kept(core))
    scheduler = tree["streams"][0]["lessons"]
    scheduler.update(dues=bad.get("dues", []))
    scheduler["labels"].update({key: value for key, value in bad.items() if key != "dues"})
    with pytest.raises(FileError, match="state"):
        core_of("rnn", learning, None).restore(tree, at(0))
