"""A pruner for Optuna: `optuna.create_study(pruner=LearningCurvePruner(horizon=50, ...))`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lcpfn.metric import Metric
from lcpfn.stopping import Audit, Decision, Policy, Rivals
from lcpfn.stopping.audit import Auditor, after
from lcpfn.stopping.state import Doom, Trial

try:
    from optuna.pruners import BasePruner
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    raise ImportError("lcpfn.integrations.optuna needs Optuna: install this project with '.[optuna]'") from error

__all__ = ["LearningCurvePruner"]

GIVEN_UP = "lcpfn:given_up"  # system attribute of a trial, where trials are audited


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
        audit: share of the trials to be pruned that are let go on, so that `report` can say how often pruning is wrong.
            A trial that was given up, audited or not, has a system attribute that says so.
        seed: of the choice of those, which depends on the trial's number alone.
        **policy: other fields of `lcpfn.stopping.policy.Policy`: level, rule, min_delta, every and so on.

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

    def __init__(
        self,
        *,
        horizon: float,
        first_step: int = 0,
        metric: Metric | None = None,
        audit: float = 0.0,
        seed: int = 0,
        **policy: Any,
    ) -> None:
        self._options = {"horizon": horizon, "first_step": first_step, **policy}
        self._metric, self._share, self._seed = metric, audit, seed
        self._bests: dict[tuple[str, int], float] = {}  # of trials that are over: they do not change any more
        self._auditor(metric)  # its errors belong here, not into a running trial

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to prune; called by `trial.should_prune()`."""
        return self.decide(study, trial).stop

    def decide(self, study: Study, trial: FrozenTrial) -> Decision:
        """The decision with its reasons, as of `lcpfn.stopping.Stopper.update`; `study.trials[i]` is a trial."""
        auditor, values = self._auditor(self._metric_of(study)), trial.intermediate_values
        others = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number]
        rivals = self._rivals(study, others, auditor.policy)
        decision = auditor.policy.decide(list(values), list(values.values()), rivals)
        if not auditor.share:
            return decision
        doom = _doom(trial)
        if doom is None and decision.stop:
            doom = auditor.doom(str(trial.number), max(values), decision)
            if not trial.state.is_finished():
                study._storage.set_trial_system_attr(trial._trial_id, GIVEN_UP, asdict(doom))
        return after(doom, decision)

    def report(self, study: Study) -> Audit:
        """How often pruning was wrong, from the audited trials, as of `lcpfn.stopping.Stopper.report`.

        What a trial that was never given up had to beat, is told by the times at which trials were over.

        Raises:
            ValueError: if nothing is audited.
        """
        auditor, trials = self._auditor(self._metric_of(study)), []
        over = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        over.sort(key=lambda each: (each.datetime_complete, each.number))
        for i, each in enumerate(over):
            doom, best = _doom(each), self._best(study, each, auditor.policy)
            if doom or each.state is TrialState.COMPLETE:  # else something else pruned it
                trial = Trial({} if best is None else {0.0: best}, over=True, doom=doom)
                trial.won = auditor.won(trial, self._rivals(study, over[:i], auditor.policy))
                trials.append(trial)
        return auditor.report(trials)

    def _auditor(self, metric: Metric | None) -> Auditor:
        return Auditor(Policy(metric=metric, **self._options), self._share, self._seed)

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

    def _rivals(self, study: Study, others: list[FrozenTrial], policy: Policy) -> Rivals:
        """What the study's storage knows of other trials."""
        bests = [(each.state is TrialState.COMPLETE, self._best(study, each, policy)) for each in others]
        return Rivals(
            finished=tuple(best for complete, best in bests if complete and best is not None),
            concluded=sum(each.state in (TrialState.COMPLETE, TrialState.PRUNED) for each in others),
            running=tuple(best for complete, best in bests if not complete and best is not None),
        )

    def _best(self, study: Study, trial: FrozenTrial, policy: Policy) -> float | None:
        """The best of a trial's reports, else its final value."""
        key = (study.study_name, trial.number)
        if (best := self._bests.get(key)) is None:
            best = policy.best_of(list(trial.intermediate_values.values()))
            if best is None and trial.state is TrialState.COMPLETE:
                best = policy.best_of(trial.values)
            if best is not None and trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                self._bests[key] = best
        return best


def _doom(trial: FrozenTrial) -> Doom | None:
    """The moment at which a trial was given up; one that is retried from its start has not reached it."""
    record = trial.system_attrs.get(GIVEN_UP)
    return Doom(**record) if record is not None and record["step"] in trial.intermediate_values else None
