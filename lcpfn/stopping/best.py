"""The rule "best": a run is stopped that is unlikely ever to beat the incumbent, with a stated risk over all looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lcpfn.metric import Metric
from lcpfn.stopping import checks
from lcpfn.stopping.rule import EPSILON, Floats, Prospects, Rivals, Stop, Verdict
from lcpfn.stopping.spelling import spelled
from lcpfn.stopping.thresholds import CAP, STARTS, Start, threshold_by

GRID = 200  # probabilities looked at for the target at which a verdict turns
HALVINGS = 50  # of the logarithm of a probability: more digits than a double has


@spelled
@dataclass(frozen=True, kw_only=True)
class Best:
    """Stops a run when the probability that it ends better than the incumbent is too small.

    Attributes:
        level: the chance that a run which would have beaten the incumbent is ever stopped.
        start: with what later odds are compared: "own", those that the engine gave the run after its first point,
            however many others there are; "runs", those of a run among all that are over; "higher", the higher of
            both. See `lcpfn.stopping.thresholds`.
        cap: of "own" and "higher": no run is stopped whose probability of winning is above this and above level.
        rank: the incumbent is the best finished run for 1, the k-th best for k.
        min_delta: by how much the incumbent has to be beaten, in units of y.
        spend: False compares with level itself at each look; level then bounds the share of winners among the stopped
            runs only, and the share of stopped runs among the winners grows with the number of runs.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> from lcpfn.stopping import Stopper
        >>> stopper = Stopper(rule=Best(level=0.1), horizon=50, metric=Metric("max", bounds=(0, 1)))
    """

    reason: ClassVar[Stop] = "hopeless"
    compares: ClassVar[bool] = True
    least_points: ClassVar[int] = 1

    level: float = 0.05
    start: Start = "own"
    cap: float = CAP
    rank: int = 1
    min_delta: float = 0.0
    spend: bool = True

    def __post_init__(self) -> None:
        checks.probability(self.level, "level")
        checks.choice(self.start, "start", STARTS)
        if not checks.is_real(self.cap) or not 0 < self.cap <= 1:
            raise ValueError(f"cap must be a probability above 0, got {self.cap!r}; divide percentages by 100")
        checks.count(self.rank, "rank")
        checks.amount(self.min_delta, "min_delta")

    def bar(self, rivals: Rivals, metric: Metric) -> float | None:
        """See Rule."""
        return rivals.ranked(metric, self.rank)

    def target(self, rivals: Rivals, metric: Metric) -> float | None:
        """See Rule."""
        bar = self.bar(rivals, metric)
        return None if bar is None else bar + metric.sign * self.min_delta

    def judge(self, run: Prospects, rivals: Rivals) -> Verdict:
        """See Rule; `rivals` must have an incumbent."""
        target = self.target(rivals, run.metric)
        assert target is not None
        began = run.prob_at_start(target) if self._own else None
        return Verdict(
            run.prob_beating(target),
            self._limit(run, rivals, began),
            target,
            f"P(beats {target:.5g} within the horizon)",
            began,
        )

    def turning_target(self, run: Prospects, rivals: Rivals) -> float | None:
        """See Rule."""

        def stops(p: float) -> bool:  # the probability p is that of a target, which has a threshold of its own
            return bool(p <= self._limit_at(run, rivals, float(run.value_beaten(p))))

        if not self.spend:
            return float(run.value_beaten(self.level))
        grid = np.geomspace(0.5, EPSILON, GRID)
        place = next((i for i, p in enumerate(grid) if stops(p)), None)
        if not place:
            return None  # whatever the target, or within what is more likely than not
        high, low = grid[place - 1], grid[place]
        for _ in range(HALVINGS):
            middle = math.sqrt(high * low)
            high, low = (high, middle) if stops(middle) else (middle, low)
        return float(run.value_beaten(low))

    @property
    def _own(self) -> bool:
        """Whether the probability after the run's first point counts."""
        return self.spend and self.start != "runs"

    def _limit_at(self, run: Prospects, rivals: Rivals, target: float) -> Floats:
        return self._limit(run, rivals, run.prob_at_start(target) if self._own else None)

    def _limit(self, run: Prospects, rivals: Rivals, began: float | None) -> Floats:
        """(L,) the probability of beating the target at or below which the run stops."""
        if not self.spend:
            return self.level
        runs = max(rivals.concluded, self.rank)  # as many as are finished, at least
        return threshold_by(self.start, self.level, gap=run.gap, runs=runs, rank=self.rank, own=began, cap=self.cap)


DEFAULT = Best()
