"""When training curves are measured: mostly at 1, 2, 3, ..., in a share of the steps at times that users have too."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LENGTH = 100  # points of a curve of a prior that does not say when its runs are measured


def draw_times(length: int, irregular: float, *, generator: torch.Generator) -> Tensor:
    """(length,) increasing times from 1 to length, on the generator's device.

    An irregular grid begins with gaps around one size between 0.2 and 10, equal or jittered, and goes on evenly to the
    end, so that contexts with missing, sparse, dense and uneven points are all asked about the rest of the run.

    Args:
        length: number of points, and the last time.
        irregular: probability of an irregular grid; else 1, 2, ..., length.
        generator: also says on which device.
    """
    device = generator.device
    u = torch.rand(4, generator=generator, device=device).tolist()
    if u[0] >= irregular:
        return torch.arange(1.0, length + 1, device=device)
    gap = 0.2 * math.exp(u[1] * math.log(50.0))
    first = max(2, min(length - 10, int((0.1 + 0.9 * u[2]) * (length - 1) / gap)))
    gaps = torch.full((first,), gap, device=device)
    if u[3] < 0.5:
        gaps = gaps * torch.exp(0.7 * torch.randn(first, generator=generator, device=device))
    gaps = gaps * min(1.0, 0.95 * (length - 1) / float(gaps.sum()))
    head = 1.0 + torch.cat([gaps[:1] * 0, gaps.cumsum(0)])  # (first + 1,), from 1
    share = torch.arange(1, length - first, device=device) / (length - first - 1)
    return torch.cat([head, head[-1] + (length - head[-1]) * share])
