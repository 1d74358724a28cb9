"""Averages of the contest on real curves: what counts how much, skills, and their bootstrap."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.testing import assert_array_equal

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def averages() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module("real.averages")


def test_averages_by_hand(averages: ModuleType) -> None:
    """Curve, metric, cut-off, task: each level counts its members equally."""
    task, metric = np.array(["a", "a", "a", "b"]), np.array(["x", "x", "y", "x"])
    cut, values = np.array([10, 10, 10, 10]), np.array([[1.0], [3.0], [6.0], [np.nan]])
    tasks, cuts, means = averages.by_task_and_cut(values, task=task, metric=metric, cut=cut)
    assert tasks.tolist() == ["a", "b"] and cuts.tolist() == [10, 10]
    assert_array_equal(means, [[(2 + 6) / 2], [np.nan]])
    assert averages.mean(means) == 4.0


def test_a_skill_is_a_ratio_of_means(averages: ModuleType) -> None:
    told = averages.skill(np.array([1.0, 0.5, np.nan]), np.array([2.0, 0.0, 7.0]), seed=0)
    assert told.value == 1 - 1.5 / 2.0, "a task in which the baseline is perfect does not explode"
    same = averages.skill(np.array([1.0, 2.0]), np.array([1.0, 2.0]), seed=0)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert averages.skill(np.array([1.0]), np.array([2.0]), seed=0) == averages.Skill(0.5, None, None)
    assert averages.skill(np.array([np.nan]), np.array([2.0]), seed=0) is None


def test_the_bootstrap_is_seeded_and_as_wide_as_theory_says(averages: ModuleType) -> None:
    draw = np.random.default_rng(0)
    own, base = draw.uniform(0.5, 1.5, 400), draw.uniform(1.0, 3.0, 400)
    told = averages.skill(own, base, seed=3)
    assert told == averages.skill(own, base, seed=3) != averages.skill(own, base, seed=4)
    ratio = own.mean() / base.mean()
    error = np.std(own - ratio * base) / np.sqrt(400) / base.mean()  # delta method
    assert told.high - told.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    whole = averages.overall([(own, base), (2 * own, base)], seed=0)
    assert whole.value == pytest.approx((told.value + averages.skill(2 * own, base, seed=0).value) / 2)
