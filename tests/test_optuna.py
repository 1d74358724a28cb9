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


@pytest.mark.parametrize("sign", [1, -1], ids=["maximize", "minimize"])
@pytest.mark.parametrize("fluke", [0.95, 1.0])
def test_a_fluke_of_a_trial_that_returns_its_last_value_prunes_nobody(fluke: float, sign: int) -> None:
    """The study ranks by what is returned, so that is what has to be beaten, and what is forecast."""
    tops = [0.6, 0.8, 0.85, 0.7, 0.75, 0.9, 0.65, 0.88]

    def run(asked: Any) -> float:
        for epoch in range(50):
            y = fluke if (asked.number, epoch) == (0, 2) else tops[asked.number] - 0.3 / (epoch + 1)
            asked.report(y if sign > 0 else 1 - y, epoch)
            if asked.should_prune():
                raise optuna.TrialPruned
        return y if sign > 0 else 1 - y

    metric = Metric("max" if sign > 0 else "min", bounds=(0, 1))
    done = optuna.create_study(
        direction="maximize" if sign > 0 else "minimize", pruner=pruner(metric=metric, horizon=50)
    )
    done.optimize(run, n_trials=len(tops))
    best = done.best_value if sign > 0 else 1 - done.best_value
    assert best == pytest.approx(0.894)
    assert any(each.state is TrialState.PRUNED for each in done.trials)
    decision = done.pruner.decide(done, done.trials[3])
    assert decision.incumbent == pytest.approx(done.best_value)
    assert "judged by its last value" in decision.card()


def test_what_is_forecast_is_what_completed_trials_returned() -> None:
    noisy = {**values(0.9), EPOCHS - 1: 0.5}
    for returned, target in ((0.5, "last"), (max(noisy.values()), "best"), (0.52, "last")):
        of = study(trial(noisy, state=TrialState.COMPLETE, value=returned), trial(values(0.4, points=6)))
        decision = pruner().decide(of, of.get_trials()[-1])
        assert decision.run is not None and decision.run.target == target
        assert f"judged by its {target} value" in decision.card()
    decision = pruner(target="best").decide(of, of.get_trials()[-1])
    assert decision.run is not None and decision.run.target == "best" and "judged by" not in decision.card()


def test_one_pruner_for_two_studies_of_one_name(tmp_path: Path) -> None:
    """In storages of their own, or one deleted and made again: nothing of the first is met in the second."""
    made = pruner()
    for storage in (None, f"sqlite:///{tmp_path}/s.db"):
        for top in (0.95, 0.55):
            of = optuna.create_study(study_name="search", storage=storage, direction="maximize", pruner=made)
            for _ in range(3):
                of.add_trial(complete(top))
            of.add_trial(trial(values(0.4, points=10)))
            decision = made.decide(of, of.get_trials()[-1])
            assert decision.incumbent == pytest.approx(curve(top)[-1])
            if storage is not None:
                optuna.delete_study(study_name="search", storage=storage)


def test_a_reward_that_is_nan_until_the_first_episode_ends() -> None:
    def run(asked: Any) -> float:
        top = asked.suggest_float("top", 20, 300)
        for epoch in range(EPOCHS):
            asked.report(math.nan if epoch < 2 else top * (1 - 0.85**epoch), epoch)
            if asked.should_prune():
                assert len(asked.study.trials[asked.number].intermediate_values) > 3
                raise optuna.TrialPruned
        return float(top)

    sampler = optuna.samplers.RandomSampler(seed=1)
    done = optuna.create_study(direction="maximize", pruner=pruner(metric=None), sampler=sampler)
    done.optimize(run, n_trials=8)
    assert {each.state for each in done.trials} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_a_horizon_in_another_unit_is_said_once() -> None:
    late, made = {100 * step: y for step, y in values(0.5).items()}, pruner()
    with pytest.warns(UserWarning, match="horizon=30 may be in another unit than the steps, since a run .* step 2900"):
        prunes(made, study(complete(0.9)), late)
    assert not prunes(made, study(complete(0.9)), late)  # warnings are errors here: it is not said again
    with pytest.warns(UserWarning, match="horizon=3000 may be .* a run ended at step 29: nothing is stopped past"):
        prunes(pruner(horizon=3000), study(complete(0.9)), values(0.5, points=3))


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
    of = study(trial({0: 0.1, 8: math.nan, 9: 0.9}, state=TrialState.COMPLETE, value=0.9))
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
