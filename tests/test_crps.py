"""The CRPS against its definition, and its closed forms against its quadrature."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import CASES, LOCATION, SCALE, TRANSFORMS, Case

from lcpfn.belief import Belief
from lcpfn.distributions import crps
from lcpfn.distributions.bars import Bars
from lcpfn.distributions.mixture import Mixture
from lcpfn.metric import Metric

BOTH = pytest.mark.parametrize("transform", list(TRANSFORMS))
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@EVERY
@BOTH
def test_crps_is_that_of_its_definition(case: Case, transform: str) -> None:
    belief = case.belief(transform)
    for sds in (-50, -2, -0.3, 0.0, 0.1, 1, 3, 50):  # some lie past the bounds
        y = belief.mean() + sds * belief.std()
        wanted = SCALE * case.crps(transform, (y - LOCATION) / SCALE)
        assert belief.crps(y) == pytest.approx(wanted, rel=1e-5), sds


@pytest.mark.parametrize("transform", ["identity", "sinh"])
def test_crps_of_bars_is_that_of_its_definition(transform: str) -> None:
    law = Bars([-1.0, -0.5, 0.0, 0.4, 1.0], np.log([0.1, 0.4, 0.3, 0.2]))
    belief = Belief(law, 0.0, 1.0, transform=transform, metric=Metric("max", bounds=(None, 0.9)), t=1)
    for outcome in (-3.0, 0.1, 0.8, 1.5):
        split = min(outcome, 0.9)
        ends = np.arcsinh([-1e4, split, 0.9])
        left, right = (np.sinh(np.linspace(a, b, 5001)) for a, b in pairwise(ends))
        wanted = np.trapezoid(belief.cdf(left) ** 2, left) + np.trapezoid(belief.prob_above(right) ** 2, right)
        assert belief.crps(outcome) == pytest.approx(wanted + outcome - split, rel=1e-4)


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(TRANSFORMS)), st.floats(-4, 4))
def test_closed_form_and_quadrature_agree_and_are_never_negative(seed: int, transform: str, sds: float) -> None:
    law = Mixture.from_raw(np.random.default_rng(seed).normal(size=(8, 24)) * 2)
    mean, variance = law.moments(transform)
    z = mean + sds * np.sqrt(variance)
    everywhere = np.full(8, np.inf)
    closed = crps.of_mixture(law, transform, z)
    np.testing.assert_allclose(closed, crps.by_panels(law, transform, z, -everywhere, everywhere), rtol=1e-5)
    np.testing.assert_array_equal(closed, crps.score(law, transform, z))
    assert (closed >= 0).all()


def test_the_score_of_a_law_that_is_sure_and_right_is_nearly_nothing() -> None:
    law = Mixture(np.zeros((1, 2)), [[0.3, 0.3]], [[1e-9, 1e-9]])
    assert 0 <= crps.of_mixture(law, "identity", np.array([0.3]))[0] < 1e-9
    assert crps.of_mixture(law, "sinh", np.array([5.0]))[0] == pytest.approx(5.0 - np.sinh(0.3))


@BOTH
def test_a_cut_that_takes_next_to_nothing_leaves_the_closed_form(transform: str) -> None:
    law = Mixture(np.zeros((2, 1)), np.zeros((2, 1)), np.full((2, 1), 0.5))
    z = np.array([0.2, 0.2])
    scores = crps.score(law, transform, z, np.array([-4.0, -2.0]), np.array([np.inf, np.inf]))
    whole = crps.of_mixture(law, transform, z)
    assert scores[0] == whole[0] and scores[1] != whole[1]
    assert scores[1] == pytest.approx(whole[1], rel=1e-3)
