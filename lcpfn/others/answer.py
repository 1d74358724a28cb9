"""The pool of all experts' answers to one question.

Letters: n other runs, J components, G points of a grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcpfn.others.question import Question
from lcpfn.others.recalibration import Recalibration
from lcpfn.others.regression import Regression
from lcpfn.others.weights import grid, weigh

Array = NDArray[np.float64]


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
        experts: weight of each expert by name.
    """

    network: float
    recalibrated: float
    shift: float
    stretch: float
    weights: Array
    means: Array
    stds: Array
    experts: dict[str, float]


def answer(question: Question) -> Answer:
    """The pool, with weights by how each expert would have forecast the other runs from the rest."""
    fresh = Recalibration.of(question)
    names: tuple[str, ...] = ("network", "recalibrated")
    if len(question.truth) < 2:
        weights = weigh(names, np.empty((0, 2, 0)), question, np.empty(0), 1.0)
        nothing = np.empty(0)
        shares = dict(zip(names, weights.tolist()))
        return Answer(*weights.tolist(), float(fresh.shift[0]), float(fresh.stretch[0]), *[nothing] * 3, shares)
    regression = Regression.of(question)
    names += regression.names
    values, unit = grid(question)
    own = question.cdf(values)
    cdf = np.concatenate([np.stack([own, fresh.cdf(own)], axis=1), regression.cdf(values)], axis=1)
    weights = weigh(names, cdf[1:], question, values, unit)
    inner = (weights[2:, None] * regression.weights[0]).ravel()
    return Answer(
        float(weights[0]),
        float(weights[1]),
        float(fresh.shift[0]),
        float(fresh.stretch[0]),
        inner,
        regression.means[0].ravel(),
        regression.stds[0].ravel(),
        dict(zip(names, weights.tolist())),
    )
