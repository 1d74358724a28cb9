"""Optuna and MLflow: their schemas written by hand, as neither is in the test environment; with them where they are."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lcpfn
from lcpfn import logs
from lcpfn.curve import Reading

# As Optuna 5.0 and MLflow 3.17 create them, without tables and columns that are not read.
OPTUNA = """
CREATE TABLE studies (study_id INTEGER NOT NULL, study_name VARCHAR(512) NOT NULL, PRIMARY KEY (study_id));
CREATE TABLE study_directions (study_direction_id INTEGER NOT NULL, direction VARCHAR(8) NOT NULL,
    study_id INTEGER NOT NULL, objective INTEGER NOT NULL, PRIMARY KEY (study_direction_id));
CREATE TABLE trials (trial_id INTEGER NOT NULL, number INTEGER, study_id INTEGER, state VARCHAR(8) NOT NULL,
    datetime_start DATETIME, datetime_complete DATETIME, PRIMARY KEY (trial_id));
CREATE TABLE trial_intermediate_values (trial_intermediate_value_id INTEGER NOT NULL, trial_id INTEGER NOT NULL,
    step INTEGER NOT NULL, intermediate_value FLOAT, intermediate_value_type VARCHAR(7) NOT NULL,
    PRIMARY KEY (trial_intermediate_value_id), UNIQUE (trial_id, step));
INSERT INTO studies VALUES (1, 'first'), (3, 'second');
INSERT INTO study_directions VALUES (1, 'MAXIMIZE', 1, 0), (3, 'MINIMIZE', 3, 0);
INSERT INTO trials VALUES (1, 0, 1, 'COMPLETE', '', ''), (2, 0, 3, 'PRUNED', '', ''), (3, 1, 3, 'RUNNING', '', NULL);
INSERT INTO trial_intermediate_values VALUES (1, 1, 1, 0.2, 'FINITE'), (2, 1, 0, 0.1, 'FINITE'),
    (3, 2, 0, NULL, 'NAN'), (4, 2, 1, 2.5, 'FINITE'), (5, 2, 2, NULL, 'INF_POS'), (6, 2, 3, NULL, 'INF_NEG');
"""
OLD_OPTUNA = """
CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR(512), direction VARCHAR(8));
CREATE TABLE trials (trial_id INTEGER PRIMARY KEY, number INTEGER, study_id INTEGER, state VARCHAR(8), value FLOAT);
CREATE TABLE trial_intermediate_values (trial_intermediate_value_id INTEGER PRIMARY KEY, trial_id INTEGER, step INTEGER,
    intermediate_value FLOAT);
INSERT INTO studies VALUES (1, 'old', 'MAXIMIZE');
INSERT INTO trials VALUES (1, 0, 1, 'RUNNING', NULL);
INSERT INTO trial_intermediate_values VALUES (1, 1, 1, 0.2), (2, 1, 2, NULL), (3, 1, 3, 0.4);
"""
MLFLOW = """
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), start_time BIGINT, lifecycle_stage VARCHAR(20),
    experiment_id INTEGER, PRIMARY KEY (run_uuid));
CREATE TABLE latest_metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, step BIGINT NOT NULL,
    is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY ("key", run_uuid));
CREATE TABLE metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
    run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
    PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan));
INSERT INTO runs VALUES ('aaa', 'calm-owl-1', 1, 'active', 0), ('bbb', 'calm-owl-2', 2, 'active', 0),
    ('ccc', 'gone', 3, 'deleted', 0), ('ddd', '', 4, 'active', 0);
INSERT INTO metrics VALUES ('val/acc', 0.3, 1700000000003, 'aaa', 2, 0), ('val/acc', 0.1, 1700000000001, 'aaa', 0, 0),
    ('val/acc', 0.9, 1700000000002, 'aaa', 1, 0), ('val/acc', 0.2, 1700000000004, 'aaa', 1, 0),
    ('val_loss', 0.0, 1700000000001, 'aaa', 0, 1), ('val_loss', 1.7976931348623157e308, 1700000000002, 'aaa', 1, 0),
    ('val_loss', -1.7976931348623157e308, 1700000000003, 'aaa', 2, 0), ('val_loss', 0.5, 1700000000004, 'aaa', 3, 0),
    ('val_loss', 0.7, 1700000000002, 'bbb', 0, 0), ('val_loss', 0.6, 1700000000003, 'bbb', 0, 0),
    ('val_loss', 0.9, 1700000000001, 'bbb', 0, 0), ('f1', 0.5, 1700000000001, 'ccc', 0, 0),
    ('f1', 0.5, 1700000000001, 'ddd', 1, 0);
"""


def counted(curve: lcpfn.Curve) -> bool:
    """Whether the times are 1, 2, 3, ..."""
    return curve.t.tolist() == list(range(1, len(curve) + 1))


def reading(curve: lcpfn.Curve) -> Reading:
    assert curve.reading is not None
    return curve.reading


def database(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def journal(path: Path, operations: list[dict[str, Any]], *, rest: str = "") -> Path:
    lines = [json.dumps({"worker_id": "w", **operation}, separators=(",", ":")) + "\n" for operation in operations]
    path.write_text("".join(lines) + rest)
    return path


def study(name: str, direction: int) -> dict[str, Any]:
    return {"op_code": 0, "study_name": name, "directions": [direction]}


def trial(of: int, **more: Any) -> dict[str, Any]:
    return {"op_code": 4, "study_id": of, "datetime_start": "2026-01-01T00:00:00.000000+00:00", **more}


def report(of: int, step: int, value: float) -> dict[str, Any]:
    return {"op_code": 7, "trial_id": of, "step": step, "intermediate_value": value}


def named(path: Path) -> list[str]:
    return [run.name for run in logs.runs(path)]


def test_trials_of_an_optuna_database(tmp_path: Path) -> None:
    path = database(tmp_path / "study.sqlite3", OPTUNA)
    assert named(path) == named(tmp_path) == ["first/0", "second/0"]  # the third has reported nothing
    first = logs.read(path, run="first")
    assert (first.name, first.clock, reading(first).direction) == ("value", "step", "max")
    np.testing.assert_array_equal(first.y, [0.1, 0.2])
    second = logs.read(tmp_path, metric="value", run="second/0")
    np.testing.assert_array_equal(second.y, [np.nan, 2.5, np.nan, np.nan])
    assert (second.diverged_at, reading(second).not_finite) == (3, 3)
    assert second.metric is not None and second.metric.direction == "min"
    with pytest.raises(ValueError, match="holds 2 runs: first/0, second/0; say --run NAME"):
        logs.read(path)
    with pytest.raises(ValueError, match="has 2 runs '0': first/0, second/0"):
        logs.read(path, run="0")
    with pytest.raises(ValueError, match="no metric 'val_acc', only value"):
        logs.read(path, metric="val_acc", run="first/0")


def test_an_optuna_database_of_version_2(tmp_path: Path) -> None:
    curve = logs.read(database(tmp_path / "x.db", OLD_OPTUNA))
    np.testing.assert_array_equal(curve.y, [0.2, np.nan, 0.4])
    assert reading(curve).direction is None


def test_trials_of_an_optuna_journal(tmp_path: Path) -> None:
    operations = [
        study("first", 2),
        study("gone", 1),
        study("first", 1),  # refused: there is one of that name
        trial(0),
        trial(1),
        report(0, 1, 0.2),
        report(0, 0, 0.1),
        report(1, 0, 9.0),
        {"op_code": 1, "study_id": 1},
        study("second", 1),
        trial(1),  # refused: its study is deleted
        {"op_code": 8, "trial_id": 0, "user_attr": {"a": 1}},
        trial(2, state=4),
        trial(2, intermediate_values={"0": 2.5, "1": float("nan")}),  # copied from elsewhere
        report(3, 2, float("inf")),
        {"op_code": 6, "trial_id": 0, "state": 1, "values": [0.2]},
    ]
    path = journal(tmp_path / "journal.log", operations, rest='{"op_code":7,"worker_')  # cut off
    assert named(path) == named(tmp_path) == ["first/0", "second/1"]
    first, second = logs.read(path, run="first/0"), logs.read(path, run="second/1")
    np.testing.assert_array_equal(first.y, [0.1, 0.2])
    np.testing.assert_array_equal(second.y, [2.5, np.nan, np.nan])
    assert second.diverged_at == 2
    assert (reading(first).direction, reading(second).direction) == ("max", "min")


def test_a_journal_with_an_operation_that_lacks_something(tmp_path: Path) -> None:
    path = journal(tmp_path / "journal.log", [study("s", 1), trial(0), {"op_code": 7, "trial_id": 0, "step": 1}])
    with pytest.raises(ValueError, match=r"journal.log, line 3: no operation of an Optuna journal.*intermediate_value"):
        logs.read(path)


def test_runs_of_an_mlflow_database(tmp_path: Path) -> None:
    path = database(tmp_path / "mlflow.db", MLFLOW)
    assert named(path) == named(tmp_path) == ["calm-owl-1/aaa", "calm-owl-2/bbb", "ddd"]
    curve = logs.read(path, metric="val_acc", run="aaa")
    np.testing.assert_array_equal(curve.y, [0.1, 0.2, 0.3])  # by step, and the later of two
    assert (curve.name, curve.clock, counted(curve)) == ("val/acc", "step", True)
    np.testing.assert_array_equal(logs.read(path, metric="val_acc").y, curve.y)  # no other run has it
    odd = logs.read(path, metric="val_loss", run="calm-owl-1")
    np.testing.assert_array_equal(odd.y, [np.nan, np.nan, np.nan, 0.5])
    assert (odd.diverged_at, reading(odd).not_finite) == (None, 3)
    by_time = logs.read(path, metric="val_loss", run="calm-owl-2")
    np.testing.assert_array_equal(by_time.y, [0.9, 0.7, 0.6])  # all logged without a step
    assert (by_time.clock, counted(by_time)) == ("t", True)
    with pytest.raises(ValueError, match="2 runs with val_loss: calm-owl-1/aaa, calm-owl-2/bbb"):
        logs.read(path, metric="val_loss")


@pytest.mark.parametrize("script", ["", "CREATE TABLE runs (x INTEGER); CREATE TABLE metrics (y INTEGER);"])
def test_another_database(tmp_path: Path, script: str) -> None:
    path = database(tmp_path / "x.db", script + "CREATE TABLE t (x INTEGER);")
    with pytest.raises(ValueError, match="is an SQLite database, but neither Optuna's nor MLflow's"):
        logs.read(path)
    with pytest.raises(ValueError, match="holds no log that can be read"):
        logs.read(tmp_path)


def test_a_damaged_database(tmp_path: Path) -> None:
    path = database(tmp_path / "x.db", OPTUNA)
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 5000)
    with pytest.raises(ValueError, match=r"x\.db cannot be read as an SQLite database: "):
        logs.read(path)


def store(folder: Path, run: str, name: str, *, stage: str = "active", **files: str) -> Path:
    """A run in the file store of MLflow."""
    place = folder / run
    (place / "metrics").mkdir(parents=True)
    (place / "meta.yaml").write_text(f"experiment_id: '1'\nlifecycle_stage: {stage}\nrun_id: {run}\nrun_name: {name}\n")
    for metric, text in files.items():
        path = place / "metrics" / metric.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return place


def test_runs_of_the_file_store(tmp_path: Path) -> None:
    experiment = tmp_path / "mlruns" / "1"
    acc = "1700000000001 0.1 0\n1700000000002 0.9 1\n1700000000004 0.2 1\n1700000000003 0.3 2\n17000000000"
    place = store(experiment, "aaa", "calm-owl-1", val__acc=acc, val_loss="1700000000001 nan 0\n1700000000002 inf 1\n")
    store(
        experiment, "bbb", "'quoted: name'", f1="1700000000002 0.3\n1700000000001 0.2\n", new="1700000000000 1 0 d x\n"
    )
    store(experiment, "ccc", "gone", stage="deleted", f1="1700000000001 0.5 0\n")
    assert named(tmp_path) == ["calm-owl-1/aaa", "quoted: name/bbb"]
    for source in (tmp_path, tmp_path / "mlruns", experiment, place, place / "metrics" / "val" / "acc"):
        curve = logs.read(source, metric="acc" if source.name == "acc" else "val_acc")
        np.testing.assert_array_equal(curve.y, [0.1, 0.2, 0.3])
        assert (curve.clock, counted(curve)) == ("step", True)
    np.testing.assert_array_equal(logs.read(tmp_path, metric="f1").y, [0.2, 0.3])  # old files have no steps
    with pytest.raises(ValueError, match="column val_loss holds no number that is finite"):
        logs.read(tmp_path, metric="val_loss")


def test_a_damaged_file_of_a_metric(tmp_path: Path) -> None:
    place = store(tmp_path, "aaa", "x", acc="1700000000001 0.1 0\n1700000000002 much 1\n1700000000003 0.3 2\n")
    with pytest.raises(ValueError, match=r"acc, line 2: expected TIMESTAMP VALUE STEP, got '1700000000002 much 1'"):
        logs.read(place, metric="acc")


def test_what_optuna_stores(tmp_path: Path) -> None:
    optuna: Any = pytest.importorskip("optuna")
    from_file = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "j.log")))
    for storage, path in ((f"sqlite:///{tmp_path}/s.db", "s.db"), (from_file, "j.log")):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        ours = optuna.create_study(study_name="ours", storage=storage, direction="maximize")
        for values in ([0.1, 0.2], [float("nan"), 0.5]):
            one = ours.ask()
            for step, value in enumerate(values):
                one.report(value, step)
            curve = logs.read(tmp_path / path, run=f"ours/{one.number}")
            np.testing.assert_array_equal(curve.y, values)
            assert reading(curve).direction == "max"


@pytest.mark.filterwarnings("default")  # its own dependencies warn
def test_what_mlflow_tracks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # version 3 asks for it
    mlflow: Any = pytest.importorskip("mlflow")
    for uri, path in ((f"file://{tmp_path}/mlruns", "mlruns"), (f"sqlite:///{tmp_path}/m.db", "m.db")):
        client = mlflow.MlflowClient(uri)
        run = client.create_run(client.create_experiment("ours"), run_name="calm-owl").info.run_id
        for step, value in enumerate([float("inf"), 0.1, float("nan"), 0.2]):
            client.log_metric(run, "val/acc", value, step=step)
        for name in (run, "calm-owl"):
            np.testing.assert_array_equal(logs.read(tmp_path / path, run=name).y, [np.inf, 0.1, np.nan, 0.2])
