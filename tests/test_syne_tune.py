"""The scheduler in real experiments of Syne Tune: simulated ones, and processes of its own."""

from __future__ import annotations

import doctest
import gc
import logging
import math
import pickle
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loops import example
from trials import BAD, GOOD, feed, stopper

from lcpfn.metric import Metric
from lcpfn.stopping import Stopper

pytest.importorskip("syne_tune", reason="Syne Tune is in an environment of its own, see CONTRIBUTING.md")
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_backend import SimulatorBackend
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.backend.trial_status import Status, Trial
from syne_tune.config_space import choice
from syne_tune.optimizer.baselines import ASHA, RandomSearch
from syne_tune.optimizer.scheduler import TrialScheduler

import lcpfn.integrations.syne_tune
from lcpfn.integrations.syne_tune import LearningCurveScheduler

pytestmark = pytest.mark.frameworks
EPOCHS = 30
TOPS = [0.8, 0.5, 0.9, 0.6, 0.55, 0.7]
SPACE = {"top": choice(TOPS)}


# The tuner ends its processes without waiting for them.
_ends_processes = pytest.mark.filterwarnings(
    "ignore:subprocess .* is still running:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Results in a folder of the test, random states and loggers as they were."""
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
    states, level = (random.getstate(), np.random.get_state()), logging.root.level  # noqa: NPY002 (it moves them)
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    logging.root.setLevel(level)


def search(*, minimize: bool = False, **options: Any) -> RandomSearch:
    first = [{"top": top} for top in TOPS]
    return RandomSearch(SPACE, ["y"], do_minimize=minimize, random_seed=0, points_to_evaluate=first, **options)


def scheduler(inside: TrialScheduler | None = None, **options: Any) -> LearningCurveScheduler:
    options = {"max_t": EPOCHS, "time_attr": "epoch", "bounds": (0, 1), **options}
    return LearningCurveScheduler(inside or search(), **options)


class Simulation(SimulatorBackend):
    """Runs no processes: each configuration's curve, a minute an epoch."""

    def __init__(self, *, minimize: bool) -> None:
        super().__init__(entry_point=__file__, elapsed_time_attr="seconds")
        self.minimize = minimize

    def _run_job_and_collect_results(
        self, trial_id: int, config: dict[str, Any] | None = None
    ) -> tuple[str, list[dict[str, Any]]]:
        top = (config or self._trial_dict[trial_id].config)["top"]
        curve = [(epoch, top - 0.4 / epoch) for epoch in range(1, EPOCHS + 1)]
        results = [{"epoch": t, "y": 1 - y if self.minimize else y, "seconds": 60.0 * t} for t, y in curve]
        return Status.completed, results


def tuner(made: TrialScheduler, *, trials: int = len(TOPS), minimize: bool = False) -> Tuner:
    return Tuner(
        trial_backend=Simulation(minimize=minimize),
        scheduler=made,
        stop_criterion=StoppingCriterion(max_num_trials_finished=trials - 1),  # it ends once there are more
        n_workers=1,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        tuner_name="toy",
        suffix_tuner_name=False,
        save_tuner=True,
    )


def epochs(done: Tuner) -> dict[float, int]:
    """Epochs of each trial that has reported, by its top."""
    rows = done.tuning_status.trial_rows.values()
    return {row["top"]: int(row["epoch"]) for row in rows if row["iter"]}


@pytest.mark.parametrize("minimize", [False, True])
def test_hopeless_trials_are_stopped_and_the_best_is_not(minimize: bool) -> None:
    done = tuner(scheduler(search(minimize=minimize)), minimize=minimize)
    done.run()
    lasted, mode = epochs(done), "min" if minimize else "max"
    assert lasted[0.8] == lasted[0.9] == EPOCHS and all(lasted[top] < 15 for top in (0.5, 0.55, 0.6))
    assert done.best_config()[1] == {"top": 0.9}
    plain, expected = Stopper(horizon=EPOCHS, metric=Metric(mode, bounds=(0, 1))), {}
    for top in TOPS:
        for epoch in range(1, EPOCHS + 1):
            expected[top], y = epoch, top - 0.4 / epoch
            if plain.update(str(top), epoch, 1 - y if minimize else y).stop:
                break
        plain.finish(str(top))
    assert {top: expected[top] for top in lasted} == lasted
    assert plain.incumbent is not None and done.scheduler.stopper.incumbent.value == plain.incumbent.value


def test_an_experiment_that_was_interrupted_goes_on_with_what_it_knew(tmp_path: Path) -> None:
    """The good trials were finished before; without them nothing would be stopped at once."""
    first = tuner(scheduler(), trials=3)
    first.run()
    known = first.scheduler.stopper.to_json()
    again = Tuner.load(str(tmp_path / "toy"))
    assert again.scheduler.stopper.to_json() == known
    again.stop_criterion = StoppingCriterion(max_num_trials_finished=5)
    again.run()
    assert again.scheduler.stopper.incumbent == first.scheduler.stopper.incumbent
    after = {top: lasted for top, lasted in epochs(again).items() if top in (0.6, 0.55)}
    assert after and all(lasted < 15 for lasted in after.values())


@_ends_processes
def test_the_example_of_the_docstring_runs_processes_of_its_own(tmp_path: Path) -> None:
    assert doctest.testmod(lcpfn.integrations.syne_tune).failed == 0
    gc.collect()
    assert list(tmp_path.glob("*/0/std.out"))


@_ends_processes
def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ran = example("syne_tune_scheduler")
    monkeypatch.setattr(ran, "RATES", ran.RATES[:2])
    ran.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("the best trial: Incumbent(trial='0'")
    assert any("Stopped" in line for line in lines)
    gc.collect()


def trial(number: int) -> Trial:
    return Trial(number, {"top": 0.5}, datetime(2026, 1, 1))


def told(made: LearningCurveScheduler, number: int, values: list[Any], *, first: int = 1) -> list[str]:
    """What the scheduler says to these values."""
    return [made.on_trial_result(trial(number), {"epoch": t, "y": y}) for t, y in enumerate(values, first)]


def knowing(inside: TrialScheduler | None = None, **options: Any) -> LearningCurveScheduler:
    """A scheduler that has seen a good trial."""
    made = scheduler(inside, **options)
    made.on_trial_add(trial(0))
    told(made, 0, GOOD)
    made.on_trial_complete(trial(0), {"epoch": EPOCHS, "y": GOOD[-1]})
    return made


def test_decisions_are_those_of_the_stopper() -> None:
    made, plain = knowing(), stopper()
    feed(plain, "0", GOOD)
    plain.finish("0")
    for number, values in enumerate([BAD, BAD[:3] + GOOD[3:]], 1):
        ours = [plain.update(number, t, y).stop for t, y in enumerate(values, 1)]
        assert [said == "STOP" for said in told(made, number, values)] == ours
    assert made.stopper.incumbent == plain.incumbent
    assert (made.metric_names(), made.metric_mode()) == (["y"], "max")


class Inside(TrialScheduler):
    """Writes down what it is told, and says what it is told to."""

    def __init__(self, says: str = "CONTINUE") -> None:
        super().__init__(random_seed=0)
        self.calls: list[str] = []
        self.says = says

    def on_trial_add(self, trial: Trial) -> None:
        self.calls.append("add")

    def on_trial_result(self, trial: Trial, result: dict[str, Any]) -> str:
        self.calls.append("result")
        return self.says

    def on_trial_complete(self, trial: Trial, result: dict[str, Any]) -> None:
        self.calls.append("complete")

    def on_trial_error(self, trial: Trial) -> None:
        self.calls.append("error")

    def on_trial_remove(self, trial: Trial) -> None:
        self.calls.append("remove")

    def metric_names(self) -> list[str]:
        return ["y"]

    def metric_mode(self) -> str:
        return "max"


def test_the_scheduler_inside_hears_everything_and_may_stop_and_pause() -> None:
    inside = Inside()
    made = knowing(inside)
    made.on_trial_error(trial(1))
    made.on_trial_remove(trial(2))
    assert inside.calls == ["add"] + ["result"] * 30 + ["complete", "error", "remove"]
    for says in ("PAUSE", "STOP"):
        inside.says = says
        assert set(told(made, 3, BAD)) == {says}  # one that is to be resumed must not be stopped before
    inside.says = "CONTINUE"
    assert told(made, 3, BAD[-1:], first=30) == ["STOP"]


def test_others_that_stop_trials_go_together_with_it() -> None:
    asha = ASHA(SPACE, "y", do_minimize=False, time_attr="epoch", max_t=EPOCHS, grace_period=5, random_seed=0)
    done = tuner(scheduler(asha))
    done.run()
    assert len(epochs(done)) > 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_stop_a_trial(value: float) -> None:
    assert told(scheduler(), 1, [0.5, value]) == ["CONTINUE", "STOP"]
    assert told(scheduler(nan="skip"), 1, [0.5, value]) == ["CONTINUE"] * 2


def test_a_reward_that_is_nan_until_the_first_episode_ends() -> None:
    assert told(scheduler(), 1, [math.nan, math.nan, 0.5]) == ["CONTINUE"] * 3


def test_values_that_mean_nothing_are_refused() -> None:
    made = knowing(Inside())
    with pytest.raises(TypeError, match="value must be a number"):
        told(made, 1, ["high"])
    assert told(made, 1, [None]) == ["CONTINUE"]  # nothing was measured
    with pytest.raises(ValueError, match="divide percentages by 100"):
        told(made, 1, [55.0])
    with pytest.raises(ValueError, match="every result must have 'epoch', got"):
        made.on_trial_result(trial(1), {"y": 0.5})
    with pytest.raises(ValueError, match="give first_step=0"):
        told(made, 1, [0.5], first=0)
    assert 1 not in made.stopper


def test_a_trial_past_its_end_is_left_alone_and_a_failed_one_is_no_rival() -> None:
    made = scheduler()
    assert set(told(made, 1, [*GOOD, 0.9, 0.95])) == {"CONTINUE"}
    assert made.stopper.incumbent is not None and made.stopper.incumbent.value == GOOD[-1]
    told(made, 2, [0.97])
    made.on_trial_error(trial(2))
    assert made.stopper.incumbent.trial == "1"


def test_two_objectives_are_refused() -> None:
    two = Inside()
    two.metric_names = lambda: ["y", "size"]
    with pytest.raises(ValueError, match=r"one objective, got \['y', 'size'\]"):
        scheduler(two)


def test_options_are_checked_at_once() -> None:
    with pytest.raises(ValueError, match="horizon must be"):
        scheduler(max_t=1)
    with pytest.raises(TypeError, match=r"LearningCurveScheduler takes no argument 'level': .* rule=Best\(level="):
        scheduler(level=5)
    with pytest.raises(TypeError, match="LearningCurveScheduler takes no argument 'grace_time'"):
        scheduler(grace_time=3)


def test_it_pickles_with_its_state_and_without_weights() -> None:
    made = knowing()
    told(made, 1, BAD[:4])
    text = pickle.dumps(made)
    assert len(text) < 20_000
    again = pickle.loads(text)
    assert again.stopper.to_json() == made.stopper.to_json()
    assert told(again, 1, BAD[4:], first=5) == told(made, 1, BAD[4:], first=5)
    assert made.metadata()["scheduler_name"] == "LearningCurveScheduler"


def test_an_audit_lets_hopeless_trials_go_on() -> None:
    made = knowing(audit=0.5, seed=3)
    for number in range(1, 9):
        said = told(made, number, BAD)
        if "STOP" not in said:
            made.on_trial_complete(trial(number), {"epoch": EPOCHS, "y": BAD[-1]})
    report = made.stopper.report()
    assert report.given_up == 8 and 0 < report.audited < 8 and report.wrong == 0
