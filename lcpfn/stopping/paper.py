"""The rule "paper": a run is stopped that is unlikely to be better than the best of all at any later time."""

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
class Paper:
    """Stops a run when P(y_t > the best value so far of any run) <= level at every later t.

    The level is what each look compares with, as published; nothing is spent over looks.

    Attributes:
        level: that probability.

    Raises:
        ValueError: if it does not lie between 0 and 1.

    Source: Domhan et al. 2015, section 4; Adriaensen et al. 2023, section 5.3.

    Example:
        >>> from lcpfn.stopping import Stopper
        >>> stopper = Stopper(rule=Paper(), horizon=50, metric=Metric("max", bounds=(0, 1)), engine="paper")
    """

    reason: ClassVar[Stop] = "hopeless"
    compares: ClassVar[bool] = True
    least_points: ClassVar[int] = 2  # one point does not tell at which later times there will be others
    rank: ClassVar[int] = 1

    level: float = 0.05

    def __post_init__(self) -> None:
        checks.probability(self.level, "level")

    def bar(self, rivals: Rivals, metric: Metric) -> float | None:
        """The best value of any run, finished or not; see Rule."""
        values = (*rivals.finished, *rivals.running)
        return metric.sign * max(metric.sign * y for y in values) if values else None

    def target(self, rivals: Rivals, metric: Metric) -> float | None:
        """See Rule."""
        return self.bar(rivals, metric)

    def judge(self, run: Prospects, rivals: Rivals) -> Verdict:
        """See Rule; there must be a rival. A run that is ahead of all others is judged against itself."""
        bar, sign = self.bar(rivals, run.metric), run.metric.sign
        assert bar is not None
        target = sign * np.maximum(sign * bar, sign * np.asarray(run.record))
        words = f"P(better than {bar:.5g} at the likeliest later time)"
        return Verdict(run.prob_at_any(target), self.level, target, words)

    def turning_target(self, run: Prospects, rivals: Rivals) -> float | None:
        """See Rule."""
        return float(run.any_value_beaten(self.level))
