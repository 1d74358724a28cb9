"""From raw outputs to log densities in torch; the NumPy twin is lcpfn.distributions.mixture."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lcpfn.distributions.mixture import LOG_STD_OFFSET, MAX_LOG_STD, MAX_MEAN, MIN_LOG_STD

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def mixture_log_pdf(raw: Tensor, u: Tensor) -> Tensor:
    """log density of u (...) under mixtures with raw parameters (..., 3K), means and spreads capped."""
    logits, means, log_stds = raw.chunk(3, -1)
    means = MAX_MEAN * torch.tanh(means / MAX_MEAN)
    log_stds = MIN_LOG_STD + (MAX_LOG_STD - MIN_LOG_STD) * torch.sigmoid(log_stds + LOG_STD_OFFSET)
    return normals_log_pdf(logits, means, log_stds, u)


def normals_log_pdf(logits: Tensor, means: Tensor, log_stds: Tensor, u: Tensor) -> Tensor:
    """log density of u (...) under mixtures of normals with parameters (..., K)."""
    z = (u[..., None] - means) * torch.exp(-log_stds)
    return torch.logsumexp(logits.log_softmax(-1) - 0.5 * z * z - log_stds, -1) - HALF_LOG_TWO_PI
