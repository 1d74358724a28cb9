"""The callback in real runs of the Trainer, with a model that scores what it is told."""

from __future__ import annotations

import doctest
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loops import EPOCHS, FLAT, RISING, example, random_states_kept
from trials import BAD, GOOD, UNIT, stopper

from lcpfn.metric import Metric
from lcpfn.stopping import Decision, Incumbent

transformers = pytest.importorskip("transformers", reason="needs '.[transformers]', see CONTRIBUTING.md")
import torch  # noqa: E402
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments  # noqa: E402

import lcpfn.integrations.transformers  # noqa: E402
from lcpfn.integrations.transformers import LearningCurveCallback  # noqa: E402

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.filterwarnings("ignore:mtime may not be reliable on this filesystem"),
]
DATA = [{"x": torch.ones(1), "labels": torch.zeros(1)} for _ in range(8)]  # one batch


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    with random_states_kept():
        yield


class Scripted(torch.nn.Module):
    """Answers an evaluation with the value of the step; the loss is 1 - value."""

    def __init__(self, values: list[float], *, fails_after: int | None = None) -> None:
        super().__init__()
        self.values, self.fails_after = values, fails_after
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.register_buffer("steps", torch.zeros(1, dtype=torch.long))

    def forward(self, x: Any, labels: Any) -> Any:
        if self.training:
            if self.steps.item() == self.fails_after:
                raise RuntimeError("killed")
            self.steps += 1
            return {"loss": self.weight.square().mean(), "logits": x}
        value = torch.tensor(self.values[int(self.steps) - 1])
        return {"loss": 1 - value, "logits": value.expand(len(x), 1)}


class Watch(TrainerCallback):
    """Keeps the decision after each evaluation."""

    def __init__(self, stopping: LearningCurveCallback) -> None:
        self.stopping = stopping
        self.decisions: list[Decision | None] = []

    def on_evaluate(self, *args: Any, **kwargs: Any) -> None:
        self.decisions.append(self.stopping.decision)


def trainer(model: Scripted, *callbacks: Any, folder: Path, evaluated: Any = DATA, **options: Any) -> Trainer:
    args = TrainingArguments(
        str(folder),
        **{
            "max_steps": EPOCHS,
            "eval_strategy": "steps",
            "eval_steps": 1,
            "save_strategy": "no",
            "logging_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "disable_tqdm": True,
            **options,
        },
    )
    made = Trainer(
        model,
        args,
        train_dataset=DATA,
        eval_dataset=evaluated,
        compute_metrics=lambda scored: {"accuracy": float(np.mean(scored.predictions))},
        callbacks=list(callbacks),
    )
    made.remove_callback(PrinterCallback)
    return made


def alone(monitor: str | None = "accuracy", **options: Any) -> LearningCurveCallback:
    return LearningCurveCallback(monitor, **{"min_delta": 0.02, **options})


@pytest.mark.parametrize("monitor", ["accuracy", "eval_accuracy", "loss", "eval_loss"])
def test_a_flat_run_is_stopped_and_a_rising_one_is_not(
    monitor: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopping = alone(monitor)
    with caplog.at_level(logging.WARNING, "lcpfn"):
        steps = trainer(Scripted(FLAT), stopping, folder=tmp_path).train().global_step
    assert stopping.decision is not None and stopping.decision.reason == "converged" and steps < EPOCHS
    line = f"eval_{monitor.removeprefix('eval_')}: stops at {steps} of {EPOCHS}: converged"
    assert [line in each for each in caplog.messages].count(True) == 1
    assert trainer(Scripted(RISING), alone(monitor), folder=tmp_path).train().global_step == EPOCHS


def test_the_metric_for_the_best_model_is_the_default(tmp_path: Path) -> None:
    stopping = alone(None)
    options = {"metric_for_best_model": "accuracy", "folder": tmp_path}
    assert trainer(Scripted(FLAT), stopping, **options).train().global_step < EPOCHS
    assert stopping.decision is not None and stopping.decision.run is not None
    assert stopping.decision.run.metric == UNIT
    stopping = alone(None, min_points=99)
    trainer(Scripted(FLAT), stopping, **options, greater_is_better=False, max_steps=3).train()
    assert stopping.decision is not None and stopping.decision.detail.startswith("the run is at 3")
    with pytest.raises(ValueError, match="monitor must be given"):
        trainer(Scripted(FLAT), alone(None), folder=tmp_path).train()


def test_a_direction_that_contradicts_greater_is_better(tmp_path: Path) -> None:
    for stopping in (alone(metric=UNIT), LearningCurveCallback("accuracy", stopper=stopper(), trial="a")):
        options = {"metric_for_best_model": "eval_accuracy", "greater_is_better": False}
        with pytest.raises(ValueError, match='direction of the trainer, "min" for eval_accuracy, got "max"'):
            trainer(Scripted(FLAT), stopping, folder=tmp_path, **options).train()
    other = trainer(Scripted(FLAT), alone("loss"), folder=tmp_path, metric_for_best_model="accuracy")
    assert other.train().global_step < EPOCHS  # of another metric it says nothing


def test_runs_that_share_a_stopper_with_a_file(tmp_path: Path) -> None:
    path, steps = tmp_path / "runs.json", {}
    for name, values in (("good", GOOD), ("bad", BAD)):
        stopping = LearningCurveCallback("accuracy", stopper=stopper(path=path), trial=name)
        steps[name] = trainer(Scripted(values), stopping, folder=tmp_path, max_steps=30).train().global_step
    assert stopping.decision is not None and stopping.decision.reason == "hopeless"
    assert steps["bad"] < steps["good"] == 30
    assert stopper(path=path).incumbent == Incumbent("good", pytest.approx(GOOD[-1]))


def test_the_horizon_is_the_trainers_unless_it_is_given(tmp_path: Path) -> None:
    for options, horizon in (({}, 6), ({"horizon": 9}, 9)):
        stopping = alone(**options)
        watch = Watch(stopping)
        trainer(Scripted(RISING), stopping, watch, folder=tmp_path, max_steps=-1, num_train_epochs=6).train()
        assert watch.decisions[4] is not None and watch.decisions[4].run is not None
        assert watch.decisions[4].run.horizon == horizon
        assert [each.reason for each in watch.decisions if each].count("horizon reached") == (horizon == 6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite(value: float, tmp_path: Path) -> None:
    stopping = alone()
    assert trainer(Scripted([0.5, 0.55, value, 0.6]), stopping, folder=tmp_path).train().global_step == 3
    assert stopping.decision is not None and stopping.decision.reason == "diverged"


@pytest.mark.parametrize("evaluated", [DATA, {"a": DATA, "b": DATA}])
def test_a_metric_that_is_missing(evaluated: Any, tmp_path: Path) -> None:
    made = trainer(Scripted(FLAT), alone("c_f1"), folder=tmp_path, evaluated=evaluated)
    with pytest.raises(ValueError, match=r"must name a metric that is logged, got 'eval_c_f1' of .*_accuracy', "):
        made.train()
    assert made.state.global_step == 1


@pytest.mark.parametrize("name", ["a_accuracy", "b_accuracy"])
def test_several_data_sets(name: str, tmp_path: Path) -> None:
    made = trainer(Scripted(FLAT), alone(name), folder=tmp_path, evaluated={"a": DATA, "b": DATA})
    assert 1 < made.train().global_step < EPOCHS


def test_training_without_evaluations(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='needs evaluations, got eval_strategy="no"'):
        trainer(Scripted(FLAT), alone(), folder=tmp_path, eval_strategy="no").train()


def test_evaluations_outside_of_training_are_not_looked_at(tmp_path: Path) -> None:
    stopping = alone()
    made = trainer(Scripted(RISING), stopping, folder=tmp_path, max_steps=3, eval_on_start=True)
    made.evaluate()
    assert stopping.decision is None
    made.train()
    last = stopping.decision
    assert last is not None and last.detail == "the run is at 3 of 3: finish it"
    made.evaluate()
    assert stopping.decision is last


def test_a_run_that_is_resumed_is_judged_as_if_it_had_not_been_interrupted(tmp_path: Path) -> None:
    stopping = alone()
    whole = Watch(stopping)
    trainer(Scripted(FLAT), stopping, whole, folder=tmp_path / "whole").train()
    options = {"folder": tmp_path / "parts", "save_strategy": "steps", "save_steps": 1, "save_total_limit": 1}
    stopping = alone()
    first = Watch(stopping)
    with pytest.raises(RuntimeError, match="killed"):
        trainer(Scripted(FLAT, fails_after=8), stopping, first, **options).train()
    stopping = alone()
    second = Watch(stopping)
    trainer(Scripted(FLAT), stopping, second, **options).train(resume_from_checkpoint=True)
    assert len(first.decisions) == 8 and len(second.decisions) > 1
    assert first.decisions + second.decisions == whole.decisions


def test_an_interrupted_run_goes_on_under_its_stopper(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"

    def part(*, resume: bool, **options: Any) -> None:
        stopping = LearningCurveCallback("accuracy", stopper=stopper(path=path), trial="a")
        saving = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": 1}
        made = trainer(Scripted(GOOD, **options), stopping, folder=tmp_path, max_steps=30, **saving)
        made.train(resume_from_checkpoint=resume)

    with pytest.raises(RuntimeError, match="killed"):
        part(resume=False, fails_after=9)
    assert stopper(path=path).incumbent is None
    part(resume=True)
    assert stopper(path=path).incumbent == Incumbent("a", pytest.approx(GOOD[-1]))


def test_a_metric_of_the_users_is_kept_to(tmp_path: Path) -> None:
    made = trainer(Scripted([55.0] * 9), alone(metric=Metric("max", bounds=(0, 1))), folder=tmp_path)
    with pytest.raises(ValueError, match="divide percentages by 100"):
        made.train()


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(lcpfn.integrations.transformers).failed == 0


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = example("transformers_stopping")
    monkeypatch.setattr(module, "RATES", (1.0, 0.01))
    module.main()
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].endswith("horizon reached") and rows[1].endswith("hopeless")
