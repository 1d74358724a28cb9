"""Runs that go wrong for good: into NaN, which stays, or to ever worse finite values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lcpfn.priors.general.sampling import Sampler


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """Law of divergence.

    Attributes:
        to_nan: Share of runs that break off in NaN, half of them within the first few points.
        finite: Share of runs that explode to finite values and stay there or go on.
        dead: Share of these that do not move any more once they have exploded: their noise is gone.
        height: Smallest and largest explosion, in gains of the curve; the logarithm is uniform.
    """

    to_nan: float = 0.04
    finite: float = 0.04
    dead: float = 0.6
    height: tuple[float, float] = (1.0, 1e6)

    def __post_init__(self) -> None:
        object.__setattr__(self, "height", tuple(self.height))
        if not (0 <= self.to_nan <= 1 and 0 <= self.finite <= 1):
            raise ValueError(f"shares lie in [0, 1], got to_nan={self.to_nan}, finite={self.finite}")

    def explosion(self, progress: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns how far each point lies on the bad side, (n, T), in gains, and whether the run is dead there, (n, T).

        0 and False for most runs, and before the onset.
        """
        sampler = Sampler(len(progress), generator=generator)
        # Many explode with the very first step, as with a learning rate that is too large. All numbers
        # are drawn for all runs, whether they explode or not: what is drawn afterwards does not depend on the shares.
        onset = torch.where(sampler.bernoulli(0.3), sampler.log_uniform(1e-3, 0.3), sampler.uniform())
        onset = torch.where(sampler.bernoulli(0.4), progress[:, :1], onset)  # with the first step
        since = (progress - onset).clamp(min=0)
        height, width = sampler.log_uniform(*self.height), sampler.log_uniform(1e-3, 0.3)
        jump = height * (1 - torch.exp(-since / width))
        # exponential growth that reaches `height` by the end; capped, since an onset close to the end would overflow
        growth = torch.expm1((height.log() * since / (1 - onset).clamp(min=1e-3)).clamp(max=height.log()))
        path = torch.where(sampler.bernoulli(0.6), jump, growth)
        dead = sampler.bernoulli(self.dead)
        path = torch.where(dead, height * (since > 0), path)
        path = torch.where(sampler.bernoulli(self.finite), path, 0.0)
        return path, dead & (path > 0)

    def breaks(self, seen: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns which of the points (n, T) are left, and which runs (n,) broke off; one point is always left."""
        sampler = Sampler(len(seen), generator=generator)
        count = seen.sum(1, keepdim=True).float()
        # 0.999, not 1: the logarithm's smallest value is 1 by rounding now and then, and one point must be left
        soon = 1 + torch.floor(sampler.log_uniform(1, 8) - 0.999)
        left = torch.where(sampler.bernoulli(0.5), soon, torch.floor(1 + sampler.uniform() * (count - 1)))
        broken = sampler.bernoulli(self.to_nan) & (left < count)
        column = torch.arange(seen.shape[1], device=seen.device)
        return torch.where(broken, seen & (column < left), seen), broken[:, 0]
