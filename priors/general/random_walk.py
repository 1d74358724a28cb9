"""Random walks: slow moves of a run that no formula has, such as an agent's luck or a path through a landscape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lcpfn.priors.general.sampling import Sampler


@dataclass(frozen=True, kw_only=True)
class RandomWalk:
    """Law of random walks over the run, rough ones or smooth ones whose slope walks, in gains of the trend.

    Attributes:
        share: Of runs with a random walk.
        size: Smallest and largest standard deviation at the end of the run; the logarithm is uniform.
        smooth: Share of these whose slope walks.
        pace: Smallest and largest exponent of progress by which the walk's clock runs: below 1 most of it comes early.
    """

    share: float = 0.25
    size: tuple[float, float] = (0.01, 0.5)
    smooth: float = 0.4
    pace: tuple[float, float] = (0.4, 1.5)

    def __post_init__(self) -> None:
        for name in ("size", "pace"):
            object.__setattr__(self, name, tuple(float(number) for number in getattr(self, name)))
            if not 0 < getattr(self, name)[0] <= getattr(self, name)[1]:
                raise ValueError(f"{name} must be two numbers above 0, the smaller first, got {getattr(self, name)}")
        for name in ("share", "smooth"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")

    def sample(self, progress: Tensor, *, generator: torch.Generator) -> Tensor:
        """Returns how far n runs have wandered at their progress (n, T), 0 to 1, increasing: (n, T), mean 0."""
        path = torch.zeros_like(progress)
        rows = Sampler(len(progress), generator=generator).bernoulli(self.share)[:, 0].nonzero()[:, 0]
        if len(rows) and progress.shape[1]:
            sampler = Sampler(len(rows), generator=generator)
            clock = progress[rows] ** sampler.log_uniform(*self.pace)
            path[rows] = sampler.log_uniform(*self.size) * walk(clock, sampler, sampler.bernoulli(self.smooth))
        return path


def walk(clock: Tensor, sampler: Sampler, smooth: Tensor) -> Tensor:
    """Returns n random walks (n, T), 0 at clock 0, of variance 1 at clock 1, at the clock (n, T), increasing.

    Args:
        clock: Times.
        sampler: Of n rows.
        smooth: (n, 1) whether it is the slope that walks; drawn exactly, whatever the gaps.
    """
    gaps = torch.diff(clock, dim=1, prepend=torch.zeros_like(clock[:, :1])).clamp(min=0)
    root, step = gaps.sqrt(), sampler.normal(clock.shape[1])
    # increments over gaps of any size are exact, not an Euler step: a run thinned to few points has the same law
    rough = root * step
    # over a gap h a walk that starts at 0 has the integral N(0, h^3 / 3), of which h / 2 of its end is the mean
    slope = rough.cumsum(1)
    before = slope - rough
    moved = gaps * (before + 0.5 * rough) + gaps * root * sampler.normal(clock.shape[1]) / 12**0.5
    # the integral of a walk has variance 1/3 at clock 1
    return torch.where(smooth, 3**0.5 * moved, rough).cumsum(1)
