"""What a network as in the LC-PFN paper is made of; each of its three choices can also be that of the library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import A, Coordinates, Frame
from lcpfn.network.features import Seen, Token

Head = Literal["bars", "mixture"]
Layout = Literal["original", "causal"]
# Levels and quantiles of noisy values under the LC-PFN prior (a hundred thousand curves); the ends are those of 1e-5.
UNIT_QUANTILES = (
    (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0),
    (-1.0, -0.016, 0.093, 0.203, 0.277, 0.381, 0.465, 0.542, 0.613, 0.682, 0.751, 0.822, 0.9, 0.945, 0.999, 1.15, 2.1),
)


@dataclass(frozen=True)
class OriginalConfig(ModelConfig):
    """Sizes and choices of a network that the library does not run.

    Raises:
        ValueError: if a size is not a positive number, a choice is unknown, or divergence is asked for.
    """

    head: Head = "bars"  # `components` of them; or the "mixture" of the library
    layout: Layout = "original"  # all points see all others; or the "causal" one of the library

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, closed in (("head", Head), ("layout", Layout)):
            if getattr(self, name) not in get_args(closed):
                raise ValueError(f"{name} must be one of {get_args(closed)}, got {getattr(self, name)!r}")
        if self.divergence:
            raise ValueError("divergence must be False: the networks of the ablations have no such output, got True")

    @property
    def law_outputs(self) -> int:
        """Numbers that the law of the answer to one query is made of."""
        return self.components if self.head == "bars" else super().law_outputs


@dataclass(frozen=True)
class UnitCoordinates(Coordinates):
    """Values as they are, in [0, 1], with times as in the library's coordinates.

    Raises:
        ValueError: as for `Coordinates`, or if the values are to be others.
    """

    values: Literal["unit"] = "unit"  # in the header, so that the library refuses the file

    transform: ClassVar[Literal["sinh", "identity"]] = "identity"
    of_value: ClassVar[Mapping[str, Token]] = {"value": lambda seen: seen.y}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.values != "unit":
            raise ValueError(f'values must be "unit" here, got {self.values!r}; take Coordinates for "local"')

    def frame(self, t: A, y: A, lower: A, upper: A, xp: Any) -> Frame[A]:
        """As in the library, but that location is 0 and scale 1 everywhere."""
        zeros = xp.zeros_like(y[:, :1]) if y.shape[1] else xp.zeros_like(lower)[:, None]
        location = xp.concatenate([zeros, xp.zeros_like(y)], axis=1)
        if not y.shape[1]:
            return Frame(location, location + 1.0, self.no_tokens(y, xp))
        return Frame(location, location + 1.0, self.tokens_of(Seen(t, y, lower, upper, self.known_clock, xp)))


def bar_edges(coordinates: Coordinates, bars: int) -> np.ndarray:
    """(bars + 1,) edges of bars in u: about equally likely under the LC-PFN prior, or equal as far as the caps reach.

    Unit values lie outside of [0, 1] with their noise in one case of a hundred: bars of equal width would leave that to
    half-normals as narrow as a bar, and such values would cost thousands of nats each.
    """
    if isinstance(coordinates, UnitCoordinates):
        return np.interp(np.linspace(0.0, 1.0, bars + 1), *UNIT_QUANTILES)
    return np.linspace(-9.0, 9.0, bars + 1)


def choices(checkpoint: Checkpoint) -> dict[str, str]:
    """Layout, head and values of a checkpoint; those of the library where its header does not say."""
    model, coordinates = (checkpoint.config[part] for part in ("model", "coordinates"))
    return {
        "layout": model.get("layout", "causal"),
        "head": model.get("head", "mixture"),
        "values": coordinates.get("values", "local"),
    }


def of_library(checkpoint: Checkpoint) -> bool:
    """Whether `lcpfn.PFN` runs a checkpoint: all three choices are the library's."""
    return choices(checkpoint) == {"layout": "causal", "head": "mixture", "values": "local"}


def read_config(checkpoint: Checkpoint) -> tuple[OriginalConfig, Coordinates]:
    """The config of a checkpoint as values, whichever choices it has."""
    chosen = choices(checkpoint)
    model = {**checkpoint.config["model"], "head": chosen["head"], "layout": chosen["layout"]}
    coordinates = {name: value for name, value in checkpoint.config["coordinates"].items() if name != "values"}
    seen = UnitCoordinates if chosen["values"] == "unit" else Coordinates
    return OriginalConfig(**model), seen(**coordinates)
