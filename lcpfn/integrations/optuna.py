"""A pruner for Optuna: `optuna.create_study(pruner=LearningCurvePruner(horizon=50, ...))`."""

from __future__ import annotations

from typing import Any

from lcpfn.metric import Metric
from lcpfn.stopping import Decision, Policy, Rivals

try:
    from optuna.pruners import BasePruner
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    raise ImportError("lcpfn.integrations.optuna needs Optuna: install this project with '.[optuna]'") from error

__all__ = ["LearningCurvePruner"]


class LearningCurvePruner(BasePruner):
    """Prunes a trial that is unlikely to beat the best completed one within its horizon.

    The study's storage is all that it knows: threads, processes and restarts need nothing else, and the pruner pickles
    without weights. Trials count against others by their best intermediate value, by their final one where they
    reported none; only COMPLETE trials are to be beaten. Reports may come in any order and with gaps. A report that
    is not finite prunes the trial.

    Args:
        horizon: number of steps of a whole trial, in the unit of `trial.report(value, step)`.
        first_step: the step of a trial's first report.
        metric: direction and bounds of what is reported; by default the study's direction, without bounds.
        **policy: other fields of `lcpfn.stopping_policy.Policy`: level, rule, min_delta, every and so on.

    Raises:
        ValueError: from `prune`, if the study has several objectives, or another direction than the metric.

    Example:
        >>> import lcpfn, optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> def objective(trial):
        ...     top = trial.suggest_float("top", 0.3, 0.9)
        ...     for epoch in range(50):
        ...         accuracy = top - 0.3 / (epoch + 1)
        ...         trial.report(accuracy, epoch)
        ...         if trial.should_prune():
        ...             raise optuna.TrialPruned
        ...     return accuracy
        >>> pruner = LearningCurvePruner(horizon=50, metric=lcpfn.Metric("max", bounds=(0, 1)))
        >>> sampler = optuna.samplers.RandomSampler(seed=1)
        >>> study = optuna.create_study(direction="maximize", pruner=pruner, sampler=sampler)
        >>> study.optimize(objective, n_trials=10)
        >>> sum(trial.state.name == "PRUNED" for trial in study.trials) > 3
        True
    """

    def __init__(self, *, horizon: float, first_step: int = 0, metric: Metric | None = None, **policy: Any) -> None:
        self._options = {"horizon": horizon, "first_step": first_step, **policy}
        self._metric = metric
        self._bests: dict[tuple[str, int], float] = {}  # of trials that are over: they do not change any more
        Policy(metric=metric, **self._options)  # its errors belong here, not into a running trial

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to prune; called by `trial.should_prune()`."""
        return self.decide(study, trial).stop

    def decide(self, study: Study, trial: FrozenTrial) -> Decision:
        """The decision with its reasons, as of `lcpfn.stopping.Stopper.update`; `study.trials[i]` is a trial."""
        policy = Policy(metric=self._metric_of(study), **self._options)
        values = trial.intermediate_values
        return policy.decide(list(values), list(values.values()), self._rivals(study, trial, policy))

    def _metric_of(self, study: Study) -> Metric:
        if len(study.directions) != 1:
            raise ValueError(
                f"pruning needs a study with one objective, got {len(study.directions)}; give such a study no pruner"
            )
        direction = "max" if study.direction is StudyDirection.MAXIMIZE else "min"
        if self._metric is None:
            return Metric(direction)
        if self._metric.direction != direction:
            raise ValueError(
                f'the metric must have the direction of the study, "{direction}", got "{self._metric.direction}"; '
                "what is reported and what is returned must both be better in the same direction"
            )
        return self._metric

    def _rivals(self, study: Study, trial: FrozenTrial, policy: Policy) -> Rivals:
        """What the study's storage knows of the other trials."""
        finished: list[float] = []
        running: list[float] = []
        concluded = 0
        for other in study.get_trials(deepcopy=False):
            if other.number == trial.number:
                continue
            key, over = (study.study_name, other.number), other.state in (TrialState.COMPLETE, TrialState.PRUNED)
            if (best := self._bests.get(key)) is None:
                best = policy.best_of(list(other.intermediate_values.values()))
                if best is None and other.state is TrialState.COMPLETE:
                    best = policy.best_of(other.values)
                if over and best is not None:
                    self._bests[key] = best
            concluded += over
            if best is not None:
                (finished if other.state is TrialState.COMPLETE else running).append(best)
        return Rivals(finished=tuple(finished), concluded=concluded, running=tuple(running))
