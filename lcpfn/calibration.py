"""Whether beliefs mean what they say: PIT values, simultaneous bands, coverage, reliability, sharpness.

Letters: B curves, C cut-offs, Q queries of one curve. NaN marks an answer that nobody can judge, and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lcpfn.belief import Belief
from lcpfn.frozen import frozen

Array = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.9, 0.95)  # of central intervals
BAND = 0.95  # probability of the bands around what a calibrated belief does
POINTS = 100  # steps of (0, 1) at which an ECDF is judged; more cost time and find little


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
    chosen = np.take_along_axis(values, order.argmin(axis=1)[:, None], axis=1)[:, 0]
    return chosen[~np.isnan(chosen)]


class Bands(NamedTuple):
    """Where the ECDF of uniform values lies, all points together."""

    z: Array  # (K - 1,) between 0 and 1
    lower: Array  # (K - 1,) least and largest share of values up to z
    upper: Array


@lru_cache(maxsize=64)
def ecdf_bands(n: int, *, level: float = BAND, points: int | None = None) -> Bands:
    """Bands that hold the whole ECDF of n independent uniform values with at least this probability.

    Pointwise binomial intervals, made wide enough together. Their joint probability is exact, not simulated: counts in
    the steps of (0, 1) are Poisson counts given their sum, so it is a chain of truncated convolutions.

    Args:
        n: number of values.
        level: probability, between 0 and 1.
        points: steps K of (0, 1); None: n, but POINTS at most.

    Raises:
        ValueError: n or points are too small, or level is not between 0 and 1.

    Source:
        Säilynoja, Bürkner, Vehtari 2022, "Graphical test for discrete uniformity and its applications in goodness of
        fit evaluation and multiple sample comparison", section 2.

    Example:
        >>> bands = ecdf_bands(100)
        >>> bands.z[49], bands.lower[49], bands.upper[49]
        (np.float64(0.5), np.float64(0.36), np.float64(0.64))
    """
    points = _checked(n, level, points)
    low, high = 0.0, 1.0 - level  # each point's own tails, both: with that much the first point alone would leave
    for _ in range(40):
        middle = (low + high) / 2
        if _holds(n, points, *_counts(n, points, middle)) >= level:
            low = middle
        else:
            high = middle
    lower, upper = _counts(n, points, low)
    z = np.arange(1, points) / points
    return Bands(*(frozen(part, "bands") for part in (z, lower / n, upper / n)))


@dataclass(frozen=True, eq=False)
class EcdfDifference:
    """The ECDF of values that should be uniform, less the diagonal, with the bands of `ecdf_bands`.

    Attributes:
        n: number of values.
        level: probability of the bands.
        z: (K - 1,) where it is judged.
        difference: (K - 1,) ECDF(z) - z. Above 0 on the left and below on the right: the beliefs are too narrow; above
            everywhere: they are too high.
        lower: (K - 1,) of the bands, less z.
        upper: (K - 1,) of the bands, less z.
        p: probability that independent uniform values stray as far, at the point where they stray most.
    """

    n: int
    level: float
    z: Array
    difference: Array
    lower: Array
    upper: Array
    p: float

    @property
    def inside(self) -> bool:
        """Whether the whole ECDF lies within the bands."""
        rounding = 1e-9
        return bool(np.all((self.lower - rounding <= self.difference) & (self.difference <= self.upper + rounding)))


def ecdf_difference(pits: ArrayLike, *, level: float = BAND, points: int | None = None) -> EcdfDifference:
    """How far the ECDF of PIT values is from the diagonal, with simultaneous bands and a p value.

    Args:
        pits: (N,) values that are independent: one of each curve, see `one_each`. NaN is left out.
        level: probability of the bands.
        points: steps of (0, 1); None: N, but POINTS at most.

    Raises:
        ValueError: there are fewer than two values, they have more than one axis, or lie outside [0, 1].

    Source:
        Säilynoja, Bürkner, Vehtari 2022.
    """
    values = np.asarray(pits, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(
            f"pits must be (N,), got shape {values.shape}; values of one curve are not independent: take one of each "
            "with one_each(pits, generator=...)"
        )
    values = _shares(values[~np.isnan(values)], "pits")
    n = len(values)
    points = _checked(n, level, points)
    bands = ecdf_bands(n, level=level, points=points)
    counts = np.searchsorted(np.sort(values), bands.z, side="right")
    law = stats.binom(n, bands.z)
    tails = 2 * float(np.minimum(law.cdf(counts), law.sf(counts - 1)).min())
    p = 1.0 - _holds(n, points, *_counts(n, points, tails * (1 + 1e-9))) if tails < 1 else 1.0
    share = counts / n
    parts = (frozen(part, "ecdf") for part in (share - bands.z, bands.lower - bands.z, bands.upper - bands.z))
    return EcdfDifference(n, level, bands.z, *parts, float(np.clip(p, 0.0, 1.0)))


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
    is binomial, else it is the level plus or minus the standard error over curves times Student's quantile.

    Args:
        pits: (B,), (B, Q), or with cuts (C, B, Q); NaN is left out.
        levels: of the intervals, between 0 and 1.
        cuts: names of the first axis, the points seen.
        band: probability of the bands.

    Raises:
        ValueError: shapes do not fit, a level is not between 0 and 1, values lie outside [0, 1], or fewer than two
            curves have a value at some cut-off.

    Source:
        Cluster standard errors: Liang and Zeger 1986.
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
    _shares(values[~np.isnan(values)], "pits")
    cells = []
    for level in levels:
        inside = np.where(np.isnan(values), np.nan, np.abs(values - 0.5) <= level / 2)
        parts = [(None, np.swapaxes(inside, 0, 1).reshape(values.shape[1], -1))]
        parts += [] if cuts is None else [(int(cut), part) for cut, part in zip(cuts, inside)]
        cells += [_cell(level, cut, part, band) for cut, part in parts]
    return tuple(cells)


def _cell(level: float, cut: int | None, inside: Array, band: float) -> Coverage:
    """One entry of the table, from (B, M) of 0, 1 and NaN."""
    asked = (~np.isnan(inside)).sum(axis=1)
    votes = np.nansum(inside, axis=1)[asked > 0] / asked[asked > 0]
    n = len(votes)
    if n < 2:
        raise ValueError(
            f"coverage needs two curves with a PIT value, got {n} at cut-off {cut}; leave that cut-off out"
        )
    mean, se = float(votes.mean()), float(votes.std(ddof=1) / np.sqrt(n))
    if asked.max() == 1:
        lower, upper = (float(stats.binom.ppf((1 + side * band) / 2, n, level) / n) for side in (-1, 1))
    else:  # votes that all agree have no spread: then that of one answer a curve, the largest possible
        spread = (se or np.sqrt(level * (1 - level) / n)) * float(stats.t.ppf((1 + band) / 2, n - 1))
        lower, upper = max(0.0, float(level - spread)), min(1.0, float(level + spread))
    return Coverage(float(level), cut, n, mean, se, lower, upper)


def sharpness(belief: Belief, *, level: float = 0.9) -> float:
    """Mean width of the central intervals, in units of y: of two calibrated beliefs the sharper one is better.

    Raises:
        ValueError: level is not between 0 and 1.

    Source:
        Gneiting, Balabdaoui, Raftery 2007, section 3.4.
    """
    return float(np.nanmean(np.diff(belief.interval(level), axis=-1)))


def _checked(n: int, level: float, points: int | None) -> int:
    points = max(2, min(n, POINTS)) if points is None else points
    if n < 2 or points < 2:
        raise ValueError(f"an ECDF needs at least two values and two steps, got {n} and {points}; judge more curves")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}; divide percentages by 100")
    return points


def _shares(values: Array, name: str) -> Array:
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        bad = values[(values < 0) | (values > 1)][0]
        raise ValueError(f"{name} must lie in [0, 1], got {bad:.4g}; they are probabilities, as of pit(belief, truth)")
    return values


def _counts(n: int, points: int, tails: float) -> tuple[Array, Array]:
    """Least and largest count up to each point whose two pointwise tails together are `tails` at least."""
    law = stats.binom(n, np.arange(1, points) / points)
    return np.maximum(law.ppf(tails / 2), 0), law.isf(tails / 2)


def _holds(n: int, points: int, lower: Array, upper: Array) -> float:
    """The probability that all counts of n uniform values lie within bounds, ends included."""
    step = stats.poisson.pmf(np.arange(n + 1), n / points)
    step = step[: 1 + int(np.flatnonzero(step > 0).max())]
    reached, first = np.ones(1), 0  # probabilities of the counts first, first + 1, ...
    for least, most in zip((*lower, n), (*upper, n)):
        whole = np.convolve(reached, step)
        start, end = int(max(least, first)) - first, int(most) - first + 1
        reached, first = whole[start:end], first + start
        if not reached.size:
            return 0.0
    return float(reached[0] / stats.poisson.pmf(n, n))
