"""The course of runs before a metric is chosen: trend, wandering, schedule, noise, explosions; in gains of the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lcpfn.priors.dice import Dice
from lcpfn.priors.divergence import Divergence
from lcpfn.priors.events import Events
from lcpfn.priors.noise import Noise
from lcpfn.priors.trends import Trends
from lcpfn.priors.wander import Wander

Changes = Mapping[str, Mapping[str, Any]]  # of the fields of some parts, by the part's name


@dataclass(frozen=True, kw_only=True)
class Course:
    """Law of the course of runs.

    Attributes:
        trends: How far they come.
        wander: Slow moves of no form.
        events: Schedules and spikes.
        noise: Of the measurements.
        divergence: Runs that go wrong for good.

    Example:
        >>> calm = Course().changed({"wander": {"share": 0.0}})
        >>> calm.wander.share, calm.noise == Course().noise
        (0.0, True)
    """

    trends: Trends = field(default_factory=Trends)
    wander: Wander = field(default_factory=Wander)
    events: Events = field(default_factory=Events)
    noise: Noise = field(default_factory=Noise)
    divergence: Divergence = field(default_factory=Divergence)

    def changed(self, changes: Changes) -> Course:
        """Returns the law with other values in some fields of some parts.

        Raises:
            ValueError: If there is no such part or field, or a value is wrong.
        """
        parts = [part.name for part in dataclasses.fields(self)]
        if unknown := sorted(set(changes) - set(parts)):
            raise ValueError(f"the parts of a course are {parts}, got {unknown}")
        try:
            made = {name: dataclasses.replace(getattr(self, name), **values) for name, values in changes.items()}
        except TypeError as error:
            raise ValueError(f"a part of the course does not have these fields: {error}") from error
        return dataclasses.replace(self, **made)

    def sample(self, progress: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Returns n independent runs at their progress (n, T), from 0 to 1, increasing.

        What they show without noise, 0 at the start and 1 at the end of an undisturbed run; the noise; and how far
        each point lies on the bad side besides, as those of a run that exploded do: (n, T) each.
        """
        dice = Dice(len(progress), generator=generator)
        trend = self.trends.sample(progress, generator=generator)
        effect, level, spikes = self.events.sample(progress, generator=generator)
        shown = effect.on(trend + self.wander.sample(progress, generator=generator))
        noise = self.noise.sample(progress, level, generator=generator) * effect.quiet - spikes
        worse, dead = self.divergence.explosion(progress, generator=generator)
        begin = torch.zeros_like(progress)
        begin[:, :1] = self.noise.first(dice)
        return torch.where(dead, 0.0, shown), torch.where(dead, 0.0, noise), worse + begin
