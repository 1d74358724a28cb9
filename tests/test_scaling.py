"""The study of size and training: what is trained is kept, what is cut off goes on, scores are paired."""

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.coordinates import Coordinates
from lcpfn.training import Run
from lcpfn.training.transformer import Transformer

ROOT = Path(__file__).resolve().parent.parent
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    scaling, exam, rows, report, figures = (
        importlib.import_module(name)
        for name in ("speed.scaling", "prior.exam", "report.training", "report.documents", "report.figures")
    )


def run(folder: Path, *more: str, done: int = 0) -> dict[str, Any]:
    told = ["--quick", "--threads", "1", "--runs", str(folder / "runs"), "--out", str(folder / "scaling.json"), *more]
    assert scaling.main(told) == done
    whole: dict[str, Any] = json.loads((folder / "scaling.json").read_text())
    return whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scaling")


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Any]:
    return run(folder)


def test_every_run_is_complete_and_scored_by_pairs(whole: dict[str, Any], folder: Path) -> None:
    assert whole["complete"]
    few, more = whole["results"]["runs"]
    assert (few["curves_seen"], more["curves_seen"]) == (200, 400)
    shipped = next(each for each in exam.shipped() if each.name == scaling.BASELINE)
    mine = exam.Contestant.read(folder / "runs" / "paper-0.03M-400" / "checkpoint.safetensors")
    differences = np.concatenate(
        [
            np.subtract(*(exam.unseen(each.answers, block, crps=False)["log_density"] for each in (mine, shipped)))
            for block in exam.draw(60)
        ],
        axis=1,
    )
    for cut, row in zip(exam.CUTS, differences):
        assert more["gain"][str(cut)]["mean"] == pytest.approx(row.mean())
        assert more["gain"][str(cut)]["se"] == pytest.approx(row.std(ddof=1) / 60**0.5)


def test_what_is_trained_is_not_trained_again(
    whole: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "train", lambda *a, **k: pytest.fail("trained again"))
    extra = folder / "runs" / "paper-0.03M-200" / "checkpoint.safetensors"
    again = run(folder, "--checkpoint", str(extra))
    assert [each["log_density"] for each in again["results"]["runs"][:2]] == [
        each["log_density"] for each in whole["results"]["runs"]
    ]
    assert again["results"]["runs"][2]["size"] == "paper-0.03M-200", "a checkpoint that was there goes by its folder"


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    told = argparse.Namespace(
        prior="paper", batch=10, lr=1e-3, device="cpu", threads=1, compile=False, quick=True, minutes=None
    )
    plan = [("0.03M", 2000, tmp_path / "long")]
    assert scaling.grow(plan, told, until=0.0) == [("0.03M", 2000)] and not plan[0][2].exists()
    assert scaling.grow(plan, told, until=scaling.time.monotonic() + 1.0) == [("0.03M", 2000)]
    seen = scaling.trained(plan[0][2])
    assert 0 < seen < 2000
    began: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        learn = Run.learn
        patch.setattr(Run, "learn", lambda self, rate: (began.append(self.step), learn(self, rate))[1])
        assert scaling.grow(plan, told, until=None) == []
    assert began[0] == seen // 10 and scaling.trained(plan[0][2]) == 2000
    made = Checkpoint.read(plan[0][2] / "checkpoint.safetensors")
    assert made.config["model"]["width"] == scaling.SIZES["0.03M"].width


def test_the_sizes_are_what_they_are_called() -> None:
    with torch.random.fork_rng():
        for name, config in scaling.SIZES.items():
            size = sum(p.numel() for p in Transformer(config, Coordinates()).parameters())
            assert size / 1e6 == pytest.approx(float(name.removesuffix("M")), rel=0.15), name
            assert size < 8.1e6, "a checkpoint in float16 stays under 16 MB"


def test_the_gap_to_the_reference_is_that_of_the_shipped_less_the_gain(
    whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {str(cut): {"mean": 0.02, "se": 0.003} for cut in exam.CUTS}
    made = {"results": {"methods": [{"name": scaling.BASELINE, "gap": known}]}}
    (tmp_path / "versus_mcmc.json").write_text(json.dumps(made))
    monkeypatch.setattr(scaling, "RESULTS", tmp_path)
    judge = scaling.Judge(40)
    row = judge.row(next(each for each in exam.shipped() if each.name == scaling.BASELINE))
    for cut in map(str, exam.CUTS):
        assert row["gain"][cut]["mean"] == 0 and row["gap"][cut] == {"mean": 0.02, "se": 0.003}


def test_real_curves_are_asked_for_by_path(
    whole: dict[str, Any], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        curves, real_curves = importlib.import_module("data.curves"), importlib.import_module("real.contest")
    monkeypatch.setattr(curves, "sources", lambda: ("a", "b", "c"))

    def ask(arguments: list[str]) -> int:
        method, out = arguments[1], Path(arguments[arguments.index("--out") + 1])
        for source, skill in (("a", {"value": 0.2}), ("b", {"value": 0.4}), ("c", None)):
            file = out / source / f"{real_curves.slug(method)}.json"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps({"results": {"skill": {"later": skill}}}))
        return 0

    monkeypatch.setattr(real_curves, "main", ask)
    told = argparse.Namespace(per_task=3)
    found = scaling.real(folder / "runs" / "paper-0.03M-200" / "checkpoint.safetensors", told, tmp_path)
    assert found == {"skill": pytest.approx(0.3), "sources": 2, "by_source": {"a": 0.2, "b": 0.4}}
    monkeypatch.setattr(curves, "sources", lambda: ())
    assert scaling.real(folder / "x", told, tmp_path) is None


def test_the_table_and_the_picture(whole: dict[str, Any], tmp_path: Path) -> None:
    results = whole["results"]
    head, *lines = rows.scaling(results)
    assert len(lines) == 2 and all(len(line) == len(head) for line in lines)
    results["runs"][0] |= {"real": {"skill": 0.25, "sources": 3}, "gap": {"10": {"mean": 0.01, "se": 0.0}}}
    assert rows.scaling(results)[1][-2:] == ["0.010", "25 over 3 sources"]
    (tmp_path / "scaling.json").write_text(json.dumps(whole))
    pytest.importorskip("matplotlib")
    assert [path.name for path in figures.draw(tmp_path, tmp_path)] == ["scaling.png"]


def test_a_general_network_is_scored_by_its_validation(tmp_path: Path) -> None:
    whole = run(tmp_path, "--prior", "general", "--curves", "100")
    (only,) = whole["results"]["runs"]
    assert {"value", "signal", "best", "outcome"} <= set(only["validation"]) and "gain" not in only
    assert rows.scaling(whole["results"])[1][-1] == "-"


def test_an_unknown_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"sizes are among 0\.03M"):
        scaling.main(["--quick", "--sizes", "9M"])
