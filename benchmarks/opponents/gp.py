"""Opponent: a Gaussian process on log t, averaged over its hyperparameters.

Level, slope in log t and scale are integrated out in closed form; length scale, noise and the weight of the slope are
averaged over a grid by their marginal likelihood. scikit-learn's regressor, which picks one set of hyperparameters by
gradient steps, is slower by far and sure of itself after few points.

Letters: T observed points, N bins of points, H sets of hyperparameters, Q query points, M later times, S draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.stats import chi2

from lcpfn.belief import Belief
from lcpfn.metric import Metric
from opponents.draws import COMPONENTS, Prefix, ahead, binned, draw_generator, each, peaks, read_off

LENGTHS = (1.5, 4.0, 12.0, 40.0)  # of the kernel, in log t; shorter ones fall back to the level, and do worse
NOISES = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)  # variance of the noise; the Matern kernel's is 1
SLOPES = (0.0, 0.3)  # prior variance of the slope in log t
GRID = np.array(list(product(LENGTHS, NOISES, SLOPES)))
LEVEL = 100.0  # prior variance of the level
DOF, SCALE = 2.0, 0.3  # of the scaled inverse chi-squared prior of the overall variance, in units of the prefix
REACH = 20.0  # units from the last value beyond which values count as being there: one outlier is not a trend
DRAWS = 4 * COMPONENTS


class GaussianProcess:
    """Matern 3/2 in log t, around a line in log t, with white noise."""

    name = "Gaussian process"

    def __init__(self) -> None:
        self.settings = {"lengths": LENGTHS, "noises": NOISES, "slopes": SLOPES, "prior": [DOF, SCALE]}

    def prepare(self, others: Sequence[object]) -> None:
        """Learns nothing."""

    def predict(
        self,
        y: Sequence[np.ndarray],
        t_query: Sequence[np.ndarray],
        *,
        t: Sequence[np.ndarray],
        kind: str,
        metric: Metric,
        horizon: Sequence[float],
    ) -> list[Belief]:
        """See `opponents.method.Method`."""
        return each(self._forecast, y, t_query, t, kind, metric)

    def _forecast(self, prefix: Prefix, asked: np.ndarray, kind: str) -> Belief:
        generator = draw_generator(prefix)
        times, count = asked + prefix.shift, np.ones(len(asked))
        if kind == "best":
            times, count = ahead(prefix.t, float(times.max()))
        last = prefix.t[-1]
        x, u, points = binned(prefix.t / last, np.clip(prefix.u, -REACH, REACH))
        x, ahead_x, error = np.log(x), np.log(times / last), 1 / np.sqrt(points)
        inverse, weights, variance = _judged(x, u, error)
        # Systematic draws: each set of hyperparameters gets its share of them, each draw its own overall variance.
        place = np.searchsorted(np.cumsum(weights), (np.arange(DRAWS) + generator.random()) / DRAWS)
        place = np.minimum(place, len(weights) - 1)
        dof = DOF + len(x)
        sigma = np.sqrt(variance[place] * dof / chi2.ppf((generator.permutation(DRAWS) + 0.5) / DRAWS, dof))[:, None]
        noise = sigma * np.sqrt(GRID[place, 1])[:, None]
        means, spreads = np.empty((2, DRAWS, len(times)))
        for h in np.unique(place):
            mine = np.flatnonzero(place == h)
            cross = _kernel(GRID[h : h + 1], ahead_x, x)[0] @ inverse[h]
            means[mine] = cross @ u
            rest = _kernel(GRID[h : h + 1], ahead_x, ahead_x)[0] - cross @ _kernel(GRID[h : h + 1], x, ahead_x)[0]
            if kind == "best":
                values, vectors = np.linalg.eigh((rest + rest.T) / 2)
                root = vectors * np.sqrt(np.maximum(values, 0.0))
                means[mine] += sigma[mine] * (generator.standard_normal((len(mine), len(times))) @ root.T)
            spreads[mine] = sigma[mine] * np.sqrt(np.maximum(np.diag(rest), 0.0))
        if kind == "value":
            return prefix.from_draws(means, np.hypot(spreads, noise), asked, kind)
        means = np.clip(means, prefix.low, prefix.high)
        best = read_off(times, peaks(means, noise, count, generator), asked + prefix.shift)
        return prefix.from_draws(best, np.zeros_like(best), asked, kind)


def _kernel(sets: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(H, A, B) covariances of the signal at log times a (A,) and b (B,), in units of the overall variance."""
    length, slope = sets[:, 0, None, None], sets[:, 2, None, None]
    apart = np.sqrt(3) * np.abs(a[:, None] - b) / length
    return (1 + apart) * np.exp(-apart) + slope * (a[:, None] * b) + LEVEL


def _judged(x: np.ndarray, u: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For all sets: inverse covariances (H, N, N), posterior weights (H,), expected overall variances (H,)."""
    covariance = _kernel(GRID, x, x)
    at = np.arange(len(x))
    covariance[:, at, at] += GRID[:, 1, None] * error + 1e-8
    root = np.linalg.cholesky(covariance)
    inverse_root = np.linalg.inv(root)
    inverse = inverse_root.transpose(0, 2, 1) @ inverse_root
    total = DOF * SCALE**2 + ((inverse_root @ u) ** 2).sum(axis=1)
    dof = DOF + len(x)
    logs = -np.log(root[:, at, at]).sum(axis=1) - dof / 2 * np.log(total)
    weights = np.exp(logs - logs.max())
    return inverse, weights / weights.sum(), total / dof
