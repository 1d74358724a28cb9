"""The audit of the pruner: some hopeless trials go on, the study's storage knows which, and a report counts them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcpfn.metric import Metric
from lcpfn.stopping import Converged, Stopper

optuna = pytest.importorskip("optuna")
from optuna.storages import JournalStorage  # noqa: E402
from optuna.storages.journal import JournalFileBackend  # noqa: E402
from optuna.trial import TrialState, create_trial  # noqa: E402

from lcpfn.integrations.optuna import GIVEN_UP, LearningCurvePruner  # noqa: E402

EPOCHS, TRIALS = 12, 24
BOUNDS = (0, 1)


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def pruner(direction: str = "max", **options: Any) -> LearningCurvePruner:
    options = {"horizon": EPOCHS, "metric": Metric(direction, bounds=BOUNDS), "audit": 0.5, "seed": 3, **options}
    return LearningCurvePruner(**options)


def journal(path: Path, direction: str = "maximize", **options: Any) -> Any:
    """The study in this file, through a storage object of its own, as another process has one."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(storage=storage, study_name="s", direction=direction, load_if_exists=True, **options)


def curve(top: float, epoch: int, *, late: bool) -> float:
    """Rising to the top; a late one looks hopeless first."""
    return 0.5 + 0.5 * top if late and epoch == EPOCHS - 1 else top * (0.5 if late else 1) - 0.2 / (epoch + 1)


def objective(stopper: Stopper, sign: int, seen: list[tuple[bool, bool]]) -> Callable[[Any], float]:
    """Asks the pruner and a stopper without a framework the same questions, and notes both answers."""

    def run(trial: Any) -> float:
        top, late = trial.suggest_float("top", 0.5, 0.95), trial.suggest_categorical("late", [False, False, True])
        for epoch in range(EPOCHS):
            y = curve(top, epoch, late=late)
            y = y if sign > 0 else 1 - y
            trial.report(y, epoch)
            seen.append((trial.should_prune(), stopper.update(trial.number, epoch, y).stop))
            if seen[-1][0]:
                stopper.finish(trial.number)
                raise optuna.TrialPruned
        stopper.finish(trial.number)
        return y

    return run


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_decisions_and_report_are_those_of_a_stopper_without_a_framework(direction: str, tmp_path: Path) -> None:
    short = direction[:3]
    stopper = Stopper(horizon=EPOCHS, first_step=0, metric=Metric(short, bounds=BOUNDS), audit=0.5, seed=3)
    study = journal(
        tmp_path / "journal", direction, pruner=pruner(short), sampler=optuna.samplers.RandomSampler(seed=1)
    )
    seen: list[tuple[bool, bool]] = []
    study.optimize(objective(stopper, 1 if short == "max" else -1, seen), n_trials=TRIALS)
    assert [mine for mine, _ in seen] == [other for _, other in seen]
    elsewhere = journal(tmp_path / "journal", direction)  # all that is known is in the file
    report = pruner(short).report(elsewhere)
    assert report == stopper.report()
    assert report.given_up > report.audited > report.wrong > 0 and report.winners > report.wrong
    states = {each.number: each.state for each in elsewhere.trials}
    given_up = {each.number: each.system_attrs[GIVEN_UP] for each in elsewhere.trials if GIVEN_UP in each.system_attrs}
    assert len(given_up) == report.given_up
    for number, record in given_up.items():
        assert states[number] is (TrialState.COMPLETE if record["audited"] else TrialState.PRUNED)


def study_with_a_good_trial(**options: Any) -> Any:
    made = optuna.create_study(direction="maximize", **options)
    good = {epoch: 0.9 - 0.2 / (epoch + 1) for epoch in range(EPOCHS)}
    made.add_trial(create_trial(state=TrialState.COMPLETE, value=0.89, intermediate_values=good))
    return made


def run(made: LearningCurvePruner, study: Any, *values: float) -> list[bool]:
    """What the pruner says after each report of a new trial."""
    study.add_trial(create_trial(state=TrialState.RUNNING))
    number, answers = len(study.trials) - 1, []
    for step, value in enumerate(values):
        trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
        study._storage.set_trial_intermediate_value(trial_id, step, value)
        answers.append(made.prune(study, study.trials[number]))
    return answers


BAD = [0.5 - 0.3 / t for t in range(1, EPOCHS)]


def test_the_choice_is_of_number_and_seed_alone() -> None:
    def gone_on(seed: int) -> list[bool]:
        study = study_with_a_good_trial()
        return [not any(run(pruner(seed=seed), study, *BAD)) for _ in range(16)]

    assert gone_on(3) == gone_on(3) != gone_on(4)
    assert 2 < sum(gone_on(3)) < 14


def test_a_trial_that_was_given_up_stays_so() -> None:
    study = study_with_a_good_trial()
    answers = run(pruner(audit=1e-9), study, *BAD[:-1], 0.95)  # it ignores the pruner, and would win in the end
    assert any(answers) and all(answers[answers.index(True) :])
    assert pruner(audit=1e-9).decide(study, study.trials[-1]).reason == "stopped before"


def test_divergence_is_never_audited() -> None:
    study = study_with_a_good_trial()
    for _ in range(8):
        assert run(pruner(audit=0.9), study, 0.5, math.nan) == [False, True]
    assert pruner(audit=0.9).report(study).given_up == 0


def test_trials_that_are_over_can_be_asked_about() -> None:
    """Storages refuse to write to them."""
    study = study_with_a_good_trial()
    reports = dict(enumerate(BAD))
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values=reports))
    assert pruner().decide(study, study.trials[-1]).reason in ("hopeless", "audit")
    assert GIVEN_UP not in study.trials[-1].system_attrs
    assert pruner().report(study).given_up == 0  # something else pruned it


def test_a_retried_trial_is_judged_afresh() -> None:
    """Optuna's retries copy the system attributes of the trial that failed."""
    study = study_with_a_good_trial()
    run(pruner(audit=1e-9), study, *BAD)
    first = study.trials[-1]
    assert GIVEN_UP in first.system_attrs
    again = create_trial(state=TrialState.RUNNING, system_attrs=first.system_attrs, intermediate_values={0: BAD[0]})
    study.add_trial(again)
    assert not pruner(audit=1e-9).prune(study, study.trials[-1])


def test_nothing_is_written_without_an_audit() -> None:
    study = study_with_a_good_trial()
    assert any(run(pruner(audit=0), study, *BAD))
    assert GIVEN_UP not in study.trials[-1].system_attrs
    with pytest.raises(ValueError, match=r"give audit=0\.05"):
        pruner(audit=0).report(study)


def test_an_audit_that_means_nothing_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="audit must be a share"):
        pruner(audit=5)
    with pytest.raises(ValueError, match="audit compares with an incumbent"):
        pruner(rule=Converged(min_delta=0.1))


def test_texts_and_nothing_never_reach_the_pruner() -> None:
    """Optuna refuses them; numbers as text it takes for numbers."""
    study = study_with_a_good_trial(pruner=pruner())
    trial = study.ask()
    for value in ("high", None):
        with pytest.raises(TypeError, match="supposed to be"):
            trial.report(value, 0)
    with pytest.raises(ValueError, match="must be non-negative"):
        trial.report(0.5, -1)
    trial.report("0.5", 0)
    assert not trial.should_prune()
