"""What opponents share: a prefix in a unit of its own, the measurements that are still to come, beliefs made of draws.

Letters: T observed points, N bins of them, Q query points, M later measurements, S draws, K mixture components.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric

COMPONENTS = 16
LEAST = 1e-4  # smallest unit, as a share of the range between the bounds, else of the values' magnitude
FARTHEST = 1e4  # values further from the last one, in units, count as being there
STEPS = 48  # later measurements that a path has at most; each stands for several in longer runs
BINS = 60  # of a long prefix, on a log grid of time; values are averaged within
SEED = 0

Forecast = Callable[["Prefix", np.ndarray, str], Belief]


@dataclass(frozen=True, eq=False)
class Prefix:
    """What was seen of one curve, upward and in a unit of its own: u = (sign * y - location) / scale.

    Attributes:
        t: (T,) times, positive: shifted if the first one was not.
        u: (T,) values, 0 at the end.
        metric: of y.
        location: last value of sign * y.
        scale: median distance from it, positive.
        shift: what was added to the user's times.
        low: lower bound of u, may be -inf.
        high: upper bound of u, may be inf.
    """

    t: np.ndarray
    u: np.ndarray
    metric: Metric
    location: float
    scale: float
    shift: float
    low: float
    high: float

    @classmethod
    def of(cls, y: np.ndarray, t: np.ndarray, metric: Metric) -> Prefix:
        """The prefix with values y (T,) at times t (T,)."""
        x = metric.sign * np.asarray(y, dtype=np.float64)
        t = np.asarray(t, dtype=np.float64)
        away = np.abs(x - x[-1])
        scale = float(np.median(away[:-1])) or float(np.mean(np.minimum(away, np.quantile(away, 0.9))))
        scale = max(scale, least(metric, x))
        shift = 0.0 if t[0] > 0 else float(np.median(np.diff(t)) - t[0])
        u = np.clip((x - x[-1]) / scale, -FARTHEST, FARTHEST)
        low, high = (np.array(metric.upward_bounds) - x[-1]) / scale
        if metric.overshoot:
            low, high = -np.inf, np.inf
        return cls(t + shift, u, metric, float(x[-1]), scale, shift, float(low), float(high))

    def belief(self, law: Mixture, asked: np.ndarray, kind: str) -> Belief:
        """The belief (Q,) about the user's times, from a law of u."""
        return Belief(law, self.location, self.scale, metric=self.metric, kind=kind, t=asked)

    def from_draws(self, draws: np.ndarray, noise: np.ndarray, asked: np.ndarray, kind: str) -> Belief:
        """The belief (Q,) that S equally likely normals with means (S, Q) and standard deviations (S, Q) are."""
        return self.belief(mixed(np.clip(draws, self.low, self.high), noise), asked, kind)


def least(metric: Metric, x: np.ndarray) -> float:
    """The smallest unit that makes sense for values x: positive."""
    low, high = metric.bounds
    if low is not None and high is not None:
        return LEAST * (high - low)
    return max(LEAST * float(np.median(np.abs(x))), LEAST * LEAST * float(np.abs(x).max()), 1e-12)


def each(
    forecast: Forecast,
    y: Sequence[np.ndarray],
    t_query: Sequence[np.ndarray],
    t: Sequence[np.ndarray],
    kind: str,
    metric: Metric,
) -> list[Belief]:
    """The beliefs of a method that takes curves one by one."""
    asked = [np.asarray(part, dtype=np.float64) for part in t_query]
    return [forecast(Prefix.of(*curve, metric), times, kind) for *curve, times in zip(y, t, asked)]


def binned(t: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, values and numbers of points (N,) of at most BINS bins on a log grid of time."""
    if len(t) <= BINS:
        return t, u, np.ones(len(t))
    x = np.log(t)
    edges = np.linspace(x[0], x[-1] + 1e-9, BINS + 1)
    place = np.searchsorted(edges, x, side="right") - 1
    count = np.bincount(place, minlength=BINS)
    kept = count > 0
    means = [np.bincount(place, part, minlength=BINS)[kept] / count[kept] for part in (x, u)]
    return np.exp(means[0]), means[1], count[kept].astype(np.float64)


def evenly(t: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """The clock on which the last gaps between positive times t (T,) are most alike, t or log t, and the gap on it."""
    gaps, ratios = np.diff(t)[-20:], np.diff(np.log(t))[-20:]
    if gaps.std() * ratios.mean() <= ratios.std() * gaps.mean():
        return np.positive, float(np.median(gaps))
    return np.log, float(np.median(ratios))


def ahead(t: np.ndarray, until: float) -> tuple[np.ndarray, np.ndarray]:
    """Times (M,) at which a run will go on to be measured, and how many measurements (M,) each stands for.

    The spacing goes on as it was. At most STEPS times; the last one is `until`.
    """
    clock, gap = evenly(t)
    many = max(1.0, np.floor((clock(until) - clock(t[-1])) / gap + 1e-6))
    points = int(min(many, STEPS))
    times = np.linspace(clock(t[-1]), clock(until), points + 1)[1:]
    return (np.exp(times) if clock is np.log else times), np.full(points, many / points)


def peaks(signal: np.ndarray, noise: np.ndarray, count: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(S, M) best value so far along paths: signals (S, M) with independent normal noise (S, M).

    Where a time stands for several measurements, the noise is the largest of so many.
    """
    top = ndtri(generator.random(signal.shape) ** (1 / count))
    return np.maximum.accumulate(signal + noise * top, axis=1)


def read_off(times: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(S, Q) of values (S, M) at times (M,): those at the last time that is not after the asked one, or the first."""
    place = np.searchsorted(times, asked * (1 + 1e-9), side="right") - 1
    return values[:, np.maximum(place, 0)]


def mixed(means: np.ndarray, stds: np.ndarray) -> Mixture:
    """The mixture (Q,) of S equally likely normals (S, Q) in COMPONENTS components: neighbours are merged.

    Where there is no noise, a normal kernel of a third of Silverman's width smooths the draws; merging does the rest.
    """
    size = len(means)
    assert size % COMPONENTS == 0
    order = np.argsort(means, axis=0)
    means, stds = (np.take_along_axis(part, order, 0) for part in (means, np.broadcast_to(stds, means.shape)))
    shape = (COMPONENTS, size // COMPONENTS, means.shape[1])
    groups, within = means.reshape(shape), stds.reshape(shape)
    spread = 0.3 * means.std(axis=0) * size**-0.2
    variance = groups.var(axis=1) + (within**2).mean(axis=1) + spread**2
    centre, std = groups.mean(axis=1).T, np.sqrt(np.maximum(variance, 1e-12)).T
    return Mixture(np.zeros(centre.shape), means=centre, stds=std)


def draw_generator(prefix: Prefix) -> np.random.Generator:
    """The stream of a curve: the same whatever else is asked and whoever stands beside it."""
    return np.random.default_rng([SEED, len(prefix.t)])
