"""A small valid file of every format that is read; damage starts from these."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from sqlite3 import connect

import numpy as np

from lcpfn.logs.tensorboard import masked_crc

CSV = b"epoch,step,train_loss,val_acc\n" + b"".join(
    b"%d,%d,%.3f,%.3f\n" % (i, 10 * i, 2 / (i + 1), 1 - 1 / (i + 2)) for i in range(8)
)
NUMBERS = b"0.2\n0.34\n0.41\n0.48\nnan\n0.5\n"
TSV = b"step\tval_acc\tloss\n0\t0.1\t2.0\n1\t0.2\t1.5\n2\t0.35\t1.1\n"
CONSOLE = b"".join(b"Epoch %d/5 - loss: %.3f - val_acc: %.3f\n" % (i, 2 / i, 1 - 1 / (i + 1)) for i in range(1, 6))
STATE = json.dumps(
    {
        "best_metric": 0.4,
        "global_step": 30,
        "log_history": [
            {"epoch": e, "step": 10 * e, "eval_loss": 1 / e, "eval_accuracy": 1 - 1 / (e + 1)} for e in (1, 2, 3)
        ]
        + [{"epoch": 1.5, "step": 15, "loss": 0.7, "learning_rate": 1e-4}],
    }
).encode()
RESULT = b"".join(
    json.dumps(
        {"training_iteration": i, "val_acc": 1 - 1 / (i + 1), "time_total_s": 1.5 * i, "config": {"lr": 0.1}}
    ).encode()
    + b"\n"
    for i in range(1, 6)
)
EVALS = json.dumps({"val": {"acc": [0.5, 0.6, 0.7], "logloss": [0.9, 0.7, 0.6]}}).encode()
JOURNAL = b"".join(
    json.dumps({"worker_id": "w", **each}).encode() + b"\n"
    for each in (
        {"op_code": 0, "study_name": "first", "directions": [2]},
        {"op_code": 4, "study_id": 0, "datetime_start": "2026-01-01T00:00:00.000000+00:00"},
        *({"op_code": 7, "trial_id": 0, "step": step, "intermediate_value": 0.1 * step} for step in range(4)),
        {"op_code": 4, "study_id": 0, "datetime_start": "2026-01-01T00:00:00.000000+00:00"},
        {"op_code": 7, "trial_id": 1, "step": 1, "intermediate_value": float("nan")},
        {"op_code": 7, "trial_id": 1, "step": 2, "intermediate_value": 0.2},
        {"op_code": 6, "trial_id": 0, "state": 1, "values": [0.3], "datetime_complete": "2026-01-01T00:00:00.000000"},
    )
)
OPTUNA = """
CREATE TABLE studies (study_id INTEGER NOT NULL, study_name VARCHAR(512) NOT NULL, PRIMARY KEY (study_id));
CREATE TABLE study_directions (study_direction_id INTEGER NOT NULL, direction VARCHAR(8) NOT NULL,
    study_id INTEGER NOT NULL, objective INTEGER NOT NULL, PRIMARY KEY (study_direction_id));
CREATE TABLE trials (trial_id INTEGER NOT NULL, number INTEGER, study_id INTEGER, state VARCHAR(8) NOT NULL,
    datetime_start DATETIME, datetime_complete DATETIME, PRIMARY KEY (trial_id));
CREATE TABLE trial_intermediate_values (trial_intermediate_value_id INTEGER NOT NULL, trial_id INTEGER NOT NULL,
    step INTEGER NOT NULL, intermediate_value FLOAT, intermediate_value_type VARCHAR(7) NOT NULL,
    PRIMARY KEY (trial_intermediate_value_id));
INSERT INTO studies VALUES (1, 'first');
INSERT INTO study_directions VALUES (1, 'MAXIMIZE', 1, 0);
INSERT INTO trials VALUES (1, 0, 1, 'COMPLETE', '', ''), (2, 1, 1, 'RUNNING', '', NULL);
INSERT INTO trial_intermediate_values VALUES (1, 1, 1, 0.2, 'FINITE'), (2, 1, 0, 0.1, 'FINITE'),
    (3, 2, 0, NULL, 'NAN'), (4, 2, 1, 2.5, 'FINITE'), (5, 2, 2, NULL, 'INF_POS');
"""
MLFLOW = """
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), start_time BIGINT, lifecycle_stage VARCHAR(20),
    experiment_id INTEGER, PRIMARY KEY (run_uuid));
CREATE TABLE latest_metrics ("key" VARCHAR(250), value FLOAT, timestamp BIGINT, step BIGINT, is_nan BOOLEAN,
    run_uuid VARCHAR(32));
CREATE TABLE metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
    run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL);
INSERT INTO runs VALUES ('aaa', 'calm-owl-1', 1, 'active', 0), ('bbb', 'calm-owl-2', 2, 'active', 0);
INSERT INTO metrics VALUES ('val/acc', 0.3, 1700000000003, 'aaa', 2, 0), ('val/acc', 0.1, 1700000000001, 'aaa', 0, 0),
    ('val/acc', 0.2, 1700000000004, 'aaa', 1, 0), ('val_loss', 0.0, 1700000000001, 'aaa', 0, 1),
    ('val_loss', 0.7, 1700000000002, 'bbb', 0, 0), ('val_loss', 0.6, 1700000000003, 'bbb', 0, 0);
"""
META = "experiment_id: '1'\nlifecycle_stage: active\nrun_id: aaa\nrun_name: calm-owl-1\n"
METRIC = b"1700000000001 0.1 0\n1700000000002 0.9 1\n1700000000004 0.2 1\n1700000000003 0.3 2\n"


def record(data: bytes) -> bytes:
    """A TensorBoard record with its checksums."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def event(step: int, tag: bytes, value: float) -> bytes:
    """The message of a scalar, without its record."""
    body = b"\x0a" + bytes([len(tag)]) + tag + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + bytes([len(body)]) + body
    return (
        b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + bytes([step]) + b"\x2a" + bytes([len(summary)]) + summary
    )


EVENTS = (
    b"\x09" + struct.pack("<d", 1.7e9) + b"\x1a\x0dbrain.Event:2",
    *(event(i, b"val/acc", 1 - 1 / (i + 2)) for i in range(5)),
)


@lru_cache
def database(script: str) -> bytes:
    """The file of an SQLite database made by a script."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        with closing(connect(path)) as connection:
            connection.executescript(script)
        return path.read_bytes()


def archive() -> bytes:
    """`results.csv.zip`, as Syne Tune writes it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(
            "results.csv", b"trial_id,epoch,val_acc,st_decision\n0,1,0.1,C\n0,2,0.2,C\n1,1,0.3,C\n1,2,0.4,S\n"
        )
    return made.getvalue()


def arrays(*, hostile: bool = False) -> bytes:
    """`evaluations.npz`, as Stable-Baselines3 writes it; or one whose array would run code if it were unpickled."""
    made = io.BytesIO()
    results = np.array([_Bomb()], dtype=object) if hostile else np.linspace(0, 9, 12).reshape(4, 3)
    np.savez(made, timesteps=np.arange(1, 5) * 100, results=results)
    return made.getvalue()


class _Bomb:
    def __reduce__(self):
        return Path.touch, (Path("marker"),)
