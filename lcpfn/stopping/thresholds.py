"""The threshold that makes `level` the chance of ever stopping a run that would have beaten the incumbent.

Let p be the probability, after some points, that the run beats the incumbent, and p0 the one before the first point.
Given that it does, the likelihood ratio (1 - p) / p * p0 / (1 - p0) is a martingale of mean 1, if beliefs are right. By
Ville's inequality it ever exceeds 1 / level with probability `level` at most. So the rule

    odds of p <= level * prior odds

keeps its promise however often one looks. Prior odds are those that the engine itself gave the run after its first
point: nothing is assumed of other runs (start "own"). Or, with `n` runs behind it and all orders equally likely, the
next run beats the k-th best of them with prior odds k / (n + 1 - k) (start "runs"). An engine that does not know that
the incumbent is the best of many begins far above that, and has a long way down; one that saw a bad first point begins
below. Start "higher" takes the higher of both; the inequality then bounds the chance by 2 level alone, and the rest is
left to what follows. The inequality is not tight, as a belief jumps past the threshold, and the further, the more
points lie between two looks. How much larger the factor may be than `level` is found by simulation of each start, and
stored in RATIOS. The number of looks matters little beside that, and the inequality takes any.

All of this is about curves of the prior that the engine was trained on, and about runs in an order that says nothing of
their quality. On other curves, measure it: `Stopper(audit=0.05)`.

Comparing p with `level` itself at every look has another meaning: it bounds the share of winners among the stopped
runs, not the share of stopped runs among the winners, which then grows with n beyond one half.

Source: Ville 1939; Ramdas et al. 2023, Game-theoretic statistics and safe anytime-valid inference, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lcpfn.metric import Metric

Array = NDArray[np.float64]

LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2)
GAPS = (1, 2, 5, 10, 20, 50)
CONTINUOUS = 0.1  # a gap at which Ville's inequality is used as it stands
LARGEST = 100.0  # ratio that is stored
CAP = 0.2  # highest probability of winning at which a run is stopped, chosen by benchmarks/stopping/search.py
Factors = tuple[tuple[float, ...], ...]
# Factor over level by where prior odds are from: the first point, the runs behind it, or the higher of both; of each,
# by gap (rows) and level (columns): python benchmarks/stopping/levels.py
RATIOS: Mapping[str, Factors] = {
    "own": (
        (1.62, 1.74, 1.6, 1.62, 1.61),
        (1.95, 2.05, 1.97, 2.0, 1.8),
        (3.3, 3.52, 3.08, 3.58, 4.41),
        (4.53, 5.31, 6.56, 7.15, 11.52),
        (8.34, 11.87, 11.73, 16.94, 33.06),
        (30.27, 32.06, 54.05, 100.0, 100.0),
    ),
    "runs": (
        (1.34, 1.35, 1.73, 2.22, 2.64),
        (1.75, 1.62, 1.95, 2.66, 3.43),
        (2.6, 3.63, 5.42, 7.75, 11.65),
        (4.07, 7.05, 10.39, 16.26, 29.13),
        (12.15, 26.54, 30.17, 41.54, 68.18),
        (87.7, 81.0, 100.0, 100.0, 100.0),
    ),
    "higher": (
        (1.08, 1.04, 1.06, 1.1, 1.28),
        (1.14, 1.21, 1.25, 1.33, 1.5),
        (2.23, 2.09, 2.4, 2.74, 3.77),
        (3.41, 3.97, 4.82, 6.26, 9.76),
        (7.68, 10.68, 10.99, 14.07, 25.34),
        (29.05, 31.93, 45.23, 78.02, 100.0),
    ),
}
STARTS = tuple(RATIOS)


class Replayer(Protocol):
    """An engine that believes after every prefix in one pass, as `lcpfn.PFN`."""

    def replay(self, y: Any, t_query: Any = None, *, kind: str, metric: Metric | None) -> Any:
        """Returns the beliefs after every prefix, as `PFN.replay` does."""


def threshold(level: float, *, gap: float, runs: int, rank: int = 1, start: str = "runs") -> float:
    """The probability of beating the incumbent at or below which a run may be stopped.

    It never exceeds `level`, so that of the stopped runs, too, at most this share would have won.

    Args:
        level: bound on the chance that a run which would have beaten the incumbent is ever stopped, in (0, 1).
        gap: points between two looks; of a run of more than 100 points as if it had 100.
        runs: how many runs are over, `rank` or more.
        rank: the incumbent is the best but rank - 1 of them.
        start: whose factors, of RATIOS.

    Raises:
        ValueError: if an argument is outside of its range.

    Example:
        >>> [round(threshold(0.05, gap=1, runs=n), 4) for n in (1, 10, 50)]
        [0.05, 0.0086, 0.0017]
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}; divide percentages by 100")
    if not gap > 0 or rank < 1 or runs < rank:
        raise ValueError(f"gap must be positive, rank 1 or more, runs rank or more, got {gap}, {rank}, {runs}")
    return min(level, _limit(start, level, gap, rank / (runs + 1 - rank)))


def threshold_after(first: float, level: float, *, gap: float, cap: float = CAP, start: str = "own") -> float:
    """The same for a run that the engine gave the probability `first` after its first point.

    A run that began as the likely winner may lose much before it counts as lost; the threshold never exceeds `cap`, or
    `level` where that is higher, so that no run is stopped which is still quite likely to win. The factors are those
    of `start`.

    Raises:
        ValueError: if an argument is outside of its range.

    Example:
        >>> [round(threshold_after(first, 0.05, gap=1), 4) for first in (0.02, 0.2, 0.8)]
        [0.0016, 0.0196, 0.2]
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}; divide percentages by 100")
    if not gap > 0 or not 0 <= first <= 1 or not 0 < cap <= 1:
        raise ValueError(f"gap must be positive, first and cap probabilities, got {gap}, {first}, {cap}")
    highest = max(level, cap)
    return highest if first == 1 else min(highest, _limit(start, level, gap, first / (1 - first)))


def threshold_by(
    start: str, level: float, *, gap: float, runs: int, rank: int = 1, own: float | None = None, cap: float = CAP
) -> float:
    """The threshold by where prior odds are from: `threshold`, `threshold_after`, or the higher of both.

    Args:
        start: one of STARTS.
        level: as for `threshold`.
        gap: as for `threshold`.
        runs: as for `threshold`.
        rank: as for `threshold`.
        own: the probability after the run's first point; not needed for start "runs".
        cap: as for `threshold_after`.

    Raises:
        ValueError: if an argument is outside of its range.
    """
    among = threshold(level, gap=gap, runs=runs, rank=rank, start=start) if start != "own" else 0.0
    if start == "runs":
        return among
    if own is None:
        raise ValueError(f"start {start!r} needs the run's own probability after its first point, got none")
    return max(among, threshold_after(own, level, gap=gap, cap=cap, start=start))


def _limit(start: str, level: float, gap: float, prior_odds: float) -> float:
    odds = level * ratio(start, level, gap) * prior_odds
    return odds / (1 + odds)


def ratio(start: str, level: float, gap: float) -> float:
    """By how much the factor on the prior odds may exceed `level`; between the stored ones on logarithmic scales."""
    columns = [math.log(each) for each in (LEVELS[0] / 100, *LEVELS)]  # far below the lowest: Ville's inequality
    rows = [np.interp(math.log(level), columns, [0.0, *np.log(row)]) for row in RATIOS[start]]
    at = [math.log(each) for each in (CONTINUOUS, *GAPS)]
    return float(np.exp(np.interp(math.log(gap), at, [0.0, *rows])))


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
