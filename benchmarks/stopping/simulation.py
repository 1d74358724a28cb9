"""Runs that would have become the best, drawn from curves of one law: how often would a rule have stopped them?

`lcpfn.stopping.thresholds` keeps the factors that `calibrated` finds here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lcpfn.metric import Metric
from lcpfn.stopping.thresholds import CAP, GAPS, LEVELS, Factors, threshold_by

Array = NDArray[np.float64]
LARGEST = 100.0  # ratio that is stored


class Replayer(Protocol):
    """An engine that believes after every prefix in one pass, as `lcpfn.PFN`."""

    def replay(self, y: Any, t_query: Any = None, *, kind: str, metric: Metric | None) -> Any:
        """Returns the beliefs after every prefix, as `PFN.replay` does."""


@dataclass(frozen=True, eq=False)
class Winners:
    """Runs of a prior that beat their incumbent, and how close each came to being stopped.

    Attributes:
        runs: (W,) number of runs that the incumbent is the best of.
        p: (W, T) probability of beating it after 0 to T - 1 points, 1 once it is beaten.
    """

    runs: NDArray[np.int64]
    p: Array

    def lowest(self, start: str, *, every: int = 1, first: int = 2) -> Array:
        """(W,) the lowest ratio of odds to prior odds that a look at every `every`-th point from `first` on saw."""
        p = self.p[:, _looks(self.p.shape[1], every, first)].min(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = {"own": self.p[:, 1] / (1 - self.p[:, 1]), "runs": 1 / self.runs}
            odds["higher"] = np.maximum(odds["own"], odds["runs"])
            ratios = p / (1 - p) / odds[start]
        return np.where(np.isnan(ratios), np.inf, ratios)  # it was never in doubt

    def false_stops(
        self, start: str, level: float, *, every: int = 1, first: int = 2, spend: bool = True, cap: float = CAP
    ) -> NDArray[np.bool_]:
        """(W,) whether the rule `best` would ever stop it; without `spend`, with `level` itself at each look."""
        columns = _looks(self.p.shape[1], every, first)
        bar = np.full(len(self.runs), level)
        if spend:
            pairs = zip(self.runs.tolist(), self.p[:, 1].tolist())
            bar = np.array([threshold_by(start, level, gap=every, runs=n, own=own, cap=cap) for n, own in pairs])
        return np.asarray(self.p[:, columns].min(axis=1) <= bar)


def winners(
    engine: Replayer,
    y: Array,
    *,
    metric: Metric,
    runs: Sequence[int] = (1, 4, 16, 64),
    each: int = 750,
    generator: np.random.Generator,
) -> Winners:
    """Winners drawn from curves of one law: for each number of runs, a run given that it beats the best of so many.

    Args:
        engine: whose beliefs are judged.
        y: (N, T) whole curves, at times 1..T; many, as the best of 64 is a rare thing.
        metric: of y.
        runs: numbers of runs.
        each: winners for each of them.
        generator: what draws them.
    """
    count, end = y.shape
    up = metric.sign * y
    order = np.argsort(up.max(axis=1), kind="stable")
    counts, chances = [], []
    for n in runs:
        # The share of runs that are worse than a winner against n is Beta(n + 1, 1); the best of n worse ones likewise.
        u = generator.random(each) ** (1 / (n + 1))
        v = u * generator.random(each) ** (1 / n)
        winner = np.clip((u * count).astype(int), 1, count - 1)
        beaten = np.minimum((v * count).astype(int), winner - 1)
        curves, bar = up[order[winner]], up[order[beaten]].max(axis=1)
        belief = engine.replay(metric.sign * curves, end, kind="best", metric=metric).belief
        p = belief.prob_better(metric.sign * bar[:, None, None])[:, :end, 0]
        sofar = np.maximum.accumulate(curves, axis=1)[:, : end - 1]
        p[:, 1:] = np.where(sofar > bar[:, None], 1.0, p[:, 1:])
        counts.append(np.full(each, n))
        chances.append(p)
    return Winners(np.concatenate(counts), np.concatenate(chances))


def calibrated(found: Sequence[Winners], start: str, *, first: int = 2) -> Factors:
    """The factors of RATIOS for a start from simulated winners, one batch for each length, of 100 points at most.

    Each entry is the quantile of the lowest ratio at `level`, over level: the smallest one over lengths and numbers of
    runs, so that the promise holds for each of them; 1 at least, which is Ville's inequality.
    """
    table = []
    for gap in GAPS:
        groups = []
        for batch in found:
            if _looks(batch.p.shape[1], gap, first):
                lowest = batch.lowest(start, every=gap, first=first)
                groups += [np.sort(lowest[batch.runs == n]) for n in np.unique(batch.runs)]
        row = []
        for level in LEVELS:
            ratios = [group[max(int(level * len(group)) - 1, 0)] / level for group in groups]
            row.append(round(float(np.clip(min(ratios, default=LARGEST), 1.0, LARGEST)), 2))
        table.append(tuple(row))
    return tuple(table)


def _looks(end: int, every: int, first: int) -> list[int]:
    """Numbers of points after which a run of `end` points is judged."""
    return [points for points in range(first, end) if points % every == 0]
