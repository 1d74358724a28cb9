"""Runs whose curve is a weighted sum of families, as in the prior of LC-PFN, measured at any times."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lcpfn.priors.general.sampling import Sampler
from lcpfn.priors.general.scales import Measured
from lcpfn.priors.paper import Paper

LEAST = 1e-3  # smallest gain that counts as one


@dataclass(frozen=True, kw_only=True)
class LcpfnRuns:
    """Law of runs that are curves of `lcpfn.priors.Paper`, whose epochs 1 to 100 are the run from begin to end.

    They stand for themselves: no schedule, no spike, noise of one size, an accuracy or an error rate.

    Attributes:
        share: Of all runs.
        known: Share of those whose bounds are told, where noise does not carry a value past them.
    """

    share: float = 0.08
    known: float = 0.7

    def __post_init__(self) -> None:
        for name in ("share", "known"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")

    def into(self, made: Measured, progress: Tensor, *, generator: torch.Generator) -> None:
        """Puts such runs in the place of some of the n in `made`, at their progress (n, T)."""
        if not self.share:
            return
        rows = Sampler(len(progress), generator=generator).bernoulli(self.share)[:, 0].nonzero()[:, 0]
        if len(rows):
            made.put(rows, self._measured(progress[rows], generator))

    def _measured(self, progress: Tensor, generator: torch.Generator) -> Measured:
        prior, sampler = Paper(), Sampler(len(progress), generator=generator)
        parameters = prior.draw(sampler.n, generator=generator)
        t = 1 + (prior.horizon - 1) * progress
        signal = torch.as_tensor(prior.signal(parameters, t))
        y = torch.addcmul(signal, parameters["sigma"][:, None], sampler.normal(progress.shape[1]))
        ends = torch.as_tensor(prior.signal(parameters, t.new_tensor([1.0, float(prior.horizon)])))
        gain = (ends[:, 1:] - ends[:, :1]).clamp(min=LEAST)
        falls = sampler.bernoulli(0.5)
        y, signal = torch.where(falls, 1 - y, y), torch.where(falls, 1 - signal, signal)
        inside = ((y >= 0) & (y <= 1)).all(1, keepdim=True)
        room = torch.where(sampler.bernoulli(self.known) & inside, 0.0, math.inf)
        return Measured(y, signal, -room, 1 + room, torch.where(falls, -1.0, 1.0), gain)
