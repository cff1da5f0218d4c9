"""The error since the start, in bounded room: points that grow wider as the curve grows longer."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BUCKET_S = 0.25
# Twice the dots across a wide terminal; at the limit neighbours are merged and the buckets double in width.
MAX_BUCKETS = 512


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Error of the samples that came within one bucket of time.

    Parameters
    ----------
    time_s : float
        Middle of the bucket, seconds since the curve began.
    rmse : float
        Root of the mean squared error of cos.
    phase_deg : float or None
        Mean circular distance of the phases, 0 to 180 degrees.
    """

    time_s: float
    rmse: float
    phase_deg: float | None


@dataclass(slots=True)
class _Bucket:
    squares: float = 0.0
    scored: int = 0
    degrees: float = 0.0
    phases: int = 0

    def merge(self, other: "_Bucket") -> None:
        self.squares += other.squares
        self.scored += other.scored
        self.degrees += other.degrees
        self.phases += other.phases

    def point(self, time_s: float) -> CurvePoint:
        phase_deg = self.degrees / self.phases if self.phases else None
        return CurvePoint(time_s, (self.squares / self.scored) ** 0.5, phase_deg)


class ErrorCurve:
    """Mean errors over time, the whole way from the first score on, in some `MAX_BUCKETS` points."""

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}
        self._start_ns: int | None = None
        self._cut = False
        self._cuts: set[int] = set()  # buckets before which there was a silence
        self.width_s = BUCKET_S

    def cut(self) -> None:
        """Break the curve before the next scores: nothing was scored for a while."""
        self._cut = True

    def add(self, squares: NDArray[np.float64], degrees: NDArray[np.float64], mono_ns: int) -> None:
        """Take scores of samples that came at `mono_ns`.

        Parameters
        ----------
        squares : float64 array, shape (samples,)
            Squared errors of cos; not empty.
        degrees : float64 array, shape (samples,)
            Phase errors; NaN where there is none.
        mono_ns : int
            Arrival on the monotonic clock.
        """
        if self._start_ns is None:
            self._start_ns = mono_ns
        index = max(0, int((mono_ns - self._start_ns) / 1e9 / self.width_s))
        while index >= MAX_BUCKETS:
            self._halve()
            index //= 2
        known = degrees[~np.isnan(degrees)]
        new = _Bucket(float(squares.sum()), len(squares), float(known.sum()), len(known))
        if self._cut and index not in self._buckets:
            self._cuts.add(index)
        self._cut = False
        self._buckets.setdefault(index, _Bucket()).merge(new)

    def points(self) -> tuple[CurvePoint, ...]:
        """Return the curve, oldest first, without the bucket that still fills; a NaN where it is broken."""
        points: list[CurvePoint] = []
        for index in sorted(self._buckets)[:-1]:
            if index in self._cuts and points:
                points.append(CurvePoint(index * self.width_s, math.nan, None))
            points.append(self._buckets[index].point((index + 0.5) * self.width_s))
        return tuple(points)

    def _halve(self) -> None:
        self.width_s *= 2
        before = self._buckets
        merged: dict[int, _Bucket] = {}
        for index, bucket in self._buckets.items():
            merged.setdefault(index // 2, _Bucket()).merge(bucket)
        self._buckets = merged
        self._cuts = {index // 2 for index in self._cuts if index % 2 == 0 or index - 1 not in before}
