"""The contest on real curves: questions, averages, skills, failures, explosions, and runs that are cut off."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from contestants import METRIC, SOURCES, Hopeful, curve, load, rising
from numpy.testing import assert_allclose, assert_array_equal

from lcpfn.metric import Metric


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    return load()


# -- questions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "cut", "seen"), [(5, 10, 2), (5, 80, 4), (100, 10, 10), (101, 10, 11), (8, 40, 4), (1000, 80, 800)]
)
def test_cut_offs_and_asked_points(length: int, cut: int, seen: int, bench: dict[str, ModuleType]) -> None:
    each = bench["cases"].case(curve(bench, np.linspace(0, 1, length)), cut)
    assert each.seen == seen == len(each.observed[0])
    assert each.asked[0] == seen and each.asked[-1] == length - 1
    assert len(each.asked) == min(bench["cases"].LATER, length - seen)
    assert (np.diff(each.asked) > 0).all()


def test_a_curve_without_a_later_point_is_refused(bench: dict[str, ModuleType]) -> None:
    with pytest.raises(ValueError, match="needs a point after the 2 that are seen"):
        bench["cases"].case(curve(bench, [0.1, 0.2]), 10)


@pytest.mark.parametrize(
    ("y", "why", "best", "diverges"),
    [
        ([0.1, 0.2, 0.4, 0.3], None, 0.4, False),
        ([0.1, 0.2, 0.4, np.nan], None, 0.4, True),
        ([0.1, 0.2, np.nan, np.inf], None, np.nan, True),
        ([0.1, np.nan, 0.4, 0.3], "fewer than 2 finite points seen", 0.4, False),
        ([0.1, np.nan, np.nan, np.nan], "diverged before the cut-off", np.nan, True),
    ],
)
def test_what_cannot_be_asked(
    y: list[float], why: str | None, best: float, diverges: bool, bench: dict[str, ModuleType]
) -> None:
    each = bench["cases"].case(curve(bench, y), 10)
    assert each.hopeless == why and each.diverges == diverges
    assert_array_equal(each.best, best)


def test_best_is_the_lowest_of_a_loss(bench: dict[str, ModuleType]) -> None:
    assert bench["cases"].case(curve(bench, [3, 2, 1, 5, 2], metric=Metric("min")), 10).best == 1


def test_incumbents_are_finite_ends_of_other_runs(bench: dict[str, ModuleType]) -> None:
    finals = {str(i): float(i) for i in range(20)} | {"x": np.nan}
    own = curve(bench, [0.1] * 5, run="3")
    drawn = bench["cases"].incumbents(own, finals, seed=0)
    assert len(set(drawn)) == 8 and 3.0 not in drawn and np.isfinite(drawn).all()
    assert_array_equal(drawn, bench["cases"].incumbents(own, dict(reversed(finals.items())), seed=0))
    assert set(drawn) != set(bench["cases"].incumbents(own, finals, seed=1))
    assert len(bench["cases"].incumbents(own, {"3": 1.0}, seed=0)) == 0


def test_methods_learn_from_other_tasks_alone(bench: dict[str, ModuleType]) -> None:
    pools = {source: {} for source in SOURCES}
    for source in SOURCES:
        for each in rising(bench, source):
            pools[source].setdefault(each.task, []).append(each)
    neighbours = bench["cases"].neighbours
    assert {each.task for each in neighbours(pools["many"]["a"][0], pools, seed=0)} == {"b", "c"}
    assert {each.source for each in neighbours(pools["alone"]["only"][0], pools, seed=0)} == {"many"}
    assert len(neighbours(pools["many"]["a"][0], pools, seed=0, limit=3)) == 3


def test_the_rate_of_divergence_counts_those_alive(bench: dict[str, ModuleType]) -> None:
    curves = [curve(bench, y) for y in ([0.1] * 4 + [np.nan], [0.1] * 5, [0.1] + [np.nan] * 4)]
    assert bench["cases"].divergence_rate(curves, 20) == pytest.approx((1 + 0.5) / (2 + 1))


# -- one cell ---------------------------------------------------------------------------------------------------------


def forecast(bench: dict[str, ModuleType], method: Any, curves: Sequence[Any], others: Sequence[Any] = ()) -> Any:
    return bench["cell"].forecast(method, curves, others=others, seed=0)


def column(bench: dict[str, ModuleType], found: Any, name: str) -> np.ndarray:
    return found.rows[:, bench["cell"].PLACE[name]]


def test_scores_of_a_cell_by_brute_force(bench: dict[str, ModuleType]) -> None:
    curves = [each for each in rising(bench, "many") if each.task == "b"]
    found = forecast(bench, Hopeful(0.05), curves)
    assert found.rows.shape == (16, len(bench["cell"].COLUMNS)) and not found.reasons
    yard = bench["scores"].yardstick(np.concatenate([c.y for c in curves]), metric=METRIC, resolution=0.001)
    (row,) = np.flatnonzero((column(bench, found, "cut") == 20) & (found.runs == "2"))
    own = curves[2]
    (belief,) = Hopeful(0.05).predict(
        [own.y[:6]], [own.t[6:]], t=[own.t[:6]], kind="value", metric=METRIC, horizon=[30]
    )
    crps = belief.crps(own.y[6:]) / yard.scale
    assert column(bench, found, "later_crps")[row] == pytest.approx(crps.mean(), rel=1e-4)
    assert column(bench, found, "final_crps")[row] == pytest.approx(crps[-1], rel=1e-4)
    rivals = bench["cases"].incumbents(own, {c.run: c.y[-1] for c in curves}, seed=0) + 0.0005
    doom = column(bench, found, "diverges_said")[row]
    said, happened = belief[-1].prob_better(rivals) * (1 - doom), own.y[-1] > rivals
    assert column(bench, found, "final_brier")[row] == pytest.approx(np.mean((said - happened) ** 2))
    assert column(bench, found, "best_happened")[row] == (own.y[6:].max() > rivals[0])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("raises", "FloatingPointError: too many points"),
        ("shape", "a belief of shape"),
        ("nan", "a belief that is not finite"),
    ],
)
def test_a_method_that_fails_loses_with_a_reason(wrong: str, reason: str, bench: dict[str, ModuleType]) -> None:
    curves = [each for each in rising(bench, "many") if each.task == "b"]
    good, bad = forecast(bench, Hopeful(), curves), forecast(bench, Hopeful(wrong=wrong), curves)
    failed = column(bench, bad, "failed") == 1
    assert failed.sum() == bad.counts["failed"] == (12 if wrong == "raises" else 16), "at 10 %, 3 points are seen"
    assert all(text.startswith(reason) for text in bad.reasons)
    for name in ("later_crps", "final_crps", "best_crps"):
        assert_allclose(column(bench, bad, name)[failed], 7 / 4, rtol=1e-2)
        assert 7 / 4 > column(bench, good, name)[failed].mean()
        assert_allclose(column(bench, bad, name)[~failed], column(bench, good, name)[~failed], rtol=1e-12)


def test_a_method_that_cannot_be_prepared_fails_everywhere(bench: dict[str, ModuleType]) -> None:
    class Broken(Hopeful):
        def prepare(self, others: Sequence[Any]) -> None:
            raise MemoryError("no room")

    found = forecast(bench, Broken(), [each for each in rising(bench, "many") if each.task == "b"])
    assert set(found.reasons) == {"prepare: MemoryError: no room"} and found.counts["failed"] == 16


def test_divergence_is_scored_and_counted(bench: dict[str, ModuleType]) -> None:
    steady = [curve(bench, np.linspace(0.1, 0.5, 20), run=str(i)) for i in range(3)]
    ends = curve(bench, [*np.linspace(0.1, 0.4, 15), *[np.nan] * 5], run="ends")
    never = curve(bench, [0.1, *[np.inf] * 19], run="never")
    found = forecast(bench, Hopeful(), [*steady, ends, never], [curve(bench, [0.1] * 9, task="b")])
    own = found.runs == "ends"
    assert found.counts["diverged before the cut-off"] == 4 + 1 and found.counts["forecast"] == 3 * 4 + 3
    assert found.counts["ends that are no number"] == 3 and set(found.runs) == {"0", "1", "2", "ends"}
    assert np.isnan(column(bench, found, "final_crps")[own]).all()
    assert np.isfinite(column(bench, found, "later_crps")[own]).all()
    assert (column(bench, found, "final_happened")[own] == 0).all()
    rate = 0.5 / 2
    assert_allclose(column(bench, found, "diverges_brier")[own], (1 - rate) ** 2)
    assert_allclose(column(bench, found, "diverges_brier")[~own], rate**2)

    class Knows(Hopeful):
        def prob_diverges(self, y: Any, *, t: Any, metric: Metric, horizon: Any) -> list[float]:
            return [0.75] * len(y)

    assert_allclose(column(bench, forecast(bench, Knows(), [*steady, ends]), "diverges_said"), 0.75)


def test_an_explosion_costs_what_the_fences_allow(bench: dict[str, ModuleType]) -> None:
    loss = Metric("min", bounds=(0, None))
    curves = [curve(bench, np.linspace(2, 1, 20), run=str(i), metric=loss) for i in range(9)]
    boom = curve(bench, [*np.linspace(2, 1, 15), *np.geomspace(10, 1e26, 5)], run="boom", metric=loss)
    found = forecast(bench, Hopeful(), [*curves, boom])
    assert np.isfinite(found.rows[:, bench["cell"].PLACE["later_crps"]]).all()
    assert column(bench, found, "final_crps").max() <= 7.0
    assert column(bench, found, "final_crps")[found.runs == "boom"][:3].min() > 2, "at 80 % it is seen"


def test_constant_curves_stay_and_do_not_rule(bench: dict[str, ModuleType]) -> None:
    found = forecast(bench, Hopeful(0.01), [curve(bench, [0.0] * 20, run=str(i)) for i in range(3)])
    assert found.counts["forecast"] == 12
    assert (column(bench, found, "final_crps") < 0.5).all() and (column(bench, found, "final_crps") >= 0).all()
