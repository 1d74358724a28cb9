"""The step of a quantised metric: accuracies are k/n, success rates tenths, logs rounded to four decimals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

PRECISION = 2.0**-22  # relative error of a value: float32, and the rounding of a mean that was taken in it
LEAST = 16  # a step below so many errors cannot be told from rounding
FAR = 100.0  # times the median size is too large to count
ODDS = 1e-6  # that continuous values would look like a lattice
_ROUNDS = 32  # of Euclid's algorithm
_LONG = 8  # a gap of so many steps may be wrong by one error more: that of the step adds up


def resolution(values: ArrayLike, *, precision: float = PRECISION) -> float:
    """The largest step of which all gaps between the distinct values are multiples, 0 if there is none.

    Usually that is the smallest gap; where the values are few, as 0, 0.2 and 0.5, it is found by Euclid's algorithm.
    Two values alone say nothing. Values far larger than the median, as of a run that explodes, are left out: what
    float32 can tell apart is relative to the size.

    Args:
        values: of a metric in a task, any shape and order, of as many runs as there are; only finite ones count.
        precision: relative error of a value.

    Example:
        >>> round(resolution([0.0, 0.2, 0.5, 0.9, 0.2]), 6)
        0.1
        >>> resolution([0.1234567, 0.7213131, 0.3331981, 0.9999112])
        0.0
    """
    y = np.unique(np.asarray(values, dtype=float))
    y = y[np.isfinite(y)]
    if len(y) < 3:
        return 0.0
    y = y[np.abs(y) <= FAR * np.median(np.abs(y))]
    gaps = np.diff(y)
    error = precision * np.abs(y).max()
    gaps = gaps[gaps > error]
    if len(gaps) < 2:
        return 0.0
    step = float(gaps.min())
    for _ in range(_ROUNDS):
        if step < LEAST * error:
            return 0.0
        step = _refined(step, gaps, error)
        times = np.round(gaps / step)
        remainder = np.abs(gaps - times * step)
        allowed = error * (1 + times / _LONG)
        off = remainder > allowed
        if not off.any():
            # Every gap but the one that gave the step falls near a multiple by chance with these probabilities.
            chances = np.sort(np.minimum(1, 2 * allowed / step))[1:]
            return step if np.log(chances).sum() <= math.log(ODDS) else 0.0
        step = float(remainder[off].min())
    return 0.0


def _refined(step: float, gaps: np.ndarray, error: float) -> float:
    """The step as the mean over the gaps that are multiples of it, but for those so long that they may miscount."""
    times = np.round(gaps / step)
    good = (times > 0) & (times * error <= step / 8) & (np.abs(gaps - times * step) <= error * (1 + times))
    return float(gaps[good].sum() / times[good].sum()) if good.any() else step
