"""What the tests of the general prior's parts share: dice, and the progress of runs that are measured evenly."""

import torch

from lcpfn.priors.dice import Dice

N = 4000  # runs


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dice(n: int = N, seed: int = 0) -> Dice:
    return Dice(n, generator=generator(seed))


def progress(n: int = N, points: int = 60) -> torch.Tensor:
    return torch.linspace(0, 1, points).expand(n, -1)
