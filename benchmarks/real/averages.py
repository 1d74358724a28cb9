"""Averages of the contest on real curves: curve -> metric -> cut-off -> task -> source -> all, skills and intervals.

So a task with a thousand curves counts as much as one with ten, and a source with 190 tasks as much as one with two.
Letters: N cases, C columns, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95  # of bootstrap intervals


@dataclass(frozen=True)
class Skill:
    """1 - mean / mean of the baseline: 0 like the baseline, 1 perfect, negative worse; with its bootstrap interval."""

    value: float
    low: float | None  # None: there are fewer than two tasks to resample
    high: float | None


def group(values: np.ndarray, *keys: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means over the rows that agree in all keys: the G distinct keys (one array for each key), then (G, C).

    NaN is left out; NaN where nothing is left.

    Args:
        values: (N, C).
        *keys: (N,) each.
    """
    codes = np.stack([np.unique(key, return_inverse=True)[1] for key in keys], axis=1)
    _, first, row = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    known = np.isfinite(values)
    total, count = np.zeros((2, len(first), values.shape[1]))
    np.add.at(total, row.reshape(-1), np.where(known, values, 0.0))
    np.add.at(count, row.reshape(-1), known)
    with np.errstate(invalid="ignore"):
        return *(key[first] for key in keys), total / count


def by_task_and_cut(values: np.ndarray, *, task: np.ndarray, metric: np.ndarray, cut: np.ndarray) -> tuple:
    """Tasks, cut-offs and means (G, C): over the curves of a metric, then over the metrics of the task."""
    tasks, cuts, _, means = group(values, task, cut, metric)
    return group(means, tasks, cuts)


def mean(values: np.ndarray) -> np.ndarray:
    """(C,) means of (G, C) over the rows, NaN left out."""
    return group(values, np.zeros(len(values)))[-1][0]


def skill(own: np.ndarray, baseline: np.ndarray, *, seed: int) -> Skill | None:
    """The skill in a source, None if nothing can be compared.

    A ratio of means, never a mean of ratios: a task in which the baseline is perfect must not decide.

    Args:
        own: (tasks,) mean scores, lower is better, NaN where there is none.
        baseline: (tasks,) of the same cases.
        seed: of the bootstrap over tasks.
    """
    both = np.isfinite(own) & np.isfinite(baseline)
    own, baseline = own[both], baseline[both]
    if not len(own) or not baseline.mean() > 0:
        return None
    if len(own) < 2:
        return Skill(float(1 - own.mean() / baseline.mean()), None, None)
    low, high = np.quantile(_resampled(own, baseline, seed=seed), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Skill(float(1 - own.mean() / baseline.mean()), float(low), float(high))


def overall(pairs: Sequence[tuple[np.ndarray, np.ndarray]], *, seed: int) -> Skill | None:
    """The mean of the sources' skills; the bootstrap resamples tasks within each source.

    Args:
        pairs: own and baseline's scores (tasks,) of each source.
        seed: of the bootstrap.
    """
    known = [(own, base) for own, base in pairs if skill(own, base, seed=seed) is not None]
    if not known:
        return None
    values, draws = [], []
    for i, (own, base) in enumerate(known):
        both = np.isfinite(own) & np.isfinite(base)
        values.append(1 - own[both].mean() / base[both].mean())
        draws.append(_resampled(own[both], base[both], seed=seed + i))
    low, high = np.quantile(np.mean(draws, axis=0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Skill(float(np.mean(values)), float(low), float(high))


def _resampled(own: np.ndarray, baseline: np.ndarray, *, seed: int) -> np.ndarray:
    """(RESAMPLES,) skills of tasks drawn with replacement, the same ones for both, to first order in the draw.

    The ratio itself would explode whenever only tasks are drawn in which the baseline is next to perfect.
    """
    rows = np.random.default_rng(seed).integers(len(own), size=(RESAMPLES, len(own)))
    ratio = own.mean() / baseline.mean()
    return 1 - ratio - (own - ratio * baseline)[rows].mean(axis=1) / baseline.mean()
