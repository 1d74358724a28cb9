"""A run at the bound of its metric: the interval holds the bound, and beating it is not certain."""

import dataclasses

import numpy as np
import pytest

import lcpfn
from lcpfn import Metric
from lcpfn.belief import Belief
from lcpfn.distributions.mixture import Mixture
from lcpfn.distributions.ties import NARROWEST, resolution

PFNS = {name: lcpfn.load(name) for name in ("default", "paper")}
X = np.array([-0.1, 0.0, 1e-9, 1e-7, 1e-4, 0.3, 0.7, 1 - 1e-4, 1 - 1e-9, 1.0, 1.1])


@pytest.mark.parametrize("points", [3, 10, 30])
@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize("name", PFNS)
def test_a_constant_at_its_bound_lies_in_its_interval(name: str, direction: str, value: float, points: int) -> None:
    """In any unit."""
    for low, width in ((0.0, 1.0), (0.0, 1e-3), (-40.0, 1e6)):
        metric = Metric(direction, bounds=(low, low + width))
        y = metric.bounds[int(value)]
        belief = PFNS[name].predict([y] * points, [points + 1, 50, 100], metric=metric)
        ends = belief.interval(0.9)
        assert ((ends[:, 0] <= y) & (y <= ends[:, 1])).all()
        better = belief.prob_better(y)
        if (value == 1.0) == (direction == "max"):
            assert (better == 0).all()
        else:
            assert ((0 < better) & (better < 0.98)).all() and (np.diff(better) > 0).all()


def test_thirty_zeros_are_not_sure_to_be_left() -> None:
    pfn, metric = PFNS["default"], Metric("max", bounds=(0, 1))
    better = [pfn.predict([0.0] * n, [100], metric=metric, kind="best").prob_better(0.0)[0] for n in (2, 5, 10, 30, 60)]
    assert (np.diff(better) < 0).all() and better[-1] < 0.2


def atom(direction: str, mean: float = 0.0, std: float = 1.0, near: float = 0.01, location: float = 0.0) -> Belief:
    metric = Metric(direction, bounds=(0, 1))
    law = Mixture([0.0], [metric.sign * mean], [std])
    return Belief(law, metric.sign * location, 0.1, transform="sinh", metric=metric, t=1, resolution=near)


@pytest.mark.parametrize("location", [0.0, 1.0, 0.0005, 0.9995])
@pytest.mark.parametrize("direction", ["max", "min"])
def test_all_answers_tell_of_the_same_law(direction: str, location: float) -> None:
    belief = atom(direction, location=location)
    bound = round(location)
    inner = bound + (1e-3 if bound == 0 else -1e-3)  # as far as the resolution reaches, give or take
    tie = belief.cdf(0.0) if bound == 0 else 1 - belief.cdf(1 - 1e-12)
    assert 0.005 < tie < 0.02
    cdf, above = belief.cdf(X), belief.prob_above(X)
    np.testing.assert_allclose(cdf + above, 1, atol=1e-12)  # P(Y <= x) and P(Y > x)
    assert (np.diff(cdf) >= 0).all() and (cdf[X < 0] == 0).all() and (cdf[X >= 1] == 1).all()
    np.testing.assert_allclose(belief.prob_better(X), above if direction == "max" else below(belief, X), atol=1e-12)
    q = belief.quantile([0, tie / 2, 1 - tie / 2, 1])
    assert q[1 if bound == 0 else 2] == bound and (q[0], q[-1]) == (0, 1)
    drawn = belief.sample(20_000, generator=np.random.default_rng(0))
    share, error = (drawn == bound).mean(), np.sqrt(tie / 20_000)
    assert abs(share - tie) < 5 * error
    assert not ((np.abs(drawn - bound) > 0) & (np.abs(drawn - bound) < abs(inner - bound) * 0.99)).any()


def below(belief: Belief, x: np.ndarray) -> np.ndarray:
    """P(Y < x), from the cdf just below x."""
    return belief.cdf(np.nextafter(x, -np.inf))


@pytest.mark.parametrize("change", [{"location": 0.3}, {"location": 0.99}, {"near": 0.0}, {"location": 0.002}])
def test_elsewhere_nothing_changes(change: dict) -> None:
    """Bit for bit: a run that stands away from its bounds, or a belief without a resolution."""
    with_ties = atom("max", **change)
    without = dataclasses.replace(with_ties, resolution=0.0)
    q = np.linspace(0, 1, 11)
    np.testing.assert_array_equal(with_ties.quantile(q), without.quantile(q))
    np.testing.assert_array_equal(with_ties.cdf(X), without.cdf(X))
    np.testing.assert_array_equal(with_ties.prob_better(X), without.prob_better(X))


def test_noise_that_overshoots_a_bound_has_no_ties_there() -> None:
    belief = PFNS["paper"].predict([1.0] * 9, [20], metric=Metric("max", bounds=(0, 1), overshoot=True))
    assert 0.05 < belief.prob_better(1.0)[0] < 0.95 and belief.interval(0.9)[0, 1] > 1


def test_the_resolution_is_a_whole_scale_where_nothing_ever_moved() -> None:
    scale = np.array([3e-4, 3.1e-4, 0.2])
    np.testing.assert_array_equal(resolution(scale, 0.0, 1.0), [1, NARROWEST, NARROWEST])
    np.testing.assert_array_equal(resolution(scale, 0.0, np.inf), [NARROWEST] * 3)
    np.testing.assert_array_equal(resolution(scale * 1e9, -5e8, 5e8), [1, NARROWEST, NARROWEST])


def test_a_slice_keeps_its_resolution() -> None:
    belief = PFNS["default"].predict([[0.0] * 5, [0.1, 0.2, 0.3, 0.2, 0.4]], [9], metric=Metric("max", bounds=(0, 1)))
    assert belief[0].interval()[0, 0] == 0 and belief[0, 0].cdf(0.0) == belief.cdf(0.0)[0, 0] > 0.5
    assert belief.cdf(0.0)[1, 0] == 0
