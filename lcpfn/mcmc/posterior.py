"""The posterior of one curve as draws of the prior's parameters, and what it says about later values.

Letters: S draws, Q queries, C chains, R independent runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lcpfn.belief import Belief
from lcpfn.mcmc.diagnostics import Diagnostics
from lcpfn.priors.combination import Combination

_JUDGED = 64  # joint draws of later values by which runs are compared
_JUDGED_TIMES = 24


@dataclass(frozen=True, eq=False, repr=False)
class SampledBelief(Belief):
    """A belief that is a mixture of normals over posterior draws, with the sampler's diagnostics."""

    diagnostics: Diagnostics

    def __getitem__(self, index: Any) -> Self:
        return replace(super().__getitem__(index), diagnostics=self.diagnostics[index])


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws of the parameters of one curve.

    Attributes:
        prior: whose parameters.
        parameters: (S,) each, with "sigma".
        log_weights: (S,) that sum to one.
        run: (S,) which chain or run a draw belongs to, from 0.
        chains: (C, N) of the draws in time order before those outside of the support were left out, by name of a
            quantity; empty for "smc".
        inside: share of draws within the support.
        divergences: share of divergent transitions, NaN if there are no such.
        bfmi: smallest of a chain.
        log_evidence: NaN for chains.
    """

    prior: Combination
    parameters: Mapping[str, NDArray[Any]]
    log_weights: NDArray[Any]
    run: NDArray[Any]
    chains: Mapping[str, NDArray[Any]]
    inside: float
    divergences: float
    bfmi: float
    log_evidence: float

    def signal(self, t: NDArray[Any]) -> NDArray[Any]:
        """(S, Q) noiseless values at times (Q,)."""
        return np.asarray(self.prior.signal(self.parameters, np.asarray(t, dtype=np.float64)))

    def components(
        self, t: NDArray[Any], kind: str, steps: NDArray[Any], generator: np.random.Generator
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Means and standard deviations, (Q, S) each, of the normals whose mixture is the belief at times (Q,).

        "value" is exact: the draw's signal and noise. "signal" is the draws themselves, and "best" the best of one
        path of noise for each draw; both are smoothed by a normal kernel (Silverman's width), since draws alone have
        no density.

        Args:
            t: asked times.
            kind: of the query.
            steps: (M,) times at which the run will be measured, for "best".
            generator: of the noise of "best".
        """
        sigma = self.parameters["sigma"]
        if kind == "value":
            signal = self.signal(t).T
            return signal, np.broadcast_to(sigma, signal.shape)
        if kind == "signal":
            draws = self.signal(t)
        elif kind != "best":
            raise ValueError(f'the posterior\'s draws answer the kinds "value", "signal" and "best", got {kind!r}')
        else:
            times = np.concatenate([steps, np.setdiff1d(t, steps)])
            noise = generator.normal(size=(len(times), len(sigma))).T  # the same at a step, whatever else is asked
            order = np.argsort(times)
            times, noisy = times[order], (self.signal(times) + sigma[:, None] * noise)[:, order]
            draws = np.maximum.accumulate(noisy, axis=1)[:, np.searchsorted(times, t)]
        weights = np.exp(self.log_weights)
        mean = weights @ draws
        spread = np.sqrt(weights @ (draws - mean) ** 2)
        order = np.argsort(draws, axis=0)
        ladder = np.cumsum(weights[order], axis=0)
        at = [
            np.take_along_axis(draws, np.take_along_axis(order, (ladder < q).sum(0)[None], 0), 0)[0]
            for q in (0.25, 0.75)
        ]
        width = 0.9 * np.fmin(spread, np.maximum(at[1] - at[0], 1e-3 * spread) / 1.34)
        width = np.maximum(width * (1 / (weights**2).sum()) ** -0.2, 1e-9)
        return draws.T, np.broadcast_to(width[:, None], draws.T.shape)

    def spread(self, t: NDArray[Any], generator: np.random.Generator) -> float:
        """Standard error over R runs of the mean log density of a curve's values at times (Q,), in nats.

        The curves are drawn from the posterior itself; NaN for chains and for a single run.
        """
        runs = int(self.run.max()) + 1
        if self.chains or runs < 2 or not len(t):
            return float("nan")
        t = np.unique(t)[:: max(1, -(-len(np.unique(t)) // _JUDGED_TIMES))]
        signal, sigma = self.signal(t), self.parameters["sigma"][:, None]
        pick = generator.choice(len(sigma), size=_JUDGED, p=np.exp(self.log_weights))
        y = signal[pick] + sigma[pick] * generator.normal(size=(_JUDGED, len(t)))
        shares = np.array([np.exp(self.log_weights[self.run == r]).sum() for r in range(runs)])
        scores = np.empty((runs, _JUDGED))
        for r in range(runs):
            f, s = signal[self.run == r], sigma[self.run == r]
            for i, row in enumerate(y):
                logs = -0.5 * ((row - f) / s) ** 2 - np.log(s)
                top = logs.max(axis=0)
                scores[r, i] = (np.log(np.exp(logs - top).mean(axis=0)) + top).mean()
        centre = shares @ scores
        # Of a weighted mean of runs; with equal shares, their standard deviation over the square root of R.
        error = np.sqrt((shares**2) @ (scores - centre) ** 2 * runs / (runs - 1))
        return float(np.sqrt((error**2).mean()))
