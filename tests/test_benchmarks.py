"""Benchmarks: tiny runs of every script, what their JSONs say, and the tables that are made of them."""

import argparse
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
import torch

from lcpfn.network.checkpoint import Checkpoint, digest
from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates
from lcpfn.priors import Curves, Paper
from lcpfn.query import KINDS
from lcpfn.training.objective import Objective
from lcpfn.training.randomness import generator
from lcpfn.training.scores import unseen_log_density

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("prior/quality", "speed/prediction", "speed/speedrun", "report/documents", "stopping/search")
FACTS = {"name", "command", "commit", "date", "device", "versions", "seed", "quick", "settings", "seconds", "complete"}
CURVES = 20


def launch(script: str, *arguments: Any, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A script as people run it."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{script}.py"), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def result(path: Path, script: str, *arguments: Any) -> dict[str, Any]:
    """The JSON that a script writes."""
    done = launch(script, *arguments, "--quick", "--out", path)
    assert done.returncode == 0, done.stderr
    whole: dict[str, Any] = json.loads(path.read_text())
    assert set(whole) == FACTS | {"results"}
    assert whole["quick"] and whole["complete"]
    assert str(path.parent) not in path.read_text(), "no path of this machine"
    assert whole["command"].startswith(f"python benchmarks/{script}.py ")
    assert f"--out {path.name}" in whole["command"]
    return whole


@pytest.fixture(scope="module")
def report() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))  # where it finds its neighbours
        yield runpy.run_path(str(ROOT / "benchmarks" / "report" / "documents.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    path = folder / "random.safetensors"
    with torch.random.fork_rng():
        networks.random_pfn().checkpoint.write(path)
    return path


@pytest.fixture(scope="module")
def quality(folder: Path, checkpoint: Path) -> dict[str, Any]:
    told = ("--only", "--checkpoint", checkpoint, "--curves", CURVES)
    return result(folder / "quality.json", "prior/quality", *told)


@pytest.fixture(scope="module")
def speed(folder: Path, checkpoint: Path) -> dict[str, Any]:
    return result(folder / "speed.json", "speed/prediction", "--checkpoint", checkpoint)


@pytest.fixture(scope="module")
def speedrun(folder: Path) -> dict[str, Any]:
    told = ("--minutes", "0.004,0.002", "--threads", 1, "--curves", CURVES, "--runs", folder / "runs")
    return result(folder / "speedrun.json", "speed/speedrun", *told)


@pytest.fixture(scope="module")
def ablations(folder: Path) -> dict[str, Any]:
    told = (
        "--minutes",
        0.002,
        "--threads",
        1,
        "--curves",
        CURVES,
        "--runs",
        folder / "runs",
        "--rows",
        "1000 bars, unit",
    )
    return result(folder / "ablations.json", "prior/quality", "--ablations", *told)


@pytest.fixture(scope="module")
def results(quality: Any, speed: Any, speedrun: Any, ablations: Any, folder: Path) -> Path:
    """A folder with all four, as if they were the results of full runs."""
    full = folder / "full"
    full.mkdir()
    for whole in (quality, speed, speedrun, ablations):
        (full / f"{whole['name']}.json").write_text(json.dumps(whole | {"quick": False}))
    return full


# -- scores -----------------------------------------------------------------------------------------------------------


def test_numpy_scores_are_those_of_the_training_network(quality: dict[str, Any], checkpoint: Path) -> None:
    """The public predict against the torch objective, on curves drawn here from the stream that the README names."""
    read = Checkpoint.read(checkpoint)
    with torch.random.fork_rng():
        objective = Objective(
            ModelConfig(**read.config["model"]), Coordinates(**read.config["coordinates"]), (0.0, 1.0)
        )
    objective.model.load_state_dict({name: torch.tensor(values) for name, values in read.weights.items()})
    drawn = Paper().sample(200, torch.arange(1.0, 101.0), generator=generator(0, 100, 0))
    curves = Curves(*(getattr(drawn, name)[:CURVES] for name in ("t", "y", "signal", "seen")))

    def log_density(part: Curves, after: torch.Tensor, t: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return objective(part, after, t, answer, torch.tensor([KINDS.index("value")]))

    scored = quality["results"]["networks"][0]
    for cut, scores in unseen_log_density(log_density, curves).items():
        told = scored["log_density"][str(cut)]
        assert told["mean"] == pytest.approx(float(scores.mean()), abs=1e-3)
        assert told["se"] == pytest.approx(float(scores.std() / CURVES**0.5), abs=1e-3)
    assert scored["sha256"] == digest(checkpoint)
    assert scored["parameters"] == sum(values.size for values in read.weights.values())


def test_an_ablation_trains_and_scores_a_variant(ablations: dict[str, Any], report: dict[str, Any]) -> None:
    (network,) = ablations["results"]["networks"]
    assert (network["layout"], network["head"], network["values"]) == ("original", "bars", "unit")
    assert network["curves_seen"] > 0
    settings = {"curves": CURVES, "calibration_curves": 0, "streams": [100, 101]}
    assert ablations["settings"] == settings | {"minutes": 0.002, "threads": 1, "training_seed": 0}
    failed = {"networks": [network, {"name": "x", "failed": "the loss became nonfinite"}]}
    assert report["ablations"](failed)[2][:2] == ["x", "the loss became nonfinite"]


# -- speed ------------------------------------------------------------------------------------------------------------


def test_speed_measures_all_that_it_promises(speed: dict[str, Any]) -> None:
    rows = speed["results"]["rows"]
    starts = [
        "`predict`, one",
        "`predict`, one",
        "`stream`",
        "`replay`",
        "process",
        "`predict`, 100",
        "loop",
        "LC-PFN's",
    ]
    assert len(rows) == len(starts)
    assert all(row["what"].startswith(start) for row, start in zip(rows, starts))
    for row in rows:
        assert 0 < row["seconds"]["low"] <= row["seconds"]["median"] <= row["seconds"]["high"]
        assert 2e7 < row.get("peak_bytes", 1e8) < 2e9
    assert [row["extrapolated"] for row in rows] == [False] * 6 + [True, False]
    loop = rows[6]
    assert loop["seconds"]["median"] == pytest.approx(loop["measured_s"] * 1e6 / loop["curves"])
    original = speed["results"]["original"]
    assert 25e6 < original["parameters"] < 28e6, "LC-PFN's largest network has 26 million"
    assert original["ratio"]["median"] > 0
    assert speed["settings"]["threads"] == 1


def test_a_speedrun_scores_complete_runs_in_order(speedrun: dict[str, Any], report: dict[str, Any]) -> None:
    results = speedrun["results"]
    rows = {row[0]: row[-1] for row in report["TABLES"]["speedrun"].rows(results)}
    assert [run["minutes"] for run in results["runs"]] == [0.002, 0.004]
    for run in results["runs"]:
        assert run["clock_s"] >= 60 * run["minutes"]
        scores = [score["mean"] for score in run["log_density"].values()]
        expected = [row["name"] for row in results["rows"] if all(np.array(scores) >= row["log_density"])]
        assert rows[f"{run['minutes']:g}"] == (", ".join(expected) or "none")
    assert [row["name"] for row in results["rows"]] == ["LC-PFN P1", "LC-PFN P2", "LC-PFN P3", "MCMC M3", "our target"]


# -- JSONs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_explains_itself(script: str, tmp_path: Path) -> None:
    done = launch(script, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert script == "report/documents" or {"--quick", "--out"} <= set(re.findall(r"--[a-z-]+", done.stdout))
    assert not list(tmp_path.iterdir())


def test_a_quick_run_goes_elsewhere_and_replaces_no_full_one(tmp_path: Path) -> None:
    record = runpy.run_path(str(ROOT / "benchmarks" / "record.py"))
    made = {"name": "speed", "arguments": [], "seed": 0, "settings": {}}
    quick, full = (argparse.Namespace(quick=quick, out=None) for quick in (True, False))
    assert (
        record["Record"]("benchmarks/speed/prediction.py", told=full, **made).path
        == ROOT / "benchmarks/results/speed.json"
    )
    assert record["Record"]("benchmarks/speed/prediction.py", told=quick, **made).path == ROOT / "runs/quick/speed.json"
    full.out = quick.out = tmp_path / "new" / "speed.json"
    record["Record"]("benchmarks/speed/prediction.py", told=full, **made).write({"a": 1.0}, complete=True)
    before = quick.out.read_text()
    with pytest.raises(FileExistsError, match="a quick one must not replace it"):
        record["Record"]("benchmarks/speed/prediction.py", told=quick, **made)
    with pytest.raises(ValueError, match="JSON compliant"):
        record["Record"]("benchmarks/speed/prediction.py", told=full, **made).write({"a": float("nan")}, complete=True)
    assert quick.out.read_text() == before


# -- tables -----------------------------------------------------------------------------------------------------------


def document(folder: Path, *names: str) -> Path:
    path = folder / "README.md"
    path.write_text("# Title\n" + "".join(f"\n<!-- table:{name} -->\n<!-- end -->\n" for name in names) + "\nlast\n")
    return path


def numbers(tree: Any) -> list[float]:
    """All numbers of a JSON."""
    if isinstance(tree, dict):
        return [n for value in tree.values() for n in numbers(value)]
    if isinstance(tree, list):
        return [n for value in tree for n in numbers(value)]
    return [float(tree)] if isinstance(tree, (int, float)) and not isinstance(tree, bool) else []


def test_every_number_of_a_table_stands_in_its_json(report: dict[str, Any], results: Path) -> None:
    factors = (1, 100, 1e3, 1 / 60, 1 / 3600, 1e-6)  # units of the tables
    for name, table in report["TABLES"].items():
        if table.result not in ("quality", "speed", "speedrun", "ablations"):
            continue  # ratios and spreads, or a run of their own: test_versus_mcmc.py and others
        whole = json.loads((results / f"{table.result}.json").read_text())
        leaves = [factor * leaf for leaf in numbers(whole["results"]) for factor in factors]
        head, *rows = table.rows(whole["results"])
        assert rows and all(len(row) == len(head) for row in rows), name
        for row in rows:
            for cell in row[1:]:
                for text in re.findall(r"(?<!\w)-?\d[\d,]*\.?\d*", re.sub(r"`.*?`|LC-PFN P\d|MCMC M\d", "", cell)):
                    digits = len(text.partition(".")[2])
                    shown = float(text.replace(",", ""))
                    nearest = min(abs(leaf - shown) for leaf in leaves)
                    assert nearest <= 0.5001 * 10**-digits, f"{name}: {text} of {cell!r}"


def test_a_table_is_written_once_and_then_up_to_date(results: Path, tmp_path: Path) -> None:
    names = ("quality", "checkpoints", "crps", "calibration", "speed", "speedrun", "ablations")
    path = document(tmp_path, *names)
    told = ("--results", results, "--documents", path, "--checkpoints", tmp_path)
    assert launch("report/documents", *told, "--check").returncode == 1
    assert launch("report/documents", *told).returncode == 0
    written = path.read_text()
    assert written.count("\n| ---") == len(names) == written.count("`python benchmarks/")
    assert written.startswith("# Title\n") and written.endswith("<!-- end -->\n\nlast\n")
    assert launch("report/documents", *told, "--check").returncode == 0
    assert launch("report/documents", *told, "--figures", tmp_path / "figures").returncode == 0
    assert path.read_text() == written
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == ["calibration.png", "speedrun.png"]


def test_a_changed_number_is_noticed(results: Path, tmp_path: Path) -> None:
    path, changed = document(tmp_path, "quality"), tmp_path / "results"
    changed.mkdir()
    whole = json.loads((results / "quality.json").read_text())
    (changed / "quality.json").write_text(json.dumps(whole))
    told = ("--results", changed, "--documents", path, "--checkpoints", tmp_path)
    assert launch("report/documents", *told).returncode == 0
    whole["results"]["networks"][0]["log_density"]["10"]["mean"] += 0.001
    (changed / "quality.json").write_text(json.dumps(whole))
    done = launch("report/documents", *told, "--check")
    assert done.returncode == 1
    assert "README.md is not what the results say: run python benchmarks/report/documents.py" in done.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<!-- table:qualiti -->\n<!-- end -->\n", "no table 'qualiti': write one of quality, checkpoints"),
        ("<!-- table:speed -->\n", "needs an <!-- end -->"),
        ("<!-- table:speed -->\n<!-- table:quality -->\n<!-- end -->\n", "needs an <!-- end -->"),
    ],
)
def test_wrong_markers_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    done = launch("report/documents", "--results", tmp_path, "--documents", path, "--checkpoints", tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert path.read_text() == text


@pytest.mark.parametrize(("change", "reason"), [({"quick": True}, "a quick run"), ({"complete": False}, "was cut off")])
def test_only_full_and_complete_results_are_shown(
    change: dict[str, bool], reason: str, results: Path, tmp_path: Path, report: dict[str, Any]
) -> None:
    whole = json.loads((results / "speed.json").read_text())
    (tmp_path / "speed.json").write_text(json.dumps(whole | change))
    with pytest.raises(ValueError, match=reason):
        report["text"]("speed", tmp_path)


def test_a_missing_result_says_how_to_make_it(report: dict[str, Any], tmp_path: Path) -> None:
    for name, table in report["TABLES"].items():
        assert f"Not measured yet: `{table.command}`" in report["text"](name, tmp_path)


def test_scores_of_another_file_are_noticed(
    report: dict[str, Any], results: Path, checkpoint: Path, tmp_path: Path
) -> None:
    def wrong() -> list[str]:
        found: list[str] = report["changed_checkpoints"](results, tmp_path)
        return found

    assert wrong() == []
    (tmp_path / "random.safetensors").write_bytes(checkpoint.read_bytes())
    assert wrong() == []
    (tmp_path / "random.safetensors").write_bytes(checkpoint.read_bytes() + b" ")
    assert "scores of another random.safetensors" in wrong()[0]
    (tmp_path / "new.safetensors").write_bytes(checkpoint.read_bytes())
    assert "no scores of new.safetensors" in wrong()[0]


def test_tables_are_aligned(report: dict[str, Any]) -> None:
    lines = report["markdown"]([["what", "a", "b"], ["x", "1.5", ""], ["long name", "20", "3"]]).split("\n")
    assert lines == [
        "| what      |   a | b |",
        "| --------- | --: | -: |",
        "| x         | 1.5 |   |",
        "| long name |  20 | 3 |",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.000_012_34, "0.01 ms"),
        (0.001_234, "1.23 ms"),
        (0.0999, "99.9 ms"),
        (0.1, "100 ms"),
        (1.0, "1.00 s"),
        (119.0, "119 s"),
        (120.0, "2.00 min"),
        (7200.0, "2.00 h"),
    ],
)
def test_durations_have_a_fitting_unit(report: dict[str, Any], seconds: float, text: str) -> None:
    assert report["duration"](seconds) == text


def test_the_documents_show_what_the_results_say() -> None:
    done = launch("report/documents", "--check")
    assert done.returncode == 0, done.stderr
    shown = "".join(page.read_text() for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")))
    tables = re.findall(r"<!-- table:(\S+) -->", shown)
    assert {"real", "quality", "calibration", "versus_mcmc", "speed", "speedrun"} <= set(tables)
    assert len(tables) == len(set(tables))  # each in one place
