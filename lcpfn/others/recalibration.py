"""The network's own forecast, put right by how it erred on the other runs.

Runs of a search err alike: where the others ended above their medians, so will this one. The errors are the normal
scores of outcomes; their law is N(shift, stretch), with a prior around "as the network says".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

FURTHEST = 3.0  # normal scores count no further out
OUTLIERS = (0.05, 2.0)  # share and width of runs that err in their own way

_SHIFTS, _STRETCHES = (grid.ravel() for grid in np.meshgrid(np.linspace(-2, 2, 25), np.exp(np.linspace(-2.2, 0.5, 12))))


def prior(shift: float, log_stretch: float, log_stretch_std: float) -> Array:
    """Log density of the grid's shifts and stretches: normal, and log-normal."""
    return -0.5 * (_SHIFTS / shift) ** 2 - 0.5 * ((np.log(_STRETCHES) - log_stretch) / log_stretch_std) ** 2


OF_NETWORK = prior(0.5, -0.1, 0.5)  # runs of one search err alike, by half a standard deviation
OF_POOL = prior(0.2, -0.1, 0.3)  # what is left of that


@dataclass(frozen=True, eq=False)
class Recalibration:
    """Shifts and stretches of normal scores: (n + 1,) each, of the asked run and of each other run without itself."""

    shift: Array
    stretch: Array

    @classmethod
    def of(cls, score: Array, known: Array, prior: Array) -> Recalibration:
        """By errors (n,) that are known to some share (n,): an outcome that is known by half counts half.

        Args:
            score: normal scores of outcomes.
            known: shares.
            prior: log density of each shift and stretch, as `prior` makes it.
        """
        score = np.clip(score, -FURTHEST, FURTHEST)[:, None]
        share, wide = OUTLIERS
        regular = (1 - share) * np.exp(-0.5 * ((score - _SHIFTS) / _STRETCHES) ** 2) / _STRETCHES
        each = known[:, None] * np.log(regular + share * np.exp(-0.5 * (score / wide) ** 2) / wide)
        logs = prior + each.sum(axis=0) - np.concatenate([np.zeros_like(each[:1]), each])
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        shift = weights @ _SHIFTS
        return cls(shift, np.sqrt(weights @ (_STRETCHES**2 + _SHIFTS**2) - shift**2))

    def cdf(self, below: Array) -> Array:
        """(n + 1, G) the recalibrated probabilities of those of the network."""
        score = ndtri(np.clip(below, 1e-12, 1 - 1e-12))
        return ndtr((score - self.shift[:, None]) / self.stretch[:, None])
