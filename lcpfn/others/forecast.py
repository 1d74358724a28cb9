"""The belief that an answer of all experts stands for.

Letters: N beliefs, J components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.distributions.pool import Pool
from lcpfn.distributions.warped import Warped
from lcpfn.others.answer import Answer

Array = NDArray[np.float64]

SURE_OF_OUTCOME = 10.0  # runs that the network's own probability of divergence is worth
_NOTHING = -1e4  # log weight of a component that fills up a batch


def pooled(own: Belief, found: Mapping[int, Answer]) -> Belief:
    """The network's beliefs (...) pooled with answers, by place in the flat batch."""
    size, width = int(np.prod(own.shape)), max(1, *(len(each.weights) for each in found.values()))
    log_weights = np.tile([0.0, -np.inf, -np.inf], (size, 1))
    shift, stretch, last = np.zeros(size), np.ones(size), np.tile([0.0, 1.0], (size, 1))
    inner, means, stds = np.full((size, width), _NOTHING), np.zeros((size, width)), np.ones((size, width))
    location, scale = (part.reshape(-1).astype(np.float64) for part in (own.location, own.scale))
    outcome = None if own.outcome is None else own.outcome.reshape(size, 2).astype(np.float64)
    settled = (
        set() if outcome is None else set(np.flatnonzero(outcome.max(axis=1) >= 1).tolist())
    )  # known, not believed
    with np.errstate(divide="ignore"):
        for place, each in found.items():
            log_weights[place] = np.log([each.network, each.recalibrated, each.weights.sum()])
            shift[place], stretch[place] = each.shift, each.stretch
            last[place] = each.pool_shift, each.pool_stretch
            if outcome is not None and place not in settled:
                counted = SURE_OF_OUTCOME * outcome[place] + each.diverged
                outcome[place] = counted / (SURE_OF_OUTCOME + each.others)
            j = len(each.weights)
            if j and each.weights.sum() > 0:
                inner[place, :j] = np.maximum(np.log(each.weights / each.weights.sum()), _NOTHING)
                means[place, :j] = (each.means - location[place]) / scale[place]
                stds[place, :j] = np.maximum(each.stds / scale[place], 1e-9)
    shape = own.shape
    warped = Warped(own.law, shift.reshape(shape), stretch.reshape(shape))
    normals = Mixture(*(part.reshape(*shape, width) for part in (inner, means, stds)))
    pool = Pool((own.law, warped, normals), (own.transform, own.transform, "identity"), log_weights.reshape(*shape, 3))
    law = Warped(pool, *(part.reshape(shape) for part in last.T))
    outcome = None if outcome is None else outcome.reshape(*shape, 2)
    return replace(own, law=law, transform="identity", outcome=outcome)
