"""The CRPS against its definition, and its closed forms against its quadrature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import CASES, LOCATION, SCALE, TRANSFORMS, Case

from lcpfn.distributions import crps
from lcpfn.distributions.mixture import Mixture

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
