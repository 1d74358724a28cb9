"""Readers of official downloads, each on a small file in the layout of its authors."""

import bz2
import collections
import gzip
import importlib
import json
import os
import pickle
import tarfile
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcpfn.metric import Metric

ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module(name)


curves, official = load("data.curves"), load("data.official")
lcbench, nats, pd1, taskset = (load(f"data.{name}") for name in ("lcbench", "nats", "pd1", "taskset"))
RAMP = np.arange(52.0)


@pytest.fixture(autouse=True)
def _only_what_a_test_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LCPFN_CURVES", str(tmp_path / "nowhere"))
    for each in official.SOURCES.values():
        monkeypatch.delenv(each.variable, raising=False)


def by_name(found: list[Any], **facts: str) -> dict[str, Any]:
    return {each.name: each for each in found if all(getattr(each, key) == value for key, value in facts.items())}


@pytest.mark.parametrize("source", list(official.SOURCES))
def test_a_path_that_is_missing_is_asked_for(source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    variable = official.SOURCES[source].variable
    assert source not in curves.sources()
    for told in (None, str(tmp_path / "gone")):
        if told:
            monkeypatch.setenv(variable, told)
        with pytest.raises(FileNotFoundError, match=rf"{variable} must be the path .* benchmarks/data/\w+\.py says"):
            curves.read(source)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(variable, str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match=f"{variable} must lead to the data of {source}, got none in"):
        curves.read(source)
    text = official.SOURCES[source].read.__globals__["__doc__"]
    assert "To get it:" in text
    assert variable in text


# LCBench


def lcbench_run(shift: float, *, entries: int = 52) -> dict[str, Any]:
    log = {name: list((RAMP + shift)[:entries]) for name in lcbench.NAMES}
    log["Train/val_cross_entropy"] = list((1 / (1 + RAMP))[:entries])
    log |= {"epoch": list(range(entries)), "time": list(RAMP[:entries]), "Train/gradient_max": [1.0] * entries}
    return {"config": {"batch_size": 16, "network": "shaped{mlp}net"}, "results": {"seed": 1}, "log": log}


def test_lcbench_leaves_out_the_evaluations_before_and_after_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = {
        "adult": {str(i): lcbench_run(i / 10) for i in range(12)},
        "higgs": {"0": lcbench_run(0, entries=51)},
    }
    data["adult"]["3"]["log"]["Train/val_cross_entropy"][7] = float("nan")
    (tmp_path / "data_2k_lw.json").write_text(json.dumps(data))
    for path in (tmp_path, tmp_path / "data_2k_lw.json"):
        monkeypatch.setenv("LCPFN_LCBENCH", str(path))
        found = curves.read("lcbench")
        assert curves.sources() == ("lcbench",)
        assert len(found) == 26
        both = by_name(found, task="adult", run="3")
        assert set(both) == {"validation/accuracy", "validation/cross_entropy"}
        assert both["validation/accuracy"].metric == Metric("max", bounds=(0, 100))
        assert both["validation/cross_entropy"].metric == Metric("min", bounds=(0, None))
        np.testing.assert_array_equal(both["validation/accuracy"].t, np.arange(1, 51))
        np.testing.assert_allclose(both["validation/accuracy"].y, np.arange(1, 51) + 0.3)
        assert np.isnan(both["validation/cross_entropy"].y[6])
        assert len(by_name(found, task="higgs")["validation/accuracy"]) == 50
    few, more = (curves.read("lcbench", tasks=["adult"], metrics=["train/loss"], per_task=n) for n in (3, 8))
    assert [each.run for each in few] == [each.run for each in more[:3]]
    assert {each.task for each in more} == {"adult"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text(), st.dictionaries(st.text(), VALUES, max_size=4), max_size=4),
    st.sampled_from([None, 0, 3, "\t"]),
    st.booleans(),
)
def test_lcbench_parses_run_by_run_what_json_parses_at_once(
    data: dict[str, dict[str, Any]], indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    found: dict[str, dict[str, Any]] = {task: {} for task in data}
    for task, run, value in lcbench._runs(text, lambda task: True):
        found[task][run] = value
    assert found == data
    assert not list(lcbench._runs(text, lambda task: False))


@pytest.mark.parametrize("text", ["", "[1]", '{"adult": [1]}', '{"adult": {"0": {"log"', '{"adult": {"0": {}}'])
def test_lcbench_refuses_other_files(text: str) -> None:
    with pytest.raises(ValueError):
        list(lcbench._runs(text, lambda task: True))


# NATS-Bench


def nats_result(epochs: int, evaluations: dict[str, bool]) -> dict[str, Any]:
    """A run; of each evaluation whether it was made in every epoch or in the last one only."""
    keys = [
        (f"{name}@{epoch}", epoch)
        for name, each in evaluations.items()
        for epoch in (range(epochs) if each else [epochs - 1])
    ]
    return {
        "epochs": epochs,
        "seed": "0777",
        "train_acc1es": {epoch: np.float64(10 + epoch) for epoch in range(epochs)},
        "train_losses": {epoch: np.float32(2) / (1 + epoch) for epoch in range(epochs)},
        "train_times": dict.fromkeys(range(epochs), 1.0),
        "eval_names": list(evaluations),
        "eval_acc1es": {key: 20.0 + epoch for key, epoch in keys},
        "eval_losses": collections.OrderedDict((key, 3.0 / (1 + epoch)) for key, epoch in keys),
        "eval_times": {key: 1.0 for key, _ in keys},
        "params": 0.1,
        "flop": np.float64(15.6),
        "latency": [0.01],
        "arch_config": {"name": "infer.tiny", "C": 16},
        "net_state_dict": None,
        "some_array": np.arange(3.0),
    }


def nats_info(index: int, arch: str, longest: int) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for epochs, every in ((12, True), (longest, False)):
        results = {
            ("cifar10-valid", 777): nats_result(epochs, {"x-valid": True, "ori-test": every}),
            ("cifar10", 777): nats_result(epochs, {"ori-test": True}),
            ("ImageNet16-120", 777): nats_result(epochs, {"x-valid": every, "x-test": every, "ori-test": True}),
        }
        whole[str(epochs)] = {
            "arch_index": index,
            "arch_str": arch,
            "dataset_seed": {key[0]: [777] for key in results},
            "clear_net_done": True,
            "all_results": results,
        }
    return whole


def nats_write(path: Path, whole: Any, *, numpy1: bool = False) -> None:
    data = pickle.dumps(whole, protocol=3)
    if numpy1:
        assert b"numpy._core.multiarray" in data
        data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bz2.compress(data))


def nats_simple(folder: Path, arch: str, longest: int, n: int) -> None:
    meta = {"meta_archs": [arch] * n, "total_archs": n, "arch2infos": None, "evaluated_indexes": set(range(n))}
    nats_write(folder / "meta.pickle.pbz2", meta)
    for i in range(n):
        nats_write(folder / f"{i:06d}.pickle.pbz2", nats_info(i, arch, longest), numpy1=i % 2 == 0)


TSS, SSS = "|avg_pool_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|", "8:8:8:8:8"


def test_nats_bench_takes_the_evaluations_of_every_epoch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nats_simple(tmp_path / "NATS-tss-v1_0-3ffb9-simple", TSS, 200, 2)
    nats_simple(tmp_path / "NATS-sss-v1_0-50262-simple", SSS, 90, 1)
    monkeypatch.setenv("LCPFN_NATS_BENCH", str(tmp_path))
    found = curves.read("nats_bench")
    assert {curve.run for curve in found} == {
        f"{space}/{index:06d}/hp{epochs}/seed777"
        for space, index, longest in (("tss", 0, 200), ("tss", 1, 200), ("sss", 0, 90))
        for epochs in (12, longest)
    }
    assert len(found) == 3 * 2 * 3 * 2  # architectures, lengths, data sets, score and loss
    both = by_name(found, task="ImageNet16-120", run="tss/000001/hp200/seed777")
    assert set(both) == {"ori-test/accuracy", "ori-test/loss"}, "x-valid has the last epoch only"
    np.testing.assert_array_equal(both["ori-test/accuracy"].t, np.arange(1, 201))
    np.testing.assert_array_equal(both["ori-test/accuracy"].y, np.arange(20, 220))
    assert set(by_name(found, task="ImageNet16-120", run="tss/000001/hp12/seed777")) == {
        "x-valid/accuracy",
        "x-valid/loss",
    }
    train = curves.read("nats_bench", metrics=["train/loss"], tasks=["cifar10"])
    np.testing.assert_allclose(by_name(train, run="sss/000000/hp12/seed777")["train/loss"].y, 2 / np.arange(1, 13))


def test_nats_bench_as_one_file_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nats_simple(tmp_path / "NATS-tss-v1_0-3ffb9-simple", TSS, 200, 3)
    whole = {"meta_archs": [TSS] * 3, "total_archs": 3, "evaluated_indexes": {0, 1, 2}}
    whole["arch2infos"] = {i: nats_info(i, TSS, 200) for i in range(3)}
    nats_write(tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2", whole)
    both = []
    for name in (".", "NATS-tss-v1_0-3ffb9-simple", "NATS-tss-v1_0-3ffb9.pickle.pbz2"):
        monkeypatch.setenv("LCPFN_NATS_BENCH", str(tmp_path / name))
        assert len(curves.read("nats_bench", tasks=["cifar10"])) == 3 * 2 * 2
        found = curves.read("nats_bench", per_task=2)
        both.append({(each.task, each.run, each.name, each.metric, each.y.tobytes()) for each in found})
    assert both[0] == both[1] == both[2]


def test_nats_bench_opens_no_more_architectures_than_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nats_simple(tmp_path, TSS, 90, 9)
    monkeypatch.setenv("LCPFN_NATS_BENCH", str(tmp_path))
    opened, real = [], nats.load
    monkeypatch.setattr(nats, "load", lambda path: opened.append(path) or real(path))
    read = partial(curves.read, "nats_bench", tasks=["cifar10"], metrics=["ori-test/loss"])
    few, more, every = ([each.run for each in read(per_task=n)] for n in (2, 5, None))
    assert len(opened) == 2 + 5 + 9
    assert few == more[:2]
    assert more == every[:5]
    assert len({run.split("/")[1] for run in more}) == 5, "one run of an architecture"
    assert len(every) == 18


@pytest.mark.parametrize("harm", [os.system, eval, getattr, np.load])
def test_nats_bench_runs_no_code_of_a_pickle(harm: Any, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return harm, (f"touch {tmp_path / 'sprung'}",)

    nats_write(tmp_path / "000000.pickle.pbz2", {"12": Trap()})
    with pytest.raises(pickle.UnpicklingError, match="could run code"):
        nats.load(tmp_path / "000000.pickle.pbz2")
    assert not (tmp_path / "sprung").exists()


# TaskSet


def test_taskset_averages_the_replicas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = np.array([f"adam8p_wide_grid_seed{i}".encode() for i in range(6)])
    xs = np.arange(0, 10_001, 200)
    ys = np.random.default_rng(0).random((6, 5, 51, 4)).astype(np.float32)
    ys[2, 3, 10:] = np.nan
    ys[3, 0, 5], ys[3, 1, 5] = np.inf, -np.inf
    (tmp_path / "task_a").mkdir()
    np.savez(tmp_path / "task_a" / "adam8p_wide_grid_1k_10000_replica5.npz", optimizers=names, xs=xs, ys=ys)
    (tmp_path / "task_names.txt").write_text("task_a\n")
    plain = [
        {"hp": {"beta1": 0.9}} | {part: {"loss": list(RAMP[:51] + i)} for part in ("train", "valid", "test")}
        for i in (0, 1)
    ]
    (tmp_path / "task_b.json").write_text(json.dumps(plain))
    monkeypatch.setenv("LCPFN_TASKSET", str(tmp_path))
    found = curves.read("taskset_official")
    assert {each.name for each in found} == {"valid/loss"}
    assert len(found) == 8
    curve = by_name(found, run="adam8p_wide_grid_seed1")["valid/loss"]
    np.testing.assert_allclose(curve.y, ys[1, :, :, 1].mean(axis=0, dtype=float))
    np.testing.assert_array_equal(curve.t, xs)
    assert (curve.task, curve.x_unit, curve.metric) == ("task_a", "step", Metric("min", bounds=(0, None)))
    assert np.isnan(by_name(found, run="adam8p_wide_grid_seed2")["valid/loss"].y[10:]).all()
    np.testing.assert_array_equal(by_name(found, task="task_b", run="dpl/1")["valid/loss"].y, RAMP[1:])
    every = curves.read("taskset_official", tasks=["task_a"], metrics=list(taskset.CHANNELS), per_task=1)
    assert {each.name for each in every} == set(taskset.CHANNELS)
    assert len({each.run for each in every}) == 1
    few, more = ([each.run for each in curves.read("taskset_official", tasks=["task_a"], per_task=n)] for n in (2, 4))
    assert few == more[:2]
    assert few == [each.run for each in found if each.task == "task_a"][:2]


def test_taskset_refuses_other_shapes(tmp_path: Path) -> None:
    (tmp_path / "task_a").mkdir()
    path = tmp_path / "task_a" / "adam1p_wide_grid_1k_10000_replica5.npz"
    np.savez(path, optimizers=np.array([b"a", b"b"]), xs=np.arange(51), ys=np.zeros((2, 5, 51, 3)))
    with pytest.raises(ValueError, match=r"ys must be .* got \(2, 5, 51, 3\)"):
        list(taskset.read(tmp_path, lambda task: True))


# PD1


def pd1_line(trial: int, **facts: Any) -> dict[str, Any]:
    steps = list(range(100, 1300, 100))
    falling: list[float | None] = [1 / (1 + i) for i in range(12)]
    return {
        "trial_dir": f"trials/{trial}",
        "dataset": "mnist",
        "model": "max_pooling_cnn",
        "hps.batch_size": 256,
        "hps.activation_fn": "relu",
        "hps.lr_hparams.initial_value": 0.1,
        "status": "done",
        "global_step": steps,
        "epoch": steps,
        "valid/error_rate": falling,
        "valid/ce_loss": [3 * y for y in falling if y],
        "train/error_rate": falling,
        "best_valid/error_rate": 0.1,
    } | facts


@pytest.fixture
def pd1_folder(tmp_path: Path) -> Path:
    null = dict.fromkeys(("global_step", "epoch", "valid/error_rate", "valid/ce_loss", "train/error_rate"))
    lines = {
        "matched_phase0": [
            pd1_line(0),
            pd1_line(1, status="diverged", **null),
            pd1_line(
                2, status="diverged", **{"valid/error_rate": [0.9, 0.9], "valid/ce_loss": [9, 9, 9, 9, 9, 9, None]}
            ),
            pd1_line(3, **{"valid/error_rate": [0.5, None, 0.25, *[0.125] * 9]}),
            pd1_line(4, dataset="imagenet", model="resnet", **{"hps.activation_fn": None, "hps.batch_size": 512}),
        ],
        "matched_phase1": [
            pd1_line(5, global_step=[1, 2, 3, 3, 4, 5, 6], **{"valid/error_rate": [7, 6, 5, 4, 3, 2, 1]})
        ],
        "unmatched_phase0": [pd1_line(6)],
        "unmatched_phase1": [pd1_line(7)],
    }
    folder = tmp_path / "pd1"
    folder.mkdir()
    (folder / "README.txt").write_text("readme")
    for name, runs in lines.items():
        with gzip.open(folder / f"pd1_{name}_results.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(run) + "\n" for run in runs)
    return folder


@pytest.mark.parametrize("form", ["folder", "parent", "archive", "unpacked"])
def test_pd1_is_read_packed_and_unpacked(
    form: str, pd1_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = {"parent": tmp_path, "archive": tmp_path / "pd1.tar.gz"}.get(form, pd1_folder)
    if form == "archive":
        with tarfile.open(path, "w:gz") as archive:
            archive.add(pd1_folder, "pd1")
    if form == "unpacked":
        for file in pd1_folder.glob("*.gz"):
            file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
            file.unlink()
    monkeypatch.setenv("LCPFN_PD1", str(path))
    found = curves.read("pd1")
    assert {each.task for each in found} == {
        "mnist_max_pooling_cnn_relu_batch_size_256",
        "imagenet_resnet_batch_size_512",
    }
    assert {each.run for each in found} == {f"trials/{i}" for i in (0, 2, 3, 4, 5)}
    both = by_name(found, run="trials/0")
    assert set(both) == {"valid/error_rate", "valid/ce_loss"}
    np.testing.assert_array_equal(both["valid/error_rate"].t, np.arange(100, 1300, 100))
    np.testing.assert_allclose(both["valid/error_rate"].y, 1 / np.arange(1, 13))
    diverged = by_name(found, run="trials/2")
    assert list(diverged) == ["valid/ce_loss"], "two points are no curve"
    np.testing.assert_array_equal(diverged["valid/ce_loss"].y, [9, 9, 9, 9, 9, 9, np.nan])
    assert np.isnan(by_name(found, run="trials/3")["valid/error_rate"].y[1])
    repeated = by_name(found, run="trials/5")["valid/error_rate"]
    np.testing.assert_array_equal(repeated.t, [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(repeated.y, [7, 6, 4, 3, 2, 1])


def test_pd1_names_tasks_as_others_do() -> None:
    assert pd1.task_of(pd1_line(0, **{"hps.activation_fn": None})) == "mnist_max_pooling_cnn_batch_size_256"
