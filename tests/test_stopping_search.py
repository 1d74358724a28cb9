"""The benchmark of stopping in a parallel search by Optuna: its clock, and a quick run."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lcpfn.metric import Metric

optuna = pytest.importorskip("optuna")

ROOT = Path(__file__).resolve().parent.parent
UNIT = Metric("max", bounds=(0, 1))


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        names = ("stopping.parallel", "stopping.table", "data.curve", "report.stopping")
        return {name: importlib.import_module(name) for name in names}


def table(bench: dict[str, ModuleType], *runs: tuple[list[float], list[float]]) -> Any:
    """Runs of (values, work after each point); whose work ends before 1 diverged."""
    made = [
        bench["stopping.table"].Run(
            np.arange(1.0, len(y) + 1), np.array(y), np.array(work), diverged=work[-1] < 1, horizon=4.0
        )
        for y, work in runs
    ]
    return bench["stopping.table"].Table("made-up", "task", "metric", UNIT, made)


def test_points_come_in_the_order_of_the_clock(bench: dict[str, ModuleType]) -> None:
    """Whatever runs are drawn, they are all alike: two workers take turns, and share the budget."""
    made = table(bench, *[([0.1, 0.2, 0.3, 0.4], [0.25, 0.5, 0.75, 1.0])] * 3)
    found = bench["stopping.parallel"].search(made, optuna.pruners.NopPruner(), seed=0, workers=2, budget=3.0)
    assert found.trace.spent == pytest.approx(np.arange(1, 13) / 4)
    assert found.trace.best.tolist() == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3, *[0.4] * 6]
    assert (found.trials, found.pruned, len(found.seconds)) == (4, 0, 12)


def test_a_search_can_be_repeated_with_hyperband_which_draws_its_brackets_by_the_name_of_the_study(
    bench: dict[str, ModuleType],
) -> None:
    points, tops = 27, np.random.default_rng(0).permutation(40) / 40
    runs = [
        ((top * np.arange(1, points + 1) / points).tolist(), (np.arange(1, points + 1) / points).tolist())
        for top in tops
    ]
    found = [
        bench["stopping.parallel"].search(
            table(bench, *runs), optuna.pruners.HyperbandPruner(max_resource=points), seed=1, workers=2, budget=30.0
        )
        for _ in range(2)
    ]
    assert found[0].pruned == found[1].pruned > 0
    assert found[0].trace.best.tolist() == found[1].trace.best.tolist()


def test_a_diverged_run_fails_and_a_pruned_one_makes_room(bench: dict[str, ModuleType]) -> None:
    made = table(bench, *[([0.9, 0.8], [0.25, 0.5])] * 3)
    found = bench["stopping.parallel"].search(made, optuna.pruners.NopPruner(), seed=0, workers=1, budget=1.5)
    assert (found.trials, found.pruned) == (4, 0)  # three that failed, and the one that would come next

    class Always(optuna.pruners.BasePruner):  # type: ignore[misc]
        def prune(self, study: Any, trial: Any) -> bool:
            return True

    found = bench["stopping.parallel"].search(made, Always(), seed=0, workers=1, budget=1.5)
    assert found.pruned == 6 == found.trials - 1


def test_a_quick_run_from_end_to_end(
    bench: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, curves = np.random.default_rng(0), []
    for run in range(24):
        y = np.clip(0.9 - draw.uniform(0, 0.7) - 0.2 / np.arange(1, 9) + draw.normal(0, 0.004, 8), 0, 1)
        facts = dict(name="val/accuracy", metric=UNIT, t=np.arange(1.0, 9))
        curves.append(bench["data.curve"].RealCurve(source="some", task="a", run=str(run), y=y, **facts))
    out = tmp_path / "search.json"
    told = ["--quick", "--out", str(out), "--studies", "2"]
    assert bench["stopping.parallel"].main(told, read=lambda *_, **__: curves, sources=["some"]) == 0
    whole = json.loads(out.read_text())
    assert whole["complete"] and set(whole["results"]["all"]) == set(bench["stopping.parallel"].PRUNERS)
    assert whole["results"]["all"]["NopPruner"]["speed_up"] == 1
    assert whole["results"]["all"]["LearningCurvePruner, each look at 0.1"]["pruned"] > 0
    assert "| NopPruner" in capsys.readouterr().out
    rows = bench["report.stopping"].search(whole["results"])
    assert len({len(row) for row in rows}) == 1
