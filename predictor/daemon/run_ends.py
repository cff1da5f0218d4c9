"""Where a stream's runs end, once their source has said so. Pure logic."""

REMEMBERED_RUNS = 8  # a source's last words may come before what is left of the run before


class RunEnds:
    """Remembers the final sample count of each run that has ended."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}

    def note(self, run: int, next_seq: int, *, ended: bool) -> None:
        """Take it that a run is said to have ended after `next_seq` samples, or to go on."""
        self._ends.pop(run, None)
        if ended:
            self._ends[run] = next_seq
            if len(self._ends) > REMEMBERED_RUNS:
                del self._ends[next(iter(self._ends))]

    def final_seq(self, run: int | None, next_seq: int) -> int | None:
        """Return one past the last sample of a run; None while it is not known.

        Where `next_seq` is past it, the run went on all the same.
        """
        end = self._ends.get(run) if run is not None else None
        return None if end is None or end < next_seq else end
