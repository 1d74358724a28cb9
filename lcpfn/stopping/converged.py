"""The rule "converged": a run is stopped that is unlikely to improve on itself; it needs no other run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lcpfn.metric import Metric
from lcpfn.stopping import checks
from lcpfn.stopping.rule import Prospects, Rivals, Stop, Verdict
from lcpfn.stopping.spelling import spelled


@spelled
@dataclass(frozen=True, kw_only=True)
class Converged:
    """Stops a run when P(it ends better than its own best so far by more than min_delta) <= level.

    Of the runs that it stops, `level` at most would have gained more, however often one looks: a probability that is
    right at each look is right at the one that stops.

    Attributes:
        min_delta: the gain that is worth going on for, in units of y, above 0: noise alone gains a little.
        level: that probability.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> from lcpfn.stopping import Stopper
        >>> stopper = Stopper(rule=Converged(min_delta=0.01), horizon=50, metric=Metric("min", bounds=(0, None)))
    """

    reason: ClassVar[Stop] = "converged"
    compares: ClassVar[bool] = False
    least_points: ClassVar[int] = 1
    rank: ClassVar[int] = 1

    min_delta: float
    level: float = 0.05

    def __post_init__(self) -> None:
        checks.amount(self.min_delta, "min_delta")
        if not self.min_delta:
            raise ValueError("min_delta, the gain worth going on for, must be above 0: noise alone gains a little")
        checks.probability(self.level, "level")

    def bar(self, rivals: Rivals, metric: Metric) -> float | None:
        """None: no other run counts; see Rule."""
        return None

    def target(self, rivals: Rivals, metric: Metric) -> float | None:
        """None: what a run has to beat is its own; see Rule."""
        return None

    def judge(self, run: Prospects, rivals: Rivals) -> Verdict:
        """See Rule."""
        target = np.asarray(run.record) + run.metric.sign * self.min_delta
        words = f"P(gains more than {self.min_delta:.5g} within the horizon)"
        return Verdict(run.prob_beating(target), self.level, target, words)

    def turning_target(self, run: Prospects, rivals: Rivals) -> float | None:
        """None: there is no incumbent; see Rule."""
        return None
