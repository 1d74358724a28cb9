"""The benchmark of forecasts that know other runs, on runs made here."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lcpfn import Metric

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return {name: importlib.import_module(name) for name in ("real.others", "report.others", "data.curve")}


def test_it_asks_judges_and_writes(
    bench: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def made(source: str, *, split: str) -> list[Any]:
        assert split == "development"
        rng, t = np.random.default_rng(0), np.arange(1.0, 21)
        level = rng.uniform(0.5, 0.8, 14)
        y = level[:, None] * (1 - np.exp(-0.3 * t)) + 0.15 / (1 + np.exp(15 - t)) + 0.003 * rng.normal(size=(14, 20))
        metric = Metric("max", bounds=(0, 1))
        return [
            bench["data.curve"].RealCurve(source, "task", str(i), "acc", metric, t, each) for i, each in enumerate(y)
        ]

    out = tmp_path / "others.json"
    arguments = ["--quick", "--out", str(out), "--others", "0,1,10", "--methods", "given,conformal"]
    assert bench["real.others"].main(arguments, read=made, sources=("made",)) == 0
    told = json.loads(out.read_text())
    assert told["complete"] and set(told["results"]) == {"finished", "search"}
    scores = told["results"]["finished"]["made"]
    assert set(scores) == {"1", "10"} and set(scores["10"]) == {"alone", "given", "conformal"}
    assert scores["10"]["alone"]["saved"] == 0
    assert scores["10"]["given"]["saved"] > 0.2  # all runs rise late, which none of them shows before
    assert len(bench["report.others"].rows(told["results"], "finished")) == 3
    assert "| conformal" in capsys.readouterr().out
