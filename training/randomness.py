"""Seeds become streams in this one place."""

from __future__ import annotations

import numpy as np
import torch

WEIGHTS, BATCH, VALIDATION, ALARM = range(4)  # first step of every path


def generator(seed: int, *path: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator of its own for every path: `generator(seed, BATCH, n)` gives batch n without a replay of the others.

    Args:
        seed: the run's seed, not negative.
        *path: what the stream is for, numbers that are not negative.
        device: where the random numbers are made.

    >>> torch.rand(1, generator=generator(0, BATCH, 5)) == torch.rand(1, generator=generator(0, BATCH, 5))
    tensor([True])
    """
    state = np.random.SeedSequence(seed, spawn_key=path).generate_state(1, np.uint64)[0]
    return torch.Generator(device=device).manual_seed(int(state >> np.uint64(1)))
