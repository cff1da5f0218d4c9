"""Plays schedules of faults on a fake clock, one seed after another, and names those that go wrong.

``python tests/faults/schedules.py SEED`` plays one and tells of it in full. ``--first SEED --count N --json FILE``
plays many; FILE is brought up to date as it goes, and the same command goes on from it. Exit code 1 if any went
wrong.
"""

import argparse
import gc
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.plans import Plan
from tests.support.verdict import judged
from tests.support.world import played

WRITE_EVERY_S = 30.0
COLLECT_EVERY = 500  # schedules: most of what they leave goes without
MAX_NAMED = 1_000


def play(seed: int) -> tuple[list[str], dict[str, int]]:
    """Play one schedule; return what went wrong, and which faults there were."""
    plan = Plan.drawn(seed)
    try:
        outcome = played(plan)
        return judged(plan, outcome), outcome.happened
    except Exception as error:
        return [f"{type(error).__name__}: {error}"], {}


def tell(seed: int) -> int:
    """Play one schedule and tell of it in full."""
    plan = Plan.drawn(seed)
    outcome = played(plan)
    wrong = judged(plan, outcome)
    lines = (seed, plan, *outcome.lines, outcome.happened, *(wrong or ["as it should be"]))
    sys.stdout.write("\n  ".join(map(str, lines)) + "\n")
    return 1 if wrong else 0


class Campaign:
    """Many schedules, and what came of them so far."""

    def __init__(self, first: int, count: int, path: Path | None) -> None:
        self._first, self._count, self._path = first, count, path
        self.done = 0
        self.wrong: dict[str, list[str]] = {}
        self.went_wrong = 0
        self._processor_s = 0.0
        self._happened: Counter[str] = Counter()
        if path is not None and path.exists():
            self._go_on(json.loads(path.read_text()))

    def _go_on(self, before: dict[str, Any]) -> None:
        if before["first"] != self._first:
            raise SystemExit(f"--json: is of seeds from {before['first']} on; give that --first, or another file")
        self.done, self._processor_s = before["played"], before["processor_s"]
        self.wrong, self.went_wrong = before["wrong"], before["went_wrong"]
        self._happened.update(before["happened"])

    def run(self) -> None:
        """Play what is left."""
        gc.freeze()
        gc.disable()
        began_s, written_s = time.process_time(), time.monotonic()
        while self.done < self._count:
            seed = self._first + self.done
            wrong, happened = play(seed)
            if wrong:
                self.went_wrong += 1
                if len(self.wrong) < MAX_NAMED:
                    self.wrong[str(seed)] = wrong
                sys.stdout.write(f"{seed}: {'; '.join(wrong)}\n")
                sys.stdout.flush()
            self._happened.update(happened)
            self.done += 1
            if not self.done % COLLECT_EVERY:
                gc.collect()
            if self.done == self._count or time.monotonic() >= written_s + WRITE_EVERY_S:
                now_s, written_s = time.process_time(), time.monotonic()
                self._processor_s += now_s - began_s
                began_s = now_s
                self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        beside = self._path.with_name(self._path.name + ".partial")
        beside.write_text(json.dumps(self.report(), indent=1) + "\n")
        beside.replace(self._path)

    def report(self) -> dict[str, Any]:
        """Return what came of it."""
        return {
            "first": self._first,
            "played": self.done,
            "went_wrong": self.went_wrong,
            "processor_s": round(self._processor_s, 1),
            "ms_a_schedule": round(1e3 * self._processor_s / max(1, self.done), 2),
            "happened": dict(self._happened),
            "wrong": self.wrong,
        }


def main() -> int:
    """Play one, or many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="play this one, and tell of it in full")
    parser.add_argument("--first", type=int, default=1_000_000, metavar="SEED")
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="report; go on from it if it exists")
    options = parser.parse_args()
    if options.seed is not None:
        return tell(options.seed)
    campaign = Campaign(options.first, options.count, options.json)
    campaign.run()
    report = campaign.report()
    sys.stdout.write(json.dumps({name: report[name] for name in report if name != "wrong"}) + "\n")
    return 1 if campaign.went_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
