"""The rules that people have today, as judges and as schedules.

Letters: T points of a run, N runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from stopping.replay import History, Stretch, cost
from stopping.table import Table

STARTUP = 5  # finished runs that the median rule waits for, as in Optuna and Vizier
TOP = 3  # runs that i-Epoch trains to their end


class Simple:
    """What most judges have in common: the bar is the best value of any run, and they remember nothing."""

    def begin(self, table: Table) -> None:
        """See Judge."""

    def bar(self, table: Table, history: History) -> float | None:
        """See Judge."""
        return history.best if history.concluded else None


class Never(Simple):
    """No stopping."""

    def points(self, table: Table, run: int, history: History) -> int:
        """See Judge."""
        return len(table.runs[run])


class Oracle(Simple):
    """Knows how each run ends: trains a run that beats all before to its end, all others for one point."""

    def points(self, table: Table, run: int, history: History) -> int:
        """See Judge."""
        if table.finals[run] > history.best:
            return len(table.runs[run])
        return 1


@dataclass(frozen=True)
class Patience(Simple):
    """Stops a run that has not improved on its own best for so many points; knows no other run."""

    patience: int

    def points(self, table: Table, run: int, history: History) -> int:
        """See Judge."""
        up, record = table.up[run], table.records[run]
        better = np.concatenate([[True], up[1:] > record[:-1]])
        since = np.arange(len(up)) - np.maximum.accumulate(np.where(better, np.arange(len(up)), 0))
        late = since >= self.patience
        return int(np.argmax(late)) + 1 if late.any() else len(up)


class Median(Simple):
    """Stops a run whose best is worse than the median of what the finished runs had at the same time.

    Source: Golovin et al. 2017 (Vizier), in the form of Optuna's MedianPruner.
    """

    def points(self, table: Table, run: int, history: History) -> int:
        """See Judge."""
        count = len(table.runs[run])
        if len(history.runs) < STARTUP:
            return count
        share = table.runs[run].t / table.runs[run].horizon
        others = np.stack([table.up[other][table.at(other, share)] for other in history.runs])
        worse = table.records[run] < np.median(others, axis=0)
        return int(np.argmax(worse)) + 1 if worse.any() else count


@dataclass
class Asha(Simple):
    """Stops a run at a rung unless it is in the best 1 / eta of those that came to it.

    Rungs lie at shares 1 / eta, 1 / eta^2, ... of a run. Runs are not paused: the rule is that of Optuna's
    SuccessiveHalvingPruner.

    Source: Li et al. 2020, "A system for massively parallel hyperparameter tuning".
    """

    eta: int
    rungs: dict[int, list[float]] = field(default_factory=dict)

    def begin(self, table: Table) -> None:
        """See Judge."""
        self.rungs = {}

    def points(self, table: Table, run: int, history: History) -> int:
        """See Judge."""
        places = {int(table.at(run, self.eta**-level)): level for level in range(levels(table, self.eta), 0, -1)}
        for place, level in places.items():
            if place + 1 >= len(table.runs[run]):
                break
            came = self.rungs.setdefault(level, [])
            value = float(table.records[run][place])
            came.append(value)
            kept = max(len(came) // self.eta, 1)
            if value < np.partition(came, len(came) - kept)[len(came) - kept]:
                return place + 1
        return len(table.runs[run])


@dataclass(frozen=True)
class Halving:
    """Successive halving: eta^s runs to the lowest rung, the best 1 / eta of them to the next, and so on; then again.

    Runs are paused, and taken up again; nothing is gone. With `hyperband` brackets begin at each rung in turn.

    Source: Jamieson and Talwalkar 2016; Li et al. 2018 (Hyperband).
    """

    eta: int
    hyperband: bool = False

    def play(self, table: Table, order: np.ndarray, budget: float | None) -> Iterator[Stretch]:
        """See Rule."""
        top, start = levels(table, self.eta), 0
        while start < len(order):
            for low in range(top, -1, -1) if self.hyperband else [top]:
                share = (top + 1) / (low + 1) if self.hyperband else 1.0
                size = math.ceil(share * self.eta**low)
                yield from self._bracket(table, order[start : start + size], low)
                start += size

    def _bracket(self, table: Table, runs: Sequence[int], low: int) -> Iterator[Stretch]:
        done = dict.fromkeys(map(int, runs), 0)
        for level in range(low, -1, -1):
            for run in done:
                last = int(table.at(run, self.eta**-level)) + 1 if level else len(table.runs[run])
                if last > done[run]:
                    yield Stretch(run, done[run], last)
                    done[run] = last
            ranked = sorted(done, key=lambda run: -table.records[run][done[run] - 1])
            done = {run: done[run] for run in ranked[: max(len(ranked) // self.eta, 1)]}


@dataclass(frozen=True)
class Epochs:
    """i-Epoch: trains every run for i points, then the best three of them to their end.

    With a budget it takes as many runs as leave enough for the three.

    Source: Egele et al. 2024, arXiv 2404.04111.
    """

    i: int

    def play(self, table: Table, order: np.ndarray, budget: float | None) -> Iterator[Stretch]:
        """See Rule."""
        done: dict[int, int] = {}
        spent = 0.0
        for run in map(int, order):
            stretch = Stretch(run, 0, min(self.i, len(table.runs[run])))
            spent += cost(table, stretch)
            if budget is not None and done and spent + TOP * (1 - cost(table, stretch)) > budget:
                break
            yield stretch
            done[run] = stretch.last
        for run in sorted(done, key=lambda run: -table.records[run][done[run] - 1])[:TOP]:
            if done[run] < len(table.runs[run]):
                yield Stretch(run, done[run], len(table.runs[run]))


def levels(table: Table, eta: int) -> int:
    """Number of rungs below the whole run: the lowest one is a share of 1 / eta^levels, a point at least."""
    return max(1, int(math.log(table.longest) / math.log(eta) + 1e-9))
