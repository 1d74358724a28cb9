"""Kinds of faults that logs of other people have: nothing is left out in silence, one bad neighbour spoils nothing."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcpfn import logs
from lcpfn.curve import Curve, Reading
from lcpfn.logs.columns import column_of
from lcpfn.logs.curves import curve
from lcpfn.logs.restarts import latest
from lcpfn.logs.source import LARGE
from lcpfn.logs.table import parse
from lcpfn.logs.times import is_id, is_setting, is_time

INTERLEAVED = "trial_id,epoch,val_acc\n0,1,0.1\n1,1,0.2\n0,2,0.3\n1,2,0.4\n0,3,0.5\n1,3,0.6\n"


def reading(found: Curve) -> Reading:
    assert found.reading is not None
    return found.reading


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("cells", "y", "diverged", "not_finite"),
    [
        ("0.1 nan 0.3", [0.1, np.nan, 0.3], None, 1),
        ("0.1 inf 0.3", [0.1, np.nan, 0.3], None, 1),
        ("nan 0.1 0.2", [np.nan, 0.1, 0.2], None, 1),  # nothing was measured yet
        ("0.1 0.2 nan", [0.1, 0.2, np.nan], 3, 1),
        ("0.1 -inf nan", [0.1, np.nan, np.nan], 2, 2),
        ("0.1 0.2 na", [0.1, 0.2, np.nan], None, 0),  # not measured is no divergence
        ("0.1 na nan", [0.1, np.nan, np.nan], 3, 1),
    ],
)
def test_missing_is_not_divergence(cells: str, y: list[float], diverged: float | None, not_finite: int) -> None:
    found = curve(parse(cells))
    np.testing.assert_array_equal(found.y, y)
    assert (found.diverged_at, reading(found).not_finite) == (diverged, not_finite)


@given(st.lists(st.sampled_from([0.5, 0.25, float("nan"), float("inf"), None]), min_size=1, max_size=12))
def test_a_run_has_diverged_where_what_was_measured_last_is_not_finite(values: list[float | None]) -> None:
    lines = [f"{i},{'' if y is None else y}" for i, y in enumerate(values, 1)]
    table = parse("\n".join(["epoch,acc", *lines]))
    measured = [(t, y) for t, y in enumerate(values, 1) if y is not None]
    finite = [t for t, y in measured if np.isfinite(y)]
    if not finite:
        with pytest.raises(ValueError, match="holds no number that is finite"):
            curve(table)
        return
    after = [t for t, _ in measured if t > finite[-1]]
    found = curve(table)
    assert found.diverged_at == (after[0] if after else None)
    assert reading(found).not_finite == len(measured) - len(finite)
    assert np.isfinite(found.y).sum() == len(finite)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=20))
def test_every_row_is_kept_or_counted_and_times_rise(times: list[int]) -> None:
    kept = latest(np.array(times, dtype=float))
    t = np.array(times)[kept.rows]
    assert (np.diff(t) > 0).all()
    assert len(kept.rows) + kept.replaced == len(times)
    assert kept.abandoned == len(set(times) - set(t.tolist()))
    for row in kept.rows:  # of one time the last counts
        assert times[row] not in times[row + 1 :]


def test_runs_of_one_table_are_told_apart_by_a_column(tmp_path: Path) -> None:
    as_lines = [
        dict(zip(("trial_id", "epoch", "val_acc"), map(float, row.split(",")))) for row in INTERLEAVED.split()[1:]
    ]
    sources = (
        write(tmp_path / "results.csv", INTERLEAVED),
        write(tmp_path / "results.jsonl", "".join(json.dumps(line) + "\n" for line in as_lines)),
    )
    for source in sources:
        for clock in (None, "epoch", "rows"):
            with pytest.raises(
                ValueError, match=r"epoch 1 stands in 2 rows, .*say --run trial_id=VALUE; trial_id is 0, 1"
            ):
                logs.read(source, metric="val_acc", clock=clock)
        for run in ("trial_id=1", "1"):
            found = logs.read(source, metric="val_acc", run=run)
            np.testing.assert_array_equal(found.y, [0.2, 0.4, 0.6])
            assert reading(found).other_runs == 3
        with pytest.raises(ValueError, match="no run 'trial_id=7'"):
            logs.read(source, metric="val_acc", run="trial_id=7")


def test_words_tell_runs_apart_too() -> None:
    table = parse("run,seed,epoch,acc\na,0,1,0.1\nb,0,1,0.2\na,1,1,0.3\nb,1,1,0.4\na,0,2,0.5\n")
    with pytest.raises(ValueError, match="say --run run=VALUE; run is a, b"):
        curve(table)
    with pytest.raises(ValueError, match="say --run seed=VALUE; seed is 0, 1"):
        curve(table, run="a")
    np.testing.assert_array_equal(curve(table, run="run=a,seed=0").y, [0.1, 0.5])


@pytest.mark.parametrize("clock", [None, "epoch"])
def test_rows_of_one_time_are_several_runs_or_values_and_no_restart(clock: str | None) -> None:
    table = parse("epoch,acc\n1,0.1\n1,0.2\n2,0.3\n2,0.4\n3,0.5\n3,0.6\n", source="x.csv")
    with pytest.raises(ValueError, match=r"x\.csv, line 3: epoch 1 stands in 2 rows \(lines 2, 3\)"):
        curve(table, time_column=clock)
    half = parse("epoch,step,acc\n0,4,0.1\n0,9,0.2\n1,14,0.3\n1,19,0.4\n")
    with pytest.raises(ValueError, match="say --time-column step"):
        curve(half, time_column="epoch")
    assert reading(curve(half, time_column="step")).replaced == 0


@pytest.mark.parametrize(
    "name",
    [
        *(
            "train/global_step",
            "size_train",
            "train_size",
            "timesteps",
            "env_step",
            "consumed_samples",
            "boosting_round",
        ),
        *("num_env_steps_sampled_lifetime", "round", "total_frames", "something_of_its_own"),
    ],
)
def test_a_column_that_counts_otherwise_is_asked_about(name: str) -> None:
    table = parse(f"{name},m\n100,0.5\n200,0.4\n400,0.3\n")
    with pytest.raises(ValueError, match=f"column {name} goes 100, 200, 400...: say --time-column {name}"):
        curve(table, column="m")
    assert curve(table, column="m", time_column="rows").t.tolist() == [1, 2, 3]
    assert curve(table, column="m", time_column=name).t.tolist() == [100, 200, 400]


def test_metrics_and_settings_that_rise_are_no_times() -> None:
    table = parse("train_acc,lr,val_acc\n0.1,0.1,0.2\n0.2,0.2,0.3\n0.3,0.3,0.4\n")
    assert curve(table).t.tolist() == [1, 2, 3]
    assert [is_time(name) for name in ("train_loss_step", "val_acc_epoch", "lr_step", "trainer/global_step")] == [
        *(False, False, False, True)
    ]
    assert is_setting("lr-Adam") and is_setting("train/learning_rate") and not is_setting("lrap")
    assert is_id("cv_fold") and not is_id("running_loss")


def test_names_are_found_in_a_file_as_in_a_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "metrics.csv", "epoch,lr-Adam,val/acc\n1,0.1,0.5\n2,0.1,0.6\n")
    for source in (path, tmp_path):
        assert logs.read(source, metric="val_acc").name == logs.read(source, metric="acc").name == "val/acc"


def test_a_broken_neighbour_is_a_notice_and_an_error_where_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "a" / "metrics.csv", "epoch,val_acc\n1,0.5\n2,0.6\n")
    write(tmp_path / "a" / "gpu.csv", "time,util\n0.1,30\n0.2,40,7\n0.3,5\n")
    write(tmp_path / "b" / "result.json", '{"epoch": 1, "val_acc": 0.1}\nno json\n{"epoch": 2, "val_acc": 0.2}\n')
    write(tmp_path / "c" / "log.json", '{"epoch": 1, "x": ' + "[" * 3000 + "\n")
    found = logs.read(tmp_path)
    np.testing.assert_array_equal(found.y, [0.5, 0.6])
    left_out = reading(found).notices
    assert len(left_out) == 3
    assert "gpu.csv, line 3: 3 cells where the header has 2" in left_out[0]
    assert "result.json, line 2: no JSON" in left_out[1]
    with pytest.raises(ValueError, match=r"result\.json, line 2: no JSON"):
        logs.read(tmp_path, run="b")
    assert [run.name for run in logs.runs(tmp_path) if run.problem is not None] == ["a/gpu.csv", "b", "c/log.json"]


def test_a_header_again_and_a_last_line_half_written() -> None:
    header = "epoch,val_acc\n"
    found = curve(parse(f"{header}0,0.1\n1,0.2\n{header}2,0.3\n3", source="x.csv"))
    np.testing.assert_array_equal(found.y, [0.1, 0.2, 0.3])
    assert reading(found).notices == ("the last line, 6, was cut off and is left out",)
    with pytest.raises(ValueError, match="line 5: epoch starts over at 0"):
        curve(parse(f"{header}0,0.1\n1,0.2\n{header}0,0.2\n1,0.3\n"))


def test_settings_before_the_first_record(tmp_path: Path) -> None:
    monitor = write(tmp_path / "monitor.csv", '#{"t_start": 1.5, "env_id": "E, v1"}\nr,l,t\n1.5,20,0.7\n2.5,24,3.0\n')
    np.testing.assert_array_equal(logs.read(monitor, metric="r", clock="rows").y, [1.5, 2.5])
    lines = '{"env_info": "linux", "seed": 7}\n{"epoch": 1, "bbox_mAP": 0.1}\n{"epoch": 2, "bbox_mAP": 0.2}\n'
    openmm = write(tmp_path / "mm" / "x.log.json", lines)
    for source in (openmm, openmm.parent):
        np.testing.assert_array_equal(logs.read(source, metric="bbox_mAP").y, [0.1, 0.2])


def test_a_value_without_a_time_is_counted_with_its_line(tmp_path: Path) -> None:
    records = [{"iteration": 99, "ap": 0.1}, {"loss": 1}, {"iteration": 199, "ap": 0.2}, {"ap": 0.3}]
    path = write(tmp_path / "metrics.json", "".join(json.dumps(record) + "\n" for record in records))
    found = logs.read(path, metric="ap", clock="iteration")
    np.testing.assert_array_equal(found.t, [99, 199])
    assert reading(found).notices == ("1 without a time in iteration left out, the first in line 4",)


HOSTILE = {
    "a whole number without end": '{"epoch": 1, "acc": 0.1}\n{"epoch": 2, "acc": 1' + "0" * 400 + "}\n",
    "a time without end": '{"epoch": 1' + "0" * 400 + ', "acc": 0.1}\n',
    "more digits than Python reads": '{"epoch": 1, "acc": 1' + "0" * 5000 + "}\n\n",
    "deep": '{"epoch": 1, "acc": 1, "x": ' + "[" * 5000 + "]" * 5000 + "}\n",
    "deep list": "[" * 5000 + "]" * 5000,
    "unknown study": '{"op_code": 0, "study_name": "s", "directions": [1]}\n{"op_code": 4, "study_id": 7}\n',
    "a list as direction": '{"op_code": 0, "study_name": "s", "directions": [[1]]}\n',
    "a name that is none": '{"op_code": 0, "study_name": ["s"], "directions": [1]}\n',
    "no such trial": '{"op_code": 7, "trial_id": -1, "step": 1, "intermediate_value": 1}\n',
    "a step without end": '{"op_code": 7, "trial_id": 0, "step": Infinity, "intermediate_value": 1}\n',
    "values that are a list": '{"op_code": 0, "study_name": "s", "directions": [1]}\n'
    '{"op_code": 4, "study_id": 0, "intermediate_values": [1]}\n',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_an_error_with_its_place(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "log.jsonl", text)
    with pytest.raises(ValueError, match=r"log\.jsonl, line \d|log\.jsonl: its lists"):
        logs.read(path)
    write(tmp_path / "run" / "metrics.csv", "epoch,val_acc\n1,0.5\n2,0.6\n")
    assert len(logs.read(tmp_path, metric="val_acc")) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_read_once_and_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "metrics.csv"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match=r"metrics\.csv is a pipe, and nobody writes into it"):
        logs.read(pipe)
    os.mkfifo(tmp_path / "trainer_state.json")
    write(tmp_path / "run" / "metrics.csv", "epoch,val_acc\n1,0.5\n2,0.6\n")
    assert len(logs.read(tmp_path)) == 2
    held = os.open(pipe, os.O_RDWR)  # as of a command that has begun
    text = "epoch,val_acc\n" + "".join(f"{i},0.{i}\n" for i in range(1, 9))
    writer = threading.Thread(target=lambda: (os.write(held, text.encode()), os.close(held)))
    timer = threading.Timer(0.2, writer.start)
    timer.start()
    np.testing.assert_array_equal(logs.read(pipe).y, [i / 10 for i in range(1, 9)])
    timer.join(), writer.join()


def test_a_device_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "log.csv"
    link.symlink_to("/dev/zero")
    with pytest.raises(ValueError, match=r"log\.csv is a device, which may never end"):
        logs.read(link)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_of_a_large_file_the_same_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    rows = [(i // 10, i, 1 / (1 + i), i / 200 if i % 10 == 9 else None) for i in range(100)]
    if ending == "csv":
        text = "epoch,step,loss,val/acc\n" + "".join(f"{e},{s},{y},{'' if a is None else a}\n" for e, s, y, a in rows)
    else:
        records = ({"epoch": e, "step": s, "loss": y, **({} if a is None else {"val/acc": a})} for e, s, y, a in rows)
        text = "".join(json.dumps(record) + "\n" for record in records)
    path = write(tmp_path / f"log.{ending}", text)
    assert LARGE > len(text)
    questions = [("val_acc", None), ("val_acc", "step"), ("loss", "step")]
    small = [logs.read(path, metric=metric, clock=clock) for metric, clock in questions]
    for module in ("tabular", "records"):
        monkeypatch.setattr(f"lcpfn.logs.{module}.LARGE", 1)
    for (metric, clock), one in zip(questions, small):
        for source in (path, tmp_path):
            found = logs.read(source, metric=metric, clock=clock)
            np.testing.assert_array_equal(found.t[np.isfinite(found.y)], one.t[np.isfinite(one.y)])
            np.testing.assert_array_equal(found.y[np.isfinite(found.y)], one.y[np.isfinite(one.y)])
            assert reading(found).read == reading(one).read


@given(st.lists(st.none() | st.floats(), max_size=20))
def test_columns_hold_what_was_put(values: list[float | None]) -> None:
    column = column_of(values)
    np.testing.assert_array_equal(column.values, [np.nan if y is None else y for y in values])
    np.testing.assert_array_equal(column.measured, [y is not None for y in values])
