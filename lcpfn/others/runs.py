"""The other runs of a search, read and checked once.

Letters: T points of a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcpfn.curve import Curve
from lcpfn.inference import LARGEST
from lcpfn.metric import Metric

Array = NDArray[np.float64]

MOST = 200  # runs that a search keeps: those that have come furthest
APART = 2.0  # times the last time of every other run: a run that begins later counts something else
TELLING = 3  # different values by which a run is known to be a copy of another
SAME_TIME = 1e-9  # relative


@dataclass(frozen=True, eq=False)
class Run:
    """The measured points of a run, in order of time, up to where it diverged.

    Attributes:
        t: (T,) times.
        y: (T,) values in the metric's unit, finite.
        run_end: the time at which it will end, None if nobody knows.
        name: as its curve's.
        clock: as its curve's.
        diverged_at: as its curve's, or the time of a value beyond all measure.
    """

    t: Array
    y: Array
    run_end: float | None = None
    name: str = ""
    clock: str = ""
    diverged_at: float | None = None

    @classmethod
    def of(cls, curve: Curve, metric: Metric, where: str) -> Run:
        """The run of a curve.

        Raises:
            ValueError: the metric is another, a value lies beyond its bounds, or times repeat.
        """
        if curve.metric is not None and curve.metric != metric:
            raise ValueError(
                f"all runs of a search are of one metric, got {curve.metric} for {where} where {metric} is asked "
                "about; give runs of one metric, direction and bounds"
            )
        measured = np.isfinite(curve.y)
        t, y = curve.t[measured], curve.y[measured]
        order = np.argsort(t, kind="stable")
        t, y = t[order], y[order]
        if (t[1:] == t[:-1]).any():
            raise ValueError(f"t must not repeat within a run, got {t[1:][t[1:] == t[:-1]][0]:g} twice for {where}")
        far = np.abs(y) > LARGEST  # it has diverged there, and is over
        diverged_at = curve.diverged_at
        if far.any():
            diverged_at = float(t[far.argmax()])
            t, y = t[: far.argmax()], y[: far.argmax()]
        low, high = metric.upward_bounds
        out = (metric.sign * y < low) | (metric.sign * y > high)
        if out.any() and not metric.overshoot:
            raise ValueError(
                f"y must lie within the metric's bounds {metric.bounds}, got {y[out][0]:.9g} for {where}; "
                "declare the true bounds with Metric(bounds=...)"
            )
        return cls(t, y, curve.run_end, curve.name, curve.clock, diverged_at)

    def __len__(self) -> int:
        return len(self.t)

    @cached_property
    def key(self) -> bytes:
        """What tells it from other runs, whatever its name."""
        return hashlib.blake2b(self.t.tobytes() + b"|" + self.y.tobytes(), digest_size=16).digest()

    def count(self, time: float) -> int:
        """Points up to a time."""
        return int(np.searchsorted(self.t, time + SAME_TIME * abs(time), side="right"))

    def at(self, time: float) -> float:
        """The value at a time between its first and last, by straight lines."""
        return float(np.interp(time, self.t, self.y))

    def reaches(self, time: float) -> bool:
        """Whether it was measured at a time or later."""
        return bool(len(self.t) and self.t[-1] >= time - SAME_TIME * abs(time))

    def begins_with(self, t: Array, y: Array) -> bool:
        """Whether the points (T,) are its first ones, and too many different ones for an accident."""
        size = len(y)
        return (
            size <= len(self)
            and np.array_equal(self.t[:size], t)
            and np.array_equal(self.y[:size], y)
            and len(np.unique(y)) >= TELLING
        )


def read_runs(runs: Iterable[Any], metric: Metric) -> tuple[Run, ...]:
    """The runs of a search that have a point, in an order of their own, at most MOST of them.

    Args:
        runs: curves, or pairs (t, y) with t None for 1..T.
        metric: of all of them.

    Raises:
        TypeError: an entry is neither a curve nor a pair of arrays.
        ValueError: a run is of another metric or clock than the rest.
    """
    found = [Run.of(_curve(each, f"run {i}"), metric, f"run {i}") for i, each in enumerate(runs)]
    found = [run for run in found if len(run)]
    check_clocks(found)
    found.sort(key=lambda run: (-run.t[-1], run.key))  # a sum over runs must not depend on how they were listed
    return tuple(found[:MOST])


def _curve(each: Any, where: str) -> Curve:
    if isinstance(each, Curve):
        return each
    if isinstance(each, Sequence) and not isinstance(each, str) and len(each) == 2:
        return Curve(each[0], each[1])
    raise TypeError(f"a run is a lcpfn.Curve or a pair (t, y), got {type(each).__name__} for {where}")


def check_clocks(runs: Sequence[Run]) -> None:
    """Raises ValueError if times cannot be of one search: clocks differ, or a run begins after all others end."""
    names = sorted({run.clock for run in runs if run.clock})
    if len(names) > 1:
        raise ValueError(f"all runs of a search count one thing as time, got {', '.join(names)}; give them one clock")
    if len(runs) < 2:
        return
    first, last = (np.array([run.t[k] for run in runs]) for k in (0, -1))
    longest = int(last.argmax())
    end = np.full(len(runs), last[longest])  # of all runs but each one
    end[longest] = np.delete(last, longest).max()
    late = (end > 0) & (first > APART * end)
    if late.any():
        i = int(late.argmax())
        raise ValueError(
            f"all runs of a search count one thing as time, got one that begins at {first[i]:g} where every other "
            f"one has ended by {end[i]:g}; bring epochs, steps and seconds to one unit"
        )
