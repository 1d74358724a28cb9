"""Fine-tuning: the checkpoint whose weights a run begins with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from lcpfn.network.checkpoint import Checkpoint, digest
from lcpfn.network.shapes import check_weights, read_config
from lcpfn.pfn import locate
from lcpfn.training.options import Options

GROWS = ("layers", "hidden", "divergence")  # what a child may have more of
RARE = -4.0  # log odds of divergence to begin with


@dataclass(frozen=True, eq=False)
class Parent:
    """A checkpoint to begin with.

    Attributes:
        weights: arrays by name.
        facts: what the header of its children says of it: file, sha256, prior, curves_seen, and its own parent.
    """

    weights: dict[str, np.ndarray]
    facts: dict[str, Any]

    @classmethod
    def of(cls, options: Options) -> Parent | None:
        """The checkpoint that the options begin with, None if they begin with none.

        Raises:
            FileNotFoundError: if there is no such checkpoint.
            ValueError: if its network or its coordinates are not those of the options; the message names the fields.
        """
        if options.init is None:
            return None
        path = locate(options.init)
        checkpoint = Checkpoint.read(path)
        model, coordinates = read_config(checkpoint.config)
        check_weights(model, coordinates, checkpoint.weights)
        checkpoint.check_content()
        theirs = {**dataclasses.asdict(model), **dataclasses.asdict(coordinates)}
        ours = {**dataclasses.asdict(options.model), **dataclasses.asdict(options.coordinates)}
        grown = [name for name in GROWS if ours[name] > theirs[name]]
        if differ := [name for name in ours if ours[name] != theirs[name] and name not in grown]:
            raise ValueError(
                f"--init needs the network and coordinates of the checkpoint {options.init}, got other "
                + ", ".join(f"{name} ({ours[name]} here, {theirs[name]} there)" for name in differ)
                + f"; say {' '.join(flag(name, theirs[name]) for name in differ)}"
            )
        told = checkpoint.provenance
        facts = {"file": path.name, "sha256": digest(path), "prior": told["prior"], "curves_seen": told["curves_seen"]}
        if "parent" in told:
            facts["parent"] = told["parent"]
        weights = dict(checkpoint.weights)
        if "divergence" in grown:  # the outputs that the parent lacks begin with rare divergence, whatever was seen
            more = options.model.outputs - len(weights["head.bias"])
            weights["head.weight"] = np.pad(weights["head.weight"], ((0, more), (0, 0)))
            weights["head.bias"] = np.pad(weights["head.bias"], (0, more), constant_values=RARE)
        return cls(weights, facts)

    def into(self, model: nn.Module) -> None:
        """Write the weights into a fresh network of this size or larger.

        A larger one says the same at first: what the parent lacks keeps its first weights, and those that lead back to
        the residual path (`Attention.out`, `Block.down`) are zero in a fresh one.
        """
        with torch.no_grad():
            for name, own in model.named_parameters():
                if name in self.weights:
                    part = torch.tensor(self.weights[name])
                    own[tuple(slice(size) for size in part.shape)] = part.to(own)


def flag(name: str, value: Any) -> str:
    """The flag that sets a field.

    >>> flag("decoder", 64), flag("bounded", False), flag("clock", (1.0, 100.0))
    ('--decoder 64', '--no-bounded', '--clock 1 100')
    """
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{dashed}"
    shown = [f"{part:g}" for part in value] if isinstance(value, tuple) else [str(value)]
    return f"--{dashed} {' '.join(shown)}"
