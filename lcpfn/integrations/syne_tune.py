"""A scheduler for Syne Tune around another one: `LearningCurveScheduler(RandomSearch(...), max_t=50, ...)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from lcpfn.metric import Metric
from lcpfn.stopping import Stopper
from lcpfn.stopping.options import Comparing
from lcpfn.stopping.spelling import spelled

try:
    from syne_tune.backend.trial_status import Trial
    from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler, TrialSuggestion
except ImportError as error:
    raise ImportError("lcpfn.integrations.syne_tune needs it: install this project with '.[syne-tune]'") from error

__all__ = ["LearningCurveScheduler"]


@spelled
class LearningCurveScheduler(TrialScheduler):
    """Stops a trial that is unlikely to beat the best finished one; all else is left to the scheduler inside.

    The scheduler inside suggests configurations, says what is measured and in which direction, sees every result, and
    may stop or pause trials itself; such trials, and those that failed, are no rivals to beat. A trial is finished
    when it completes or reaches max_t, and is not ended there. A value that is NaN or infinite stops a trial.

    `Tuner` saves its scheduler with itself, so an experiment that goes on from `Tuner.load` remembers all of it.

    Args:
        scheduler: one with a single objective, such as those of `syne_tune.optimizer.baselines`.
        max_t: time at which a whole trial ends, in units of time_attr.
        time_attr: name of the reported time, in most scripts "epoch".
        bounds: lowest and highest possible value of the metric, None where there is no such bound.
        **options: others of `lcpfn.stopping.Stopper`: rule, engine, min_points, every, first_step, nan, alarm, target,
            stretch_time, audit and seed.

    Attributes:
        scheduler: as given.
        stopper: the `lcpfn.stopping.Stopper` behind it, with its `incumbent` and `report`.

    Raises:
        ValueError: if the scheduler has several objectives, or a value is out of its range.

    Example:
        >>> from syne_tune import StoppingCriterion, Tuner
        >>> from syne_tune.backend import PythonBackend
        >>> from syne_tune.config_space import uniform
        >>> from syne_tune.optimizer.baselines import RandomSearch
        >>> def train(top):
        ...     from syne_tune import Reporter
        ...     report = Reporter()
        ...     for epoch in range(1, 31):
        ...         report(epoch=epoch, accuracy=top - 0.4 / epoch)
        >>> space, first = {"top": uniform(0.4, 0.9)}, [{"top": 0.9}, {"top": 0.5}]
        >>> search = RandomSearch(space, ["accuracy"], do_minimize=False, random_seed=0, points_to_evaluate=first)
        >>> tuner = Tuner(
        ...     trial_backend=PythonBackend(train, space),
        ...     scheduler=LearningCurveScheduler(search, max_t=30, time_attr="epoch", bounds=(0, 1)),
        ...     stop_criterion=StoppingCriterion(max_num_trials_started=2),
        ...     wait_trial_completion_when_stopping=True,
        ...     n_workers=1,
        ...     sleep_time=0.1,
        ... )
        >>> tuner.run()  # doctest: +ELLIPSIS
        <BLANKLINE>
        ...
        >>> stopper = tuner.scheduler.stopper
        >>> stopper.incumbent.trial, stopper.update(1, 30, 0.48).reason
        ('0', 'stopped before')
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        *,
        max_t: float,
        time_attr: str,
        bounds: tuple[float | None, float | None] = (None, None),
        **options: Unpack[Comparing],
    ) -> None:
        super().__init__(random_seed=scheduler.random_seed)
        names = scheduler.metric_names()
        names = [names] if isinstance(names, str) else names
        if len(names) != 1:
            raise ValueError(f"stopping needs a scheduler with one objective, got {names}; run such a one alone")
        self.scheduler, self._metric, self._time_attr = scheduler, names[0], time_attr
        self.stopper = Stopper(horizon=max_t, metric=Metric(scheduler.metric_mode(), bounds=bounds), **options)

    def suggest(self) -> TrialSuggestion | None:
        """What the scheduler inside suggests."""
        return self.scheduler.suggest()

    def on_trial_add(self, trial: Trial) -> None:
        """Tells the scheduler inside."""
        self.scheduler.on_trial_add(trial)

    def on_trial_result(self, trial: Trial, result: dict[str, Any]) -> str:
        """STOP where the scheduler inside would go on and the trial has no prospects, else what that says.

        Raises:
            ValueError: if the result lacks the metric or the time, or the metric is outside of its bounds.
            TypeError: if one of them is no number.
        """
        decision = str(self.scheduler.on_trial_result(trial, result))
        stop = self._judge(trial, result)
        # One that is paused stays so: the scheduler inside may want to resume it, which stopped trials do not allow.
        return str(SchedulerDecision.STOP) if stop and decision == SchedulerDecision.CONTINUE else decision

    def on_trial_complete(self, trial: Trial, result: dict[str, Any]) -> None:
        """Tells the scheduler inside; the trial's best value counts from now on if it was not to be stopped."""
        self.scheduler.on_trial_complete(trial, result)
        self._judge(trial, result)
        self.stopper.finish(trial.trial_id)

    def on_trial_error(self, trial: Trial) -> None:
        """Tells the scheduler inside."""
        self.scheduler.on_trial_error(trial)

    def on_trial_remove(self, trial: Trial) -> None:
        """Tells the scheduler inside."""
        self.scheduler.on_trial_remove(trial)

    def metric_names(self) -> list[str]:
        """The one name of what is measured."""
        return [self._metric]

    def metric_mode(self) -> str:
        """Its direction: "min" or "max"."""
        return self.stopper.metric.direction

    def metadata(self) -> dict[str, Any]:
        """What Syne Tune writes down about the experiment."""
        return {**self.scheduler.metadata(), "scheduler_name": type(self).__name__}

    def _judge(self, trial: Trial, result: Mapping[str, Any]) -> bool:
        if missing := [name for name in (self._time_attr, self._metric) if name not in result]:
            raise ValueError(f"every result must have {missing[0]!r}, got {sorted(result)}; report it, or name another")
        step, value = result[self._time_attr], result[self._metric]
        stop = self.stopper.update(trial.trial_id, step, value).stop
        if step >= self.stopper.policy.horizon:
            self.stopper.finish(trial.trial_id)
        return stop
