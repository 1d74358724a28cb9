"""Weights of experts by how their pool would have forecast the other runs.

Letters: n other runs, K experts, G points of a grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lcpfn.others.question import Question, spread

Array = NDArray[np.float64]

START = {  # weights without evidence
    "network": 1.0,
    "recalibrated": 1.0,
    "error": 0.5,
    "error, half relative": 0.5,
    "error, relative": 0.3,
    "movement": 0.3,
    "movement, half relative": 0.3,
    "level": 0.15,
}
SAFE = ("network", "recalibrated")
FEW = 2.0  # outcomes with which the other experts have half their starting weight
CAUTION = 3.0  # outcomes that the starting weights are worth
SMALL = 0.02  # of the outcomes' spread: smaller scores do not matter
DOUBT = 1.0
USUAL = 1.0  # features beyond the others' at which doubt begins
STEPS = 80
LEAST = 1e-4  # weight of an expert
_LADDER = np.sinh(np.linspace(-np.arcsinh(30.0), np.arcsinh(30.0), 49))


def grid(question: Question) -> tuple[Array, float]:
    """(G,) values at which forecasts are compared, dense where runs ended; and the spread of the outcomes.

    What lies beyond counts as lying at its ends: an explosion to 1e26 is one bad outcome, not the only one.
    """
    unit = float(spread(question.truth)) + NEAR * question.typical
    centre = float(np.median(question.truth))
    low, high = centre + unit * _LADDER[0], centre + unit * _LADDER[-1]
    ends = np.clip(question.truth, low, high)
    around = (ends[:, None] + unit * np.array([-0.02, 0.0, 0.02])).ravel()
    return np.unique(np.concatenate([centre + unit * _LADDER, around])), unit


NEAR = 0.1


def abroad(names: tuple[str, ...], weights: Array, far: float) -> Array:
    """(K,) the weights where the asked run lies far outside of where the others are: there regressions extrapolate."""
    safe = np.isin(names, SAFE)
    if not weights[safe].any():  # nobody to turn to: other experts were ruled out
        return weights
    shares = weights * np.where(safe, 1.0, np.exp(-DOUBT * max(far - USUAL, 0.0)))
    return shares / shares.sum()


def weigh(
    names: tuple[str, ...], cdf: Array, question: Question, values: Array, unit: float, *, allowed: Sequence[str]
) -> Array:
    """(K,) the weights whose pool has the lowest mean CRPS on the other runs, drawn towards the starting weights.

    The CRPS of a pool is a quadratic form of its weights. What is minimised is n log(mean CRPS) minus a Dirichlet
    prior's log density, by multiplicative steps; outcomes that are known by half count half.

    Args:
        names: of the experts, keys of START.
        cdf: (n, K, G) forecasts of the other runs, each without itself.
        question: whose outcomes.
        values: (G,) the grid.
        unit: the outcomes' spread.
        allowed: experts that may have weight; the network if none of them is among the names.
    """
    open_ = np.isin(names, allowed) if set(names) & set(allowed) else np.isin(names, SAFE[0])
    if not open_.all():
        weights = np.zeros(len(names))
        inner = tuple(np.array(names)[open_].tolist())
        weights[open_] = weigh(inner, cdf[:, open_], question, values, unit, allowed=inner)
        return weights
    effective = float(question.known.sum())
    trust = effective / (effective + FEW)  # in what learns from outcomes alone
    start = np.array([START[name] * (1.0 if name in SAFE else trust) for name in names])
    start = start / start.sum()
    if len(cdf) < 2:  # no run is forecast from another
        return start
    gap = np.diff(values, prepend=values[0], append=values[-1])
    panel = np.sqrt((gap[1:] + gap[:-1]) / 2 / unit)
    ends = np.clip(question.truth, values[0], values[-1])
    apart = (cdf - (values >= ends[:, None])[:, None]) * panel
    known = question.known
    form = np.einsum("n,nkg,nlg->kl", known / known.sum(), apart, apart, optimize=True)
    n = effective
    weights = start
    for _ in range(STEPS):
        slope = 2 * n * (form @ weights) / (weights @ form @ weights + SMALL) - CAUTION * start / weights
        slope = slope - weights @ slope
        weights = np.maximum(weights * np.exp(-0.5 * np.clip(slope / (n + CAUTION), -2, 2)), LEAST)
        weights = weights / weights.sum()
    return weights
