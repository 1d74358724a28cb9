"""Trends: how far a run has come, without noise, as a function of its progress from 0 (nothing done) to 1 (its end).

A trend is 0 where nothing was learnt and 1 at what the run reaches by its end, or would reach if nothing came between;
the map to a metric is drawn elsewhere. Every shape takes positions p (n, T) and dice, and returns (n, T).

Sources: families of Domhan et al. 2015; broken power laws after Caballero et al. 2023 (arXiv 2210.14891).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lcpfn.priors import families
from lcpfn.priors.dice import Dice, check_shares
from lcpfn.priors.laws import LCPFN


def from_start_to_end(values: Tensor, p: Tensor) -> Tensor:
    """Returns (n, T - 2) the inner columns of values (n, T), moved and stretched: the first would be 0, the last 1.

    Rows that hardly change between those two rise in proportion to the positions p, (n, T), 0 and 1 at the ends.
    """
    start, end = values[:, :1], values[:, -1:]
    gain = end - start
    flat = ~(gain.abs() > 2e-3 * (1e-2 + start.abs()))
    scaled = (values - start) / torch.where(flat, torch.ones_like(gain), gain)
    return torch.where(flat | ~torch.isfinite(scaled), p, scaled)[:, 1:-1].clamp(-0.5, 1.5)


def _with_ends(p: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(p[:, :1]), p, torch.ones_like(p[:, :1])], 1)


def family(p: Tensor, dice: Dice) -> Tensor:
    """Returns one of the eleven families of Domhan et al. 2015, over 3 to 1000 units of time."""

    def shape(name: str) -> families.Array:
        def curve(p: Tensor, dice: Dice) -> Tensor:
            t = 1 + p * dice.log_uniform(3, 1000)
            parameters = {key: law.sample((dice.n, 1), generator=dice.generator) for key, law in LCPFN[name].items()}
            return getattr(families, name)(t, **parameters)

        return curve

    p = _with_ends(p)
    values, _ = dice.mixed(p, {name: shape(name) for name in LCPFN}, dict.fromkeys(LCPFN, 1.0))
    return from_start_to_end(values, p)


def power(p: Tensor, dice: Dice) -> Tensor:
    """Returns a power law from an offset that may be tiny: then half of the gain lies in the first points."""
    scale, exponent = dice.log_uniform(1e-4, 3), dice.log_uniform(0.1, 4)
    p = _with_ends(p)
    return from_start_to_end(-torch.exp(-exponent * torch.log1p(p / scale)), p)


def exponential(p: Tensor, dice: Dice) -> Tensor:
    """Returns a stretched exponential."""
    scale, stretch = dice.log_uniform(3e-3, 1.5), dice.log_uniform(0.4, 1.5)
    p = _with_ends(p)
    return from_start_to_end(-torch.exp(-((p / scale) ** stretch)), p)


def logarithm(p: Tensor, dice: Dice) -> Tensor:
    """Returns a logarithm: growth that does not end with the run."""
    p = _with_ends(p)
    return from_start_to_end(torch.log1p(p / dice.log_uniform(1e-4, 3)), p)


def broken_power(p: Tensor, dice: Dice) -> Tensor:
    """Returns a smoothly broken power law: its slope in the log changes at a break inside the run."""
    p = _with_ends(p)
    scale, slope = dice.log_uniform(1e-4, 0.3), dice.uniform(0.02, 1)
    place, more, width = dice.log_uniform(0.02, 1), dice.uniform(0, 3), dice.log_uniform(0.05, 0.6)
    bend = torch.nn.functional.softplus(torch.log((p + 1e-6) / place) / width) * width
    return from_start_to_end(-torch.exp(-slope * torch.log1p(p / scale) - more * bend), p)


def late_rise(p: Tensor, dice: Dice) -> Tensor:
    """Returns a logistic of the logarithm of progress: a slow start, most of the gain in the middle or late."""
    middle, steepness = dice.uniform(0.08, 1.1), dice.log_uniform(1.5, 15)
    p = _with_ends(p)
    return from_start_to_end(torch.sigmoid(steepness * torch.log((p + 1e-6) / middle)), p)


def delayed(p: Tensor, dice: Dice) -> Tensor:
    """Returns a rise that begins after a part of the run in which nothing happens."""
    late = dice.coin(0.6)
    start = torch.where(late, dice.uniform(0.02, 0.9), dice.log_uniform(3e-3, 0.2))
    rest = ((p - start) / (1 - start)).clamp(min=0)
    values, _ = dice.mixed(rest, {"power": power, "exponential": exponential}, {"power": 0.5, "exponential": 0.5})
    return values


def stairs(p: Tensor, dice: Dice) -> Tensor:
    """Returns up to four steps with plateaus between them."""
    total = torch.zeros_like(p)
    ends = torch.zeros_like(p[:, :1])
    for step in range(4):
        height = dice.log_uniform(0.1, 1) * (dice.coin(0.5) if step > 1 else 1)
        middle, width = dice.log_uniform(5e-3, 1), dice.log_uniform(3e-3, 0.1)
        total = total + height * torch.sigmoid((p - middle) / width)
        ends = ends + height * torch.sigmoid((1 - middle) / width)
    return total / ends.clamp(min=0.05)


def saturated(p: Tensor, dice: Dice) -> Tensor:
    """Returns a rise that is over at a point of the run: a task that is solved, capacity that is used up."""
    over = dice.log_uniform(0.01, 1)
    shares = dict.fromkeys(("family", "power", "exponential", "late_rise"), 1.0)
    values, _ = dice.mixed((p / over).clamp(max=1), {name: RISES[name] for name in shares}, shares)
    return values


def mixture(p: Tensor, dice: Dice) -> Tensor:
    """Returns a weighted sum of two rises."""
    shares = dict.fromkeys(("family", "power", "exponential", "late_rise"), 1.0)
    chosen = {name: RISES[name] for name in shares}
    weight = dice.uniform()
    return weight * dice.mixed(p, chosen, shares)[0] + (1 - weight) * dice.mixed(p, chosen, shares)[0]


def flat(p: Tensor, dice: Dice) -> Tensor:
    """Returns a trend that stays at chance: nothing, or next to nothing."""
    drift = dice.log_uniform(1e-4, 0.1) * dice.coin(0.6) * torch.where(dice.coin(0.7), 1.0, -1.0)
    return drift * p ** dice.log_uniform(0.2, 2)


RISES = {
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
SHAPES = {**RISES, "saturated": saturated, "mixture": mixture}


def keep(p: Tensor, dice: Dice) -> Tensor:
    """Returns no setback."""
    return torch.zeros_like(p)


def overfit(p: Tensor, dice: Dice) -> Tensor:
    """Returns a loss that sets in at a point of the run and grows: the U of over-fitting."""
    early = dice.coin(0.5)
    start = torch.where(early, dice.log_uniform(5e-3, 0.5), dice.uniform(0.05, 0.9))
    rest = ((p - start) / (1 - start)).clamp(min=0)
    return dice.log_uniform(0.01, 2) * rest ** dice.uniform(0.4, 2)


def dip(p: Tensor, dice: Dice) -> Tensor:
    """Returns a passing loss, centred anywhere in the logarithm of progress: double descent, peaks of sample curves."""
    distance = torch.log((p + 3e-3) / dice.log_uniform(0.01, 1)) / dice.log_uniform(0.05, 0.7)
    return dice.log_uniform(0.02, 1) * torch.exp(-0.5 * distance**2)


def collapse(p: Tensor, dice: Dice) -> Tensor:
    """Returns a sudden loss of a large part, sometimes all, with or without a recovery."""
    start, width = dice.uniform(0.03, 1), dice.log_uniform(1e-3, 0.1)
    rest = (p - start).clamp(min=0)
    recovery = torch.where(dice.coin(0.5), torch.exp(-rest / dice.log_uniform(0.01, 1)), 1.0)
    return dice.log_uniform(0.1, 1.2) * (1 - torch.exp(-rest / width)) * recovery


def kick(p: Tensor, dice: Dice) -> Tensor:
    """Returns a loss by the first step, of up to a hundred gains, that wears off to nothing or to a rest that stays."""
    since = p - p[:, :1]
    rest = dice.uniform() * dice.coin(0.5)
    left = rest + (1 - rest) * (1 + since / dice.log_uniform(3e-3, 1)) ** -dice.log_uniform(0.3, 3)
    return torch.where(since > 0, dice.log_uniform(0.1, 100) * left, 0.0)


SETBACKS = {"none": keep, "overfit": overfit, "dip": dip, "collapse": collapse, "kick": kick}


@dataclass(frozen=True, kw_only=True)
class Trends:
    """Law of trends: a shape, a setback, and now and then the whole in reverse.

    Attributes:
        shapes: Shares of shapes.
        setbacks: Shares of setbacks; they are rare in curves at chance, which have nothing to lose but by a kick.
        reversed: Share of curves that get worse where others get better, as train accuracy with more samples.
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

    def __post_init__(self) -> None:
        check_shares(self.shapes, list(SHAPES), "shapes")
        check_shares(self.setbacks, list(SETBACKS), "setbacks")
        if not 0 <= self.stuck <= 1:
            raise ValueError(f"stuck must lie in [0, 1], got {self.stuck}")

    def sample(self, progress: Tensor, *, generator: torch.Generator) -> Tensor:
        """Returns n independent trends at the progress (n, T), from 0 to 1, increasing: (n, T)."""
        dice = Dice(len(progress), generator=generator)
        rise, _ = dice.mixed(progress, SHAPES, self.shapes)
        loss, kind = dice.mixed(progress, SETBACKS, self.setbacks)
        rise = torch.where(dice.coin(self.reversed), 1 - rise, rise)
        kicked = torch.tensor([name == "kick" for name in self.setbacks], device=kind.device)[kind][:, None]
        rise = torch.where(kicked & dice.coin(self.stuck), flat(progress, dice), rise)
        most = rise.abs().amax(1, keepdim=True) if rise.shape[1] else rise
        return rise - loss * torch.where(kicked, most.clamp(min=1), most)
