"""Can a forecast be trusted here? The network's belief about one curve beside the posterior that it stands for.

Letters: Q query points.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcpfn.belief import Belief
from lcpfn.frozen import frozen
from lcpfn.mcmc.diagnostics import MAX_SPREAD, ConvergenceWarning
from lcpfn.mcmc.posterior import SampledBelief
from lcpfn.mcmc.sampler import MCMC, SMC, Sampler
from lcpfn.metric import Metric
from lcpfn.pfn import PFN
from lcpfn.priors.combination import Combination
from lcpfn.priors.names import built_in

REFERENCE = SMC(particles=4096, runs=4)
DRAWS = 256  # of the reference at each time, for the gap
LEVELS = np.arange(1, 20) / 20  # of the network's quantiles, at which the reference's odds are read off
CLOSE, APART = 0.05, 0.2  # nats: below the first a decision hardly feels it, above the second it may turn


@dataclass(frozen=True, eq=False)
class Verification:
    """A forecast beside the reference posterior of the same prior and curve.

    Attributes:
        network: the forecast, (Q,).
        reference: what sampling the posterior gives, (Q,), with diagnostics.
        gap: (Q,) Kullback-Leibler divergence of the network's belief from the reference's at each time, nats.
        gap_se: (Q,) its standard error, from draws.
        odds: (Q,) by how much probabilities differ: the largest distance of the reference's cdf at the network's
            quantiles of 5 %, 10 %, ..., 95 % from these levels.
        spread: standard error of the reference itself, nats, from independent runs; NaN for chains.
    """

    network: Belief
    reference: SampledBelief
    gap: NDArray[np.float64]
    gap_se: NDArray[np.float64]
    odds: NDArray[np.float64]
    spread: float

    @property
    def is_reference(self) -> bool:
        """Whether the reference is as sure of itself as one should be: to 0.02 nats, or converged chains."""
        return bool(self.reference.diagnostics.converged.all())

    @property
    def verdict(self) -> str:
        """The answer in words, as far as the reference's own error lets it be told."""
        gap, odds = float(self.gap.mean()), 100 * float(self.odds.max())
        doubt = 2 * self.spread if np.isfinite(self.spread) else 0.0 if self.is_reference else np.inf
        far = f"{gap:.3f} nats from the posterior, odds within {odds:.0f} points of its odds"
        if gap + doubt <= CLOSE:
            return f"trust it here: {far}"
        if gap + doubt <= APART:
            return f"close: {far}"
        if gap - doubt > APART:
            return f"do not trust it here: {far}; take the reference's answer"
        if doubt <= APART - CLOSE:
            return f"not quite: {far}"
        return (
            f"undecided: {far}, but the reference is not sure of itself ({self._doubt()}); more particles may settle it"
        )

    def _doubt(self) -> str:
        if np.isnan(self.spread):
            return "its chains have not converged"
        return f"its runs disagree by {self.spread:.3f} nats, {MAX_SPREAD:g} are allowed"


def verify(
    pfn: PFN,
    y: Any,
    t_query: Any = None,
    *,
    horizon: float | None = None,
    t: Any = None,
    kind: str = "value",
    metric: Metric | None = None,
    stretch_time: bool = False,
    prior: Combination | None = None,
    sampler: Sampler | str = REFERENCE,
    seed: int = 0,
) -> Verification:
    """The network's forecast of one curve, judged by the posterior of its prior; takes seconds.

    It says whether the network computed what its prior implies, not whether the prior fits the curve.

    Args:
        pfn: the network.
        y: one curve, a `lcpfn.Curve` or (T,) values; this and what follows up to stretch_time as for `PFN.predict`.
        t_query: (Q,) times to be asked about, or
        horizon: all later steps up to this one.
        t: (T,) times.
        kind: of the question.
        metric: of y.
        stretch_time: map the times on those the network knows.
        prior: of the reference; None: the one that the network was trained on.
        sampler: of the reference, as for `MCMC`.
        seed: of all randomness.

    Raises:
        ValueError: if y is not one curve, the prior has no density to sample, or as for `PFN.predict`.

    Example:
        >>> import lcpfn
        >>> y = [0.2, 0.34, 0.41, 0.48, 0.5, 0.55]
        >>> verification = verify(lcpfn.load("paper"), y, [20, 50], sampler=SMC(particles=1024, runs=4))
        >>> bool(verification.odds.max() < 0.1)
        True
    """
    prior = prior if prior is not None else _prior(pfn)
    network = pfn.predict(y, t_query, horizon=horizon, t=t, kind=kind, metric=metric, stretch_time=stretch_time)
    if len(network.shape) != 1:
        raise ValueError(f"verify takes one curve (T,), got a batch of {network.shape[0]}; call it for each")
    engine = MCMC(prior, sampler=sampler, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the verdict says it
        reference = engine.predict(y, network.t, t=t, kind=kind, metric=network.metric, stretch_time=stretch_time)
    generator = np.random.default_rng([seed, 1])
    draws = reference.sample(DRAWS, generator=generator)  # (DRAWS, Q)
    logs = reference.log_prob(draws) - network.log_prob(draws)
    cdf = reference.cdf(network.quantile(LEVELS).T)  # (levels, Q)
    return Verification(
        network,
        reference,
        frozen(logs.mean(axis=0), "gap"),
        frozen(logs.std(axis=0, ddof=1) / np.sqrt(DRAWS), "gap_se"),
        frozen(np.abs(cdf - LEVELS[:, None]).max(axis=0), "odds"),
        float(reference.diagnostics.spread.max()),
    )


def _prior(pfn: PFN) -> Combination:
    """The prior that a network was trained on.

    Raises:
        ValueError: if it cannot be sampled by MCMC.
    """
    named = pfn.checkpoint.provenance.get("prior") or {}
    name = named.get("name")
    if isinstance(name, str) and ":" in name:  # a file that came from somewhere must not choose what is imported
        raise ValueError(
            f"the checkpoint names a prior of somebody's own, {name!r}, which is not imported on a file's word; a "
            "reference needs a prior whose density can be sampled, as paper or domhan: name one with prior="
        )
    prior = built_in(name, named.get("parameters"))
    if not isinstance(prior, Combination):
        raise ValueError(
            f"a reference needs a prior whose density can be sampled, as paper or domhan; this network's prior is "
            f"{name!r}. Name another with prior=, or calibrate on its own curves instead"
        )
    return prior
