"""The callback in real fits of Lightning, with modules that log what they are told."""

from __future__ import annotations

import doctest
import logging
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loops import EPOCHS, FLAT, RISING, example, random_states_kept
from trials import BAD, GOOD, stopper

from lcpfn.stopping import Decision, Incumbent

lightning = pytest.importorskip("lightning", reason="needs '.[lightning]', see CONTRIBUTING.md")
import torch  # noqa: E402
from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402

import lcpfn.integrations.lightning  # noqa: E402
from lcpfn.integrations.lightning import LearningCurveStopping  # noqa: E402

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    with random_states_kept():
        yield


class Scripted(lightning.LightningModule):
    """Logs the next of the values at each validation, or at each training step."""

    def __init__(self, values: list[float], *, name: str = "val_acc", fails_after: int | None = None) -> None:
        super().__init__()
        self.values, self.name, self.fails_after = values, name, fails_after
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: Any) -> Any:
        if self.current_epoch == self.fails_after:
            raise RuntimeError("killed")
        if self.name.startswith("train_"):
            self.log(self.name, self.values[self.current_epoch], on_step=False, on_epoch=True)
        return self.layer(batch).square().mean()

    def validation_step(self, batch: Any) -> None:
        epochs = self.trainer.global_step / 4 if self.trainer.val_check_interval == 0.5 else self.current_epoch
        self.log(self.name, self.values[int(epochs)])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Watch(lightning.Callback):
    """Keeps the decision after each validation."""

    def __init__(self, stopping: LearningCurveStopping) -> None:
        self.stopping = stopping
        self.decisions: list[Decision | None] = []

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self.decisions.append(self.stopping.decision)


def fit(module: Scripted, *callbacks: Any, ckpt_path: Path | None = None, validate: bool = True, **options: Any) -> Any:
    options = {"max_epochs": EPOCHS, "enable_checkpointing": False, **options}
    trainer = lightning.Trainer(
        callbacks=list(callbacks),
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    batches = torch.utils.data.DataLoader(torch.ones(4, 1))
    trainer.fit(module, batches, batches if validate else None, ckpt_path=ckpt_path)
    return trainer


def alone(monitor: str = "val_acc", **options: Any) -> LearningCurveStopping:
    return LearningCurveStopping(monitor, **{"min_delta": 0.02, **options})


@pytest.mark.parametrize("name", ["val_acc", "val_error"])
def test_a_flat_run_is_stopped_and_a_rising_one_is_not(name: str, caplog: pytest.LogCaptureFixture) -> None:
    flat, rising = ([y if name == "val_acc" else 1 - y for y in values] for values in (FLAT, RISING))
    stopping = alone(name)
    with caplog.at_level(logging.WARNING, "lcpfn"):
        epochs = fit(Scripted(flat, name=name), stopping).current_epoch
    assert stopping.decision is not None and stopping.decision.reason == "converged" and epochs < EPOCHS
    assert [f"{name}: stops at {epochs} of {EPOCHS}: converged" in line for line in caplog.messages].count(True) == 1
    assert fit(Scripted(rising, name=name), alone(name)).current_epoch == EPOCHS


class Training(Scripted):
    """Logs the same as a metric of training, which is known once the epoch is over, after validation."""

    def training_step(self, batch: Any) -> Any:
        self.log("train_acc", FLAT[self.current_epoch], on_step=False, on_epoch=True)
        return super().training_step(batch)


def test_a_training_metric_is_judged_beside_validation() -> None:
    stopping = alone("train_acc")
    epochs = fit(Training(RISING), stopping).current_epoch
    assert stopping.decision is not None and stopping.decision.reason == "converged" and epochs < EPOCHS
    points = stopping.state_dict()["points"]
    assert list(points) == list(range(1, epochs + 1)) and list(points.values()) == pytest.approx(FLAT[:epochs])
    with pytest.raises(ValueError, match=r"monitor must name a metric that is logged, got 'training_acc' of \["):
        fit(Training(RISING), alone("training_acc"))


def test_runs_that_share_a_stopper_with_a_file(tmp_path: Path) -> None:
    path, epochs = tmp_path / "runs.json", {}
    for name, values in (("good", GOOD), ("bad", BAD)):
        stopping = LearningCurveStopping("val_acc", stopper=stopper(path=path), trial=name)
        epochs[name] = fit(Scripted(values), stopping, max_epochs=30).current_epoch
    assert stopping.decision is not None and stopping.decision.reason == "hopeless"
    assert epochs["bad"] < epochs["good"] == 30
    assert stopper(path=path).incumbent == Incumbent("good", pytest.approx(GOOD[-1]))


def test_the_horizon_is_the_trainers_unless_it_is_given() -> None:
    for options, horizon in (({}, 6), ({"horizon": 9}, 9)):
        stopping = alone(**options)
        watch = Watch(stopping)
        fit(Scripted(RISING), stopping, watch, max_epochs=6)
        assert watch.decisions[4] is not None and watch.decisions[4].run is not None
        assert watch.decisions[4].run.horizon == horizon
        assert [each.reason for each in watch.decisions if each].count("horizon reached") == (horizon == 6)
    with pytest.raises(ValueError, match="the trainer's limit is -1: give horizon="):
        fit(Scripted(FLAT), alone(), max_epochs=-1)


@pytest.mark.parametrize("options", [{"max_steps": 16}, {"val_check_interval": 0.5, "max_epochs": 4}])
def test_time_is_optimizer_steps_where_epochs_do_not_count(options: dict[str, Any]) -> None:
    stopping = alone(min_points=99)
    fit(Scripted(RISING), stopping, **options)
    step = 2 if "val_check_interval" in options else 4  # an epoch has 4 steps
    assert list(stopping.state_dict()["points"]) == list(range(step, 17, step))
    assert stopping.decision is not None and stopping.decision.detail == "the run is at 16 of 16: finish it"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite(value: float) -> None:
    stopping = alone()
    assert fit(Scripted([0.5, 0.55, value, 0.6]), stopping).current_epoch == 3
    assert stopping.decision is not None and stopping.decision.reason == "diverged"


def test_a_metric_that_is_missing() -> None:
    with pytest.raises(ValueError, match=r"must name a metric that is logged, got 'val_f1' of \['val_acc'\]"):
        fit(Scripted(FLAT), alone("val_f1"))


def test_validation_outside_of_training_is_not_looked_at() -> None:
    stopping, module = alone(), Scripted(RISING)
    trainer = fit(module, stopping, max_epochs=3, num_sanity_val_steps=2)
    points = stopping.state_dict()["points"]
    assert list(points) == [1, 2, 3]
    trainer.validate(module, torch.utils.data.DataLoader(torch.ones(4, 1)), verbose=False)
    assert stopping.state_dict()["points"] == points
    stopping = alone()
    fit(Scripted(RISING), stopping, fast_dev_run=True)
    assert stopping.decision is None


def test_a_fit_without_validation_is_judged_after_each_epoch() -> None:
    stopping = alone("train_acc")
    epochs = fit(Scripted(FLAT, name="train_acc"), stopping, validate=False).current_epoch
    assert len(stopping.state_dict()["points"]) == epochs < EPOCHS


def test_a_fit_that_is_resumed_is_judged_as_if_it_had_not_been_interrupted(tmp_path: Path) -> None:
    stopping = alone()
    whole = Watch(stopping)
    fit(Scripted(FLAT), stopping, whole)
    stopping = alone()
    first, keep = Watch(stopping), ModelCheckpoint(tmp_path, save_last=True)
    with pytest.raises(RuntimeError, match="killed"):
        fit(Scripted(FLAT, fails_after=8), stopping, first, keep, enable_checkpointing=True)
    stopping = alone()
    second = Watch(stopping)
    keep = ModelCheckpoint(tmp_path, save_last=True)
    fit(Scripted(FLAT), stopping, second, keep, ckpt_path=tmp_path / "last.ckpt", enable_checkpointing=True)
    assert len(first.decisions) == 8 and len(second.decisions) > 1
    assert first.decisions + second.decisions == whole.decisions


def test_an_interrupted_fit_goes_on_under_its_stopper(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"

    def part(*, resume: bool, **options: Any) -> None:
        stopping = LearningCurveStopping("val_acc", stopper=stopper(path=path), trial="a")
        callbacks = stopping, ModelCheckpoint(tmp_path, save_last=True)
        ckpt_path = tmp_path / "last.ckpt" if resume else None
        fit(Scripted(GOOD, **options), *callbacks, max_epochs=30, ckpt_path=ckpt_path, enable_checkpointing=True)

    with pytest.raises(RuntimeError, match="killed"):
        part(resume=False, fails_after=8)
    assert stopper(path=path).incumbent is None
    part(resume=True)
    assert stopper(path=path).incumbent == Incumbent("a", pytest.approx(GOOD[-1]))


def test_two_callbacks_in_one_checkpoint() -> None:
    assert alone("val_acc").state_key != alone("val_loss").state_key


RANKS = """
import sys
sys.path.insert(0, sys.argv[1])
import test_lightning as tests
from trials import UNIT

class Module(tests.Scripted):
    def on_fit_start(self):
        rank = self.trainer.global_rank
        self.values = [55.0] if flat is None and rank == 0 else tests.FLAT if rank == flat else tests.RISING

for flat in (0, 1, None):  # which rank sees a flat curve; None: rank 0 sees a percentage
    stopping = tests.alone(metric=UNIT)
    try:
        trainer = tests.fit(Module([]), stopping, strategy="ddp", devices=2)
    except ValueError as error:
        rank, said = tests.torch.distributed.get_rank(), str(error)[:30]
    else:
        rank, said = trainer.global_rank, f"{trainer.current_epoch} {stopping.decision.reason}"
    with open(f"{sys.argv[2]}/{rank}", "a") as file:
        print(said, file=file)
"""


@pytest.mark.slow
def test_two_ranks_decide_alike(tmp_path: Path) -> None:
    """Rank 0 decides: its own values count, its errors are raised everywhere."""
    script = tmp_path / "script.py"
    script.write_text(RANKS)
    command = [sys.executable, str(script), str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    said = [(tmp_path / rank).read_text().splitlines() for rank in "01"]
    assert said[0] == said[1]
    stopped, whole, error = said[0]
    assert stopped.endswith("converged") and int(stopped.split()[0]) < EPOCHS
    assert whole == f"{EPOCHS} horizon reached"
    assert error.startswith("y must lie in [0, 1]")


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(lcpfn.integrations.lightning).failed == 0


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = example("lightning_stopping")
    monkeypatch.setattr(module, "RATES", (1.0, 0.01))
    module.main()
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].endswith("30 of 30 epochs, horizon reached")
    assert rows[1].endswith("hopeless")
