"""The pruner in real studies, with toy objectives."""

from __future__ import annotations

import importlib.util
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lcpfn.metric import Metric
from lcpfn.stopping import Best

optuna = pytest.importorskip("optuna")
from optuna.trial import TrialState, create_trial  # noqa: E402

from lcpfn.integrations.optuna import LearningCurvePruner  # noqa: E402

UNIT = Metric("max", bounds=(0, 1))
EPOCHS = 30
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def curve(top: float) -> list[float]:
    return [top - 0.4 / epoch for epoch in range(1, EPOCHS + 1)]


def values(top: float, *, points: int = EPOCHS, first: int = 0) -> dict[int, float]:
    return dict(enumerate(curve(top)[:points], first))


def pruner(**options: Any) -> LearningCurvePruner:
    return LearningCurvePruner(**{"horizon": EPOCHS, "metric": UNIT, **options})


def trial(reports: Mapping[int, float], *, state: Any = TrialState.RUNNING, value: float | None = None) -> Any:
    return create_trial(state=state, value=value, intermediate_values=dict(reports), params={}, distributions={})


def study(*trials: Any, direction: str = "maximize") -> Any:
    made = optuna.create_study(direction=direction)
    made.add_trials(trials)
    return made


def complete(top: float) -> Any:
    return trial(values(top), state=TrialState.COMPLETE, value=curve(top)[-1])


def prunes(made: LearningCurvePruner, of: Any, reports: Mapping[int, float]) -> bool:
    of.add_trial(trial(reports))
    return made.prune(of, of.get_trials()[-1])


def objective(sign: int = 1) -> Callable[[Any], float]:
    def run(asked: Any) -> float:
        top = asked.suggest_float("top", 0.45, 0.9)
        for epoch, y in enumerate(curve(top)):
            value = y if sign > 0 else 1 - y
            asked.report(value, epoch)
            if asked.should_prune():
                raise optuna.TrialPruned
        return value

    return run


def optimized(direction: str, made: Any, *, n: int = 12, jobs: int = 1) -> Any:
    done = optuna.create_study(direction=direction, pruner=made, sampler=optuna.samplers.RandomSampler(seed=4))
    done.optimize(objective(1 if direction == "maximize" else -1), n_trials=n, n_jobs=jobs)
    return done


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_bad_trials_are_pruned_and_the_best_is_found(direction: str) -> None:
    metric = UNIT if direction == "maximize" else Metric("min", bounds=(0, 1))
    pruned = optimized(direction, pruner(metric=metric))
    whole = optimized(direction, optuna.pruners.NopPruner())
    assert pruned.best_params == whole.best_params
    reports = [sum(len(each.intermediate_values) for each in done.trials) for done in (pruned, whole)]
    assert reports[0] < 0.7 * reports[1]
    assert {each.state for each in pruned.trials} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_both_directions_decide_alike() -> None:
    states = [
        [each.state for each in optimized(direction, pruner(metric=Metric(short, bounds=(0, 1)))).trials]
        for direction, short in (("maximize", "max"), ("minimize", "min"))
    ]
    assert states[0] == states[1]


def test_threads() -> None:
    done = optimized("maximize", pruner(), jobs=3)
    assert len(done.trials) == 12
    assert not [each for each in done.trials if not each.state.is_finished()]


def test_only_complete_trials_are_to_be_beaten() -> None:
    for state in (TrialState.RUNNING, TrialState.PRUNED, TrialState.FAIL):
        assert not prunes(pruner(), study(trial(values(0.9), state=state)), values(0.5, points=10))
    assert prunes(pruner(), study(complete(0.9)), values(0.5, points=10))


def test_a_complete_trial_without_reports_counts_by_its_value() -> None:
    silent = trial({}, state=TrialState.COMPLETE, value=0.89)
    assert prunes(pruner(), study(silent), values(0.5, points=10))


def test_the_more_trials_are_over_the_more_it_takes() -> None:
    """Whether a trial that is beaten was pruned or not, it makes a win less likely, so winners are guarded more."""
    few, many = (
        study(complete(0.9)),
        study(complete(0.9), *[trial(values(0.4, points=3), state=TrialState.PRUNED)] * 99),
    )
    thresholds = []
    for of in (few, many):
        of.add_trial(trial(values(0.5, points=10)))
        decision = pruner(rule=Best(start="higher")).decide(of, of.get_trials()[-1])
        assert decision.verdict is not None
        thresholds.append(decision.verdict.threshold)
    assert thresholds[0] > 5 * thresholds[1] > 0


def test_order_and_gaps_of_reports() -> None:
    of, reports = study(complete(0.9)), values(0.5, points=12)
    decisions = []
    for some in (reports, dict(reversed(reports.items()))):
        of.add_trial(trial(some))
        decisions.append(pruner().decide(of, of.get_trials()[-1]))
    assert decisions[0] == decisions[1]
    sparse = {step: y for step, y in reports.items() if step in (0, 3, 4, 9, 11)}
    assert prunes(pruner(rule=Best(start="higher")), of, sparse)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_reports_that_are_not_finite(value: float) -> None:
    for good in (study(), study(complete(0.5))):
        assert prunes(pruner(), good, {0: 0.8, 1: value})
        assert not prunes(pruner(nan="skip"), good, {0: 0.8, 1: value})
    of = study(trial({0: 0.1, 1: math.nan, 2: 0.9}, state=TrialState.COMPLETE, value=0.9))
    assert prunes(pruner(), of, values(0.5, points=10))  # in others they are left out


def test_a_trial_without_reports_goes_on() -> None:
    assert not prunes(pruner(), study(complete(0.9)), {})


@pytest.mark.parametrize(("start", "stops"), [("own", [10, 15]), ("higher", [5, 10, 15])])
def test_every_so_many_reports(start: str, stops: list[int]) -> None:
    of = study(complete(0.9))
    assert [
        n for n in range(1, 18) if prunes(pruner(every=5, rule=Best(start=start)), of, values(0.5, points=n))
    ] == stops


def test_steps_from_one() -> None:
    of = study(complete(0.9))
    assert prunes(pruner(first_step=1), of, values(0.5, points=10, first=1))
    with pytest.raises(ValueError, match="give first_step=0"):
        prunes(pruner(first_step=1), of, values(0.5, points=10))
    assert not prunes(pruner(), of, values(0.5, points=10, first=EPOCHS))  # past the horizon


def test_a_direction_that_contradicts_the_study() -> None:
    with pytest.raises(ValueError, match='must have the direction of the study, "min", got "max"'):
        prunes(pruner(), study(direction="minimize"), values(0.5, points=10))


def test_a_study_with_two_objectives() -> None:
    of = optuna.create_study(directions=["maximize", "minimize"])
    with pytest.raises(ValueError, match="pruning needs a study with one objective, got 2"):
        pruner().prune(of, trial(values(0.5)))


def test_percentages_by_mistake() -> None:
    with pytest.raises(ValueError, match="divide percentages by 100"):
        prunes(pruner(), study(complete(0.9)), {0: 55.0, 1: 60.0})


def test_options_are_checked_at_once() -> None:
    with pytest.raises(ValueError, match="horizon must be"):
        pruner(horizon=1)
    with pytest.raises(TypeError, match="LearningCurvePruner takes no argument 'n_startup_trials'; it takes horizon,"):
        pruner(n_startup_trials=3)


def test_the_pruner_pickles_without_weights() -> None:
    made, of = pruner(), study(complete(0.9))
    assert prunes(made, of, values(0.5, points=10))  # weights are in memory now
    text = pickle.dumps(made)
    assert len(text) < 2000
    assert prunes(pickle.loads(text), of, values(0.5, points=10))


WORKER = """
import sys, optuna, lcpfn
from lcpfn.integrations.optuna import LearningCurvePruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.WARNING)
pruner = LearningCurvePruner(horizon=30, metric=lcpfn.Metric("max", bounds=(0, 1)))
study = optuna.load_study(
    study_name="shared", storage=JournalStorage(JournalFileBackend(sys.argv[1])), pruner=pruner,
    sampler=optuna.samplers.RandomSampler(seed=int(sys.argv[2])),
)

def objective(trial):
    top = trial.suggest_float("top", 0.45, 0.9)
    for epoch in range(30):
        value = top - 0.4 / (epoch + 1)
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value

study.optimize(objective, n_trials=8)
"""


def test_two_processes_on_one_journal(tmp_path: Path) -> None:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = tmp_path / "journal.log"
    shared = optuna.create_study(
        study_name="shared", storage=JournalStorage(JournalFileBackend(str(path))), direction="maximize"
    )
    shared.add_trial(complete(0.7))  # both processes know it from the storage alone
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(path), str(seed)], stderr=subprocess.PIPE, cwd=tmp_path)
        for seed in (1, 2)
    ]
    errors = [worker.communicate(timeout=120)[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    trials = shared.get_trials()
    assert len(trials) == 17
    assert {each.state for each in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    winners = [each for each in trials if each.params and each.params["top"] > 0.7]
    assert winners
    best = max(winners, key=lambda each: each.params["top"])
    assert best.state is TrialState.COMPLETE


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("optuna_pruner", ROOT / "examples" / "optuna_pruner.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr(example, "TRIALS", 6)
    example.main()
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(":")[0].strip() for row in rows] == ["no pruning", "median", "learning curves"]
    epochs = [int(row.split()[-2]) for row in rows]
    assert epochs[0] == 6 * example.EPOCHS and epochs[2] < epochs[0]
