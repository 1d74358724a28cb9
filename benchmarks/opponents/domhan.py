"""Opponent: the ensemble of Domhan et al. 2015, by tempered sequential Monte Carlo, with the paper's normalisation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.special import ndtri

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.mcmc import MCMC, SMC, ConvergenceWarning
from lcpfn.metric import Metric
from lcpfn.priors import Domhan
from opponents.networks import CLOCK, Normalised

# Small: about a second a curve, so for a subset of curves; the first one takes a minute, to compile. All times are
# whole numbers of the prior's clock, so nothing is compiled again.
SETTINGS = SMC(particles=256, runs=2, moves=5, threshold=0.5)
COMPONENTS = 32  # that a mixture over particles is merged into: a thousand times cheaper to score


class DomhanEngine:
    """The sampler, one curve at a time, where it fails a random walk from the last value."""

    def __init__(self) -> None:
        self.mcmc = MCMC(Domhan(), sampler=SETTINGS)

    def predict(self, y: Any, t_query: Any, *, t: Any, kind: str, metric: Metric) -> Belief:
        """The belief (B, Q) about times (B, Q) on the clock."""
        parts = [self._one(*curve, kind, metric) for curve in zip(y, t, t_query)]
        law = Mixture(*(np.stack([getattr(part, name) for part in parts]) for name in ("log_weights", "means", "stds")))
        return Belief(law, 0.0, 1.0, metric=metric, kind=kind, t=t_query)

    def _one(self, y: np.ndarray, t: np.ndarray, asked: np.ndarray, kind: str, metric: Metric) -> Mixture:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # with so few particles some is to be expected
                belief = self.mcmc.predict(y, asked, t=t, kind=kind, metric=metric)
        except ValueError:  # the prior has no such curve
            levels = ndtri((np.arange(COMPONENTS) + 0.5) / COMPONENTS)
            spread = max(float(np.median(np.abs(np.diff(y)))), 1e-3) * np.sqrt(1 + asked - t[-1])
            means = y[-1] + spread[:, None] * levels
            return Mixture(np.zeros(means.shape), means=means, stds=np.broadcast_to(spread[:, None] / 4, means.shape))
        return merged(belief)


def merged(belief: Belief) -> Mixture:
    """The law of y as a mixture (Q,) of COMPONENTS normals, each standing for a group of neighbouring particles."""
    weights, means, stds = belief.law.parameters
    means, stds = belief.location[:, None] + belief.scale[:, None] * means, belief.scale[:, None] * stds
    order = np.argsort(means, axis=1)
    weights, means, stds = (np.take_along_axis(part, order, 1) for part in (weights, means, stds))
    group = np.minimum((np.cumsum(weights, axis=1) - weights / 2) * COMPONENTS, COMPONENTS - 1).astype(int)
    out = np.zeros((3, len(means), COMPONENTS))
    rows = np.broadcast_to(np.arange(len(means))[:, None], group.shape)
    for place, part in enumerate((weights, weights * means, weights * (means**2 + stds**2))):
        np.add.at(out[place], (rows, group), part)
    mass = np.maximum(out[0], 1e-300)
    centre = out[1] / mass
    std = np.sqrt(np.maximum(out[2] / mass - centre**2, 1e-12))
    empty = out[0] <= 0  # one heavy particle can span several groups
    return Mixture(np.where(empty, -700.0, np.log(mass)), means=np.where(empty, 0.5, centre), stds=std)


def domhan() -> Normalised:
    """The method."""
    facts = {"particles": SETTINGS.particles, "runs": SETTINGS.runs, "moves": SETTINGS.moves, "clock": CLOCK}
    return Normalised("Domhan MCMC", DomhanEngine(), facts, whole=True)
