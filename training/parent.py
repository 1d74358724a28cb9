"""Fine-tuning: the checkpoint whose weights a run begins with."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from lcpfn.network.checkpoint import Checkpoint, digest
from lcpfn.network.shapes import ONLY_CHOICE, check_weights, read_config
from lcpfn.pfn import locate
from lcpfn.training.options import Options

GROWS = ("layers", "hidden", "divergence", "ends")  # what a child may have more of
INPUTS = {"tokens": "embed1.weight", "queries": "ask_query.weight"}  # where the features of each enter, one a column
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
        only = {name: value for part in ONLY_CHOICE.values() for name, value in part.items()}
        theirs = {**only, **dataclasses.asdict(model), **dataclasses.asdict(coordinates)}
        ours = {**dataclasses.asdict(options.model), **dataclasses.asdict(options.coordinates)}
        grown = [name for name in GROWS if ours[name] > theirs[name]]
        grown += [name for name in INPUTS if set(ours[name]) >= set(theirs[name])]
        if differ := [name for name in ours if ours[name] != theirs[name] and name not in grown]:
            raise ValueError(
                f"--init needs the network and coordinates of the checkpoint {options.init}, got other "
                + ", ".join(f"{name} ({ours[name]} here, {theirs[name]} there)" for name in differ)
                + f"; say {' '.join(flag(name, theirs[name]) for name in differ)}"
            )
        origin = checkpoint.provenance
        facts = {"file": path.name, "sha256": digest(path)}
        facts |= {name: origin[name] for name in ("prior", "curves_seen", "parent") if name in origin}
        weights = dict(checkpoint.weights)
        for what, name in INPUTS.items():
            weights[name] = by_name(weights[name], theirs[what], ours[what])
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


def by_name(weights: np.ndarray, old: Sequence[str], new: Sequence[str]) -> np.ndarray:
    """(E, F) weights of the features `new`, from those (E, F') of `old`, which are among them.

    What the parent did not know begins with weight zero: it changes nothing yet, and its gradient is not zero.

    >>> by_name(np.array([[1.0, 2.0]]), ["a", "b"], ["b", "c", "a"])
    array([[2., 0., 1.]])
    """
    grown = np.zeros((len(weights), len(new)), weights.dtype)
    grown[:, [new.index(name) for name in old]] = weights
    return grown


def flag(name: str, value: Any) -> str:
    """The flag that sets a field.

    >>> flag("decoder", 64), flag("bounded", False), flag("clock", (1.0, 100.0))
    ('--decoder 64', '--no-bounded', '--clock 1 100')
    """
    words = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{words}"
    parts = value if isinstance(value, tuple) else (value,)
    shown = [f"{part:g}" if isinstance(part, float) else str(part) for part in parts]
    return f"--{words} {shlex.join(shown)}"
