"""The prior of the world that real curves come from: any metric, any grid, with all that goes wrong."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from lcpfn.priors.curves import Curves
from lcpfn.priors.general.acceptance import Acceptance
from lcpfn.priors.general.divergence import Divergence
from lcpfn.priors.general.events import Events
from lcpfn.priors.general.latent_run import Changes, LatentRun
from lcpfn.priors.general.lcpfn_runs import LcpfnRuns
from lcpfn.priors.general.measurement_times import MeasurementTimes, Timeline, at_given_times
from lcpfn.priors.general.noise import Noise
from lcpfn.priors.general.old_names import renamed
from lcpfn.priors.general.random_walk import RandomWalk
from lcpfn.priors.general.sampling import Sampler
from lcpfn.priors.general.scales import METRICS, Measured, Scales
from lcpfn.priors.general.trends import Trends

# Runs of agents, as far as they differ from those of other metrics: they rise late or in steps, go by no schedule,
# wander, and their noise stays.
REWARDS: Changes = {
    "trends": {
        "shapes": {
            **{"family": 0.1, "power": 0.19, "exponential": 0.08, "logarithm": 0.05, "broken_power": 0.08},
            **{"late_rise": 0.08, "delayed": 0.1, "stairs": 0.08, "saturated": 0.12, "mixture": 0.07, "flat": 0.05},
        },
        "setbacks": {"none": 0.66, "overfit": 0.1, "dip": 0.1, "collapse": 0.1, "kick": 0.04},
    },
    "random_walk": {"share": 0.6},
    "events": {"schedules": {"constant": 0.9, "drops": 0.03, "annealed": 0.06, "restarts": 0.01}},
    "noise": {
        "levels": {"ordinary": 0.84, "smooth": 0.05, "loud": 0.1, "none": 0.01},
        "shrinking": 0.15,
        "growing": 0.3,
    },
}


@dataclass(frozen=True, kw_only=True)
class General:
    """Trends, events, noise, divergence, a map to a metric, and measurement times, drawn one after the other.

    Shares and scales were chosen by looking at statistics of 46,000 measured curves (`benchmarks/prior_check.py`); no
    measured curve enters.

    Attributes:
        measurement_times: When runs are measured.
        trends: How far they come.
        random_walk: Slow moves that no formula has.
        events: Schedules and spikes.
        noise: Of the measurements.
        divergence: Runs that go wrong for good.
        by_metric: What is different in the runs of a metric: metric -> part -> field -> value, for any of the five
            parts before.
        scales: The map to a metric.
        lcpfn_runs: Runs of LC-PFN's prior among the others.
        acceptance: Which runs stay.
        stopped: Share of runs that stop at the first value that reaches a target.
        horizon_known: Share of runs whose planned end is known.

    Example:
        >>> runs = General().sample_runs(5, 100, 28, generator=torch.Generator().manual_seed(0))
        >>> tuple(runs.y.shape), bool(torch.isfinite(runs.y).all())
        ((5, 128), True)
    """

    name: ClassVar[str] = "general"
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    measurement_times: MeasurementTimes = field(default_factory=MeasurementTimes)
    trends: Trends = field(default_factory=Trends)
    random_walk: RandomWalk = field(default_factory=RandomWalk)
    events: Events = field(default_factory=Events)
    noise: Noise = field(default_factory=Noise)
    divergence: Divergence = field(default_factory=Divergence)
    by_metric: Mapping[str, Changes] = field(default_factory=lambda: {"reward": REWARDS}, hash=False)
    scales: Scales = field(default_factory=Scales)
    lcpfn_runs: LcpfnRuns = field(default_factory=LcpfnRuns)
    acceptance: Acceptance = field(default_factory=Acceptance)
    stopped: float = 0.04
    horizon_known: float = 0.7

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.by_metric) - set(METRICS)):
            raise ValueError(f"by_metric is of metrics among {METRICS}, got {unknown}")
        object.__setattr__(self, "by_metric", _plain(self.by_metric))
        _ = self.latent_runs  # a law that cannot be is refused now

    def parameters(self) -> dict[str, Any]:
        """Returns the fields as JSON, for `from_parameters` and `lcpfn.priors.by_name`."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> General:
        """Returns the prior whose `parameters()` these are; what is left out has its default.

        Parts may have the names that they had in older versions, see `lcpfn.priors.general.old_names`.

        Raises:
            ValueError: If a name is not a field of this prior or of one of its parts, or a value is wrong.
        """
        classes: dict[str, type[Any]] = {
            "measurement_times": MeasurementTimes,
            "trends": Trends,
            "random_walk": RandomWalk,
            "events": Events,
            "noise": Noise,
            "divergence": Divergence,
            "scales": Scales,
            "lcpfn_runs": LcpfnRuns,
            "acceptance": Acceptance,
        }
        values = renamed(parameters)
        try:
            for name, part in classes.items():
                if name in values:
                    values[name] = part(**values[name])
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"the prior 'general' does not have these parameters: {error}") from error

    def sample_runs(self, n: int, points: int, later: int, *, generator: torch.Generator) -> Curves:
        """Returns n independent runs, see `lcpfn.priors.curves.RunPrior.sample_runs`."""
        return self._curves(self.measurement_times.sample(n, points, later, generator=generator), generator)

    def sample(self, n: int, t: Tensor, *, generator: torch.Generator) -> Curves:
        """Returns n independent curves at the times t, (T,), increasing, on the generator's device, in float32.

        The run is one that is measured at these times and ends with the last.

        Raises:
            ValueError: If t is not one row of times, or n is negative.
        """
        if t.ndim != 1 or not len(t):
            raise ValueError(f"t must be one row of times, got shape {tuple(t.shape)}")
        if n < 0:
            raise ValueError(f"n must be a number of curves, got {n}")
        t = t.to(generator.device, torch.float32)
        return self._curves(at_given_times(t, n, generator=generator), generator)

    def _curves(self, timeline: Timeline, generator: torch.Generator) -> Curves:
        made = self.acceptance.drawn(lambda p: self._measured(p, generator), timeline.progress, generator=generator)
        sampler = Sampler(len(timeline.t), generator=generator)
        seen, broken = self.divergence.breaks(timeline.seen, generator=generator)
        # people stop a run at a target; how long it is then tells nothing of what would have come
        seen = self._stop(made.y * made.sign, seen, broken, sampler)
        count = seen.sum(1, keepdim=True)
        last = timeline.t.gather(1, (count - 1).clamp(min=0))[:, 0] if timeline.t.shape[1] else timeline.end
        whole = count[:, 0] == timeline.seen.sum(1)
        end = torch.where(whole | broken, timeline.end, last)
        # The end is that of the plan where a run broke off: known to whoever planned it. A run that was stopped at its
        # target ends there.
        horizon = torch.where(sampler.bernoulli(self.horizon_known)[:, 0], end, math.nan)
        planned = torch.where(broken, timeline.seen.sum(1), count[:, 0])
        parts = {name: getattr(made, name)[:, 0] for name in ("lower", "upper", "sign", "unit")}
        parts |= {"horizon": horizon, "diverged": broken, "end": end, "planned": planned}
        return Curves(t=timeline.t, y=made.y, signal=made.signal, seen=seen, **parts)

    def _measured(self, progress: Tensor, generator: torch.Generator) -> Measured:
        """n runs at their progress (n, T), whichever they are."""
        metrics = self.scales.metric(Sampler(len(progress), generator=generator))
        shown, noise, worse = (torch.empty_like(progress) for _ in range(3))
        for latent_run, places in self.latent_runs:
            rows = torch.isin(metrics, torch.tensor(places, device=metrics.device)).nonzero()[:, 0]
            if len(rows):
                shown[rows], noise[rows], worse[rows] = latent_run.sample(progress[rows], generator=generator)
        made = self.scales.sample(shown, noise, worse, metrics, generator=generator)
        self.lcpfn_runs.into(made, progress, generator=generator)
        return made

    @functools.cached_property
    def latent_runs(self) -> list[tuple[LatentRun, list[int]]]:
        """Each law of latent runs, with the places in `scales.metrics` of the metrics whose runs go by it."""
        usual = LatentRun(**{part.name: getattr(self, part.name) for part in dataclasses.fields(LatentRun)})
        found: list[tuple[LatentRun, list[int]]] = []
        for place, name in enumerate(self.scales.metrics):
            latent_run = usual.changed(self.by_metric.get(name, {}))
            known = next((places for other, places in found if other == latent_run), None)
            if known is None:
                found.append((latent_run, [place]))
            else:
                known.append(place)
        return found

    def _stop(self, upward: Tensor, seen: Tensor, broken: Tensor, sampler: Sampler) -> Tensor:
        """(n, T) the points until a target is reached for the first time, in a share of the runs."""
        count = seen.sum(1, keepdim=True)
        place = (count * sampler.uniform(0.2, 1)).long().clamp(min=2) - 1
        target = upward.gather(1, place.clamp(max=upward.shape[1] - 1))
        reached = (upward >= target) & (torch.arange(upward.shape[1], device=upward.device) >= 2)
        before = reached.cumsum(1) - reached.long()  # how often it was reached before this point
        stops = sampler.bernoulli(self.stopped) & (count > 5) & ~broken[:, None]
        return torch.where(stops, seen & (before == 0), seen)


def _plain(value: Any) -> Any:
    """JSON gives lists back where tuples went in."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value
