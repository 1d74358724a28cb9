"""One training run under a stopper: what the callbacks of the training loops have in common."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, NoReturn, Unpack

from lcpfn.metric import Metric
from lcpfn.names import metric_named
from lcpfn.stopping import Converged, Decision, Policy, Rivals, Stopper
from lcpfn.stopping.audit import after
from lcpfn.stopping.options import Judging
from lcpfn.stopping.policy import check_value
from lcpfn.stopping.spelling import spelled
from lcpfn.stopping.state import GivenUp

__all__ = ["Run"]

Direction = Literal["max", "min"]

_log = logging.getLogger(__name__)


@spelled
class Run:
    """A run from its first step to its last, judged beside others by a stopper that it is given, or alone.

    Alone it is judged by `lcpfn.stopping.Converged`. The metric is then what the name stands for, if no other is given:
    direction, and bounds as long as all values keep to them, so that a guess from a name ends no run.

    Args:
        monitor: name of what is judged.
        stopper: knows the other runs, and the horizon.
        trial: name of the run to the stopper.
        horizon: of a run that is judged alone; by default what `begin` is given.
        metric: of a run that is judged alone.
        min_delta: of `Converged`, for a run that is judged alone.
        level: of `Converged`, for a run that is judged alone.
        **options: other fields of `lcpfn.stopping.Policy` for a run that is judged alone.

    Raises:
        ValueError: if options contradict each other, or a value is out of its range.
        TypeError: if an argument is unknown.
    """

    def __init__(
        self,
        monitor: str,
        *,
        stopper: Stopper | None = None,
        trial: str | int | None = None,
        horizon: float | None = None,
        metric: Metric | None = None,
        min_delta: float | None = None,
        level: float | None = None,
        **options: Unpack[Judging],
    ) -> None:
        self._policy: Policy | None = None
        if stopper is None:
            if trial is not None:
                raise ValueError(
                    f"trial names a run of a stopper, got {trial!r} without one: give stopper=Stopper(...)"
                )
            if min_delta is None:
                raise ValueError(
                    "a run alone needs min_delta, the gain worth going on for in units of its metric; "
                    "or give a stopper that knows other runs, and the trial's name"
                )
            rule = Converged(min_delta=min_delta) if level is None else Converged(min_delta=min_delta, level=level)
            self._policy = Policy(horizon=2 if horizon is None else horizon, rule=rule, metric=metric, **options)
        else:
            given = {"horizon": horizon, "metric": metric, "min_delta": min_delta, "level": level, **options}
            if extra := [name for name, value in given.items() if value is not None]:
                raise ValueError(f"{', '.join(extra)} must be given to the stopper where there is one, not to the run")
            if trial is None:
                raise ValueError("a stopper tells runs apart by name: give the run's as trial=...")
        self.monitor, self.trial = monitor, "run" if trial is None else trial
        self.points: dict[float, float] = {}
        self.decision: Decision | None = None
        self.going = False
        self._stopper, self._horizon, self._metric = stopper, horizon, metric
        self._given_up: GivenUp | None = None
        self._direction: Direction | None = None

    def begin(
        self,
        *,
        horizon: float | None,
        points: Mapping[float, float] | None = None,
        direction: Direction | None = None,
    ) -> None:
        """Begins or resumes the run.

        Args:
            horizon: its last step as the trainer knows it; None, -1 and infinity if it knows none.
            points: values by step, of a run that is resumed.
            direction: as the trainer knows it.

        Raises:
            ValueError: if nobody knows the horizon or the direction, or the direction is another one than the metric's.
        """
        self.points, self.decision, self._given_up, self._direction = {}, None, None, direction
        self.going = False
        if self._policy is not None:
            last = horizon if self._horizon is None else self._horizon
            if last is None or not 0 <= last < math.inf:
                raise ValueError(f"nothing says when this run ends, the trainer's limit is {horizon}: give horizon=...")
            known = self._named().direction
            if last < 2:
                return  # a trial of the code, no run that could be cut short
            self._policy = replace(self._policy, horizon=last)
        else:
            assert self._stopper is not None
            known = self._stopper.metric.direction
        if direction not in (None, known):
            raise ValueError(
                f'the metric must have the direction of the trainer, "{direction}" for {self.monitor}, '
                f'got "{known}"; change the one that is wrong'
            )
        self.going = True
        for step, value in sorted((points or {}).items()):
            self.update(step, value)

    def update(self, step: float, value: Any) -> Decision | None:
        """The decision after a new value, None before the first step; logs a line when the run is to stop.

        Args:
            step: of the value.
            value: what was measured; None where nothing was.

        Raises:
            TypeError: if the value is no number.
            ValueError: if the value is outside of the metric's bounds.
        """
        policy = self._policy or self._beside.policy
        if step < policy.first_step:
            return None  # measured before training
        if value is not None:
            self.points[step] = check_value(value, Metric())
        before = self.decision
        if self._policy is None:
            self.decision = self._beside.update(self.trial, step, self.points.get(step))
        else:
            self.decision = self._alone(self._policy)
        if self.decision.stop and not (before and before.stop):
            why = f"{self.decision.reason} ({self.decision.detail})"
            _log.warning("%s: stops at %g of %g: %s", self.monitor, step, policy.horizon, why)
        return self.decision

    def finish(self) -> None:
        """Tells the stopper that the run is over."""
        if self.going and self.decision is not None and self._stopper is not None:
            self._stopper.finish(self.trial)
        self.going = False

    @property
    def _beside(self) -> Stopper:
        """The stopper that knows the other runs."""
        assert self._stopper is not None
        return self._stopper

    def _alone(self, policy: Policy) -> Decision:
        """The decision about a run that is judged alone; once it was to stop, it stays so."""
        policy = replace(policy, metric=self._named())
        decision = policy.decide(self.points, self.points.values(), Rivals())
        if decision.stop and self._given_up is None:
            self._given_up = GivenUp(max(self.points), None, audited=False)
        return after(self._given_up, decision)

    def missing(self, names: Iterable[str]) -> NoReturn:
        """Raises ValueError because the monitor is not among the names."""
        raise ValueError(f"monitor must name a metric that is logged, got {self.monitor!r} of {sorted(names)}")

    def _named(self) -> Metric:
        """The metric that was given; or by its name, its values so far, and the direction that the trainer knows."""
        if self._metric is not None:
            return self._metric
        found = metric_named(self.monitor, list(self.points.values()))
        if self._direction is not None and (found is None or found.direction != self._direction):
            return Metric(self._direction)
        if found is None:
            raise ValueError(
                f'the name {self.monitor!r} does not say which direction is better: give metric=Metric("max") or "min"'
            )
        return found
