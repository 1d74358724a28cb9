"""One search after another, replayed: which points are trained in which order, what that costs, what it finds.

Letters: M points that were trained, N runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from stopping.table import Table


class Stretch(NamedTuple):
    """A run is trained from its point `first` up to, and without, its point `last`."""

    run: int
    first: int
    last: int


@dataclass
class History:
    """What is known when a run begins.

    Attributes:
        finished: the best of each run that was trained to its end, in the metric's unit.
        stopped: the best of each run that was stopped, or diverged.
        runs: places in the table of the finished ones.
        best: of all values so far, upward.
    """

    finished: list[float] = field(default_factory=list)
    stopped: list[float] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    best: float = -np.inf

    @property
    def concluded(self) -> int:
        """Number of runs before this one."""
        return len(self.finished) + len(self.stopped)


class Judge(Protocol):
    """Decides how far runs are trained that come one after another, each of which is gone once it is stopped."""

    def begin(self, table: Table) -> None:
        """Forget what was before: another search begins."""

    def points(self, table: Table, run: int, history: History) -> int:
        """How many points of the run are trained; as many as it has if it is not stopped."""

    def bar(self, table: Table, history: History) -> float | None:
        """What a run has to beat in the eyes of this rule, upward; None if nothing stands."""


class Rule(Protocol):
    """A way to search."""

    def play(self, table: Table, order: np.ndarray, budget: float | None) -> Iterator[Stretch]:
        """What is trained, one stretch after another; a budget in whole runs for those who plan with it."""


@dataclass(frozen=True, eq=False)
class Sequential:
    """Runs one after another, each until its judge stops it.

    Attributes:
        judge: who decides.
        seen: of each search the runs that would have beaten what stood, and whether they were stopped before they did.
    """

    judge: Judge
    seen: list[list[bool]] = field(default_factory=list)

    def play(self, table: Table, order: np.ndarray, budget: float | None) -> Iterator[Stretch]:
        """See Rule."""
        history, winners = History(), []
        self.judge.begin(table)
        self.seen.append(winners)
        for run in order:
            count = self.judge.points(table, run, history)
            record = table.records[run]
            bar = self.judge.bar(table, history)
            if bar is not None and table.finals[run] > bar:
                winners.append(bool(count < len(record) and record[count - 1] <= bar))
            yield Stretch(int(run), 0, count)
            best = table.metric.sign * float(record[count - 1])
            if count == len(record) and not table.runs[run].diverged:
                history.finished.append(best)
                history.runs.append(int(run))
            else:
                history.stopped.append(best)
            history.best = max(history.best, float(record[count - 1]))


@dataclass(frozen=True, eq=False)
class Trace:
    """A search point by point.

    Attributes:
        spent: (M,) work up to each point, in whole runs.
        best: (M,) the best value found by then, upward.
    """

    spent: np.ndarray
    best: np.ndarray

    def at(self, budgets: np.ndarray) -> np.ndarray:
        """The best value found within each budget, -inf where not even a point was paid for."""
        place = np.searchsorted(self.spent, budgets + 1e-9, side="right") - 1
        return np.where(place < 0, -np.inf, self.best[np.maximum(place, 0)])


def cost(table: Table, stretch: Stretch) -> float:
    """The work of a stretch, in whole runs."""
    work = table.runs[stretch.run].work
    return float(work[stretch.last - 1] - (work[stretch.first - 1] if stretch.first else 0.0))


def take(table: Table, stretches: Iterable[Stretch], budget: float, *, least: int = 0) -> list[Stretch]:
    """The stretches until the budget is spent, and `least` of them at least."""
    taken, spent = [], 0.0
    for stretch in stretches:
        taken.append(stretch)
        spent += cost(table, stretch)
        if spent >= budget and len(taken) >= least:
            break
    return taken


def trace(table: Table, stretches: Iterable[Stretch]) -> Trace:
    """The search that trains these stretches."""
    spent, best, total = [np.empty(0)], [np.empty(0)], 0.0
    for run, first, last in stretches:
        work = table.runs[run].work
        spent.append(total + work[first:last] - (work[first - 1] if first else 0.0))
        best.append(table.up[run][first:last])
        total = float(spent[-1][-1])
    return Trace(np.concatenate(spent), np.maximum.accumulate(np.concatenate(best)))
