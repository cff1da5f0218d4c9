"""Whether a schedule went well: what the reader was told against what an undisturbed run says."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from tests.support.lossy import Faults
from tests.support.plans import Plan
from tests.support.world import RUN, Outcome, Row, Told, played

Rows = dict[int, tuple[tuple[float | None, ...], int]]


@cache
def golden(samples: int, chunk: int, delay: int, *, learns: bool) -> Rows:
    """The estimates of an undisturbed run: the same samples said to the same model by a perfect network."""
    outcome = played(Plan(0, samples, chunk, delay, learns, Faults()))
    assert not outcome.gaps
    return {seq: (values, version) for seq, values, version in outcome.rows}


def judged(plan: Plan, outcome: Outcome) -> list[str]:
    """What is wrong with an outcome; nothing should be."""
    wrong = _of_order(outcome.rows) + [f"another run: {text}" for text in _of_order(outcome.other_rows)]
    # What a dead source had said and taught cannot be learnt again by the predictor's next life, which says so.
    taught_by_the_dead = outcome.begun_again and outcome.went_on_learning and outcome.gave_up
    if outcome.contradictions and not taught_by_the_dead:
        wrong.append(f"estimates published again otherwise: {outcome.contradictions[:5]}")
    if outcome.both:
        wrong.append(f"estimated, and said to be missing: {outcome.both[:5]}")
    if outcome.begun_again:
        return wrong + _of_starts(plan, outcome)
    told = _told(outcome.rows, outcome.gaps)
    if told != list(range(plan.samples)) and not outcome.phantoms:
        wrong.append(f"of {plan.samples} samples, {len(told)} were told of")
    if plan.kept_samples is not None:
        return wrong  # what is lost is lost; after it nothing need be as it would have been
    if outcome.gaps and not outcome.phantoms:
        wrong.append(f"gaps though everything was kept: {outcome.gaps}")
    expected = golden(plan.samples, plan.chunk, plan.delay, learns=plan.learns)
    other = [seq for seq, values, version in outcome.rows if expected.get(seq) != (values, version)]
    if other:
        wrong.append(f"{len(other)} estimates are not those of an undisturbed run, the first at {other[0]}")
    return wrong


def _of_starts(plan: Plan, outcome: Outcome) -> list[str]:
    """What is wrong where a source without a journal started its run again, and said the same samples.

    What an earlier start had said and the reader lacks is lost with its source, but for what the reader knows to
    have been said; of one of the runs, each sample is told of.
    """
    runs = {RUN: Told(outcome.rows, outcome.gaps), **outcome.again}
    wrong: list[str] = []
    whole = False
    for run, told in runs.items():
        seqs = _told(told.rows, told.gaps)
        whole = whole or seqs == list(range(plan.samples))
        if seqs != list(range(len(seqs))):
            wrong.append(f"run {run:016x}: not told from 0 on without a hole, or twice: {seqs}")
        wrong += [f"run {run:016x}: {text}" for text in _of_order(told.rows)]
    if not whole and not outcome.phantoms:
        counts = {f"{run:016x}": len(_told(told.rows, told.gaps)) for run, told in runs.items()}
        wrong.append(f"of {plan.samples} samples, not all were told of in any run: {counts}")
    if plan.kept_samples is not None or outcome.gave_up:
        return wrong
    expected = golden(plan.samples, plan.chunk, plan.delay, learns=plan.learns)
    for run, told in runs.items():
        if run != RUN and outcome.went_on_learning:
            continue
        other = [seq for seq, values, version in told.rows if expected.get(seq) != (values, version)]
        if other:
            wrong.append(f"run {run:016x}: {len(other)} estimates are others than undisturbed, from {other[0]} on")
    return wrong


def _told(rows: Sequence[Row], gaps: Sequence[tuple[int, int]]) -> list[int]:
    """Samples that the reader was told of, in order."""
    return sorted([seq for seq, _, _ in rows] + _missing(gaps))


def _of_order(rows: Sequence[Row]) -> list[str]:
    if all(earlier < later for (earlier, *_), (later, *_) in pairwise(rows)):
        return []
    return ["not in order, or twice"]


def _missing(gaps: Sequence[tuple[int, int]]) -> list[int]:
    return [seq for first, samples in gaps for seq in range(first, first + samples)]
