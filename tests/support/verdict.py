"""Whether a schedule went well: what the reader was told against what an undisturbed run says."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from tests.support.lossy import Faults
from tests.support.plans import Plan
from tests.support.world import Outcome, Row, played

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
    if outcome.contradictions:
        wrong.append(f"estimates published again otherwise: {outcome.contradictions[:5]}")
    if outcome.both:
        wrong.append(f"estimated, and said to be missing: {outcome.both[:5]}")
    told = sorted([seq for seq, _, _ in outcome.rows] + _missing(outcome.gaps))
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


def _of_order(rows: Sequence[Row]) -> list[str]:
    if all(earlier < later for (earlier, *_), (later, *_) in pairwise(rows)):
        return []
    return ["not in order, or twice"]


def _missing(gaps: Sequence[tuple[int, int]]) -> list[int]:
    return [seq for first, samples in gaps for seq in range(first, first + samples)]
