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
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2)
GAPS = (1, 2, 5, 10, 20, 50)
CONTINUOUS = 0.1  # a gap at which Ville's inequality is used as it stands
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
Start = Literal["own", "runs", "higher"]
STARTS = tuple(RATIOS)
Floats = float | NDArray[np.float64]  # one number, or (L,) of them


def threshold(level: float, *, gap: Floats, runs: int, rank: int = 1, start: Start = "runs") -> Floats:
    """The probability of beating the incumbent at or below which a run may be stopped.

    It never exceeds `level`, so that of the stopped runs, too, at most this share would have won.

    Args:
        level: bound on the chance that a run which would have beaten the incumbent is ever stopped, in (0, 1).
        gap: (L,) points between two looks; of a run of more than 100 points as if it had 100.
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
    if not np.all(np.greater(gap, 0)) or rank < 1 or runs < rank:
        raise ValueError(f"gap must be positive, rank 1 or more, runs rank or more, got {gap}, {rank}, {runs}")
    return _at_most(level, _limit(start, level, gap, rank / (runs + 1 - rank)))


def threshold_after(first: float, level: float, *, gap: Floats, cap: float = CAP, start: Start = "own") -> Floats:
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
    if not np.all(np.greater(gap, 0)) or not 0 <= first <= 1 or not 0 < cap <= 1:
        raise ValueError(f"gap must be positive, first and cap probabilities, got {gap}, {first}, {cap}")
    highest = max(level, cap)
    if first == 1:
        return np.full(np.shape(gap), highest) if np.ndim(gap) else highest
    return _at_most(highest, _limit(start, level, gap, first / (1 - first)))


def threshold_by(
    start: Start, level: float, *, gap: Floats, runs: int, rank: int = 1, own: float | None = None, cap: float = CAP
) -> Floats:
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
    if start == "runs":
        return threshold(level, gap=gap, runs=runs, rank=rank, start=start)
    if own is None:
        raise ValueError(f"start {start!r} needs the run's own probability after its first point, got none")
    after = threshold_after(own, level, gap=gap, cap=cap, start=start)
    if start == "own":
        return after
    among = threshold(level, gap=gap, runs=runs, rank=rank, start=start)
    return np.maximum(among, after) if np.ndim(gap) else max(float(among), float(after))


def _at_most(highest: float, limit: Floats) -> Floats:
    return np.minimum(highest, limit) if np.ndim(limit) else min(highest, float(limit))


def _limit(start: Start, level: float, gap: Floats, prior_odds: float) -> Floats:
    odds = level * ratio(start, level, gap) * prior_odds
    return odds / (1 + odds)


def ratio(start: Start, level: float, gap: Floats) -> Floats:
    """By how much the factor on the prior odds may exceed `level`; between the stored ones on logarithmic scales."""
    columns = [math.log(each) for each in (LEVELS[0] / 100, *LEVELS)]  # far below the lowest: Ville's inequality
    rows = [np.interp(math.log(level), columns, [0.0, *np.log(row)]) for row in RATIOS[start]]
    at = [math.log(each) for each in (CONTINUOUS, *GAPS)]
    found = np.exp(np.interp(np.log(gap), at, [0.0, *rows]))
    return found if np.ndim(gap) else float(found)
