"""MeasurementTimes: when a run is measured, and which of its points a network is shown or asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lcpfn.priors.general.sampling import Sampler, check_shares

SPACINGS = ("linear", "geometric", "log_then_linear", "jittered", "uneven")
GROWING = ("geometric", "log_then_linear")  # those whose gaps grow
ROOTS = (2**0.5, 2**0.125, 2.0)  # ratios of neighbouring times on usual geometric grids


@dataclass(frozen=True, eq=False)
class Timeline:
    """Times of n runs at T of their points.

    Attributes:
        t: Times, (n, T), increasing where seen.
        progress: How far the run has come at these times, (n, T), from 0 to 1; clamped to 1 where not seen. The share
            that is done, or of its logarithm.
        seen: Whether there is such a point, (n, T); those that are not come last.
        end: Time of the run's last point, (n,).
        stride: Points of the run for one of the timeline, (n, T): above 1 where the run was thinned.
    """

    t: Tensor
    progress: Tensor
    seen: Tensor
    end: Tensor
    stride: Tensor


@dataclass(frozen=True, kw_only=True)
class MeasurementTimes:
    """Law of measurement times.

    Attributes:
        short: Shortest and longest of ordinary runs, in points; the logarithm is uniform.
        long: Likewise of long runs.
        share_long: Share of long runs.
        spacings: Shares of spacings.
        span: Smallest and largest ratio of the last to the first time of a geometric grid.
        even: Share of the runs measured at ever larger gaps that learn at the pace of their measurements, more or less:
            whoever measures evenly in log t looks where something happens. The others learn in the last few gaps.
        at_zero: Share of runs that are measured before anything was done.
        late: Share of runs whose first measurement comes after many times the usual gap.
        moved: Share of runs whose clock does not begin with the run.
        gap: Smallest and largest gap in units of t.
    """

    short: tuple[int, int] = (5, 300)
    long: tuple[int, int] = (300, 8000)
    share_long: float = 0.10
    spacings: Mapping[str, float] = field(
        default_factory=lambda: {
            "linear": 0.55,
            "geometric": 0.17,
            "log_then_linear": 0.06,
            "jittered": 0.14,
            "uneven": 0.08,
        },
        hash=False,
    )
    span: tuple[float, float] = (4.0, 2e5)
    even: float = 0.9
    at_zero: float = 0.25
    late: float = 0.10
    moved: float = 0.10
    gap: tuple[float, float] = (1e-2, 1e5)

    def __post_init__(self) -> None:
        for name in ("short", "long", "span", "gap"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_shares(self.spacings, SPACINGS, "spacings")
        if not 2 <= self.short[0] <= self.short[1] or not 2 <= self.long[0] <= self.long[1]:
            raise ValueError(f"runs must have at least 2 points, got short={self.short}, long={self.long}")

    def sample(self, n: int, points: int, later: int, *, generator: torch.Generator) -> Timeline:
        """Returns n independent timelines of `points` + `later` columns, as `RunPrior.sample_runs` says."""
        sampler = Sampler(n, generator=generator)
        length = torch.where(
            sampler.bernoulli(self.share_long), sampler.log_uniform(*self.long), sampler.log_uniform(*self.short)
        ).round()  # (n, 1)
        rank, seen = _ranks(length, points, later, sampler)
        stride = torch.diff(rank, dim=1, prepend=rank[:, :1] - 1).clamp(min=1)
        chosen = sampler.categorical(self.spacings)[:, None]
        place = self._places(
            rank, length, chosen, sampler
        )  # (n, T + 1) in gaps from the first point; the last: the end's
        lead = torch.where(sampler.bernoulli(0.7), 1.0, sampler.uniform(0, 2))
        lead = torch.where(sampler.bernoulli(self.at_zero), 0.0, lead)
        lead = torch.where(sampler.bernoulli(self.late), sampler.log_uniform(3, 100), lead)
        done = place + lead
        progress = (done / done[:, -1:].clamp(min=1e-6)).clamp(0, 1)
        curved = done[:, -1:].clamp(min=1) ** sampler.uniform()  # 1: in t; the number of first gaps: in log t
        # Whoever measures evenly in log t does so because things happen evenly there; with progress linear in t such a
        # run would learn within its last gaps.
        growing = torch.tensor([name in GROWING for name in self.spacings], device=chosen.device)[chosen]
        evenly = growing & sampler.bernoulli(self.even)
        progress = torch.where(evenly, torch.log1p(curved * progress) / torch.log1p(curved), progress)
        offset = torch.where(sampler.bernoulli(self.moved), sampler.log_uniform(0.1, 300) - lead, 0.0)
        gap = torch.where(sampler.bernoulli(0.3), 1.0, sampler.log_uniform(*self.gap))
        t = gap * (done + offset)
        return Timeline(t[:, :-1], progress[:, :-1], seen, t[:, -1], stride)

    def _places(self, rank: Tensor, length: Tensor, chosen: Tensor, sampler: Sampler) -> Tensor:
        """(n, T + 1) places of points by their ranks, and of the last point, in gaps from the first one."""
        last = length - 1
        rank = torch.cat([rank, last], 1)
        names = list(self.spacings)
        place = rank.clone()
        # geometric: the first gap is 1
        span = torch.where(sampler.bernoulli(0.5), sampler.log_uniform(*self.span), sampler.choice(ROOTS) ** last)
        rate = span.clamp(*self.span).log() / last
        geometric = torch.expm1(rate * rank) / torch.expm1(rate)
        bend = (sampler.uniform(0.1, 0.9) * last).round()
        log_rate = sampler.log_uniform(2, 300).log() / bend.clamp(min=1)
        head = torch.expm1(log_rate * torch.minimum(rank, bend)) / torch.expm1(log_rate)
        slope = torch.exp(log_rate * bend) * sampler.log_uniform(
            0.3, 20
        )  # the gap after the bend: 512, 1000, 13000 occurs
        tail = head + slope * (rank - bend).clamp(min=0)
        jitter = 0.9 * sampler.log_uniform(0.02, 1) * (sampler.uniform(columns=rank.shape[1]) - 0.5)
        jittered = torch.where((rank > 0) & (rank < last), rank + jitter, rank)
        gaps = torch.diff(rank, dim=1, prepend=rank[:, :1])
        uneven = (gaps * torch.exp(sampler.log_uniform(0.1, 1) * sampler.normal(rank.shape[1]))).cumsum(1)
        shapes = {"geometric": geometric, "log_then_linear": tail, "jittered": jittered, "uneven": uneven}
        for name, values in shapes.items():
            if name in names:
                place = torch.where(chosen == names.index(name), values, place)
        return place


def at_given_times(t: Tensor, n: int, *, generator: torch.Generator) -> Timeline:
    """Returns the timeline of n runs that are measured at the same times t, (T,), increasing, and end with the last."""
    sampler = Sampler(n, generator=generator)
    span = t[-1:] - t[:1]
    gap = span / max(len(t) - 1, 1) if len(t) > 1 else t.abs()
    lead = gap.clamp(min=1e-6) * torch.where(sampler.bernoulli(0.7), 1.0, sampler.uniform(0, 2))
    progress = ((t - t[:1] + lead) / (span + lead)).clamp(0, 1)
    times = t.expand(n, -1)
    seen = torch.ones_like(progress, dtype=torch.bool)
    return Timeline(times, progress, seen, times[:, -1], torch.ones_like(progress))


def _ranks(length: Tensor, points: int, later: int, sampler: Sampler) -> tuple[Tensor, Tensor]:
    """(n, points + later) ranks, from 0, among the `length` (n, 1) points of each run; and which of them exist.

    A run that is too long is cut anywhere: points up to the cut are thinned as a network's context is, by rank, and
    the `later` columns are spread over what follows.
    """
    column = torch.arange(points, device=length.device, dtype=torch.float32)
    cut = points * (length / points).clamp(min=1) ** sampler.uniform()  # from `points` to the run's length
    cut = torch.minimum(torch.where(sampler.bernoulli(0.2), length, cut).round(), length)
    # ranks are thinned as `lcpfn.context` thins a user's curve, or training would see other contexts than prediction
    stretch = ((cut - 1) / (points - 1)).clamp(min=1)
    context = torch.minimum((column * stretch + 1e-3).floor(), cut - 1)
    rest = length - cut
    asked = torch.arange(1, later + 1, device=length.device, dtype=torch.float32)
    fits = torch.minimum(rest, torch.full_like(rest, later)).clamp(min=1)
    after = cut - 1 + torch.minimum((asked * rest / fits).ceil(), rest)
    seen = torch.cat([column < length, asked <= rest], 1)
    return torch.cat([context, after], 1), seen
