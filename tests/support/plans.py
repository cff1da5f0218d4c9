"""What happens to one run in a simulated world: a plan, drawn from a seed.

Runs are short and the faults dense: what a schedule finds depends on the faults that meet, and what it costs on
the number of messages.
"""

import random
from dataclasses import dataclass, replace

from tests.support.lossy import MS, Faults

RATE_HZ = 25.0
PERIOD_MS = 40
MIN_SAMPLES, SHORT_SAMPLES, LONG_SAMPLES = 2, 12, 60
FIRST_FAR_BIT = 17
"""A seq that is wrong by less than 2^16 samples cannot be told from a right one."""
RETURNS = ("journal", "journal", "journal", "zero")
"""Not yet drawn: `between`, for what a reader is told of two runs that mix is not judged; and `zero` twice in one
schedule, or with damaged messages: runs left and taken up within seconds may not all be told."""
FLIPPED = 0.1


@dataclass(frozen=True)
class Suspension:
    """A process that is stopped for a while, as by SIGSTOP; so many messages that come meanwhile find room."""

    actor: str
    at_ns: int
    for_ns: int
    room: int


@dataclass(frozen=True)
class Flip:
    """A bit turned in the n-th message of samples, or the n-th info, that comes to somebody."""

    actor: str
    message: int
    member: str
    bit: int


@dataclass(frozen=True)
class Names:
    """Somebody says other streams, each one sample: more than a predictor has room for."""

    at_ns: int
    count: int


@dataclass(frozen=True)
class Plan:
    """What happens to one run.

    Parameters
    ----------
    returns : str
        How a source that died comes back: with its `journal`; the same run again from `zero`, for it has none; or
        with its journal, once another source has said a run of the same stream in `between`.
    busy : bool
        The predictor has no idle moments: nothing is learnt ahead of time.
    """

    seed: int
    samples: int
    chunk: int
    delay: int
    learns: bool
    faults: Faults
    predictor_deaths: tuple[int, ...] = ()
    source_deaths: tuple[int, ...] = ()
    down_ms: int = 1
    kept_samples: int | None = None
    returns: str = "journal"
    busy: bool = False
    suspensions: tuple[Suspension, ...] = ()
    flips: tuple[Flip, ...] = ()
    names: Names | None = None

    @classmethod
    def drawn(cls, seed: int) -> "Plan":
        """Draw a plan: most networks are bad in one way, some in all."""
        rng = random.Random(seed)
        samples = rng.randint(MIN_SAMPLES, LONG_SAMPLES if rng.random() < 1 / 64 else SHORT_SAMPLES)
        span_ns = PERIOD_MS * samples * MS

        def sometimes(most: float, share: float) -> float:
            return rng.random() * most if rng.random() < share else 0.0

        def moment() -> int:
            return rng.randrange(span_ns + rng.choice([0, 40, 400]) * MS)

        def deaths(share: float, most: int) -> tuple[int, ...]:
            count = rng.randint(1, most) if rng.random() < share else 0
            return tuple(sorted(moment() for _ in range(count)))

        names: Names | None = None
        forgotten: tuple[Suspension, ...] = ()
        if rng.random() < 0.1:  # while the source is silent, so that its stream may have to make room
            at_ns = moment()
            forgotten = (Suspension("source", at_ns, 2500 * MS, 10**6),)
            names = Names(at_ns + rng.choice([1500, 2300]) * MS, rng.randint(1, 4))
        plan = cls(
            seed=seed,
            samples=samples,
            chunk=rng.choice([1, 1, 2, 4]),
            delay=rng.choice([0, 0, 3]),
            learns=rng.random() < 0.5,
            faults=Faults(
                sometimes(0.6, 0.6), sometimes(0.3, 0.4), sometimes(0.5, 0.5), rng.choice([60, 150, 300])
            ),
            predictor_deaths=deaths(0.7, 3),
            source_deaths=deaths(0.3, 2),
            down_ms=rng.choice([1, 20, 60, 1500]),
            kept_samples=rng.randint(1, SHORT_SAMPLES) if rng.random() < 0.25 else None,
            returns=rng.choice(RETURNS),
            busy=rng.random() < 0.25,
            suspensions=(*forgotten, *_suspensions(rng, moment())),
            flips=_flips(rng),
            names=names,
        )
        if plan.returns == "zero":
            return replace(plan, source_deaths=plan.source_deaths[:1], flips=())
        return plan


def _suspensions(rng: random.Random, at_ns: int) -> tuple[Suspension, ...]:
    if rng.random() >= 0.2:
        return ()
    for_ns = rng.choice([PERIOD_MS, 200, 200, 1600, 3200]) * MS
    actor = rng.choice(["source", "predictor", "reader", "reader"])
    return (Suspension(actor, at_ns, for_ns, rng.choice([2, 10**6])),)


def _flips(rng: random.Random) -> tuple[Flip, ...]:
    if rng.random() >= FLIPPED:
        return ()
    member = rng.choice(["run", "seq"])
    bit = rng.randrange(64) if member == "run" else rng.randrange(FIRST_FAR_BIT, 63)
    return (Flip(rng.choice(["predictor", "predictor", "reader"]), rng.randint(1, 12), member, bit),)
