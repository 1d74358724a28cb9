"""A prior of your own, and a network that knows it. In this folder:

    lcpfn train --prior own_prior:prior --preset tiny --minutes 2 --name mine
    lcpfn calibrate --checkpoint runs/mine/checkpoint.safetensors
    echo 0.21 0.38 0.45 0.51 0.54 | lcpfn predict - --horizon 100 --checkpoint runs/mine/checkpoint.safetensors

Here: accuracies that approach their end as a power law, until the learning rate drops.
"""

import torch
from torch import Tensor

from lcpfn.priors import Curves


def prior(n: int, t: Tensor, *, generator: torch.Generator, first: float = 20.0, last: float = 80.0) -> Curves:
    """n curves (n, T) at times t (T,); the rate drops between the times `first` and `last`."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, generator=generator, device=generator.device)

    end, start, power = uniform(0.5, 1.0), uniform(0.0, 0.4), uniform(0.2, 1.2)
    drop, kept = uniform(first, last), uniform(0.3, 0.8)  # when, and which share of what is missing stays
    missing = t**-power * torch.where(t < drop, 1.0, kept)  # (n, T)
    signal = end - (end - start) * missing
    spread = 10 ** uniform(-2.5, -1.5) * torch.where(t < drop, 1.0, 0.3)  # small steps are quiet
    y = signal + spread * torch.randn(signal.shape, generator=generator, device=generator.device)
    return Curves(t=t.expand(n, -1), y=y, signal=signal, seen=torch.ones_like(y, dtype=torch.bool))


prior.bounds = (0.0, 1.0)  # of the signal; these are what is assumed where nothing is said
