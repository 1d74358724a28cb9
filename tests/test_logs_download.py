"""Tables as web pages hand them out: TensorBoard's downloads, and exports of panels of Weights & Biases."""

import json
from pathlib import Path

import numpy as np
import pytest

from lcpfn import cli, logs

STEPS, ACC = [0, 500, 1000, 1500], [0.304, 0.51, 0.59, 0.635]


def tensorboard(folder: Path, name: str, values: list[float]) -> Path:
    path = folder / f"{name}.csv"
    rows = [f"{1.7e9 + 30.25 * i},{step},{y!r}" for i, (step, y) in enumerate(zip(STEPS, values))]
    path.write_text("\n".join(["Wall time,Step,Value", *rows, ""]))
    return path


def test_the_files_name_says_what_it_is(tmp_path: Path) -> None:
    path = tensorboard(tmp_path, "run-train-tag-val_loss (1)", ACC)
    with pytest.raises(ValueError, match=r"column Step goes 0, 500, 1000\.\.\.: say --time-column Step"):
        logs.read(path)
    curve = logs.read(path, clock="Step")
    assert curve.name == "val_loss" and curve.metric is not None and curve.metric.direction == "min"
    np.testing.assert_array_equal(curve.y, ACC)
    np.testing.assert_array_equal(curve.t, STEPS)
    as_json = tmp_path / "run-train-tag-val_loss.json"
    as_json.write_text(json.dumps([[1.7e9 + i, step, y] for i, (step, y) in enumerate(zip(STEPS, ACC))]))
    again = logs.read(as_json, clock="Step")
    assert (again.name, again.y.tolist(), again.t.tolist()) == ("val_loss", ACC, STEPS)


def test_a_folder_of_downloads(tmp_path: Path) -> None:
    for run in ("train", "validation"):
        for tag in ("acc", "loss"):
            tensorboard(tmp_path, f"run-{run}-tag-{tag}", [y + (run == "train") for y in ACC])
    with pytest.raises(ValueError, match="holds 2 runs with loss: train, validation; say --run NAME"):
        logs.read(tmp_path, metric="loss")
    np.testing.assert_array_equal(logs.read(tmp_path, metric="acc", run="validation", clock="Step").y, ACC)


PANEL = """"Step","calm-lake-3 - val_acc","calm-lake-3 - val_acc__MIN","calm-lake-3 - val_acc__MAX",\
"a - b - val_acc","a - b - val_acc__MIN","a - b - val_acc__MAX"
"99","0.30","0.30","0.30","","",""
"149","","","","0.11","0.11","0.11"
"199","0.51","0.50","0.52","0.22","0.22","0.22"
"299","0.59","0.58","0.60","","",""
"""


def test_a_panel_holds_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wandb_export.csv"
    path.write_text(PANEL)
    for where in (path, tmp_path):
        with pytest.raises(ValueError, match="holds 2 runs with val_acc: calm-lake-3, a - b; say --run NAME"):
            logs.read(where, metric="val_acc")
        curve = logs.read(where, metric="val_acc", run="calm-lake-3", clock="Step")
        assert (curve.y.tolist(), curve.t.tolist()) == ([0.3, 0.51, 0.59], [99, 199, 299])
        assert curve.metric is not None and curve.metric.bounds == (0, 1)
        other = logs.read(where, run="a - b", clock="Step")
        assert (other.y.tolist(), other.t.tolist()) == ([0.11, 0.22], [149, 199])
    question = ["predict", str(path), "--metric", "val_acc", "--time-column", "Step", "--horizon", "999", "--json"]
    assert cli.main([*question, "--run", "calm-lake-3"]) == 0
    assert json.loads(capsys.readouterr().out)["observed"]["count"] == 3


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wandb_export.csv"
    path.write_text(PANEL.replace('"0.51"', '"many"'))
    with pytest.raises(ValueError, match=r"wandb_export\.csv, line 4, column val_acc: 'many' is not a number"):
        logs.read(path, run="calm-lake-3", clock="Step")
    path.write_text(PANEL + '"399","0.6"\n"499","0.6"\n')
    with pytest.raises(ValueError, match=r"wandb_export\.csv, line 6: 2 cells where the header has 7"):
        logs.read(path, run="calm-lake-3", clock="Step")
