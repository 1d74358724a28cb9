"""The command with logs of other runs: what it reads, what it leaves out and says."""

import json
from pathlib import Path

import numpy as np
import pytest

import lcpfn
from lcpfn import Curve, Metric
from lcpfn.cli import parser

SHARE = Metric("max", bounds=(0, 1))
T = np.arange(1, 31)


def runs(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    level, rate = rng.uniform(0.5, 0.9, (n, 1)), rng.uniform(0.1, 0.3, (n, 1))
    return np.round(level * (1 - np.exp(-rate * T)) + 0.003 * rng.normal(size=(n, 30)), 4)


def write(path: Path, y: np.ndarray) -> None:
    path.write_text("\n".join(["epoch,val_accuracy", *(f"{t},{value}" for t, value in zip(T, y))]))


def test_other_runs_are_read_from_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    y = runs(6)
    folder = tmp_path / "search"
    folder.mkdir()
    for i, each in enumerate(y[1:]):
        write(folder / f"run{i}.csv", each)
    write(folder / "asked.csv", y[0, :10])
    (folder / "other.csv").write_text("epoch,loss\n1,0.5\n2,0.4\n")
    code = parser.main(
        ["predict", str(folder / "asked.csv"), "--metric", "val_accuracy", "--at", "30", "--json"]
        + ["--others", str(folder)]
    )
    out, err = capsys.readouterr()
    assert code == 0
    assert "other" in err
    others = [Curve(T, each, metric=SHARE) for each in y[1:]]
    belief = lcpfn.load().given(others).predict(y[0, :10], [30], metric=SHARE)
    assert json.loads(out)["forecast"][0]["quantiles"]["0.5"] == pytest.approx(float(belief.median()[0]), rel=1e-6)
