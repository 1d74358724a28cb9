"""The mirror of what comes after: shares by hand, neighbours that are alike, and a prior that is found to be better."""

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    rest, curves, parquet, scores, tables = (
        importlib.import_module(name)
        for name in ("prior.continuation", "data.curves", "data.parquet", "real.scores", "report.rest")
    )

T = np.arange(1.0, 11.0)
FREE = (-math.inf, math.inf)


def line(after, *, t=T, bounds=FREE):
    """Rises from 0 to 1 in the first four of ten points, then to 1 + after, with a peak of 1 + 2 after between."""
    y = np.array([0, 0.5, 0.8, 1.0, *[1 + 2 * after] * 5, 1 + after])
    return t, y, *bounds


def test_what_is_seen_and_what_comes():
    found, places = rest.seen(
        [line(2.0), (T, np.ones(10), *FREE), line(-0.5), (T, np.array([*T[:9], np.nan]), *FREE)], 40
    )
    assert places.tolist() == [0, 2], "a constant and a run that broke off say nothing"
    np.testing.assert_allclose(found.rest, [[2.0, 4.0], [-0.5, -0.5]])
    assert found.size.tolist() == [1.0, 1.0] and found.last.tolist() == [1.0, 1.0]
    assert np.isfinite(found.features).all()
    nothing, places = rest.seen([], 40)
    assert len(nothing) == len(places) == 0


def test_the_unit_and_the_level_do_not_matter_without_bounds():
    base, _ = rest.seen([line(1.0)], 40)
    t, y, *bounds = line(1.0)
    moved, _ = rest.seen([(t, 1e6 * y, *bounds)], 40)
    np.testing.assert_allclose(moved.features, base.features, atol=1e-9)
    np.testing.assert_allclose(moved.rest, base.rest)
    near, _ = rest.seen([line(1.0, bounds=(0.0, 1.1))], 40)
    assert not np.allclose(near.features, base.features), "bounds are seen"


def test_growing_gaps_are_told_from_even_ones():
    found, _ = rest.seen([line(1.0), line(1.0, t=2.0**T)], 40)
    assert found.growing.tolist() == [False, True]


def test_shares_count_between_the_edges():
    found, _ = rest.seen([line(after) for after in (-20, -0.1, 0.0, 0.5, 0.7, 50) for _ in range(5)], 40)
    told = rest.shares(found)
    assert list(told) == ["even"], "no row for a grid that too few curves have"
    by_edge = dict(zip((-math.inf, *rest.EDGES), told["even"]))
    assert {low: share for low, share in by_edge.items() if share} == pytest.approx(
        {-math.inf: 1 / 6, -0.3: 1 / 6, -0.03: 1 / 6, 0.3: 1 / 3, 10.0: 1 / 6}, abs=1e-4
    )


def test_the_crps_of_draws_is_that_of_the_definition():
    random = np.random.default_rng(0)
    draws, truth = random.normal(size=40), 0.3
    expected = np.abs(draws - truth).mean() - np.abs(draws[:, None] - draws).mean() / 2
    assert rest.crps(draws, truth) == pytest.approx(expected)


def test_the_prior_that_is_like_the_world_forecasts_better(monkeypatch):
    monkeypatch.setattr(rest, "NEIGHBOURS", 30)
    random = np.random.default_rng(1)

    def world(n, spread):
        return rest.seen([line(after) for after in 1 + spread * random.normal(size=n)], 40)[0]

    asked = world(50, 0.1)
    yard = scores.Yardstick(scale=2.0, low=-100.0, high=100.0)
    good, bad = (rest.errors(asked, world(200, spread), [yard] * 50, np.ones(50)).mean(0) for spread in (0.1, 3.0))
    assert (good < 0.5 * bad).all()
    assert good[0] == pytest.approx(0.1 / math.sqrt(math.pi) / 2, rel=0.3), "the CRPS of a normal law, in the unit"
    fenced = scores.Yardstick(scale=2.0, low=-1.0, high=1.0)
    assert (rest.errors(asked, world(200, 0.1), [fenced] * 50, np.ones(50)) < 1e-6).mean() > 0.9
    flipped = rest.errors(asked, world(200, 0.1), [scores.Yardstick(2.0, -1.0, 1.0)] * 50, -np.ones(50))
    assert (flipped < 1e-6).mean() > 0.9


def test_the_command_on_measured_curves(tmp_path, capsys):
    if not parquet.folders():
        pytest.skip(parquet.MISSING)
    assert rest.main(["--quick", "--out", str(tmp_path / "rest.json")]) == 0
    told = json.loads((tmp_path / "rest.json").read_text())
    assert told["complete"] and told["quick"]
    made = told["results"]
    assert set(made["errors"]) == set(made["shares"]) - {"prior", "against"} and len(made["errors"]) >= 10
    for parts in made["shares"].values():
        assert all(sum(row) == pytest.approx(1, abs=1e-3) for grids in parts.values() for row in grids.values())
    prior, other = (made["shares"][name]["20"]["even"] for name in ("prior", "against"))
    assert prior[0] + prior[1] < other[0] + other[1], "fewer runs that end far below what was seen"
    assert "measured" in capsys.readouterr().out
    assert all(len({len(row) for row in table(made)}) == 1 for table in tables.TABLES.values())


def test_without_measured_curves_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(curves, "sources", lambda: ())
    assert rest.main(["--quick"]) == 2
    assert "LCPFN_CURVES" in capsys.readouterr().err
