"""The door to logs: what Keras, Lightning, Hugging Face and Ray write, in files and folders, whole and damaged."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcpfn
from lcpfn import logs
from lcpfn.curve import Reading

ACC = [0.3, 0.45, 0.55, 0.6]


def counted(curve: lcpfn.Curve) -> bool:
    """Whether the times are 1, 2, 3, ..."""
    return curve.t.tolist() == list(range(1, len(curve) + 1))


def reading(curve: lcpfn.Curve) -> Reading:
    assert curve.reading is not None
    return curve.reading


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def keras(epochs: list[int], accuracies: list[float]) -> str:
    """As tf.keras.callbacks.CSVLogger writes it."""
    rows = [f"{epoch},{y},{1 - y},{y - 0.05},{1.1 - y}" for epoch, y in zip(epochs, accuracies)]
    return "\r\n".join(["epoch,accuracy,loss,val_accuracy,val_loss", *rows, ""])


def lightning(count: int = 4, steps: int = 10) -> str:
    """As lightning.pytorch.loggers.CSVLogger writes it: a row for each moment at which something was logged."""
    rows = ["epoch,lr-Adam,step,train_loss_epoch,train_loss_step,val_acc,val_loss"]
    for epoch in range(count):
        last = steps * (epoch + 1) - 1
        rows += [f"{epoch},,{step},,{1 / (1 + step)},," for step in range(steps * epoch + 4, last + 1, 5)]
        rows += [f",0.001,{last},,,,"]  # LearningRateMonitor knows no epoch
        rows += [f"{epoch},,{last},,,{ACC[epoch]},{1.5 - ACC[epoch]}", f"{epoch},,{last},{2 / (epoch + 1)},,,"]
    return "\n".join([*rows, ""])


def state(values: list[float], *, per_epoch: int = 500) -> str:
    """As transformers.Trainer writes it: training records between evaluations, and a summary at the end."""
    history: list[dict[str, Any]] = []
    for i, value in enumerate(values, 1):
        step, epoch = per_epoch * i, float(i)
        history += [{"epoch": epoch - 0.5, "grad_norm": 1.0, "loss": 1 / i, "step": step - per_epoch // 2}]
        history += [{"epoch": epoch, "eval_accuracy": value, "eval_loss": 2 - value, "eval_runtime": 1.5, "step": step}]
    history += [{"epoch": float(len(values)), "step": per_epoch * len(values), "total_flos": 1e12, "train_loss": 0.5}]
    document = {
        **{"best_metric": max(values), "best_model_checkpoint": None, "epoch": float(len(values))},
        **{
            "global_step": per_epoch * len(values),
            "is_local_process_zero": True,
            "log_history": history,
            "max_steps": 9,
        },
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def ray(iterations: list[int], values: list[float]) -> str:
    """As Ray Tune writes result.json."""
    lines = [
        {
            **{"mean_accuracy": value, "info": {"loss": 1 - value}, "timestamp": 1700000000 + i, "done": False},
            **{"training_iteration": i, "trial_id": "a1b2c", "date": "2026-01-01_00-00-00", "time_total_s": 2.5 * i},
            **{"hostname": "h", "config": {"lr": 0.1, "epochs": 50}},
        }
        for i, value in zip(iterations, values)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_keras(tmp_path: Path) -> None:
    path = write(tmp_path / "training.csv", keras([0, 1, 2, 3], ACC))
    for source in (path, tmp_path):
        curve = logs.read(source)
        assert (curve.name, curve.clock, counted(curve), reading(curve).replaced) == ("val_accuracy", "epoch", True, 0)
        np.testing.assert_allclose(curve.y, np.array(ACC) - 0.05)
        loss = logs.read(source, metric="val_loss")
        assert loss.metric == lcpfn.Metric("min", bounds=(0, None))


def test_keras_resumed(tmp_path: Path) -> None:
    path = write(tmp_path / "training.csv", keras([0, 1, 2, 3, 2, 3, 4], [0.1, 0.2, 0.3, 0.4, 0.35, 0.45, 0.5]))
    curve = logs.read(path, metric="accuracy")
    np.testing.assert_allclose(curve.y, [0.1, 0.2, 0.35, 0.45, 0.5])
    assert reading(curve).replaced == 2
    timed = logs.read(path, metric="accuracy", clock="epoch")
    np.testing.assert_array_equal(timed.t, range(5))
    np.testing.assert_array_equal(timed.y, curve.y)


def test_two_runs_in_one_table_are_not_a_restart(tmp_path: Path) -> None:
    path = write(tmp_path / "training.csv", keras([0, 1, 2, 0, 1, 2], [0.1, 0.2, 0.3, 0.4, 0.35, 0.45]))
    for clock in (None, "epoch", "rows"):
        with pytest.raises(ValueError, match="line 5: epoch starts over at 0: two runs in one file"):
            logs.read(path, metric="accuracy", clock=clock)


def test_lightning(tmp_path: Path) -> None:
    path = write(tmp_path / "lightning_logs" / "version_0" / "metrics.csv", lightning())
    for source in (path, path.parent, path.parent.parent, tmp_path):
        curve = logs.read(source)
        assert (curve.name, curve.clock, counted(curve)) == ("val_acc", "epoch", True)
        np.testing.assert_array_equal(curve.y, ACC)
        losses = logs.read(source, metric="train_loss_epoch")
        np.testing.assert_array_equal(losses.y, [2 / n for n in range(1, 5)])
        steps = logs.read(source, metric="train_loss_step", clock="step")
        np.testing.assert_array_equal(steps.t, range(4, 40, 5))
        with pytest.raises(ValueError, match=r"column step goes 4, 9, 14\.\.\.: say --time-column step"):
            logs.read(source, metric="train_loss_step")
        np.testing.assert_array_equal(logs.read(source, metric="train_loss_step", clock="rows").y, steps.y)
    with pytest.raises(ValueError, match=r"has no metric 'val_f1', only .*train_loss_step, val_acc, val_loss"):
        logs.read(tmp_path, metric="val_f1")


def test_hugging_face(tmp_path: Path) -> None:
    for step, count in ((1000, 2), (2000, 4), (1500, 3)):
        write(tmp_path / "out" / f"checkpoint-{step}" / "trainer_state.json", state(ACC[:count]))
    write(tmp_path / "out" / "checkpoint-2000" / "config.json", '{"model_type": "bert", "epoch": "no log"}')
    write(tmp_path / "out" / "tokenizer.json", '{\n  "version": "1.0"\n}')
    newest = tmp_path / "out" / "checkpoint-2000"
    for source in (newest / "trainer_state.json", newest, tmp_path / "out", tmp_path):
        curve = logs.read(source)
        assert (curve.name, curve.clock, counted(curve)) == ("eval_accuracy", "epoch", True)
        np.testing.assert_array_equal(curve.y, ACC)
    np.testing.assert_array_equal(logs.read(tmp_path, metric="eval_loss", clock="step").t, [500, 1000, 1500, 2000])
    with pytest.raises(ValueError, match=r"column epoch goes 0\.5, 1\.5, 2\.5"):
        logs.read(tmp_path, metric="loss")
    found = logs.runs(tmp_path)
    assert [run.name for run in found] == ["out"]
    assert "train_loss" in found[0].metrics and "epoch" not in found[0].metrics


def test_an_evaluation_that_was_repeated_at_its_step(tmp_path: Path) -> None:
    document = json.loads(state(ACC))
    document["log_history"].append({"epoch": 4.0, "eval_accuracy": 0.65, "step": 2000})
    curve = logs.read(write(tmp_path / "trainer_state.json", json.dumps(document)))
    np.testing.assert_array_equal(curve.y, [*ACC[:3], 0.65])
    assert reading(curve).replaced == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (state(ACC)[:900], r"trainer_state\.json is no whole trainer_state\.json: .*take that of an earlier"),
        ('{"log_history": 3}', r"log_history must be a list of objects"),
        ('{"log_history": [[1, 2]]}', r"log_history must be a list of objects"),
        ('{"log_history": []}', r"holds no number yet that was logged over time"),
    ],
)
def test_a_damaged_state(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "trainer_state.json", text)
    for source in (path, tmp_path):
        with pytest.raises(ValueError, match=message):
            logs.read(source)


def test_ray(tmp_path: Path) -> None:
    trial = tmp_path / "exp" / "train_a1b2c_00000"
    path = write(trial / "result.json", ray([1, 2, 3, 4], ACC))
    write(trial / "params.json", '{"lr": 0.1, "epochs": 50}')
    for source in (path, trial, tmp_path):
        curve = logs.read(source, metric="mean_accuracy")
        assert (curve.name, curve.clock, counted(curve)) == ("mean_accuracy", "training_iteration", True)
        np.testing.assert_array_equal(curve.y, ACC)
        np.testing.assert_allclose(logs.read(source, metric="info/loss").y, 1 - np.array(ACC))
        timed = logs.read(source, metric="mean_accuracy", clock="time_total_s")
        np.testing.assert_array_equal(timed.t, [2.5, 5, 7.5, 10])
    write(trial / "progress.csv", "mean_accuracy,training_iteration,extra\n0.9,1,5\n0.9,2,6\n")
    np.testing.assert_array_equal(logs.read(trial, metric="mean_accuracy").y, ACC)  # the first of two logs of one run
    np.testing.assert_array_equal(logs.read(trial, metric="extra").y, [5, 6])
    write(trial.with_name("train_a1b2c_00001") / "result.json", ray([1, 2], ACC))
    with pytest.raises(ValueError, match="2 runs with mean_accuracy: train_a1b2c_00000, train_a1b2c_00001; say --run"):
        logs.read(tmp_path / "exp", metric="mean_accuracy")
    assert len(logs.read(tmp_path, metric="mean_accuracy", run="train_a1b2c_00001")) == 2


def test_a_trial_of_ray_that_was_restored(tmp_path: Path) -> None:
    text = ray([1, 2, 3, 2, 3, 4], [0.1, 0.2, 0.3, 0.25, 0.35, 0.4])
    path = write(tmp_path / "result.json", text + '{"mean_accuracy": 0.5, "tr')  # and killed while it was writing
    curve = logs.read(path, metric="mean_accuracy")
    np.testing.assert_array_equal(curve.y, [0.1, 0.25, 0.35, 0.4])
    assert reading(curve).replaced == 2
    np.testing.assert_array_equal(logs.read(path, metric="mean_accuracy", clock="rows").y, curve.y)
    again = write(tmp_path / "again" / "result.json", ray([1, 2, 1, 2, 3], [0.9, 0.9, 0.1, 0.2, 0.3]))
    np.testing.assert_array_equal(logs.read(again, metric="mean_accuracy").y, [0.1, 0.2, 0.3])  # from the start


def test_json_lines_with_odd_values(tmp_path: Path) -> None:
    lines = [
        '{"step": 0, "acc": NaN, "note": "a"}',
        '{"step": 1, "acc": 0.5, "ok": true}',
        "",
        '{"step": 2, "acc": Infinity}',
    ]
    path = write(tmp_path / "log.jsonl", "\n".join(lines))
    curve = logs.read(tmp_path)
    np.testing.assert_array_equal(curve.y, [np.nan, 0.5, np.nan])  # nothing measured yet, a value, divergence
    assert (curve.diverged_at, reading(curve).not_finite) == (3, 2)
    with pytest.raises(ValueError, match="has no metric 'note', only acc"):
        logs.read(path, metric="note")
    write(path, '{"step": 0, "acc": 0.1}\nno json\n{"step": 1, "acc": 0.2}\n')
    with pytest.raises(ValueError, match=r"log.jsonl, line 2: no JSON"):
        logs.read(path)
    write(path, '{"step": 0, "acc": 0.1}\n[1]\n')
    with pytest.raises(ValueError, match=r"line 2: expected a JSON object, got '\[1\]'"):
        logs.read(path)
    write(path, '{"step": 0, "note": "a"}\n')
    with pytest.raises(ValueError, match="holds no number yet"):
        logs.read(path)


def test_a_column_with_a_word_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "metrics.csv", "epoch,acc,note\n1,0.5,a\n2,0.6,b\n")
    with pytest.raises(ValueError, match="has no metric 'note', only acc"):
        logs.read(tmp_path, metric="note")
    write(tmp_path / "metrics.csv", "epoch,acc\n1,0.5\n2,0.6,7\n")
    with pytest.raises(ValueError, match="line 3: 3 cells where the header has 2"):
        logs.read(tmp_path, metric="acc")


def test_what_else_lies_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "data.csv", "label,text\n1,one\n")
    write(tmp_path / "notes.txt", "epoch,acc\n1,0.5\n")
    write(tmp_path / "hparams.yaml", "lr: 0.1\n")
    write(tmp_path / "out.log", "Epoch 1: 0.5\n")
    write(tmp_path / "list.json", "[1, 2, 3]")
    write(tmp_path / "broken.json", "{")
    write(tmp_path / ".hidden" / "metrics.csv", "epoch,acc\n1,0.1\n")
    write(tmp_path / "empty" / "metrics.csv", "")
    write(tmp_path / "begun" / "metrics.csv", "epoch,acc\n")
    write(tmp_path / "begun" / "result.json", "")
    (tmp_path / "model.bin").write_bytes(bytes(range(256)))
    (tmp_path / "gone.csv").symlink_to(tmp_path / "absent")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path} holds no log that can be read: no event file")):
        logs.read(tmp_path)
    write(tmp_path / "train" / "metrics.csv", "epoch,acc\n1,0.5\n2,0.6\n")
    np.testing.assert_array_equal(logs.read(tmp_path).y, [0.5, 0.6])


def test_which_metric_is_asked_when_it_is_not_clear(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", '{"step": 0, "a": 0.1, "b": 1}\n{"step": 1, "a": 0.2, "b": 2}\n')
    with pytest.raises(ValueError, match=r"which metric to forecast. Say --metric NAME; there are a, b"):
        logs.read(path)
    write(path, "".join(json.dumps({"step": i, **{f"m{k}": 1 for k in range(30)}}) + "\n" for i in range(2)))
    with pytest.raises(ValueError, match=r"only m0, m1, .*m19, 10 more"):
        logs.read(path, metric="x")


def test_names_may_differ_in_capitals_and_separators(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", '{"step": 0, "Val/Acc": 0.1, "val_loss": 1, "Val/Loss": 2}\n')
    assert logs.read(path, metric="val_acc").name == logs.read(path).name == "Val/Acc"
    assert logs.read(path, metric="val_loss").name == "val_loss"
    with pytest.raises(ValueError, match="no metric 'VAL-LOSS', only"):  # either could be meant
        logs.read(path, metric="VAL-LOSS")


def test_what_is_no_log_is_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "list.txt", "0.1 0.2 0.3")
    assert [(run.name, run.metrics) for run in logs.runs(path)] == [("list.txt", ("1",))]
    np.testing.assert_array_equal(logs.read(path).y, [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="is a table, which is one run: leave out --run a"):
        logs.read(path, run="a")
    with pytest.raises(ValueError, match="holds JSON objects"):
        logs.read(write(path, '{"acc": "high"}'))
    with pytest.raises(FileNotFoundError, match="absent"):
        logs.read(tmp_path / "absent")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_numbers_survive_the_way_through_json(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("json") / "log.jsonl"
    path.write_text("".join(json.dumps({"step": i, "x": value}) + "\n" for i, value in enumerate(values)))
    np.testing.assert_array_equal(logs.read(path).y, values)


@given(st.binary(max_size=80))
def test_any_file_gives_a_curve_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "log"
    path.write_bytes(data)
    message = str(path)
    try:
        logs.read(path)
    except ValueError as error:
        message = str(error)
    assert message.startswith(str(path))


def test_five_lines_forecast_a_run(tmp_path: Path) -> None:
    write(tmp_path / "metrics.csv", lightning())
    curve = logs.read(tmp_path, metric="val_acc")
    belief = lcpfn.load().predict(curve.y, t=curve.t, horizon=50, metric=curve.metric)
    assert belief.shape == (46,)
    assert 0.55 < belief.median()[-1] < 0.9
