"""Networks with random weights, all of them at work, for tests that need no training."""

from __future__ import annotations

import dataclasses

import torch

from lcpfn import PFN
from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates
from lcpfn.training.transformer import Transformer

TINY = ModelConfig(width=32, layers=2, heads=2, hidden=64, decoder=48, components=5)
PAPER = Coordinates()
FREE = Coordinates(times="relative", clock=None, bounded=False)  # no absolute feature: the invariances are exact


def random_network(config: ModelConfig = TINY, coordinates: Coordinates = PAPER, *, seed: int = 0) -> Transformer:
    """A network whose weights are all random: the zeros of the first state would hide mistakes."""
    with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global state
        network = Transformer(config, coordinates)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            spread = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=random) * spread)
    return network.eval()


def random_pfn(
    config: ModelConfig = TINY, coordinates: Coordinates = PAPER, *, seed: int = 0, device: str | None = None
) -> PFN:
    """The engine with such a network."""
    weights = {
        name: p.detach().numpy() for name, p in random_network(config, coordinates, seed=seed).named_parameters()
    }
    config_json = {"model": dataclasses.asdict(config), "coordinates": dataclasses.asdict(coordinates)}
    provenance = {
        "prior": {"name": "none", "parameters": {}, "bounds": [0.0, 1.0]},
        **dict.fromkeys(("seed", "commit", "curves_seen", "scores", "versions")),
    }
    return PFN(Checkpoint(config_json, weights, provenance), device=device)
