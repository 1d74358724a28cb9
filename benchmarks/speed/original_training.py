"""Training as the LC-PFN paper did it, for `training_speed.py`: its layout, in float32, on curves drawn one by one.

The layout is that of `opponents.original.network`, which leaves out what a dense mask would only throw away, so this
opponent is faster than the released code.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from opponents.original.config import OriginalConfig, UnitCoordinates
from opponents.original.network import OriginalTransformer
from torch import Tensor

from lcpfn.priors import Curves, Paper
from lcpfn.training import PRESETS, Options

SETTINGS: dict[str, Any] = {"precision": "float32", "optimizer": "adamw", "irregular": 0.0, "shares": (1.0, 0.0, 0.0)}
NETWORK = OriginalTransformer
SIZES: dict[str, tuple[OriginalConfig, int]] = {  # and curves in a step on a CPU
    "as many parameters as `small`": (
        OriginalConfig(**asdict(PRESETS["small"]) | {"decoder": 213, "components": 1000}),
        64,
    ),
    "LC-PFN's largest, 12 x 512": (
        OriginalConfig(width=512, layers=12, heads=4, hidden=1024, decoder=1024, components=1000),
        8,
    ),
}


def options(size: str, *, batch: int | None = None, **told: Any) -> Options:
    """The options of a training run of one of SIZES."""
    model, fits = SIZES[size]
    return Options(model=model, coordinates=UnitCoordinates(), batch=batch or fits, **SETTINGS, **told)


class OneByOne:
    """The prior of the paper, drawn as its released code does: curve after curve, each proposed until acceptable."""

    name, bounds = Paper.name, Paper.bounds

    def parameters(self) -> dict[str, Any]:
        """The fields as JSON."""
        return Paper().parameters()

    def sample(self, n: int, t: Tensor, *, generator: torch.Generator) -> Curves:
        """n independent curves at the times 1, 2, ..., T."""
        seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
        random, x = np.random.default_rng(seed), np.arange(1.0, len(t) + 1)
        drawn = [self._one(random, x) for _ in range(n)]
        y, signal = (torch.tensor(np.stack(part), dtype=torch.float32).to(generator.device) for part in zip(*drawn))
        return Curves(t=t.to(y).expand(n, -1), y=y, signal=signal, seen=torch.ones_like(y, dtype=torch.bool))

    @staticmethod
    def _one(random: np.random.Generator, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values with and without noise, (T,) each; the laws are those of `lcpfn.priors.laws.LCPFN`."""
        while True:
            weights = random.uniform(size=3)
            c, a, alpha = random.uniform(0, 1.25), random.uniform(-0.6, 0.6), math.exp(random.normal(0, 2))
            offset, drop = random.uniform(0, 1), random.uniform(-0.5, 0.5)
            end, start = random.uniform(0, 1), random.uniform(0, 2)
            rate, bend = math.exp(random.normal(-2, 1)), math.exp(random.normal(0, 0.5))
            f = weights[0] * (c - a * x**-alpha) + weights[1] * (offset - drop / np.log(x + 1))
            f = f + weights[2] * (end - (end - start) * np.exp(-rate * x**bend))
            if f[-1] > f[0] and f.min() >= 0 and f.max() <= 1:
                return f + random.normal(0, math.exp(random.normal(-4, 1)), len(x)), f
