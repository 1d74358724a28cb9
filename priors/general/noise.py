"""Measurement noise: its level, how it changes over the run, how it hangs together, and how often it is wild."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lcpfn.priors.general.sampling import Sampler, check_shares

NOISE_LEVELS = ("ordinary", "smooth", "loud", "none")
CORRELATIONS = (0.3, 0.6, 0.8, 0.9, 0.95, 0.99)  # between neighbouring points, of runs whose noise is correlated


def correlated(white: Tensor, rho: float) -> Tensor:
    """Returns a stationary AR(1) sequence made of white noise (n, T): variance as before, neighbours correlated by rho.

    Example:
        >>> round(float(correlated(torch.ones(1, 2), 0.6)[0, 1]), 3)  # 0.6 + sqrt(1 - 0.6^2)
        1.4
    """
    steps = torch.arange(white.shape[1], device=white.device)
    # x_t = sum_s rho^(t - s) e_s as one product with a triangular matrix, without a loop over points. The first shock
    # keeps its size, the others shrink by sqrt(1 - rho^2), so that the variance is the same from the first point on.
    powers = torch.tril(rho ** (steps[:, None] - steps[None, :]).clamp(min=0).float())
    powers[:, 1:] *= math.sqrt(1 - rho * rho)
    return white @ powers.T


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Law of noise, in units of a curve's gain.

    Attributes:
        levels: Shares of ordinary, smooth, loud and noiseless runs.
        ordinary: Smallest and largest standard deviation at the start of the run; the logarithm is uniform.
        smooth: Likewise.
        loud: Likewise.
        shrinking: Share of runs whose noise shrinks over the run, besides what their schedule does.
        last: Smallest and largest ratio of the last to the first standard deviation of those.
        growing: Share of runs whose noise grows, by up to three times.
        correlated: Share of runs with AR(1) noise.
        heavy: Share of runs with heavy tails: some points have several times the standard deviation.
        wild: Share of runs whose first point lies far on the bad side, by up to thirty gains.
    """

    levels: Mapping[str, float] = field(
        default_factory=lambda: {"ordinary": 0.72, "smooth": 0.11, "loud": 0.13, "none": 0.04}, hash=False
    )
    ordinary: tuple[float, float] = (1e-3, 0.3)
    smooth: tuple[float, float] = (1e-5, 1e-3)
    loud: tuple[float, float] = (0.2, 3.0)
    shrinking: float = 0.45
    last: tuple[float, float] = (0.02, 1.0)
    growing: float = 0.08
    correlated: float = 0.30
    heavy: float = 0.30
    wild: float = 0.14

    def __post_init__(self) -> None:
        check_shares(self.levels, NOISE_LEVELS, "levels")
        for name in ("ordinary", "smooth", "loud", "last"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def sample(self, progress: Tensor, told: Tensor | None = None, *, generator: torch.Generator) -> Tensor:
        """Returns independent noise of n runs at the progress (n, T): (n, T), mean 0.

        Args:
            progress: Of the points.
            told: Standard deviations at the start, (n, 1), NaN where they are to be drawn; all of them, if not given.
            generator: Where the numbers come from.
        """
        sampler = Sampler(len(progress), generator=generator)
        return self.level(progress, sampler, told) * self.standard(progress, sampler)

    def level(self, progress: Tensor, sampler: Sampler, told: Tensor | None = None) -> Tensor:
        """Returns standard deviations, (n, T)."""
        chosen = sampler.categorical(self.levels)[:, None]
        level = torch.zeros_like(progress[:, :1])
        for place, name in enumerate(self.levels):
            if name != "none":
                level = torch.where(chosen == place, sampler.log_uniform(*getattr(self, name)), level)
        if told is not None:
            level = torch.where(told.isnan(), level, told)
        ratio = torch.where(sampler.bernoulli(self.shrinking), sampler.log_uniform(*self.last), 1.0)
        # of those that do not shrink, so that `growing` is a share of all runs
        grows = sampler.bernoulli(self.growing / (1 - self.shrinking))
        ratio = torch.where((ratio == 1) & grows, sampler.log_uniform(1, 3), ratio)
        return level * ratio ** (progress ** sampler.log_uniform(0.2, 2))

    def standard(self, progress: Tensor, sampler: Sampler) -> Tensor:
        """Returns noise of level 1, (n, T)."""
        z = sampler.normal(progress.shape[1])
        heavy = sampler.bernoulli(self.heavy)
        outlier = heavy & (sampler.uniform(columns=progress.shape[1]) < sampler.log_uniform(0.01, 0.3))
        z = torch.where(outlier, z * sampler.log_uniform(2, 6), z)
        # one uniform number says both whether the noise is correlated (the first `correlated` of it) and by how much
        group = (sampler.uniform()[:, 0] / max(self.correlated, 1e-9) * len(CORRELATIONS)).long()
        for place, rho in enumerate(CORRELATIONS):
            rows = (group == place).nonzero()[:, 0]
            if len(rows) and self.correlated > 0:
                z[rows] = correlated(z[rows], rho)
        return z

    def first(self, sampler: Sampler) -> Tensor:
        """Returns how far the first points lie on the bad side, (n, 1), 0 for most."""
        return torch.where(sampler.bernoulli(self.wild), sampler.log_uniform(0.3, 30), 0.0)
