"""Scores of forecasts of real curves: closed forms, brute force, bounds, and propriety."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.testing import assert_allclose
from originals import Bars
from scipy import stats

from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric

ROOT = Path(__file__).resolve().parent.parent
MAX = Metric("max")


@pytest.fixture(scope="module")
def scores() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module("real.scores")


def normals(means: list[float], stds: list[float], **facts: object) -> Belief:
    """(N,) normal beliefs."""
    ones = np.ones((len(means), 1))
    law = Mixture(0 * ones, means=0 * ones, stds=ones)
    told = {"metric": MAX, "t": np.arange(len(means))} | facts
    sign = told["metric"].sign
    return Belief(law, sign * np.array(means), np.array(stds), **told)


def mixtures(n: int, *, metric: Metric = MAX, transform: str = "sinh") -> Belief:
    """(n,) beliefs of all kinds: narrow beside wide, two modes, heavy tails."""
    draw = np.random.default_rng(5)
    law = Mixture(draw.normal(size=(n, 4)), means=draw.normal(0, 3, (n, 4)), stds=np.exp(draw.normal(-1, 1.5, (n, 4))))
    return Belief(law, draw.normal(0, 1, n), np.exp(draw.normal(-1, 1, n)), transform=transform, metric=metric, t=0)


def brute(belief: Belief, x: float, low: float, high: float) -> float:
    """The clipped CRPS of one belief on a fine grid."""
    grid = np.linspace(low, high, 40_001)
    v = (grid[1:] + grid[:-1]) / 2
    return float(np.sum((belief.cdf(v) - (v >= np.clip(x, low, high))) ** 2) * (grid[1] - grid[0]))


# -- yardstick --------------------------------------------------------------------------------------------------------


def test_the_scale_is_the_interquartile_range(scores: ModuleType) -> None:
    yard = scores.yardstick(np.array([np.nan, *np.arange(101.0), np.inf]), metric=MAX)
    assert (yard.scale, yard.low, yard.high) == (50, 25 - 150, 75 + 150)


@pytest.mark.parametrize(
    ("values", "metric", "resolution", "scale"),
    [
        ([0.5] * 9, Metric("max", bounds=(0, 1)), 0.0, 0.02),
        ([50.0] * 9, Metric("max", bounds=(0, 100)), 0.0, 2.0),
        ([3.0] * 9, Metric("min", bounds=(0, None)), 0.0, 0.06),
        ([-3.0] * 9, MAX, 0.0, 0.06),
        ([0.0] * 9, MAX, 0.0, 1.0),
        ([0.0] * 9, MAX, 0.1, 0.1),
        ([0.0] * 9, Metric("max", bounds=(0, 1)), 0.1, 0.1),
    ],
)
def test_the_scale_never_vanishes(
    values: list[float], metric: Metric, resolution: float, scale: float, scores: ModuleType
) -> None:
    yard = scores.yardstick(np.array(values), metric=metric, resolution=resolution)
    assert yard.scale == pytest.approx(scale)
    assert yard.low < min(values) <= max(values) < yard.high


def test_an_explosion_does_not_move_the_yardstick(scores: ModuleType) -> None:
    values = np.random.default_rng(0).normal(size=2_000)
    before, after = (scores.yardstick(y, metric=MAX) for y in (values, np.append(values, [1e26] * 20)))
    assert after.scale == pytest.approx(before.scale, rel=0.05)
    assert after.high == pytest.approx(before.high, rel=0.05)


def test_a_task_without_a_value_has_no_yardstick(scores: ModuleType) -> None:
    with pytest.raises(ValueError, match="needs a finite value"):
        scores.yardstick(np.array([np.nan, np.inf]), metric=MAX)


# -- scores -----------------------------------------------------------------------------------------------------------


def test_scores_of_a_normal_have_closed_forms(scores: ModuleType) -> None:
    mean, std, x, scale = 0.4, 0.2, 0.7, 2.0
    yard = scores.Yardstick(scale, -20.0, 20.0)
    (rows,) = scores.judge([normals([mean], [std])], [np.array([x])], yard, steps=[1e-2])
    told = dict(zip(scores.NAMES, rows[0]))
    z = (x - mean) / std
    crps = std * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert told["crps"] == pytest.approx(crps / scale, rel=1e-6)
    assert told["log"] == pytest.approx(stats.norm.logpdf(x, mean, std) + np.log(scale), abs=1e-3)
    assert told["error"] == pytest.approx(0.3 / scale)
    for level in scores.LEVELS:
        lower, upper = stats.norm.interval(level, mean, std)
        miss = max(lower - x, 0, x - upper)
        assert told[f"interval{100 * level:g}"] == pytest.approx((upper - lower + 2 / (1 - level) * miss) / scale)
        assert told[f"coverage{100 * level:g}"] == (lower <= x <= upper)


@pytest.mark.parametrize("transform", ["sinh", "identity"])
@pytest.mark.parametrize(
    "metric", [MAX, Metric("min"), Metric("min", bounds=(-1, 1.5)), Metric("max", bounds=(0, None))]
)
def test_the_clipped_crps_is_the_integral(metric: Metric, transform: str, scores: ModuleType) -> None:
    belief = mixtures(8, metric=metric, transform=transform)
    for low, high in ((-3.0, 4.0), (-0.2, 0.1), (-300.0, 300.0)):
        x = np.random.default_rng(1).uniform(1.5 * low, 1.5 * high, 8)
        expected = [brute(belief[i], x[i], low, high) for i in range(8)]
        found = scores.clipped_crps(belief, x, low=low, high=high)
        assert_allclose(found, expected, rtol=2e-3, atol=1e-4 * (high - low))


def test_the_clipped_crps_of_draws_is_the_integral(scores: ModuleType) -> None:
    """A mixture of 200 narrow normals, as a posterior's draws make it."""
    draw = np.random.default_rng(2)
    means = draw.normal(size=(6, 200)) * np.array([[0.01], [0.1], [1.0], [1.0], [3.0], [0.3]])
    belief = Belief(Mixture(0 * means, means, np.full((6, 200), 0.02)), 0.0, 1.0, metric=MAX, t=0)
    x = draw.normal(size=6)
    found = scores.clipped_crps(belief, x, low=-2.0, high=2.0)
    assert_allclose(found, [brute(belief[i], x[i], -2.0, 2.0) for i in range(6)], rtol=5e-3)


def test_scores_are_bounded_whatever_happens(scores: ModuleType) -> None:
    yard = scores.Yardstick(0.1, -1.0, 1.0)
    belief = normals([0.0, 0.0, 1e26, -1e30], [1e-9, 1e12, 1e20, 1.0])
    for x in (1e26, -1e26, 0.0, 1.0):
        (rows,) = scores.judge([belief], [np.full(4, x)], yard, steps=[0.0])
        told = dict(zip(scores.NAMES, rows.T))
        assert np.isfinite(rows).all()
        assert (told["crps"] <= 20).all() and (told["error"] <= 20).all() and (told["interval95"] <= 20 * 41).all()
        assert (told["log"] >= np.log(scores.LEAST_MASS)).all() and (told["log"] <= np.log(1000) + 1e-9).all()


def test_who_saw_the_explosion_coming_scores_better(scores: ModuleType) -> None:
    yard = scores.Yardstick(1.0, -3.0, 3.0)
    heavy = Belief(Mixture([[0.0, 0.0]], [[0.0, 8.0]], [[0.1, 1.0]]), 0.0, 1.0, transform="sinh", metric=MAX, t=[1])
    light = normals([0.0], [0.1])
    (seen,), (missed,) = (scores.judge([each], [np.array([1e26])], yard, steps=[0])[0] for each in (heavy, light))
    assert seen[0] == pytest.approx(0.25 * 3, rel=0.05) and missed[0] == pytest.approx(3, rel=0.05)
    assert seen[1] == pytest.approx(np.log(0.5), abs=1e-2) and missed[1] == pytest.approx(np.log(scores.LEAST_MASS))


def test_scores_are_proper(scores: ModuleType) -> None:
    """The law that the truth comes from scores best on average, also with fences and a floor in the way."""
    yard = scores.Yardstick(1.0, -1.5, 1.0)
    truth = np.random.default_rng(3).normal(size=20_000)

    def mean(centre: float, std: float) -> dict[str, float]:
        belief = normals([centre] * len(truth), [std] * len(truth))
        (rows,) = scores.judge([belief], [truth], yard, steps=[0.0])
        return dict(zip(scores.NAMES, rows.mean(axis=0)))

    right = mean(0.0, 1.0)
    for wrong in (mean(0.2, 1.0), mean(0.0, 1.3), mean(0.0, 0.75), mean(-0.2, 0.9)):
        assert wrong["crps"] > right["crps"] and wrong["log"] < right["log"]
        assert wrong["interval50"] > right["interval50"]
    for level in scores.LEVELS:
        error = 5 * np.sqrt(level * (1 - level) / len(truth))
        assert right[f"coverage{100 * level:g}"] == pytest.approx(level, abs=error)


def test_a_certain_forecast_of_a_coarse_value_is_calibrated(scores: ModuleType) -> None:
    yard = scores.Yardstick(1.0, -4.0, 4.0)
    (rows,) = scores.judge([normals([0.5], [1e-6])], [np.array([0.5])], yard, steps=[0.1])
    told = dict(zip(scores.NAMES, rows[0]))
    assert told["log"] == pytest.approx(np.log(10)), "all mass on one of ten values of a unit"
    for level in scores.LEVELS:
        assert told[f"coverage{100 * level:g}"] == pytest.approx(level)


def test_rounded_truths_of_a_known_law_are_covered_as_promised(scores: ModuleType) -> None:
    yard = scores.Yardstick(1.0, -9.0, 9.0)
    truth = np.round(np.random.default_rng(4).normal(size=20_000))
    (rows,) = scores.judge([normals([0.0] * len(truth), [1.0] * len(truth))], [truth], yard, steps=[1.0])
    for level, found in zip(scores.LEVELS, rows.mean(axis=0)[-len(scores.LEVELS) :]):
        assert found == pytest.approx(level, abs=5 * np.sqrt(level * (1 - level) / len(truth)))


# -- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_scores_like_its_parts(scores: ModuleType) -> None:
    yard = scores.Yardstick(0.5, -2.0, 2.0)
    bars = Belief(Bars([-1.0, 0.0, 1.0], np.log([[0.3, 0.7]])), 0.0, 1.0, metric=MAX, t=[0])
    beliefs = [mixtures(3), normals([0.1, 0.2], [0.1, 5.0]), bars, mixtures(5)[1:], normals([0.0], [1.0])]
    truths = [np.array([0.1, np.nan, 3.0]), np.array([np.inf, 1.0]), np.array([0.4]), np.zeros(4), np.array([-np.inf])]
    steps = [0.0, 0.1, 0.2, 0.0, 0.5]
    together = scores.judge(beliefs, truths, yard, steps=steps)
    for belief, truth, step, rows in zip(beliefs, truths, steps, together):
        assert rows.shape == (len(truth), len(scores.NAMES))
        assert (np.isfinite(rows).all(axis=1) == np.isfinite(truth)).all()
        (alone,) = scores.judge([belief], [truth], yard, steps=[step])
        assert_allclose(rows, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_a_failure_is_half_at_either_fence(direction: str, scores: ModuleType) -> None:
    yard = scores.Yardstick(1.0, -2.0, 5.0)
    belief = scores.failure(np.arange(3), yard=yard, metric=Metric(direction), kind="best")
    assert belief.kind == "best" and belief.metric.direction == direction
    assert_allclose(belief.prob_better(3.0), 0.5)
    for x in (-2.0, 0.3, 1e9):
        (rows,) = scores.judge([belief], [np.full(3, x)], yard, steps=[0.0])
        assert_allclose(rows[:, 0], 7 / 4, rtol=1e-3)
