"""The pool of all experts' answers to one question.

Letters: n other runs, J components, G points of a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from lcpfn.others import recalibration
from lcpfn.others.question import Question, novelty
from lcpfn.others.recalibration import Recalibration
from lcpfn.others.regression import Regression
from lcpfn.others.weights import abroad, grid, weigh

Array = NDArray[np.float64]

SURE = 1e-4  # probabilities nearer to 0 or 1 count as that


@dataclass(frozen=True, eq=False)
class Answer:
    """Shares of the network's forecast, of the same recalibrated, and of normals in units of sign * y.

    Attributes:
        network: weight of the network's own forecast.
        recalibrated: weight of its recalibrated one.
        shift: of the latter's normal scores.
        stretch: of the same.
        weights: (J,) of normals; all weights together sum to one.
        means: (J,)
        stds: (J,)
        pool_shift: of the normal scores of the whole pool.
        pool_stretch: of the same.
        experts: weight of each expert by name.
        diverged: as of the question.
        others: runs that the question knew, with those that have diverged.
    """

    network: float
    recalibrated: float
    shift: float
    stretch: float
    weights: Array
    means: Array
    stds: Array
    pool_shift: float
    pool_stretch: float
    experts: dict[str, float]
    diverged: tuple[int, int]
    others: int


def answer(question: Question, experts: Sequence[str]) -> Answer:
    """The pool, with weights by how each expert would have forecast the other runs from the rest.

    Args:
        question: where runs stand, and what became of them.
        experts: those that are pooled; if none of them can answer, as one other run is too few for most, the network.
    """
    seen = question.diverged, len(question.truth) + sum(question.diverged)
    if not len(question.truth):
        nothing = np.empty(0)
        return Answer(1.0, 0.0, 0.0, 1.0, nothing, nothing, nothing, 0.0, 1.0, {"network": 1.0}, *seen)
    fresh = Recalibration.of(question.score, question.known, recalibration.OF_NETWORK)
    names: tuple[str, ...] = ("network", "recalibrated")
    regression = Regression.of(question)
    names += regression.names
    values, unit = grid(question)
    own = question.cdf(values)
    cdf = np.concatenate([np.stack([own, fresh.cdf(own)], axis=1), regression.cdf(values)], axis=1)
    weights = weigh(names, cdf[1:], question, values, unit, allowed=experts)
    pooled = np.einsum("k,nkg->ng", weights, cdf[1:])
    below = [np.interp(end, values, row) for end, row in zip(question.truth, pooled)]
    last = Recalibration.of(ndtri(np.clip(below, SURE, 1 - SURE)), question.known, recalibration.OF_POOL)
    weights = abroad(names, weights, novelty(question.features()))
    inner = (weights[2:, None] * regression.weights[0]).ravel()
    return Answer(
        float(weights[0]),
        float(weights[1]),
        float(fresh.shift[0]),
        float(fresh.stretch[0]),
        inner,
        regression.means[0].ravel(),
        regression.stds[0].ravel(),
        float(last.shift[0]),
        float(last.stretch[0]),
        dict(zip(names, weights.tolist())),
        *seen,
    )
