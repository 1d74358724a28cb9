"""The callback in real fits of Keras, with a model that scores what it is told."""

from __future__ import annotations

import doctest
import importlib.util
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loops import EPOCHS, FLAT, RISING, example, random_states_kept
from trials import BAD, GOOD, UNIT, stopper

from lcpfn.stopping import Converged, Incumbent

if importlib.util.find_spec("tensorflow") is None:
    os.environ.setdefault("KERAS_BACKEND", "torch")  # else Keras looks for tensorflow, and fails
keras = pytest.importorskip("keras", reason="needs '.[keras]', see CONTRIBUTING.md")

import lcpfn.integrations.keras  # noqa: E402
from lcpfn.integrations.keras import LearningCurveStopping  # noqa: E402

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]
ONES = np.ones((4, 1), dtype="float32")


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    with random_states_kept():
        yield


class Scripted(keras.callbacks.Callback):
    """Puts the next of the values into the logs of an epoch, before the callbacks after it see them."""

    def __init__(self, values: list[float], *, name: str = "val_acc", fails_after: int | None = None) -> None:
        super().__init__()
        self.values, self.name, self.fails_after = values, name, fails_after

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.fails_after:
            raise RuntimeError("killed")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs[self.name] = self.values[epoch]


def fit(*callbacks: Any, epochs: int = EPOCHS, **options: Any) -> int:
    """The epochs that the fit took."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    return len(model.fit(ONES, ONES, epochs=epochs, verbose=0, callbacks=list(callbacks), **options).epoch)


def alone(monitor: str = "val_acc", **options: Any) -> LearningCurveStopping:
    return LearningCurveStopping(monitor, **{"min_delta": 0.02, **options})


@pytest.mark.parametrize("name", ["val_acc", "val_error"])
def test_a_flat_run_is_stopped_and_a_rising_one_is_not(name: str, caplog: pytest.LogCaptureFixture) -> None:
    flat, rising = ([y if name == "val_acc" else 1 - y for y in values] for values in (FLAT, RISING))
    stopping = alone(name)
    with caplog.at_level(logging.WARNING, "lcpfn"):
        epochs = fit(Scripted(flat, name=name), stopping)
    assert stopping.decision is not None and stopping.decision.reason == "converged" and epochs < EPOCHS
    assert [f"{name}: stops at {epochs} of {EPOCHS}: converged" in line for line in caplog.messages].count(True) == 1
    assert fit(Scripted(rising, name=name), alone(name)) == EPOCHS


def test_what_keras_measures_itself() -> None:
    stopping = alone("val_mae", min_points=3)
    epochs = fit(stopping, epochs=3, validation_data=(ONES, ONES))
    assert epochs == 3 and stopping.decision is not None and stopping.decision.reason == "horizon reached"


def test_runs_that_share_a_stopper_with_a_file(tmp_path: Path) -> None:
    path, epochs = tmp_path / "runs.json", {}
    for name, values in (("good", GOOD), ("bad", BAD)):
        stopping = LearningCurveStopping("val_acc", stopper=stopper(path=path), trial=name)
        epochs[name] = fit(Scripted(values), stopping, epochs=30)
    assert stopping.decision is not None and stopping.decision.reason == "hopeless"
    assert epochs["bad"] < epochs["good"] == 30
    assert stopper(path=path).incumbent == Incumbent("good", GOOD[-1])


def test_the_horizon_is_the_fits_unless_it_is_given() -> None:
    for options, horizon in (({}, 6), ({"horizon": 9}, 9)):
        stopping = alone(**options)
        fit(Scripted(RISING), stopping, epochs=6)
        assert stopping.decision is not None
        assert stopping.decision.reason == ("horizon reached" if horizon == 6 else "promising")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite(value: float) -> None:
    stopping = alone()
    assert fit(Scripted([0.5, 0.55, value, 0.6]), stopping) == 3
    assert stopping.decision is not None and stopping.decision.reason == "diverged"


def test_a_metric_that_is_missing() -> None:
    for name, measured in (("val_f1", "'val_acc'"), ("f1", "'loss', 'mae'")):
        with pytest.raises(ValueError, match=f"must name a metric that is logged, got '{name}' of .*{measured}"):
            fit(Scripted(FLAT), alone(name, metric=UNIT))


def test_epochs_without_validation_are_left_out() -> None:
    stopping = alone("val_mae", min_points=99)
    fit(stopping, epochs=6, validation_data=(ONES, ONES), validation_freq=3)
    assert stopping.decision is not None and stopping.decision.reason == "horizon reached"
    stopping = alone("val_mae")
    with pytest.warns(UserWarning, match="val_mae was never measured, so the run was not judged"):
        fit(stopping, epochs=6)
    assert stopping.decision is None


def test_a_fit_of_one_epoch_is_not_judged() -> None:
    stopping = alone()
    assert fit(Scripted(FLAT), stopping, epochs=1) == 1
    assert stopping.decision is None


def test_an_interrupted_fit_goes_on_under_its_stopper(tmp_path: Path) -> None:
    """Its file has the points, so the decisions are those of a fit that was not interrupted."""

    def part(name: str, *, fails_after: int | None = None, initial_epoch: int = 0) -> tuple[int, Any]:
        single = stopper(path=tmp_path / f"{name}.json", horizon=EPOCHS, rule=Converged(min_delta=0.02))
        stopping = LearningCurveStopping("val_acc", stopper=single, trial="a")
        epochs = fit(Scripted(FLAT, fails_after=fails_after), stopping, initial_epoch=initial_epoch)
        return initial_epoch + epochs, stopping.decision

    whole = part("whole")
    with pytest.raises(RuntimeError, match="killed"):
        part("parts", fails_after=8)
    assert part("parts", initial_epoch=8) == whole
    assert whole[0] < EPOCHS


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(lcpfn.integrations.keras).failed == 0


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = example("keras_stopping")
    monkeypatch.setattr(module, "RATES", (1.0, 0.01))
    module.main()
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].endswith("30 of 30 epochs, horizon reached") and rows[1].endswith("hopeless")
