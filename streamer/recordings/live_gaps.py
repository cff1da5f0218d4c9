"""Where samples are missing in a table that comes row by row: by its times, or by its empty lines."""

import numpy as np

from streamer.errors import FileError

LATE_PERIODS = 1.5  # from row to row: more than that, and samples are missing
CLOCK_WEIGHT = 0.05  # of a row's lateness, for the table's clock is not ours
SPREAD_ROWS = 8  # at which a coarse time has risen, before it is known how evenly it does
COARSE_SPREAD = 1.0  # periods, until that is known


class TimeGaps:
    """Tells missing samples by the times of rows.

    Times may be coarse: the same in several rows, as of a clock of 10 ms or of blocks. Where they stay, they say
    nothing; where they rise, they do so unevenly, and only what is later than that is a gap.

    Parameters
    ----------
    rate_hz : float
    name : str
        What the table is called in errors.
    """

    def __init__(self, rate_hz: float, name: str) -> None:
        self._rate_hz = rate_hz
        self._name = name
        self._first_s = self._last_s = np.nan
        self._is_coarse = False
        self._lates: list[float] = []

    @property
    def last_s(self) -> float:
        """The last time that was known; NaN before."""
        return self._last_s

    def missing(self, time_s: float, seq: int, line: int) -> int:
        """Return how many samples are missing before a row that would be sample `seq`.

        Raises
        ------
        FileError
            If its time is before that of the last row.
        """
        if not np.isfinite(time_s):
            return 0
        if not np.isfinite(self._last_s):
            self._first_s = time_s - seq / self._rate_hz
        if time_s < self._last_s:
            raise FileError(
                f"{self._name}, line {line}: its time goes back, {self._last_s:.9g} to {time_s:.9g} s: "
                "leave it out with --time none"
            )
        step, self._last_s = time_s - self._last_s, time_s
        if step == 0:
            self._is_coarse = True
            return 0
        late = (time_s - self._first_s) * self._rate_hz - seq
        is_late = step * self._rate_hz >= LATE_PERIODS and late >= 0.5 + self._spread()
        missing = max(0, round(late)) if is_late else 0
        self._first_s += CLOCK_WEIGHT * (late - missing) / self._rate_hz
        self._lates = [*self._lates[-31:], late - missing]
        return missing

    def _spread(self) -> float:
        """Return by how much rows are late now and then, in periods, of times that are coarse."""
        if not self._is_coarse:
            return 0.0
        if len(self._lates) < SPREAD_ROWS:
            return COARSE_SPREAD
        return max(self._lates) - min(self._lates)


class BlankLines:
    """Tells missing samples of a table of one column by its empty lines.

    Where the first two rows have one between them, each has: line ends were written twice.

    Parameters
    ----------
    name : str
        What the table is called in errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows = self._blank = 0
        self._is_spaced = False

    def note(self) -> None:
        """Note an empty line."""
        self._blank += 1

    def missing(self, line: int) -> int:
        """Return how many samples the empty lines before a row stand for.

        Raises
        ------
        FileError
            If each row had one before it, and this one has none.
        """
        blank, self._blank = self._blank, 0
        self._rows += 1
        if self._rows == 1:
            return 0
        if self._rows == 2:
            self._is_spaced = blank == 1
        if not self._is_spaced:
            return blank
        if blank % 2 == 0:
            raise FileError(
                f"{self._name}, line {line}: each row had an empty line before it, and this one has not: an empty "
                "line may be a missing sample or nothing"
            )
        return blank // 2
