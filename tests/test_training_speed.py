"""The benchmark of training speed: what its rows say, and that its opponent is what it says."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from statistical import laws_differ

from lcpfn.priors import Paper
from lcpfn.training import Run

ROOT = Path(__file__).resolve().parent.parent
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    training_speed, opponent, rows, report, memory = (
        importlib.import_module(name)
        for name in ("speed.training", "speed.original_training", "report.training", "report.documents", "speed.memory")
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("results") / "training_speed.json"
    told = ["--quick", "--devices", "cpu", "--priors", "paper,general", "--out", str(path)]
    with torch.random.fork_rng():
        assert training_speed.main(told) == 0
    whole: dict[str, Any] = json.loads(path.read_text())
    assert whole["quick"] and whole["complete"]
    found: dict[str, Any] = whole["results"]
    return found


def test_rows_say_where_the_time_goes(results: dict[str, Any]) -> None:
    assert [(row["preset"], row["prior"]) for row in results["rows"]] == [("tiny", "paper"), ("tiny", "general")]
    (product,) = results["products"]
    for row in results["rows"]:
        parts = sum(row[name]["median"] for name in training_speed.PARTS)
        assert 0.2 * parts < row["step"]["median"] < 5 * parts, (
            "a whole step is its parts, on a busy machine more or less"
        )
        rate = row["curves_per_s"]["median"]
        assert row["tokens_per_s"] == pytest.approx(rate * row["tokens"])
        assert row["share"] == pytest.approx(
            6 * row["parameters"] * row["tokens_per_s"] / product["bfloat16"]["median"]
        )
        assert 5e7 < row["peak_bytes"] < 5e10
    paper, general = results["rows"]
    assert paper["tokens"] == 101 + 64 and general["tokens"] == 101 + 64 + 8, "observed, start and queries"


def test_the_opponents_have_the_sizes_that_their_names_say(results: dict[str, Any]) -> None:
    small, largest = results["original"]
    assert small["parameters"]["original"] == 770_117
    assert 25e6 < largest["parameters"]["original"] < 28e6
    for row in results["original"]:
        assert 0 < row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]


def test_the_tables_are_made_of_the_results(results: dict[str, Any]) -> None:
    failed = {**results["rows"][0], "failed": "out of memory", "device": "cuda", "mode": "compile"}
    told = {**results, "rows": [*results["rows"], failed]}
    for table in rows.TABLES.values():
        head, *lines = table(told)
        assert lines and all(len(line) == len(head) for line in lines)
    text = report.markdown(rows.speed(told))
    assert "`tiny`, `general`, CPU, 1 thread" in text and "GPU, compiled" in text and "out of memory" in text
    assert "out of memory" in rows.line(failed)


def test_curves_drawn_one_by_one_have_the_law_of_the_paper() -> None:
    t = torch.arange(1.0, 101.0)
    slow = opponent.OneByOne().sample(2000, t, generator=torch.Generator().manual_seed(0))
    fast = Paper().sample(20_000, t, generator=torch.Generator().manual_seed(1))
    for name in ("first", "last", "noise"):
        a, b = (
            {
                "first": each.signal[:, 0],
                "last": each.signal[:, -1],
                "noise": (each.y - each.signal).std(1).log(),
            }[name]
            .double()
            .numpy()
            for each in (slow, fast)
        )
        assert not laws_differ(a, b), name
        assert laws_differ(a + 0.3 * a.std(), b), name


@pytest.mark.parametrize("size", opponent.SIZES)
def test_the_opponent_trains(size: str, tmp_path: Path) -> None:
    told = opponent.options(size, batch=2, steps=2, threads=1, validation_curves=0)
    run = Run(told, tmp_path, prior=opponent.OneByOne(), network=opponent.NETWORK, say=lambda line: None)
    before = run.objective.model.head.bias.detach().clone()
    assert np.isfinite(float(run.learn(1e-3)))
    assert not torch.equal(before, run.objective.model.head.bias)
    assert told.precision == "float32" and told.shares == (1.0, 0.0, 0.0)


def test_the_peak_of_memory_begins_anew() -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux can forget a peak")
    big = np.ones(50_000_000)
    high = memory.peak_bytes()
    del big
    memory.forget_peak()
    assert memory.peak_bytes() < high - 200e6


@pytest.mark.gpu
def test_rows_of_a_gpu(tmp_path: Path) -> None:
    told = ["--quick", "--devices", "cuda", "--batches", "64", "--modes", "eager", "--out", str(tmp_path / "x.json")]
    with torch.random.fork_rng():
        assert training_speed.main(told) == 0
    for row in json.loads((tmp_path / "x.json").read_text())["results"]["rows"]:
        assert row["device"] == "cuda" and 0 < row["share"] < 1 and row["peak_bytes"] > 1e6
