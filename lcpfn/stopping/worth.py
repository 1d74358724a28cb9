"""The rule "worth": a run is stopped whose time is better spent elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lcpfn.metric import Metric
from lcpfn.stopping import checks
from lcpfn.stopping.rule import Prospects, Rivals, Stop, Verdict
from lcpfn.stopping.spelling import spelled


@spelled
@dataclass(frozen=True, kw_only=True)
class Worth:
    """Stops a run when the expected improvement on the incumbent per unit of time left is less than elsewhere.

    Attributes:
        min_rate: what elsewhere is: the gain per unit of time that is worth going on for; None stands for a fresh run
            from its first to its last step, as the engine's prior knows it, which takes a metric with bounds.
        rank: the incumbent is the best finished run for 1, the k-th best for k.
        min_delta: by how much the incumbent has to be beaten before a gain counts, in units of y.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> from lcpfn.stopping import Stopper
        >>> stopper = Stopper(rule=Worth(min_rate=1e-3), horizon=50, metric=Metric("max"))
    """

    reason: ClassVar[Stop] = "not worth it"
    compares: ClassVar[bool] = True
    least_points: ClassVar[int] = 1

    min_rate: float | None = None
    rank: int = 1
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.min_rate is not None:
            checks.amount(self.min_rate, "min_rate")
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
        """See Rule; `rivals` must have an incumbent.

        Raises:
            ValueError: if there is no min_rate, and nothing says what to expect of a fresh run.
        """
        target = self.target(rivals, run.metric)
        assert target is not None
        rate = self.min_rate
        if rate is None:
            rate = run.fresh_gain(target) / run.horizon
        found = run.expected_gain(target) / (run.horizon - run.now)
        return Verdict(found, rate, target, f"expected improvement on {target:.5g} per unit of time")

    def turning_target(self, run: Prospects, rivals: Rivals) -> float | None:
        """None: what turns it is a rate; see Rule."""
        return None
