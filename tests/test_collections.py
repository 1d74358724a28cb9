"""Collections of curves: several folders, learning rates, branches of runs, and sources that came later."""

import importlib
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module(name)


curves, parquet, raw, contest = (load(name) for name in ("data.curves", "data.parquet", "data.raw", "real.contest"))
TEXT = dict.fromkeys(("source", "task", "run_id", "metric", "direction", "x_unit", "hyperparameters"), pa.string())
PLAIN = TEXT | dict.fromkeys(("x", "y"), pa.list_(pa.float64()))


def row(run: str, x: list[float], y: list[float], *, task: str = "a", **facts: Any) -> dict[str, Any]:
    told = {key: facts.pop(key) for key in ("metric", "lr") if key in facts}
    whole = {"source": "s", "task": task, "run_id": run, "metric": "validation/loss", "direction": "min"}
    return whole | {"x_unit": "step", "x": x, "y": y, "hyperparameters": json.dumps(facts)} | told


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = PLAIN | ({"lr": pa.list_(pa.float64())} if any("lr" in each for each in rows) else {})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), path)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two that are named, the second not there yet."""
    places = tmp_path / "first", tmp_path / "second"
    places[0].mkdir()
    monkeypatch.setenv("LCPFN_CURVES", os.pathsep.join(map(str, places)))
    for each in load("data.official").SOURCES.values():
        monkeypatch.delenv(each.variable, raising=False)
    return places


X = [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_later_folder_replaces_a_file_and_adds_others(folders: tuple[Path, Path]) -> None:
    first, second = folders
    for name in ("kept", "replaced"):
        write(first / f"{name}.parquet", [row("r", X, [5, 4, 3, 2, 1])])
    assert parquet.folders() == (first,)
    write(second / "replaced.parquet", [row("r", X, [9, 8, 7, 6, 5], lr=[0.1] * 5)])
    write(second / "added.parquet", [row("r", X, [1, 1, 1, 1, 1])])
    assert parquet.folders() == (first, second)
    assert curves.sources() == ("added", "kept", "replaced")
    (kept,), (replaced,) = curves.read("kept"), curves.read("replaced")
    assert kept.lr is None and kept.y[0] == 5
    assert replaced.y[0] == 9
    np.testing.assert_array_equal(replaced.lr, [0.1] * 5)


def test_a_source_that_came_later_is_there_by_name_alone(folders: tuple[Path, Path]) -> None:
    for name in ("gemstones", "old"):
        write(folders[0] / f"{name}.parquet", [row("r", X, [5, 4, 3, 2, 1]), row("r", X, X, task="cooldown")])
    assert curves.sources() == ("old",)
    assert curves.sources(later=True) == ("gemstones", "old")
    (curve,) = curves.read("gemstones")
    assert curve.task == "a", "the ends of branches are not a curve"
    assert len(curves.read("gemstones", metrics=["validation/loss"])) == 2, "unless they are asked for by name"
    with pytest.raises(SystemExit, match=r"gemstones came later .* name them alone"):
        contest.main(["--sources", "gemstones,old"])


def test_a_branch_has_what_its_parents_had_logged_before(folders: tuple[Path, Path]) -> None:
    rows = [
        row("twig", [4, 5], [44, 45], lr=[0.04, 0.05], _kind="branch", _parent="branch", _branch_step=4),
        row("root", X, [11, 12, 13, 14, 15], lr=[0.1] * 5, _kind="full run"),
        # The log of a branch may begin a step after the checkpoint, or at it: that value is its own.
        row("branch", [3, 4, 5], [33, 34, 35], lr=[0.03] * 3, _kind="branch", _parent="root", _branch_step=2.5),
    ]
    write(folders[0] / "s.parquet", rows)
    found = {curve.run: curve for curve in curves.read("s")}
    np.testing.assert_array_equal(found["root"].y, [11, 12, 13, 14, 15])
    np.testing.assert_array_equal(found["branch"].t, X)
    np.testing.assert_array_equal(found["branch"].y, [11, 12, 33, 34, 35])
    np.testing.assert_array_equal(found["twig"].y, [11, 12, 33, 44, 45])
    np.testing.assert_array_equal(found["twig"].lr, [0.1, 0.1, 0.03, 0.04, 0.05])
    assert all((np.diff(curve.t) > 0).all() for curve in found.values())


def test_a_branch_without_its_parent_is_an_error(folders: tuple[Path, Path]) -> None:
    write(folders[0] / "s.parquet", [row("r", X, X, _kind="branch", _parent="gone", _branch_step=1)])
    with pytest.raises(KeyError, match="gone"):
        curves.read("s")


def test_models_of_one_text_are_on_one_side() -> None:
    shapes = [
        f"slimpajama{chunk}/llama_norm-{shape}" for chunk in ("", "_chunk1") for shape in ("8x6x384", "24x12x768")
    ]
    assert len({raw.kin(task) for task in shapes}) == 1
    assert raw.kin("openwebtext2/llama_norm-8x6x384") != raw.kin(shapes[0])


@pytest.mark.skipif(not (parquet.files().keys() >= {"lr_scheduling", "step_back"}), reason=parquet.MISSING)
def test_rates_of_the_collection_stand_at_every_point() -> None:
    for source in ("lr_scheduling", "step_back"):
        for curve in curves.read(source, per_task=3):
            assert curve.lr is not None and curve.lr.shape == curve.t.shape
            assert (curve.lr >= 0).all() and (np.diff(curve.t) > 0).all()
    starts = {curve.t[0] for curve in curves.read("lr_scheduling")}
    assert max(starts) < 1_000, "no curve begins where a branch does"
