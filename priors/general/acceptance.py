"""What comes after, given what was seen: runs whose rest outdoes it by far are rarer than chance makes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lcpfn.priors.general.sampling import Sampler
from lcpfn.priors.general.scales import Measured


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """Law of which runs stay, by the gain still to come over the range seen so far, r, at a few places of the run.

    At each place a run with r above `rise` has the chance rise / r, one with r below -fall the chance fall / -r, none
    less than `least`; it stays with the least of its chances, else another is drawn in its place.

    Attributes:
        places: Progress up to which a run is seen.
        rise: A number for each place.
        fall: For all places.
        least: Lowest chance; 1 keeps all.
    """

    places: tuple[float, ...] = (0.1, 0.2, 0.4)
    rise: tuple[float, ...] = (30.0, 8.0, 3.0)
    fall: float = 0.3
    least: float = 0.06

    def __post_init__(self) -> None:
        for name in ("places", "rise"):
            object.__setattr__(self, name, tuple(float(number) for number in getattr(self, name)))
        if len(self.places) != len(self.rise) or not all(0 < place < 1 for place in self.places):
            raise ValueError(f"places lie in (0, 1), each with its rise, got places={self.places}, rise={self.rise}")
        if not min((*self.rise, self.fall)) > 0 or not 0 < self.least <= 1:
            raise ValueError(
                f"rise and fall must be above 0 and least in (0, 1], got {self.rise}, {self.fall}, {self.least}"
            )

    def chances(self, upward: Tensor, progress: Tensor) -> Tensor:
        """Returns the chance to stay, (n,), of n runs by their values, higher is better, at their progress (n, T)."""
        chance = torch.ones_like(upward[:, 0])
        early = torch.arange(upward.shape[1], device=upward.device) < 2
        for place, rise in zip(self.places, self.rise, strict=True):
            shown = (progress <= place) | early
            top = torch.where(shown, upward, -math.inf).amax(1)
            bottom = torch.where(shown, upward, math.inf).amin(1)
            last = upward.gather(1, shown.sum(1, keepdim=True) - 1)[:, 0]
            # in ranges of what was seen, so that neither the unit nor the offset of the metric matters
            r = torch.where(top > bottom, (upward[:, -1] - last) / (top - bottom), 0.0)  # no range, no measure
            # a tail of r like 1 / r^2 becomes one like 1 / r^3: rare, never impossible
            chance = torch.minimum(chance, torch.where(r > rise, rise / r, 1.0))
            chance = torch.minimum(chance, torch.where(r < -self.fall, self.fall / -r, 1.0))
        return chance.clamp(min=self.least)

    def drawn(self, draw: Callable[[Tensor], Measured], progress: Tensor, *, generator: torch.Generator) -> Measured:
        """Returns n runs that stay, at their progress (n, T); `draw` makes runs at the progress that it is given."""
        made = draw(progress)
        if self.least == 1 or progress.shape[1] < 3:
            return made
        rows, part = torch.arange(len(progress), device=progress.device), made
        # Rejection, row by row: runs that go are drawn anew at the same times, so that which runs stay does not bend
        # the law of the times. It ends, since no chance is less than `least`.
        while len(rows):
            chance = self.chances(part.y * part.sign, progress[rows])
            stays = Sampler(len(rows), generator=generator).uniform()[:, 0] < chance
            rows = rows[~stays]
            if len(rows):
                part = draw(progress[rows])
                made.put(rows, part)
        return made
