"""How often the truth lay where beliefs said: PIT values, shares inside central intervals, widths of intervals.

Letters: B curves, C cut-offs, Q queries of one curve. NaN marks an answer that nobody can judge, and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lcpfn.belief import Belief
from lcpfn.calibration.ecdf import BAND, checked_shares

Array = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.9, 0.95)  # of central intervals


def pit(belief: Belief, truth: ArrayLike) -> Array:
    """The probability integral transform: cdf of the truth, uniform on (0, 1) if the beliefs are calibrated.

    Values of one curve at several times depend on each other; those of different curves do not. Laws here have a
    density, so nothing has to be randomised.

    Args:
        belief: batch (...).
        truth: what happened, broadcasts against the batch; NaN where it is not known.

    Source:
        Dawid 1984; Gneiting, Balabdaoui, Raftery 2007, section 3.1.
    """
    return np.asarray(belief.cdf(truth), dtype=np.float64)


def one_each(values: ArrayLike, *, generator: np.random.Generator) -> Array:
    """(N,) one value of each curve, taken at random, so that they are independent; curves without any are left out.

    Args:
        values: (B, Q), NaN where there is none.
        generator: takes them.

    Raises:
        ValueError: values do not have two axes.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"values must be (B, Q), a row for each curve, got shape {values.shape}; add the missing axis")
    order = np.where(np.isnan(values), np.inf, generator.random(values.shape))
    if not values.size:
        return np.empty(0)
    chosen = values[np.arange(len(values)), order.argmin(axis=1)]
    return np.asarray(chosen[~np.isnan(chosen)])


@dataclass(frozen=True)
class Coverage:
    """How often the truth lay in central intervals of one level.

    Attributes:
        level: of the intervals: what the share should be.
        cut: points that were seen; None: all cut-offs together.
        curves: how many were judged.
        mean: share inside, of 1.
        se: its standard error over curves.
        lower: least share that a calibrated belief shows, with probability BAND between lower and upper.
        upper: largest such share.
    """

    level: float
    cut: int | None
    curves: int
    mean: float
    se: float
    lower: float
    upper: float

    @property
    def inside(self) -> bool:
        """Whether the share lies within the band."""
        return self.lower <= self.mean <= self.upper


def coverage(
    pits: ArrayLike, *, levels: Sequence[float] = LEVELS, cuts: Sequence[int] | None = None, band: float = BAND
) -> tuple[Coverage, ...]:
    """How often the truth lay in central intervals, for each level: all cut-offs together first, then one by one.

    A curve is one vote, however often it was asked: its answers depend on each other. With one answer a curve the band
    is binomial, else it is the level plus or minus Student's quantile times the error that calibrated answers would
    have, which depend on each other as much as these do (rough for less than some fifty curves).

    Args:
        pits: (B,), (B, Q), or with cuts (C, B, Q); NaN is left out.
        levels: of the intervals, between 0 and 1.
        cuts: names of the first axis, the points seen.
        band: probability of the bands.

    Raises:
        ValueError: shapes do not fit, a level is not between 0 and 1, values lie outside [0, 1], or fewer than two
            curves have a value at some cut-off.

    Source:
        Shares of clustered answers, with the design effect as a ratio of variances: Rao and Scott 1992.
    """
    values = np.asarray(pits, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    values = values[None] if cuts is None else values
    if values.ndim != 3 or (cuts is not None and len(cuts) != len(values)):
        wanted = "(B,) or (B, Q)" if cuts is None else f"(C, B, Q) with C = {len(cuts)} cuts"
        raise ValueError(f"pits must be {wanted}, got shape {np.shape(pits)}; give cuts if the first axis is theirs")
    for level in (*levels, band):
        if not 0 < level < 1:
            raise ValueError(f"levels must lie between 0 and 1, got {level!r}; divide percentages by 100")
    checked_shares(values[~np.isnan(values)], "pits")
    cells = []
    for level in levels:
        inside = np.where(np.isnan(values), np.nan, np.abs(values - 0.5) <= level / 2)
        cells.append(_cell(level, None, np.swapaxes(inside, 0, 1).reshape(values.shape[1], -1), band))
        cells += [_cell(level, int(cut), part, band) for cut, part in zip(() if cuts is None else cuts, inside)]
    return tuple(cells)


def _cell(level: float, cut: int | None, inside: Array, band: float) -> Coverage:
    """One entry of the table, from (B, M) of 0, 1 and NaN."""
    asked = (~np.isnan(inside)).sum(axis=1)
    votes = np.nansum(inside, axis=1)[asked > 0] / asked[asked > 0]
    n = len(votes)
    if n < 2:
        where = "" if cut is None else f" at cut-off {cut}"
        raise ValueError(f"coverage needs two curves with a PIT value, got {n}{where}; judge more curves")
    mean, se = float(votes.mean()), float(votes.std(ddof=1) / np.sqrt(n))
    if asked.max() == 1:
        lower, upper = (float(stats.binom.ppf((1 + side * band) / 2, n, level) / n) for side in (-1, 1))
    else:
        # Var(vote) = level (1 - level) share: share is 1 if all answers of a curve agree, 1 / asked if they are
        # independent. Taken from the votes, around their own mean; votes that all agree do not tell it.
        share = votes.var(ddof=1) / (mean * (1 - mean)) if 0 < mean < 1 else 1.0
        share = float(np.clip(share, 1 / asked[asked > 0].mean(), 1.0))
        spread = float(np.sqrt(level * (1 - level) * share / n) * stats.t.ppf((1 + band) / 2, n - 1))
        lower, upper = max(0.0, float(level - spread)), min(1.0, float(level + spread))
    return Coverage(float(level), cut, n, mean, se, lower, upper)


def sharpness(belief: Belief, *, level: float = 0.9) -> float:
    """Mean width of the central intervals, in units of y: of two calibrated beliefs the sharper one is better.

    Args:
        belief: batch (...).
        level: of the intervals.

    Raises:
        ValueError: level is not between 0 and 1.

    Source:
        Gneiting, Balabdaoui, Raftery 2007, section 3.4.
    """
    return float(np.nanmean(np.diff(belief.interval(level), axis=-1)))
