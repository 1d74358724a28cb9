"""How far draws of a posterior can be trusted.

Letters: B curves, Q queries, C chains, N draws of each.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import NDArray

from lcpfn.frozen import frozen, take

MAX_R_HAT, MIN_ESS_A_CHAIN = 1.01, 100.0  # Vehtari et al. 2021
MAX_SPREAD = 0.02  # nats: a posterior less sure of itself is no reference


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """How far the draws behind a belief can be trusted; every field has the shape of the belief, (Q,) or (B, Q).

    NaN where a number does not apply: R-hat, sizes, divergences and E-BFMI are those of chains, spread and evidence
    those of "smc".

    Attributes:
        r_hat: worst rank-normalised split R-hat of log sigma and of the signal at the query, or near it: up to twelve
            of the asked times are judged.
        ess_bulk: the smallest bulk effective sample size of these, less the share of draws outside of the support.
        ess_tail: the same for the tails.
        divergences: share of divergent transitions.
        bfmi: smallest energy Bayesian fraction of missing information of a chain.
        inside: share of draws within the prior's support; the others are not used.
        draws: draws used.
        chains: chains, walkers or independent runs.
        spread: standard error, in nats, of the mean log density of a curve's later values, from independent runs.
        log_evidence: log marginal likelihood of the points.
    """

    r_hat: NDArray[Any]
    ess_bulk: NDArray[Any]
    ess_tail: NDArray[Any]
    divergences: NDArray[Any]
    bfmi: NDArray[Any]
    inside: NDArray[Any]
    draws: NDArray[Any]
    chains: NDArray[Any]
    spread: NDArray[Any]
    log_evidence: NDArray[Any]

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, frozen(getattr(self, field.name), field.name))

    def __getitem__(self, index: Any) -> Self:
        return replace(self, **{field.name: take(getattr(self, field.name), index) for field in fields(self)})

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Whether R-hat is at most 1.01 and both effective sizes at least 100 a chain; for "smc", `is_reference`."""
        # Walkers of an ensemble are one sampler: they are split into as many chains as R-hat was computed from.
        least = MIN_ESS_A_CHAIN * np.minimum(self.chains, 4)
        chains = (self.r_hat <= MAX_R_HAT) & (self.ess_bulk >= least) & (self.ess_tail >= least)
        return np.where(np.isnan(self.spread), chains, self.is_reference)

    @property
    def is_reference(self) -> NDArray[np.bool_]:
        """Whether independent runs agree within 0.02 nats: only then may the answer be called a reference."""
        return self.spread <= MAX_SPREAD


class ConvergenceWarning(UserWarning):
    """Draws that should not be trusted; `diagnostics` says why."""

    def __init__(self, message: str, diagnostics: Diagnostics) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


def judged(values: np.ndarray) -> np.ndarray:
    """Split R-hat, bulk and tail effective sample size of (C, N) draws; walkers of an ensemble are joined into four."""
    if len(values) > 8:
        values = values[: len(values) // 4 * 4].reshape(4, -1)
    axes = {"chain_axis": 0, "draw_axis": 1}
    return np.array(
        [
            array_stats.rhat(values, **axes),
            array_stats.ess(values, method="bulk", **axes),
            array_stats.ess(values, method="tail", prob=(0.05, 0.95), **axes),
        ],
        dtype=np.float64,
    )


def bfmi(energy: np.ndarray) -> np.ndarray:
    """Energy Bayesian fraction of missing information of each chain; source: Betancourt 2016."""
    return np.square(np.diff(energy, axis=1)).mean(axis=1) / np.maximum(energy.var(axis=1), 1e-300)


def warn(diagnostics: Diagnostics) -> None:
    """Warns, as if by the caller of the caller, if there are answers that should not be trusted."""
    bad = ~diagnostics.converged
    if not bad.any():
        return
    if not np.isnan(diagnostics.spread).all():
        worst = np.nanmax(diagnostics.spread[bad])
        why = f"independent runs differ by {worst:.3f} nats (0.02 make a reference); take more particles"
    elif np.isnan(diagnostics.r_hat).all():
        why = "a single run of particles cannot be judged; take several"
    else:
        why = (
            f"R-hat up to {np.nanmax(diagnostics.r_hat[bad]):.3f} (1.01 is allowed), effective sample size down to "
            f"{np.nanmin(np.minimum(diagnostics.ess_bulk, diagnostics.ess_tail)[bad]):.0f} (100 a chain is wanted); "
            "take more draws"
        )
    message = f"{bad.sum()} of {bad.size} answers should not be trusted: {why}"
    warnings.warn(ConvergenceWarning(message, diagnostics), stacklevel=3)
