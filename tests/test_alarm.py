"""The benchmark of the alarm: what it counts, on curves whose errors are known."""

import dataclasses
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from networks import FREE, random_pfn

from lcpfn import PFN
from lcpfn.metric import Metric
from lcpfn.priors import General

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return {
            name.rpartition(".")[2]: importlib.import_module(name)
            for name in ("real.alarm", "real.cases", "data.curve", "opponents.networks")
        }


def test_calm_forecasts_weigh_the_cut_offs_as_those_with_an_alarm(bench: dict[str, ModuleType]) -> None:
    rows = [[10, 0, 9.0, 0], *[[20, 0, 1.0, 1]] * 2, [20, 1, 2.0, 0], [80, 0, 0.1, 1], *[[80, 1, 0.4, 1]] * 3]
    rows = [[*row, 0.0] for row in rows]
    told = bench["alarm"].summary(np.array([*rows, [90, 1, 50.0, 0, 0.0]]))
    assert told["rings"] == pytest.approx(5 / 9) and told["rings_in_worst"] == 1.0
    assert told["calm"] == {"forecasts": 3, "crps": pytest.approx((1.0 + 3 * 0.1) / 4), "coverage": 1.0}
    assert told["alarm"] == {"forecasts": 4, "crps": pytest.approx((2.0 + 3 * 0.4) / 4), "coverage": 0.75}
    quiet = bench["alarm"].summary(np.array(rows)[[0, 1, 2, 4]])
    assert quiet["rings"] == 0 and quiet["calm"]["crps"] is None and bench["alarm"].average([quiet]) is None
    mean = bench["alarm"].average([told | {part: told[part] | {"forecasts": 9} for part in ("calm", "alarm")}])
    assert mean["sources"] == mean["worse_where_it_rings"] == 1


def test_the_strangest_are_those_of_the_highest_evidence_after_each_cut_off(bench: dict[str, ModuleType]) -> None:
    draw, rows = np.random.default_rng(0), []
    for cut, count in ((10, 60), (80, 40)):
        evidence = draw.permutation(count) + 100.0 * (cut == 80)  # later there is more, and forecasts are better
        rows += [[cut, 0, (2.0 + (e % 100 >= 0.9 * count)) / cut, e % 2, e] for e in evidence]
    told = bench["alarm"].summary(np.array(rows))
    assert (told["usual"]["forecasts"], told["strange"]["forecasts"]) == (90, 10)
    assert told["usual"]["crps"] == pytest.approx((54 * 0.2 + 36 * 0.025) / 90)
    assert told["strange"]["crps"] == pytest.approx((6 * 0.3 + 4 * 0.0375) / 10)
    assert told["strange"]["coverage"] == told["usual"]["coverage"] == 0.5
    few = told | {"strange": {"forecasts": 4, "crps": 9.0, "coverage": 0.0}}
    mean = bench["alarm"].average_strange([told, few])
    assert mean["sources"] == mean["worse"] == 1 and mean["ratio"] == pytest.approx(1.5)
    assert bench["alarm"].average_strange([few]) is None
    assert json.loads(json.dumps([told, mean])) == [told, mean]


def rising(bench: dict[str, ModuleType], source: str, **_: Any) -> list[Any]:
    """Calm rises of an error rate, and some that jump back at a fifth of the run and end elsewhere."""
    draw, found = np.random.default_rng(0), []
    for run in range(8):
        y = 0.9 - draw.uniform(0.5, 0.8) * (1 - np.exp(-np.arange(1, 61) / draw.uniform(5, 15)))
        y = y + draw.normal(0, 0.004, 60)
        if run % 2:
            y[12:16] += draw.uniform(0.3, 0.6)
            y[50:] += 0.2
        facts = dict(name="val/error", metric=Metric("min", bounds=(0, 1)), t=np.arange(1.0, 61) * 500)
        found.append(bench["curve"].RealCurve(source=source, task="a", run=str(run), y=np.clip(y, 0, 1), **facts))
    return found


def test_the_alarm_is_told_apart_from_end_to_end(
    bench: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "alarm.json"
    code = bench["alarm"].main(
        ["--quick", "--out", str(out), "--methods", "ours:paper"],
        read=lambda source, **_: rising(bench, source),
        sources=["some"],
    )
    told = json.loads(out.read_text())
    assert code == 0 and told["complete"] and told["settings"]["split"] == "development"
    own = told["results"]["ours:paper"]["own_prior"]
    assert own["prior"] == "paper" and own["curves"] == 100 and own["rings"] <= 0.1  # 0.01 gives that once in 1e7
    some = told["results"]["ours:paper"]["sources"]["some"]
    assert some["forecasts"] == 8 * 4 and some["rings"] == 0.25  # of half of the curves, once the jump has been seen
    assert some["alarm"]["crps"] > some["calm"]["crps"]
    assert some["strange"]["forecasts"] == 4 and some["strange"]["crps"] > some["usual"]["crps"]
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| `some` "))
    shown = [cell.strip() for cell in row.strip("|").split("|")]
    assert shown[:3] == ["`some`", "32", "25 %"]
    assert shown[4:6] == [f"{some[part]['crps']:.3f}" for part in ("calm", "alarm")]


def test_runs_of_any_length_and_metric_are_asked_alone(bench: dict[str, ModuleType]) -> None:
    engine = random_pfn(coordinates=dataclasses.replace(FREE, ends=True))
    prior = {"name": "general", "parameters": General().parameters(), "bounds": [None, None]}
    checkpoint = dataclasses.replace(engine.checkpoint, provenance=engine.checkpoint.provenance | {"prior": prior})
    told = bench["alarm"].false_alarms(PFN(checkpoint), 20)
    share = told["rings"]
    assert told["prior"] == "general" and told["curves"] == 20 and 20 * share == pytest.approx(round(20 * share))
    assert told["se"] == pytest.approx(np.sqrt(share * (1 - share) / 20))


def test_no_curves_is_said(bench: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench["alarm"].main([], sources=[]) == 1
    assert "no real curves" in capsys.readouterr().out
