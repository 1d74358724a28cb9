"""The replayed searches as a command: a quick run, what it writes, and how it goes on."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lcpfn.metric import Metric

ROOT = Path(__file__).resolve().parent.parent
UNIT = Metric("max", bounds=(0, 1))


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return {name: importlib.import_module(name) for name in ("data.curve", "stopping.search", "report.stopping")}


def made_up(bench: dict[str, ModuleType], source: str, **_: Any) -> list[Any]:
    draw, found = np.random.default_rng(0), []
    for task in ("a", "b"):
        for run in range(24):
            y = 0.9 - draw.uniform(0, 0.7) - 0.2 / np.arange(1, 11) + draw.normal(0, 0.004, 10)
            facts = dict(name="val/accuracy", metric=UNIT, t=np.arange(1.0, 11))
            found.append(
                bench["data.curve"].RealCurve(source=source, task=task, run=str(run), y=np.clip(y, 0, 1), **facts)
            )
    return found


def test_a_quick_run_from_end_to_end(
    bench: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stopping.json"
    told = ["--quick", "--out", str(out), "--rows", str(tmp_path), "--orders", "4"]

    def run() -> int:
        return int(
            bench["stopping.search"].main(
                told, read=lambda source, **how: made_up(bench, source, **how), sources=["some"]
            )
        )

    assert run() == 0
    whole = json.loads(out.read_text())
    assert whole["complete"] and whole["quick"] and whole["settings"]["split"] == "development"
    some = whole["results"]["sources"]["some"]
    assert some["tables"] == 1 and some["runs"] == 24
    assert some["rules"]["no stopping"]["speed_up"] == 1
    assert some["rules"]["oracle"]["regret"] == 0 and some["rules"]["oracle"]["speed_up"] > 1.5
    assert all(0 <= each["harmed"] <= 1 for each in some["rules"].values())
    printed = capsys.readouterr().out
    for name in bench["report.stopping"].TABLES:
        assert f"\n{name}\n|" in printed
    assert run() == 0  # goes on from its rows
    assert "1 tables, 0 of them played" in capsys.readouterr().out
    told[2] = str(tmp_path / "test.json")
    asked: list[str] = []

    def read(source: str, *, split: str, **how: Any) -> list[Any]:
        asked.append(split)
        return made_up(bench, source)

    assert bench["stopping.search"].main([*told, "--split", "test"], read=read, sources=["some"]) == 0
    assert asked == ["test"] and json.loads((tmp_path / "test.json").read_text())["settings"]["split"] == "test"


def test_no_curves_is_said(bench: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench["stopping.search"].main([], sources=[]) == 1
    assert "no real curves" in capsys.readouterr().out
