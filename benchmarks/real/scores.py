"""How a forecast of a real curve is judged: scores in units of a task's yardstick, bounded, one row for each truth.

Letters: N beliefs and truths, C scores (`NAMES`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric

LEVELS = (0.5, 0.8, 0.9, 0.95)  # of central intervals
NAMES = (
    "crps",
    "log",
    "error",
    *(f"interval{100 * level:g}" for level in LEVELS),
    *(f"coverage{100 * level:g}" for level in LEVELS),
)
FENCE = 3.0  # interquartile ranges beyond the quartiles: Tukey's outer fences
RANGE_SHARE = 0.02  # least scale, as a share of the range between two known bounds
MAGNITUDE_SHARE = 0.02  # ... and else of the typical absolute value
STEP_SHARE = 1e-3  # values closer than this share of the scale are the same value, if no resolution is known
LEAST_MASS = 1e-6  # of the log score: what a forecast must give to any outcome at least
_LEAK = 1e-6  # mass beyond the fences that does not matter
_KNOTS = ndtr(np.linspace(-4.0, 4.0, 33))  # levels of the quantiles between which the cdf is integrated
# Width of a law beyond which `Belief.crps` takes too long; the quadrature then has every second knot. On real curves,
# with 16 and 20 components, that moved means by less than 1e-4 of them, single ones by 1e-3, in half the time.
_MANY = 8
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)


@dataclass(frozen=True)
class Yardstick:
    """The unit in which all forecasts of a metric in a task are judged, and the fences at which values are clipped.

    Attributes:
        scale: positive, in units of y.
        low: lower fence; a truth or a forecast below it counts as being there.
        high: upper fence.
    """

    scale: float
    low: float
    high: float


def yardstick(values: np.ndarray, *, metric: Metric, resolution: float = 0.0) -> Yardstick:
    """The yardstick of a task: the interquartile range of its values, and Tukey's outer fences.

    The scale has floors, so that a task in which next to nothing happens does not blow up what happens elsewhere: the
    resolution, a share of the range between the bounds if both are known, else a share of the median absolute value.

    Args:
        values: (N,) all measured values of the metric in the task, of all runs; NaN and infinities are left out.
        metric: its bounds count.
        resolution: largest one of the runs.

    Raises:
        ValueError: if no value is finite.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        raise ValueError(f"a yardstick needs a finite value, got none among {values.size}; leave the task out")
    lower, upper = np.quantile(finite, [0.25, 0.75])
    low, high = metric.bounds
    if low is not None and high is not None:
        floor = RANGE_SHARE * (high - low)
    else:
        floor = MAGNITUDE_SHARE * float(np.median(np.abs(finite)))
    scale = max(float(upper - lower), floor, resolution) or 1.0  # all zero, and nothing known: any unit will do
    return Yardstick(scale, float(lower) - FENCE * scale, float(upper) + FENCE * scale)


def judge(
    beliefs: Sequence[Belief], truths: Sequence[np.ndarray], yard: Yardstick, *, steps: Sequence[float]
) -> list[np.ndarray]:
    """Scores (Q_i, C) of each belief (Q_i,), in the order of `NAMES`; NaN where the truth is not finite.

    "crps", "error" (of the median) and "interval..." are in units of the scale, lower is better; "log" is in nats per
    scale, higher is better; "coverage..." should be the level on average.

    Args:
        beliefs: one for each curve, finite.
        truths: (Q_i,) what was measured.
        yard: of the task and metric.
        steps: of each curve, the resolution of its values: a value stands for the interval of this width around it.
    """
    out = [np.full((*belief.shape, len(NAMES)), np.nan) for belief in beliefs]
    known = [np.flatnonzero(np.isfinite(truth)) for truth in truths]
    step = [max(each, STEP_SHARE * yard.scale) for each in steps]
    for members, joined in batches([belief[rows] for belief, rows in zip(beliefs, known)]):
        if not len(joined):
            continue
        x = np.concatenate([truths[i][known[i]] for i in members])
        h = np.concatenate([np.full(len(known[i]), step[i] / 2) for i in members])
        rows = _scores(joined, x, h, yard)
        for i, part in zip(members, np.split(rows, np.cumsum([len(known[i]) for i in members])[:-1])):
            out[i][known[i]] = part
    return out


def clipped_crps(belief: Belief, x: np.ndarray, *, low: float, high: float) -> np.ndarray:
    """(N,) the CRPS of the forecast clipped to [low, high], of x clipped to it too; at most high - low.

    The integral of (P(Y <= v) - [v >= x])^2 over v between the fences: proper, like the CRPS itself. `Belief.crps`
    for small mixtures with next to no mass beyond the fences, else a quadrature with a relative error of about 1e-3.

    Args:
        belief: (N,).
        x: (N,) outcomes, finite.
        low: lower fence.
        high: upper fence.

    Source:
        Gneiting and Ranjan 2011, the threshold-weighted CRPS.
    """
    x = np.clip(x, low, high)
    if belief.law.width > _MANY:
        return np.minimum(_integral(belief, x, low, high, levels=_KNOTS[::2]), high - low)
    wide = belief.cdf(np.full(x.shape, low)) + belief.prob_above(np.full(x.shape, high)) > _LEAK
    out = np.empty(x.shape)
    if not wide.all():
        out[~wide] = belief[~wide].crps(x[~wide])
    if wide.any():
        out[wide] = _integral(belief[wide], x[wide], low, high, levels=_KNOTS)
    return np.minimum(out, high - low)


def log_score(belief: Belief, x: np.ndarray, h: np.ndarray, yard: Yardstick) -> np.ndarray:
    """(N,) log of the mean density over x +- h, per scale; beyond a fence log of the mass out there.

    No outcome is given less than `LEAST_MASS`, so that one surprise costs a bounded amount.
    """
    mass = belief.cdf(x + h) - belief.cdf(x - h)
    above, below = x > yard.high, x < yard.low
    mass = np.where(above, belief.prob_above(np.full(x.shape, yard.high)), mass)
    mass = np.where(below, belief.cdf(np.full(x.shape, yard.low)), mass)
    width = np.where(above | below, 1.0, 2 * h / yard.scale)
    return np.log(np.maximum(mass, LEAST_MASS)) - np.log(width)


def covered(belief: Belief, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """(N, levels) which share of the probability of x +- h lies inside the central intervals.

    0 or 1 unless the value's resolution is coarse: then a forecast that is certain of the right value is inside its
    90 % interval with 0.9, as calibration demands.
    """
    f = np.stack([belief.cdf(x - h), belief.cdf(x + h)], axis=-1)  # (N, 2)
    width = f[:, 1] - f[:, 0]
    out = np.empty((len(x), len(LEVELS)))
    for k, level in enumerate(LEVELS):
        ends = np.clip(f, (1 - level) / 2, (1 + level) / 2)
        middle = np.abs(f.mean(axis=1) - 0.5) <= level / 2
        out[:, k] = np.where(width > 1e-9, (ends[:, 1] - ends[:, 0]) / np.maximum(width, 1e-9), middle)
    return out


def failure(t: np.ndarray, *, yard: Yardstick, metric: Metric, kind: str) -> Belief:
    """The belief (Q,) that stands for a method that gave none: half at either fence, whose CRPS is 1.75 units.

    Uniform between the fences would be kinder than it looks: it beats sharp forecasts that are off by a unit.
    """
    ends = np.broadcast_to([-0.5, 0.5], (len(t), 2))
    law = Mixture(np.zeros((len(t), 2)), means=ends, stds=np.full((len(t), 2), 1e-4))
    middle, apart = (yard.low + yard.high) / 2, yard.high - yard.low
    return Belief(law, metric.sign * middle, apart, metric=Metric(metric.direction), kind=kind, t=t)


def _scores(belief: Belief, x: np.ndarray, h: np.ndarray, yard: Yardstick) -> np.ndarray:
    """(N, C)."""
    crps = clipped_crps(belief, x, low=yard.low, high=yard.high)
    log, coverage = log_score(belief, x, h, yard), covered(belief, x, h)
    tails = np.array([(1 - level) / 2 for level in LEVELS])
    ends = np.clip(belief.quantile(np.concatenate([[0.5], tails, 1 - tails])), yard.low, yard.high)
    x = np.clip(x, yard.low, yard.high)
    error = np.abs(ends[:, 0] - x)
    lower, upper = ends[:, 1 : 1 + len(tails)], ends[:, 1 + len(tails) :]
    miss = np.maximum(lower - x[:, None], 0) + np.maximum(x[:, None] - upper, 0)
    intervals = upper - lower + miss / tails  # Gneiting and Raftery 2007, section 6.2
    parts = [crps[:, None] / yard.scale, log[:, None], error[:, None] / yard.scale, intervals / yard.scale, coverage]
    return np.concatenate(parts, axis=1)


def _integral(belief: Belief, x: np.ndarray, low: float, high: float, *, levels: np.ndarray) -> np.ndarray:
    """(N,) the integral by panels between quantiles of these levels, the outcome and the fences."""
    knots = np.clip(belief.quantile(levels), low, high)  # (N, P)
    ends = np.broadcast_to([low, high], (len(x), 2))
    knots = np.sort(np.concatenate([knots, ends, x[:, None]], axis=1), axis=1)
    half = np.diff(knots)[..., None] / 2  # (N, panels, 1)
    points = (knots[:, :-1, None] + half * (1 + _NODES)).reshape(len(x), -1)
    cdf = belief.cdf(points.T).T
    gap = np.where(points < x[:, None], cdf, 1 - cdf)
    return ((half * _WEIGHTS).reshape(len(x), -1) * gap**2).sum(axis=1)


def batches(beliefs: Sequence[Belief]) -> list[tuple[list[int], Belief]]:
    """Beliefs (Q_i,) as few long ones: for each the positions of those inside, one after the other.

    Mixtures of one width, transform, metric and kind are joined; others stay alone.
    """
    groups: dict[object, list[int]] = {}
    for i, belief in enumerate(beliefs):
        law = belief.law
        mixture = isinstance(law, Mixture)
        key = (law.width, belief.transform, belief.metric, belief.kind) if mixture else i
        groups.setdefault(key, []).append(i)
    return [(members, _join([beliefs[i] for i in members])) for members in groups.values()]


def _join(beliefs: Sequence[Belief]) -> Belief:
    """One belief of all elements; all but a single one are mixtures of the same width."""
    first = beliefs[0]
    if len(beliefs) == 1:
        return first
    parts = ("log_weights", "means", "stds")
    law = Mixture(*(np.concatenate([getattr(each.law, name) for each in beliefs]) for name in parts))
    location, scale, t = (
        np.concatenate([getattr(each, name) for each in beliefs]) for name in ("location", "scale", "t")
    )
    return Belief(law, location, scale, transform=first.transform, metric=first.metric, kind=first.kind, t=t)
