"""Runs before a metric is chosen: trend, random walk, schedule, noise, explosions; in gains of the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lcpfn.priors.general.divergence import Divergence
from lcpfn.priors.general.events import Events
from lcpfn.priors.general.noise import Noise
from lcpfn.priors.general.random_walk import RandomWalk
from lcpfn.priors.general.sampling import Sampler
from lcpfn.priors.general.trends import Trends

Changes = Mapping[str, Mapping[str, Any]]  # of the fields of some parts, by the part's name


@dataclass(frozen=True, kw_only=True)
class LatentRun:
    """Law of latent runs: what a run does, whatever it is measured in.

    Attributes:
        trends: How far they come.
        random_walk: Slow moves that no formula has.
        events: Schedules and spikes.
        noise: Of the measurements.
        divergence: Runs that go wrong for good.

    Example:
        >>> calm = LatentRun().changed({"random_walk": {"share": 0.0}})
        >>> calm.random_walk.share, calm.noise == LatentRun().noise
        (0.0, True)
    """

    trends: Trends = field(default_factory=Trends)
    random_walk: RandomWalk = field(default_factory=RandomWalk)
    events: Events = field(default_factory=Events)
    noise: Noise = field(default_factory=Noise)
    divergence: Divergence = field(default_factory=Divergence)

    def changed(self, changes: Changes) -> LatentRun:
        """Returns the law with other values in some fields of some parts.

        Raises:
            ValueError: If there is no such part or field, or a value is wrong.
        """
        parts = [part.name for part in dataclasses.fields(self)]
        if unknown := sorted(set(changes) - set(parts)):
            raise ValueError(f"the parts of a latent run are {parts}, got {unknown}")
        try:
            made = {name: dataclasses.replace(getattr(self, name), **values) for name, values in changes.items()}
        except TypeError as error:
            raise ValueError(f"a part of the latent run does not have these fields: {error}") from error
        return dataclasses.replace(self, **made)

    def sample(self, progress: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Returns n independent runs at their progress (n, T), from 0 to 1, increasing.

        What they show without noise, 0 at the start and 1 at the end of an undisturbed run; the noise; and how far
        each point lies on the bad side besides, as those of a run that exploded do: (n, T) each.
        """
        sampler = Sampler(len(progress), generator=generator)
        trend = self.trends.sample(progress, generator=generator)
        effect, level, spikes = self.events.sample(progress, generator=generator)
        shown = effect.on(trend + self.random_walk.sample(progress, generator=generator))
        noise = self.noise.sample(progress, level, generator=generator) * effect.quiet - spikes
        worse, dead = self.divergence.explosion(progress, generator=generator)
        begin = torch.zeros_like(progress)
        begin[:, :1] = self.noise.first(sampler)
        return torch.where(dead, 0.0, shown), torch.where(dead, 0.0, noise), worse + begin
