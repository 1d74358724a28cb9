"""From a trend to a metric: accuracies, error rates, losses and rewards, with their bounds, directions and ranges.

Letters: g is the trend after all events (n, T), 0 at the start and 1 at the end of an undisturbed run; e is noise in
units of the gain; x is what explodes, on the bad side, in gains.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lcpfn.priors.general.sampling import Sampler, check_shares

METRICS = ("accuracy", "error", "loss", "reward")
MOST = 1e7  # gains: farther than this nothing is told apart, and float32 keeps its digits


@dataclass(frozen=True, eq=False)
class Measured:
    """Curves of n runs in the unit of their metrics.

    Attributes:
        y: Measured values, (n, T).
        signal: Without noise, (n, T).
        lower: Lowest possible value, (n, 1), -inf where there is none or nobody says.
        upper: Highest possible value, likewise.
        sign: 1 where higher is better, else -1, (n, 1).
        unit: The gain, in the metric's unit, (n, 1).
    """

    y: Tensor
    signal: Tensor
    lower: Tensor
    upper: Tensor
    sign: Tensor
    unit: Tensor

    def put(self, rows: Tensor, part: Measured) -> None:
        """Writes the curves of `part` over those in these rows."""
        for name in (each.name for each in dataclasses.fields(self)):
            getattr(self, name)[rows] = getattr(part, name)


def warp(g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Returns 1 - (1 - g^a)^b inside [0, 1], g outside: monotone, continuous, and much like the cdf of a Beta(a, b).

    Source: Kumaraswamy 1980; in closed form, which the cdf of a Beta is not.
    """
    inside = g.clamp(0, 1)
    return torch.where((g >= 0) & (g <= 1), 1 - (1 - inside**a) ** b, g)


def _small(sampler: Sampler, share: float) -> Tensor:
    """(n, 1) shares of what could be gained: uniform, or in a share of the curves tiny."""
    return torch.where(sampler.bernoulli(share), sampler.log_uniform(1e-3, 1), sampler.uniform(0.05, 1))


def accuracy(g: Tensor, e: Tensor, x: Tensor, sampler: Sampler, *, success: float = 0.0) -> Measured:
    """Returns values in (0, 1) or (0, 100), sometimes quantised to k/n, from chance upward.

    A share `success` are success rates: of few attempts, from none upward, and most could do more than all.
    """
    return _fraction(g, e, x, sampler, sign=1.0, success=success)


def error(g: Tensor, e: Tensor, x: Tensor, sampler: Sampler, *, success: float = 0.0) -> Measured:
    """Returns error rates in (0, 1) or (0, 100): what an accuracy lacks."""
    return _fraction(g, e, x, sampler, sign=-1.0, success=success)


def _fraction(g: Tensor, e: Tensor, x: Tensor, sampler: Sampler, *, sign: float, success: float) -> Measured:
    chance = torch.where(
        sampler.bernoulli(0.5), 1 / sampler.choice((2, 3, 5, 10, 20, 100, 1000)), sampler.uniform(0, 0.9)
    )
    chance = torch.where(sampler.bernoulli(0.15), 0.0, chance)
    top = chance + (1 - chance) * torch.where(sampler.bernoulli(0.15), 1.0, _small(sampler, 0.3))
    tried = sampler.bernoulli(success)
    chance = torch.where(tried, 0.0, chance)
    top = torch.where(tried & sampler.bernoulli(0.75), sampler.log_uniform(1, 2), top)
    gain = top - chance
    lowest = torch.where(
        sampler.bernoulli(0.3), -MOST, 0.0
    )  # a network that broke down guesses: it is at chance, not at 0
    g = g.clamp(min=-1)  # far below chance nothing stays
    g = torch.where(x > 0, torch.maximum(g - x, torch.minimum(g, lowest)), g)
    signal = (chance + gain * g.clamp(-MOST, MOST)).clamp(0, 1)
    fading = sampler.bernoulli(0.4) | tried  # the noise of these is next to none at the bounds
    spread = torch.where(fading, 2 * (signal * (1 - signal)).sqrt() + 0.02, 1.0)
    y = (chance + gain * (g + e * spread).clamp(-MOST, MOST)).clamp(0, 1)
    cases = torch.where(sampler.bernoulli(0.2), sampler.choice((10, 20, 50)), sampler.log_uniform(50, 2e4)).round()
    cases = torch.where(tried, sampler.choice((10, 20, 50, 100)), cases)
    y = torch.where(sampler.bernoulli(0.4) | tried, (y * cases).round() / cases, y)
    full = torch.where(sampler.bernoulli(0.3), 100.0, 1.0)
    known = torch.where(sampler.bernoulli(0.85), 0.0, math.inf)
    if sign < 0:
        y, signal = 1 - y, 1 - signal
    return Measured(y * full, signal * full, -known, full + known, torch.full_like(full, sign), gain * full)


def loss(g: Tensor, e: Tensor, x: Tensor, sampler: Sampler, *, left: float = 0.0, vanishing: float = 0.0) -> Measured:
    """Returns positive values from 1e-3 to 1e3 that fall to a floor, evenly or in their logarithm.

    What they have left in the end is a share of their start: `left` at least for most, close to none for a share
    `vanishing`.
    """
    start = torch.where(sampler.bernoulli(0.5), sampler.log_uniform(0.2, 12), sampler.log_uniform(1e-3, 1e3))
    kept = torch.where(sampler.bernoulli(0.35), 1 - sampler.log_uniform(1e-3, 1), sampler.uniform(left, 1))
    kept = torch.where(sampler.bernoulli(vanishing), sampler.log_uniform(1e-3, 0.3), kept).clamp(1e-4, 0.999)
    geometric = sampler.bernoulli(0.4)
    gain = start * (1 - kept)
    rate = -kept.log()

    def value(g: Tensor) -> Tensor:
        even = start - gain * g.clamp(-MOST, MOST)
        low = start * kept * torch.exp(-(even / (start * kept) - 1).clamp(max=0).abs())  # never below 0
        even = torch.where(even < start * kept, low, even)
        curved = start * torch.exp(-rate * g.clamp(min=-2))
        return torch.where(geometric, curved + gain * (-2 - g).clamp(min=0, max=MOST), even)

    signal, y = value(g - x), value(g - x + e)
    known = torch.where(sampler.bernoulli(0.75), 0.0, -math.inf)
    top = torch.full_like(known, math.inf)
    return Measured(y, signal, known, top, torch.full_like(known, -1.0), gain)


def capped(v: Tensor, top: Tensor, bend: Tensor) -> Tensor:
    """Returns v (n, T), bent to stay below top: v itself far below it, top where v is far above."""
    return top - bend * torch.nn.functional.softplus((top - v) / bend)


def reward(g: Tensor, e: Tensor, x: Tensor, sampler: Sampler, *, rising: float = 0.0) -> Measured:
    """Returns values of any scale, upward or (as log likelihoods, negated) downward: without bounds, or above 0.

    Many run into a ceiling that nobody states, such as the score of an episode without a fault. The noise of a share
    `rising` rises with the reward: an agent that does nothing has nothing to lose.
    """
    gain = sampler.log_uniform(1e-2, 1e4)
    above = sampler.bernoulli(0.35)
    start = torch.where(above, sampler.uniform(0, 0.2) * sampler.bernoulli(0.6), 3 * sampler.normal())
    top, bend, has = sampler.log_uniform(0.3, 1.1), sampler.log_uniform(3e-3, 0.2), sampler.bernoulli(0.4)
    e = torch.where(sampler.bernoulli(rising), e * (g.abs() + sampler.log_uniform(1e-3, 0.3)).clamp(max=3), e)
    values = (v.clamp(-MOST, MOST) for v in (g - x, g + e - x))
    signal, y = (start + torch.where(has, capped(v, top, bend), v) for v in values)
    signal, y = (torch.where(above, v.clamp(min=0), v) for v in (signal, y))
    low = torch.where(above & sampler.bernoulli(0.5), 0.0, -math.inf)
    down = sampler.bernoulli(0.2)
    sign = torch.where(down, -1.0, 1.0)
    lower, upper = torch.where(down, -math.inf, low), torch.where(down, -low, math.inf)
    return Measured(sign * gain * y, sign * gain * signal, lower, upper, sign, gain)


MetricMap = Callable[[Tensor, Tensor, Tensor, Sampler], Measured]
METRIC_MAPS: dict[str, MetricMap] = {"accuracy": accuracy, "error": error, "loss": loss, "reward": reward}


@dataclass(frozen=True, kw_only=True)
class Scales:
    """Law of the map from trends to metrics.

    Attributes:
        metrics: Shares of metrics.
        warped: Share of trends that are bent by a monotone warp first.
        left: What most losses have left of their start in the end, at least, as a share of it.
        vanishing: Share of losses that fall to next to nothing.
        rising: Share of rewards whose noise rises with them.
        success: Share of accuracies and error rates that are success rates, of few attempts, often of all.
    """

    metrics: Mapping[str, float] = field(
        default_factory=lambda: {"accuracy": 0.34, "error": 0.12, "loss": 0.40, "reward": 0.14}, hash=False
    )
    warped: float = 0.25
    left: float = 0.25
    vanishing: float = 0.02
    rising: float = 0.4
    success: float = 0.08

    def __post_init__(self) -> None:
        check_shares(self.metrics, METRICS, "metrics")
        for name in ("warped", "left", "vanishing", "rising", "success"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")

    def metric(self, sampler: Sampler) -> Tensor:
        """Returns the places in `metrics` of n independent metrics, (n,) int64."""
        return sampler.categorical(self.metrics)

    def sample(
        self, g: Tensor, e: Tensor, x: Tensor, metrics: Tensor | None = None, *, generator: torch.Generator
    ) -> Measured:
        """Returns n curves made of trends g, noise e and explosions x, (n, T) each.

        Args:
            g: Trends.
            e: Noise.
            x: Explosions.
            metrics: Places of the metrics, (n,), as `metric` draws them; if not given, they are drawn.
            generator: Where the numbers come from.
        """
        sampler = Sampler(len(g), generator=generator)
        bent = warp(g, sampler.log_uniform(0.5, 2), sampler.log_uniform(0.5, 2))
        g = torch.where(sampler.bernoulli(self.warped), bent, g)
        chosen = self.metric(sampler) if metrics is None else metrics
        kinds: dict[str, MetricMap] = {
            **METRIC_MAPS,
            "accuracy": functools.partial(accuracy, success=self.success),
            "error": functools.partial(error, success=self.success),
            "loss": functools.partial(loss, left=self.left, vanishing=self.vanishing),
            "reward": functools.partial(reward, rising=self.rising),
        }
        columns = torch.empty_like(g[:, :1])
        made = Measured(torch.empty_like(g), torch.empty_like(g), *(columns.clone() for _ in range(4)))
        for place, name in enumerate(self.metrics):
            rows = (chosen == place).nonzero()[:, 0]
            if len(rows):
                made.put(rows, kinds[name](g[rows], e[rows], x[rows], sampler.rows(len(rows))))
        return made
