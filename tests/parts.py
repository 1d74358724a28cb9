"""What the tests of the general prior's parts share: a sampler, and the progress of runs that are measured evenly."""

import torch

from lcpfn.priors.general.sampling import Sampler

N = 4000  # runs


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sampler(n: int = N, seed: int = 0) -> Sampler:
    return Sampler(n, generator=generator(seed))


def progress(n: int = N, points: int = 60) -> torch.Tensor:
    return torch.linspace(0, 1, points).expand(n, -1)
