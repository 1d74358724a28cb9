"""Searches that are replayed: the measured runs of a task in one metric, and what training them costs.

Letters: T points of a run, N runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from data.curve import RealCurve
from real import cases

from lcpfn.metric import Metric

LEAST_RUNS = 20
LONGEST = 51  # points of a run that are looked at; the networks take 100
LEAST_LENGTH = 0.5  # of the median run's last time; what ended before that was cut off, nobody knows why
GOOD_QUANTILE = 0.95
GOOD = "taskset_good"  # the curves of TaskSet that Deep Power Laws and LC-PFN keep
REFITS = ("lcdb10", "lcdb11")  # each point is a model of its own, trained from the start
LEFT_OUT = {
    "mlperf_training": "a run ends where it reaches the target, which nobody knows before",
    "openlm_scaling": "each point is another model, and so is each run",
}


@dataclass(frozen=True, eq=False)
class Run:
    """A run as far as it can be trained.

    Attributes:
        t: (T,) times as `lcpfn.stopping.policy.Policy` counts them, the first step at 1 or later.
        y: (T,) finite values.
        work: (T,) what training to each point costs, in whole runs: the last one is 1 unless the run diverged.
        diverged: it ends before its time, with a value that is not finite.
        horizon: time at which it was to end.
        name: of the run.
    """

    t: np.ndarray
    y: np.ndarray
    work: np.ndarray
    diverged: bool
    horizon: float
    name: str = ""

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True, eq=False)
class Table:
    """All runs of a task in one metric.

    Attributes:
        source: of the runs.
        task: its name.
        name: of the metric.
        metric: direction and bounds.
        runs: N of them.
        first_step: of `Policy`: 0 where runs begin with an evaluation at 0.
    """

    source: str
    task: str
    name: str
    metric: Metric
    runs: Sequence[Run]
    first_step: int = 1

    @cached_property
    def up(self) -> list[np.ndarray]:
        """(T,) for each run: sign * y, which improves upward."""
        return [self.metric.sign * run.y for run in self.runs]

    @cached_property
    def records(self) -> list[np.ndarray]:
        """(T,) for each run: its best so far, upward."""
        return [np.maximum.accumulate(x) for x in self.up]

    @cached_property
    def finals(self) -> np.ndarray:
        """(N,) the best of each run, upward."""
        return np.array([record[-1] for record in self.records])

    @cached_property
    def longest(self) -> int:
        """Points of the longest run."""
        return max(map(len, self.runs))

    @cached_property
    def unit(self) -> float:
        """What a regret of 1 is: by how much the median run's best falls short of the best of all; 0 if it does not."""
        return float(self.finals.max() - np.median(self.finals))

    def regret(self, best: np.ndarray, *, top: float | None = None) -> np.ndarray:
        """What upward values fall short of the best run (or of `top`), in units of `unit`, 1 at most."""
        top = float(self.finals.max()) if top is None else top
        with np.errstate(invalid="ignore", over="ignore"):
            return np.clip((top - best) / self.unit, 0.0, 1.0)

    def at(self, run: int, share: np.ndarray | float) -> np.ndarray:
        """The place of a run's last point at or before a share of its horizon; its first point if there is none."""
        shares = self.runs[run].t / self.runs[run].horizon
        return np.maximum(np.searchsorted(shares, np.asarray(share) + 1e-9, side="right") - 1, 0)

    def orders(self, count: int, *, seed: int) -> list[np.ndarray]:
        """Random orders of the runs, a stream of their own for each table."""
        draw = cases.stream(seed, "orders", self.source, self.task, self.name)
        return [draw.permutation(len(self.runs)) for _ in range(count)]


def tables(source: str, curves: Iterable[RealCurve]) -> Iterator[Table]:
    """The tables of a source that has enough runs of a task, in which there is something to choose.

    Args:
        source: a name of `curves.sources()`, or GOOD.
        curves: of it.
    """
    groups: dict[tuple[str, str, Metric], list[RealCurve]] = {}
    for curve in curves:
        groups.setdefault((curve.task, curve.name, curve.metric), []).append(curve)
    for (task, name, metric), members in sorted(groups.items(), key=lambda item: (*item[0][:2], repr(item[0][2]))):
        if source == GOOD:
            members = good(members)
        ends = np.median([curve.t[-1] for curve in members])
        members = [curve for curve in members if curve.t[-1] >= LEAST_LENGTH * ends]
        first_step = 0 if min(curve.t[0] for curve in members) < 1 else 1
        made = [run(curve, first_step=first_step) for curve in members]
        table = Table(source, task, name, metric, [each for each in made if each is not None], first_step)
        if len(table.runs) >= LEAST_RUNS and table.unit > 0:
            yield table


def run(curve: RealCurve, *, first_step: int = 1) -> Run | None:
    """A curve as a run: up to the first value that is not finite, where anybody's loop would end; None if that is all.

    Of more than LONGEST points as many are kept, evenly by rank, the first and the last among them.
    """
    kept = np.unique(np.round(np.linspace(0, len(curve) - 1, min(LONGEST, len(curve)))).astype(int))
    t, y = curve.t[kept] - first_step + 1.0, curve.y[kept]
    finite = np.isfinite(y)
    count = len(y) if finite.all() else int(np.argmin(finite))
    if not count:
        return None
    work = np.cumsum(t) if curve.source in REFITS else t
    return Run(t[:count], y[:count], work[:count] / work[-1], count < len(y), float(t[-1]), curve.run)


def good(members: Sequence[RealCurve]) -> list[RealCurve]:
    """Curves of one grid without values that are not finite, or above the smallest of the quantiles at each point.

    Source: the filter of Deep Power Laws (Kadra et al. 2023), which LC-PFN takes over.
    """
    finite = [curve for curve in members if np.isfinite(curve.y).all()]
    worst = np.quantile(np.stack([curve.y for curve in finite]), GOOD_QUANTILE, axis=0).min()
    return [curve for curve in finite if (curve.y <= worst).all()]
