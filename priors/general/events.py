"""Events of a run: what a learning-rate schedule does to trend and noise, and spikes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lcpfn.priors.general.sampling import Sampler, check_shares

SCHEDULES = ("constant", "drops", "annealed", "restarts")
MILESTONES = (0.3, 0.5, 0.6, 0.75, 0.8, 0.9)  # usual places of learning-rate drops
QUIETEST = 0.01  # least multiplier of the noise


@dataclass(frozen=True, eq=False)
class Effect:
    """What a schedule does to n runs at T points.

    Attributes:
        gain: What is added to the trend, (n, T), from 0 up; in units of the trend's own gain.
        total: The same at the end of the run, (n, 1).
        quiet: What the noise is multiplied by, (n, T), in (0, 1].
    """

    gain: Tensor
    total: Tensor
    quiet: Tensor

    def on(self, trend: Tensor) -> Tensor:
        """Returns trends (n, T) with these gains, in units of the whole; a run that learns nothing gains nothing."""
        # clamped: a setback of many gains would let a schedule gain as many times more
        learnt = trend.abs().amax(1, keepdim=True).clamp(max=1) if trend.shape[1] else self.total
        return (trend + learnt * self.gain) / (1 + learnt * self.total)


def _with_end(p: Tensor) -> Tensor:
    return torch.cat([p, torch.ones_like(p[:, :1])], 1)


def constant(p: Tensor, sampler: Sampler) -> Effect:
    """Returns no effect."""
    return Effect(torch.zeros_like(p), torch.zeros_like(p[:, :1]), torch.ones_like(p))


def drops(p: Tensor, sampler: Sampler) -> Effect:
    """Returns one to three learning-rate drops: the value jumps, the noise collapses, sometimes the jump wears off."""
    gain, total, quiet = torch.zeros_like(p), torch.zeros_like(p[:, :1]), torch.ones_like(p)
    for drop in range(3):
        here = sampler.bernoulli(0.5) if drop else sampler.bernoulli(1.0)
        place = torch.where(sampler.bernoulli(0.6), sampler.choice(MILESTONES), sampler.uniform(0.05, 0.98))
        height = sampler.log_uniform(0.02, 1.0) * (0.4**drop) * here
        width, fade = sampler.log_uniform(5e-4, 0.05), sampler.uniform(0, 0.6) * sampler.bernoulli(0.3)
        calmer = torch.where(here, sampler.log_uniform(0.08, 0.8), 1.0)

        since = (_with_end(p) - place).clamp(min=0)
        jump = height * (1 - torch.exp(-since / width)) * (1 - fade * since)
        gain, total = gain + jump[:, :-1], total + jump[:, -1:]
        quiet = torch.where(p > place, quiet * calmer, quiet)
    return Effect(gain, total, quiet)


def rate(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a decaying learning rate, from 1 to 0: cosine, linear, or constant with a decay at the end."""
    hold = sampler.uniform(0.5, 0.95)
    kind = sampler.categorical({"cosine": 0.6, "linear": 0.2, "late": 0.2})[:, None]
    cosine = 0.5 * (1 + torch.cos(math.pi * p))
    late = 1 - ((p - hold) / (1 - hold)).clamp(min=0)
    return torch.where(kind == 0, cosine, torch.where(kind == 1, 1 - p, late)).clamp(0, 1)


def annealed(p: Tensor, sampler: Sampler) -> Effect:
    """Returns the effect of a decaying rate: a late rise while the noise dies; some runs end before the schedule."""
    part = torch.where(sampler.bernoulli(0.8), 1.0, sampler.uniform(0.3, 1.0))
    left = rate(_with_end(p) * part, sampler)
    height, bend = sampler.log_uniform(0.05, 3), sampler.log_uniform(0.4, 2)
    gain = height * (1 - left**bend)
    quiet = left[:, :-1].clamp(min=QUIETEST) ** sampler.uniform(0.2, 1.2)
    return Effect(gain[:, :-1], gain[:, -1:], quiet)


def restarts(p: Tensor, sampler: Sampler) -> Effect:
    """Returns a cyclic rate: every restart loses what the end of the cycle before had gained, in part."""
    cycles = sampler.choice((2, 3, 4, 5, 8))
    growing = torch.where(sampler.bernoulli(0.5), 1.0, sampler.uniform(0.5, 1.0))
    place = (p.clamp(max=1 - 1e-4) ** growing) * cycles
    left = 0.5 * (1 + torch.cos(math.pi * (place - place.floor())))
    height = sampler.log_uniform(0.03, 1)
    quiet = left.clamp(min=QUIETEST) ** sampler.uniform(0.2, 1)
    return Effect(height * (1 - left), height.clone(), quiet)


EFFECTS = {"constant": constant, "drops": drops, "annealed": annealed, "restarts": restarts}


def spikes(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns losses (n, T) in up to four spikes at any time, of very unequal heights, each with a recovery."""
    total = torch.zeros_like(p)
    for spike in range(4):
        here = sampler.bernoulli(0.5) if spike else sampler.bernoulli(1.0)
        since = p - sampler.uniform()
        height = sampler.log_uniform(0.02, 3) * here
        shape = torch.exp(-since.clamp(min=0) / sampler.log_uniform(1e-3, 0.08))
        total = total + torch.where(since >= 0, height * shape, 0.0)
    return total


@dataclass(frozen=True, kw_only=True)
class Events:
    """Law of events.

    Attributes:
        schedules: Shares of what schedules do.
        spiky: Share of runs with spikes.
        tied: Share of runs with a schedule whose noise is tied to what the schedule gains where anything is learnt:
            while the learning rate is high both the noise and the distance to the valley's floor are.
        ratio: Smallest and largest ratio of the noise's standard deviation to that gain, of those.
    """

    schedules: Mapping[str, float] = field(
        default_factory=lambda: {"constant": 0.62, "drops": 0.15, "annealed": 0.20, "restarts": 0.03}, hash=False
    )
    spiky: float = 0.10
    tied: float = 0.8
    ratio: tuple[float, float] = (0.03, 0.6)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratio", tuple(float(number) for number in self.ratio))
        check_shares(self.schedules, SCHEDULES, "schedules")
        if not 0 <= self.tied <= 1:
            raise ValueError(f"tied must lie in [0, 1], got {self.tied}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio must be two numbers above 0, the smaller first, got {self.ratio}")

    def sample(self, progress: Tensor, *, generator: torch.Generator) -> tuple[Effect, Tensor, Tensor]:
        """Returns what n independent schedules and spikes do at the progress (n, T).

        The effects; standard deviations of the noise at the start, (n, 1), in units of the whole, NaN where the noise
        is not tied; and losses in spikes, (n, T).
        """
        sampler = Sampler(len(progress), generator=generator)
        effect = constant(progress, sampler)
        chosen = sampler.categorical(self.schedules)
        for place, name in enumerate(self.schedules):
            rows = (chosen == place).nonzero()[:, 0]
            if name != "constant" and len(rows):
                made = EFFECTS[name](progress[rows], sampler.rows(len(rows)))
                effect.gain[rows], effect.total[rows], effect.quiet[rows] = made.gain, made.total, made.quiet
        # what the schedule gains as a share of the whole curve, in which the noise's level counts too
        whole = effect.total / (1 + effect.total)
        tied = (whole > 0) & sampler.bernoulli(self.tied)
        level = torch.where(tied, whole * sampler.log_uniform(*self.ratio), math.nan)
        loss = torch.zeros_like(progress)
        rows = sampler.bernoulli(self.spiky)[:, 0].nonzero()[:, 0]
        if len(rows):
            loss[rows] = spikes(progress[rows], sampler.rows(len(rows)))
        return effect, level, loss
