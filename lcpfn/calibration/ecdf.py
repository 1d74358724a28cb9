"""Whether values are uniform on (0, 1): their ECDF less the diagonal, with bands that hold all of it together.

Letters: N values, K steps of (0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lcpfn.frozen import frozen

Array = NDArray[np.float64]

BAND = 0.95  # probability of the bands around what a calibrated belief does
POINTS = 100  # steps of (0, 1) at which an ECDF is judged; more cost time and find little


class Bands(NamedTuple):
    """Where the ECDF of uniform values lies, all points together; arrays are read-only."""

    z: Array  # (K - 1,) between 0 and 1
    lower: Array  # (K - 1,) least share of values up to z
    upper: Array  # (K - 1,) largest such share


@lru_cache(maxsize=64)
def ecdf_bands(n: int, *, level: float = BAND, points: int | None = None) -> Bands:
    """Bands that hold the whole ECDF of n independent uniform values with at least this probability.

    Pointwise binomial intervals, made wide enough together. Their joint probability is exact, not simulated: counts in
    the steps of (0, 1) are Poisson counts given their sum, so it is a chain of truncated convolutions. Bands of 2 to 4
    values exclude nothing at the usual levels: so few cannot show anything.

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
    low, high = 0.0, 1.0  # tails of each point, both together
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
        p: probability that independent uniform values stray as far, at the point where they stray most; exact down to
            about 1e-12, less is 0.
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
    values = checked_shares(values[~np.isnan(values)], "pits")
    n = len(values)
    points = _checked(n, level, points)
    bands = ecdf_bands(n, level=level, points=points)
    counts = np.searchsorted(np.sort(values), bands.z, side="right")
    law = stats.binom(n, bands.z)
    tails = 2 * float(np.minimum(law.cdf(counts), law.sf(counts - 1)).min())
    p = 1.0 - _holds(n, points, *_counts(n, points, tails * (1 + 1e-9))) if tails < 1 else 1.0
    share = counts / n
    return EcdfDifference(
        n,
        level,
        bands.z,
        difference=frozen(share - bands.z, "difference"),
        lower=frozen(bands.lower - bands.z, "lower"),
        upper=frozen(bands.upper - bands.z, "upper"),
        p=float(np.clip(p, 0.0, 1.0)),
    )


def checked_shares(values: Array, name: str) -> Array:
    """The values, all in [0, 1].

    Raises:
        ValueError: one lies outside.
    """
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        bad = values[(values < 0) | (values > 1)][0]
        raise ValueError(f"{name} must lie in [0, 1], got {bad:.4g}; they are probabilities, as of pit(belief, truth)")
    return values


def _checked(n: int, level: float, points: int | None) -> int:
    points = max(2, min(n, POINTS)) if points is None else points
    if n < 2 or points < 2:
        raise ValueError(f"an ECDF needs at least two values and two steps, got {n} and {points}; judge more curves")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}; divide percentages by 100")
    return points


def _counts(n: int, points: int, tails: float) -> tuple[Array, Array]:
    """Least and largest count up to each point whose two pointwise tails together are `tails` at least."""
    lower = np.maximum(stats.binom(n, np.arange(1, points) / points).ppf(tails / 2), 0)
    return lower, n - lower[::-1]


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
