"""A pruner for Optuna: `optuna.create_study(pruner=LearningCurvePruner(horizon=50, ...))`."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, replace
from itertools import islice

from lcpfn.engine import Engine
from lcpfn.metric import Metric
from lcpfn.stopping import Audit, Decision, Policy, Rivals
from lcpfn.stopping.audit import Auditor, after
from lcpfn.stopping.best import DEFAULT
from lcpfn.stopping.options import Alarm, NotFinite
from lcpfn.stopping.question import Target
from lcpfn.stopping.rule import Rule
from lcpfn.stopping.spelling import spelled
from lcpfn.stopping.state import GivenUp, Trial

try:
    from optuna.pruners import BasePruner
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    raise ImportError("lcpfn.integrations.optuna needs Optuna: install this project with '.[optuna]'") from error

__all__ = ["LearningCurvePruner"]

RECENT = 50  # completed trials that tell what the objective returns
GIVEN_UP = "lcpfn:given_up"  # system attribute of a trial, where trials are audited


@spelled
class LearningCurvePruner(BasePruner):
    """Prunes a trial that is unlikely to beat the best completed one within its horizon.

    The study's storage is all that it knows: threads, processes and restarts need nothing else, and the pruner pickles
    without weights. A trial that is COMPLETE counts by the value that it returned, and only such trials are to be
    beaten. What is forecast of a running trial is what the objective returns, as far as completed trials tell: the last
    report or the best one; `target` says which where they do not. Reports may come in any order and with gaps. NaN
    before the first finite report is no measurement; a report that is not finite after it prunes the trial.

    Args:
        horizon: number of steps of a whole trial, in the unit of `trial.report(value, step)`.
        rule: of `lcpfn.stopping`, as for `lcpfn.stopping.Stopper`.
        metric: direction and bounds of what is reported; by default the study's direction, without bounds.
        target: what the objective returns, "last" or "best" of what it reports; by default whatever the values of
            completed trials are nearer to, "best" if both are as near.
        engine: as for `lcpfn.stopping.Policy`.
        min_points: as for `lcpfn.stopping.Policy`.
        every: as for `lcpfn.stopping.Policy`.
        first_step: the step of a trial's first report.
        nan: as for `lcpfn.stopping.Policy`.
        alarm: as for `lcpfn.stopping.Policy`.
        stretch_time: as for `lcpfn.stopping.Policy`.
        audit: share of the trials to be pruned that are let go on, so that `report` can say how often pruning is wrong.
            A trial that was given up, audited or not, has a system attribute that says so.
        seed: of the choice of those, which depends on the trial's number alone.

    Raises:
        ValueError: from `prune`, if the study has several objectives, or another direction than the metric.
        TypeError: if an argument is unknown.

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
        rule: Rule = DEFAULT,
        metric: Metric | None = None,
        target: Target | None = None,
        engine: str | Engine = "default",
        min_points: int = 2,
        every: int = 1,
        first_step: int = 0,
        nan: NotFinite = "stop",
        alarm: Alarm = "surprise",
        stretch_time: bool = False,
        audit: float = 0.0,
        seed: int = 0,
    ) -> None:
        policy = Policy(
            horizon=horizon,
            rule=rule,
            metric=metric,
            engine=engine,
            min_points=min_points,
            every=every,
            first_step=first_step,
            nan=nan,
            alarm=alarm,
            target=target or "best",
            stretch_time=stretch_time,
        )
        self._auditor = Auditor(policy, audit, seed)
        self._target = target
        self._warned = False

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to prune; called by `trial.should_prune()`."""
        return self.decide(study, trial).stop

    def decide(self, study: Study, trial: FrozenTrial) -> Decision:
        """The decision with its reasons, as of `lcpfn.stopping.Stopper.update`; `study.trials[i]` is a trial."""
        others = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number]
        auditor, values = self._auditor_of(study, others), trial.intermediate_values
        decision = auditor.policy.decide(list(values), list(values.values()), _rivals(others, auditor.policy))
        self._doubt(trial, others)
        if self._target is None and decision.run is not None:
            notice = f"judged by its {auditor.policy.target} value, which completed trials returned"
            decision = replace(decision, notices=(*decision.notices, notice))
        if not auditor.share:
            return decision
        past = _given_up(trial)
        if past is None and decision.stop:
            past = auditor.given_up(str(trial.number), max(values), decision)
            if not trial.state.is_finished():
                study._storage.set_trial_system_attr(trial._trial_id, GIVEN_UP, asdict(past))
        return after(past, decision)

    def report(self, study: Study) -> Audit:
        """How often pruning was wrong, from the audited trials, as of `lcpfn.stopping.Stopper.report`.

        What a trial that was never given up had to beat, is told by the times at which trials were over.

        Raises:
            ValueError: if nothing is audited.
        """
        over, trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)), []
        over.sort(key=lambda each: (each.datetime_complete, each.number))
        auditor = self._auditor_of(study, over)
        for i, each in enumerate(over):
            past, end = _given_up(each), _standing(each, auditor.policy)
            if past or each.state is TrialState.COMPLETE:  # else something else pruned it
                trial = Trial({} if end is None else {0.0: end}, over=True, given_up=past)
                trials.append(replace(trial, won=auditor.won(trial, _rivals(over[:i], auditor.policy))))
        return auditor.report(trials)

    def _doubt(self, trial: FrozenTrial, others: list[FrozenTrial]) -> None:
        """Warns, once, where the horizon may be in another unit than the steps."""
        if self._warned:
            return
        ends = [max(each.intermediate_values) for each in _recent(others)]
        found = [self._auditor.policy.doubt(max(ends), over=True)] if ends else []
        if trial.intermediate_values:
            found.append(self._auditor.policy.doubt(max(trial.intermediate_values), over=False))
        if (why := next((each for each in found if each is not None), None)) is not None:
            self._warned = True
            warnings.warn(why, stacklevel=4)

    def _auditor_of(self, study: Study, others: list[FrozenTrial]) -> Auditor:
        """The auditor with what the study says: its direction, and what its objective returns."""
        policy = self._auditor.policy
        metric, target = self._metric_of(study), self._target
        if target is None:
            target = _returned(others, metric)
        return replace(self._auditor, policy=replace(policy, metric=metric, target=target))

    def _metric_of(self, study: Study) -> Metric:
        if len(study.directions) != 1:
            raise ValueError(
                f"pruning needs a study with one objective, got {len(study.directions)}; give such a study no pruner"
            )
        direction = "max" if study.direction is StudyDirection.MAXIMIZE else "min"
        given = self._auditor.policy.metric
        if given is None:
            return Metric(direction)
        if given.direction != direction:
            raise ValueError(
                f'the metric must have the direction of the study, "{direction}", got "{given.direction}"; '
                "what is reported and what is returned must both be better in the same direction"
            )
        return given


def _recent(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The latest trials that were trained to their end and reported on the way; few, as each report asks for them."""
    found = (each for each in reversed(trials) if each.state is TrialState.COMPLETE)
    return list(islice((each for each in found if len(each.intermediate_values) > 1), RECENT))


def _rivals(others: list[FrozenTrial], policy: Policy) -> Rivals:
    """What the study's storage knows of other trials."""
    ends = [(each.state is TrialState.COMPLETE, _standing(each, policy)) for each in others]
    return Rivals(
        finished=tuple(end for complete, end in ends if complete and end is not None),
        concluded=sum(each.state in (TrialState.COMPLETE, TrialState.PRUNED) for each in others),
        running=tuple(end for complete, end in ends if not complete and end is not None),
    )


def _standing(trial: FrozenTrial, policy: Policy) -> float | None:
    """What a trial counts by: the value that it returned, for the study ranks it by that; else what it reported."""
    if trial.state is TrialState.COMPLETE:
        return None if trial.values is None else float(trial.values[0])
    return policy.standing(trial.intermediate_values)


def _returned(trials: list[FrozenTrial], metric: Metric) -> Target:
    """Whether the objective returns the best or the last of what it reports, by the trials that completed."""
    from_best = from_last = 0.0
    for each in _recent(trials):
        reports = {step: y for step, y in each.intermediate_values.items() if math.isfinite(y)}
        if reports and each.values is not None:
            from_best += abs(each.values[0] - metric.sign * max(metric.sign * y for y in reports.values()))
            from_last += abs(each.values[0] - reports[max(reports)])
    return "last" if from_last < from_best else "best"


def _given_up(trial: FrozenTrial) -> GivenUp | None:
    """The moment at which a trial was given up; one that is retried from its start has not reached it."""
    record = trial.system_attrs.get(GIVEN_UP)
    return GivenUp(**record) if record is not None and record["step"] in trial.intermediate_values else None
