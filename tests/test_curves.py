"""Reader of real curves: what a row becomes, which metrics and runs are taken, scales, splits, steps of metrics."""

import doctest
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lcpfn.metric import Metric

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("source", "task", "run_id", "metric", "direction", "x_unit")]
    + [("x", pa.list_(pa.float64())), ("y", pa.list_(pa.float32()))]
    + [(name, pa.string()) for name in ("hyperparameters", "license", "url")]
    + [("y_std", pa.list_(pa.float32()))]
)
Row = dict[str, Any]


def load(name: str) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module(name)


curves, parquet, raw, lattice = (load(f"data.{name}") for name in ("curves", "parquet", "raw", "lattice"))
REAL = pytest.mark.skipif(not parquet.folders(), reason=parquet.MISSING)


def row(task: str, run: str, metric: str, y: list[float], **facts: Any) -> Row:
    return {
        "source": "s",
        "task": task,
        "run_id": run,
        "metric": metric,
        "direction": "max",
        "x_unit": "epoch",
        "x": np.arange(1.0, len(y) + 1),
        "y": np.array(y, dtype=np.float32),
        "hyperparameters": json.dumps({"_note": 1}),
        "license": "MIT",
        "url": "https://example.org",
        "y_std": None,
    } | facts


def write(path: Path, rows: list[Row]) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, compression="zstd", row_group_size=7)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty collection."""
    monkeypatch.setenv("LCPFN_CURVES", str(tmp_path))
    for each in load("data.official").SOURCES.values():
        monkeypatch.delenv(each.variable, raising=False)
    return tmp_path


def runs(n: int, task: str = "a", names: tuple[str, ...] = ("loss",)) -> list[Row]:
    return [row(task, f"r{i}", name, [5, 4, 3, 2, i], direction="min") for i in range(n) for name in names]


def test_without_a_collection_there_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LCPFN_CURVES", str(tmp_path / "nowhere"))
    assert not parquet.folders()
    with pytest.raises(FileNotFoundError, match="set LCPFN_CURVES to their folders"):
        curves.read("taskset")
    monkeypatch.delenv("LCPFN_CURVES")
    monkeypatch.setattr(parquet, "DEFAULTS", (tmp_path, tmp_path / "nowhere"))
    assert parquet.folders() == (tmp_path,)


def test_a_row_is_a_curve_as_it_stands(folder: Path) -> None:
    y = [0.1, np.nan, np.inf, -np.inf, 0.3]
    write(folder / "s.parquet", [row("a", "r", "val/loss", y, direction="max", x=[1, 2, 4, 8, 16.5], x_unit="tokens")])
    (curve,) = curves.read("s")
    assert (curve.source, curve.task, curve.run, curve.name, curve.x_unit) == ("s", "a", "r", "val/loss", "tokens")
    assert curve.metric == Metric("max", bounds=(0, None)), "the direction is the file's, the bounds are the name's"
    assert curve.t.dtype == curve.y.dtype == np.float64
    np.testing.assert_array_equal(curve.t, [1, 2, 4, 8, 16.5])
    np.testing.assert_array_equal(curve.y, np.array(y, dtype=np.float32).astype(float))


def test_a_source_and_a_split_that_do_not_exist_are_named(folder: Path) -> None:
    write(folder / "s.parquet", runs(1))
    assert curves.sources() == ("s",)
    with pytest.raises(FileNotFoundError, match=r"no source 'other' in .*; there are s"):
        curves.read("other")
    with pytest.raises(ValueError, match="split must be one of"):
        curves.read("s", split="train")


def test_a_run_counts_once_for_each_kind_of_metric(folder: Path) -> None:
    names = ["x-valid/accuracy", "x-test/accuracy", "ori-test/accuracy", "train/accuracy", "ori-test/loss"]
    both = [row("a", "r0", name, [1, 2, 3, 4, 5]) for name in reversed(names)]
    write(folder / "nats_bench_sample.parquet", both + [row("a", "r1", "ori-test/accuracy", [1, 2, 3, 4, 5])])
    found = {(curve.run, curve.name) for curve in curves.read("nats_bench_sample")}
    assert found == {("r0", "x-valid/accuracy"), ("r0", "ori-test/loss"), ("r1", "ori-test/accuracy")}
    (curve,) = curves.read("nats_bench_sample", metrics=["train/accuracy"])
    assert curve.name == "train/accuracy"
    assert not curves.read("nats_bench_sample", metrics=["train/accuracy"], tasks=["b"])


def test_a_source_without_a_row_in_the_table_gives_everything(folder: Path) -> None:
    write(folder / "s.parquet", runs(2, names=("train/loss", "val/loss")))
    assert len(curves.read("s")) == 4


def drawn(n: int | None, **facts: Any) -> list[tuple[str, str]]:
    return [(curve.task, curve.run) for curve in curves.read("s", per_task=n, **facts)]


def test_fewer_runs_are_the_first_of_more(folder: Path) -> None:
    write(folder / "s.parquet", runs(40, "a") + runs(3, "b"))
    every = drawn(None)
    for n in (1, 2, 10, 40, 100):
        assert drawn(n) == [pair for task in "ab" for pair in [p for p in every if p[0] == task][:n]]
    assert drawn(10, seed=1)[:10] != drawn(10)[:10]
    assert sorted(drawn(None)) != drawn(None), "not simply the first of the file"


def test_the_runs_drawn_do_not_depend_on_what_else_is_there(folder: Path) -> None:
    write(folder / "s.parquet", runs(40, "a"))
    before = drawn(10)
    more = runs(60, "a") + runs(9, "b", names=("accuracy", "loss"))
    write(folder / "s.parquet", more[::-1])
    after = [run for task, run in drawn(None) if task == "a"]
    assert [run for run in after if int(run[1:]) < 40][:10] == [run for _, run in before]


def test_the_metrics_of_a_run_are_drawn_together(folder: Path) -> None:
    write(folder / "s.parquet", runs(40, names=("accuracy", "loss", "reward")))
    found = curves.read("s", per_task=5)
    assert len(found) == 15
    assert len({curve.run for curve in found}) == 5


@pytest.mark.parametrize(
    ("tops", "parts"),
    [
        ([0.24, 0.241, 0.2445, 24.0, 24.4], [3, 2]),  # as in MLPerf Training: two scales of one share
        ([0.7, 0.9, 21.0, 28.0, 31.0, 30.0], [6]),  # as in AlgoPerf: bad runs beside good ones, all in percent
        ([0.29, 0.3, *[19.0, 29.0, 31.0] * 10], [32]),  # ... even if they are about a hundredth
        ([0.2, 0.9, 1.4, 30.0, 80.0], [5]),
        ([0.1, 0.5, 0.9], [3]),
        ([10.0, 50.0, 90.0], [3]),
        ([np.nan, 0.24, 24.0], [2, 1]),  # a run without a value goes with the fractions
    ],
)
def test_fractions_and_percentages_of_one_metric_are_told_apart(
    folder: Path, tops: list[float], parts: list[int]
) -> None:
    write(folder / "s.parquet", [row("a", f"r{i}", "BLEU", [top] * 5) for i, top in enumerate(tops)])
    found = curves.read("s")
    bounds = [curve.metric.bounds for curve in sorted(found, key=lambda curve: curve.run)]
    percent = [top > 1 for top in tops] if len(parts) == 2 else [any(top > 1 for top in tops)] * len(tops)
    assert bounds == [(0, 100) if each else (0, 1) for each in percent]


def test_percent_is_decided_for_each_task_and_from_all_its_runs(folder: Path) -> None:
    low = [row("a", f"r{i}", "accuracy", [0.5] * 4 + [0.9]) for i in range(9)]
    mixed = [row("b", f"r{i}", "accuracy", [0.5] * 4 + [0.9 + i]) for i in range(9)]
    write(folder / "s.parquet", low + mixed)
    for n in (1, 2, None):
        bounds = {(curve.task, curve.metric.bounds) for curve in curves.read("s", per_task=n)}
        assert bounds == {("a", (0, 1)), ("b", (0, 100))}


def test_a_name_that_says_nothing_has_no_bounds(folder: Path) -> None:
    write(folder / "s.parquet", [row("a", "r", "qxz", [1, 2, 3, 4, 5], direction="min")])
    assert curves.read("s")[0].metric == Metric("min")


def test_every_task_is_on_one_side_and_akin_tasks_on_the_same(folder: Path) -> None:
    tasks = [f"openml-{i}" for i in range(300)]
    write(folder / "s.parquet", [each for task in tasks for each in runs(1, task)])
    parts = [{curve.task for curve in curves.read("s", split=split)} for split in ("development", "test")]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(tasks)
    assert abs(len(parts[0]) - 200) <= 41  # five standard errors of 300 coins of 2/3
    for one, other in [
        ("dmc_proprio/dmc_walker_run", "walker-run"),
        ("wmt", "wmt_glu_tanh"),
        ("imagenet_resnet", "imagenet_resnet_large_bn_init"),
        ("cifar10", "cifar10-valid"),
    ]:
        assert raw.kin(one) == raw.kin(other)
    assert raw.kin("cifar10-resnet") != raw.kin("cifar10-densenet")


def numbers(n: int, *path: int) -> np.ndarray:
    return np.random.default_rng([*path, 7]).random(n)


@pytest.mark.parametrize(
    ("step", "scale", "n"),
    [(1e-4, 1.0, 300), (1 / 30, 100.0, 400), (0.1, 1.0, 60), (1 / 1172, 1.0, 500), (0.5, 1000.0, 300), (1, 50, 40)],
)
def test_the_step_of_a_quantised_metric_is_found(step: float, scale: float, n: int) -> None:
    y = (np.round(numbers(n, n) * scale / step) * step).astype(np.float32)
    assert lattice.resolution(y) == pytest.approx(step, rel=1e-3)
    assert lattice.resolution(np.append(y, [np.nan, np.inf, 1e30])) == pytest.approx(step, rel=1e-3)
    dirty = np.append(y, y[:5] + 0.3 * step)
    assert lattice.resolution(dirty) < 0.5 * step, "a twentieth of other values is seen"


@pytest.mark.parametrize("n", [3, 4, 8, 50, 1000, 20_000])
def test_continuous_values_have_no_step(n: int) -> None:
    """At the stated odds of 1e-6 a wrong step among these 200 sets has probability 2e-4 at most."""
    for seed in range(200 if n < 1000 else 3):
        y = numbers(n, n, seed)
        assert lattice.resolution(y.astype(np.float32)) == 0
        assert lattice.resolution(1e3 * y.astype(np.float32)) == 0


@pytest.mark.parametrize("y", [[], [0.3], [0.0, 1.0], [0.5] * 9, [np.nan, np.inf], [0.0, 0.0, 1.0]])
def test_two_values_say_nothing_of_the_step(y: list[float]) -> None:
    assert lattice.resolution(y) == 0


@pytest.mark.parametrize("module", [raw, lattice, load("data.pd1")])
def test_examples(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def test_few_values_give_the_common_measure_of_their_gaps() -> None:
    assert lattice.resolution([0, 0.2, 0.5, 1.0]) == pytest.approx(0.1)
    assert lattice.resolution(np.round(np.arange(40) / 375, 4)) == pytest.approx(1e-4), "rounded again"


def test_the_resolution_is_that_of_the_task(folder: Path) -> None:
    tenths = [row("a", f"r{i}", "success", [0, 0, 0.5, 0.5, i / 10]) for i in range(11)]
    write(folder / "s.parquet", tenths + [row("b", f"r{i}", "success", numbers(5, i)) for i in range(11)])
    found = {curve.task: curve.resolution for curve in curves.read("s", per_task=1)}
    assert found == {"a": pytest.approx(0.1), "b": 0}


def launch(environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "data" / "curves.py")],
        env=os.environ | environment | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_prints_a_line_for_each_source(folder: Path) -> None:
    assert "set LCPFN_CURVES" in launch({"LCPFN_CURVES": str(folder)})
    write(folder / "s.parquet", runs(3))
    lines = launch({"LCPFN_CURVES": str(folder)}).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| `s` | 3 | 3 | 1 | loss | 5/5/5 |")


@REAL
def test_the_whole_collection_is_read() -> None:
    files = {source: pq.ParquetFile(path).metadata.num_rows for source, path in parquet.files().items()}
    for source, rows in files.items():
        names = pq.read_table(parquet.files()[source], columns=["metric"])["metric"].unique().to_pylist()
        found = curves.read(source, metrics=names)
        assert len(found) == rows
        assert len({(curve.task, curve.run, curve.name) for curve in found}) == rows
        for curve in found:
            assert len(curve) == len(curve.y) >= 5
            finite = curve.y[np.isfinite(curve.y)]
            low, high = (np.nan_to_num(bound, nan=sign * np.inf) for bound, sign in zip(_ends(curve.metric), (-1, 1)))
            assert ((finite >= low - 1e-6) & (finite <= high * (1 + 1e-6))).all()
        forecast = curves.read(source)
        kinds = curves.FORECAST[source]
        left_out = curves.NOT_CURVES.get(source, set())
        counts = {(curve.task, curve.run): 0 for curve in found if curve.task not in left_out}
        for curve in forecast:
            counts[curve.task, curve.run] += 1
        assert set(counts.values()) <= set(range(1, len(kinds) + 1)), "every run is forecast, once for a kind at most"


def _ends(metric: Metric) -> list[float]:
    return [np.nan if bound is None else bound for bound in metric.bounds]


@REAL
def test_the_split_leaves_tasks_of_every_source_to_the_test() -> None:
    total = development = 0
    for source in curves.sources():
        sides = [raw.side(task) for task in {curve.task for curve in curves.read(source, per_task=1)}]
        n = sides.count("development")
        total, development = total + len(sides), development + n
        if len(sides) == 1:
            assert n == 0
        elif len(sides) <= 3:
            assert 0 < n < len(sides)
        else:
            assert 0.5 <= n / len(sides) <= 0.8
    assert 0.65 <= development / total <= 0.7


@REAL
def test_bleu_of_mlperf_training_has_two_scales() -> None:
    found = curves.read("mlperf_training", metrics=["eval/BLEU"])
    for curve in found:
        assert curve.metric.bounds == ((0, 1) if curve.y.max() < 1 else (0, 100))
    assert len({curve.metric for curve in found}) == 2
    assert {curve.metric.bounds for curve in curves.read("algoperf", metrics=["validation/bleu"])} == {(0, 100)}


@REAL
def test_known_steps_of_real_metrics() -> None:
    for source, task, metric, n in [
        ("pythia_evals", "arc_challenge", "eval/acc", 1172),
        ("deepobs", "svhn_wrn164", "test/accuracy", 25_984),  # whole batches of 26,032 images
        ("algoperf", "imagenet_resnet", "validation/accuracy", 50_000),
    ]:
        curve = curves.read(source, tasks=[task], metrics=[metric], per_task=1)[0]
        assert curve.resolution == pytest.approx(1 / n, rel=1e-3)
