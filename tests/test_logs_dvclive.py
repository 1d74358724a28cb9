"""Folders of tab-separated tables, as DVCLive 3.49 and CatBoost 1.2 wrote them when they were asked to."""

import json
from pathlib import Path

import pytest

from lcpfn import cli, logs


def write(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*rows, ""]))


def dvclive(folder: Path) -> Path:
    plots = folder / "plots" / "metrics"
    write(plots / "train" / "loss.tsv", "step\tloss", "0\t2.0", "1\t1.0", "2\t0.7")
    rows = [f"17960931096{70 + i}\t{i}\t{y}" for i, y in enumerate((0.1, 0.25, 0.3))]
    write(plots / "val" / "acc.tsv", "timestamp\tstep\tacc", *rows)
    write(plots / "lr.tsv", "step\tlr")
    write(plots / "eps.tsv", "")
    write(folder / "metrics.json", json.dumps({"train": {"loss": 0.7}, "val": {"acc": 0.3}, "step": 2}, indent=4))
    return folder


def test_a_folder_of_dvclive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = dvclive(tmp_path / "dvclive")
    for where in (folder, tmp_path):
        for name in ("val/acc", "val_acc", "acc"):
            curve = logs.read(where, metric=name)
            assert (curve.name, curve.y.tolist(), curve.clock) == ("val/acc", [0.1, 0.25, 0.3], "step")
    assert logs.read(folder).name == "val/acc"  # well known
    with pytest.raises(ValueError, match=r"has no metric 'f1', only train/loss, val/acc$"):
        logs.read(folder, metric="f1")
    assert cli.main(["predict", str(folder), "--metric", "train/loss", "--horizon", "9", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["metric"]["direction"], document["observed"]["count"]) == ("min", 3)


def test_a_short_name_that_two_metrics_end_with_is_asked_for(tmp_path: Path) -> None:
    folder = dvclive(tmp_path)
    write(folder / "plots" / "metrics" / "val" / "loss.tsv", "step\tloss", "0\t2.5")
    with pytest.raises(ValueError, match="has no metric 'loss', only train/loss, val/acc, val/loss"):
        logs.read(folder, metric="loss")


def test_two_runs_of_dvclive(tmp_path: Path) -> None:
    dvclive(tmp_path / "a")
    dvclive(tmp_path / "b")
    with pytest.raises(ValueError, match="holds 2 runs with acc: a, b; say --run NAME"):
        logs.read(tmp_path, metric="acc")
    assert len(logs.read(tmp_path, metric="acc", run="b")) == 3


def test_a_folder_of_catboost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "catboost_info"
    write(folder / "learn_error.tsv", "iter\tAccuracy\tLogloss", "0\t0.765\t0.66", "1\t0.785\t0.63")
    write(folder / "test_error.tsv", "iter\tAccuracy\tLogloss\tAUC", "0\t0.66\t0.67\t0.75", "1\t0.67\t0.65\t0.76")
    write(folder / "time_left.tsv", "iter\tPassed\tRemaining", "0\t47\t235", "1\t47\t95")
    write(folder / "catboost_training.json", '{"meta":{"iteration_count":6},"iterations":[{"learn":[0.7]}]}')
    write(folder / "learn" / "events.out.tfevents", "")
    for where in (folder, tmp_path):
        curve = logs.read(where, metric="test/logloss")
        assert (curve.name, curve.y.tolist(), curve.clock) == ("test/Logloss", [0.67, 0.65], "iter")
        assert logs.read(where, metric="AUC").y.tolist() == [0.75, 0.76]
    with pytest.raises(ValueError, match="only learn/Accuracy, learn/Logloss, test/Accuracy, test/Logloss, test/AUC"):
        logs.read(folder, metric="loss_of_all")
    assert cli.main(["predict", str(folder), "--metric", "test/Logloss", "--horizon", "9", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metric"]["direction"] == "min"


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    folder = dvclive(tmp_path)
    write(folder / "plots" / "metrics" / "val" / "acc.tsv", "step\tacc", "0\t0.1", "1\thigh")
    with pytest.raises(ValueError, match=r"acc\.tsv, line 3, column val/acc: 'high' is not a number"):
        logs.read(folder, metric="acc")
