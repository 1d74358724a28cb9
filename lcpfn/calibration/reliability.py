"""Whether probabilities of events come true: reliability diagram, Brier score and its parts.

Letters: N events, M bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lcpfn.frozen import frozen

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often events of a said probability happened.

    brier == miscalibration - resolution + uncertainty + within.

    Attributes:
        edges: (M + 1,) of the bins.
        count: (M,) events in each bin; bins without any hold NaN below.
        said: (M,) mean probability.
        happened: (M,) share that happened.
        lower: (M,) least share that calibrated probabilities show, each bin on its own, with probability `level`.
        upper: (M,) largest such share.
        level: probability of the bands.
        brier: mean squared distance of probability and outcome; lower is better.
        miscalibration: the part of it that a better calibration would save ("reliability" in Murphy 1973).
        resolution: how far the bins' shares are from the overall one; higher is better.
        uncertainty: Brier score of always saying the overall share.
        within: what the width of the bins leaves unexplained.
        error: expected calibration error, mean distance of said and happened over events.
        p: two-sided, of the test that the Brier score is what the probabilities themselves promise. It looks along
            one direction, over- or underconfidence, and sees that in fewer events than the bins do. Approximate: it
            needs some ten events that were in doubt, between 0.1 and 0.9 say.
    """

    edges: Array
    count: Array
    said: Array
    happened: Array
    lower: Array
    upper: Array
    level: float
    brier: float
    miscalibration: float
    resolution: float
    uncertainty: float
    within: float
    error: float
    p: float

    @property
    def inside(self) -> bool:
        """Whether p says that over- or underconfidence is within what chance does, at the level of the bands."""
        return self.p >= 1 - self.level


def reliability(probability: ArrayLike, happened: ArrayLike, *, bins: int = 10, level: float = 0.95) -> Reliability:
    """How often events happened, against the probability that was said.

    Bands and p value take events for independent: give one of each curve.

    Args:
        probability: (N,) said before, in [0, 1].
        happened: (N,) 0 or 1, False or True.
        bins: number of equal bins of [0, 1].
        level: probability of each bin's band.

    Raises:
        ValueError: shapes differ, there is no event, or values are no probabilities and no outcomes.

    Source:
        Murphy 1973; Stephenson, Coelho, Jolliffe 2008 (the part within bins); Bröcker and Smith 2007 (bands around
        the diagonal); Spiegelhalter 1986 (the test); Naeini, Cooper, Hauskrecht 2015 (expected calibration error).

    Example:
        >>> told = reliability([0.1, 0.1, 0.9, 0.9], [False, False, True, True], bins=2)
        >>> round(told.brier, 3), round(told.error, 3), round(told.uncertainty, 3)
        (0.01, 0.1, 0.25)
    """
    p, x = np.asarray(probability, dtype=np.float64), np.asarray(happened, dtype=np.float64)
    if p.ndim != 1 or p.shape != x.shape or not len(p):
        raise ValueError(f"probability and happened must be (N,) of one length, got {p.shape} and {x.shape}; flatten")
    if not np.all((p >= 0) & (p <= 1)):
        where = int(np.argmin((p >= 0) & (p <= 1)))
        raise ValueError(f"probability must lie in [0, 1], got {p[where]:.4g} at event {where}; leave out missing ones")
    if not np.all((x == 0) | (x == 1)):
        where = int(np.argmin((x == 0) | (x == 1)))
        raise ValueError(f"happened must be 0 or 1, got {x[where]:.4g} at event {where}; compare with the threshold")
    if bins < 1 or not 0 < level < 1:
        raise ValueError(f"bins must be at least 1 and level between 0 and 1, got {bins} and {level}")
    row = np.minimum((p * bins).astype(int), bins - 1)
    count = np.bincount(row, minlength=bins).astype(np.float64)
    with np.errstate(invalid="ignore"):
        said, share = (np.bincount(row, weights=part, minlength=bins) / count for part in (p, x))
    full = count > 0
    band = np.full((2, bins), np.nan)
    for k, q in enumerate(((1 - level) / 2, (1 + level) / 2)):
        band[k, full] = stats.binom.ppf(q, count[full], np.clip(said[full], 0.0, 1.0)) / count[full]
    weight, overall = count[full] / len(p), x.mean()
    brier = float(np.mean((p - x) ** 2))
    parts = (
        float(weight @ (said[full] - share[full]) ** 2),
        float(weight @ (share[full] - overall) ** 2),
        float(overall * (1 - overall)),
    )
    promised = float(np.sum((1 - 2 * p) ** 2 * p * (1 - p)))
    excess = float(np.sum((x - p) * (1 - 2 * p)))
    z = excess / np.sqrt(promised) if promised > 0 else (0.0 if excess == 0 else np.inf)
    return Reliability(
        edges=frozen(np.linspace(0.0, 1.0, bins + 1), "edges"),
        count=frozen(count, "count"),
        said=frozen(said, "said"),
        happened=frozen(share, "happened"),
        lower=frozen(band[0], "lower"),
        upper=frozen(band[1], "upper"),
        level=level,
        brier=brier,
        miscalibration=parts[0],
        resolution=parts[1],
        uncertainty=parts[2],
        within=brier - (parts[0] - parts[1] + parts[2]),
        error=float(weight @ np.abs(said[full] - share[full])),
        p=float(2 * stats.norm.sf(abs(z))),
    )
