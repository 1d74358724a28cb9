"""One training run under a stopper: what the callbacks of the training loops have in common."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from lcpfn.metric import Metric
from lcpfn.names import metric_named
from lcpfn.stopping import Decision, Policy, Stopper
from lcpfn.stopping.policy import check_value

__all__ = ["Run"]

_log = logging.getLogger(__name__)


class Run:
    """A run from its first step to its last, judged beside others by a stopper that it is given, or alone.

    Alone it is judged by the rule "converged". The metric is then what the name stands for, if no other is given:
    direction, and bounds as long as all values keep to them, so that a guess from a name ends no run.

    Args:
        monitor: name of what is judged.
        stopper: knows the other runs, and the horizon.
        trial: name of the run to the stopper.
        horizon: of a run that is judged alone; by default what `begin` is told.
        metric: of a run that is judged alone.
        **policy: other fields of `lcpfn.stopping.Policy` for a run that is judged alone, min_delta above all.

    Raises:
        ValueError: if options contradict each other, or a value is out of its range.
    """

    def __init__(
        self,
        monitor: str,
        *,
        stopper: Stopper | None = None,
        trial: str | int | None = None,
        horizon: float | None = None,
        metric: Metric | None = None,
        **policy: Any,
    ) -> None:
        if stopper is None:
            if trial is not None:
                raise ValueError(
                    f"trial names a run of a stopper, got {trial!r} without one: give stopper=Stopper(...)"
                )
            if policy.setdefault("rule", "converged") != "converged":
                raise ValueError(
                    f'a run alone is judged by the rule "converged", got {policy["rule"]!r}, which compares runs; '
                    "give a stopper that knows the others, and the trial's name"
                )
            Policy(horizon=2 if horizon is None else horizon, metric=metric, **policy)  # its errors belong here
        else:
            given = {"horizon": horizon, "metric": metric, **policy}
            if extra := [name for name, value in given.items() if value is not None]:
                raise ValueError(f"{', '.join(extra)} must be given to the stopper where there is one, not to the run")
            if trial is None:
                raise ValueError("a stopper tells runs apart by name: give the run's as trial=...")
        self.monitor, self.trial = monitor, "run" if trial is None else trial
        self.points: dict[float, float] = {}
        self.decision: Decision | None = None
        self._shared, self._horizon, self._metric, self._policy = stopper, horizon, metric, policy
        self._stopper: Stopper | None = None
        self._direction: str | None = None

    @property
    def going(self) -> bool:
        """Whether the run has begun, is not finished, and has more than one step."""
        return self._stopper is not None

    def begin(
        self,
        *,
        horizon: float | None,
        points: Mapping[float, float] | None = None,
        direction: str | None = None,
    ) -> None:
        """Begins or resumes the run.

        Args:
            horizon: its last step as the trainer knows it; None, -1 and infinity if it knows none.
            points: values by step, of a run that is resumed.
            direction: as the trainer knows it.

        Raises:
            ValueError: if nobody knows the horizon or the direction, or the direction is another one than the metric's.
        """
        self.points, self.decision, self._stopper, self._direction = {}, None, self._shared, direction
        if self._shared is None:
            last = horizon if self._horizon is None else self._horizon
            if last is None or not 0 <= last < math.inf:
                raise ValueError(f"nothing says when this run ends, the trainer's limit is {horizon}: give horizon=...")
            metric = self._metric or self._named()
            if last < 2:
                return  # a trial of the code, no run that could be cut short
            self._stopper = Stopper(horizon=last, metric=metric, **self._policy)
        assert self._stopper is not None
        if direction not in (None, known := self._stopper.metric.direction):
            raise ValueError(
                f'the metric must have the direction of the trainer, "{direction}" for {self.monitor}, '
                f'got "{known}"; change the one that is wrong'
            )
        for step, value in sorted((points or {}).items()):
            self.update(step, value)

    def update(self, step: float, value: Any) -> Decision | None:
        """The decision after a new value, None before the first step; logs a line when the run is to stop.

        Raises:
            TypeError: if the value is no number.
            ValueError: if the value is outside of the metric's bounds.
        """
        assert self._stopper is not None
        policy = self._stopper.policy
        if step < policy.first_step:
            return None  # measured before training
        self.points[step] = check_value(value, Metric())
        if self._shared is None and self._metric is None:
            self._stopper.policy = replace(policy, metric=self._named())
        before, self.decision = self.decision, self._stopper.update(self.trial, step, self.points[step])
        if self.decision.stop and not (before and before.stop):
            why = f"{self.decision.reason} ({self.decision.detail})"
            _log.warning("%s: stops at %g of %g: %s", self.monitor, step, policy.horizon, why)
        return self.decision

    def finish(self) -> None:
        """Tells the stopper that the run is over."""
        if self._stopper is not None and self.decision is not None:
            self._stopper.finish(self.trial)
        self._stopper = None

    def missing(self, names: Iterable[str]) -> NoReturn:
        """Raises ValueError because the monitor is not among the names."""
        raise ValueError(f"monitor must name a metric that is logged, got {self.monitor!r} of {sorted(names)}")

    def _named(self) -> Metric:
        """The metric by its name, its values so far, and the direction that the trainer knows."""
        found = metric_named(self.monitor, list(self.points.values()))
        if self._direction is not None and (found is None or found.direction != self._direction):
            return Metric(self._direction)
        if found is None:
            raise ValueError(
                f'the name {self.monitor!r} does not say which direction is better: give metric=Metric("max") or "min"'
            )
        return found
