"""The benchmark against MCMC: how runs are combined, what survives a kill, what is compared with what."""

import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import lcpfn
from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.mcmc import AIES, MCMC, ConvergenceWarning

ROOT = Path(__file__).resolve().parent.parent
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    samplers, versus, rows, exam, report = (
        importlib.import_module(name)
        for name in ("mcmc.samplers", "mcmc.comparison", "report.mcmc", "prior.exam", "report.documents")
    )

CUT = 40
Y = np.linspace(0.3, 0.8, 100) + 0.01 * np.sin(np.arange(100))


def particles(seed: int, *, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Signal (50, 60) and sigma (50,) of a run after CUT points."""
    generator = np.random.default_rng(seed)
    return Y[CUT:] + shift + 0.02 * generator.normal(size=(50, 1)), np.full(50, 0.03)


def density(run: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return norm.pdf(Y[CUT:], run[0], run[1][:, None]).mean(axis=0)


def test_runs_are_weighted_by_their_evidence() -> None:
    runs = [particles(0), particles(1, shift=0.1)]
    cell = samplers._together(runs, np.log([3.0, 1.0]), Y, CUT)
    mixed = 0.75 * density(runs[0]) + 0.25 * density(runs[1])
    assert cell["log_density"] == pytest.approx(np.log(mixed).mean(), rel=1e-9)
    assert cell["log_evidence"] == pytest.approx(np.log(2.0))
    alone = np.array([np.log(density(run)).mean() for run in runs])
    centre = 0.75 * alone[0] + 0.25 * alone[1]
    wanted = np.sqrt((0.75**2 * (alone[0] - centre) ** 2 + 0.25**2 * (alone[1] - centre) ** 2) * 2)
    assert cell["spread"] == pytest.approx(wanted)
    agreed = samplers._together([runs[0], runs[0]], np.zeros(2), Y, CUT)
    assert agreed["spread"] < 1e-12 < cell["spread"]


def test_the_crps_of_many_draws_is_that_of_some() -> None:
    generator = np.random.default_rng(0)
    means = Y[CUT:, None] + 0.02 * generator.normal(size=(60, 3500))
    law = Mixture(np.full(means.shape, -np.log(3500)), means, np.full(means.shape, 0.03))
    times = np.arange(41.0, 101)
    belief = Belief(law, np.zeros(60), np.ones(60), metric=exam.METRIC, kind="value", t=times)
    cell = samplers.judge(belief, Y, CUT)
    assert cell["log_density"] == float(belief.log_prob(Y[CUT:]).mean())
    whole = float(belief.crps(Y[CUT:]).mean())
    assert cell["crps"] != whole and cell["crps"] == pytest.approx(whole, rel=0.01)
    network = lcpfn.load("paper").predict(Y[:CUT], times, metric=exam.METRIC)
    assert samplers.judge(network, Y, CUT)["crps"] == float(network.crps(Y[CUT:]).mean())


@pytest.mark.slow
def test_half_of_an_ensembles_draws_are_the_first_of_every_walker() -> None:
    sampler = AIES(walkers=30, burn_in=20, samples=40, kept=240)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        belief = MCMC(sampler=sampler).predict(Y[:10], [50, 100])
    half = samplers._first_half(belief, sampler)
    whole = belief.law.means.reshape(2, 30, 8)
    np.testing.assert_array_equal(half.law.means, whole[:, :, :4].reshape(2, -1))
    assert abs(half.median() - belief.median()).max() < 0.1


@pytest.mark.slow
def test_the_reference_goes_on_from_cut_off_to_cut_off_and_doubts_itself() -> None:
    y = next(iter(exam.draw(1))).y[0]
    small = samplers.Reference(particles=256, again=512, runs=2, moves=3)
    cells = samplers._reference(small, 0, y, 0)
    assert [cell["cut"] for cell in cells] == list(exam.CUTS)
    assert {cell["particles"] for cell in cells} == {512}, "so few runs of so few particles cannot agree"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        direct = MCMC(sampler=samplers.SMC(particles=512, runs=2, moves=3)).predict(
            y[:20], [30, 100], metric=exam.METRIC
        )
    assert cells[1]["log_evidence"] == pytest.approx(float(direct.diagnostics.log_evidence[0]), abs=1.5)


def method(name: str, answer: Any, *, curves: int = 3, **settings: Any) -> Any:
    return samplers.Method(name, curves, settings, answer)


def cells_of(number: int, gap: float = 0.0, **more: Any) -> list[dict[str, Any]]:
    return [
        {"cut": cut, "log_density": number + cut / 100 - gap, "crps": 0.01, "seconds": 0.5 + number, **more}
        for cut in exam.CUTS
    ]


def test_work_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    asked: list[int] = []

    def answer(y: np.ndarray, number: int) -> list[dict[str, Any]]:
        asked.append(number)
        return cells_of(number)

    one = method("one", answer, seed=0)
    y = np.zeros((3, 100))
    versus.work([one], tmp_path, y[:2], until=float("inf"))
    file = versus.path(one, tmp_path)
    whole = file.read_text()
    file.write_text(whole + '{"curve": 2, "cel')  # killed in the middle of a line
    assert set(versus.load(one, tmp_path)) == {0, 1}
    asked.clear()
    versus.work([one], tmp_path, y, until=float("inf"))
    assert asked == [2, 2]  # once to compile, once on the clock
    assert file.read_text().startswith(whole) and set(versus.load(one, tmp_path)) == {0, 1, 2}
    asked.clear()
    versus.work([one], tmp_path, y, until=float("inf"))
    assert not asked
    with pytest.raises(SystemExit, match="other settings"):
        versus.load(method("one", answer, seed=1), tmp_path)


def test_time_up_means_no_more_work(tmp_path: Path) -> None:
    versus.work([method("one", lambda y, number: cells_of(number))], tmp_path, np.zeros((3, 100)), until=0.0)
    assert not (tmp_path / "one.jsonl").exists()


@pytest.fixture
def results(tmp_path: Path) -> dict[str, Any]:
    """Of a network 0.02 below the reference, and of chains on more curves than it."""
    chains = {"r_hat": 1.002, "ess": 900.0, "converged": True, "half": {"log_density": 0.0, "crps": 0.02}}
    answers = {
        "paper-small": lambda number: cells_of(number, 0.02),
        "reference": lambda number: cells_of(number, spread=0.01 * number),
        "aies": lambda number: cells_of(number, 0.0, **chains),
        "nuts": lambda number: cells_of(number, 0.1, **{name: chains[name] for name in ("r_hat", "ess", "converged")}),
    }
    methods = {}
    for name, cells in answers.items():
        extra = {"sha256": "0"} if name == "paper-small" else {}
        methods[name] = method(name, None, curves=4, **extra)
        for number in range(3 if name == "reference" else 4):
            line = {"curve": number, "cells": cells(number)}
            versus.append(versus.path(methods[name], tmp_path), methods[name].settings, line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versus, "batch_seconds", lambda name: dict.fromkeys(map(str, exam.CUTS), 0.001))
        return versus.collect(methods, tmp_path, np.array([0.1, -0.2, 0.3, 0.05]))


def test_gaps_are_paired_on_the_references_curves(results: dict[str, Any]) -> None:
    told = {each["name"]: each for each in results["methods"]}
    assert set(told) == {"paper-small", "reference", "nuts", "aies-m1", "aies-m3"}
    assert (told["paper-small"]["curves"], told["paper-small"]["paired"]) == (4, 3)
    for cut in map(str, exam.CUTS):
        assert told["paper-small"]["gap"][cut]["mean"] == pytest.approx(0.02)
        assert told["paper-small"]["gap"][cut]["se"] == pytest.approx(0, abs=1e-12)
    assert told["aies-m1"]["seconds"]["10"]["mean"] == pytest.approx(
        told["aies-m3"]["seconds"]["10"]["mean"] * 2.5 / 4.5
    )
    assert told["reference"]["is_reference"]["10"] == 1.0 and "gap" not in told["reference"]
    json.dumps(results, allow_nan=False)


def test_tables_say_gap_time_and_convergence(results: dict[str, Any]) -> None:
    table = report.markdown(rows.gaps(results))
    assert "| `paper-small` " in table and "0.020 ± 0.000 (0.020)" in table and "in a batch" in table
    only = report.markdown(rows.networks(results))
    assert "| `paper-small` |      3 | 0.020 ± 0.000 (0.020) |" in only and "NUTS" not in only
    assert "100 %" in report.markdown(rows.convergence(results))
    assert "MCMC M3 (published, 103 s)" in report.markdown(rows.scores(results))
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.subplots()
    rows.picture(axes, results)
    assert axes.get_xscale() == "log" and len(axes.get_legend().get_texts()) == 5
