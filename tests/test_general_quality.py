"""The benchmark of the general checkpoint on its own prior: what counts, and that it finds out who is too sure."""

import dataclasses
import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from networks import FREE, TINY, random_pfn
from scipy.special import ndtr, ndtri

import lcpfn
from lcpfn.priors import General, Paper, by_name
from lcpfn.priors.general.divergence import Divergence

ROOT = Path(__file__).resolve().parent.parent
ACCURACY = lcpfn.Metric("max", bounds=(0.0, 1.0))


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module("prior.general_quality")


def run(bench: ModuleType, y: list[float], **changes: object) -> object:
    facts = {
        "planned": len(y),
        "broken": False,
        "end": float(len(y)),
        "told": float("nan"),
        "unit": 0.1,
        "metric": ACCURACY,
    }
    return bench.Run(t=np.arange(1.0, len(y) + 1), y=np.array(y), **facts | changes)


@pytest.fixture(scope="module")
def engine() -> lcpfn.PFN:
    return random_pfn(dataclasses.replace(TINY, divergence=True), FREE)


def ask(bench: ModuleType, engine: lcpfn.PFN, told: object, cut: int = 40) -> tuple[np.ndarray, np.ndarray] | None:
    return bench.judged(engine, told, cut, random=np.random.default_rng(0))


def test_a_run_is_asked_about_what_comes(bench: ModuleType, engine: lcpfn.PFN) -> None:
    told = run(bench, [0.1, 0.2, 0.25, 0.3, 0.42, 0.4])
    found, odds = ask(bench, engine, told)
    belief = engine.predict(told.y[:3], [6.0], metric=ACCURACY)
    assert found[1, 0] == pytest.approx(belief.cdf(0.4)[0])
    best = engine.predict(told.y[:3], [6.0], metric=ACCURACY, kind="best")
    assert found[2, 0] == pytest.approx(best.cdf(0.42)[0])
    assert not found[:, 1].any() and odds[1] == 0 and 0 <= odds[0] <= 1


@pytest.mark.parametrize("end", [0.2, 1.0])
def test_values_seen_before_and_bounds_are_atoms(bench: ModuleType, engine: lcpfn.PFN, end: float) -> None:
    found, _ = ask(bench, engine, run(bench, [0.1, 0.2, 0.25, 0.3, 0.42, end]))
    assert found[1, 1] == 1 and found[2, 1] == float(end == 1.0)


def test_falling_metrics_are_judged_in_their_direction(bench: ModuleType, engine: lcpfn.PFN) -> None:
    metric = lcpfn.Metric("min", bounds=(0.0, None))
    told = run(bench, [3.0, 2.0, 1.5, 1.4, 1.2, 1.3], metric=metric)
    found, _ = ask(bench, engine, told)
    best = engine.predict(told.y[:3], [6.0], metric=metric, kind="best")
    assert found[2, 0] == pytest.approx(best.cdf(1.2)[0])


def test_beliefs_may_be_left_whole(bench: ModuleType, engine: lcpfn.PFN) -> None:
    told = run(bench, [0.1, 0.2, 0.25, 0.3, 0.42, 0.4])
    whole = dataclasses.replace(told, metric=dataclasses.replace(ACCURACY, overshoot=True))
    pits = [ask(bench, engine, each)[0][1, 0] for each in (told, whole)]
    belief = engine.predict(told.y[:3], [6.0], metric=whole.metric)
    beyond = belief.cdf(0.0)[0], belief.prob_above(1.0)[0]
    assert pits[1] == pytest.approx(belief.cdf(0.4)[0])
    assert pits[0] == pytest.approx((pits[1] - beyond[0]) / (1 - sum(beyond)), abs=1e-6)


def test_explosions_are_outcomes_and_no_answers(bench: ModuleType, engine: lcpfn.PFN) -> None:
    metric = lcpfn.Metric("min")
    found, odds = ask(bench, engine, run(bench, [3.0, 2.0, 1.5, 1.4, 1.2, 50.0], metric=metric))
    assert odds[1] == 1 and np.isnan(found[1, 0]) and np.isfinite(found[2, 0])


def test_what_broke_off_is_an_outcome_alone(bench: ModuleType, engine: lcpfn.PFN) -> None:
    found, odds = ask(bench, engine, run(bench, [0.1, 0.2, 0.25, 0.3], planned=8, end=8.0, broken=True))
    assert odds[1] == 1 and np.isnan(found[..., 0]).all()
    assert ask(bench, engine, run(bench, [0.1, 0.2], planned=8, end=8.0, broken=True)) is None, (
        "nothing is left at the cut-off"
    )


def test_the_same_runs_are_the_first_of_more(bench: ModuleType) -> None:
    prior = General(divergence=Divergence(to_nan=0.4))
    few, more = (list(bench.drawn(prior, count, limit=40)) for count in (30, 130))
    assert len(few) == 30 and len(more) == 130 and all(np.array_equal(a.y, b.y) for a, b in zip(few, more))
    assert min(each.planned for each in more) >= bench.FEWEST
    broken = [each for each in more if each.broken]
    assert broken and all(len(each.y) < each.planned for each in broken)
    with pytest.raises(ValueError, match="leaves out"):
        list(bench._runs(Paper().sample(3, torch.arange(1.0, 9.0), generator=torch.Generator())))


@pytest.mark.parametrize(("wide", "right"), [(1.0, True), (1.5, False), (0.7, False)])
def test_coverage_is_that_of_the_definition(bench: ModuleType, wide: float, right: bool) -> None:
    """Values between the middle and the ends: right beliefs cover what they say, others do not."""
    random = np.random.default_rng(3)
    pits = np.clip(0.5 + wide * (random.random((4000, 4, 3)) - 0.5), 0, 1)
    found = np.stack([pits, np.zeros_like(pits)], -1)
    found[:100, :, :, 1] = 1
    found[200:300] = np.nan
    told = bench.summary(found, np.stack([np.full((4000, 4), 0.25), random.random((4000, 4)) < 0.25], -1))
    for cell in told["coverage"]:
        assert cell["answers"] == 4 * (3900 if cell["values"] == "all" else 3800)
        assert (abs(cell["mean"] - cell["level"]) < 5 * cell["se"]) == right
    assert told["diverged"]["brier"] == pytest.approx(told["constant_brier"], abs=0.01)


@pytest.fixture(scope="module")
def shipped(bench: ModuleType) -> dict[bool, np.ndarray]:
    """(N,) cdf of last points that are no atoms, after 20 %, by whether beliefs are cut off at bounds."""
    general = lcpfn.load("general")
    law, found = general.checkpoint.provenance["prior"], {True: [], False: []}
    prior = by_name(law["name"], law["parameters"])
    for told in bench.drawn(prior, 500, limit=100):
        for cut, pits in found.items():
            asked = dataclasses.replace(told, metric=dataclasses.replace(told.metric, overshoot=not cut))
            if (answer := ask(bench, general, asked, 20)) is not None and not answer[0][1, 1] == 1:
                pits.append(answer[0][1, 0])
    return {cut: np.array(pits)[np.isfinite(pits)] for cut, pits in found.items()}


@pytest.mark.parametrize("cut", [True, False])
def test_the_shipped_weights_are_calibrated_on_their_prior(shipped: dict[bool, np.ndarray], cut: bool) -> None:
    pits = shipped[cut]
    assert len(pits) > 300

    def wrong(pits: np.ndarray, level: float) -> bool:
        share = np.mean(np.abs(pits - 0.5) <= level / 2)
        return bool(abs(share - level) > 5 * (level * (1 - level) / len(pits)) ** 0.5 + 0.01)

    assert not any(wrong(pits, level) for level in (0.5, 0.8, 0.9))
    assert wrong(ndtr(1.7 * ndtri(np.clip(pits, 1e-9, 1 - 1e-9))), 0.5), "intervals too narrow by that are found out"


def test_the_command(bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "told.json"
    assert bench.main(["--quick", "--out", str(out)]) == 0
    told = json.loads(out.read_text())
    assert told["quick"] and told["complete"] and told["settings"]["curves"] == bench.QUICK_CURVES
    cut, free = ({cell["answers"] for cell in told["results"][name]["coverage"]} for name in ("cut", "free"))
    assert cut == free, "the same questions"
    assert "90 % interval" in capsys.readouterr().out
    assert bench.main(["--quick", "--checkpoint", "paper", "--out", str(out)]) == 2
    assert "not on runs" in capsys.readouterr().out
