"""From raw outputs to log densities in torch; the NumPy twins are mixture and bars of lcpfn.distributions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lcpfn.distributions.bars import HALF_NORMAL_MEDIAN
from lcpfn.distributions.mixture import LOG_STD_OFFSET, MAX_LOG_STD, MAX_MEAN, MIN_LOG_STD, MIN_LOG_STD_UNCAPPED

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def mixture_log_pdf(raw: Tensor, u: Tensor, *, capped: bool) -> Tensor:
    """log density of u (...) under mixtures with raw parameters (..., 3K)."""
    logits, means, log_stds = raw.chunk(3, -1)
    if capped:
        means = MAX_MEAN * torch.tanh(means / MAX_MEAN)
        log_stds = MIN_LOG_STD + (MAX_LOG_STD - MIN_LOG_STD) * torch.sigmoid(log_stds + LOG_STD_OFFSET)
    else:
        log_stds = log_stds.clamp(min=MIN_LOG_STD_UNCAPPED)
    z = (u[..., None] - means) * torch.exp(-log_stds)
    return torch.logsumexp(logits.log_softmax(-1) - 0.5 * z * z - log_stds, -1) - HALF_LOG_TWO_PI


def bars_log_pdf(raw: Tensor, u: Tensor, edges: Tensor) -> Tensor:
    """log density of u (...) under bars with raw log masses (..., N), uniform inside, half-normal outside."""
    bars = raw.shape[-1]
    widths = edges[1:] - edges[:-1]
    index = (torch.searchsorted(edges, u.contiguous()) - 1).clamp(0, bars - 1)
    mass = raw.log_softmax(-1).gather(-1, index[..., None])[..., 0]
    below, above = index == 0, index == bars - 1
    distance = torch.where(below, edges[1] - u, u - edges[-2]).clamp(min=0)
    scale = torch.where(below, widths[0], widths[-1]) / HALF_NORMAL_MEDIAN
    tail = math.log(2.0) - HALF_LOG_TWO_PI - scale.log() - 0.5 * (distance / scale) ** 2
    return mass + torch.where(below | above, tail, -widths[index].log())
