"""The general recipe's two stages: which updates belong to which, at which rate, and when to look.

In the first stage signals are short, so that there are many. The bank's slowest averages then never get over their
start; in streams that run on they do, so the last eleventh of updates learns from long and short ones by turns.
"""

import math

UPDATES_A_BATCH = 32
SETTLING_SHARE = 11  # one in so many updates is of the second stage
LEARNING_RATE, SETTLING_RATE = 3e-3, 1e-3
WARM_UP_UPDATES = 100  # Adam's first steps have the full learning rate whatever the gradient
LAST_RATE = 0.003  # of the learning rate: what the half cosine ends at
VALIDATE_EVERY_BATCHES = 25


def first_stage(updates: int) -> int:
    """Return how many updates of so many are of the first stage."""
    return updates - updates // SETTLING_SHARE


def learning_rate(update: int, updates: int) -> float:
    """Return the rate of an update: in each stage warmed up, then down along a half cosine."""
    first = first_stage(updates)
    if update < first:
        return LEARNING_RATE * _course(update, first)
    return SETTLING_RATE * _course(update - first, updates - first)


def _course(update: int, updates: int) -> float:
    warmth = min(1.0, (update + 1) / WARM_UP_UPDATES)
    return warmth * ((1 + math.cos(math.pi * update / updates)) / 2 + LAST_RATE)


def batches(updates_made: int, updates: int) -> range:
    """Return the numbers of the batches that are still to be learnt; a stage begins with a batch of its own."""
    return range(_batches_made(updates_made, updates), _batches_made(updates, updates))


def _batches_made(updates_made: int, updates: int) -> int:
    first = min(updates_made, first_stage(updates))
    return math.ceil(first / UPDATES_A_BATCH) + math.ceil((updates_made - first) / UPDATES_A_BATCH)


def validation_is_due(batch: int, updates_made: int, updates: int) -> bool:
    """Return whether to score held-out signals after a batch: after the first, so that there is a best, too."""
    at_end = updates_made in (first_stage(updates), updates)
    return batch == 0 or (batch + 1) % VALIDATE_EVERY_BATCHES == 0 or at_end
