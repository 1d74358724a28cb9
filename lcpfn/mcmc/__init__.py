"""MCMC: the question of `PFN.predict`, answered by sampling the posterior of the prior's parameters."""

from lcpfn.mcmc.sampler import AIES, MCMC, NUTS, SMC, ConvergenceWarning, Diagnostics, Posterior, SampledBelief
from lcpfn.mcmc.verification import Verification, verify

__all__ = [
    "AIES",
    "MCMC",
    "NUTS",
    "SMC",
    "ConvergenceWarning",
    "Diagnostics",
    "Posterior",
    "SampledBelief",
    "Verification",
    "verify",
]
