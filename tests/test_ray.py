"""The scheduler and the stopper in real experiments of Ray Tune, with toy objectives."""

from __future__ import annotations

import doctest
import gc
import logging
import math
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loops import example
from trials import BAD, GOOD, feed, stopper

from lcpfn.metric import Metric
from lcpfn.stopping import Stopper

ray = pytest.importorskip("ray", reason="Ray Tune is in an environment of its own, see CONTRIBUTING.md")
from ray import cloudpickle, tune  # noqa: E402
from ray.tune.experiment import Trial  # noqa: E402

import lcpfn.integrations.ray  # noqa: E402
from lcpfn.integrations.ray import STATE, LearningCurveScheduler, LearningCurveStopper  # noqa: E402

pytestmark = pytest.mark.frameworks
EPOCHS = 30
TOPS = [0.8, 0.5, 0.9, 0.6, 0.55, 0.7]


@pytest.fixture(scope="module")
def _cluster() -> Iterator[None]:
    """A cluster of one process that hears this machine alone, and is gone afterwards with its files."""
    folder = tempfile.mkdtemp(prefix="ray-")  # short: the paths of sockets are limited
    settings = {
        "RAY_AIR_NEW_OUTPUT": "0",  # the other one prints tables whatever `verbose` says
        "RAY_AUTH_TOKEN": secrets.token_hex(32),  # else it leaves one in the home folder
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_GLOBAL_CHECKPOINT_S": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        ray.init(
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=100 * 2**20,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        yield
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


class Diary(tune.Callback):
    """Every result in the order in which it came, and an interruption where one is wanted."""

    def __init__(self, *, interrupt_at: tuple[float, int] | None = None) -> None:
        self.results: list[tuple[str, int, float]] = []
        self.interrupt_at = interrupt_at

    def __getstate__(self) -> dict[str, Any]:
        return {"results": [], "interrupt_at": None}  # the restored experiment is not interrupted again

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        self.results.append((trial.trial_id, result["training_iteration"], result["y"]))
        if (trial.config["top"], result["training_iteration"]) == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)


def objective(sign: int) -> Callable[[dict[str, Any]], None]:
    def run(config: dict[str, Any]) -> None:
        for epoch in range(1, EPOCHS + 1):
            y = config["top"] - 0.4 / epoch
            tune.report({"y": y if sign > 0 else 1 - y})

    return run


def scheduler(**options: Any) -> LearningCurveScheduler:
    return LearningCurveScheduler(**{"max_t": EPOCHS, "bounds": (0, 1), **options})


def tuner(folder: Path, *, mode: str = "max", diary: Diary, tops: list[float] = TOPS, **run: Any) -> tune.Tuner:
    return tune.Tuner(
        objective(1 if mode == "max" else -1),
        param_space={"top": tune.grid_search(tops)},
        tune_config=tune.TuneConfig(
            metric="y", mode=mode, scheduler=run.pop("scheduler", None), max_concurrent_trials=1, reuse_actors=True
        ),
        run_config=tune.RunConfig(name="toy", storage_path=str(folder), verbose=0, callbacks=[diary], **run),
    )


def epochs(results: Any) -> dict[float, int]:
    """Epochs of each trial, by its top."""
    return {result.config["top"]: result.metrics["training_iteration"] for result in results}


def expected(diary: Diary, mode: str) -> dict[str, int]:
    """Epochs of each trial as a stopper without a framework decides about the same curves."""
    made, lengths = Stopper(horizon=EPOCHS, metric=Metric(mode, bounds=(0, 1)), target="last"), {}
    for trial in dict.fromkeys(trial for trial, _, _ in diary.results):
        for name, epoch, y in diary.results:
            if name == trial:
                lengths[trial] = epoch
                if made.update(trial, epoch, y).stop:
                    break
        made.finish(trial)
    return lengths


@pytest.mark.usefixtures("_cluster")
@pytest.mark.parametrize("mode", ["max", "min"])
def test_hopeless_trials_are_stopped_and_the_best_is_not(mode: str, tmp_path: Path) -> None:
    diary = Diary()
    results = tuner(tmp_path, mode=mode, diary=diary, scheduler=scheduler()).fit()
    assert not results.errors
    lasted = epochs(results)
    assert lasted[0.8] == lasted[0.9] == EPOCHS and all(lasted[top] < 15 for top in (0.5, 0.55, 0.6))
    assert results.get_best_result().config["top"] == 0.9
    ran = {trial: max(epoch for name, epoch, _ in diary.results if name == trial) for trial, _, _ in diary.results}
    assert ran == expected(diary, mode)


@pytest.mark.usefixtures("_cluster")
def test_the_stopper_ends_the_same_trials(tmp_path: Path) -> None:
    stop, diary = LearningCurveStopper(metric="y", mode="max", max_t=EPOCHS, bounds=(0, 1)), Diary()
    lasted = epochs(tuner(tmp_path, diary=diary, tops=[0.8, 0.5, 0.9], stop=stop).fit())
    assert lasted[0.8] == lasted[0.9] == EPOCHS and lasted[0.5] < 15
    assert sorted(lasted.values()) == sorted(expected(diary, "max").values())


@pytest.mark.usefixtures("_cluster")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_experiment_that_was_interrupted_goes_on_with_what_it_knew(tmp_path: Path) -> None:
    """The one good trial was finished before, and is not run again: without it nothing would be stopped."""
    diary = Diary(interrupt_at=(0.5, 1))
    first = tuner(tmp_path, diary=diary, tops=[0.9, 0.5, 0.6, 0.55], scheduler=scheduler()).fit()
    assert max(result.metrics.get("training_iteration", 0) for result in first if result.config["top"] < 0.9) <= 2
    assert (tmp_path / "toy" / STATE).exists()
    again = tune.Tuner.restore(str(tmp_path / "toy"), trainable=objective(1), resume_unfinished=True)
    lasted = epochs(again.fit())
    assert lasted[0.9] == EPOCHS
    assert all(2 < lasted[top] < 15 for top in (0.5, 0.6, 0.55))
    gc.collect()  # files that the interrupted experiment left open


@pytest.mark.usefixtures("_cluster")
def test_a_direction_given_twice_is_an_error(tmp_path: Path) -> None:
    twice = tuner(tmp_path, diary=Diary(), scheduler=scheduler(metric="y", mode="min"))
    with pytest.raises(ValueError, match="already instantiated with their own `metric` and `mode`"):
        twice.fit()


@pytest.mark.usefixtures("_cluster")
def test_the_examples_of_the_docstrings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where results go unless another place is named
    monkeypatch.delenv("RAY_AIR_NEW_OUTPUT")
    assert doctest.testmod(lcpfn.integrations.ray).failed == 0


@pytest.mark.usefixtures("_cluster")
def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ran = example("ray_scheduler")
    monkeypatch.setattr(ran, "RATES", ran.RATES[:3])
    ran.main()
    rows = [row for row in capsys.readouterr().out.splitlines() if row.startswith("rate")]
    lasted = [int(row.split(":")[1].split()[0]) for row in rows]
    assert lasted[0] == ran.EPOCHS and min(lasted) < 15


def told(made: LearningCurveScheduler, trial: str, values: list[Any], *, first: int = 1) -> list[str]:
    """What the scheduler says to these values."""
    return [
        made.on_trial_result(None, Trial("toy", trial_id=trial, stub=True), {"training_iteration": t, "y": y})
        for t, y in enumerate(values, first)
    ]


def knowing(**options: Any) -> LearningCurveScheduler:
    """A scheduler that has seen a good trial."""
    made = scheduler(**{"metric": "y", "mode": "max", **options})
    assert told(made, "good", GOOD) == ["CONTINUE"] * 29 + ["STOP"]
    return made


def test_decisions_are_those_of_the_stopper() -> None:
    made, plain = knowing(), stopper(target="last")
    feed(plain, "good", GOOD)
    plain.finish("good")
    for trial, values in [("bad", BAD), ("late", BAD[:3] + GOOD[3:])]:
        ours = [plain.update(trial, t, y).stop or t == EPOCHS for t, y in enumerate(values, 1)]
        assert [said == "STOP" for said in told(made, trial, values)] == ours
    assert made.stopper.incumbent == plain.incumbent


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_stop_a_trial(value: float) -> None:
    assert told(scheduler(metric="y", mode="max"), "a", [0.5, value]) == ["CONTINUE", "STOP"]
    assert told(scheduler(metric="y", mode="max", nan="skip"), "a", [0.5, value]) == ["CONTINUE"] * 2


def test_a_reward_that_is_nan_until_the_first_episode_ends() -> None:
    assert told(scheduler(metric="y", mode="max"), "a", [math.nan, math.nan, 0.5]) == ["CONTINUE"] * 3


def test_a_misspelt_metric_is_said_once() -> None:
    made = LearningCurveStopper(metric="acuracy", mode="max", max_t=30)
    results = [{"training_iteration": t, "accuracy": y, "node": "a"} for t, y in enumerate(GOOD, 1)]
    with pytest.warns(UserWarning, match="'acuracy' was in none of the results so far, .* have accuracy, training_it"):
        first = [made("a", result) for result in results]
    again = [made("b", result) for result in results]  # warnings are errors here: it is not said again
    assert not any(first + again)
    rare = LearningCurveStopper(metric="accuracy", mode="max", max_t=30)
    for t, y in enumerate(GOOD[:-1], 1):
        assert not rare("a", {"training_iteration": t} | ({"accuracy": y} if t % 10 == 0 else {}))


def test_values_that_are_missing_stop_nothing() -> None:
    made = knowing()
    assert told(made, "a", [None] * 29) == ["CONTINUE"] * 29
    trial = Trial("toy", trial_id="b", stub=True)
    assert made.on_trial_result(None, trial, {"training_iteration": 5}) == "CONTINUE"
    assert made.on_trial_result(None, trial, {"y": 0.1}) == "CONTINUE"
    made.on_trial_complete(None, trial, {})  # it never reported anything
    assert "b" not in made.stopper


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [("high", TypeError, "value must be a number, got 'high'"), (55.0, ValueError, "divide percentages by 100")],
)
def test_values_that_mean_nothing_are_refused(value: Any, error: type[Exception], match: str) -> None:
    made = knowing()
    with pytest.raises(error, match=match):
        told(made, "a", [value])
    assert "a" not in made.stopper


def test_times_that_mean_nothing_are_refused() -> None:
    trial = Trial("toy", trial_id="a", stub=True)
    with pytest.raises(TypeError, match="step must be a number"):
        knowing().on_trial_result(None, trial, {"training_iteration": "one", "y": 0.5})
    with pytest.raises(ValueError, match="give first_step=0"):
        knowing().on_trial_result(None, trial, {"training_iteration": 0, "y": 0.5})


def test_nested_names_and_other_clocks() -> None:
    made = LearningCurveStopper(metric="eval/y", mode="max", max_t=30, time_attr="seconds", first_step=0)
    assert not made("a", {"seconds": 0.5, "eval": {"y": 0.5}})
    assert made("a", {"seconds": 30.2, "eval": {"y": 0.6}})
    assert made.stopper.incumbent is not None and made.stopper.incumbent.value == 0.6
    assert not made.stop_all()


def test_a_trial_that_ends_early_by_itself_is_finished_and_a_failed_one_is_not() -> None:
    made = scheduler(metric="y", mode="max")
    for trial, top in [("short", 0.7), ("failed", 0.9)]:
        told(made, trial, [top - 0.1, top])
    made.on_trial_complete(None, Trial("toy", trial_id="short", stub=True), {"training_iteration": 2, "y": 0.7})
    made.on_trial_error(None, Trial("toy", trial_id="failed", stub=True))
    assert made.stopper.incumbent is not None and made.stopper.incumbent.trial == "short"
    assert "incumbent is Incumbent(trial='short'" in made.debug_string()


def test_the_state_survives_a_file_and_a_pickle(tmp_path: Path) -> None:
    made, path = knowing(), tmp_path / "state.json"
    told(made, "bad", BAD[:4])
    made.save(path)
    text = cloudpickle.dumps(made)
    assert len(text) < 10_000  # no weights
    restored = scheduler(metric="y", mode="max")
    restored.restore(str(path))
    rest = told(made, "bad", BAD[4:], first=5)
    assert "STOP" in rest
    for again in (restored, cloudpickle.loads(text)):
        assert told(again, "bad", BAD[4:], first=5) == rest
    path.write_text(path.read_text()[:50])
    with pytest.raises(ValueError, match="may be cut off"):
        restored.restore(path)
    made.save(path)
    with pytest.raises(ValueError, match="written with direction='max'"):
        scheduler(metric="y", mode="min").restore(path)


def test_options_are_checked_at_once() -> None:
    with pytest.raises(ValueError, match="horizon must be"):
        scheduler(max_t=1)
    with pytest.raises(TypeError, match=r"LearningCurveScheduler takes no argument 'level': .* rule=Best\(level="):
        scheduler(level=5)
    with pytest.raises(ValueError, match='direction must be "max"'):
        scheduler(mode="maximize")
    with pytest.raises(TypeError, match="LearningCurveScheduler takes no argument 'grace_period'"):
        scheduler(grace_period=3)
    with pytest.raises(ValueError, match='mode must be "max" or "min"'):
        scheduler().on_trial_add(None, Trial("toy", trial_id="a", stub=True))


def test_an_audit_lets_hopeless_trials_go_on() -> None:
    made = knowing(audit=0.5, seed=3)
    for i in range(8):
        said = told(made, str(i), BAD)
        assert said[-1] == "STOP"  # at max_t at the latest
    report = made.stopper.report()
    assert report.given_up == 8 and 0 < report.audited < 8 and report.wrong == 0
