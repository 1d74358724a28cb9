"""Runs of a prior that does not say when they are measured: all of a batch at the same times, from 1 to the end."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lcpfn.priors.curves import Curves, Prior, RunPrior

LENGTH = 100  # points of a run, and its last time: as in the LC-PFN paper


@dataclass(frozen=True)
class SharedTimes:
    """A prior of curves as one of whole runs, so that training knows one kind of prior alone.

    Attributes:
        prior: Of curves at times that are given.
        irregular: Share of the batches whose times are uneven; else 1, 2, ..., length.
        length: Number of points, and the last time.
    """

    prior: Prior
    irregular: float = 0.0
    length: int = LENGTH

    @property
    def name(self) -> str:
        """The prior's."""
        return self.prior.name

    @property
    def bounds(self) -> tuple[float, float]:
        """The prior's."""
        return self.prior.bounds

    def parameters(self) -> dict[str, Any]:
        """Returns the prior's parameters: the times are those of the training, not of the prior."""
        return self.prior.parameters()

    def sample(self, n: int, t: Tensor, *, generator: torch.Generator) -> Curves:
        """Returns n curves of the prior at the times t, (T,)."""
        return self.prior.sample(n, t, generator=generator)

    def sample_runs(self, n: int, points: int, later: int, *, generator: torch.Generator) -> Curves:
        """Returns n independent runs of `length` columns, at times of one draw, as `RunPrior.sample_runs` says.

        What follows the first `points` is all there for questions, however many `later` asks for.
        """
        drawn = self.prior.sample(n, draw_times(self.length, self.irregular, generator=generator), generator=generator)
        if bool(drawn.seen.all()):
            return drawn
        # A run's points are counted from its first, so those that were never measured must come after all others.
        order = (~drawn.seen).long().argsort(dim=1, stable=True)
        moved = {name: getattr(drawn, name).gather(1, order) for name in ("t", "y", "signal", "seen")}
        moved["y"] = torch.where(moved["seen"], moved["y"], 0.0)  # it means nothing, and a NaN would spread
        return replace(drawn, **moved)


def as_runs(prior: Prior, *, irregular: float = 0.0) -> RunPrior:
    """Returns the prior itself if it draws whole runs, else its curves as runs at shared times."""
    return prior if isinstance(prior, RunPrior) else SharedTimes(prior, irregular)


def draw_times(length: int, irregular: float, *, generator: torch.Generator) -> Tensor:
    """Returns increasing times from 1 to length, (length,), on the generator's device.

    An irregular grid begins with gaps around one size between 0.2 and 10, equal or jittered, and goes on evenly to the
    end, so that contexts with missing, sparse, dense and uneven points are all asked about the rest of the run.

    Args:
        length: Number of points, and the last time.
        irregular: Probability of an irregular grid; else 1, 2, ..., length.
        generator: Also says on which device.
    """
    device = generator.device
    # four numbers whatever comes of them: whether times are uneven shall not move the draws of the curves
    u = torch.rand(4, generator=generator, device=device).tolist()
    if u[0] >= irregular:
        return torch.arange(1.0, length + 1, device=device)
    gap = 0.2 * math.exp(u[1] * math.log(50.0))
    first = max(2, min(length - 10, int((0.1 + 0.9 * u[2]) * (length - 1) / gap)))
    gaps = torch.full((first,), gap, device=device)
    if u[3] < 0.5:
        gaps = gaps * torch.exp(0.7 * torch.randn(first, generator=generator, device=device))
    # room for the even end, or a context of wide gaps would leave no rest of the run to be asked about
    gaps = gaps * min(1.0, 0.95 * (length - 1) / float(gaps.sum()))
    head = 1.0 + torch.cat([gaps[:1] * 0, gaps.cumsum(0)])  # (first + 1,), from 1
    share = torch.arange(1, length - first, device=device) / (length - first - 1)
    return torch.cat([head, head[-1] + (length - head[-1]) * share])
