"""What the callbacks of the training loops share: options, the metric by its name, resuming, finishing."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
from loops import EPOCHS, FLAT, RISING, example
from trials import BAD, GOOD, UNIT, knows_a_good_run, stopper

from lcpfn.integrations.run import Run
from lcpfn.metric import Metric
from lcpfn.stopping import Decision, Incumbent, Stopper


def alone(monitor: str = "val_acc", *, horizon: float | None = EPOCHS, **options: Any) -> Run:
    made = Run(monitor, **{"min_delta": 0.02, **options})
    made.begin(horizon=horizon)
    return made


def judged(run: Run, values: list[float], *, first: int = 1) -> list[Decision]:
    """The decisions up to the one that stops the run."""
    decisions = []
    for step, value in enumerate(values, first):
        decision = run.update(step, value)
        assert decision is not None
        decisions.append(decision)
        if decision.stop:
            break
    return decisions


@pytest.mark.parametrize("name", ["val_acc", "val_error"])
def test_a_flat_run_is_stopped_and_a_rising_one_is_not(name: str) -> None:
    flat, rising = ([y if name == "val_acc" else 1 - y for y in values] for values in (FLAT, RISING))
    decisions = judged(alone(name), flat)
    assert decisions[-1].stop and decisions[-1].reason == "converged" and len(decisions) < EPOCHS
    decisions = judged(alone(name), rising)
    assert not decisions[-1].stop and decisions[-1].reason == "horizon reached"


def test_one_line_is_logged_when_a_run_stops(caplog: pytest.LogCaptureFixture) -> None:
    run = alone()
    with caplog.at_level(logging.WARNING):
        steps = len(judged(run, FLAT))
        assert [f"val_acc: stops at {steps} of {EPOCHS}: converged (P(" in line for line in caplog.messages] == [True]
        run.update(steps + 1, FLAT[steps])  # a trainer may go on, to a least number of epochs say
        assert len(caplog.messages) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite(value: float) -> None:
    decisions = judged(alone(), [0.5, 0.55, value])
    assert (len(decisions), decisions[-1].stop, decisions[-1].reason) == (3, True, "diverged")
    assert not judged(alone(nan="skip"), [0.5, 0.55, value])[-1].stop


def test_a_resumed_run_is_judged_as_if_it_had_not_been_interrupted() -> None:
    whole = judged(alone(), FLAT)
    first = alone()
    judged(first, FLAT[:8])
    second = Run("val_acc", min_delta=0.02)
    second.begin(horizon=EPOCHS, points=first.points)
    assert second.decision == whole[7]
    assert judged(second, FLAT[8:], first=9) == whole[8:]


def test_runs_that_share_a_stopper_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    decisions = {}
    for name, values in (("good", GOOD), ("bad", BAD)):
        run = Run("val_acc", stopper=stopper(path=path), trial=name)  # as if in a process of its own
        run.begin(horizon=999)
        decisions[name] = judged(run, values)
        run.finish()
        assert not run.going
    assert [last[-1].reason for last in decisions.values()] == ["horizon reached", "hopeless"]
    assert stopper(path=path).incumbent == Incumbent("good", GOOD[-1])
    again = Run("val_acc", stopper=stopper(path=path), trial="bad")
    again.begin(horizon=30)
    assert judged(again, BAD)[0].reason == "finished"


def test_a_run_that_is_interrupted_is_no_incumbent() -> None:
    shared = stopper()
    run = Run("val_acc", stopper=shared, trial=7)
    run.begin(horizon=30)
    judged(run, GOOD)
    assert shared.incumbent is None
    run.finish()
    assert shared.incumbent == Incumbent("7", GOOD[-1])
    run.finish()  # twice changes nothing


def test_a_run_without_values_has_nothing_to_finish() -> None:
    shared = knows_a_good_run()
    run = Run("val_acc", stopper=shared, trial="empty")
    run.begin(horizon=30)
    run.finish()
    assert shared.rivals("other").concluded == 1


def test_the_horizon_that_is_given_comes_before_the_trainers() -> None:
    for given, told in ((None, 20), (20, EPOCHS)):
        run = Run("val_acc", min_delta=0.01, horizon=given)
        run.begin(horizon=told)
        assert [each.reason for each in judged(run, RISING)].index("horizon reached") == 19


@pytest.mark.parametrize("horizon", [None, -1, math.inf])
def test_a_trainer_without_an_end(horizon: float | None) -> None:
    with pytest.raises(ValueError, match=rf"the trainer's limit is {horizon}: give horizon="):
        alone(horizon=horizon)
    assert Run("acc", horizon=50, min_delta=0.1).going is False


def test_a_single_step_is_not_judged() -> None:
    run = alone(horizon=1)
    assert not run.going
    run.finish()


def test_values_from_before_training_are_left_out() -> None:
    run = alone()
    assert run.update(0, 0.1) is None
    assert run.points == {} and run.decision is None
    assert alone(first_step=0).update(0, 0.1) is not None


def test_a_metric_by_its_name_keeps_to_what_is_measured() -> None:
    """A guess must not end a run: percentages, and losses below 0, are taken as they come."""
    percent = judged(alone("val_acc", min_delta=2.0), [100 * y for y in FLAT])
    fraction = judged(alone("val_acc"), FLAT)
    assert [each.stop for each in percent] == [each.stop for each in fraction]
    loss = alone("val_loss")
    for step, value in enumerate([0.4, 0.2, 0.0, -0.2, -0.3], 1):
        assert loss.update(step, value) is not None
    assert loss.decision is not None and loss.decision.run is not None
    assert loss.decision.run.metric == Metric("min")


def test_a_metric_that_is_given_is_kept_to() -> None:
    with pytest.raises(ValueError, match="divide percentages by 100"):
        alone(metric=UNIT).update(1, 55.0)


def test_a_name_that_says_nothing() -> None:
    with pytest.raises(ValueError, match="'val_x' does not say which direction is better: give metric="):
        alone("val_x")
    assert alone("val_x", metric=UNIT).update(1, 0.5) is not None
    named_by_trainer = Run("val_x", min_delta=0.1)
    named_by_trainer.begin(horizon=9, direction="min")
    assert named_by_trainer.update(1, -5.0) is not None


def test_a_direction_that_contradicts_the_trainer() -> None:
    for run in (Run("val_x", metric=UNIT, min_delta=0.1), Run("val_x", stopper=stopper(), trial="a")):
        with pytest.raises(ValueError, match='the direction of the trainer, "min" for val_x, got "max"'):
            run.begin(horizon=9, direction="min")


@pytest.mark.parametrize("value", ["0.5", True, [0.5]])
def test_values_that_are_no_numbers(value: Any) -> None:
    with pytest.raises(TypeError, match="value must be a number"):
        alone().update(1, value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a run alone needs min_delta"),
        ({"min_delta": 0.1, "level": 5}, "level must lie between 0 and 1"),
        ({"min_delta": 0.1, "horizon": 1}, "horizon must be a finite number of steps, 2 or more"),
        ({"min_delta": 0.1, "trial": "a"}, "trial names a run of a stopper, got 'a' without one"),
        ({"stopper": Stopper(horizon=9, metric=UNIT)}, "give the run's as trial="),
        (
            {"stopper": Stopper(horizon=9, metric=UNIT), "trial": 1, "horizon": 9, "min_delta": 0.1},
            "horizon, min_delta must be given to the stopper",
        ),
    ],
)
def test_options_are_checked_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Run("val_acc", **options)


def test_a_monitor_that_is_missing() -> None:
    with pytest.raises(ValueError, match=r"monitor must name a metric that is logged, got 'val_acc' of \['a', 'b'\]"):
        alone().missing(["b", "a"])


def test_the_plain_loop(capsys: pytest.CaptureFixture[str]) -> None:
    example("plain_loop").main()
    assert capsys.readouterr().out
