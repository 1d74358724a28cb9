"""Trends: how far a run has come, without noise, as a function of its progress from 0 (nothing done) to 1 (its end).

A trend is 0 where nothing was learnt and 1 at what the run reaches by its end, or would reach if nothing came between;
the map to a metric is drawn elsewhere. Every shape takes positions p (n, T) and a sampler, and returns (n, T).

Sources: families of Domhan et al. 2015; broken power laws after Caballero et al. 2023 (arXiv 2210.14891).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from lcpfn.priors import families
from lcpfn.priors.general.sampling import Sampler, Shape, check_shares
from lcpfn.priors.laws import DOMHAN, LCPFN


def from_start_to_end(values: Tensor, p: Tensor) -> Tensor:
    """Returns (n, T - 2) the inner columns of values (n, T), moved and stretched: the first would be 0, the last 1.

    Rows that hardly change between those two rise in proportion to the positions p, (n, T), 0 and 1 at the ends.
    """
    start, end = values[:, :1], values[:, -1:]
    gain = end - start
    # negated, so that NaN counts as flat; below this ratio float32 has too few digits left for a curve
    flat = ~(gain.abs() > 2e-3 * (1e-2 + start.abs()))
    scaled = (values - start) / torch.where(flat, torch.ones_like(gain), gain)
    return torch.where(flat | ~torch.isfinite(scaled), p, scaled)[:, 1:-1].clamp(-0.5, 1.5)


def _with_ends(p: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(p[:, :1]), p, torch.ones_like(p[:, :1])], 1)


def family(p: Tensor, sampler: Sampler, *, names: tuple[str, ...] = DOMHAN) -> Tensor:
    """Returns curves of Domhan et al. 2015, each row of one of these families, over 3 to 1000 units of time."""

    def shape(name: str) -> Shape:
        def curve(p: Tensor, sampler: Sampler) -> Tensor:
            t = 1 + p * sampler.log_uniform(3, 1000)
            laws = LCPFN[name].items()
            parameters = {key: law.sample((sampler.n, 1), generator=sampler.generator) for key, law in laws}
            values: Tensor = getattr(families, name)(t, **parameters)
            return values

        return curve

    p = _with_ends(p)
    values, _ = sampler.mixed(p, {name: shape(name) for name in names}, dict.fromkeys(names, 1.0))
    return from_start_to_end(values, p)


def power(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a power law from an offset that may be tiny: then half of the gain lies in the first points."""
    scale, exponent = sampler.log_uniform(1e-4, 3), sampler.log_uniform(0.1, 4)
    p = _with_ends(p)
    return from_start_to_end(-torch.exp(-exponent * torch.log1p(p / scale)), p)


def exponential(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a stretched exponential."""
    scale, stretch = sampler.log_uniform(3e-3, 1.5), sampler.log_uniform(0.4, 1.5)
    p = _with_ends(p)
    return from_start_to_end(-torch.exp(-((p / scale) ** stretch)), p)


def logarithm(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a logarithm: growth that does not end with the run."""
    p = _with_ends(p)
    return from_start_to_end(torch.log1p(p / sampler.log_uniform(1e-4, 3)), p)


def broken_power(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a smoothly broken power law: its slope in the log changes at a break inside the run."""
    p = _with_ends(p)
    scale, slope = sampler.log_uniform(1e-4, 0.3), sampler.uniform(0.02, 1)
    place, more, width = sampler.log_uniform(0.02, 1), sampler.uniform(0, 3), sampler.log_uniform(0.05, 0.6)
    bend = torch.nn.functional.softplus(torch.log((p + 1e-6) / place) / width) * width
    return from_start_to_end(-torch.exp(-slope * torch.log1p(p / scale) - more * bend), p)


def late_rise(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a logistic of the logarithm of progress: a slow start, most of the gain in the middle or late."""
    middle, steepness = sampler.uniform(0.08, 1.1), sampler.log_uniform(1.5, 15)
    p = _with_ends(p)
    return from_start_to_end(torch.sigmoid(steepness * torch.log((p + 1e-6) / middle)), p)


def delayed(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a rise that begins after a part of the run in which nothing happens."""
    late = sampler.bernoulli(0.6)
    start = torch.where(late, sampler.uniform(0.02, 0.9), sampler.log_uniform(3e-3, 0.2))
    rest = ((p - start) / (1 - start)).clamp(min=0)
    values, _ = sampler.mixed(rest, {"power": power, "exponential": exponential}, {"power": 0.5, "exponential": 0.5})
    return values


def stairs(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns up to four steps with plateaus between them."""
    total = torch.zeros_like(p)
    ends = torch.zeros_like(p[:, :1])
    for step in range(4):
        height = sampler.log_uniform(0.1, 1) * (sampler.bernoulli(0.5) if step > 1 else 1)
        middle, width = sampler.log_uniform(5e-3, 1), sampler.log_uniform(3e-3, 0.1)
        total = total + height * torch.sigmoid((p - middle) / width)
        ends = ends + height * torch.sigmoid((1 - middle) / width)
    return total / ends.clamp(min=0.05)


PLAIN_RISES = ("family", "power", "exponential", "late_rise")  # what the next two are made of, equally likely


def saturated(p: Tensor, sampler: Sampler, *, names: tuple[str, ...] = DOMHAN) -> Tensor:
    """Returns a rise that is over at a point of the run: a task that is solved, capacity that is used up."""
    over = sampler.log_uniform(0.01, 1)
    values, _ = sampler.mixed((p / over).clamp(max=1), _plain_rises(names), dict.fromkeys(PLAIN_RISES, 1.0))
    return values


def mixture(p: Tensor, sampler: Sampler, *, names: tuple[str, ...] = DOMHAN) -> Tensor:
    """Returns a weighted sum of two rises."""
    rises, shares = _plain_rises(names), dict.fromkeys(PLAIN_RISES, 1.0)
    weight = sampler.uniform()
    return weight * sampler.mixed(p, rises, shares)[0] + (1 - weight) * sampler.mixed(p, rises, shares)[0]


def _plain_rises(names: tuple[str, ...]) -> dict[str, Shape]:
    return {rise: RISES[rise] if rise != "family" else partial(family, names=names) for rise in PLAIN_RISES}


def flat(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a trend that stays at chance: nothing, or next to nothing."""
    drift = sampler.log_uniform(1e-4, 0.1) * sampler.bernoulli(0.6) * torch.where(sampler.bernoulli(0.7), 1.0, -1.0)
    return drift * p ** sampler.log_uniform(0.2, 2)


RISES: dict[str, Shape] = {
    "family": family,
    "power": power,
    "exponential": exponential,
    "logarithm": logarithm,
    "broken_power": broken_power,
    "late_rise": late_rise,
    "delayed": delayed,
    "stairs": stairs,
    "flat": flat,
}
SHAPES: dict[str, Shape] = {**RISES, "saturated": saturated, "mixture": mixture}
WITH_FAMILIES: dict[str, Callable[..., Tensor]] = {"family": family, "saturated": saturated, "mixture": mixture}


def shapes_of(names: tuple[str, ...]) -> dict[str, Shape]:
    """Returns the shapes by name, those that draw one of the families with these in the place of all."""
    return {**SHAPES, **{shape: partial(function, names=names) for shape, function in WITH_FAMILIES.items()}}


def keep(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns no setback."""
    return torch.zeros_like(p)


def overfit(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a loss that sets in at a point of the run and grows: the U of over-fitting."""
    early = sampler.bernoulli(0.5)
    start = torch.where(early, sampler.log_uniform(5e-3, 0.5), sampler.uniform(0.05, 0.9))
    rest = ((p - start) / (1 - start)).clamp(min=0)
    return sampler.log_uniform(0.01, 2) * rest ** sampler.uniform(0.4, 2)


def dip(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a passing loss, centred anywhere in the logarithm of progress: double descent, peaks of sample curves."""
    distance = torch.log((p + 3e-3) / sampler.log_uniform(0.01, 1)) / sampler.log_uniform(0.05, 0.7)
    return sampler.log_uniform(0.02, 1) * torch.exp(-0.5 * distance**2)


def collapse(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a sudden loss of a large part, sometimes all, with or without a recovery."""
    start, width = sampler.uniform(0.03, 1), sampler.log_uniform(1e-3, 0.1)
    rest = (p - start).clamp(min=0)
    recovery = torch.where(sampler.bernoulli(0.5), torch.exp(-rest / sampler.log_uniform(0.01, 1)), 1.0)
    return sampler.log_uniform(0.1, 1.2) * (1 - torch.exp(-rest / width)) * recovery


def kick(p: Tensor, sampler: Sampler) -> Tensor:
    """Returns a loss by the first step, of up to a hundred gains, that wears off to nothing or to a rest that stays."""
    since = p - p[:, :1]
    rest = sampler.uniform() * sampler.bernoulli(0.5)
    left = rest + (1 - rest) * (1 + since / sampler.log_uniform(3e-3, 1)) ** -sampler.log_uniform(0.3, 3)
    return torch.where(since > 0, sampler.log_uniform(0.1, 100) * left, 0.0)


SETBACKS = {"none": keep, "overfit": overfit, "dip": dip, "collapse": collapse, "kick": kick}


@dataclass(frozen=True, kw_only=True)
class Trends:
    """Law of trends: a shape, a setback, and now and then the whole in reverse.

    Attributes:
        shapes: Shares of shapes.
        setbacks: Shares of setbacks; they are rare in curves at chance, which have nothing to lose but by a kick.
        reversed: Share of curves that get worse where others get better, as train accuracy with more samples.
        families: Functions of `lcpfn.priors.families` that "family", "saturated" and "mixture" draw from, all
            equally likely: named here, so that a family that is added there changes no prior that does not name it.
        stuck: Share of the kicked runs that learn nothing afterwards: they come back to their start at best.
    """

    shapes: Mapping[str, float] = field(
        default_factory=lambda: {
            "family": 0.11,
            "power": 0.20,
            "exponential": 0.08,
            "logarithm": 0.05,
            "broken_power": 0.08,
            "late_rise": 0.03,
            "delayed": 0.04,
            "stairs": 0.02,
            "saturated": 0.13,
            "mixture": 0.07,
            "flat": 0.19,
        },
        hash=False,
    )
    setbacks: Mapping[str, float] = field(
        default_factory=lambda: {"none": 0.76, "overfit": 0.11, "dip": 0.05, "collapse": 0.04, "kick": 0.04}, hash=False
    )
    reversed: float = 0.04
    stuck: float = 0.8
    families: tuple[str, ...] = DOMHAN

    def __post_init__(self) -> None:
        check_shares(self.shapes, list(SHAPES), "shapes")
        check_shares(self.setbacks, list(SETBACKS), "setbacks")
        object.__setattr__(self, "families", tuple(self.families))
        if not self.families or len(set(self.families)) < len(self.families) or not set(self.families) <= set(LCPFN):
            raise ValueError(f"families are some of {list(LCPFN)}, each once, got {self.families}")
        if not 0 <= self.stuck <= 1:
            raise ValueError(f"stuck must lie in [0, 1], got {self.stuck}")

    def sample(self, progress: Tensor, *, generator: torch.Generator) -> Tensor:
        """Returns n independent trends at the progress (n, T), from 0 to 1, increasing: (n, T)."""
        sampler = Sampler(len(progress), generator=generator)
        rise, _ = sampler.mixed(progress, shapes_of(self.families), self.shapes)
        loss, kind = sampler.mixed(progress, SETBACKS, self.setbacks)
        rise = torch.where(sampler.bernoulli(self.reversed), 1 - rise, rise)
        kicked = torch.tensor([name == "kick" for name in self.setbacks], device=kind.device)[kind][:, None]
        rise = torch.where(kicked & sampler.bernoulli(self.stuck), flat(progress, sampler), rise)
        most = rise.abs().amax(1, keepdim=True) if rise.shape[1] else rise
        return rise - loss * torch.where(kicked, most.clamp(min=1), most)
