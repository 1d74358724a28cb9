"""The prior predictive check: each statistic sees what it is for, and the comparison finds mass that is missing."""

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lcpfn import Metric
from lcpfn.priors import General, Paper

ROOT = Path(__file__).resolve().parent.parent
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    check, contest, pictures, curves_of, chosen = (
        importlib.import_module(name)
        for name in ("prior.check", "data.curve", "prior.pictures", "data.curves", "prior.traits")
    )

T = np.arange(1.0, 101.0)
RISE = 1 - np.exp(-T / 10)


def noise(scale=1.0, seed=0):
    return scale * np.random.default_rng(seed).standard_normal(100)


def of(y, t=T, **more):
    return chosen.traits(t, np.asarray(y, dtype=float), **more)


def test_every_trait_is_named_once_and_made():
    names = [trait.name for trait in chosen.TRAITS]
    assert len(set(names)) == len(names)
    assert set(of(RISE + noise(0.01))) == set(names)
    assert all(np.isfinite(value) for value in of(RISE + noise(0.01)).values())


@pytest.mark.parametrize("sd", [1e-4, 1e-2, 0.1])
def test_noise_is_measured(sd):
    y = T / 100 + noise(sd)
    measured = of(y)
    assert measured["noise"] == pytest.approx(math.log10(sd / np.ptp(y)), abs=0.2)  # a median of 98
    assert measured["noise_trend"] == pytest.approx(0, abs=0.3)
    assert of(T / 100 + noise(sd) * 0.1 ** (T / 100))["noise_trend"] == pytest.approx(-2 / 3, abs=0.3)


def test_gains_tell_early_from_late():
    early, line, late = (of(y) for y in (1 - np.exp(-T), T, np.exp(T / 10)))
    assert early["early_gain"] > 0.99 and line["early_gain"] == pytest.approx(0.1, abs=0.03)
    assert line["half_gain"] == pytest.approx(0.5, abs=0.03) and late["half_gain"] < 0.05
    assert late["late_gain"] > 0.7 and early["late_gain"] < 0.01


def test_setbacks_are_falls_of_what_is_smoothed():
    assert of(RISE)["setback"] == 0
    assert of(-((T - 50) ** 2))["setback"] == pytest.approx(1, abs=0.01)
    spike = RISE.copy()
    spike[50] = -5
    assert of(spike)["setback"] < 0.01, "one wild value is noise"
    assert of(RISE * (T < 80))["fall_from_best"] == pytest.approx(1, abs=0.01)


def test_correlation_and_tails():
    white = of(T / 100 + noise(0.1))["correlation"]
    wave = of(T / 100 + 0.1 * np.sin(T / 2))["correlation"]
    assert abs(white) < 0.3 and wave > 0.8
    heavy = noise(0.01) * np.where(np.arange(100) % 10 == 5, 8, 1)
    assert of(T / 100 + noise(0.01))["kurtosis"] == pytest.approx(math.log10(3), abs=0.2)
    assert of(T / 100 + heavy)["kurtosis"] > math.log10(6)


def test_stillness_ties_and_plateaus():
    constant = of(np.full(100, 0.7))
    assert constant["constant"] == 1 and constant["still"] == 1 and np.isnan(constant["noise"])
    first = np.where(T == 1, 1.0, 0.693)
    assert of(-first)["still"] == 1 and of(-first)["ties"] == pytest.approx(98 / 99)
    assert of(-first)["plateau"] == pytest.approx(0.99) and of(-first)["first_step"] == 1
    assert of(RISE, width=1.0)["still"] == 0 and of(0.01 * RISE, width=1.0)["still"] == 1


def test_what_is_not_finite_ends_a_curve():
    y = np.where(T < 60, RISE, np.nan)
    y[80] = 0.1
    broken, short = of(y), of(RISE[:59], T[:59])
    assert broken["diverged"] == 1 and short["diverged"] == 0
    assert broken["noise"] == short["noise"] and broken["length"] == 2
    assert np.isnan(of(np.full(100, np.nan))["noise"])


def test_spacing_and_unit():
    assert of(RISE)["spacing"] == pytest.approx(0)
    assert of(RISE, 1.1**T)["spacing"] > 2
    scaled, plain = of(1e3 * (RISE + noise(0.01)) - 7, 60 * T), of(RISE + noise(0.01))
    for name in ("noise", "early_gain", "setback", "correlation", "kurtosis", "spacing", "plateau"):
        assert scaled[name] == pytest.approx(plain[name], abs=1e-6), name


def test_long_curves_are_thinned():
    long = np.linspace(0, 1, 5000)
    assert chosen.traits(np.arange(5000.0), long)["length"] == math.log10(chosen.LIMIT)


def curve(y, direction="max", source="made"):
    return contest.RealCurve(source, "task", "run", "metric", Metric(direction, bounds=(0, 1)), T, y)


@pytest.fixture(scope="module")
def compared():
    lines = [curve(np.clip(RISE * 0.9 + noise(0.02, seed), 0, 1)) for seed in range(60)]
    drops = [curve(np.clip(1 - RISE * (T < 50) - noise(0.3, seed) ** 2, 0, 1), "min") for seed in range(60)]
    sources = {"ordinary": check.of_curves(lines), "odd": check.of_curves(drops)}
    priors = {"general": check.of_prior(General(), 1500), "paper": check.of_prior(Paper(), 500)}
    return check.compare(sources, priors)


def test_missing_mass_is_found(compared):
    assert sum(compared["jump"]["sources_outside"]["general"]["ordinary"]) < 0.05
    assert sum(compared["setback"]["sources_outside"]["paper"]["odd"]) > 0.3
    assert any("odd: setback" in line for line in check.worst(compared, "paper"))
    assert not any("odd: setback" in line for line in check.worst(compared, "general"))
    assert sum(compared["spacing"]["priors_outside"]["general"]) > 0.2, "no source here has uneven times"


def test_the_table_and_the_json_hold_everything(compared):
    assert json.loads(json.dumps(compared, allow_nan=False)) == compared
    shown = check.text(compared, ["ordinary", "odd"], ["general", "paper"])
    for trait in chosen.TRAITS:
        assert f"\n{trait.name}: " in shown
    assert "nan" not in shown.replace("not finite", "")


def test_a_curve_of_a_prior_is_read_as_a_measured_one():
    """Loss and accuracy are turned alike, and a run that broke off ends in NaN."""
    curves = check.drawn(General(), 400)
    table = check.of_prior(General(), 400)
    long_enough = curves.seen.sum(1) + curves.diverged >= 5
    assert len(table["length"]) == int(long_enough.sum())
    assert table["diverged"].mean() == pytest.approx(float(curves.diverged[long_enough].float().mean()))
    assert torch.equal(check.drawn(General(), 400).y, curves.y)


def test_pictures_are_drawn(compared, tmp_path):
    for path in (
        pictures.distributions(compared, ["ordinary", "odd"], ["general", "paper"], tmp_path / "check.png"),
        pictures.examples(check.drawn(General(), 10), tmp_path / "prior.png"),
        pictures.examples(check.drawn(Paper(), 3), tmp_path / "paper.png"),
    ):
        assert path.stat().st_size > 10_000


def test_the_command_without_measured_curves_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LCPFN_CURVES", str(tmp_path / "nowhere"))
    assert check.main(["--quick", "--out", str(tmp_path / "out.json")]) == 2
    assert "LCPFN_CURVES" in capsys.readouterr().err


def test_the_command_compares_real_sources(tmp_path, capsys):
    if not curves_of.sources():
        pytest.skip("no measured curves here")
    assert check.main(["--quick", "--priors", "general", "--out", str(tmp_path / "out.json")]) == 0
    results = json.loads((tmp_path / "out.json").read_text())
    assert results["complete"] and "taskset" in results["results"]["sources"]
    assert "general: more than 5 % of a source" in capsys.readouterr().out
