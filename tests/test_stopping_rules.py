"""The rules on beliefs whose answers are known in closed form, and the level that holds over all looks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import lcpfn
from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric
from lcpfn.stopping import Best, Converged, Paper, Rivals, Worth, thresholds
from lcpfn.stopping.question import Question

UNIT = Metric("max", bounds=(0, 1))


@dataclass(frozen=True)
class Normal:
    """An engine that believes the same of every time: a normal law around `mean`."""

    mean: float = 0.5
    std: float = 0.1
    metric: Metric = UNIT

    def predict(
        self, y: Any, t_query: Any = None, *, horizon: Any = None, t: Any = None, metric: Any = None, **_: Any
    ) -> Belief:
        asked = np.arange(np.max(t) + 1, horizon + 1) if t_query is None else np.asarray(t_query, dtype=float)
        rows = np.zeros((len(asked), 1))
        law = Mixture(rows, rows, rows + 1)
        return Belief(law, metric.sign * self.mean, self.std, metric=metric, t=asked)


def run(direction: str = "max", *, y: tuple[float, ...] = (0.2, 0.3), horizon: float = 10.0) -> Question:
    sign = 1 if direction == "max" else -1
    t = np.arange(1.0, len(y) + 1)
    return Question(Normal(sign * 0.5), Metric(direction), t, sign * np.array(y), horizon)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_odds_and_gains_are_those_of_the_normal_law(direction: str) -> None:
    question = run(direction)
    sign = question.metric.sign
    for target in (0.4, 0.5, 0.6, 0.9, 1.2):
        z = (target - 0.5) / 0.1
        assert question.prob_beating(sign * target) == pytest.approx(stats.norm.sf(z), rel=1e-9)
        gain = 0.1 * (stats.norm.pdf(z) - z * stats.norm.sf(z))
        assert question.expected_gain(sign * target) == pytest.approx(gain, rel=2e-3 if target > 1 else 1e-4)
    assert question.gain_by(7) == pytest.approx(question.expected_gain(question.record))
    assert question.quantiles([0.5])[0.5] == pytest.approx(sign * 0.5)


def test_what_was_reached_counts() -> None:
    question = run(y=(0.2, 0.55, 0.3))
    assert (question.record, question.beats(0.5), question.prob_beating(0.5)) == (0.55, True, 1.0)
    assert question.quantiles([0.1])[0.1] == 0.55  # the best in the end is no worse than the best so far
    assert question.expected_gain(0.5) == pytest.approx(0.05 + question.expected_gain(0.55))


def test_no_gain_where_there_is_no_chance() -> None:
    assert run().expected_gain(5.0) == 0
    assert 0 < run().expected_gain(1.25) < 1e-12  # 7.5 standard deviations out


def test_time_to_target() -> None:
    question = Question(lcpfn.load("paper"), UNIT, np.arange(1.0, 6.0), np.array([0.1, 0.3, 0.4, 0.45, 0.48]), 100.0)
    likely, sure = question.time_to(0.52), question.time_to(0.52, probability=0.9)
    assert likely is not None and (sure is None or likely < sure)
    best_by_then = question.engine.predict(question.y, [likely], kind="best", metric=UNIT, run_end=100.0)
    assert best_by_then.prob_better(0.52)[0] >= 0.5
    assert question.time_to(0.35) == 3  # has happened
    assert question.time_to(0.999) is None


@pytest.mark.parametrize("direction", ["max", "min"])
def test_best_compares_with_the_incumbent_and_min_delta(direction: str) -> None:
    sign = 1 if direction == "max" else -1
    rivals = Rivals(finished=(sign * 0.6, sign * 0.4), concluded=2)
    verdict = Best(min_delta=0.05).judge(run(direction), rivals)
    assert verdict.target == pytest.approx(sign * 0.65)
    assert verdict.found == pytest.approx(stats.norm.sf(1.5))
    assert not verdict.stop
    second = Best(rank=2).judge(run(direction), rivals)
    assert second.target == sign * 0.4
    assert Best(start="higher").judge(run(direction), Rivals((sign * 0.8,), 1)).stop


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_turning_target_is_where_the_verdict_turns(direction: str) -> None:
    sign, question = (1, run("max")) if direction == "max" else (-1, run("min"))
    asked = Best(start="higher")
    turning = asked.turning_target(question, Rivals((sign * 0.6,), 1))
    assert turning is not None
    for step, stop in ((-0.001, False), (0.001, True)):
        assert asked.judge(question, Rivals((turning + sign * step,), 1)).stop is stop
    assert Best().turning_target(question, Rivals((sign * 0.6,), 1)) is None  # nothing was learnt


def test_best_is_stricter_the_more_runs_are_behind_and_the_more_often_it_looks() -> None:
    thresholds = [Best(start="runs").judge(run(), Rivals((0.6,), n)).threshold for n in (30, 100, 1000)]
    assert 0.05 > thresholds[0] > thresholds[1] > thresholds[2]
    assert Best(start="runs").judge(replace(run(), every=4), Rivals((0.6,), 1000)).threshold > thresholds[2]
    own = [Best().judge(replace(run(), every=n), Rivals((0.6,), 1)).threshold for n in (4, 1)]
    assert own[0] > own[1]
    assert Best(spend=False).judge(run(), Rivals((0.6,), 100)).threshold == 0.05


def test_paper_compares_with_the_best_of_any_run() -> None:
    rivals = Rivals(finished=(0.4,), concluded=1, running=(0.7, 0.1))
    verdict = Paper().judge(run(), rivals)
    assert (verdict.target, verdict.threshold) == (0.7, 0.05)
    assert verdict.found == pytest.approx(stats.norm.sf(2))
    assert verdict.stop
    assert not Paper().judge(run(), Rivals((0.66,), 1)).stop  # sf(1.6) = 0.0548


def test_worth_compares_gains_per_unit_of_time() -> None:
    rivals = Rivals((0.6,), 1)
    z = 1.0
    rate = 0.1 * (stats.norm.pdf(z) - z * stats.norm.sf(z)) / 8  # 8 steps are left
    assert Worth(min_rate=0.5 * rate).judge(run(), rivals).found == pytest.approx(rate, rel=1e-4)
    assert not Worth(min_rate=0.99 * rate).judge(run(), rivals).stop
    assert Worth(min_rate=1.01 * rate).judge(run(), rivals).stop
    with pytest.raises(ValueError, match="Worth needs min_rate where the metric has no bounds"):
        Worth().judge(run(), rivals)


def test_worth_against_a_fresh_run() -> None:
    """The same law for less time is worth more; a hopeless run is worth less than a fresh one."""
    pfn, t = lcpfn.load("paper"), np.arange(1.0, 6.0)
    good = Question(pfn, UNIT, t, np.array([0.3, 0.5, 0.6, 0.65, 0.68]), 100.0)
    bad = Question(pfn, UNIT, t, np.array([0.30, 0.31, 0.315, 0.318, 0.319]), 100.0)
    rivals = Rivals((0.7,), 1)
    assert not Worth().judge(good, rivals).stop
    assert Worth().judge(bad, rivals).stop


def test_converged_needs_no_other_run() -> None:
    question = run(y=(0.2, 0.6))
    verdict = Converged(min_delta=0.1).judge(question, Rivals())
    assert verdict.found == pytest.approx(stats.norm.sf(2))
    assert verdict.stop
    assert not Converged(min_delta=0.05).judge(question, Rivals()).stop


def test_threshold_follows_villes_inequality() -> None:
    threshold = thresholds.threshold
    level = 0.05
    for runs in (1, 5, 50):
        odds = threshold(level, gap=0.001, runs=runs)
        assert odds / (1 - odds) == pytest.approx(level / runs)  # its factor is 1 where one looks without a pause
    assert threshold(level, gap=1, runs=5) > threshold(level, gap=0.001, runs=5)
    assert threshold(level, gap=2, runs=30, rank=3) > threshold(level, gap=2, runs=30)
    assert threshold(level, gap=50, runs=1) == level  # never above it
    tried = [0.0001, 0.01, 0.03, 0.05, 0.2, 0.5]
    assert np.all(np.diff([threshold(each, gap=1, runs=40) for each in tried]) > 0)


def test_odds_are_compared_with_those_of_the_first_point() -> None:
    threshold = thresholds.threshold_after
    for start in (0.01, 0.3):
        p = threshold(start, 0.05, gap=0.001)
        assert p / (1 - p) == pytest.approx(0.05 * start / (1 - start))
    assert threshold(0.999, 0.05, gap=1) == threshold(1.0, 0.05, gap=1) == thresholds.CAP  # never above it
    assert threshold(0.999, 0.05, gap=1, cap=0.01) == 0.05 and threshold(0.999, 0.3, gap=1) == 0.3
    assert threshold(0.0, 0.05, gap=1) == 0
    for wrong in (dict(level=0.0), dict(gap=0.0), dict(first=1.5), dict(first=math.nan), dict(cap=0.0)):
        with pytest.raises(ValueError, match=r"level must lie|first and cap probabilities"):
            threshold(**{"first": 0.5, "level": 0.05, "gap": 1.0, **wrong})


def test_a_run_is_compared_with_its_own_start() -> None:
    """Whatever number of runs is over; a run that began badly has little to lose."""
    verdicts = [Best().judge(run(), Rivals((0.6,), n)) for n in (1, 1000)]
    assert verdicts[0].threshold == verdicts[1].threshold
    question = run()
    start = question.prob_at_start(0.6)
    assert verdicts[0].threshold == thresholds.threshold_after(start, 0.05, gap=question.gap)
    first = Question(question.engine, question.metric, question.t[:1], question.y[:1], question.horizon)
    assert verdicts[0].began == start == first.prob_beating(0.6)
    for rule in (Best(start="runs"), Best(spend=False)):
        assert rule.judge(question, Rivals((0.6,), 1)).began is None, "it does not count"


def test_higher_takes_the_higher_of_both_odds() -> None:
    question = run()
    how = dict(gap=question.gap, start="higher")
    after = thresholds.threshold_after(question.prob_at_start(0.6), 0.05, **how)
    for runs in (1, 1000):
        among = thresholds.threshold(0.05, runs=runs, **how)
        assert Best(start="higher").judge(question, Rivals((0.6,), runs)).threshold == max(among, after)
    assert among < after < thresholds.threshold(0.05, runs=1, **how), "each was the higher one once"


@pytest.mark.parametrize(
    "wrong", [dict(level=0), dict(level=5.0), dict(gap=0), dict(runs=0), dict(rank=3), dict(level=math.nan)]
)
def test_threshold_refuses_what_means_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=r"level must lie between|gap must be positive, rank 1 or more, runs rank or more"
    ):
        thresholds.threshold(**{"level": 0.05, "gap": 9, "runs": 2, **wrong})
